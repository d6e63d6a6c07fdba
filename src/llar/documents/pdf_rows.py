"""Which text lines of a table belong to one row: wrapped cells, raised labels, padded rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .pdf_grid import Area, is_value
from .pdf_page import Word, bands, in_lines, line_text

_NEAR = 1.1  # lines of one cell are at most this many leadings apart
_WIDE = 1.18  # lines further apart than this belong to different rows, where rows are padded


@dataclass(slots=True)
class Strip:
    """One line of a table, cut into its columns (None where a column is empty).

    Lines that overlap in height are one strip; their cells then hold several lines of words.
    """

    words: list[Word]
    cells: list[list[Word] | None]
    first: float  # middle of its first and of its last line
    last: float
    folded: bool  # whether it is several lines

    @property
    def filled(self) -> list[int]:
        """The columns that hold something."""
        return [i for i, c in enumerate(self.cells) if c]


def strips(lines: Sequence[list[Word]], edges: Sequence[float]) -> list[Strip]:
    """Cut lines at the column edges; a word goes where its middle lies."""
    result: list[Strip] = []
    for band in bands([line for line in lines if line]):
        cells: list[list[Word] | None] = [None] * (len(edges) - 1)
        for word in (w for line in band for w in line):
            column = sum(edge < word.middle_x for edge in edges[1:-1])
            cell = cells[column]
            if cell is None:
                cells[column] = [word]
            else:
                cell.append(word)
        words = [w for line in band for w in line]
        result.append(Strip(words, cells, _level(band[0]), _level(band[-1]), len(band) > 1))
    return result


def _level(line: Sequence[Word]) -> float:
    """The middle of a line's largest words."""
    size = max(w.size for w in line)
    return median(w.middle for w in line if w.size > 0.8 * size)


def group_rows(lines: Sequence[Strip]) -> list[list[Strip]]:
    """Group the lines of a table into rows, in order.

    A line continues the row before it when it stands close, repeats no number column, and each of
    its cells began on a new line only because its first word no longer fitted on the one before.
    """
    if not lines:
        return []
    columns = len(lines[0].cells)
    widths = [
        max((_width(s.cells[c]) for s in lines if s.cells[c]), default=0.0) for c in range(columns)
    ]
    size = median(w.size for s in lines for w in s.words)
    gaps = [b.first - a.last for a, b in itertools.pairwise(lines)]
    leading = _leading(lines, size)
    padded = _padding_tells(lines, gaps, leading)
    rows: list[list[Strip]] = [[lines[0]]]
    for line, gap in zip(lines[1:], gaps, strict=True):
        row = rows[-1]
        if _belongs(row, line, gap, widths, size, leading, padded):
            row.append(line)
        else:
            rows.append([line])
    return rows


def _leading(lines: Sequence[Strip], size: float) -> float:
    """The distance between the closest two lines of one column."""
    closest = []
    for column in range(len(lines[0].cells)):
        ys: list[float] = []
        for strip in lines:
            cell = strip.cells[column]
            if cell:
                ys += [_level(line) for line in (in_lines(cell) if strip.folded else [cell])]
        closest += [b - a for a, b in itertools.pairwise(ys) if b - a > 0.8 * size]
    return min(closest, default=1.2 * size)


def _padding_tells(lines: Sequence[Strip], gaps: Sequence[float], leading: float) -> bool:
    """Whether wide gaps separate rows: close lines never both hold a value in one column."""
    close = [
        (a, b) for a, b, g in zip(lines, lines[1:], gaps, strict=False) if g <= _NEAR * leading
    ]
    folded = any(s.folded and len(in_lines(c)) > 1 for s in lines for c in s.cells if c)
    if not (close or folded) or not any(g > _WIDE * leading for g in gaps):
        return False
    return not any(
        _value(a.cells[c]) and _value(b.cells[c]) for a, b in close for c in range(len(a.cells))
    )


