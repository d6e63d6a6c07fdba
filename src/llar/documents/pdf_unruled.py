"""Tables set in columns without rules: found by aligned text, cut by gutters, rows by wrapping."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from .pdf_grid import Area, Table, cell_text, gutters, is_value, segments, to_table
from .pdf_page import Box, Rule, Word, bands, bounds, line_text
from .pdf_rows import Strip, group_rows, several_values, strips

_MARKER = re.compile(r"[•◦▪‣·●○■□➢✓\-–—*o\x00-\x1f\x7f-\x9f\uf000-\uf0ff]|\(?(?:[0-9]{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.):]?|\[\d+\]")
_LEADERS = re.compile(r"(?:\.\s?){5,}|…{2,}")
_DIGIT = re.compile(r"\d")

_APART = 0.9  # ems between two cells of one line, at least

Line = list[Word]


def find_unruled(page: int, lines: Sequence[Line], horizontal: Sequence[Rule]) -> list[Table]:
    """The tables among these lines (one column of a page, top to bottom)."""
    tables: list[Table] = []
    reached = 0
    for first, last in _runs(lines):
        found = _best(page, lines, max(first, reached), last, horizontal)
        if found is not None:
            tables.append(found[0])
            reached = found[1] + 1
    return tables


def _runs(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """Stretches of lines that mostly fall into several pieces, as (first, last) indexes."""
    several: list[bool] = []
    for band in bands(lines):
        pieces = sum(len(segments(line, _APART)) for line in band)
        several.extend([pieces > 1] * len(band))
    runs: list[tuple[int, int]] = []
    start: int | None = None
    last = 0
    for i, line in enumerate(lines):
        if start is not None:
            indented = line[0].x0 > min(w[0].x0 for w in lines[start:i]) + 3 * line[0].size
            if i - last > (7 if indented else 3) or _gap(lines[i - 1], line) > 2.6:
                runs.append((start, last))
                start = None
        if several[i]:
            start = i if start is None else start
            last = i
    if start is not None:
        runs.append((start, last))
    return [(a, b) for a, b in runs if b > a]


def _gap(above: Line, below: Line) -> float:
    """Free height between two lines, in ems."""
    size = max(above[len(above) // 2].size, below[len(below) // 2].size, 1.0)
    return (min([w.y0 for w in below]) - max([w.y1 for w in above])) / size


def _best(
    page: int, lines: Sequence[Line], first: int, last: int, horizontal: Sequence[Rule]
) -> tuple[Table, int] | None:
    """The table in these lines and its last line; end lines that fit no column are left out."""
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


def _extend_down(lines: Sequence[Line], first: int, last: int, table: Table) -> int:
    """Further lines that only hold the rest of cells and leave the columns as they are."""
    while last + 1 < len(lines):
        line = lines[last + 1]
        if _gap(lines[last], line) > 0.45:
            break
        cuts = gutters(lines[first : last + 2])
        if len(cuts) != table.columns - 1 or line[-1].x1 > table.edges[-1] + 2 * line[0].size:
            break
        if line[-1].x0 < cuts[0] and not _goes_on(line):
            break
        last += 1
    return last


def _extend_up(lines: Sequence[Line], first: int, table: Table) -> int:
    """Lines above that stand over the columns and not over the row labels: headers."""
    while first > 0:
        line = lines[first - 1]
        if _gap(line, lines[first]) > 0.8 or line[0].x0 < table.edges[1]:
            break
        if line[-1].x1 > table.edges[-1] + 2 * line[0].size:
            break
        first -= 1
    return first


def _goes_on(line: Line) -> bool:
    return line[0].text[0].islower() or line[0].text[0] == "("


def _wideness(line: Line) -> float:
    parts = segments(line, _APART)
    return max(p[-1].x1 - p[0].x0 for p in parts)


def build(
    page: int, lines: Sequence[Line], horizontal: Sequence[Rule], *, trusted: bool
) -> Table | None:
    """Cut lines into a table; None where they are prose, a list, or no table otherwise.

    `trusted` lines stand between rules that frame a table, so fewer signs are asked for.
    """
    lines = [line for line in lines if line]
    if len(lines) < 2:
        return None
    cuts = gutters(lines)
    if not cuts:
        return None
    left, top, right, bottom = bounds([w for line in lines for w in line])
    edges = [left - 1, *cuts, right + 1]
    cut = strips(lines, edges)
    rows = _rows(cut, edges, horizontal)
    if not (_is_table(rows, len(edges) - 1, trusted) or trusted and len(rows) > 1):
        return None
    areas = _areas(rows, edges, (left, top, right, bottom))
    table = to_table(page, areas)
    return table if table is not None and table.columns > 1 and table.rows > 1 else None


def build_rest(
    page: int, lines: Sequence[Line], horizontal: Sequence[Rule], above: Table
) -> Table | None:
    """The first lines of a page as further rows of the table that ended the page before."""
    inner = above.edges[1:-1]
    rest: list[Line] = []
    for line in lines:
        parts = segments(line, 0.45)
        fits = line[0].x0 > above.edges[0] - line[0].size and not any(
            p[0].x0 < x - 1 and p[-1].x1 > x + 0.6 * line[0].size for p in parts for x in inner
        )
        if not fits or (rest and _gap(rest[-1], line) > 1.5):
            break
        rest.append(line)
    if not rest:
        return None
    left, top, right, bottom = bounds([w for line in rest for w in line])
    edges = [min(left - 1, above.edges[0]), *inner, max(right + 1, above.edges[-1])]
    rows = _rows(strips(rest, edges), edges, horizontal)
    if len({c for s in rows[0] for c in s.filled}) < 2:
        return None
    table = to_table(page, _areas(rows, edges, (left, top, right, bottom)), edges)
    if table is not None:
        table.continued = True
    return table


def _rows(
    lines: Sequence[Strip], edges: Sequence[float], horizontal: Sequence[Rule]
) -> list[list[Strip]]:
    """Rows of a table: a rule across the gap always parts them, a wrapped header stays whole."""
    head = _header_height(lines)
    rows: list[list[Strip]] = []
    level: list[Strip] = []
    for i, line in enumerate(lines[:head]):
        level.append(line)
        spans = _spanners(line, edges)
        below = lines[i + 1] if i + 1 < len(lines) else None
        ruled = below is not None and _rule_between(line, below, edges, horizontal)
        if i + 1 == head or spans or ruled or (below and _gap(line.words, below.words) > 0.8):
            rows.append(level)
            level = []
    blocks: list[list[Strip]] = []
    for i, line in enumerate(lines[head:], head):
        if not blocks or _rule_between(lines[i - 1], line, edges, horizontal):
            blocks.append([])
        blocks[-1].append(line)
    each_ruled = len(blocks) > 2 or (len(blocks) == 2 and head > 0)
    for block in blocks:
        whole = each_ruled and len(block) <= 0.6 * len(lines) and not several_values(block)
        rows.extend([block] if whole else group_rows(block))
    return rows


def _rule_between(
    above: Strip, below: Strip, edges: Sequence[float], horizontal: Sequence[Rule]
) -> bool:
    low, high = above.last, below.first
    width = edges[-1] - edges[0]
    return any(
        low < r.at < high
        and min(r.end, edges[-1]) - max(r.start, edges[0]) > 0.5 * width
        for r in horizontal
    )


def _header_height(lines: Sequence[Strip]) -> int:
    """How many lines come before the first with a value that is no year; 0 without values."""
    for i, line in enumerate(lines):
        texts = [line_text(c) for c in line.cells[1:] if c]
        values = [t for t in texts if is_value(t) and _DIGIT.search(t) and not _year(t)]
        if values and (line.cells[0] or len(values) > 1):
            return i if i <= 0.5 * len(lines) + 1 else 0
    return 0


def _year(text: str) -> bool:
    return re.fullmatch(r"(?:19|20)\d\d(?:[/\-–]\d{2,4})?\*{0,3}", text) is not None


def _spanners(line: Strip, edges: Sequence[float]) -> bool:
    """Whether a piece of the line lies across a column border."""
    return any(
        p[0].x0 < x - 1 and p[-1].x1 > x + 1
        for p in segments(sorted(line.words, key=lambda w: w.x0), 0.6)
        for x in edges[1:-1]
    )


def _is_table(rows: Sequence[Sequence[Strip]], columns: int, trusted: bool) -> bool:
    texts = [
        [cell_text([w for s in row for w in s.cells[c] or []]) for c in range(columns)]
        for row in rows
    ]
    lines = sum(len(row) for row in rows)
    filled = [sum(bool(t) for t in row) for row in texts]
    full = sum(f > 1 for f in filled)
    if full < 2 or full < 0.5 * len(rows) or (columns == 2 and full < 3 and not trusted):
        return False
    if lines > 6 * len(rows) or _prose(rows, columns) or _is_chart(texts):
        return False
    if columns - sum(_is_markers([row[c] for row in texts], c) for c in range(columns)) < 2:
        return False
    if columns == 2:
        raw = [line_text(s.words) for row in rows for s in row]
        if sum(_LEADERS.search(t) is not None for t in raw) > 0.4 * len(raw):
            return False
    body = [t for row in texts[1:] for t in row[1:] if t]
    values = sum(is_value(t) for t in body)
    digits = sum(_DIGIT.search(t) is not None for t in body)
    if body and (values >= 0.4 * len(body) or digits >= 0.5 * len(body)):
        return True
    return trusted or (columns > 2 and full >= 4) or (columns == 2 and full >= 5 and _short(texts))


def _is_chart(texts: Sequence[Sequence[str]]) -> bool:
    """Whether a column counts in even steps, like an axis, with next to nothing beside it."""
    axes: list[int] = []
    marked: set[int] = set()
    for c in range(len(texts[0])):
        held = [(r, number) for r, row in enumerate(texts) if (number := _number(row[c])) is not None]
        steps = {round(b - a, 6) for (_, a), (_, b) in zip(held, held[1:], strict=False)}
        if len(held) >= 5 and len(steps) == 1 and abs(steps.pop()) not in (0, 1):
            axes.append(c)
            marked.update(r for r, _ in held)
    if not axes:
        return False
    beside = [t for r in marked for c, t in enumerate(texts[r]) if c not in axes]
    return sum(bool(t) for t in beside) <= 0.3 * len(beside)


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%").replace(",", "").replace(" ", ""))
    except ValueError:
        return None


def _is_markers(texts: Sequence[str], column: int) -> bool:
    """Whether a column holds list markers; behind the first, numbers are values."""
    held = [t for t in texts if t]
    marks = [t for t in held if _MARKER.fullmatch(t) and not (column and t.isdigit())]
    return len(marks) > 0.6 * len(held)


def _prose(rows: Sequence[Sequence[Strip]], columns: int) -> bool:
    """Whether columns are running text, which fills its width line after line.

    One such column is prose beside a table where its sentences run on through the rows; two are a
    page's columns unless a column of short labels stands before them.
    """
    running = labels = 0
    for c in range(columns):
        held = [cell for row in rows for s in row if (cell := s.cells[c])]
        if not held:
            continue
        widths = [max(w.x1 for w in cell) - min(w.x0 for w in cell) for cell in held]
        wide = sum(v > 0.85 * max(widths) for v in widths) / len(held)
        words = sum(map(len, held)) / len(held)
        if (len(held) >= 4 and wide > 0.6 and words > 3.5) or (len(held) >= 10 and words > 5.5):
            running += 1
            if wide > 0.6 and len(held) >= 6 and len(held) < 1.5 * len(rows):
                return True
        elif not running and words <= 3.5:
            marks = sum(_MARKER.fullmatch(line_text(cell)) is not None for cell in held)
            labels += marks < 0.5 * len(held)
    return running >= 2 and not labels


def _short(texts: Sequence[Sequence[str]]) -> bool:
    cells = [t for row in texts for t in row if t]
    return sum(len(t) for t in cells) <= 40 * len(cells)


def _areas(rows: Sequence[Sequence[Strip]], edges: Sequence[float], box: Box) -> list[Area]:
    """One area per cell; in the rows above the values, texts over several columns span them."""
    tops = [min(w.y0 for s in row for w in s.words) for row in rows]
    bottoms = [max(w.y1 for s in row for w in s.words) for row in rows]
    ys = [box[1], *((b + t) / 2 for b, t in zip(bottoms, tops[1:], strict=False)), box[3]]
    head = _header_rows(rows)
    columns = _column_boxes(rows[head:] or rows, edges)
    areas: list[Area] = []
    for r, row in enumerate(rows):
        if r < head and len(row) == 1:
            groups = _header_cells(row[0], columns, edges)
        else:
            groups = [
                (c, c, [w for s in row for w in s.cells[c] or []]) for c in range(len(edges) - 1)
            ]
        for first, last, words in groups:
            areas.append(Area(edges[first], ys[r], edges[last + 1], ys[r + 1], list(words)))
    return areas


def _header_rows(rows: Sequence[Sequence[Strip]]) -> int:
    lines = [s for row in rows for s in row]
    height = _header_height(lines)
    count = seen = 0
    for row in rows:
        if seen >= height:
            break
        seen += len(row)
        count += 1
    return count


def _column_boxes(
    rows: Sequence[Sequence[Strip]], edges: Sequence[float]
) -> list[tuple[float, float]]:
    """Left and right end of each column's text below the header."""
    boxes: list[tuple[float, float]] = []
    for c in range(len(edges) - 1):
        words = [w for row in rows for s in row for w in s.cells[c] or []]
        inside = [w for w in words if w.x0 > edges[c] - 2 and w.x1 < edges[c + 1] + 2]
        if inside:
            boxes.append((min(w.x0 for w in inside), max(w.x1 for w in inside)))
        else:
            boxes.append((edges[c], edges[c + 1]))
    return boxes


