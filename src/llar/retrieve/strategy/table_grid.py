"""A table of a document as typed columns and rows, each cell with its place in the text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from ...documents.markdown_table import is_delimiter
from ...records import Block, Document
from .table_values import Notation, is_empty, notation, read_date, read_number

ColumnKind = Literal["number", "date", "text"]
Value = Decimal | date | str | None

MOST_HEADER_ROWS = 4
MOST_TURNED = 60  # rows that can be read as columns; longer tables are lists of things
ROUNDED = Decimal("0.01")  # a total may differ from the sum of rounded parts by this share
LEAST_TYPED = 0.6  # share of a column's filled cells that must be numbers for it to be of numbers
AGGREGATES = frozenset(
    ("total", "totals", "subtotal", "sum", "average", "mean", "median", "grand total", "all",
     "overall", "totales", "suma", "promedio", "media", "subtotales", "mitjana", "total general",
     "összesen", "mindösszesen", "összeg", "átlag", "in total", "total sum", "en total")
)  # fmt: skip

_ADDED_UP = AGGREGATES - {"all", "overall", "median", "összeg"}
_WORD = re.compile(r"\w+")
_BAR = re.compile(r"(?<!\\)\|")
_YEAR = re.compile(r"(?:1[89]|20)\d\d(?:[/-]\d{2,4})?[*†]*")
_BRACKETED = re.compile(r"[(\[]([^()\[\]]{1,24})[)\]]\s*\*{0,2}$")
_CURRENCY = re.compile(r"US\$|A\$|C\$|[$€£¥₹₽₩]|EUR|USD|GBP|HUF|CHF|JPY|Ft")
_LONGEST_NAME = 40
_SHORT_GAP = 60  # characters between two parts of one table: a page's number, a running title


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text without white space, where that stands, and the line it is on."""

    text: str
    start: int
    end: int
    line: int  # number in `Grid.lines`


@dataclass(frozen=True, slots=True)
class Column:
    """One column: values are None where a cell is empty or cannot be read as `kind`.

    `units` are those written in its cells; `before` where they stand before the numbers.
    `unread` are the rows whose cell holds something else than `kind`.
    """

    name: str
    kind: ColumnKind
    values: tuple[Value, ...]
    notation: Notation
    units: tuple[str, ...] = ()
    before: bool = False
    unread: tuple[int, ...] = ()
    named: bool = True  # False where the document gives it no name

    def units_of(self, rows: Sequence[int]) -> list[str]:
        """The distinct units of these rows, "" for none; more than one cannot be compared.

        A currency written in the first row only holds for the others.
        """
        if not self.units:
            return []
        found = sorted({self.units[r] for r in rows if self.values[r] is not None})
        named = [unit for unit in found if unit]
        return named if len(named) == 1 and _CURRENCY.fullmatch(named[0]) else found


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the names of its columns, its rows of cells, and the lines they stand on.

    `turned`: what the document has as rows are the columns here, and the other way round.
    `aggregates` are the numbers of rows such as "Total", which say nothing new.
    """

    start: int
    end: int
    caption: str
    header: str  # header and delimiter row, as they stand there
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    lines: tuple[tuple[int, int], ...]  # spans of the document's text
    aggregates: tuple[int, ...] = ()
    sections: tuple[str, ...] = ()  # headings inside the table
    notes: tuple[str, ...] = ()
    turned: bool = False

    @property
    def usable(self) -> list[int]:
        """The rows that are counted and computed with."""
        return [r for r in range(len(self.rows)) if r not in self.aggregates]

    def label(self, row: int, column: int) -> str:
        """What a row is called."""
        return self.rows[row][column].text or next((c.text for c in self.rows[row] if c.text), "")


@dataclass(slots=True)
class _Lines:
    """The header rows and the data rows of one block, as cells."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    headers: list[list[Cell]] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)
    top: tuple[int, int] = (0, 0)  # span of header and delimiter row


def tables(document: Document) -> Iterator[tuple[Block, ...]]:
    """The tables of a document: mostly a block each, several where one goes on over pages."""
    held: list[Block] = []
    for block in document.blocks:
        if block.kind != "table":
            continue
        if held and not _continues(document, held[-1], block):
            yield tuple(held)
            held = []
        held.append(block)
    if held:
        yield tuple(held)


def _continues(document: Document, before: Block, block: Block) -> bool:
    """Is a table the one before, going on with its header repeated on a new page?"""
    text = document.text
    first, second = (text[b.start : b.end].split("\n", 1)[0] for b in (before, block))
    between = text[before.end : block.start].strip()
    turned = any(before.end <= p.start <= block.start for p in document.pages[1:])
    filled = any(map(str.isalnum, first))
    same = first == second and filled and (before.caption == block.caption or not block.caption)
    return same and turned and len(between) <= _SHORT_GAP and "#" not in between