def _belongs(
    row: Sequence[Strip],
    line: Strip,
    gap: float,
    widths: Sequence[float],
    size: float,
    leading: float,
    padded: bool,
) -> bool:
    above = row[-1]
    taken = {c for s in row for c in s.filled}
    if gap > _WIDE * leading and (padded or gap > 1.6 * leading):
        return False
    if any(_value(line.cells[c]) for c in line.filled if c in taken or c > 0):
        # New values begin a row, unless all that stands above is the start of a long label.
        return (
            set(above.filled) <= {0} and len(row) == 1 and _label_wraps(above, line, widths, size)
        )
    if padded:
        return True
    if line.filled == [0]:
        return _wraps(above.cells[0], line.cells[0], widths[0], size) and (
            len(above.filled) > 1 or _starts_small(line.cells[0])
        )
    if set(above.filled) <= {0} and len(line.filled) > 1 and line.cells[0]:
        return _label_wraps(above, line, widths, size)
    return all(
        c in taken and _wraps(_last(row, c), line.cells[c], widths[c], size) for c in line.filled
    ) and (
        line.cells[0] is None or len(line.filled) == len(line.cells) or _starts_small(line.cells[0])
    )


def _last(row: Sequence[Strip], column: int) -> list[Word] | None:
    return next((s.cells[column] for s in reversed(row) if s.cells[column]), None)


def _label_wraps(above: Strip, line: Strip, widths: Sequence[float], size: float) -> bool:
    label, rest = above.cells[0], line.cells[0]
    if not label or not rest or label[0].bold != rest[0].bold:
        return False
    return _wraps(label, rest, widths[0], size) or _starts_small(rest)


def _wraps(
    above: Sequence[Word] | None, below: Sequence[Word] | None, width: float, size: float
) -> bool:
    """Whether the first word below would not have fitted behind the words above."""
    if not above or not below:
        return False
    if _value(above) and _value(below):
        return False
    ending = in_lines(above)[-1]
    if line_text(ending).endswith("-"):
        return True
    first = below[0].x1 - below[0].x0
    return _width(ending) + 0.25 * size + first > width - 0.1 * size


def _starts_small(words: Sequence[Word] | None) -> bool:
    return bool(words) and (words[0].text[:1].islower() or words[0].text.startswith(("(", "&")))  # type: ignore[index]


def _width(words: Sequence[Word] | None) -> float:
    return max(w.x1 for w in words) - min(w.x0 for w in words) if words else 0.0


def _value(words: Sequence[Word] | None) -> bool:
    return bool(words) and is_value(" ".join(w.text for w in words or []))


def split_rows(areas: list[Area]) -> list[Area]:
    """Cut bands of areas that hold several rows without a rule between them.

    Two signs are trusted: a column of several values, one per line, and a table whose rules frame
    the body as a whole.
    """
    bands: dict[tuple[float, float], list[Area]] = {}
    for area in areas:
        bands.setdefault((area.y0, area.y1), []).append(area)
    lines_in_band = {
        key: in_lines([w for a in band for w in a.words]) for key, band in bands.items()
    }
    total = sum(len(lines) for lines in lines_in_band.values())
    done: list[Area] = []
    for key, band in bands.items():
        lines = lines_in_band[key]
        inner = any(
            a.y0 >= key[0] - 1 and a.y1 <= key[1] + 1 and a.y1 - a.y0 < key[1] - key[0] - 2
            for a in areas
        )
        if len(lines) < 2 or inner:
            done.extend(band)
            continue
        edges = sorted({a.x0 for a in band} | {max(a.x1 for a in band)})
        cut = strips(lines, edges)
        whole_body = len(lines) >= 3 and len(lines) >= 0.5 * total and len(edges) > 2
        if not (whole_body or several_values(cut)):
            done.extend(band)
            continue
        rows = group_rows(cut)
        cuts = [
            (max(w.y1 for s in a for w in s.words) + min(w.y0 for s in b for w in s.words)) / 2
            for a, b in itertools.pairwise(rows)
        ]
        for area in band:
            done.extend(_cut_rows(area, cuts, rows))
    return done


def several_values(lines: Sequence[Strip]) -> bool:
    """Whether some column holds nothing but values on two lines or more."""
    for column in range(len(lines[0].cells)):
        held = [s.cells[column] for s in lines if s.cells[column]]
        if len(held) >= 2 and sum(_value(c) for c in held) >= max(2, 0.7 * len(held)):
            return True
    return False


def _cut_rows(area: Area, cuts: Sequence[float], rows: Sequence[Sequence[Strip]]) -> list[Area]:
    """Cut one area between rows; an area whose text lies in the gap keeps what it crosses."""
    edges = [area.y0, *cuts, area.y1]
    place = {id(w): i for i, row in enumerate(rows) for s in row for w in s.words}
    cells = [Area(area.x0, a, area.x1, b) for a, b in itertools.pairwise(edges)]
    for word in area.words:
        cells[place[id(word)]].words.append(word)
    return cells
