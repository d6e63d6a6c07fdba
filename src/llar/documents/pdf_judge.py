"""Whether aligned text is a table, or else prose in columns, a list or a chart."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from .pdf_grid import cell_text, is_value
from .pdf_page import Word, line_text
from .pdf_rows import Strip

_MARKER = re.compile(
    r"[•◦▪‣·●○■□➢✓\-–—*o\x00-\x1f\x7f-\x9f\uf000-\uf0ff]"
    r"|\(?(?:[0-9]{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.):]?|\[\d+\]"
)
_LEADERS = re.compile(r"(?:\.\s?){5,}|…{2,}")
_DIGIT = re.compile(r"\d")


def is_table(rows: Sequence[Sequence[Strip]], columns: int, *, trusted: bool) -> bool:
    """Whether rows cut into columns hold what tables hold; trusted ones stand between rules."""
    texts = [
        [cell_text([w for s in row for w in s.cells[c] or []]) for c in range(columns)]
        for row in rows
    ]
    lines = sum(len(row) for row in rows)
    filled = [sum(bool(t) for t in row) for row in texts]
    full = sum(f > 1 for f in filled)
    if full < 2 or full < 0.5 * len(rows) or (columns == 2 and full < 3 and not trusted):
        return False
    if lines > 6 * len(rows) or _prose_beside(rows, columns) or _is_chart(texts):
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
        held = [(r, n) for r, row in enumerate(texts) if (n := _number(row[c])) is not None]
        if len(held) < 5:
            continue
        steps = Counter(round(b - a, 6) for (_, a), (_, b) in itertools.pairwise(held))
        step, count = steps.most_common(1)[0]
        if count >= 0.5 * (len(held) - 1) and abs(step) > 1:
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


def is_page_columns(lines: Sequence[Strip]) -> bool:
    """Whether two columns or more are running text, and no column of short labels leads them."""
    running = labels = 0
    for c in range(len(lines[0].cells)):
        held = [cell for s in lines if (cell := s.cells[c])]
        if _runs_on(held):
            running += 1
        elif held and not running and sum(map(len, held)) <= 3.5 * len(held):
            marks = sum(_MARKER.fullmatch(line_text(cell)) is not None for cell in held)
            labels += marks < 0.5 * len(held)
    return running >= 2 and not labels


def _runs_on(held: Sequence[list[Word]]) -> bool:
    """Whether the lines of a column are running text: many words that fill its width."""
    if len(held) < 4:
        return False
    words = sum(map(len, held)) / len(held)
    return (words > 3.5 and _wide(held) > 0.6) or (len(held) >= 10 and words > 5.5)


def _wide(held: Sequence[list[Word]]) -> float:
    """The share of lines that nearly reach the column's full width."""
    widths = [max([w.x1 for w in cell]) - min([w.x0 for w in cell]) for cell in held]
    widest = max(widths)
    return sum(v > 0.85 * widest for v in widths) / len(held)


def _prose_beside(rows: Sequence[Sequence[Strip]], columns: int) -> bool:
    """Whether a column is prose beside a table: its sentences run on through the rows."""
    for c in range(columns):
        held = [cell for row in rows for s in row if (cell := s.cells[c])]
        through = 6 <= len(held) < 1.5 * len(rows)
        if through and sum(map(len, held)) > 3.5 * len(held) and _wide(held) > 0.6:
            return True
    return False


def _short(texts: Sequence[Sequence[str]]) -> bool:
    cells = [t for row in texts for t in row if t]
    return sum(len(t) for t in cells) <= 40 * len(cells)
