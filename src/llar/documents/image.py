"""Pictures of text (png, jpeg, tiff, bmp, gif, webp): what can be recognised on them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import DocumentError, LimitExceeded
from ..records import MetadataValue
from .ocr import Recogniser, fit, page_ranges
from .parsed import ParsedText
from .pdf_layout import lay_out
from .pdf_text import assemble

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_PIXELS = 150_000_000  # of one picture; decoding takes up to eight bytes for each
_MOST_PAGES = 5_000


def parse(data: bytes, kind: str, recogniser: Recogniser | None) -> ParsedText:
    """The text recognised on a picture; each page of a TIFF file is a page.

    Of a moving picture the first frame is read. Raises LimitExceeded for one too large to
    decode, DocumentError for a damaged one.
    """
    notes: list[str] = []
    frames = _frames(data, kind, notes)
    try:
        laid = []
        total = 0
        for number, frame in enumerate(frames, 1):
            total = number
            found = recogniser.page(fit(frame), number) if recogniser else None
            if found is not None:
                laid.append(lay_out(found.sheet))
    except (OSError, ValueError, SyntaxError, EOFError) as e:  # how Pillow's decoders complain
        raise DocumentError(f"is a damaged {kind} picture ({e})") from e
    text, blocks, spans, _ = assemble(laid)
    metadata: dict[str, MetadataValue] = {}
    if recogniser is not None:
        if recogniser.read:
            metadata["recognised"] = page_ranges(list(recogniser.read))
        notes += recogniser.take_notes()
    else:
        notes.append("pictures of text were not recognised")
    if total > 1:
        metadata["pages"] = total
    return ParsedText(text, blocks, spans, metadata=metadata, notes=tuple(notes))


def _frames(data: bytes, kind: str, notes: list[str]) -> Iterator[Image]:
    """The pages of a picture, upright as its camera noted, grey, on white."""
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # checked here, with words of our own
    try:
        picture = Pillow.open(io.BytesIO(data), formats=(kind.upper(),))
    except (OSError, ValueError, SyntaxError) as e:
        raise DocumentError(f"is a damaged {kind} picture") from e
    count = int(getattr(picture, "n_frames", 1))
    if count > 1 and kind != "tiff":
        notes.append(f"is a moving picture: the first of its {count} frames was read")
        count = 1
    if count > _MOST_PAGES:
        raise LimitExceeded(f"has {count} pages; at most {_MOST_PAGES} are read")
    for number in range(count):
        picture.seek(number)
        if picture.width * picture.height > _MOST_PIXELS:
            raise LimitExceeded(
                f"is a picture of {picture.width} x {picture.height} pixels;"
                f" at most {_MOST_PIXELS // 10**6} million are read"
            )
        yield _grey(picture)


def _grey(picture: Image) -> Image:
    from PIL import Image as Pillow
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):  # 16 bits a pixel, which convert() would cut off at 255
        return upright.convert("I").point(lambda value: value / 256).convert("L")
    if upright.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Pillow.new("RGBA", upright.size, "white")
        upright = Pillow.alpha_composite(white, upright)
    return upright.convert("L")
