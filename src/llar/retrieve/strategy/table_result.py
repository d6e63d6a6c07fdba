"""A plan run over its table: the rows that answer, the value, and a sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from .table_conditions import NotUnderstood
from .table_engine import Engine, select, where
from .table_grid import Column, Grid
from .table_plan import Condition, Plan

MOST_GROUPS = 40
MOST_LISTED = 100  # rows that a list names

# What a statement is made of, by language. Rows are counted, columns and cells stand as they are.
PHRASES = {
    "en": {
        "max": "Highest {column} of {rows}{where}: {value} ({labels})",
        "min": "Lowest {column} of {rows}{where}: {value} ({labels})",
        "max date": "Latest {column} of {rows}{where}: {value} ({labels})",
        "min date": "Earliest {column} of {rows}{where}: {value} ({labels})",
        "first": "{rows} with the highest {column}{where}, in order: {labels}",
        "last": "{rows} with the lowest {column}{where}, in order: {labels}",
        "place max": "No. {place} from the highest {column} down{where}: {value} ({labels})",
        "place min": "No. {place} from the lowest {column} up{where}: {value} ({labels})",
        "sum": "Sum of {column} over {rows}{where}: {value}",
        "mean": "Average of {column} over {rows}{where}: {value}",
        "median": "Median of {column} over {rows}{where}: {value}",
        "count": "Number of rows{where}: {value} of {total}",
        "count all": "Number of rows: {value}",
        "list": "{value} of {total} rows{where}: {labels}",
        "compare": "{column}: {labels}; difference {value}",
        "by": "{what} by {group}{where}: {labels}",
        "sum of": "Sum of {column}", "mean of": "Average of {column}",
        "median of": "Median of {column}", "count of": "Number of rows",
        "max of": "Highest {column}", "min of": "Lowest {column}",
        "where": " where {conditions}", "and": " and ", "or": " or ", "row": "1 row",
        "rows": "{n} rows", "empty": "without {n} rows that have no value",
        "unread": "without {cells}, which cannot be read as a number",
        "left out": "without the row {cells}", "section": "{cells} is a heading inside the table",
        "from": ", computed from the table “{table}”",
    },
    "es": {
        "max": "{column} más alto de {rows}{where}: {value} ({labels})",
        "min": "{column} más bajo de {rows}{where}: {value} ({labels})",
        "max date": "{column} más reciente de {rows}{where}: {value} ({labels})",
        "min date": "{column} más temprano de {rows}{where}: {value} ({labels})",
        "first": "{rows} con mayor {column}{where}, en orden: {labels}",
        "last": "{rows} con menor {column}{where}, en orden: {labels}",
        "place max": "N.º {place} de mayor a menor {column}{where}: {value} ({labels})",
        "place min": "N.º {place} de menor a mayor {column}{where}: {value} ({labels})",
        "sum": "Suma de {column} en {rows}{where}: {value}",
        "mean": "Promedio de {column} en {rows}{where}: {value}",
        "median": "Mediana de {column} en {rows}{where}: {value}",
        "count": "Número de filas{where}: {value} de {total}",
        "count all": "Número de filas: {value}",
        "list": "{value} de {total} filas{where}: {labels}",
        "compare": "{column}: {labels}; diferencia {value}",
        "by": "{what} por {group}{where}: {labels}",
        "sum of": "Suma de {column}", "mean of": "Promedio de {column}",
        "median of": "Mediana de {column}", "count of": "Número de filas",
        "max of": "{column} más alto", "min of": "{column} más bajo",
        "where": " con {conditions}", "and": " y ", "or": " o ", "row": "1 fila",
        "rows": "{n} filas", "empty": "sin {n} filas que no tienen valor",
        "unread": "sin {cells}, que no se puede leer como número",
        "left out": "sin la fila {cells}",
        "section": "{cells} es un título dentro de la tabla",
        "from": ", calculado a partir de la tabla «{table}»",
    },
    "ca": {
        "max": "{column} més alt de {rows}{where}: {value} ({labels})",
        "min": "{column} més baix de {rows}{where}: {value} ({labels})",
        "max date": "{column} més recent de {rows}{where}: {value} ({labels})",
        "min date": "{column} més primerenc de {rows}{where}: {value} ({labels})",
        "first": "{rows} amb més {column}{where}, en ordre: {labels}",
        "last": "{rows} amb menys {column}{where}, en ordre: {labels}",
        "place max": "Núm. {place} de més a menys {column}{where}: {value} ({labels})",
        "place min": "Núm. {place} de menys a més {column}{where}: {value} ({labels})",
        "sum": "Suma de {column} en {rows}{where}: {value}",
        "mean": "Mitjana de {column} en {rows}{where}: {value}",
        "median": "Mediana de {column} en {rows}{where}: {value}",
        "count": "Nombre de files{where}: {value} de {total}",
        "count all": "Nombre de files: {value}",
        "list": "{value} de {total} files{where}: {labels}",
        "compare": "{column}: {labels}; diferència {value}",
        "by": "{what} per {group}{where}: {labels}",
        "sum of": "Suma de {column}", "mean of": "Mitjana de {column}",
        "median of": "Mediana de {column}", "count of": "Nombre de files",
        "max of": "{column} més alt", "min of": "{column} més baix",
        "where": " amb {conditions}", "and": " i ", "or": " o ", "row": "1 fila",
        "rows": "{n} files", "empty": "sense {n} files que no tenen valor",
        "unread": "sense {cells}, que no es pot llegir com a nombre",
        "left out": "sense la fila {cells}", "section": "{cells} és un títol dins de la taula",
        "from": ", calculat a partir de la taula «{table}»",
    },
    "hu": {
        "max": "A legnagyobb {column} {rows} közül{where}: {value} ({labels})",
        "min": "A legkisebb {column} {rows} közül{where}: {value} ({labels})",
        "max date": "A legkésőbbi {column} {rows} közül{where}: {value} ({labels})",
        "min date": "A legkorábbi {column} {rows} közül{where}: {value} ({labels})",
        "first": "{rows} a legnagyobb {column} szerint{where}, sorrendben: {labels}",
        "last": "{rows} a legkisebb {column} szerint{where}, sorrendben: {labels}",
        "place max": "A(z) {place}. legnagyobb {column}{where}: {value} ({labels})",
        "place min": "A(z) {place}. legkisebb {column}{where}: {value} ({labels})",
        "sum": "{column} összege, {rows}{where}: {value}",
        "mean": "{column} átlaga, {rows}{where}: {value}",
        "median": "{column} mediánja, {rows}{where}: {value}",
        "count": "A sorok száma{where}: {value} a(z) {total} közül",
        "count all": "A sorok száma: {value}",
        "list": "{value} sor a(z) {total} közül{where}: {labels}",
        "compare": "{column}: {labels}; különbség {value}",
        "by": "{what}, {group} szerint{where}: {labels}",
        "sum of": "{column} összege", "mean of": "{column} átlaga",
        "median of": "{column} mediánja", "count of": "A sorok száma",
        "max of": "A legnagyobb {column}", "min of": "A legkisebb {column}",
        "where": ", ahol {conditions}", "and": " és ", "or": " vagy ", "row": "1 sor",
        "rows": "{n} sor", "empty": "{n} érték nélküli sor nélkül",
        "unread": "{cells} nélkül, mert nem olvasható számként",
        "left out": "a(z) {cells} sor nélkül", "section": "{cells} címsor a táblázatban",
        "from": ", a(z) „{table}” táblázatból számítva",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a plan came to.

    `answering` are the rows that answer, `used` those that went in, both by number; `statement`
    is "" where the cells of the answering rows say it themselves.
    """

    plan: Plan
    sql: str
    answering: tuple[int, ...]
    used: tuple[int, ...]
    value: str
    statement: str


