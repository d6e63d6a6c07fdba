"""Decoding as a picture: the likeliest tokens, by the model and after a method's filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..pictures import style
from .methods import Continuation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .generation import Candidate, Step

__all__ = ["PANELS", "draw"]

PANELS = 12  # that are still legible on a slide
_BARS = 7  # candidates in a panel
_LABEL = 14  # characters of a token's label


def draw(file: Path, prompt: str, found: Sequence[Continuation], theme: str = "light") -> int:
    """Draw one method's first steps, or the first step of several methods; one panel each.

    Returns how many panels there are, at most PANELS. Raises PictureError as `style.drawing`.
    """
    if len(found) == 1:
        panels = [(f"step {step.place + 1}", step) for step in found[0].steps[:PANELS]]
        title = f"{found[0].method}: {style.short(prompt, 60)}"
        if any(c.beam is not None for _, step in panels for c in step.candidates):
            title += "   (1: goes on with the first beginning)"
    else:
        panels = [(c.method, c.steps[0]) for c in found if c.steps][:PANELS]
        title = f"Next token after “{style.short(prompt, 60)}”"
    rows = 1 if len(panels) < 3 else 2 if len(panels) < 7 else 3
    columns = max(1, -(-len(panels) // rows))
    colours = style.theme_of(theme)
    with style.drawing(file, theme, width=style.WIDTH * 1.3, height=style.HEIGHT * 1.3) as figure:
        style.heading(figure, title)
        grid = figure.subplots(rows, columns, squeeze=False)
        # What is all for one token runs over the edge: it says nothing about the others.
        shares = [max(c.before, c.after) for _, step in panels if step.kept > 1
                  for c in step.candidates] or [1.0]  # fmt: skip
        for n, axes in enumerate(grid.flat):
            if n >= len(panels):
                axes.set_visible(False)
                continue
            name, step = panels[n]
            _panel(axes, name, step, colours, max(shares))
        _legend(figure, colours)
        figure.tight_layout(rect=(0, 0.05, 1, 0.97))
    return len(panels)


def _panel(axes: Axes, name: str, step: Step, theme: style.Theme, highest: float) -> None:
    """Bars from the top down: what the model gives, and over it what the method leaves."""
    rows = _rows(step)
    colour, chosen = theme.series_colour(0), theme.series_colour(1)
    for place, candidate in enumerate(rows):
        share = (candidate.after or candidate.before) if candidate.kept else candidate.before
        axes.barh(place, min(candidate.before, highest), height=0.78, color=theme.grid)
        if candidate.kept:
            axes.barh(place, min(share, highest), height=0.42,
                      color=chosen if candidate.chosen else colour)  # fmt: skip
        end = min(max(share, candidate.before), highest)
        axes.text(end, place, f" {_percent(share)}", va="center", size=10.5,
                  color=theme.text if candidate.kept else theme.muted)  # fmt: skip
    labels = [_label(c) for c in rows]
    axes.set_yticks(range(len(rows)), labels)
    for tick, candidate in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(theme.text if candidate.kept else theme.muted)
        tick.set_fontweight("bold" if candidate.chosen else "normal")
    axes.set_ylim(_BARS - 0.4, -0.6)
    axes.set_xlim(0, highest * 1.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    kept = "all" if step.kept == step.of else f"{step.kept:,}"
    axes.set_title(f"{name}: keeps {kept}", size=13)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}" if share >= 0.0005 else "< 0.1%"


def _rows(step: Step) -> list[Candidate]:
    """The first candidates, and the chosen one in the place of the last where it is not there."""
    rows = list(step.candidates[:_BARS])
    if not any(c.chosen for c in rows):
        rows[-1] = step.chosen
    return rows


def _label(candidate: Candidate) -> str:
    text = candidate.text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    beam = f"{candidate.beam + 1}: " if candidate.beam is not None else ""
    return beam + (text if len(text) <= _LABEL else text[: _LABEL - 1] + "…")


def _legend(figure: object, theme: style.Theme) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    assert isinstance(figure, Figure)
    figure.legend(
        handles=[
            Patch(color=theme.grid, label="by the model"),
            Patch(color=theme.series_colour(0), label="after the method's filters"),
            Patch(color=theme.series_colour(1), label="taken"),
        ],
        loc="lower left", ncols=3, frameon=False, bbox_to_anchor=(0.005, 0.0), fontsize=13,
    )  # fmt: skip
