"""Where a quote stands on a page of a PDF, for showing it marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .pdf import read_page
from .pdf_page import Box, Sheet, Word, bounds, run_lines


def locate(path: Path, page: int, quote: str, *, password: str | None = None) -> list[Box]:
    """Boxes around the quote on a page (from 1), one per line it touches, top to bottom.

    A box is (x, y, width, height) in points from the page's top left corner. The quote is text of
    the parsed document: Markdown marks, line breaks and hyphens at line ends do not matter. Parts
    that stand apart on the page, as the cells of a table row, are looked for one by one. Empty
    where the page does not hold the quote. Raises what parse_pdf raises.
    """
    sheet = read_page(path, page, password=password)
    whole = _find(sheet, quote)
    if whole:
        return _boxes(whole)
    parts = [p for line in quote.split("\n") for p in line.replace("\\|", " ").split("|")]
    found: dict[int, Word] = {}
    for part in parts:
        if not _letters(part):
            continue
        words = _find(sheet, part)
        if not words:
            return []
        found.update((id(w), w) for w in words)
    return _boxes(list(found.values()))


def _find(sheet: Sheet, quote: str) -> list[Word]:
    """The words that hold the quote's letters and digits in a row."""
    wanted = _letters(quote)
    in_file_order = sheet.words
    in_line_order = [w for line in run_lines(sheet.runs) for w in line]
    for words in (in_file_order, in_line_order):
        letters = [_letters(w.text) for w in words]
        start = "".join(letters).find(wanted) if wanted else -1
        if start < 0:
            continue
        end, position = start + len(wanted), 0
        found: list[Word] = []
        for word, own in zip(words, letters, strict=True):
            if own and position < end and position + len(own) > start:
                found.append(word)
            position += len(own)
        return found
    return []


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _boxes(words: Sequence[Word]) -> list[Box]:
    boxes: list[Box] = []
    for line in run_lines([[w] for w in words]):
        x0, y0, x1, y1 = bounds(line)
        boxes.append((x0, y0, x1 - x0, y1 - y0))
    return boxes
