"""A question to a plan: which computation over a table it asks for, if any, by rules.

Understood are superlatives, counts, sums, averages, differences, lists and look-ups with
conditions, in English, Spanish, Catalan and Hungarian.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from ...text.language import detect_query
from .table_conditions import Conditions, NotUnderstood
from .table_grid import Grid
from .table_plan import NoPlan, Plan
from .table_tokens import SPOKEN, Mention, Words
from .table_words import (
    AMOUNT,
    COMPARATIVES,
    CONCEPTS,
    GROUPED,
    GROUPING,
    IMPLIED,
    NUMBER_WORDS,
    OPERATIONS,
    ORDINALS,
    WHICH,
    Operation,
)

_NUMBERS: tuple[Operation, ...] = ("sum", "mean", "median", "compare")
_COMPUTING = ("operation", "place", "comparison")
_AGGREGATES: tuple[Operation, ...] = ("sum", "mean", "median", "count")


def plan(question: str, grid: Grid, language: str | None, around: str) -> Plan | NoPlan:
    """The computation over `grid` that a question asks for, or why there is none.

    `around` is the text that says what the table is about: caption, headings, title. `language`
    is the document's.
    """
    words = Words(question, grid, language or detect_query(question, SPOKEN))
    try:
        found = _Reading(words, grid, around).plan()
    except NotUnderstood as e:
        return NoPlan(str(e), words.explained())
    named = 1.0 if found.conditions else 0.5
    if found.column is not None:
        named = words.named(found.column)
    return replace(found, explained=words.explained(), named=named)


class _Reading:
    """One question on its way to a plan."""

    def __init__(self, words: Words, grid: Grid, around: str) -> None:
        self.words = words
        self.grid = grid
        self.around = frozenset(words.keys(around))
        self.conditions = Conditions(words, grid)
        self.assumed: list[str] = []
        self.operations: dict[Operation, tuple[int, ...]] = {}
        self.mentions: list[Mention] = []

    def plan(self) -> Plan:
        self.conditions.comparisons()
        self._find_operations()
        self.conditions.values(self._free())
        self._find_comparatives()
        self.mentions = self._columns()
        self.conditions.attach(self.mentions)
        self.conditions.parts(self._free())
        self.conditions.negate()
        self._use_context()
        operation = self._operation()
        if operation in ("max", "min"):
            found = self._superlative(operation)
        elif operation == "count":
            found = self._count()
        elif operation in _NUMBERS:
            found = self._aggregate(operation)
        else:
            found = self._rows()
        self._check_parts(found)
        self._check_explained(found)
        return replace(
            found,
            conditions=tuple(self.conditions.found),
            label=self._label(),
            assumed=tuple(self.assumed),
        )

    # -- what the words are ----------------------------------------------------------------

    def _free(self) -> list[int]:
        return [i for i, t in enumerate(self.words.tokens) if not t.use]

    def _find_operations(self) -> None:
        """Words for computing, but for those that are a column's whole name."""
        for operation, pattern in OPERATIONS:
            for match in pattern.finditer(self.words.question):
                tokens = [
                    i for i in self.words.inside(*match.span()) if not self.words.tokens[i].use
                ]
                if tokens and not self._names_a_column(tokens):
                    self.operations.setdefault(operation, tuple(tokens))
                    self.words.use(tokens, f"operation {operation}")

    def _find_comparatives(self) -> None:
        """ "More expensive" asks for the most expensive of those named, where they are two."""
        several = any(c.comparison == "in" and len(c.values) > 1 for c in self.conditions.found)
        if not several or "compare" in self.operations:
            return
        for operation, pattern in COMPARATIVES:
            for match in pattern.finditer(self.words.question):
                tokens = [
                    i for i in self.words.inside(*match.span()) if not self.words.tokens[i].use
                ]
                if tokens and not self._names_a_column(tokens):
                    self.operations.setdefault(operation, tuple(tokens))
                    self.words.use(tokens, f"operation {operation}")

    def _names_a_column(self, tokens: Sequence[int]) -> bool:
        """Are these words part of a column's name that was said in full?"""
        said = {t.key for t in self.words.tokens}
        keys = {self.words.tokens[i].key for i in tokens}
        for column in self.grid.columns:
            name = self.words.keys(column.name.partition("(")[0])
            if len(name) <= len(said) and keys <= set(name) and set(name) <= said:
                return True
        return False

    def _columns(self) -> list[Mention]:
        """The columns named, with words such as "total" where the rest of a name stands by."""
        taken = [i for tokens in self.operations.values() for i in tokens]
        mentions = self.words.mentions(self._free())
        kept = []
        for m in mentions:
            self.words.use(m.tokens, "column")
            near = tuple(
                i
                for i in taken
                if min(abs(i - j) for j in m.tokens) <= 3
                and any(
                    self.words.tokens[i].key in self.words.keys(self._name(c)) for c in m.columns
                )
            )
            columns = m.columns
            if near and len(columns) > 1:  # the word for computing tells between two columns
                held = {self.words.tokens[i].key for i in near}
                most = max(len(held & set(self.words.keys(self._name(c)))) for c in columns)
                columns = tuple(
                    c for c in columns if len(held & set(self.words.keys(self._name(c)))) == most
                )
            kept.append(Mention(columns, m.tokens))
        return kept

    def _use_context(self) -> None:
        for i in self.words.unexplained():
            if self.words.tokens[i].key in self.around:
                self.words.use([i], "context")

    def _name(self, column: int) -> str:
        return self.grid.columns[column].name

    def _operation(self) -> Operation:
        found = list(self.operations)
        if "max" in found and "min" in found:
            first: Operation = "max" if self.operations["max"] < self.operations["min"] else "min"
            if self._ordered_by(first):
                return first
            raise NotUnderstood("it asks for the highest and the lowest at once")
        for operation, _ in OPERATIONS:
            if operation in found:
                both = operation == "sum" and "count" in found
                return "count" if both else operation
        return "list"

    def _ordered_by(self, first: Operation) -> bool:
        """Is the other superlative only an adverb, as in "the oldest first"?"""
        other: Operation = "min" if first == "max" else "max"
        return self.operations[other][0] - self.operations[first][-1] == 1

    # -- the computations ------------------------------------------------------------------

    def _superlative(self, operation: Operation) -> Plan:
        inner = next((o for o in _AGGREGATES if o in self.operations), None)
        which = self._which()
        skip, take = self._places()
        if inner and which is not None and self._repeats(which):
            column = None if inner == "count" else self._measure(which, ("number",))
            return Plan(operation, column, group=which, inner=inner, skip=skip, take=take)
        if inner in ("mean", "median"):
            raise NotUnderstood(f"it is not clear what the {inner} is taken over")
        column = self._measure(which, ("number", "date"), self.operations[operation])
        return Plan(operation, column, skip=skip, take=take)

    def _places(self) -> tuple[int, int]:
        """How many rows of the order are asked for, and from which place on."""
        skip = take = 0
        orders: tuple[Operation, ...] = ("max", "min")
        superlatives = [j for o in orders for j in self.operations.get(o, ())]
        for i in self._free():
            word = self.words.tokens[i].text.casefold()
            if all(abs(i - j) > 3 for j in superlatives):
                continue
            if word in ORDINALS:
                skip = ORDINALS[word] - 1
            elif word in NUMBER_WORDS and word not in ("un", "una", "uno", "one", "egy", "set"):
                take = NUMBER_WORDS[word]
            elif word.isdigit() and 0 < int(word) <= 100:
                take = int(word)
            else:
                continue
            self.words.use([i], "place")
        return skip, take

    def _count(self) -> Plan:
        """How many rows; or, where what is counted is a column of numbers, their sum."""
        at = self.operations["count"][-1]
        counted = next((m for m in self.mentions if 0 < m.tokens[0] - at <= 2), None)
        group = self._grouping()
        if counted is not None:
            numeric = [c for c in counted.columns if self._is_measure(c)]
            amounts = [c for c in numeric if AMOUNT.search(self._name(c))]
            numeric = amounts if len(numeric) > 1 and len(amounts) == 1 else numeric
            if len(numeric) > 1:
                raise self._ambiguous(numeric)
            if numeric:
                return Plan("sum", numeric[0], group=group)
        elif not self.conditions.found:
            behind = [i for i in self.words.unexplained() if 0 < i - at <= 3]
            if behind:
                raise NotUnderstood(self._says_nothing(behind))
        return Plan("count", None, group=group)

    def _aggregate(self, operation: Operation) -> Plan:
        group = self._grouping()
        column = self._measure(group, ("number",), self.operations.get(operation, ()))
        return Plan(operation, column, group=group)

    def _rows(self) -> Plan:
        """A look-up of cells by row and column, or a list of the rows that meet conditions."""
        found = self.conditions.found
        group = self._grouping()
        if group is not None and any(self._is_measure(c) for m in self.mentions for c in m.columns):
            return self._aggregate("sum")
        if not found:
            raise NotUnderstood("it names no row and asks for no computation")
        used = {c.column for c in found}
        asked = [m for m in self.mentions if used.isdisjoint(m.columns)]
        columns = {c for m in asked for c in m.columns}
        by_name = any(c.comparison == "in" for c in found)
        if by_name and len(asked) == 1 and len(columns) == 1:
            return Plan("look up", columns.pop())
        return Plan("list", None)

    # -- columns ---------------------------------------------------------------------------

    def _measure(self, other: int | None, kinds: tuple[str, ...], near: Sequence[int] = ()) -> int:
        """The column to compute with. Raises NotUnderstood, naming the columns there are."""
        named = []
        for m in self.mentions:
            fits = [c for c in m.columns if c != other and self.grid.columns[c].kind in kinds]
            if fits:
                named.append((m, fits))
        spent = {c.column for c in self.conditions.found}
        fresh = [(m, fits) for m, fits in named if not spent & set(fits)] or named
        if len(fresh) > 1 and near:
            fresh.sort(key=lambda x: min(abs(i - j) for i in x[0].tokens for j in near))
            self.assumed.append(
                f"the column meant is {self._name(fresh[0][1][0])!r}, named nearest"
            )
        if fresh:
            if len(fresh[0][1]) > 1:
                raise self._ambiguous(fresh[0][1])
            return fresh[0][1][0]
        return self._unnamed_measure(other, kinds)

    def _unnamed_measure(self, other: int | None, kinds: tuple[str, ...]) -> int:
        """The column that "cheapest" or "latest" is about, or the only one with values."""
        for pattern, concepts in IMPLIED:
            said = pattern.search(self.words.question)
            if said is None:
                continue
            for concept in concepts:
                fits = [
                    i
                    for i, c in enumerate(self.grid.columns)
                    if c.kind in kinds and (
                        CONCEPTS[concept].search(c.name) or (concept == "date" and c.kind == "date")
                    )
                ]  # fmt: skip
                if len(fits) > 1:
                    raise self._ambiguous(fits)
                if fits:
                    for match in pattern.finditer(self.words.question):
                        free = [i for i in self.words.inside(*match.span())
                                if not self.words.tokens[i].use]  # fmt: skip
                        self.words.use(free, "column")
                    self.assumed.append(f"{concept} is the column {self._name(fits[0])!r}")
                    return fits[0]
            raise NotUnderstood(f"the table has no column for {said.group()!r}")
        fits = [i for i in range(len(self.grid.columns)) if self._is_measure(i) and i != other]
        if len(fits) == 1 and self.grid.columns[fits[0]].kind in kinds:
            self.assumed.append(f"{self._name(fits[0])!r} is the only column of numbers")
            return fits[0]
        if not fits:
            raise NotUnderstood("the table has no column of numbers to compute with")
        raise self._ambiguous(fits)

    def _is_measure(self, column: int) -> bool:
        """Does a column hold amounts, not years or running numbers?"""
        found = self.grid.columns[column]
        if found.kind != "number":
            return False
        values = [int(v) for v in found.values if isinstance(v, Decimal) and v == int(v)]
        if not values:
            return True
        running = column == 0 and values == list(range(values[0], values[0] + len(values)))
        called = column == 0 or bool(CONCEPTS["date"].search(found.name))
        return not running and not (called and all(1800 <= v <= 2100 for v in values))

    def _ambiguous(self, columns: Sequence[int]) -> NotUnderstood:
        names = ", ".join(repr(self._name(c)) for c in columns)
        return NotUnderstood(f"it is not clear which column is meant; there are {names}")

    def _which(self) -> int | None:
        """The column of words behind "which": what is asked for."""
        found = WHICH.search(self.words.question)
        if found is None:
            return None
        at = self.words.inside(*found.span())[-1]
        for m in self.mentions:
            named = [c for c in m.columns if not self._is_measure(c)]
            if 0 < m.tokens[0] - at <= 3 and len(named) == 1:
                return named[0]
        return None

    def _label(self) -> int:
        """The column that says what a row is."""
        which = self._which()
        if which is not None:
            return which
        for condition in self.conditions.found:
            if condition.comparison == "in" and len(condition.values) > 1:
                return condition.column
        return self._label_alone()

    def _label_alone(self) -> int:
        """The same, whatever the conditions are."""
        texts = [i for i, c in enumerate(self.grid.columns) if c.kind == "text" and any(c.values)]
        taken = {c.column for c in self.conditions.found}
        for m in self.mentions:
            if len(m.columns) == 1 and m.columns[0] in texts and m.columns[0] not in taken:
                return m.columns[0]
        first = self.grid.columns[0]
        if texts[:1] == [0] and len(texts) > 1 and not self._repeats(texts[1]):
            codes = [bool(re.fullmatch(r"\S*\d\S*", str(v))) for v in first.values if v]
            return texts[1] if all(codes) else 0
        years = first.kind == "number" and not self._is_measure(0)
        return 0 if years or not texts else texts[0]

    def _repeats(self, column: int) -> bool:
        if self.grid.columns[column].kind != "text":
            return False
        values = [self.grid.rows[r][column].text for r in self.grid.usable]
        return len(set(values)) < len(values)

    def _grouping(self) -> int | None:
        """The column that a result is asked for each value of."""
        for pattern, behind in ((GROUPING, True), (GROUPED, False)):
            for match in pattern.finditer(self.words.question):
                at = self.words.inside(*match.span())
                for m in self.mentions:
                    gap = m.tokens[0] - at[-1] if behind else at[0] - m.tokens[-1]
                    texts = [c for c in m.columns if self.grid.columns[c].kind != "date"]
                    if gap in (1, 2) and len(texts) == 1 and self._repeats(texts[0]):
                        self.words.use(at, "grouping")
                        return texts[0]
        return None

    # -- is everything understood? ---------------------------------------------------------

    def _check_parts(self, found: Plan) -> None:
        """Refuse to compute over rows told by a word in the middle of some cell.

        In the column that says what a row is, "scanner" means the scanners; elsewhere "book" may
        stand in the name of a publisher.
        """
        if found.operation in ("list", "look up"):
            return
        named = {c for m in self.mentions for c in m.columns}
        for condition in self.conditions.found:
            if not condition.whole and condition.column not in {*named, self._label_alone()}:
                name = self._name(condition.column)
                raise NotUnderstood(f"{condition.asked!r} is only part of cells of column {name!r}")

    def _check_explained(self, found: Plan) -> None:
        """Raise NotUnderstood where a word matters that the table does not know."""
        left = self.words.unexplained()
        narrowed = found.operation == "count" and bool(self.conditions.found)
        if (found.operation in ("max", "min") or narrowed) and self._rows_unnamed():
            left = [i for i in left if not self._is_row_noun(i)]
        if found.operation == "look up":
            return
        if left:
            raise NotUnderstood(self._says_nothing(left))

    def _rows_unnamed(self) -> bool:
        """Can the table not tell what its rows are? It has no name for them, or a foreign one."""
        asked = detect_query(self.words.question, SPOKEN)
        return asked != self.words.language or not self.grid.columns[self._label()].named

    def _is_row_noun(self, at: int) -> bool:
        """Is it the word behind "which" or "how many", which says what the rows are?

        Only words for computing may stand between, and no other noun behind it: in "which red
        item" the word is a condition.
        """
        starts = [
            self.words.inside(*m.span())[-1] for m in [WHICH.search(self.words.question)] if m
        ]
        starts += [self.operations["count"][-1]] if "count" in self.operations else []
        tokens = self.words.tokens
        behind = tokens[at + 1] if at + 1 < len(tokens) else None
        if behind is not None and not behind.stop and not behind.use.startswith(_COMPUTING):
            return False
        return any(
            start < at
            and all(t.stop or t.use.startswith(_COMPUTING) for t in tokens[start + 1 : at])
            for start in starts
        )

    def _says_nothing(self, tokens: Sequence[int]) -> str:
        said = ", ".join(repr(self.words.tokens[i].text) for i in tokens)
        return f"the table says nothing of {said}"