def read(document: Document, blocks: Sequence[Block], *, turned: bool = False) -> Grid | None:
    """The table of these blocks; None for one without a header or a row.

    With `turned` rows become columns, which only a short table with one header row can.
    """
    lines = sum(document.text.count("\n", b.start, b.end) for b in blocks)
    if turned and lines > MOST_TURNED + MOST_HEADER_ROWS:
        return None
    parts = _Lines()
    for block in blocks:
        _read_lines(document.text, block, parts, first=block is blocks[0])
    if not parts.headers or not parts.rows:
        return None
    _take_headers(parts)
    header = _names(parts.headers)
    if turned:
        if len(parts.headers) > 1 or len(header) < 2 or len(parts.rows) > MOST_TURNED:
            return None
        header, parts.rows = _turned(parts)
    rows = [row for row in parts.rows if any(cell.text for cell in row)]
    sparse = any(_is_sparse(row) for row in rows)
    sections = [row for row in rows if _is_section(row, sparse=sparse)]
    rows = [row for row in rows if not _is_section(row, sparse=sparse)]
    if not rows:
        return None
    columns = _columns(header, rows, document)
    bare = {i for i, name in enumerate(header) if name == f"column {i + 1}"}
    columns = [replace(c, named=i not in bare) for i, c in enumerate(columns)]
    notes = [
        f"column {c.name!r} is read with {c.notation.decimal!r} as the decimal mark, going by "
        f"{c.notation.assumed}"
        for c in columns
        if c.notation.assumed and c.kind == "number"
    ]
    return Grid(
        start=blocks[0].start,
        end=blocks[-1].end,
        caption=blocks[0].caption or "",
        header=document.text[slice(*parts.top)],
        columns=tuple(columns),
        rows=tuple(tuple(row) for row in rows),
        lines=tuple(parts.spans),
        aggregates=tuple(_aggregates(rows, columns)),
        sections=tuple(row[0].text for row in sections),
        notes=tuple(notes),
        turned=turned,
    )


def _read_lines(text: str, block: Block, parts: _Lines, *, first: bool) -> None:
    at = block.start
    headed = False
    for line in text[block.start : block.end].split("\n"):
        start, at = at, at + len(line) + 1
        if not line.strip():
            continue
        if is_delimiter(line):
            if not headed and parts.rows and not parts.headers:
                parts.headers.append(parts.rows.pop())
                parts.top = (parts.top[0], start + len(line))
            elif not headed and not first and parts.rows:
                parts.rows.pop()  # the header again
                parts.spans.pop()
            headed = True
            continue
        if not parts.spans:
            parts.top = (start, start + len(line))
        number = len(parts.spans)
        lead = len(line) - len(line.lstrip())
        parts.spans.append((start + lead, start + len(line.rstrip())))
        parts.rows.append(_cells(text, start, start + len(line), number))


def _cells(text: str, start: int, end: int, line: int) -> list[Cell]:
    """The cells of a line, each without the white space around it."""
    edges = [m.start() for m in _BAR.finditer(text, start, end)]
    inner = text[start:end]
    if not edges or text[start : edges[0]].strip():
        edges.insert(0, start - 1)
    if not inner.rstrip().endswith("|"):
        edges.append(end)
    cells = []
    for a, b in pairwise(edges):
        piece = text[a + 1 : b]
        first = a + 1 + len(piece) - len(piece.lstrip())
        held = piece.strip()
        cells.append(Cell(held.replace("\\|", "|"), first, first + len(held), line))
    return cells


def _take_headers(parts: _Lines) -> None:
    """Take rows that go on naming the columns out of the data: ragged rows are filled up before."""
    width = max(len(row) for row in [*parts.headers, *parts.rows])
    for row in [*parts.headers, *parts.rows]:
        end, line = (row[-1].end, row[-1].line) if row else (0, 0)
        row.extend([Cell("", end, end, line)] * (width - len(row)))
    while len(parts.rows) > 1 and len(parts.headers) < MOST_HEADER_ROWS:
        if not _names_columns(parts.rows[0], parts):
            break
        parts.headers.append(parts.rows.pop(0))


def _names_columns(row: Sequence[Cell], parts: _Lines) -> bool:
    """Is the first data row a further header row? Its cells are words or years, above numbers."""
    first = parts.headers[0][0].text
    if not any(c.text for c in row[1:]):
        return False
    for cell in row:
        if read_number(cell.text) is not None and not _YEAR.fullmatch(cell.text):
            return False
    if _parts_spans([c.text for c in parts.headers[-1]], [c.text for c in row]):
        return True
    if row[0].text:
        return row[0].text == first
    below = parts.rows[1:]
    above_numbers = 0
    for i, cell in enumerate(row):
        column = [r[i].text for r in below if not is_empty(r[i].text)]
        numeric = sum(read_number(t) is not None for t in column)
        above_numbers += bool(cell.text and column and numeric >= LEAST_TYPED * len(column))
    return above_numbers > 0


def _parts_spans(above: Sequence[str], row: Sequence[str]) -> bool:
    """Does a row give a name of its own to every column of those that share one above it?"""
    shared = [i for i in range(1, len(above)) if above[i] and above[i] == above[i - 1]]
    distinct = all(row[i] and row[i - 1] and row[i] != row[i - 1] for i in shared)
    plain = all(len(text) <= _LONGEST_NAME for text in row)
    return len(shared) >= len(above) / 2 and distinct and plain


