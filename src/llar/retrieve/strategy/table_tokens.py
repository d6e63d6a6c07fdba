"""A question word by word, and which of its words name a column or a cell of a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...text.language import detect_query
from ...text.stopwords import stop_words
from ...text.words import fold, terms
from .table_grid import Grid, unit_of
from .table_values import read_number
from .table_words import CONCEPTS, GENERIC

SPOKEN = ("en", "es", "ca", "hu")
ALIKE = 3  # letters at which forms of one word begin alike
LONGEST_VALUE = 10  # words of a cell that a question may name whole

_TOKEN = re.compile(r"\w+(?:[.,'’·]\w+)*")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_ELIDED = re.compile(r"[ldnsm]['’](?=\w)", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*\([^()]*\)")


@dataclass(slots=True)
class Token:
    """One word of the question. `use` says what it was understood as, "" while it is not."""

    text: str
    start: int
    end: int
    key: str
    content: bool  # does it matter what it says?
    stop: bool  # a function word, which names no column by itself
    use: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """Words of the question that name a column, or several that they fit equally well."""

    columns: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """Words of the question that stand in cells: column -> the cells' texts."""

    cells: dict[int, tuple[str, ...]]
    tokens: tuple[int, ...]
    whole: bool  # the words are all of the cell


@dataclass(slots=True)
class Words:
    """The words of one question before one table."""

    question: str
    grid: Grid
    language: str | None
    tokens: list[Token] = field(default_factory=list)

    def __post_init__(self) -> None:
        spoken = {self.language, detect_query(self.question, SPOKEN)}
        stops = frozenset().union(*(stop_words(x) for x in spoken))
        for found in _TOKEN.finditer(self.question):
            start, end = found.span()
            if _ELIDED.match(found.group()):  # l'autoclave
                start += 2
            text = self.question[start:end]
            low = text.casefold()
            stop = low in stops
            content = not stop and low not in GENERIC
            self.tokens.append(Token(text, start, end, self.key(text), content, stop))

    def key(self, word: str) -> str:
        """The form in which words of the question and of the table are compared."""
        found = terms(word, self.language)
        return found[0] if found else word.casefold()

    def keys(self, text: str) -> tuple[str, ...]:
        """The same for each word of a text."""
        return tuple(self.key(m.group()) for m in _TOKEN.finditer(text))

    def inside(self, start: int, end: int) -> list[int]:
        """The numbers of the tokens between two places of the question."""
        return [i for i, t in enumerate(self.tokens) if t.start < end and t.end > start]

    def use(self, tokens: Iterable[int], what: str) -> None:
        """Note what these tokens were understood as."""
        for i in tokens:
            self.tokens[i].use = what

    def unexplained(self) -> list[int]:
        """The words that matter and were not understood."""
        return [i for i, t in enumerate(self.tokens) if t.content and not t.use]

    def explained(self) -> float:
        """The share of the words that matter that were understood."""
        content = [t for t in self.tokens if t.content or t.use in ("column", "value", "context")]
        return sum(bool(t.use) for t in content) / len(content) if content else 0.0

    # -- columns ---------------------------------------------------------------------------

    def mentions(self, free: Sequence[int]) -> list[Mention]:
        """The columns that these tokens name, each token for one mention only."""
        names = [self._name_keys(c.name) for c in self.grid.columns]
        holders: dict[int, set[int]] = {}  # token -> columns
        for i in free:
            token = self.tokens[i]
            found = {c for c, keys in enumerate(names) if token.key in keys}
            if not token.stop and not found:
                found = self._by_concept(token.text)
            if found:
                holders[i] = found
        mentions = []
        while holders:
            columns, used = self._best(holders, names)
            if not used:
                break
            mentions.append(Mention(columns, used))
            for i in used:
                del holders[i]
        return sorted(mentions, key=lambda m: m.tokens)

    def _best(
        self, holders: dict[int, set[int]], names: Sequence[dict[str, bool]]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The columns that most of the tokens speak for, and those tokens."""
        scores: dict[int, float] = defaultdict(float)
        tokens: dict[int, list[int]] = defaultdict(list)
        for i, columns in sorted(holders.items()):
            weight = 0.1 if self.tokens[i].stop and not self.tokens[i].text.isdigit() else 1.0
            for c in columns:
                scores[c] += weight / len(columns)
                tokens[c].append(i)
        scores = {c: s for c, s in scores.items() if s > 0.1}
        if not scores:
            return (), ()
        tied = sorted(_highest(scores), key=lambda c: tokens[c])
        tied = [c for c in tied if tokens[c] == tokens[tied[0]]]  # others are mentions of their own
        if len(tied) > 1:
            in_full = [c for c in tied if self._in_full(c, holders, names[c])]
            tied = in_full or _highest({c: self._in_a_row(c) for c in tied})
        return tuple(sorted(tied)), _neighbours(tuple(tokens[tied[0]]))

    def named(self, column: int) -> float:
        """The share of a column's name that the question says; 1 for one without a name."""
        if not self.grid.columns[column].named:
            return 1.0
        keys = self._name_keys(self.grid.columns[column].name)
        core = {key for key, is_core in keys.items() if is_core}
        said = {t.key for t in self.tokens if t.use}
        by_concept = {c for t in self.tokens if t.use == "column" for c in self._by_concept(t.text)}
        return 1.0 if column in by_concept and len(core) == 1 else len(core & said) / len(core)

    def _in_full(self, column: int, holders: dict[int, set[int]], name: dict[str, bool]) -> bool:
        """Was a column's name said whole, but for its unit?"""
        said = {self.tokens[i].key for i, columns in holders.items() if column in columns}
        return all(key in said for key, is_core in name.items() if is_core)

    def _in_a_row(self, column: int) -> int:
        """The most words of a column's name that stand one after the other in the question."""
        name = self.keys(self.grid.columns[column].name)
        said = [t.key for t in self.tokens]
        longest = 0
        for a in range(len(name)):
            for b in range(len(said)):
                n = 0
                while name[a + n : a + n + 1] and name[a + n : a + n + 1] == tuple(
                    said[b + n : b + n + 1]
                ):
                    n += 1
                longest = max(longest, n)
        return longest

    def _name_keys(self, name: str) -> dict[str, bool]:
        """The words of a column's name, and whether each is more than its unit or a stop word."""
        core, _ = unit_of(name)
        stops = stop_words(self.language or "en")
        keys = dict.fromkeys(self.keys(name), False)
        words = [m.group() for m in _TOKEN.finditer(core)]
        content = [w for w in words if w.casefold() not in stops] or words
        keys.update({self.key(w): True for w in content})
        return keys

    def _by_concept(self, word: str) -> set[int]:
        for pattern in CONCEPTS.values():
            if pattern.fullmatch(word):
                return {c for c, x in enumerate(self.grid.columns) if pattern.search(x.name)}
        return set()

    def full_name(self, tokens: Sequence[int]) -> bool:
        """Are these tokens the whole name of a column?"""
        said = tuple(self.tokens[i].key for i in tokens)
        return any(self.keys(unit_of(c.name)[0]) == said for c in self.grid.columns)

    # -- cells -----------------------------------------------------------------------------

    def values(self, free: Sequence[int]) -> list[Named]:
        """The cells that the question names whole, the longest first; marks their words."""
        cells = self._cells()
        found = []
        open_ = set(free)
        for length in range(min(LONGEST_VALUE, len(self.tokens)), 0, -1):
            for at in range(len(self.tokens) - length + 1):
                span = range(at, at + length)
                if not open_.issuperset(span):
                    continue
                held = cells.get(tuple(self.tokens[i].key for i in span))
                held = {c: t for c, t in (held or {}).items() if self._may_name(c, span)}
                telling = any(self.tokens[i].content for i in span)
                if held and telling and not self.full_name(span):
                    found.append(Named(held, tuple(span), True))
                    open_.difference_update(span)
        return found

    def _may_name(self, column: int, span: Sequence[int]) -> bool:
        """May these words name a row of the column? A bare number only as "day 3" or a year."""
        if self.grid.columns[column].kind == "text":
            return True
        beside = {self.tokens[i].key for i in (span[0] - 1, span[-1] + 1)
                  if 0 <= i < len(self.tokens)}  # fmt: skip
        named = bool(beside & set(self.keys(self.grid.columns[column].name)))
        return named or _YEAR.fullmatch(self.tokens[span[0]].text) is not None

    def parts(self, free: Sequence[int]) -> list[Named]:
        """The words of the question that stand in cells beside others."""
        found = []
        texts = {
            c: {text: frozenset(self.keys(text)) for text in self._near(c)}
            for c, column in enumerate(self.grid.columns)
            if column.kind == "text"
        }
        for i in free:
            token = self.tokens[i]
            if not token.content or len(token.text) < 3 or read_number(token.text):
                continue
            held = {
                c: tuple(text for text, keys in cells.items() if token.key in keys)
                for c, cells in texts.items()
            }
            held = {c: cells for c, cells in held.items() if cells}
            if held:
                found.append(Named(held, (i,), False))
        return found

    def _cells(self) -> dict[tuple[str, ...], dict[int, tuple[str, ...]]]:
        """Every cell that can be named by its words -> columns -> the texts that are so named."""
        found: dict[tuple[str, ...], dict[int, dict[str, None]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        for c, column in enumerate(self.grid.columns):
            if column.kind != "text" and c > 0 and not CONCEPTS["date"].search(column.name):
                continue
            for text in self._near(c):
                if len(text) > 200:
                    continue
                for form in {text, _BRACKETS.sub("", text)}:
                    keys = self.keys(form)
                    if 0 < len(keys) <= LONGEST_VALUE:
                        found[keys][c][text] = None
        return {k: {c: tuple(texts) for c, texts in v.items()} for k, v in found.items()}

    def _near(self, column: int) -> list[str]:
        """The texts of a column that can share a word with the question, told at a glance."""
        starts = {fold(t.text.casefold())[:ALIKE] for t in self.tokens}
        distinct = dict.fromkeys(row[column].text for row in self.grid.rows)
        return [
            text
            for text in distinct
            if any(start in folded for folded in [fold(text.casefold())] for start in starts)
        ]


def _highest(scores: Mapping[int, float]) -> list[int]:
    """The columns with the highest score."""
    most = max(scores.values())
    return [c for c, score in scores.items() if score > most - 1e-9]


def _neighbours(tokens: tuple[int, ...]) -> tuple[int, ...]:
    """The largest group of tokens with no more than three others between two of them."""
    groups: list[list[int]] = []
    for i in tokens:
        if groups and i - groups[-1][-1] <= 4:
            groups[-1].append(i)
        else:
            groups.append([i])
    groups.sort(key=len, reverse=True)
    return tuple(groups[0]) if groups else ()
