"""Pages of a PDF that are pictures of text: rendered, recognised and laid out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DocumentError
from .ocr import DPI, MOST_PIXELS, Recogniser
from .pdf_layout import Laid, Part, lay_out

if TYPE_CHECKING:
    from PIL.Image import Image

_POINTS = 72


def read_scans(
    source: Path | bytes,
    password: str | None,
    pages: list[Laid],
    scanned: Sequence[int],
    recogniser: Recogniser,
) -> set[int]:
    """Put the recognised text of the scanned pages into `pages`; returns those it was found on.

    The few words that a page has of its own (a stamp, a page number) are exact and stay, in
    front, where recognition did not find them too.
    """
    places = {page.number: i for i, page in enumerate(pages)}
    read_pages: set[int] = set()
    for number in scanned:
        place = places.get(number)
        if place is None or not recogniser.has_time(number):
            continue
        picture = _picture(source, password, number, pages[place].height)
        found = None if _is_blank(picture) else recogniser.page(picture, number)
        if found is None:
            continue
        before = pages[place]
        read = lay_out(found.sheet)
        read.label = before.label
        read.parts = _own(before.parts, read.parts) + read.parts
        pages[place] = read
        read_pages.add(number)
    return read_pages


def _own(parts: Sequence[Part], read: Sequence[Part]) -> list[Part]:
    """The parts of a page's own text whose words recognition did not find."""
    seen = {word for part in read for word in part.text.split()}
    return [p for p in parts if p.table is not None or not set(p.text.split()) <= seen]


def _is_blank(picture: Image) -> bool:
    low, high = picture.getextrema()
    return low == high


def _picture(source: Path | bytes, password: str | None, number: int, height: float) -> Image:
    """A page in grey, at 300 dots per inch or what its size allows."""
    from liteparse import LiteParse, ParseError
    from PIL import Image as Pillow

    # A page is taken for as wide as it is high: what is wider is rarely a scan.
    most = (MOST_PIXELS**0.5) * _POINTS / max(height, 1.0)
    parser = LiteParse(
        ocr_enabled=False,
        dpi=max(36.0, min(DPI, most)),
        quiet=True,
        num_workers=1,
        password=password,
        target_pages=str(number),
        max_pages=max(number, 1_000),
        output_format="text",
        extract_screenshots=True,
    )
    try:
        result = parser.parse(source)
    except ParseError as e:
        told = " ".join(str(e).split())
        raise DocumentError(f"page {number} could not be rendered ({told})") from e
    if not result.screenshots:
        raise DocumentError(f"page {number} could not be rendered")
    Pillow.MAX_IMAGE_PIXELS = None  # its size was chosen above
    return Pillow.open(io.BytesIO(result.screenshots[0].image_bytes)).convert("L")
