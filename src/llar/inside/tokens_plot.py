"""Tokens as pictures: how many each tokenizer makes of a text, or of parallel sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..pictures import style
from .tokens import Cost, Tokenized

__all__ = ["draw", "draw_languages"]


def draw(file: Path, found: Sequence[Tokenized], theme: str = "light") -> None:
    """Bars of the number of tokens by tokenizer. Raises PictureError as `style.drawing`."""
    colours = style.theme_of(theme)
    height = max(3.0, 1.6 + 0.62 * len(found))
    with style.drawing(file, theme, height=height) as figure:
        axes = figure.subplots()
        axes.barh([_name(each.tokenizer) for each in found], [each.count for each in found],
                  height=0.62, color=colours.series_colour(0))  # fmt: skip
        for place, each in enumerate(found):
            share = each.characters_per_token
            about = f" {each.count:,}" + (f"   {share:.1f} characters each" if share else "")
            about += f"   {each.unknown} unknown" if each.unknown else ""
            axes.text(each.count, place, about, va="center", color=colours.text)
        axes.invert_yaxis()
        axes.set_xlim(0, max(1, *(each.count for each in found)) * 1.45)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        style.heading(figure, f"Tokens of a text of {found[0].characters:,} characters")
        figure.tight_layout()


def draw_languages(file: Path, found: Sequence[Cost], theme: str = "light") -> None:
    """Bars of the number of tokens by language, a panel for each tokenizer.

    Each bar is as long as its ratio to the first language. Raises PictureError as `style.drawing`.
    """
    colours = style.theme_of(theme)
    names = list(dict.fromkeys(cost.tokenizer for cost in found))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    count = len({cost.language for cost in found})
    widest = max(cost.ratio for cost in found)
    with style.drawing(file, theme, height=max(2.6, rows * (1.0 + 0.42 * count)) + 0.7) as figure:
        style.heading(figure, "The same sentence in tokens")
        for n, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            if n >= len(names):
                axes.set_visible(False)
                continue
            costs = [cost for cost in found if cost.tokenizer == names[n]]
            # One scale for all panels: the first language is as long everywhere.
            axes.set_xlim(0, widest * 1.6 * max(1, costs[0].count))
            for place, cost in enumerate(costs):
                colour = colours.muted if place == 0 else colours.series_colour(0)
                axes.barh(place, cost.count, height=0.66, color=colour)
                axes.text(cost.count, place, f" {cost.count}" + (f"  ×{cost.ratio:.2f}" if place
                          else ""), va="center", size=12, color=colours.text)  # fmt: skip
            axes.set_yticks(range(len(costs)), [cost.language for cost in costs])
            axes.invert_yaxis()
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.set_title(_name(names[n]), size=13)
        figure.tight_layout()


def _name(tokenizer: str) -> str:
    return style.short(tokenizer.rpartition(":")[2].rpartition("/")[2], 28)