def run(grid: Grid, plan: Plan, table: str, language: str) -> Outcome:
    """Run a plan; `table` is what the statement calls the table.

    Raises NotUnderstood where the cells cannot be computed with, such as prices in two
    currencies, or no row meets the conditions.
    """
    with Engine(grid, grid.usable) as engine:
        sql = select(grid, plan)
        kept = [
            int(row[0])
            for row in engine.rows(
                f"SELECT _row FROM data{where(grid, plan.conditions)} ORDER BY 1"
            )
        ]
        if not kept:
            raise NotUnderstood("no row of the table meets its conditions")
        if plan.operation == "sum" and plan.group is None and len(kept) == 1:
            plan = replace(plan, operation="look up")
            sql = select(grid, plan)
        _check_units(grid, plan, kept)
        found = engine.rows(sql)
    return _Told(grid, plan, sql, kept, found, table, PHRASES[language]).outcome()


def _check_units(grid: Grid, plan: Plan, rows: Sequence[int]) -> None:
    if plan.column is None or plan.operation in ("look up", "list"):
        return
    column = grid.columns[plan.column]
    units = column.units_of(rows)
    if column.kind == "number" and len(units) > 1:
        listed = ", ".join(repr(u) if u else "no unit" for u in units)
        raise NotUnderstood(f"column {column.name!r} mixes units ({listed}) in these rows")
    if not any(column.values[r] is not None for r in rows):
        raise NotUnderstood(f"column {column.name!r} has no value in these rows")


