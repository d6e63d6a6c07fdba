"""Cells scattered over a sheet, gathered into the regions that people see as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_LOW_MERGE = 20  # rows
_WIDE_GAP = 2  # empty columns that part two regions even when they are equally high


@dataclass(slots=True)
class Grid:
    """The cells that hold something: row -> column -> text, both counted from 1."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    _merges: list[tuple[int, int, int, int]] = field(default_factory=list)

    def put(self, row: int, column: int, text: str) -> None:
        """Fill one cell."""
        self.rows.setdefault(row, {})[column] = text

    def merge(self, top: int, left: int, bottom: int, right: int) -> None:
        """Remember a merged range; `finish` repeats its value through it."""
        self._merges.append((top, left, bottom, right))

    def finish(self) -> None:
        """Write merged values out where a reader sees them: in columns that are used elsewhere.

        High merges reach only rows that hold something; low ones bridge empty rows as well.
        """
        used = {column for line in self.rows.values() for column in line}
        last = max(self.rows, default=0)
        for top, left, bottom, right in self._merges:
            text = self.rows.get(top, {}).get(left)
            if text is None:
                continue
            rows = range(top, min(bottom, last) + 1)
            low = bottom - top < _LOW_MERGE
            for row in rows if low else [r for r in self.rows if r in rows]:
                line = self.rows.setdefault(row, {})
                for column in used:
                    if left <= column <= right:
                        line.setdefault(column, text)


@dataclass(frozen=True, slots=True)
class Region:
    """Lines of text, then a table, which may be empty; `caption` is the line right above it."""

    lines: tuple[str, ...]
    rows: list[list[str]]
    caption: str | None = None


def regions(grid: Grid) -> Iterator[Region]:
    """What empty rows part, from the top; and what empty columns part, from the left.

    Columns part two regions only where these differ in height or stand well apart: an empty
    column inside a table is not a border.
    """
    above: tuple[str, ...] = ()
    for band in _bands(sorted(grid.rows)):
        for columns in _column_groups(grid, band):
            region = _region(grid, band, columns)
            if not region.rows:
                if above:
                    yield Region(above, [])
                above = region.lines
                continue
            lines = above + region.lines
            caption = " ".join(region.lines or above[-1:]) or None
            yield Region(lines, region.rows, caption)
            above = ()
    if above:
        yield Region(above, [])


def _bands(numbers: Sequence[int]) -> list[list[int]]:
    """Runs of consecutive numbers."""
    bands: list[list[int]] = []
    for number in numbers:
        if not bands or number != bands[-1][-1] + 1:
            bands.append([])
        bands[-1].append(number)
    return bands


def _column_groups(grid: Grid, band: list[int]) -> list[list[int]]:
    used = sorted({column for row in band for column in grid.rows[row]})
    groups: list[list[int]] = []
    for columns in _bands(used):
        if groups and not _apart(grid, band, groups[-1], columns):
            groups[-1] = [*groups[-1], *columns]
        else:
            groups.append(columns)
    return groups


def _apart(grid: Grid, band: list[int], left: list[int], right: list[int]) -> bool:
    def extent(columns: list[int]) -> tuple[int, int]:
        rows = [r for r in band if not grid.rows[r].keys().isdisjoint(columns)]
        return rows[0], rows[-1]

    return right[0] - left[-1] > _WIDE_GAP or extent(left) != extent(right)


def _region(grid: Grid, band: list[int], columns: list[int]) -> Region:
    """Leading rows with a single text are titles; a lone column of single cells is text."""
    first, last = columns[0], columns[-1]
    rows = []
    for number in band:
        line = grid.rows[number]
        row = [line.get(column, "") for column in range(first, last + 1)]
        if any(row):
            rows.append(row)
    if last == first and len(rows) < 2:
        return Region(tuple(row[0] for row in rows), [])
    titles: list[str] = []
    while len(rows) > 2 and len(rows[0]) > 1 and len({cell for cell in rows[0] if cell}) == 1:
        if not (rows[0][0] and (len([c for c in rows[0] if c]) in (1, len(rows[0])))):
            break
        title = rows.pop(0)[0]
        if titles[-1:] != [title]:  # a title merged over several rows is one
            titles.append(title)
    return Region(tuple(titles), rows)
