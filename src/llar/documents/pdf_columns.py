"""Cuts a page into bands and columns in reading order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from .pdf_grid import Table, segments
from .pdf_page import Word, bounds, run_lines

Rows = list[list[Word]]
Region = tuple[Rows, list[Table]]


def regions(rows: Rows, tables: Sequence[Table], depth: int = 0) -> list[Region]:
    """Cut a page into bands, and bands of running text into columns, in reading order."""
    whole: list[Region] = [(rows, list(tables))]
    if depth > 3 or len(rows) < 6:
        return whole
    for gutter in _gutters(rows):
        bands = _bands(rows, tables, gutter)
        if all(not columns for _, _, columns in bands):
            continue
        found: list[Region] = []
        for band_rows, band_tables, columns in bands:
            if not columns:
                found.extend(regions(band_rows, band_tables, depth + 1))
                continue
            left = [[w for w in row if w.middle_x < gutter] for row in band_rows]
            right = [[w for w in row if w.middle_x >= gutter] for row in band_rows]
            for side, mine in (
                (left, [t for t in band_tables if t.box[0] < gutter]),
                (right, [t for t in band_tables if t.box[0] >= gutter]),
            ):
                # Both columns had common lines; their own may lie between those.
                runs = [list(g) for row in side for _, g in groupby(row, lambda w: (w.y0, w.y1))]
                found.extend(regions(run_lines(runs), mine, depth + 1))
        return found
    return whole


def _gutters(rows: Rows) -> list[float]:
    """Likely middles of gutters between page columns, the most promising first."""
    size = median(w.size for row in rows for w in row)
    spans = [(p[0].x0, max(w.x1 for w in p)) for row in rows for p in segments(row, 0.8)]
    left, right = min(a for a, _ in spans), max(b for _, b in spans)
    steps = max(1, int(right - left))
    cover = [0] * (steps + 2)  # lines over each point of the width
    for a, b in spans:
        cover[int(a - left)] += 1
        cover[int(b - left) + 1] -= 1
    for i in range(1, len(cover)):
        cover[i] += cover[i - 1]
    limit = 0.4 * len(rows)
    stray = len(rows) // 20  # a page number may stand in the gutter
    found: list[tuple[int, int, float]] = []
    start: int | None = None
    for i in range(steps + 1):
        low = cover[i] <= limit and 0.12 * steps < i < 0.88 * steps
        if low and start is None:
            start = i
        elif not low and start is not None:
            lowest = min(cover[start:i])
            best = [j for j in range(start, i) if cover[j] <= max(lowest, stray)]
            if len(best) >= 0.6 * size:
                # Of equally empty strips the widest: beside list markers runs a narrower one.
                middle = left + best[len(best) // 2] + 0.5
                found.append((lowest // max(1, stray), -len(best), middle))
            start = None
    return [x for *_, x in sorted(found)[:4]]


def _bands(
    rows: Rows, tables: Sequence[Table], gutter: float
) -> list[tuple[Rows, list[Table], bool]]:
    """Runs of rows that leave the gutter free, and runs that do not; True for columns of text."""
    crossing = [t for t in tables if t.box[0] < gutter < t.box[2]]
    items: list[tuple[float, bool, list[Word] | None, Table | None]] = [
        (t.box[1], True, None, t) for t in crossing
    ]
    for row in rows:
        crosses = any(p[0].x0 < gutter < max(w.x1 for w in p) for p in segments(row, 0.6))
        items.append((min(w.y0 for w in row), crosses, row, None))
    items.sort(key=lambda item: item[0])
    bands: list[tuple[Rows, list[Table], bool]] = []
    state: bool | None = None
    for _, crosses, words, table in items:
        if crosses is not state:
            bands.append(([], [], not crosses))
            state = crosses
        if words is not None:
            bands[-1][0].append(words)
        if table is not None:
            bands[-1][1].append(table)
    side_tables = [t for t in tables if t not in crossing]
    merged: list[tuple[Rows, list[Table], bool]] = []
    for band_rows, band_tables, free in bands:
        columns = free and _is_columns(band_rows, gutter, side_tables)
        if merged and not columns and not merged[-1][2]:
            merged[-1][0].extend(band_rows)
            merged[-1][1].extend(band_tables)
        else:
            merged.append((band_rows, band_tables, columns))
    for table in side_tables:
        _nearest(merged, table)[1].append(table)
    return merged


def _nearest(
    bands: list[tuple[Rows, list[Table], bool]], table: Table
) -> tuple[Rows, list[Table], bool]:
    middle = (table.box[1] + table.box[3]) / 2

    def distance(band: tuple[Rows, list[Table], bool]) -> float:
        ys = [v for row in band[0] for w in row for v in (w.y0, w.y1)]
        ys += [v for t in band[1] for v in (t.box[1], t.box[3])]
        return max(min(ys) - middle, middle - max(ys), 0.0)

    return min(bands, key=distance)


def _is_columns(rows: Rows, gutter: float, tables: Sequence[Table]) -> bool:
    """Whether both sides of the gutter are columns of a page and not columns of a table."""
    if not rows:
        return False
    top, bottom = bounds(rows[0])[1], bounds(rows[-1])[3]
    sides: list[tuple[float, float, float]] = []  # share of rows, mean characters, share of wide
    for left_side in (True, False):
        lines = [[w for w in row if (w.middle_x < gutter) is left_side] for row in rows]
        lines = [line for line in lines if line]
        if not lines:
            return False
        widths = [line[-1].x1 - line[0].x0 for line in lines]
        size = median(w.size for line in lines for w in line)
        near = [
            t
            for t in tables
            if (t.box[0] < gutter) is left_side and t.box[1] < bottom and t.box[3] > top
        ]
        width = max(widths + [t.box[2] - t.box[0] for t in near])
        if width < 9 * size:
            return False
        wide = sum(v > 0.8 * width for v in widths) / len(widths)
        characters = sum(len(w.text) + 1 for line in lines for w in line) / len(lines)
        share = len(lines) / len(rows)
        if near:
            share = max(share, 0.5)
        sides.append((share, characters, wide))
    dense = all(share >= 0.35 for share, _, _ in sides)
    lengths = [len(rows) * share for share, _, _ in sides]
    long = len(rows) >= 20
    running = [c > 18 and (wide > 0.45 or long) for _, c, wide in sides]
    wordy = all(c > 11 for _, c, _ in sides)
    return (
        dense
        and wordy
        and max(lengths) >= 4
        and (all(running) or (any(running) and min(lengths) > 3))
    )