def _header_cells(
    line: Strip, columns: Sequence[tuple[float, float]], edges: Sequence[float]
) -> list[tuple[int, int, list[Word]]]:
    """The pieces of one header line with the columns each stands over, as (first, last, words)."""
    words = sorted(line.words, key=lambda w: w.x0)
    pieces = segments(words, 0.6)
    cells: list[tuple[int, int, list[Word]]] = []
    last_used = -1
    for i, piece in enumerate(pieces):
        x0, x1 = piece[0].x0, piece[-1].x1
        over = [c for c, (a, b) in enumerate(columns) if min(b, x1) - max(a, x0) > 1]
        middle = (x0 + x1) / 2
        own = sum(edge < middle for edge in edges[1:-1])
        first, last = (min(over), max(over)) if over else (own, own)
        following = pieces[i + 1][0].x0 if i + 1 < len(pieces) else edges[-1]
        first, last = _centred(first, last, middle, columns, last_used, following, piece[0].size)
        first = max(first, last_used + 1)
        if first > last:  # two pieces over one column
            cells[-1][2].extend(piece)
            continue
        cells.append((first, last, list(piece)))
        last_used = last
    used = {c for first, last, _ in cells for c in range(first, last + 1)}
    cells.extend((c, c, []) for c in range(len(columns)) if c not in used)
    return cells


def _centred(
    first: int,
    last: int,
    middle: float,
    columns: Sequence[tuple[float, float]],
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
