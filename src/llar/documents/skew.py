"""How a picture of a page lies: on its side, and by how many degrees askew.

Lines of text make rows of dark and light. The sums of dark pixels along the rows differ most
from row to row where the rows are level (projection profiles: Postl 1986; Bloomberg, Kopec and
Dasari 1995).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 1_000  # pixels of the longer side of the picture that is measured
_MOST = 12.0  # degrees; a page skewed by more was not laid into a scanner
_LEAST = 0.15  # degrees that do no harm
_GAIN = 1.05  # how much sharper the rows must get for the picture to be turned

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def is_sideways(picture: Image) -> bool:
    """Whether the lines of text run up or down rather than across."""
    x, y = _ink(picture)
    if not len(x):
        return False
    return _best_angle(y, -x)[1] > 1.2 * _best_angle(x, y)[1]


def straighten(picture: Image) -> Image:
    """The picture turned so that its lines are level; itself where they are."""
    from PIL import Image as Pillow

    x, y = _ink(picture)
    if not len(x):
        return picture
    angle, sharpness = _best_angle(x, y)
    if abs(angle) < _LEAST or sharpness < _GAIN * _sharpness(x, y, 0.0):
        return picture
    return picture.rotate(angle, expand=True, fillcolor=255, resample=Pillow.Resampling.BICUBIC)


def _ink(picture: Image) -> Points:
    """Where the dark pixels are (the light ones on a dark page), in a smaller picture."""
    scale = min(1.0, _SIDE / max(picture.size))
    small = picture.convert("L")
    if scale < 1:
        small = small.resize(
            (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        )
    grey = np.asarray(small)
    level = (float(grey.mean()) + float(np.quantile(grey, 0.005))) / 2
    dark = grey < level
    if dark.mean() > 0.5:
        dark = ~dark
    y, x = np.nonzero(dark)
    return x.astype(np.float64), y.astype(np.float64)


def _best_angle(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """The angle in degrees, counter-clockwise, that levels the rows; how sharp they are then."""
    best = max((_sharpness(x, y, a), a) for a in np.arange(-_MOST, _MOST + 0.1, 0.5))
    fine = np.arange(best[1] - 0.5, best[1] + 0.51, 0.1)
    sharpness, angle = max((_sharpness(x, y, a), a) for a in fine)
    return float(angle), sharpness


def _sharpness(x: NDArray[np.float64], y: NDArray[np.float64], degrees: float) -> float:
    """How much the sums of rows differ from row to row, the page turned by an angle."""
    rows = y * np.cos(np.radians(degrees)) - x * np.sin(np.radians(degrees))
    sums = np.bincount((rows - rows.min()).astype(np.int64))
    return float(np.square(np.diff(sums)).sum())
