"""Tables drawn with rules: connected rules become a lattice, the lattice becomes areas."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from .pdf_grid import Area, segments
from .pdf_page import Box, Rule, Word, bands

_TOUCH = 3.0  # rules this near meet
_ENDS = 6.0  # rules of one table end this near each other
_MOST_CELLS = 20_000  # more is a drawing, not a table


class Sets:
    """Disjoint sets over 0..n-1."""

    def __init__(self, n: int) -> None:
        self.parent = list(range(n))

    def root(self, i: int) -> int:
        """The number that stands for i's set."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Make the sets of i and j one."""
        self.parent[self.root(j)] = self.root(i)


@dataclass(slots=True)
class Lattice:
    """Rules that touch each other, with the box they span."""

    horizontal: list[Rule]
    vertical: list[Rule]

    @property
    def is_grid(self) -> bool:
        """Whether it has rows and columns of its own."""
        return len(self.horizontal) > 2 and len(self.vertical) > 1

    @property
    def box(self) -> Box:
        xs = [r.at for r in self.vertical]
        ys = [r.at for r in self.horizontal]
        for rule in self.horizontal:
            xs += [rule.start, rule.end]
        for rule in self.vertical:
            ys += [rule.start, rule.end]
        return min(xs), min(ys), max(xs), max(ys)


def lattices(horizontal: Sequence[Rule], vertical: Sequence[Rule]) -> list[Lattice]:
    """Group rules that cross or meet; a horizontal rule that meets none is a group of its own."""
    offset = len(horizontal)
    sets = Sets(offset + len(vertical))
    order = sorted(range(len(vertical)), key=lambda i: vertical[i].at)
    ats = [vertical[i].at for i in order]
    for i, h in enumerate(horizontal):
        first = bisect_left(ats, h.start - _TOUCH)
        for j in order[first : bisect_right(ats, h.end + _TOUCH)]:
            v = vertical[j]
            if v.start - _TOUCH <= h.at <= v.end + _TOUCH:
                sets.join(i, offset + j)
    groups: dict[int, Lattice] = {}
    for i, h in enumerate(horizontal):
        groups.setdefault(sets.root(i), Lattice([], [])).horizontal.append(h)
    for j, v in enumerate(vertical):
        groups.setdefault(sets.root(offset + j), Lattice([], [])).vertical.append(v)
    return [g for g in groups.values() if g.horizontal]


def stacked(groups: Sequence[Lattice], lines: Sequence[list[Word]]) -> list[Lattice]:
    """Join groups that stand over each other with the same ends and columns of text between."""
    done: list[Lattice] = []
    for group in sorted(groups, key=lambda g: g.box[1]):
        left, top, right, _ = group.box
        for above in reversed(done):
            x0, _, x1, bottom = above.box
            if abs(x0 - left) > _ENDS or abs(x1 - right) > _ENDS or top < bottom - _TOUCH:
                continue
            if above.is_grid and group.is_grid:
                near = top - bottom < 2 * _TOUCH
            elif any(_between(g, above.box, group.box) for g in groups if g.is_grid):
                near = False
            else:
                settled = len(above.horizontal) > 2 and abs(x0 - left) + abs(x1 - right) < _TOUCH
                needed = 0.1 if settled else 0.4
                near = _in_columns(lines, (left, bottom, right, top), needed)
            if near:
                above.horizontal += group.horizontal
                above.vertical += group.vertical
                break
        else:
            done.append(Lattice(list(group.horizontal), list(group.vertical)))
    return done


def _between(grid: Lattice, above: Box, below: Box) -> bool:
    """Whether a grid of its own stands between two boxes."""
    left, top, right, bottom = grid.box
    return top > above[3] - 1 and bottom < below[1] + 1 and left < above[2] and right > above[0]


def _in_columns(lines: Sequence[list[Word]], box: Box, needed: float) -> bool:
    """Whether this share of lines in the box falls into pieces; an empty low box passes."""
    left, top, right, bottom = box
    words = [
        part
        for line in lines
        if (
            part := [
                w for w in line if top < w.middle < bottom and left - 3 < w.middle_x < right + 3
            ]
        )
    ]
    several = inside = 0
    for band in bands(words):
        inside += 1
        several += sum(len(segments(line, 0.6)) for line in band) > 1
    if not inside:
        return bottom - top < 30
    return several >= needed * inside


def lattice_areas(lattice: Lattice, words: Sequence[Word]) -> list[Area]:
    """Cut the lattice's box into areas: neighbours without a rule between them are one."""
    left, top, right, bottom = lattice.box
    xs = _positions([r.at for r in lattice.vertical], left, right)
    ys = _positions([r.at for r in lattice.horizontal], top, bottom)
    across, down = len(xs) - 1, len(ys) - 1
    if across * down > _MOST_CELLS:
        return []
    sets = Sets(across * down)
    for r in range(down):
        for c in range(across):
            here = r * across + c
            if c + 1 < across and not _ruled(lattice.vertical, xs[c + 1], ys[r], ys[r + 1]):
                sets.join(here, here + 1)
            if r + 1 < down and not _ruled(lattice.horizontal, ys[r + 1], xs[c], xs[c + 1]):
                sets.join(here, here + across)
    group = [[sets.root(r * across + c) for c in range(across)] for r in range(down)]
    areas = _rectangles(group, xs, ys)
    for word in words:
        x, y = (word.x0 + word.x1) / 2, word.middle
        for area in areas:
            if area.x0 <= x <= area.x1 and area.y0 <= y <= area.y1:
                area.words.append(word)
                break
    return areas


def _positions(values: Sequence[float], low: float, high: float) -> list[float]:
    """Distinct rule positions with both ends of the box, at least 3 points apart."""
    positions = [low]
    for value in sorted(values):
        if value - positions[-1] > _TOUCH and high - value > _TOUCH:
            positions.append(value)
    positions.append(high)
    return positions


def _ruled(rules: Sequence[Rule], at: float, start: float, end: float) -> bool:
    """Whether rules at this position cover most of the stretch from start to end."""
    covered = sum(
        max(0.0, min(r.end, end) - max(r.start, start)) for r in rules if abs(r.at - at) <= _TOUCH
    )
    return covered >= 0.6 * (end - start)


def _rectangles(group: list[list[int]], xs: Sequence[float], ys: Sequence[float]) -> list[Area]:
    """The bounding rectangles of merged cells; those that overlap others are taken together."""
    spans: dict[int, list[int]] = {}
    for r, row in enumerate(group):
        for c, name in enumerate(row):
            span = spans.setdefault(name, [r, c, r, c])
            span[:] = [min(span[0], r), min(span[1], c), max(span[2], r), max(span[3], c)]
    areas: list[Area] = []
    for name, (r0, c0, r1, c1) in spans.items():
        whole = all(group[r][c] == name for r in range(r0, r1 + 1) for c in range(c0, c1 + 1))
        if whole:
            areas.append(Area(xs[c0], ys[r0], xs[c1 + 1], ys[r1 + 1]))
            continue
        for r in range(r0, r1 + 1):  # an L or U shape: one area per row of it
            start = None
            for c in range(c0, c1 + 2):
                mine = c <= c1 and group[r][c] == name
                if mine and start is None:
                    start = c
                elif not mine and start is not None:
                    areas.append(Area(xs[start], ys[r], xs[c], ys[r + 1]))
                    start = None
    return areas
