"""A table as cells on a grid, and the splitting of ruled areas into columns and rows by text.

Cells start as rectangles (from rules, or one for the whole area); columns are cut where a gutter
runs free of words through the lines, rows where the text says that a new row begins.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from .pdf_page import Box, Word, bands, in_lines, line_text

_VALUE = re.compile(
    r"[\s\d.,:;%‰()\[\]€$£¥+\-–—−*†‡/±<>=≤≥~'’]*"
    r"(?:n\.?\s?/?[ad]\.?|p|x|[a-e]|million|mn|bn)?[\s\d.,%()*†‡]*",
    re.IGNORECASE,
)
_LEADER = re.compile(r"(?:\s*[.·…_]){4,}\s*")


@dataclass(slots=True)
class Cell:
    """One cell: its place on the grid, how far it spans, and its text."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str


@dataclass(slots=True)
class Table:
    """A table on one page. `cells` are disjoint and in reading order; blank ones are left out."""

    page: int
    box: Box
    rows: int
    columns: int
    cells: list[Cell]
    edges: tuple[float, ...] = ()  # x of the column borders, for recognising a continuation
    caption: str | None = None
    continued: bool = False  # its header came from the page before
    held: frozenset[int] = frozenset()  # ids of its words, while the page is laid out

    def grid(self) -> list[list[str]]:
        """The texts row by row; a spanning cell is repeated wherever it spans."""
        grid = [[""] * self.columns for _ in range(self.rows)]
        for cell in self.cells:
            for row in range(cell.row, cell.row + cell.row_span):
                for column in range(cell.column, cell.column + cell.column_span):
                    grid[row][column] = cell.text
        return grid


@dataclass(slots=True)
class Area:
    """A rectangle that becomes one cell, with the words in it."""

    x0: float
    y0: float
    x1: float
    y1: float
    words: list[Word] = field(default_factory=list)


def is_value(text: str) -> bool:
    """Whether a text is a number, amount, percentage or one of the usual marks for "no value"."""
    return bool(text) and _VALUE.fullmatch(text) is not None


def segments(line: Sequence[Word], gap: float) -> list[list[Word]]:
    """Cut one line where neighbouring words stand further apart than `gap` ems.

    The space of a typewriter face is as wide as its letters, so there the gap must be wider.
    """
    parts: list[list[Word]] = []
    reach = 0.0
    for word in line:
        apart = word.x0 - reach
        if parts and (apart <= 0 or apart <= gap * word.size * (1.5 if word.mono else 1.0)):
            parts[-1].append(word)
        else:
            parts.append([word])
        if word.x1 > reach or len(parts[-1]) == 1:
            reach = word.x1
    return parts


Spans = list[tuple[float, float]]


def gutters(lines: Sequence[list[Word]], *, strict: bool = False) -> list[float]:
    """Where free vertical strips divide these lines into columns; x positions, left to right.

    A strip counts when enough lines have words on both sides of it. Single lines may cross it
    (a header over several columns, a title row), rows of several cells may hardly. `strict` asks
    for more lines: inside ruled columns a further one is unlikely.
    """
    filled = [line for line in lines if line]
    if not filled:
        return []
    em = median(w.size for line in filled for w in line)
    parts = [_spans(band) for band in bands(filled)]
    costs = _costs(bands(filled), parts)
    found: list[float] = []
    for left, right in _valleys(parts, costs):
        middle = (left + right) / 2
        crossed = both = 0.0
        for part, cost in zip(parts, costs, strict=True):
            if any(a < middle < b for a, b in part):
                crossed += cost
            elif part[0][1] <= middle <= part[-1][0]:
                both += 1
        needed = 0.6 if both >= 4 else 0.75 if both >= 2 else 1.6
        if strict and (both < 3 or both < 0.6 * len(parts)):
            continue
        if right - left >= needed * em and both and crossed <= 0.25 * both + 0.4:
            found.append(middle)
    return found


def _spans(band: Sequence[list[Word]]) -> Spans:
    """Left and right end of every piece of text in a band, in order."""
    return sorted((p[0].x0, max(w.x1 for w in p)) for line in band for p in segments(line, 0.45))


def _costs(found: Sequence[Sequence[list[Word]]], parts: Sequence[Spans]) -> list[float]:
    """How much it weighs that a band crosses a strip: headers and titles may, values may not."""
    data = [
        sum(is_value(line_text(p)) for line in band for p in segments(line, 0.45)) > 1
        for band in found
    ]
    if sum(data) >= 4:
        return [1.0 if d else 0.25 for d in data]
    return [0.34 if len(p) == 1 else 1.0 for p in parts]


def _valleys(parts: Sequence[Spans], costs: Sequence[float]) -> list[tuple[float, float]]:
    """Strips between the outermost words that few lines cover, thinned to one per column gap."""
    total = len(parts)
    allowed = 0.2 * total if total >= 4 else 0.4
    events = sorted(
        [(a, cost) for part, cost in zip(parts, costs, strict=True) for a, _ in part]
        + [(b, -cost) for part, cost in zip(parts, costs, strict=True) for _, b in part]
    )
    pieces: list[list[float]] = []  # left, right, cover
    cover = 0.0
    for (x, change), (following, _) in itertools.pairwise(events):
        cover += change
        if following - x > 0.01:
            pieces.append([x, following, round(cover, 3)])
    valleys: list[tuple[float, float]] = []
    run: list[list[float]] = []
    for piece in [*pieces, [0.0, 0.0, 1e9]]:
        if piece[2] <= allowed + 1e-6:
            run.append(piece)
            continue
        valleys.extend(_strips(run, parts))
        run = []
    return valleys


