"""A page of a document as a picture, and where a quote stands on it.

Files are not trusted: this runs in a child process (show_worker.py), which `serve/pictures_of.py`
starts and watches.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DocumentError, LimitExceeded
from .pdf_page import Box

if TYPE_CHECKING:
    from liteparse.types import ParsedPage
    from PIL.Image import Image

_MOST_PIXELS = 25_000_000  # of a page that is drawn
_MOST_DECODED = 150_000_000  # of a picture that is read
_PAPER = 11.7  # inches: the longer side of A4, which a photograph is taken to have
_POINTS = 72


def page_picture(path: Path, kind: str, page: int, dpi: float) -> bytes:
    """A page (from 1) of a PDF or picture as PNG, at `dpi` dots per inch or what its size allows.

    Pages whose text lies on its side are turned. A picture is never enlarged. Raises DocumentError
    where the file has no such page or is damaged.
    """
    drawn = _of_pdf(path, page, dpi) if kind == "pdf" else _of_picture(path, kind, page, dpi)
    out = io.BytesIO()
    drawn.save(out, "PNG", compress_level=4)
    return out.getvalue()


def quote_boxes(path: Path, page: int, quote: str) -> list[Box]:
    """Where a quote stands on a page of a PDF, one box (x0, y0, x1, y1) for each line.

    They are fractions of the width and height of its picture, from the top left. Empty where the
    page does not hold the quote as text, as a scan does not.
    """
    from .pdf import read_page
    from .pdf_locate import boxes_of

    sheet = read_page(path, page)
    return [
        (x / sheet.width, y / sheet.height, (x + w) / sheet.width, (y + h) / sheet.height)
        for x, y, w, h in boxes_of(sheet, quote)
    ]


def _of_pdf(path: Path, page: int, dpi: float) -> Image:
    from liteparse import LiteParse, ParseError
    from PIL import Image as Pillow

    parsed, turn = _page(path, page)
    area = parsed.width * parsed.height / _POINTS**2  # square inches
    parser = LiteParse(
        ocr_enabled=False,
        dpi=max(1.0, min(dpi, (_MOST_PIXELS / max(area, 0.01)) ** 0.5)),
        quiet=True,
        num_workers=1,
        max_pages=max(page, 1_000),
        target_pages=str(page),
        page_orientation_corrections=[(page, turn)] if turn else None,
        output_format="text",
        extract_screenshots=True,
    )
    try:
        if path.suffix.lower() == ".pdf":
            shots = parser.screenshot(path, page_numbers=[page])
        else:  # liteparse goes by the suffix, but for bytes
            shots = parser.parse(path.read_bytes()).screenshots or []
    except ParseError as e:
        told = " ".join(str(e).split())
        raise DocumentError(f"page {page} could not be drawn ({told})") from e
    if not shots:
        raise DocumentError(f"page {page} could not be drawn")
    Pillow.MAX_IMAGE_PIXELS = None  # its size was chosen above
    return Pillow.open(io.BytesIO(shots[0].image_bytes)).convert("RGB")


def _page(path: Path, page: int) -> tuple[ParsedPage, int]:
    """A page of a PDF, and by how many degrees its text is turned."""
    from .pdf import pages_of, turn_of

    found = pages_of(path, None, [page])
    if not found:
        raise DocumentError(f"has no page {page} that can be read")
    return found[0], turn_of(found[0])


def _of_picture(path: Path, kind: str, page: int, dpi: float) -> Image:
    from PIL import Image as Pillow
    from PIL import ImageOps

    Pillow.MAX_IMAGE_PIXELS = None  # checked here, with words of our own
    try:
        with Pillow.open(path, formats=(kind.upper(),)) as picture:
            pages = int(getattr(picture, "n_frames", 1)) if kind == "tiff" else 1
            if not 1 <= page <= pages:
                raise DocumentError(f"has no page {page}; it has {pages}")
            picture.seek(page - 1)
            if picture.width * picture.height > _MOST_DECODED:
                raise LimitExceeded(
                    f"is a picture of {picture.width} x {picture.height} pixels;"
                    f" at most {_MOST_DECODED // 10**6} million are shown"
                )
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits a pixel, which convert() would cut off
                upright = upright.convert("I").point(lambda value: value / 256).convert("L")
            longest = max(1, round(_PAPER * dpi))
            upright = upright.convert("RGBA" if _is_clear(upright) else "RGB")
            upright.thumbnail((longest, longest), Pillow.Resampling.LANCZOS)
            return upright
    except (OSError, ValueError, SyntaxError, EOFError) as e:  # how Pillow's decoders complain
        raise DocumentError(f"is a damaged {kind} picture ({e})") from e


def _is_clear(picture: Image) -> bool:
    return picture.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in picture.info
