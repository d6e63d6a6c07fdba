"""Text recognised from pictures of pages, through liteparse's Tesseract and Debian's data for it.

Nothing here reaches a network: liteparse fetches data only where no folder is named, and one is
always named.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DocumentError
from .pdf_page import Sheet, Word, read_sheet

if TYPE_CHECKING:
    from liteparse.types import ParsedPage
    from PIL.Image import Image

DPI = 300  # what Tesseract reads best; pictures are taken to have it
MOST_PIXELS = 25_000_000  # of one page; larger ones are made smaller, to bound memory
_PREFERRED = ("eng", "spa", "cat", "hun")
_SURE = 0.85  # mean confidence from which no other way up is tried
_WORD = 0.6  # confidence of a word that counts as read, when ways up are compared
_TALL = re.compile(r"[A-Z0-9bdfhkl\u00c0-\u00de]")
_HANGING = re.compile(r"[Qgjpqy,;()\[\]{}|/]")
_DOUBTFUL = 0.7  # mean confidence of a page that is likely to be misread


@dataclass(frozen=True, slots=True)
class Recognised:
    """One page as it was read: its words and how sure of them Tesseract is (0-1)."""

    sheet: Sheet
    confidence: float


@dataclass(slots=True)
class Recogniser:
    """Reads the pages of one file and keeps account of it. `seconds` bound the whole file.

    `languages` are Tesseract's names joined by "+"; empty takes those installed of eng, spa, cat
    and hun. `tessdata` is the folder that holds their files. `on_start` is called once, before
    the first page.
    """

    languages: str
    tessdata: Path
    seconds: float
    on_start: Callable[[], None] | None = None
    read: dict[int, float] = field(default_factory=dict)  # page -> confidence
    late: list[int] = field(default_factory=list)  # pages that there was no time for
    _spent: float = 0.0
    _chosen: tuple[str, ...] | None = None
    _missing: tuple[str, ...] = ()

    def page(self, picture: Image, number: int) -> Recognised | None:
        """What stands on a picture of a page, at 300 dots per inch; None where it cannot be read.

        The picture may lie on its side, stand on its head or be skewed. Raises DocumentError
        where Tesseract fails.
        """
        if not self.has_time(number):
            return None
        if self.on_start is not None and not self._spent:
            self.on_start()
        begun = time.monotonic()
        try:
            found = _best(picture, "+".join(self._languages()), self.tessdata)
        finally:
            self._spent += time.monotonic() - begun
        if not found.sheet.runs:
            return None
        found.sheet.number = number
        self.read[number] = found.confidence
        return found

    def has_time(self, number: int) -> bool:
        """Whether a page can be read at all; one that comes too late is named in the notes."""
        if not self.ready:
            return False
        if self._spent >= self.seconds:
            if number not in self.late:
                self.late.append(number)
            return False
        return True

    @property
    def ready(self) -> bool:
        """Whether there is data for any language; the notes say what to install."""
        return bool(self._languages())

    def take_notes(self) -> list[str]:
        """What a reader of the file must know about its recognised text; then starts anew."""
        notes: list[str] = []
        if not self.ready:
            wanted = self.languages.split("+")[0] or _PREFERRED[0]
            notes.append(
                f"pictures of text were not recognised: no Tesseract data in {str(self.tessdata)!r}"
                f" (install the Debian package {_package(wanted)}, or set tessdata)"
            )
        elif self.read:
            notes.append(self._account())
            notes += [
                f"language {name!r} was not used to recognise text: it is not in"
                f" {str(self.tessdata)!r} (install the Debian package {_package(name)})"
                for name in self._missing
            ]
        if self.late:
            notes.append(
                f"{_pages(self.late)}: not recognised, {self.seconds:g} s were used up"
                " (set ocr_seconds higher)"
            )
        self.read, self.late = {}, []
        return notes

    def _account(self) -> str:
        mean = sum(self.read.values()) / len(self.read)
        languages = "+".join(self._languages())
        note = (
            f"{_pages(list(self.read))}: recognised text (OCR), languages {languages},"
            f" mean confidence {mean:.2f}"
        )
        doubtful = [n for n, sure in self.read.items() if sure < _DOUBTFUL]
        return f"{note}; likely to be wrong: {_pages(doubtful)}" if doubtful else note

    def _languages(self) -> tuple[str, ...]:
        if self._chosen is None:
            there = {file.stem for file in self.tessdata.glob("*.traineddata")}
            wanted = tuple(n for n in self.languages.split("+") if n)
            self._chosen = tuple(n for n in wanted or _PREFERRED if n in there)
            self._missing = tuple(n for n in wanted if n not in there)
        return self._chosen


def fit(picture: Image) -> Image:
    """A grey picture of a size that Tesseract reads well and that fits into memory."""
    from PIL import Image as Pillow

    longest = max(picture.size)
    scale = min(3.0, max(1.0, 2400 / longest))
    scale = min(scale, (MOST_PIXELS / (picture.width * picture.height)) ** 0.5)
    if abs(scale - 1) < 0.02:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Pillow.Resampling.LANCZOS)


def page_ranges(numbers: Sequence[int]) -> str:
    """Page numbers with runs joined: "1, 3-5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _pages(numbers: Sequence[int]) -> str:
    return f"{'page' if len(numbers) == 1 else 'pages'} {page_ranges(numbers)}"