def _strips(run: Sequence[Sequence[float]], parts: Sequence[Spans]) -> list[tuple[float, float]]:
    """One strip, or several where a thinly filled column stands between them."""
    if not run:
        return []
    free = [(a, b) for a, b, cover in run if cover == 0]
    if not free:
        lowest = min(run, key=lambda piece: (piece[2], piece[0] - piece[1]))
        return [(lowest[0], lowest[1])]
    strips = [free[0]]
    for strip in free[1:]:
        left, right = strips[-1][1], strip[0]
        inside = [
            index
            for index, part in enumerate(parts)
            if any(a < right - 0.01 and b > left + 0.01 for a, b in part)
        ]
        if inside == [0] or (len(inside) == 1 and inside[0] < 2 and len(parts) > 4):
            # A single word high up, over the gap between two columns: a header over both.
            strips[-1] = max(strips[-1], strip, key=lambda s: s[1] - s[0])
        else:
            strips.append(strip)
    return strips


def split_columns(areas: list[Area], *, ruled: bool) -> list[Area]:
    """Cut areas at the borders of narrower ones in their strip, then at gutters in the text."""
    alike = Counter((round(a.x0), round(a.x1)) for a in areas)
    widest = max(a.x1 for a in areas) - min(a.x0 for a in areas)
    cut: list[Area] = []
    for area in areas:
        borders = {
            x
            for a in areas
            if a.x0 >= area.x0 - 1 and a.x1 <= area.x1 + 1
            for x in (a.x0, a.x1)
            if area.x0 + 2 < x < area.x1 - 2
        }
        # Rows without rules of their own take the borders of ruled ones; merged cells do not.
        open_row = area.x1 - area.x0 > widest - 3 or alike[round(area.x0), round(area.x1)] > 2
        cut.extend(_cut_columns(area, sorted(borders)) if borders and open_row else [area])
    stacks: dict[tuple[float, float], list[Area]] = {}
    for area in cut:
        stacks.setdefault((area.x0, area.x1), []).append(area)
    done: list[Area] = []
    for (x0, x1), stack in stacks.items():
        narrower = any(a.x0 >= x0 - 1 and a.x1 <= x1 + 1 and a.x1 - a.x0 < x1 - x0 - 2 for a in cut)
        if narrower:  # a merged cell over real columns is no strip of its own
            done.extend(stack)
            continue
        lines = [line for area in stack for line in in_lines(area.words)]
        cuts = gutters(lines, strict=ruled)
        for area in stack:
            done.extend(_cut_columns(area, cuts))
    return done


def _cut_columns(area: Area, cuts: Sequence[float]) -> list[Area]:
    """Cut one area at `cuts`, except where a piece of its text lies across."""
    parts = [
        (p[0].x0, max(w.x1 for w in p))
        for line in in_lines(area.words)
        for p in segments(line, 0.45)
    ]
    free = [x for x in cuts if not any(a < x < b for a, b in parts)]
    sides = {sum(x < (a + b) / 2 for x in free) for a, b in parts}
    if len(sides) < 2:
        return [area]
    edges = [area.x0, *free, area.x1]
    cells = [Area(a, area.y0, b, area.y1) for a, b in itertools.pairwise(edges)]
    for word in area.words:
        next(c for c in cells if word.middle_x <= c.x1 or c is cells[-1]).words.append(word)
    return cells


def to_table(
    page: int, areas: Sequence[Area], columns: Sequence[float] | None = None
) -> Table | None:
    """Number the areas' rows and columns; rows and columns in which no cell begins are left out.

    `columns` are borders to keep even where a column is blank. None where nothing is left.
    """
    xs = list(columns) if columns else _edges([v for a in areas for v in (a.x0, a.x1)])
    ys = _edges([v for a in areas for v in (a.y0, a.y1)])
    cells: list[Cell] = []
    for area in sorted((a for a in areas if a.words), key=lambda a: (a.y0, a.x0)):
        row, column = _index(ys, area.y0), _index(xs, area.x0)
        height = max(1, _index(ys, area.y1) - row)
        width = max(1, _index(xs, area.x1) - column)
        cells.append(Cell(row, column, height, width, cell_text(area.words)))
    if not cells:
        return None
    kept = list(range(len(xs) - 1)) if columns else sorted({c.column for c in cells})
    rows = sorted({c.row for c in cells})
    for cell in cells:
        bottom, right = cell.row + cell.row_span, cell.column + cell.column_span
        cell.row_span = sum(cell.row <= r < bottom for r in rows)
        cell.column_span = sum(cell.column <= c < right for c in kept)
        cell.row, cell.column = rows.index(cell.row), kept.index(cell.column)
    edges = (*(xs[c] for c in kept), xs[-1])
    box = (xs[0], ys[0], xs[-1], ys[-1])
    held = frozenset(id(w) for a in areas for w in a.words)
    return Table(page, box, len(rows), len(kept), cells, edges, held=held)


def _edges(values: Sequence[float], apart: float = 2.5) -> list[float]:
    edges: list[float] = []
    for value in sorted(values):
        if not edges or value - edges[-1] > apart:
            edges.append(value)
    return edges


def _index(edges: Sequence[float], value: float) -> int:
    return min(range(len(edges)), key=lambda i: abs(edges[i] - value))


def cell_text(words: Sequence[Word]) -> str:
    """The words of a cell as one line of text.

    Dot leaders are decoration and are left out; a dash alone, which stands for "no value", is
    written as a hyphen whatever its length.
    """
    text = " ".join(line_text(line) for line in in_lines(words))
    if len(text) == 1:
        return "-" if text in "–—−‐‑" else text
    if ".." in text or "…" in text or ". ." in text or "__" in text:
        return _LEADER.sub(" ", text).strip()
    return text
