"""Stored and quantised numbers as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InsideError
from ..pictures import style
from .numbers import shortened
from .quantise import Quantised
from .stored import Stored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_bits", "draw_quantised"]

_FEW = 16  # numbers that are drawn one by one
_MOST_DOTS = 4000  # beyond that every n-th is drawn, and the picture says so
_MOST_ROWS = 40
_LINE = 32  # bits beside each other; fp64 takes two lines
_START, _WIDE = 7.5, 50  # where bits begin, and the whole width, in bits
_ROW = 0.62  # inches of a line of bits
_DIGIT = 0.57  # width of a digit of a value, in bits
_PARTS = ("sign", "exponent", "mantissa", "whole number")  # and their places among the colours


def draw_bits(file: Path, stored: Sequence[Stored], theme: str = "light") -> None:
    """Each number's bits as boxes, coloured by what they are for, and the value that is kept.

    Raises InsideError for more than 40 rows, PictureError as `style.drawing`.
    """
    if not 1 <= len(stored) <= _MOST_ROWS:
        raise InsideError(
            f"a picture shows the bits of 1 to {_MOST_ROWS} numbers, here are {len(stored)}; "
            "--format chooses fewer formats"
        )
    colours = style.theme_of(theme)
    several = len({s.given for s in stored}) > 1
    heads = [several and (n == 0 or s.given != stored[n - 1].given) for n, s in enumerate(stored)]
    lines = sum(_height(s) for s in stored) + 0.8 * sum(heads)
    height = 1.5 + _ROW * lines
    with style.drawing(file, theme, height=height) as figure:
        axes = figure.add_axes((0.02, 0.02, 0.96, 1 - 0.8 / height))
        style.bare(axes)
        axes.set_xlim(0, _WIDE)
        axes.set_ylim(lines, -0.6)
        at = 0.0
        for row, head in zip(stored, heads, strict=True):
            if head:
                given = _minus(style.short(row.given, 40))
                axes.text(0, at + 0.5, given, size=15, va="center")
                at += 0.8
            _bits(axes, row, at, colours)
            at += _height(row)
        what = "How numbers are stored" if several else f"How {stored[0].given} is stored"
        figure.text(0.02, 1 - 0.42 / height, style.short(what, 60), size=18, weight="bold")
        _legend(axes, stored, colours)


def _legend(axes: Axes, stored: Sequence[Stored], colours: style.Theme) -> None:
    """The parts named above the first boxes, each in its colour."""
    parts = list(_PARTS[:3]) if any(s.sign for s in stored) else []
    if any(not s.sign and s.mantissa for s in stored):
        parts.append(_PARTS[3])
    at = float(_START)
    for name in parts:
        colour = colours.series_colour(_PARTS.index(name))
        axes.text(at, -0.25, "■", color=colour, size=15, va="center")
        axes.text(at + 1.2, -0.25, name, size=13, va="center")
        at += 2.6 + 0.75 * len(name)


def _height(row: Stored) -> float:
    return 1.0 if len(row.sign + row.exponent + row.mantissa) <= _LINE else 1.7


def _bits(axes: Axes, row: Stored, at: float, colours: style.Theme) -> None:
    from matplotlib.patches import Rectangle

    axes.text(0.4, at + 0.5, row.format.replace("-", " "), size=14, va="center", weight="bold")
    bits = row.sign + row.exponent + row.mantissa
    ends = (len(row.sign), len(row.sign + row.exponent))
    for n, bit in enumerate(bits):
        part = 3 if not row.sign else 0 if n < ends[0] else 1 if n < ends[1] else 2
        x, y = _START + n % _LINE, at + 0.14 + 0.74 * (n // _LINE)
        colour = colours.series_colour(part)
        axes.add_patch(Rectangle((x, y), 0.86, 0.66, facecolor=colour if bit == "1" else "none",
                                 edgecolor=colour, linewidth=1.4))  # fmt: skip
        ink = colours.background if bit == "1" else colours.text
        axes.text(x + 0.43, y + 0.35, bit, ha="center", va="center", size=9.5, color=ink)
    end = _START + min(len(bits), _LINE) + 0.5
    value = shortened(row.exact or "cannot be stored", int((_WIDE - end) / _DIGIT))
    axes.text(end, at + 0.5, _minus(value), size=12, va="center")


def _minus(text: str) -> str:
    """With the minus sign that the axes have."""
    return text.replace("-", "\N{MINUS SIGN}")


def draw_quantised(file: Path, of: Quantised, title: str, theme: str = "light") -> None:
    """Numbers, the levels they are rounded to, and the error of each.

    Up to 16 numbers are drawn one by one, more as a histogram. Raises PictureError as
    `style.drawing`.
    """
    colours = style.theme_of(theme)
    errors = of.errors
    with style.drawing(file, theme, height=6.6) as figure:
        figure.text(0.055, 0.945, style.short(title, 70), size=18, weight="bold")
        snr = "no error" if errors.snr is None else f"signal to noise {errors.snr:.1f} dB"
        figure.text(
            0.055, 0.9, f"{of.method}, {of.bits:.2f} bits per number, {snr}, "
            f"largest error {errors.largest:.3g}", size=13, color=colours.muted,
        )  # fmt: skip
        top = figure.add_axes((0.11, 0.455, 0.86, 0.345))
        bottom = figure.add_axes((0.11, 0.11, 0.86, 0.225))
        if of.values.size <= _FEW:
            _one_by_one(top, bottom, of, colours)
        else:
            _histogram(top, of, colours)
            _error_cloud(bottom, of, colours)


def _one_by_one(top: Axes, bottom: Axes, of: Quantised, colours: style.Theme) -> None:
    values, restored = of.values.ravel(), of.restored.ravel()
    places = np.arange(values.size)
    low, high = min(values.min(), restored.min(), 0), max(values.max(), restored.max(), 0)
    room = (high - low or 1) * 0.24
    top.set_ylim(low - room, high + room)
    for axes in (top, bottom):
        axes.set_xlim(-0.6, values.size - 0.4)
        axes.axhline(0, color=colours.muted, linewidth=1)
    top.vlines(places, 0, values, color=colours.grid, linewidth=2)
    top.plot(places, values, "o", color=colours.series_colour(0), markersize=9)
    top.plot(places, restored, "_", color=colours.series_colour(1), markersize=24,
             markeredgewidth=3)  # fmt: skip
    kept = np.zeros(values.size, bool) if of.kept is None else of.kept.ravel()
    size = 13 if values.size <= 10 else 11
    for n, code in enumerate(of.codes.ravel()):
        up = values[n] >= 0
        top.annotate("16 bit" if kept[n] else _minus(str(code)), (n, values[n]),
                     (0, 12 if up else -12), textcoords="offset points", ha="center",
                     va="bottom" if up else "top", size=size)  # fmt: skip
    top.set_xticks(places, [_minus(f"{v:.4g}") for v in values], size=size)
    top.set_title("number (dot), its code, and what the code restores (bar)", size=13)
    error = restored - values
    bottom.bar(places, error, width=0.5, color=colours.series_colour(2))
    bottom.set_xticks([])
    bottom.set_title("error: restored − given", size=13)
    reach = float(np.abs(error).max()) or 1.0
    bottom.set_ylim(-1.25 * reach, 1.25 * reach)


def _histogram(axes: Axes, of: Quantised, colours: style.Theme) -> None:
    """How often each level is used; for few levels, where the numbers lie between them."""
    scaled = of.scaled.ravel() if of.kept is None else of.scaled.ravel()[~of.kept.ravel()]
    low, high = float(of.levels[0]), float(of.levels[-1])
    few = len(of.levels) <= 32
    if few:
        step = (high - low) / 120
        counts, edges = np.histogram(scaled, np.arange(low - step / 2, high + step, step))
        for level in of.levels:
            axes.axvline(level, color=colours.series_colour(1), linewidth=1.6, zorder=3)
    else:
        counts, edges = np.histogram(scaled, np.arange(low - 0.5, high + 1, 1))
    axes.stairs(counts, edges, fill=True, color=colours.series_colour(0))
    used = len(np.unique(of.codes)) if of.kept is None else len(np.unique(of.codes[~of.kept]))
    total = len(of.levels)
    axes.set_title(f"numbers in units of their scale; {used} of {total} levels "
                   + ("(lines) " if few else "") + "are used", size=13)  # fmt: skip
    axes.set_xlim(low - (high - low) * 0.015, high + (high - low) * 0.015)
    axes.set_ylim(0, float(counts.max(initial=1)) * 1.06)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _error_cloud(axes: Axes, of: Quantised, colours: style.Theme) -> None:
    values, error = of.values.ravel(), (of.restored - of.values).ravel()
    every = -(-values.size // _MOST_DOTS)
    axes.plot(values[::every], error[::every], ".", color=colours.series_colour(2), markersize=3)
    axes.axhline(0, color=colours.muted, linewidth=1)
    sample = f"; 1 in {every} is drawn" if every > 1 else ""
    axes.set_title(f"error of each number{sample}", size=13)
    axes.set_xlabel("number")
    axes.set_ylabel("restored − given", size=12)
    reach = float(np.abs(error).max()) or 1.0
    axes.set_ylim(-1.15 * reach, 1.15 * reach)
    axes.locator_params(axis="y", nbins=4)
