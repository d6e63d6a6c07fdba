"""Pictures: colours that can be told apart, labels that do not touch, the same bytes each time."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.text import Text
from numpy.typing import NDArray

from llar.cli import cli
from llar.errors import PictureError
from llar.pictures import style
from llar.pictures.labels import Room
from llar.pictures.style import THEMES, Theme

# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3).tolist(),
}  # fmt: skip


def linear(colour: str) -> NDArray[np.float64]:
    """sRGB as linear light, each 0 to 1."""
    parts = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    found: NDArray[np.float64] = np.where(
        parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4
    )
    return found


def contrast(first: str, second: str) -> float:
    """WCAG 2.2's contrast ratio, from its definition."""
    light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (first, second))
    return (light[1] + 0.05) / (light[0] + 0.05)


def oklab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Björn Ottosson's OKLab, in which distances are those that people see."""
    cones = np.cbrt(np.clip(light, 0, 1) @ np.array([
        [0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]).T)  # fmt: skip
    found: NDArray[np.float64] = cones @ np.array([
        [0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]).T  # fmt: skip
    return found


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_text_and_marks_stand_out(theme: Theme) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast(theme.text, theme.background) >= 7
    assert contrast(theme.muted, theme.background) >= 4.5
    for colour in theme.series:
        assert contrast(colour, theme.background) >= 3
        assert style.contrast(colour, theme.background) == pytest.approx(
            contrast(colour, theme.background)
        )
    # a cell's number is black or white, whichever stands out from it
    for low, high in itertools.pairwise(theme.ramp):
        for share in np.linspace(0, 1, 20):
            ends = [[int(c[n : n + 2], 16) for n in (1, 3, 5)] for c in (low, high)]
            mixed = "#" + "".join(
                f"{round(a * (1 - share) + b * share):02x}" for a, b in zip(*ends, strict=True)
            )
            assert max(contrast(mixed, "#000000"), contrast(mixed, "#ffffff")) >= 4.5


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
@pytest.mark.parametrize("sight", BLINDNESS)
def test_series_can_be_told_apart_by_everybody(theme: Theme, sight: str) -> None:
    seen = [oklab(linear(colour) @ np.array(BLINDNESS[sight]).T) for colour in theme.series]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) > 0.08
    first = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen[:3], 2)]
    assert min(first) > 0.12
    assert len(theme.series) == len(style.SHAPES) == 8


@pytest.mark.parametrize("ending", style.ENDINGS)
def test_the_same_drawing_is_the_same_bytes(ending: str, tmp_path: Path) -> None:
    written = []
    for name in "ab":
        file = tmp_path / (name + ending)
        with style.drawing(file, "dark") as figure:
            axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
            axes.plot([1, 2, 3], [3, 1, 2], "o-", label="ő")
            axes.fill_between([1, 2], [0, 1], hatch="/")  # SVG gives patterns and clips an id
            axes.set_title("árvíztűrő tükörfúrógép, l·l, ñ")
        written.append(file.read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) > 3000


def test_pictures_need_no_font_of_the_reader(tmp_path: Path) -> None:
    with style.drawing(tmp_path / "a.svg") as figure:
        figure.text(0.1, 0.1, "cost: 5 $ or 6 $, x_1^2, \\frac")
    written = (tmp_path / "a.svg").read_text()
    assert "<text" not in written
    assert "http" not in written.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")


def test_characters_without_a_glyph_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), style.drawing(tmp_path / "a.png") as figure:
        figure.text(0.1, 0.5, "ok ő 漢字")
    assert caplog.messages == ["the font of pictures has no glyph for 2 characters: 字 漢"]


def test_files_that_cannot_be_drawn_to(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"ends in \.png, \.svg, \.pdf"):
        style.check(tmp_path / "a.gif")
    with pytest.raises(PictureError, match="there is no folder"):
        style.check(tmp_path / "none" / "a.png")
    with (
        pytest.raises(PictureError, match="no theme 'pink'"),
        style.drawing(tmp_path / "a.png", "pink"),
    ):
        pass
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PictureError, match="cannot be written"), style.drawing(tmp_path / "a.png"):
        pass


def test_texts_are_cut_between_words() -> None:
    assert style.short("a  b\n c", 20) == "a b c"
    assert style.short("one two three four", 12) == "one two…"
    assert style.short("Donaudampfschifffahrt", 10) == "Donaudamp…"
    assert style.short("x" * 20, 20) == "x" * 20
    assert len(style.short("ab " * 100, 33)) <= 33


@pytest.mark.parametrize("spread", [1.0, 0.05, 0.0])
@pytest.mark.parametrize("many", [1, 12, 20])
def test_labels_never_touch(many: int, spread: float, tmp_path: Path) -> None:
    generator = np.random.default_rng(many)
    points = [tuple(p) for p in (0.5 + spread * (generator.random((many, 2)) - 0.5)).tolist()]
    texts = [f"label {n} árvíztűrő\nand a second line" for n in range(many)]
    with style.drawing(tmp_path / "a.png") as figure:
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.9))
        axes.set_xlim(-0.2, 1.2)
        axes.set_ylim(-0.1, 1.1)
        dots = axes.plot([p[0] for p in points], [p[1] for p in points], "o", markersize=11)
        room = Room(axes, points, 5.5)
        lost = style.place(axes, points, texts, theme=THEMES["light"], room=room, size=10.5)
        canvas: Any = figure.canvas
        boxes = [t.get_window_extent(canvas.get_renderer()) for t in axes.texts]
        inside = axes.get_window_extent()
        marks = axes.transData.transform(points)
    assert len(dots) == 1
    assert len(boxes) + len(lost) == many
    if spread == 1.0:
        assert len(lost) <= many // 4
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    for box in boxes:
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1
        for x, y in marks:
            near_x, near_y = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
            assert np.hypot(near_x - x, near_y - y) > 5.5 * style.DPI / 72 * 0.8
    assert all(isinstance(t, Text) for t in axes.texts)


def test_without_matplotlib_the_command_to_install_it_is_told(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pathlib import Path\nfrom llar.pictures.style import check\n"
        f"check(Path({str(tmp_path / 'p.png')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'fix: pip install "llar[plot]"' in done.stderr


@pytest.mark.parametrize(
    "args", [("numbers", "bits", "1"), ("map", "a", "b"), ("tokens", "a"), ("sample", "a")]
)
def test_a_theme_without_a_picture_is_refused(args: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*args, "--theme", "dark"])
    assert done.exit_code == 2
    assert "it needs --plot" in done.output