def _package(language: str) -> str:
    return f"tesseract-ocr-{language.lower().replace('_', '-')}"


def _best(picture: Image, languages: str, tessdata: Path) -> Recognised:
    """The page read in the way up that gives the surest words.

    Rows of dark and light tell lying pages from standing ones; heads from feet only reading can.
    """
    from .skew import is_sideways, straighten

    turns = (90, 270, 0, 180) if is_sideways(picture) else (0, 180, 90, 270)
    best, best_score = None, -1.0
    for turn in turns:
        upright = straighten(picture.rotate(turn, expand=True, fillcolor=255))
        page = _read(upright, languages, tessdata)
        words = [(i.text, i.confidence or 0.0) for i in page.text_items]
        letters = sum(len(text) for text, _ in words)
        confidence = sum(sure * len(text) for text, sure in words) / letters if letters else 0.0
        lying = _is_lying(page)
        score = 0.0 if lying else sum(sure * len(t) for t, sure in words if sure >= _WORD)
        if score > best_score:
            best, best_score = Recognised(_even(read_sheet(page)), confidence), score
        if (confidence >= _SURE and not lying) or (turn == turns[1] and not letters):
            break  # sure; or nothing to read, whichever way
    assert best is not None
    return best


def _is_lying(page: ParsedPage) -> bool:
    """Whether most longer words are taller than wide: Tesseract also reads lines on their side."""
    longer = [i for i in page.text_items if len(i.text) >= 4 and i.text.isalpha()]
    return sum(i.height > i.width for i in longer) * 2 > len(longer)


def _read(picture: Image, languages: str, tessdata: Path) -> ParsedPage:
    from liteparse import LiteParse, ParseError

    parser = LiteParse(
        ocr_enabled=True,
        ocr_language=languages,
        tessdata_path=str(tessdata),
        dpi=DPI,
        quiet=True,
        num_workers=1,
        output_format="text",
        preserve_very_small_text=True,
        emit_word_boxes=True,
    )
    try:
        result = parser.parse(_as_pdf(picture))
    except ParseError as e:
        told = " ".join(str(e).split())
        raise DocumentError(f"text could not be recognised ({told})") from e
    if not result.pages:
        raise DocumentError("text could not be recognised (Tesseract gave no page)")
    page: ParsedPage = result.pages[0]
    return page


def _as_pdf(picture: Image) -> bytes:
    """A PDF of one page that shows a grey picture at 300 dots per inch, without loss."""
    width, height = picture.size
    across, down = width * 72 / DPI, height * 72 / DPI
    packed = zlib.compress(picture.convert("L").tobytes(), 1)
    show = f"q {across:.4f} 0 0 {down:.4f} 0 0 cm /P Do Q".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {across:.4f} {down:.4f}]/Contents 4 0 R"
        "/Resources<</XObject<</P 5 0 R>>>>>>".encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(show), show),
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray"
        b"/BitsPerComponent 8/Filter/FlateDecode/Length %d>>stream\n%s\nendstream"
        % (width, height, len(packed), packed),
    ]
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table)
    return bytes(out)


def _even(sheet: Sheet) -> Sheet:
    """The words with one height and size per line.

    Tesseract's boxes hug each word's ink, so "on" seems set smaller than "long".
    """
    lines: list[list[Word]] = []
    for run in sheet.runs:
        for word in run:
            line = _line_of(word, lines)
            if line is None:
                lines.append([word])
            else:
                line.append(word)
    heights = sorted(h for line in lines for h in [_level(line)] * sum(len(w.text) for w in line))
    usual = heights[len(heights) // 2] if heights else 0.0
    for line in lines:
        height = line[0].y1 - line[0].y0
        size = usual if 0.6 * usual < height < 1.45 * usual else height
        for word in line:
            word.size = round(1.3 * size, 1)
    return sheet


def _level(line: Sequence[Word]) -> float:
    """Give the words of a line one top and one baseline; the height between them."""
    top = _median([w.y0 for w in line if _TALL.search(w.text)] or [w.y0 for w in line])
    standing = [w.y1 for w in line if not _HANGING.search(w.text)]
    bottom = _median(standing) if standing else _median([w.y1 - 0.2 * w.size for w in line])
    bottom = max(top + 1, bottom)
    for word in line:
        word.y0, word.y1 = top, bottom
    return bottom - top


def _line_of(word: Word, lines: Sequence[list[Word]]) -> list[Word] | None:
    """The line, among the last few, that goes on with a word to the right of its last."""
    for line in lines[-4:][::-1]:
        last = line[-1]
        height = min(last.y1 - last.y0, word.y1 - word.y0)
        shared = min(last.y1, word.y1) - max(last.y0, word.y0)
        near = -height < word.x0 - last.x1 < 4 * max(last.y1 - last.y0, height)
        if near and shared > 0.5 * height:
            return line
    return None


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
