"""Variants as a picture: each measure's mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..pictures import style
from .statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot"]

_NAME = 28  # characters of a variant's name
_LINE, _FRAME = 0.55, 1.0  # inches of a variant, and of a panel's title and axis


def plot(
    file: Path,
    names: Sequence[str],
    measures: Sequence[str],
    found: Sequence[dict[str, Interval]],
    theme: str = "light",
) -> None:
    """Write a PNG, SVG or PDF, by the file's ending: one panel a measure, one line a variant.

    The first variant is grey, as is the dotted line at its mean. Raises PictureError as
    `style.drawing`.
    """
    columns = 2 if len(measures) in (2, 4) else min(len(measures), 3)
    rows = -(-len(measures) // columns)
    height = max(2.6, 0.8 + rows * (_FRAME + _LINE * len(names)))
    colours = style.theme_of(theme)
    with style.drawing(file, theme, width=style.WIDTH * 1.2, height=height) as figure:
        style.heading(figure, "Mean and 95 % interval")
        panels = figure.subplots(rows, columns, squeeze=False)
        for n, panel in enumerate(panels.flat):
            if n >= len(measures):
                panel.set_visible(False)
                continue
            _panel(panel, [of.get(measures[n]) for of in found], colours)
            panel.set_title(measures[n], size=14)
            shown = [style.short(name, _NAME) for name in names] if n % columns == 0 else []
            panel.set_yticks(range(len(names)), shown or [""] * len(names))
        figure.tight_layout()


def _panel(panel: Axes, found: Sequence[Interval | None], colours: style.Theme) -> None:
    for place, at in enumerate(found):
        if at is None:
            continue
        error = [[at.mean - at.low], [at.high - at.mean]]
        colour = colours.muted if place == 0 else colours.series_colour(0)
        panel.errorbar(at.mean, place, xerr=error, fmt="o", color=colour, capsize=4)
        panel.annotate(
            f"{at.mean:.3f}", (at.mean, place), (0, 7), textcoords="offset points",
            ha="center", size=11,
            bbox={"facecolor": colours.background, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    if found and found[0] is not None:
        panel.axvline(found[0].mean, color=colours.muted, linewidth=1, linestyle=":", zorder=0)
    panel.set_ylim(len(found) - 0.5, -0.8)
    panel.locator_params(axis="x", nbins=4)
    panel.grid(axis="x")
    panel.tick_params(axis="y", length=0)