@dataclass(frozen=True, slots=True)
class _Told:
    """A result on its way to a statement."""

    grid: Grid
    plan: Plan
    sql: str
    kept: list[int]
    found: list[tuple[object, ...]]
    table: str
    phrases: dict[str, str]

    def outcome(self) -> Outcome:
        if self.plan.group is not None:
            return self._grouped()
        if self.plan.operation in ("max", "min"):
            return self._superlative()
        if self.plan.operation == "compare":
            return self._compared()
        if self.plan.operation in ("look up", "list", "count"):
            return self._rows_kept()
        shown = self._shown(self.found[0][0], mean=self.plan.operation in ("mean", "median"))
        filled = self._filled()
        return self._made(filled, filled, shown, self._say(self.plan.operation, value=shown))

    def _rows_kept(self) -> Outcome:
        """How many rows meet the conditions, or which; a look-up's cells speak for themselves."""
        value, statement = str(len(self.kept)), ""
        if self.plan.operation == "list":
            labels = ", ".join(self._label(r) for r in self.kept[:MOST_LISTED])
            labels += ", …" if len(self.kept) > MOST_LISTED else ""
            statement = self._say("list", value=value, labels=labels)
        elif self.plan.operation == "count":
            value = str(self.found[0][0])
            phrase = "count" if self.plan.conditions else "count all"
            statement = self._say(phrase, value=value)
        return self._made(self.kept, self.kept, value, statement)

    def _made(
        self, answering: Sequence[int], used: Sequence[int], value: str, statement: str
    ) -> Outcome:
        return Outcome(self.plan, self.sql, tuple(answering), tuple(used), value, statement)

    def _superlative(self) -> Outcome:
        plan = self.plan
        if plan.take:
            rows = [int(str(row[0])) for row in self.found[plan.skip : plan.skip + plan.take]]
            labels = "; ".join(f"{self._label(r)} {self._cell(r)}" for r in rows)
            phrase = "first" if plan.operation == "max" else "last"
            statement = self._say(phrase, labels=labels, count=len(rows))
            return self._made(rows, self._filled(), str(len(rows)), statement)
        distinct = list(dict.fromkeys(row[1] for row in self.found))
        if plan.skip >= len(distinct):
            raise NotUnderstood(f"the column has only {len(distinct)} different values")
        best = distinct[plan.skip]
        rows = [int(str(row[0])) for row in self.found if row[1] == best]
        labels = ", ".join(self._label(r) for r in rows)
        phrase = f"place {plan.operation}" if plan.skip else str(plan.operation)
        if self._column().kind == "date" and not plan.skip:
            phrase = f"{plan.operation} date"
        value = self._cell(rows[0])
        statement = self._say(phrase, value=value, labels=labels, place=str(plan.skip + 1))
        return self._made(rows, self._filled(), value, statement)

    def _compared(self) -> Outcome:
        column = self._column()
        rows = self._filled()
        if len(rows) != 2:
            raise NotUnderstood(f"a difference is of two values; there are {len(rows)}")
        first, second = (column.values[r] for r in rows)
        if not isinstance(first, Decimal) or not isinstance(second, Decimal):
            raise NotUnderstood(f"column {column.name!r} holds no numbers to take a difference of")
        shown = self._shown(abs(first - second))
        labels = ", ".join(f"{self._label(r)} {self._cell(r)}" for r in rows)
        return self._made(rows, rows, shown, self._say("compare", value=shown, labels=labels))

    def _grouped(self) -> Outcome:
        plan = self.plan
        operation = plan.inner or plan.operation
        if len(self.found) > MOST_GROUPS:
            raise NotUnderstood(
                f"it asks for {len(self.found)} groups; at most {MOST_GROUPS} are shown"
            )
        found = self.found
        if plan.inner:
            take = plan.take or 1
            found = found[plan.skip : plan.skip + take]
            found += [x for x in self.found[plan.skip + take :] if x[1] == found[-1][1]]
        mean = operation in ("mean", "median")
        labels = "; ".join(f"{self._plain(g)} {self._shown(v, mean=mean)}" for g, v in found)
        what = self.phrases[f"{operation} of"].format(column=self._name())
        if plan.inner:
            what = self.phrases[f"{plan.operation} of"].format(column=what)
        assert plan.group is not None
        group = self.grid.columns[plan.group].name
        statement = self._say("by", what=what, group=group, labels=labels)
        used = self._filled() if plan.column is not None else self.kept
        wanted = {self._plain(g) for g, _ in found}
        rows = [r for r in used if self._plain(self._value(r, plan.group)) in wanted]
        return self._made(rows, used, labels, statement)

    # -- words -----------------------------------------------------------------------------

    def _say(self, phrase: str, count: int | None = None, **values: str) -> str:
        """The statement, with what was left out and where it is from."""
        rows = len(self._filled()) if count is None else count
        text = self.phrases[phrase].format(
            column=self._name(),
            rows=self._rows(rows),
            where=self._where(),
            total=str(len(self.grid.usable)),
            **values,
        )
        notes = "; ".join(self._notes())
        source = self.phrases["from"].format(table=self.table)
        return f"{text}{source}{f'; {notes}' if notes else ''}."

    def _rows(self, count: int) -> str:
        return self.phrases["row"] if count == 1 else self.phrases["rows"].format(n=count)

    def _name(self) -> str:
        return "" if self.plan.column is None else self._column().name

    def _column(self) -> Column:
        assert self.plan.column is not None
        return self.grid.columns[self.plan.column]

    def _filled(self) -> list[int]:
        """The rows kept that have a value to compute with."""
        if self.plan.column is None:
            return self.kept
        return [r for r in self.kept if self._column().values[r] is not None]

    def _notes(self) -> list[str]:
        """What of the table is not in the result."""
        notes = []
        if self.plan.column is not None:
            column = self._column()
            unread = [
                self.grid.rows[r][self.plan.column].text for r in column.unread if r in self.kept
            ]
            empty = len(self.kept) - len(self._filled()) - len(unread)
            if empty:
                notes.append(self.phrases["empty"].format(n=empty))
            if unread:
                notes.append(self.phrases["unread"].format(cells=_quoted(unread)))
        if self.grid.aggregates:
            labels = [self.grid.label(r, 0) for r in self.grid.aggregates]
            notes.append(self.phrases["left out"].format(cells=_quoted(labels)))
        if self.grid.sections and self.plan.operation in ("count", "list"):
            notes.append(self.phrases["section"].format(cells=_quoted(self.grid.sections)))
        return notes

    def _where(self) -> str:
        if not self.plan.conditions:
            return ""
        said = [self._condition(c) for c in self.plan.conditions]
        return self.phrases["where"].format(conditions=self.phrases["and"].join(said))

    def _condition(self, condition: Condition) -> str:
        name = self.grid.columns[condition.column].name
        values = [self._plain(v) for v in condition.values]
        if condition.comparison == "between":
            return f"{values[0]} ≤ {name} ≤ {values[1]}"
        if condition.comparison in ("in", "not in"):
            sign = "=" if condition.comparison == "in" else "≠"
            return f"{name} {sign} {self.phrases['or'].join(values)}"
        sign = {">=": "≥", "<=": "≤"}.get(condition.comparison, condition.comparison)
        return f"{name} {sign} {values[0]}"

    def _label(self, row: int) -> str:
        return self.grid.label(row, self.plan.label)

    def _cell(self, row: int) -> str:
        assert self.plan.column is not None
        return self.grid.rows[row][self.plan.column].text

    def _value(self, row: int, column: int) -> object:
        return self.grid.columns[column].values[row]

    def _plain(self, value: object) -> str:
        if isinstance(value, Decimal):
            return _plain_number(value)
        return value.isoformat() if isinstance(value, date) else "" if value is None else str(value)

    def _shown(self, value: object, *, mean: bool = False) -> str:
        """A computed number in its column's notation, with the unit that its cells have."""
        if value is None or isinstance(value, str | date):
            return self._plain(value)
        if self.plan.column is None or (self.plan.inner or self.plan.operation) == "count":
            return str(value)
        column = self._column()
        places = max((-int(v.as_tuple().exponent) for v in column.values if isinstance(v, Decimal)),
                     default=0)  # fmt: skip
        number = Decimal(str(value))
        places = max(places, 0) + (2 if mean else 0)
        number = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
        text = _plain_number(number)
        if column.notation.decimal == ",":
            text = text.replace(".", ",")
        units = column.units_of(self.kept)
        if not units or not units[0]:
            return text
        if column.before:
            return f"{units[0]}{'' if len(units[0]) == 1 else ' '}{text}"
        return f"{text}{'' if units[0] == '%' else ' '}{units[0]}"


def _plain_number(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)
