"""The conditions in a question: cells it names, amounts and days it compares to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from .table_grid import Grid, unit_of
from .table_plan import Comparison, Condition
from .table_tokens import Mention, Named, Words
from .table_values import COMMA_LANGUAGES, MONTHS, Notation, read_date, read_number
from .table_words import ALTERNATIVE, COMPARISONS, CONCEPTS, DATE_COMPARISONS, NEGATION

_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "US$": "USD", "Ft": "HUF"}
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")


class NotUnderstood(Exception):  # caught by the planner, never seen outside
    """Why a question is no computation over this table."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """A comparison whose column is not known yet; `values` as they stand in the question."""

    comparison: str
    values: tuple[str, ...]
    tokens: tuple[int, ...]
    asked: str
    day: bool  # it reads like one of days


@dataclass(slots=True)
class Conditions:
    """The conditions found so far, in the order of the steps below."""

    words: Words
    grid: Grid
    found: list[Condition] = field(default_factory=list)
    _compared: list[_Compared] = field(default_factory=list)
    _places: list[tuple[int, ...]] = field(default_factory=list)  # tokens of each in `found`

    # -- amounts and days ------------------------------------------------------------------

    def comparisons(self) -> None:
        """Find "more than 50 €" and "before 2022" and mark their words."""
        for patterns in (DATE_COMPARISONS, COMPARISONS):
            day = patterns is DATE_COMPARISONS
            for name, pattern in patterns:
                for match in pattern.finditer(self.words.question):
                    tokens = self.words.inside(*match.span())
                    values = tuple(v for k in ("a", "a2", "b") if (v := _group(match, k)))
                    fresh = not any(self.words.tokens[i].use for i in tokens)
                    if fresh and self._can_be(name, values, day):
                        found = _Compared(name, values, tuple(tokens), match.group(), day)
                        self._compared.append(found)
                        self.words.use(tokens, "comparison")

    def _can_be(self, name: str, values: tuple[str, ...], day: bool) -> bool:
        if not day:
            return name == "between" or bool(values)
        if name == "in" and self._in_a_name(values[0]):
            return False
        columns = any(self._takes_days(c) for c in range(len(self.grid.columns)))
        return columns and _period(values[0]) is not None

    def _in_a_name(self, text: str) -> bool:
        keys = self.words.keys(text)
        return any(set(keys) <= set(self.words.keys(c.name)) for c in self.grid.columns)

    def _takes_days(self, column: int) -> bool:
        found = self.grid.columns[column]
        years = found.kind == "number" and all(
            v is None or (isinstance(v, Decimal) and v == int(v) and 1500 <= v <= 2100)
            for v in found.values
        )
        return found.kind == "date" or years

    def attach(self, mentions: Sequence[Mention]) -> None:
        """Give every comparison its column. Raises NotUnderstood where that is not clear."""
        for compared in self._compared:
            days = [c for c in range(len(self.grid.columns)) if self._takes_days(c)]
            numbers = [i for i, c in enumerate(self.grid.columns) if c.kind == "number"]
            within = days if compared.day else [*days, *numbers]
            near = self._nearest(compared.tokens, mentions, within)
            if compared.day or (near in days and _period(compared.values[0]) is not None):
                column = near if near is not None else self._only(days, compared)
                condition = self._days(column, compared)
            else:
                column = self._numeric(compared, mentions, numbers)
                condition = self._numbers(column, compared)
            self._add(condition, compared.tokens)

    def _numeric(
        self, compared: _Compared, mentions: Sequence[Mention], numbers: Sequence[int]
    ) -> int:
        near = self._nearest(compared.tokens, mentions, numbers)
        if near is not None:
            return near
        unit = self._unit(compared.values[0])
        of_unit = [c for c in numbers if unit and unit in self._units(c)]
        if not of_unit and unit in _CURRENCIES.values():
            of_unit = [c for c in numbers if CONCEPTS["price"].search(self.grid.columns[c].name)]
        return self._only(of_unit or [c for c in numbers if c > 0] or numbers, compared)

    def _only(self, columns: Sequence[int], compared: _Compared) -> int:
        if len(columns) == 1:
            return columns[0]
        names = ", ".join(repr(self.grid.columns[c].name) for c in columns) or "none"
        raise NotUnderstood(
            f"it is not clear which column {compared.asked!r} is about; there are: {names}"
        )

    def _nearest(
        self, tokens: Sequence[int], mentions: Sequence[Mention], columns: Sequence[int]
    ) -> int | None:
        """The one of `columns` that is named nearest to these tokens, before them rather."""
        best: tuple[float, tuple[int, ...]] | None = None
        for m in mentions:
            fits = tuple(c for c in m.columns if c in columns)
            if not fits:
                continue
            before = tokens[0] - m.tokens[-1]
            gap = before if before > 0 else m.tokens[0] - tokens[-1] + 0.5
            if best is None or gap < best[0]:
                best = (gap, fits)
        if best is None:
            return None
        if len(best[1]) > 1:
            names = ", ".join(repr(self.grid.columns[c].name) for c in best[1])
            raise NotUnderstood(f"it is not clear which column is meant; there are {names}")
        return best[1][0]

    def _unit(self, text: str) -> str:
        number = read_number(text, self._decimal())
        return _CURRENCIES.get(number.unit, number.unit) if number else ""

    def _units(self, column: int) -> set[str]:
        found = {_CURRENCIES.get(u, u) for u in self.grid.columns[column].units if u}
        in_name = unit_of(self.grid.columns[column].name)[1]
        return found | {_CURRENCIES.get(in_name, in_name)}

    def _decimal(self) -> str:
        language = self.words.language
        return "," if language in COMMA_LANGUAGES else "."

    def _numbers(self, column: int, compared: _Compared) -> Condition:
        values = []
        for text in compared.values:
            number = read_number(text, self._decimal())
            if number is None:
                raise NotUnderstood(f"{text!r} is no number")
            values.append(number.value)
        comparison: Comparison = compared.comparison if compared.comparison != "in" else "="  # type: ignore[assignment]
        return Condition(column, comparison, tuple(values), compared.asked)

    def _days(self, column: int, compared: _Compared) -> Condition:
        """A condition on a column of dates or years, from days, months or years."""
        periods = [_period(v) for v in compared.values]
        if None in periods:
            raise NotUnderstood(f"{compared.asked!r} names no day that can be read")
        known = [p for p in periods if p is not None]
        kind = compared.comparison
        if self.grid.columns[column].kind == "number":
            years = tuple(Decimal(p[0].year) for p in known)
            name: Comparison = "=" if kind == "in" else kind  # type: ignore[assignment]
            return Condition(column, name, years, compared.asked)
        first, last = known[0]
        if kind == "in":
            return Condition(column, "between", (first, last), compared.asked)
        if kind == "between":
            return Condition(column, "between", (first, known[-1][1]), compared.asked)
        day = last if kind in (">", "<=") else first
        return Condition(column, kind, (day,), compared.asked)  # type: ignore[arg-type]

    # -- cells -----------------------------------------------------------------------------

    def values(self, free: Sequence[int]) -> None:
        """Rows that the question names by the whole of a cell."""
        for named in self.words.values(free):
            column = self._column_of(named)
            self._add_cells(column, named)

    def parts(self, free: Sequence[int]) -> None:
        """Rows whose cell holds words of the question; several words must stand in one cell."""
        held: dict[int, list[Named]] = {}
        for named in self.words.parts(free):
            taken = [c for c in named.cells if any(f.column == c for f in self.found)]
            if taken:
                continue  # that column is told by the whole of a cell already
            held.setdefault(self._column_of(named), []).append(named)
        for column, several in held.items():
            common = set.intersection(*(set(n.cells[column]) for n in several))
            if not common:
                words = ", ".join(repr(self.words.tokens[n.tokens[0]].text) for n in several)
                raise NotUnderstood(f"no cell holds {words} together")
            tokens = tuple(i for n in several for i in n.tokens)
            cells = tuple(c for c in several[0].cells[column] if c in common)
            self._add_cells(column, Named({column: cells}, tokens, False))

    def _column_of(self, named: Named) -> int:
        """The column a word stands in; of several, the one named beside it, or else the first."""
        columns = list(named.cells)
        if len(columns) == 1:
            return columns[0]
        beside = {
            self.words.tokens[i].key
            for i in (named.tokens[0] - 1, named.tokens[-1] + 1)
            if 0 <= i < len(self.words.tokens)
        }
        close = [c for c in columns if beside & set(self.words.keys(self.grid.columns[c].name))]
        if len(close) == 1:
            return close[0]
        said = " ".join(self.words.tokens[i].text for i in named.tokens)
        names = ", ".join(repr(self.grid.columns[c].name) for c in columns)
        raise NotUnderstood(f"{said!r} stands in several columns: {names}")

    def _add_cells(self, column: int, named: Named) -> None:
        self.words.use(named.tokens, "value")
        cells = named.cells[column]
        if not named.whole and all(
            self.grid.rows[r][column].text in cells for r in self.grid.usable
        ):
            return  # it says what every row is
        said = " ".join(self.words.tokens[i].text for i in named.tokens)
        for n, held in enumerate(self.found):
            if held.column == column and held.comparison == "in":
                values = tuple(dict.fromkeys((*held.values, *named.cells[column])))
                self.found[n] = replace(held, values=values, asked=f"{held.asked}, {said}")
                self._places[n] += named.tokens
                return
        condition = Condition(column, "in", named.cells[column], said, named.whole)
        self._add(condition, named.tokens)

    def _add(self, condition: Condition, tokens: tuple[int, ...]) -> None:
        self.found.append(condition)
        self._places.append(tokens)

    # -- negation --------------------------------------------------------------------------

    def negate(self) -> None:
        """Turn the conditions behind "not" and "except"; refuse what is not clear."""
        for match in NEGATION.finditer(self.words.question):
            tokens = self.words.inside(*match.span())
            if any(self.words.tokens[i].use in ("column", "value", "comparison") for i in tokens):
                continue
            near = [
                n
                for n, places in enumerate(self._places)
                if 0 < min(places) - tokens[-1] <= 4 and self.found[n].comparison == "in"
            ]
            if len(near) != 1:
                raise NotUnderstood(f"it is not clear what {match.group()!r} leaves out")
            self.found[near[0]] = replace(self.found[near[0]], comparison="not in")
            self.words.use(tokens, "negation")
        self._refuse_alternatives()

    def _refuse_alternatives(self) -> None:
        """ "in Paris or over 50" cannot be one list of conditions that all hold."""
        for match in ALTERNATIVE.finditer(self.words.question):
            at = self.words.inside(*match.span())[0]
            if self.words.tokens[at].use:
                continue
            before = [n for n, p in enumerate(self._places) if max(p) < at and at - max(p) <= 4]
            after = [n for n, p in enumerate(self._places) if min(p) > at and min(p) - at <= 4]
            spread = [n for n, p in enumerate(self._places) if min(p) < at < max(p)]
            if before and after and not spread:
                raise NotUnderstood("its conditions are alternatives")


def _group(match: re.Match[str], name: str) -> str | None:
    return match.group(name) if name in match.re.groupindex else None


def _period(text: str) -> tuple[date, date] | None:
    """The first and last day that a text names: a day, a month or a year."""
    text = text.strip().rstrip(".")
    if _YEAR.fullmatch(text):
        return date(int(text), 1, 1), date(int(text), 12, 31)
    month = re.fullmatch(r"(\d{4})-(\d\d)", text)
    words = text.split()
    if month and 1 <= int(month[2]) <= 12:
        year, number = int(month[1]), int(month[2])
    elif len(words) == 2 and words[0].casefold() in MONTHS and _YEAR.fullmatch(words[1]):
        year, number = int(words[1]), MONTHS[words[0].casefold()]
    else:
        day = read_date(text, Notation(day_first=True))
        return (day, day) if day else None
    following = date(year + number // 12, number % 12 + 1, 1)
    return date(year, number, 1), date.fromordinal(following.toordinal() - 1)
