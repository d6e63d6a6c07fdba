"""Whether aligned text is a table, or else prose in columns, a list or a chart."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from .pdf_grid import cell_text, is_value
from .pdf_page import line_text
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
        held = [(r, n) for r, row in enumerate(texts) if (n := _number(row[c])) is not None]
        steps = Counter(round(b - a, 6) for (_, a), (_, b) in itertools.pairwise(held)).most_common(
            1
        )
        if len(held) >= 5 and steps[0][1] >= 0.5 * (len(held) - 1) and abs(steps[0][0]) > 1:
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
