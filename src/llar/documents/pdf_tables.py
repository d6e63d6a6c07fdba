"""Find the tables of a page: drawn with rules, and set in columns without any."""

from __future__ import annotations

from collections.abc import Sequence

from .pdf_build import build, build_rest
from .pdf_grid import Table, split_columns, to_table
from .pdf_page import Sheet, Word, in_lines, run_lines
from .pdf_rows import split_rows
from .pdf_rules import Lattice, lattice_areas, lattices, stacked
from .pdf_unruled import find_unruled, runs


def may_hold_tables(sheet: Sheet) -> bool:
    """A cheap test before the costly search: a lattice, a stack of rules, or lines in pieces."""
    across, down = len(sheet.horizontal), len(sheet.vertical)
    return (across > 1 and down > 0) or across > 3 or bool(runs(run_lines(sheet.runs)))


def ruled_tables(sheet: Sheet) -> list[Table]:
    """Tables framed or divided by rules."""
    tables: list[Table] = []
    taken: set[int] = set()
    if not sheet.horizontal:
        return tables
    lines = in_lines(sheet.words)
    for lattice in stacked(lattices(sheet.horizontal, sheet.vertical), lines):
        left, top, right, bottom = lattice.box
        words = [
            w
            for w in sheet.words
            if id(w) not in taken
            and left - 2 <= w.middle_x <= right + 2
            and top - 2 <= w.middle <= bottom + 2
        ]
        table = ruled_table(sheet.number, lattice, words)
        if table is not None:
            taken |= table.held
            tables.append(table)
    return tables


def ruled_table(page: int, lattice: Lattice, words: Sequence[Word]) -> Table | None:
    """The table in one lattice; None where its rules frame something else."""
    if len(words) < 2:
        return None
    left, top, right, bottom = lattice.box
    if not any(left + 4 < r.at < right - 4 for r in lattice.vertical):
        inner = any(top + 4 < r.at < bottom - 4 for r in lattice.horizontal)
        trusted = inner or not lattice.vertical
        return build(page, in_lines(words), lattice.horizontal, trusted=trusted)
    areas = lattice_areas(lattice, words)
    areas = split_columns(areas, ruled=len(lattice.vertical) > 1)
    areas = split_rows(areas)
    table = to_table(page, areas)
    return table if table is not None and _has_rows(table) else None


def _has_rows(table: Table) -> bool:
    """Whether several rows hold several cells; the frame of a chart or a box does not."""
    begun = [0] * table.rows
    for cell in table.cells:
        for row in range(cell.row, cell.row + cell.row_span):
            begun[row] += 1
    full = sum(n > 1 for n in begun)
    return table.columns > 1 and full >= max(2, 0.4 * table.rows)


def unruled_tables(sheet: Sheet, lines: Sequence[list[Word]]) -> list[Table]:
    """Tables without rules among lines of one page column."""
    return find_unruled(sheet.number, lines, sheet.horizontal)


def rest_of_table(sheet: Sheet, lines: Sequence[list[Word]], above: Table) -> Table | None:
    """Rows at the top of a page that go on with the table at the end of the page before.

    Up to two lines of a running header may stand over them.
    """
    for skipped in range(min(3, len(lines))):
        if skipped and lines[skipped - 1][0].y1 > 0.12 * sheet.height:
            break
        table = build_rest(sheet.number, lines[skipped:], sheet.horizontal, above)
        if table is not None:
            return table
    return None
