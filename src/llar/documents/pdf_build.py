"""Builds a table from lines of text: columns at gutters, rows by wrapping, headers over columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .pdf_grid import Area, Table, gutters, is_value, segments, to_table
from .pdf_judge import is_page_columns, is_table
from .pdf_page import Box, Rule, Word, bounds, free_height, line_text
from .pdf_rows import Strip, group_rows, several_values, strips

_DIGIT = re.compile(r"\d")
_YEAR = re.compile(r"(?:19|20)\d\d(?:[/\-–]\d{2,4})?\*{0,3}")

Line = list[Word]
Span = tuple[float, float]
HeaderCell = tuple[int, int, list[Word]]  # first and last column it stands over, its words


def build(
    page: int, lines: Sequence[Line], horizontal: Sequence[Rule], *, trusted: bool
) -> Table | None:
    """Cut lines into a table; None where they are prose, a list, or no table otherwise.

    `trusted` lines stand between rules that frame a table, so fewer signs are asked for.
    """
    lines = [line for line in lines if line]
    cuts = gutters(lines) if len(lines) > 1 else []
    if not cuts:
        return None
    box = bounds([w for line in lines for w in line])
    edges = [box[0] - 1, *cuts, box[2] + 1]
    cut = strips(lines, edges)
    if is_page_columns(cut):
        return None
    head, body = _rows(cut, edges, horizontal)
    if len(head) + len(body) < 2 or not is_table(head + body, len(edges) - 1, trusted=trusted):
        return None
    table = to_table(page, _areas(head, body, edges, box))
    return table if table is not None and table.columns > 1 and table.rows > 1 else None


def build_rest(
    page: int, lines: Sequence[Line], horizontal: Sequence[Rule], above: Table
) -> Table | None:
    """The first lines of a page as further rows of the table that ended the page before."""
    inner = above.edges[1:-1]
    rest: list[Line] = []
    for line in lines:
        size = line[0].size
        fits = line[0].x0 > above.edges[0] - size and not any(
            p[0].x0 < x - 1 and p[-1].x1 > x + 0.6 * size
            for p in segments(line, 0.45)
            for x in inner
        )
        if not fits or (rest and free_height(rest[-1], line) > 1.5):
            break
        rest.append(line)
    if not rest:
        return None
    box = bounds([w for line in rest for w in line])
    edges = [min(box[0] - 1, above.edges[0]), *inner, max(box[2] + 1, above.edges[-1])]
    head, body = _rows(strips(rest, edges), edges, horizontal)
    if len({c for s in (head + body)[0] for c in s.filled}) < 2:
        return None
    table = to_table(page, _areas(head, body, edges, box), edges)
    if table is not None:
        table.continued = True
    return table


Row = list[Strip]


def _rows(
    lines: Sequence[Strip], edges: Sequence[float], horizontal: Sequence[Rule]
) -> tuple[list[Row], list[Row]]:
    """Header rows and body rows. A rule across the gap between two lines always parts them."""
    height = _header_height(lines)
    columns = _column_spans(lines[height:] or lines, edges)
    head: list[Row] = []
    for i, line in enumerate(lines[:height]):
        above = lines[i - 1] if i else None
        if (
            above is None
            or _rule_between(above, line, edges, horizontal)
            or free_height(above.words, line.words) > 0.8
            or _next_level(head[-1], line, columns, edges)
        ):
            head.append([])
        head[-1].append(line)
    blocks: list[Row] = []
    for i, line in enumerate(lines[height:], height):
        if not blocks or _rule_between(lines[i - 1], line, edges, horizontal):
            blocks.append([])
        blocks[-1].append(line)
    each_ruled = len(blocks) > 2 or (len(blocks) == 2 and height > 0)
    body: list[Row] = []
    for block in blocks:
        whole = each_ruled and len(block) <= 0.65 * len(lines) and not several_values(block)
        body.extend([block] if whole else group_rows(block))
    return head, body


def _rule_between(
    above: Strip, below: Strip, edges: Sequence[float], horizontal: Sequence[Rule]
) -> bool:
    width = edges[-1] - edges[0]
    return any(
        above.last < r.at < below.first
        and min(r.end, edges[-1]) - max(r.start, edges[0]) > 0.5 * width
        for r in horizontal
    )


def _header_height(lines: Sequence[Strip]) -> int:
    """How many lines come before the first with a value that is no year; 0 without values."""
    for i, line in enumerate(lines):
        texts = [line_text(c) for c in line.cells[1:] if c]
        values = [t for t in texts if is_value(t) and _DIGIT.search(t) and not _YEAR.fullmatch(t)]
        if values and (line.cells[0] or len(values) > 1):
            return i if i <= 0.5 * len(lines) + 1 else 0
    return 0


def _next_level(level: Row, line: Strip, columns: Sequence[Span], edges: Sequence[float]) -> bool:
    """Whether a line begins a new header row: it divides, or joins, columns of the row above."""
    held = [(a, b) for s in level for a, b, _ in _header_cells(s, columns, edges)]
    return any(
        a <= d and b >= c and (a, b) != (c, d)
        for a, b, _ in _header_cells(line, columns, edges)
        for c, d in held
    )


def _column_spans(lines: Sequence[Strip], edges: Sequence[float]) -> list[Span]:
    """Left and right end of each column's text."""
    spans: list[Span] = []
    for c in range(len(edges) - 1):
        words = [w for s in lines for w in s.cells[c] or []]
        inside = [w for w in words if w.x0 > edges[c] - 2 and w.x1 < edges[c + 1] + 2]
        if inside:
            spans.append((min(w.x0 for w in inside), max(w.x1 for w in inside)))
        else:
            spans.append((edges[c], edges[c + 1]))
    return spans


