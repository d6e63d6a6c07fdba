"""The look of every picture: legible on a slide, light or dark, the same bytes for the same input.

Colours were searched so that all pairs stay apart for normal sight and with protanopia,
deuteranopia and tritanopia (simulated after Machado, Oliveira and Fernandes 2009, distances in
OKLab), and so that marks have a contrast of at least 3 and text of at least 4.5 to the background
(WCAG 2.2, 1.4.3 and 1.4.11); a test computes both again.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PictureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .labels import Room

__all__ = ["ENDINGS", "SHAPES", "THEMES", "Theme", "bare", "check", "contrast", "drawing",
           "heading", "place", "short", "theme_of"]  # fmt: skip

ENDINGS = (".png", ".svg", ".pdf")
WIDTH, HEIGHT = 10.0, 5.625  # inches: 16:9, so that 14 points here are 18.7 on a 13.3-inch slide
DPI = 200
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")  # a second sign beside the colour
_FONT = "DejaVu Sans"  # comes with matplotlib
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture, as #rrggbb."""

    background: str
    text: str
    muted: str  # of axes and remarks
    grid: str  # lines to read by, not part of what is shown
    series: tuple[str, ...]  # of groups, in this order
    ramp: tuple[str, ...]  # from none to all, for heat maps

    def series_colour(self, number: int) -> str:
        """The colour of a group, counted from 0; they begin anew after the last."""
        return self.series[number % len(self.series)]


THEMES = {
    "light": Theme(
        "#ffffff", "#16202c", "#4b5768", "#d9dee5",
        ("#005aaa", "#c3780f", "#871e1e", "#2d87ff", "#c32d5a", "#8778b4", "#8700f0", "#4b3c78"),
        ("#f4f7fb", "#9cc3e8", "#3579bd", "#0a2f5c"),
    ),
    "dark": Theme(
        "#12161c", "#eef2f7", "#aab6c6", "#323b48",
        ("#56b4ff", "#ffb400", "#ff6978", "#c3e1a5", "#9669ff", "#a55a00", "#3c69b4", "#00f0ff"),
        ("#1a212b", "#1f4e82", "#4f97d8", "#d6ecff"),
    ),
}  # fmt: skip


def theme_of(name: str) -> Theme:
    """The theme of that name. Raises PictureError for one that there is not."""
    if name not in THEMES:
        raise PictureError(f"there is no theme {name!r}; expected one of {', '.join(THEMES)}")
    return THEMES[name]


def contrast(first: Any, second: Any) -> float:
    """The contrast of two colours as matplotlib takes them, 1 to 21 (WCAG 2.2)."""
    from matplotlib.colors import to_rgb

    found = []
    for colour in (first, second):
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        found.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(found) + 0.05) / (min(found) + 0.05)


def check(file: Path) -> None:
    """Raise PictureError where nothing could be drawn to this file, before any work is done."""
    if file.suffix.lower() not in ENDINGS:
        raise PictureError(f"{str(file)!r}: expected a name that ends in {', '.join(ENDINGS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise PictureError(
            "drawing needs matplotlib, which is not installed", fix='pip install "llar[plot]"'
        ) from None
    if not file.absolute().parent.is_dir():
        raise PictureError(f"there is no folder {str(file.absolute().parent)!r} to draw into")


@contextmanager
def drawing(
    file: Path, theme: str = "light", *, width: float = WIDTH, height: float = HEIGHT
) -> Iterator[Figure]:
    """A figure to draw on, of this size in inches; written to `file` when the block ends.

    PNG, SVG or PDF by the file's ending. Raises PictureError as `check` and `theme_of`, or where
    the file cannot be written. Characters that the font lacks are logged as a warning.
    """
    colours = theme_of(theme)
    check(file)
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_settings(colours)):
        figure = Figure(figsize=(width, height), dpi=DPI)
        FigureCanvasAgg(figure)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            yield figure
            _say_missing(figure)
            written = io.BytesIO()
            kind = file.suffix.lower().removeprefix(".")
            figure.savefig(written, format=kind, dpi=DPI, metadata=_dateless(kind))
    try:
        file.write_bytes(written.getvalue())
    except OSError as e:
        raise PictureError(f"{str(file)!r} cannot be written: {e.strerror or e}") from e


