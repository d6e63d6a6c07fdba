"""A map of meanings as a picture, and the cosines of all pairs as a heat map."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InsideError
from ..pictures import style
from .map import Map, Vectors, by_group, cosine_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_map", "draw_matrix", "subtitle"]

_TEXTS = 20  # points up to which each gets its text
_NAMED = 60  # and up to which the names of groups stand beside them, not in a key
_GROUPS = 16  # groups beyond which the rest is drawn alike
_NUMBERS = 12  # texts up to which a matrix shows its numbers
_LISTED = 40  # and up to which it names its rows
_LARGEST_MATRIX = 2000


def subtitle(drawn: Map) -> str:
    """How the plane came about, in a line."""
    many = f"{len(drawn.points):,} text{'s' if len(drawn.points) != 1 else ''}"
    if drawn.variance is None:
        return f"{many} by UMAP, {drawn.embedder}"
    first, second = (round(100 * share) for share in drawn.variance)
    return (f"{many} by PCA ({first} % and {second} % of the variance), "
            f"{drawn.embedder}")  # fmt: skip


def draw_map(file: Path, drawn: Map, theme: str = "light") -> tuple[str, ...]:
    """Write a PNG, SVG or PDF; returns what could not be shown on it, as sentences.

    Up to 20 points carry their text; beyond 60, the groups are named in a key at the side.
    Raises PictureError as `style.drawing`.
    """
    colours = style.theme_of(theme)
    points = [(p.x, p.y) for p in drawn.points]
    few = len(points) <= _NAMED
    key = not few and len(drawn.groups) > 1
    with style.drawing(file, theme) as figure:
        figure.text(0.03, 0.925, style.short(drawn.title, 62), size=18, weight="bold")
        figure.text(0.03, 0.875, style.short(subtitle(drawn), 105), size=11, color=colours.muted)
        axes = figure.add_axes((0.02, 0.02, 0.66 if key else 0.96, 0.83))
        style.bare(axes)
        _limits(axes, points, few=few)
        radius = 5.5 if few else 3.5 if len(points) <= 400 else 2.2
        notes = _dots(axes, drawn, colours, radius)
        if few:
            notes += _texts(axes, drawn, colours, radius)
        elif key:
            side = figure.add_axes((0.7, 0.02, 0.29, 0.83))
            style.bare(side)
            _key(side, drawn, colours)
    return tuple(notes)


def _texts(axes: Axes, drawn: Map, colours: style.Theme, radius: float) -> list[str]:
    """The name of each group and the text of each point."""
    from ..pictures.labels import Room

    points, notes = [(p.x, p.y) for p in drawn.points], []
    room = Room(axes, points, radius)
    if len(drawn.groups) > 1:
        named = drawn.groups[:_GROUPS]
        middles = [_middle(drawn, g.name) for g in named]
        names = [style.short(g.name, 26) for g in named]
        lines = [_sign(n, colours)[0] for n in range(len(names))]
        lost = style.place(
            axes, middles, names, theme=colours, room=room, size=14, underlined=lines
        )
        if lost:
            notes.append(f"{len(lost)} of {len(names)} groups found no room for their name")
    if len(points) > _TEXTS:
        return [*notes, f"texts stand beside up to {_TEXTS} points; --html shows those of all"]
    texts = [_wrapped(p.text) for p in drawn.points]
    lost = style.place(axes, points, texts, theme=colours, room=room, size=10.5)
    if lost:
        notes.append(f"{len(lost)} of {len(texts)} texts found no room")
    return notes


def _key(axes: Axes, drawn: Map, colours: style.Theme) -> None:
    """The groups one under the other, each with its sign and how many points it has."""
    shown = drawn.groups[:_GROUPS]
    rest = len(drawn.groups) - len(shown)
    rows = len(shown) + (rest > 0)
    axes.set_xlim(0, 1)
    axes.set_ylim(_GROUPS + 1, 0)
    top = (_GROUPS + 1 - rows) / 3
    for n, group in enumerate(shown):
        at = top + n + 0.5
        colour, shape = _sign(n, colours)
        axes.plot([0.05], [at], shape, color=colour, markersize=10)
        axes.text(
            0.12, at, f"{style.short(group.name, 24)}  {group.size:,}", size=11.5, va="center"
        )
    if rest:
        size = sum(g.size for g in drawn.groups[_GROUPS:])
        at = top + len(shown) + 0.5
        axes.plot([0.05], [at], "o", color=colours.muted, markersize=5)
        axes.text(0.12, at, f"{rest} others  {size:,}", size=11.5, va="center")


def _sign(group: int, colours: style.Theme) -> tuple[str, str]:
    """Colour and shape of a group; beyond eight the colours begin anew, with another shape."""
    shape = style.SHAPES[(group + group // 8) % len(style.SHAPES)]
    return colours.series_colour(group), shape


def _limits(axes: Axes, points: Sequence[tuple[float, float]], *, few: bool) -> None:
    """Room around the points for their texts, the same length for the same step both ways."""
    at = np.asarray(points, float)
    low, high = at.min(axis=0), at.max(axis=0)
    box = axes.get_window_extent()
    # Texts are wide, so that more room is left at the sides.
    used = (box.width * 0.66, box.height * 0.76) if few else (box.width * 0.94, box.height * 0.94)
    step = float(max((high - low) / used)) or 1.0 / box.width
    middle, half = (low + high) / 2, step * np.array([box.width, box.height]) / 2
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def _dots(axes: Axes, drawn: Map, colours: style.Theme, radius: float) -> list[str]:
    """All points, a colour and a shape for each group; the smallest groups are alike."""
    named = {g.name: n for n, g in enumerate(drawn.groups[:_GROUPS])}
    rest = len(drawn.groups) - len(named)
    at = np.array([(p.x, p.y) for p in drawn.points])
    of = np.array([named.get(p.group, -1) for p in drawn.points])
    many = len(at) > 400
    for n in sorted({*of.tolist()}):
        own = at[of == n]
        colour, shape = _sign(n, colours) if n >= 0 else (colours.muted, "o")
        axes.plot(own[:, 0], own[:, 1], shape, color=colour, markersize=2 * radius,
                  markeredgecolor=colours.background, markeredgewidth=0 if many else 0.8,
                  alpha=0.8 if many else 1, linestyle="none", zorder=3)  # fmt: skip
    if rest:
        return [f"the {rest} smallest of {len(drawn.groups)} groups are drawn alike, in grey"]
    return []


def _middle(drawn: Map, group: str) -> tuple[float, float]:
    own = np.array([(p.x, p.y) for p in drawn.points if p.group == group])
    x, y = own.mean(axis=0)
    return float(x), float(y)


def _wrapped(text: str) -> str:
    """At most two lines of a label."""
    lines = textwrap.wrap(style.short(text, 200), 28)
    if len(lines) > 2:
        lines = [lines[0], style.short(f"{lines[1]} {lines[2]}", 28)]
    return "\n".join(lines)


def draw_matrix(file: Path, drawn: Map, vectors: Vectors, theme: str = "light") -> tuple[str, ...]:
    """Write the cosines of all pairs as a heat map, in order of the groups.

    Up to 12 texts with their numbers, up to 40 with their names. Returns what could not be shown;
    raises InsideError for more than 2,000 texts, PictureError as `style.drawing`.
    """
    many = len(drawn.points)
    if many > _LARGEST_MATRIX:
        raise InsideError(
            f"a matrix of {many:,} texts cannot be read; expected at most {_LARGEST_MATRIX:,}",
            fix=f"--points {_LARGEST_MATRIX}",
        )
    colours = style.theme_of(theme)
    drawn, vectors = by_group(drawn, vectors)
    cosines = cosine_matrix(vectors)
    listed = many <= _LISTED
    with style.drawing(file, theme, height=7.5) as figure:
        figure.text(0.03, 0.945, style.short(drawn.title, 62), size=18, weight="bold")
        about = f"cosine of each pair of {many:,} texts, {drawn.embedder}"
        figure.text(0.03, 0.905, style.short(about, 105), size=11, color=colours.muted)
        axes = figure.add_axes((0.36, 0.04, 0.58, 0.8) if listed else (0.2, 0.04, 0.7, 0.82))
        _cells(axes, cosines, colours)
        if listed:
            size = 12 if many <= _NUMBERS else 10 if many <= 25 else 7.5
            names = [f"{style.short(p.text, 34)}  {n}" for n, p in enumerate(drawn.points, 1)]
            axes.set_yticks(range(many), names, size=size)
            axes.set_xticks(range(many), [str(n) for n in range(1, many + 1)], size=size)
            axes.xaxis.tick_top()
        else:
            style.bare(axes)
            _edges(axes, drawn, colours)
        axes.tick_params(length=0)
    return () if listed else ("texts are named in a matrix of up to 40",)


def _cells(axes: Axes, cosines: Vectors, colours: style.Theme) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("ramp", colours.ramp)
    low = min(0.0, float(cosines.min()))
    image = axes.imshow(cosines, cmap=ramp, vmin=low, vmax=1, interpolation="nearest")
    for spine in axes.spines.values():
        spine.set_visible(False)
    many = len(cosines)
    if many > _NUMBERS:
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.colorbar(image, ax=axes, shrink=0.6, pad=0.03).ax.tick_params(length=0)
        return
    for row in range(many):
        for column in range(many):
            value = float(cosines[row, column])
            shade = ramp((value - low) / (1 - low))
            ink = max(("black", "white"), key=lambda c: style.contrast(c, shade))
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink,
                      size=12 if many <= 10 else 10)  # fmt: skip


def _edges(axes: Axes, drawn: Map, colours: style.Theme) -> None:
    """Where a group ends, with the names of those that are tall enough."""
    at = -0.5
    for group in drawn.groups:
        end = at + group.size
        if len(drawn.groups) > 1 and group.size >= len(drawn.points) / 28:
            axes.text(-0.012 * len(drawn.points), (at + end) / 2, style.short(group.name, 14),
                      ha="right", va="center", size=11)  # fmt: skip
        if end < len(drawn.points) - 1 and group.size >= len(drawn.points) / 100:
            axes.axhline(end, color=colours.background, linewidth=1)
            axes.axvline(end, color=colours.background, linewidth=1)
        at = end
