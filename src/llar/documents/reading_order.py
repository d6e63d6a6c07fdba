"""The order in which people read boxes on a page: the recursive XY cut of Nagy and Seth, 1984."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Box = tuple[int, int, int, int]  # left, top, right, bottom
Thing = TypeVar("Thing")
_Item = tuple[Box, list[Thing]]


def in_reading_order(items: Sequence[tuple[Box | None, Thing]]) -> list[Thing]:
    """Columns from left to right where an empty gutter runs through, else rows from the top.

    Things without a box keep their place behind the one they follow.
    """
    placed: list[_Item[Thing]] = []
    loose: list[Thing] = []
    for box, thing in items:
        if box is not None:
            placed.append((box, [thing]))
        elif placed:
            placed[-1][1].append(thing)
        else:
            loose.append(thing)
    return loose + [thing for _, things in _cut(placed) for thing in things]


def _cut(items: list[_Item[Thing]], depth: int = 0) -> list[_Item[Thing]]:
    if len(items) < 2 or depth > 50:
        return items
    parts = _split(items, 0)
    if len(parts) < 2:
        parts = _joined(_split(items, 1))
    if len(parts) < 2:
        return sorted(items, key=lambda item: (item[0][1], item[0][0]))
    return [item for part in parts for item in _cut(part, depth + 1)]


def _joined(rows: list[list[_Item[Thing]]]) -> list[list[_Item[Thing]]]:
    """Rows that lie side by side in the same columns are put together, to be read as columns."""
    parts: list[list[_Item[Thing]]] = []
    for row in rows:
        both = [*parts[-1], *row] if parts else []
        if both and len(row) > 1 and len(parts[-1]) > 1 and len(_split(both, 0)) > 1:
            parts[-1] = both
        else:
            parts.append(row)
    return parts


def _split(items: list[_Item[Thing]], axis: int) -> list[list[_Item[Thing]]]:
    """Groups that do not overlap along an axis, in order; small overlaps are forgiven."""
    parts: list[list[_Item[Thing]]] = []
    end = 0.0
    for item in sorted(items, key=lambda item: item[0][axis]):
        start, stop = item[0][axis], item[0][axis + 2]
        slack = 0.1 * (stop - start)
        if not parts or start + slack >= end:
            parts.append([])
            end = stop
        parts[-1].append(item)
        end = max(end, stop)
    return parts
