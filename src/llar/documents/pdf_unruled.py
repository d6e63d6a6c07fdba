"""Finds tables that are set in columns without rules."""

from __future__ import annotations

from collections.abc import Sequence

from .captions import is_caption
from .pdf_build import build
from .pdf_grid import Table, gutters, is_value, segments
from .pdf_judge import is_page_columns
from .pdf_page import Rule, Word, bands, free_height, line_text
from .pdf_rows import strips

_APART = 0.9  # ems between two cells of one line, at least

Line = list[Word]


def find_unruled(page: int, lines: Sequence[Line], horizontal: Sequence[Rule]) -> list[Table]:
    """The tables among these lines (one column of a page, top to bottom)."""
    tables: list[Table] = []
    reached = 0
    for start, end in runs(lines):
        for first, last in _blocks(lines, start, end):
            found = _best(page, lines, max(first, reached), last, horizontal)
            if found is not None:
                tables.append(found[0])
                reached = found[1] + 1
    return tables


def runs(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """Stretches of lines that mostly fall into several pieces, as (first, last) indexes."""
    several: list[bool] = []
    for band in bands(lines):
        pieces = sum(len(segments(line, _APART)) for line in band)
        several.extend([pieces > 1] * len(band))
    found: list[tuple[int, int]] = []
    start: int | None = None
    last = 0
    for i, line in enumerate(lines):
        if start is not None:
            indented = line[0].x0 > min(w[0].x0 for w in lines[start:i]) + 3 * line[0].size
            if i - last > (7 if indented else 3) or free_height(lines[i - 1], line) > 2.6:
                found.append((start, last))
                start = None
        if several[i]:
            start = i if start is None else start
            last = i
    if start is not None:
        found.append((start, last))
    return [(a, b) for a, b in found if b > a]


def _blocks(lines: Sequence[Line], first: int, last: int) -> list[tuple[int, int]]:
    """Cut a run at captions, and leave out prose at its ends that the rows of values betray."""
    cuts = gutters([line for line in lines[first : last + 1] if _holds_values(line)])
    blocks: list[list[int]] = [[]]
    for i in range(first, last + 1):
        if is_caption(line_text(lines[i])):
            blocks.append([])
        else:
            blocks[-1].append(i)
    kept: list[tuple[int, int]] = []
    for block in blocks:
        while block and cuts and _is_foreign(lines[block[0]], cuts):
            block.pop(0)
        while block and cuts and _is_foreign(lines[block[-1]], cuts):
            block.pop()
        if len(block) > 1:
            kept.append((block[0], block[-1]))
    return kept


def _holds_values(line: Line) -> bool:
    """Whether at least two pieces behind the first are values."""
    return sum(is_value(line_text(p)) for p in segments(line, 0.45)[1:]) > 1


def _is_foreign(line: Line, cuts: Sequence[float]) -> bool:
    """Whether a line of many words pays no heed to the columns."""
    return any(
        len(p) > 3 and p[0].x0 < x < p[-1].x1 and sum(len(w.text) for w in p) > 20
        for p in segments(line, 0.45)
        for x in cuts
    )


def _best(
    page: int, lines: Sequence[Line], first: int, last: int, horizontal: Sequence[Rule]
) -> tuple[Table, int] | None:
    """The table in these lines and its last line; end lines that fit no column are left out."""
    cuts = gutters(lines[first : last + 1])
    if cuts and is_page_columns(strips(lines[first : last + 1], [-1e9, *cuts, 1e9])):
        return None
    for _ in range(4):
        if last <= first:
            return None
        table = build(page, lines[first : last + 1], horizontal, trusted=False)
        if table is not None:
            break
        # A line of prose with one wide gap at either end spoils the gutters: try without it.
        if _wideness(lines[first]) >= _wideness(lines[last]):
            first += 1
        else:
            last -= 1
    else:
        return None
    up = _extend_up(lines, first, table)
    wider = (up, _extend_down(lines, up, last, table))
    if wider != (first, last):
        again = build(page, lines[wider[0] : wider[1] + 1], horizontal, trusted=False)
        if again is not None and again.columns == table.columns:
            return again, wider[1]
    return table, last


def _wideness(line: Line) -> float:
    return max(p[-1].x1 - p[0].x0 for p in segments(line, _APART))


def _extend_down(lines: Sequence[Line], first: int, last: int, table: Table) -> int:
    """Further lines that only hold the rest of cells and leave the columns as they are."""
    while last + 1 < len(lines):
        line = lines[last + 1]
        if free_height(lines[last], line) > 0.45 or is_caption(line_text(line)):
            break
        cuts = gutters(lines[first : last + 2])
        if len(cuts) != table.columns - 1 or line[-1].x1 > table.edges[-1] + 2 * line[0].size:
            break
        if line[-1].x0 < cuts[0] and not (line[0].text[0].islower() or line[0].text[0] == "("):
            break
        last += 1
    return last


def _extend_up(lines: Sequence[Line], first: int, table: Table) -> int:
    """Lines above that stand over the columns and not over the row labels: headers."""
    while first > 0:
        line = lines[first - 1]
        if free_height(line, lines[first]) > 0.8 or line[0].x0 < table.edges[1]:
            break
        if line[-1].x1 > table.edges[-1] + 2 * line[0].size or is_caption(line_text(line)):
            break
        first -= 1
    return first
