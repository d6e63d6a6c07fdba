"""Where labels go on a picture: beside their points, clear of everything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["UNDERLINE", "Room"]

UNDERLINE = 0.3  # height that the line under a group's name takes, in sizes of its font

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels
Spot = tuple[float, float]

_ANGLES = (0, 180, 90, 270, 35, 145, 325, 215, 65, 115, 295, 245)  # degrees, best first
_DISTANCES = (1.5, 3, 5, 8, 11, 15)  # times the points' radius
_STEP = 3.0  # pixels, by which a line is followed
_NEAR = 2.0  # further away a line leads to the label


class Room:
    """What of a picture's axes is still free. The figure must have its final layout and limits."""

    def __init__(self, axes: Axes, points: Sequence[Spot], radius: float) -> None:
        figure = axes.get_figure(root=True)
        assert figure is not None
        self._renderer: Any = cast("Any", figure.canvas).get_renderer()
        self._axes = axes
        self.pixels: float = figure.dpi / 72  # of a typographic point
        self._radius = radius * self.pixels
        inside = axes.get_window_extent(self._renderer)
        self._edge: Box = (inside.x0, inside.y0, inside.x1, inside.y1)
        spots = axes.transData.transform(np.asarray(points, float).reshape(-1, 2))
        near = self._radius * 1.15
        self._taken: NDArray[np.float64] = np.hstack([spots - near, spots + near])

    def find(
        self, point: Spot, text: str, size: float, *, name: bool = False
    ) -> tuple[Box, list[Spot]] | None:
        """Where a point's label goes, in pixels, and the line to it.

        None where there is no room. The place is taken afterwards. The name of a group is bold and
        needs no line.
        """
        width, height = self._measure(text, size, name)
        x, y = (float(v) for v in self._axes.transData.transform(point))
        for times in _DISTANCES:
            away = self._radius * times
            for angle in _ANGLES:
                turn = math.radians(angle)
                end = (x + away * math.cos(turn), y + away * math.sin(turn))
                left = end[0] - width * (1 - math.cos(turn)) / 2
                bottom = end[1] - height * (1 - math.sin(turn)) / 2
                box = (left, bottom, left + width, bottom + height)
                if not self._free(box):
                    continue
                edge = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
                line = self._line((x, y), edge) if times > _NEAR and not name else []
                if line is None:
                    continue
                self._take([box])
                if line:
                    self._take([(a - _STEP, b - _STEP, a + _STEP, b + _STEP)
                                for a, b in _along((x, y), edge)])  # fmt: skip
                return box, line
        return None

    def _measure(self, text: str, size: float, bold: bool) -> tuple[float, float]:
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=size, weight="bold" if bold else "normal")
        lines = text.split("\n")
        sizes = [self._renderer.get_text_width_height_descent(t, font, False) for t in lines]
        tall = max(*(h for _, h, _ in sizes), size * self.pixels)
        line = UNDERLINE * size * self.pixels if bold else 0
        return max(w for w, _, _ in sizes) + 2 * self.pixels, tall * 1.3 * len(lines) + line

    def _free(self, box: Box) -> bool:
        left, bottom, right, top = self._edge
        if box[0] < left or box[1] < bottom or box[2] > right or box[3] > top:
            return False
        t = self._taken
        return not bool(np.any(
            (t[:, 0] < box[2]) & (t[:, 2] > box[0]) & (t[:, 1] < box[3]) & (t[:, 3] > box[1])
        ))  # fmt: skip

    def _line(self, start: Spot, end: Spot) -> list[Spot] | None:
        """The line from a point to its label, None where it would cross something."""
        t = self._taken
        own = (t[:, 0] <= start[0]) & (t[:, 2] >= start[0])
        others = t[~(own & (t[:, 1] <= start[1]) & (t[:, 3] >= start[1]))]
        for x, y in _along(start, end):
            if np.any((others[:, 0] < x) & (others[:, 2] > x)
                      & (others[:, 1] < y) & (others[:, 3] > y)):  # fmt: skip
                return None
        return [start, end]

    def _take(self, boxes: Sequence[Box]) -> None:
        self._taken = np.vstack([self._taken, boxes])


def _along(start: Spot, end: Spot) -> list[Spot]:
    """Places on a line, so close that neither a label nor another line fits between."""
    steps = max(2, int(math.dist(start, end) / _STEP) + 1)
    return [(start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s)
            for s in np.linspace(0, 1, steps).tolist()]  # fmt: skip