def _settings(theme: Theme) -> dict[Any, Any]:
    """matplotlib's settings: fonts, lines and colours of every picture."""
    return {
        "font.family": [_FONT], "font.size": 13, "axes.titlesize": 16, "axes.labelsize": 13,
        "xtick.labelsize": 12, "ytick.labelsize": 12, "text.parse_math": False,
        "axes.titlelocation": "left", "axes.titlepad": 12, "axes.linewidth": 1.2,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "lines.linewidth": 2.5, "lines.markersize": 9, "grid.linewidth": 0.9,
        "figure.facecolor": theme.background, "savefig.facecolor": theme.background,
        "axes.facecolor": theme.background, "text.color": theme.text, "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.text, "axes.titlecolor": theme.text, "grid.color": theme.grid,
        "xtick.color": theme.muted, "ytick.color": theme.muted,
        "xtick.labelcolor": theme.text, "ytick.labelcolor": theme.text,
        "svg.fonttype": "path", "svg.hashsalt": "llar", "pdf.fonttype": 42,
    }  # fmt: skip


def _dateless(kind: str) -> dict[str, Any]:
    """Metadata without the moment, which would make every file another."""
    return {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})


def _say_missing(figure: Figure) -> None:
    """Log the characters that the font has no glyph for; they are drawn as boxes."""
    from matplotlib.font_manager import findfont, get_font
    from matplotlib.text import Text

    drawn = {c for text in figure.findobj(Text) for c in str(getattr(text, "get_text")())}  # noqa: B009
    have = get_font(findfont(_FONT)).get_charmap()
    missing = sorted(c for c in drawn if c.isprintable() and ord(c) not in have)
    if missing:
        shown = " ".join(missing[:20]) + (" ..." if len(missing) > 20 else "")
        _log.warning("the font of pictures has no glyph for %d characters: %s", len(missing), shown)


def heading(figure: Figure, text: str) -> None:
    """The title of a picture of several panels, at its upper left."""
    figure.suptitle(
        text, x=0.01, y=1 - 0.15 / figure.get_figheight(), va="top", ha="left",
        size=18, weight="bold",
    )  # fmt: skip


def bare(axes: Axes) -> None:
    """Take the frame and the ticks away, for pictures whose axes say nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def short(text: str, most: int) -> str:
    """The text on one line, of at most that many characters, with an ellipsis where it was cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) <= most:
        return line
    cut = line[: most - 1]
    word = cut.rfind(" ")
    if word > most // 2 and line[most - 1] != " ":  # not inside a word, where that costs little
        cut = cut[:word]
    return cut.rstrip(" ,;:") + "…"


def place(
    axes: Axes,
    spots: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    theme: Theme,
    room: Room,
    size: float = 12,
    underlined: Sequence[str] = (),
) -> list[int]:
    """Write a text beside each spot so that nothing overlaps; returns those that found no room.

    Earlier texts choose first. Texts keep within the axes, clear of each other and of all that
    `room` knows to be taken. A line leads to a text that is further away. With `underlined`, a
    colour for each, they are names of groups: bold, and without a line to their spot.
    """
    axes.autoscale(False)
    left_out = []
    from .labels import UNDERLINE

    to_data = axes.transData.inverted().transform
    for number, (spot, text) in enumerate(zip(spots, texts, strict=True)):
        found = room.find(spot, text, size, name=bool(underlined))
        if found is None:
            left_out.append(number)
            continue
        (left, bottom, right, _), line = found
        lift = UNDERLINE * size * room.pixels if underlined else 0
        x, y = to_data((left, bottom + lift))
        axes.text(
            x, y, text, size=size, ha="left", va="bottom", color=theme.text,
            weight="bold" if underlined else "normal", linespacing=1.1, zorder=4,
        )  # fmt: skip
        if underlined:
            ends = to_data([(left, bottom), (right, bottom)])
            axes.plot(ends[:, 0], ends[:, 1], color=underlined[number], linewidth=3.5, zorder=4)
        if line:
            ends = to_data(line)
            axes.plot(ends[:, 0], ends[:, 1], color=theme.muted, linewidth=1, zorder=2)
    return left_out
