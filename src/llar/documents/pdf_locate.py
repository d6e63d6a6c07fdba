"""Where a quote stands on a page of a PDF, for showing it marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    return boxes_of(read_page(path, page, password=password), quote)


def boxes_of(sheet: Sheet, quote: str) -> list[Box]:
    """The same on a page that is read already."""
    whole = _find(sheet, quote)
    if whole:
        return _boxes(whole)
    parts = [p for line in quote.split("\n") for p in line.replace("\\|", " ").split("|")]
    found: dict[int, Word] = {}
    for part in parts:
        if not _letters(part):
            continue
        words = _find(sheet, part) or _stacked(sheet, part)
        if not words:
            return []
        found.update((id(w), w) for w in words)
    return _boxes(list(found.values()))


def _find(sheet: Sheet, quote: str) -> list[Word]:
    """The words that hold the quote's letters and digits in a row."""
    return next(_all(sheet, quote), [])


def _all(sheet: Sheet, quote: str) -> Iterator[list[Word]]:
    """Each place where words hold the quote's letters and digits in a row."""
    wanted = _letters(quote)
    in_file_order = sheet.words
    in_line_order = [w for line in run_lines(sheet.runs) for w in line]
    for words in (in_file_order, in_line_order):
        letters = [_letters(w.text) for w in words]
        whole = "".join(letters)
        start = whole.find(wanted) if wanted else -1
        while start >= 0:
            end, position = start + len(wanted), 0
            found: list[Word] = []
            for word, own in zip(words, letters, strict=True):
                if own and position < end and position + len(own) > start:
                    found.append(word)
                position += len(own)
            yield found
            start = whole.find(wanted, start + 1)


def _stacked(sheet: Sheet, cell: str) -> list[Word]:
    """The words of a cell whose lines the file holds apart, with other cells between them.

    Each line is the longest beginning of what is left that stands close under the one before.
    """
    rest = cell.split()
    found: list[Word] = []
    above: Box | None = None
    while rest:
        for count in range(len(rest), 0, -1):
            lines = (w for w in _all(sheet, " ".join(rest[:count])) if _under(above, w))
            line = next(lines, [])
            if line:
                break
        else:
            return []
        found, rest, above = found + line, rest[count:], bounds(line)
    return found


def _under(above: Box | None, line: Sequence[Word]) -> bool:
    """Does a line stand close under the one above it, in the same column?"""
    if above is None:
        return True
    x0, y0, x1, y1 = bounds(line)
    down = (y0 + y1) / 2 - (above[1] + above[3]) / 2
    return min(x1, above[2]) > max(x0, above[0]) and 0 < down < 2 * (above[3] - above[1])


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _boxes(words: Sequence[Word]) -> list[Box]:
    boxes: list[Box] = []
    for line in run_lines([[w] for w in words]):
        x0, y0, x1, y1 = bounds(line)
        boxes.append((x0, y0, x1 - x0, y1 - y0))
    return boxes