def _areas(
    head: Sequence[Row], body: Sequence[Row], edges: Sequence[float], box: Box
) -> list[Area]:
    """One area per cell; header texts over several columns span them."""
    rows = [*head, *body]
    tops = [min(w.y0 for s in row for w in s.words) for row in rows]
    bottoms = [max(w.y1 for s in row for w in s.words) for row in rows]
    ys = [box[1], *((b + t) / 2 for b, t in zip(bottoms, tops[1:], strict=False)), box[3]]
    columns = _column_spans([s for row in body for s in row], edges)
    areas: list[Area] = []
    for r, row in enumerate(rows):
        cells: dict[Span, list[Word]] = {}
        if r < len(head):
            for line in row:
                for first, last, words in _header_cells(line, columns, edges):
                    cells.setdefault((edges[first], edges[last + 1]), []).extend(words)
        else:
            for c in range(len(edges) - 1):
                words = [w for s in row for w in s.cells[c] or []]
                cells[edges[c], edges[c + 1]] = words
        for (left, right), words in cells.items():
            areas.append(Area(left, ys[r], right, ys[r + 1], words))
    return areas


def _header_cells(line: Strip, columns: Sequence[Span], edges: Sequence[float]) -> list[HeaderCell]:
    """The pieces of one header line, each with the columns it stands over."""
    words = sorted(line.words, key=lambda w: w.x0)
    pieces = [q for p in segments(words, 0.6) for q in _apart(p, columns, edges)]
    cells: list[HeaderCell] = []
    used = -1
    for i, piece in enumerate(pieces):
        x0, x1 = piece[0].x0, piece[-1].x1
        over = [c for c, (a, b) in enumerate(columns) if min(b, x1) - max(a, x0) > 1]
        middle = (x0 + x1) / 2
        own = sum(edge < middle for edge in edges[1:-1])
        first, last = (over[0], over[-1]) if over else (own, own)
        following = pieces[i + 1][0].x0 if i + 1 < len(pieces) else edges[-1]
        first, last = _centred(first, last, middle, columns, used, following, piece[0].size)
        first = max(first, used + 1)
        if first > last:  # two pieces over one column
            cells[-1][2].extend(piece)
            continue
        cells.append((first, last, list(piece)))
        used = last
    return cells


def _apart(piece: Line, columns: Sequence[Span], edges: Sequence[float]) -> list[Line]:
    """Cut a header's text between two columns where each part lines up with its own column."""
    for c, x in enumerate(edges[1:-1]):
        left = [w for w in piece if w.middle_x < x]
        right = [w for w in piece if w.middle_x >= x]
        if left and right and _over(left, columns[c]) and _over(right, columns[c + 1]):
            return [left, *_apart(right, columns, edges)]
    return [piece]


def _over(words: Line, column: Span) -> bool:
    """Whether words are centred over a column, or begin or end with it."""
    x0, x1, size = words[0].x0, words[-1].x1, words[0].size
    a, b = column
    return (
        abs((x0 + x1) - (a + b)) < 1.2 * size
        or abs(x0 - a) < 0.4 * size
        or abs(x1 - b) < 0.4 * size
    )


def _centred(
    first: int,
    last: int,
    middle: float,
    columns: Sequence[Span],
    used: int,
    following: float,
    size: float,
) -> tuple[int, int]:
    """Widen a header's columns to free neighbours if it then stands in their middle."""

    def off(a: int, b: int) -> float:
        return abs((columns[a][0] + columns[b][1]) / 2 - middle)

    best, distance = (first, last), off(first, last)
    if distance < size:
        return best
    for a in range(max(used + 1, 1), first + 1):
        for b in range(last, len(columns)):
            if columns[b][0] >= following:
                break
            if off(a, b) < min(0.6 * distance, 1.5 * size):
                best, distance = (a, b), off(a, b)
    return best