def _names(headers: Sequence[Sequence[Cell]]) -> list[str]:
    """The columns' names: the header rows' cells from top to bottom, made distinct."""
    names = []
    for cells in zip(*headers, strict=True):
        parts = dict.fromkeys(c.text for c in cells if c.text)
        names.append(" ".join(parts))
    return _distinct([name or f"column {i}" for i, name in enumerate(names, 1)])


def _distinct(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    taken = set(names)
    found = []
    for name in names:
        seen[name.casefold()] += 1
        new, n = name, seen[name.casefold()]
        while n > 1 and (new := f"{name} ({n})") in taken:
            n += 1
        taken.add(new)
        found.append(new)
    return found


def _turned(parts: _Lines) -> tuple[list[str], list[list[Cell]]]:
    """Names and rows of the table with rows as columns."""
    rows = [row for row in parts.rows if any(c.text for c in row[1:])]
    top = parts.headers[0]
    names = [top[0].text or "column 1"]
    names += [row[0].text or f"column {i}" for i, row in enumerate(rows, 2)]
    turned = [[top[i], *(row[i] for row in rows)] for i in range(1, len(top))]
    return _distinct(names), turned


def _is_sparse(row: Sequence[Cell]) -> bool:
    """Does a row with some values leave half of its cells empty?"""
    filled = sum(bool(c.text) for c in row[1:])
    return len(row) > 2 and 0 < filled <= len(row[1:]) / 2


def _is_section(row: Sequence[Cell], *, sparse: bool) -> bool:
    """A row that is one heading over those below it, alone or repeated in every column.

    In a table with many empty cells, a row of a name alone is one that nothing is known of.
    """
    texts = [c.text for c in row]
    alone = len(texts) > 2 and bool(texts[0]) and not any(texts[1:]) and not sparse
    repeated = len(texts) > 2 and len(set(texts)) == 1 and read_number(texts[0]) is None
    return alone or (repeated and bool(texts[0]) and not is_empty(texts[0]))


def _aggregates(rows: Sequence[Sequence[Cell]], columns: Sequence[Column]) -> Iterator[int]:
    """The rows that add up the others: called so, or their numbers are the sums or means."""
    last = len(rows) - 1
    for number, row in enumerate(rows):
        label = next((c.text for c in row if c.text), "").casefold().strip(" .:*")
        if label in AGGREGATES:
            yield number
            continue
        called = not _ADDED_UP.isdisjoint(_WORD.findall(label))
        if called or number == last:
            fits = [
                _adds_up(number, c.values)
                for c in columns
                if c.kind == "number" and c.values[number] is not None
            ]
            if any(fits) if called else len(fits) > 1 and all(fits):
                yield number


def _adds_up(number: int, values: Sequence[Value]) -> bool:
    """Is one of the values the sum or the mean of the others, but for rounding?"""
    others = [v for i, v in enumerate(values) if isinstance(v, Decimal) and i != number]
    value = values[number]
    if not isinstance(value, Decimal) or len(others) < 2 or not any(others):
        return False
    total = sum(others, Decimal(0))
    off = min(abs(value - total), abs(value - total / len(others)) * len(others))
    return off <= abs(total) * ROUNDED


def _columns(
    names: Sequence[str], rows: Sequence[Sequence[Cell]], document: Document
) -> list[Column]:
    table = [cell.text for row in rows for cell in row[1:]]
    return [
        _column(name, [row[i].text for row in rows], table, document)
        for i, name in enumerate(names)
    ]


def _column(name: str, texts: Sequence[str], table: Sequence[str], document: Document) -> Column:
    written = notation(texts, table, document.format, document.language)
    filled = [i for i, text in enumerate(texts) if not is_empty(text)]
    days = {i: day for i in filled if (day := read_date(texts[i], written))}
    numbers = {i: n for i in filled if (n := read_number(texts[i], written.decimal))}
    if filled and len(days) >= LEAST_TYPED * len(filled):
        values = tuple(days.get(i) for i in range(len(texts)))
        unread = tuple(i for i in filled if i not in days)
        return Column(name, "date", values, written, unread=unread)
    if filled and len(numbers) >= LEAST_TYPED * len(filled):
        every = range(len(texts))
        return Column(
            name,
            "number",
            tuple(numbers[i].value if i in numbers else None for i in every),
            written,
            tuple(numbers[i].unit if i in numbers else "" for i in every),
            any(n.before for n in numbers.values()),
            tuple(i for i in filled if i not in numbers),
        )
    return Column(name, "text", tuple(text or None for text in texts), written)


def unit_of(name: str) -> tuple[str, str]:
    """A column's name without the unit in brackets behind it, and that unit ("" for none)."""
    found = _BRACKETED.search(name)
    return (name[: found.start()].strip(), found[1].strip()) if found else (name, "")
