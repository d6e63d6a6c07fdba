"""PDF to Markdown text with pages, headings, lists and tables, through liteparse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DocumentError, LockedDocument
from ..records import MetadataValue
from .ocr import page_ranges
from .parsed import ParsedText
from .pdf_complete import complete
from .pdf_info import Info, join_info
from .pdf_layout import Laid, lay_out, open_table
from .pdf_library import RawDocument, open_raw
from .pdf_page import Sheet, read_sheet
from .pdf_scan import read_scans
from .pdf_tables import may_hold_tables
from .pdf_text import assemble
from .zipped import REMEDY

if TYPE_CHECKING:
    from liteparse import LiteParse
    from liteparse.types import ParseBatch, ParsedPage, ParseResult

    from .ocr import Recogniser

_BATCH = 32  # pages held at once
_MOST_PAGES = 1_000_000  # liteparse by itself stops at 1,000 and does not say so
_STRANGE = re.compile("[\ufffd\ue000-\uf8ff]")  # letters whose meaning the file does not tell
_MUCH = 0.2  # share of them above which a text layer is called garbled
_LISTED = 20  # pages named one by one in the notes
_FEW = 60  # a page with fewer letters is looked at for pictures
_PICTURE = 0.5  # share of such a page that a picture covers where the text is likely in it


def parse_pdf(
    path: Path, *, password: str | None = None, recogniser: Recogniser | None = None
) -> ParsedText:
    """Read a PDF's text layer; pages that have none and show a picture go to `recogniser`.

    Running headers and footers that repeat on three pages or more stay where they first occur;
    their repeats are left out of the text, and `metadata["running_lines"]` lists them.
    Raises LockedDocument without the right password, DocumentError where no page can be read.
    """
    with open_raw(path, password) as raw:
        return _parse(path, password, raw, recogniser)


def read_page(path: Path, number: int, *, password: str | None = None) -> Sheet:
    """The words and rules of one page (from 1) with their places. Raises as parse_pdf does."""
    pages = pages_of(path, password, [number])
    if not pages:
        raise DocumentError(f"has no page {number} that can be read")
    with open_raw(path, password) as raw:
        return next(_sheets(path, password, pages, raw))


def _parse(
    path: Path, password: str | None, raw: RawDocument | None, recogniser: Recogniser | None
) -> ParsedText:
    notes: list[str] = []
    pages: list[Laid] = []
    sparse: list[int] = []
    result: ParseResult | None = None
    total = 0
    for batch in _batches(path, password):
        result, total = batch.result, batch.total_pages
        failed = {e.page_num for e in result.page_errors}
        notes += [f"page {e.page_num}: could not be read ({e.message})" for e in result.page_errors]
        for sheet in _sheets(path, password, result.pages, raw):
            pages.append(lay_out(sheet, open_table(pages[-1]) if pages else None))
            letters = sum(len(w.text) for run in sheet.runs for w in run)
            if letters < _FEW and sheet.number not in failed:
                sparse.append(sheet.number)
            if _is_garbled(sheet):
                notes.append(f"page {sheet.number}: its text layer is garbled")
    if raw is None:
        notes.append("text that the parser leaves out could not be looked for")
    if result is None or not pages:
        raise DocumentError("; ".join(["has no page that can be read", *notes]))
    scanned, drawn, bare = _pictures(path, password, sparse)
    recognised = ""
    if recogniser is not None and (scanned or drawn or bare):
        pictures = sorted({*scanned, *drawn, *bare})
        read = read_scans(_source(path), password, pages, pictures, recogniser)
        scanned = [n for n in scanned if n not in read]
        drawn = [n for n in drawn if n not in read]
        recognised = page_ranges(list(recogniser.read))
        notes += recogniser.take_notes()
    notes += _each(scanned, "no text layer (scanned?)")
    notes += _each(drawn, "holds a drawing and no text")
    text, blocks, spans, running = assemble(pages)
    info = join_info(raw.info() if raw else {}, result.doc_meta)
    return ParsedText(
        text=text,
        blocks=blocks,
        pages=spans,
        title=info.title,
        author=info.author,
        created=info.created,
        modified=info.modified,
        metadata=_metadata(info, total, result, running, recognised),
        notes=tuple(notes),
    )


def _source(path: Path) -> Path | bytes:
    """What liteparse is given: it goes by the suffix, so a PDF under another name goes as bytes."""
    return path if path.suffix.lower() == ".pdf" else path.read_bytes()


def _batches(path: Path, password: str | None) -> Iterator[ParseBatch]:
    from liteparse import ParseError

    try:
        yield from _parser(password).parse_batches(_source(path), batch_size=_BATCH)
    except ParseError as e:
        raise _ours(e, password) from e
    except FileNotFoundError as e:
        raise DocumentError("is not there any more") from e


def pages_of(
    path: Path,
    password: str | None,
    numbers: Sequence[int],
    turned: Sequence[tuple[int, int]] = (),
) -> list[ParsedPage]:
    """These pages with word boxes."""
    from liteparse import ParseError

    chosen = ",".join(str(n) for n in numbers)
    try:
        result: ParseResult = _parser(password, chosen, turned, words=True).parse(_source(path))
    except ParseError as e:
        raise _ours(e, password) from e
    return result.pages


def _sheets(
    path: Path, password: str | None, pages: Sequence[ParsedPage], raw: RawDocument | None
) -> Iterator[Sheet]:
    """The pages' words and rules.

    Word boxes are costly and only tables need them: pages that may hold one are read again.
    """
    turns = {p.page_num: turn for p in pages if (turn := turn_of(p))}
    sheets = {p.page_num: read_sheet(p) for p in pages if p.page_num not in turns}
    again = [n for n, sheet in sheets.items() if may_hold_tables(sheet)]
    if again:
        sheets |= {p.page_num: read_sheet(p) for p in pages_of(path, password, again)}
    for page in pages:
        number = page.page_num
        if number in turns:
            turned = pages_of(path, password, [number], [(number, turns[number])])
            yield read_sheet(turned[0] if turned else page)
            continue
        sheet = sheets[number]
        if raw is not None:
            with raw.page(number) as plain:
                if plain is not None:
                    complete(plain, sheet)
        yield sheet


def turn_of(page: ParsedPage) -> int:
    """By how many degrees the content appears turned clockwise: where most text runs up or down."""
    letters: dict[int, int] = {}
    for item in page.text_items:
        quarter = round(item.rotation / 90) % 4
        letters[quarter] = letters.get(quarter, 0) + len(item.text)
    quarter = max(letters, key=lambda q: letters[q], default=0)
    mostly = quarter in (1, 3) and letters[quarter] > 0.7 * sum(letters.values())
    return 90 * quarter if mostly else 0


def _parser(
    password: str | None,
    pages: str | None = None,
    turned: Sequence[tuple[int, int]] = (),
    *,
    words: bool = False,
) -> LiteParse:
    from liteparse import LiteParse

    return LiteParse(
        ocr_enabled=False,
        quiet=True,
        num_workers=1,
        password=password,
        max_pages=_MOST_PAGES,
        target_pages=pages,
        page_orientation_corrections=list(turned) or None,
        output_format="text",
        preserve_very_small_text=True,
        continue_on_page_error=True,
        extract_links=False,
        emit_word_boxes=words,
        extract_text_metadata=True,
        extract_vector_graphics=True,
        extract_form_fields=True,
        extract_annotations=True,
        extract_document_metadata=True,
    )


def _ours(error: Exception, password: str | None) -> DocumentError:
    told = " ".join(str(error).split()).removeprefix("PDF error: ")
    if "password" in told.lower():
        if password is None:
            return LockedDocument(f"is locked with a password ({REMEDY})")
        return LockedDocument("is locked, and the given password does not open it")
    return DocumentError(f"is no PDF that can be read ({told})")


def _is_garbled(sheet: Sheet) -> bool:
    text = "".join(w.text for run in sheet.runs for w in run)
    return not text.isascii() and len(_STRANGE.findall(text)) > _MUCH * len(text)


def _pictures(
    path: Path, password: str | None, sparse: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Pages with next to no words: those that show a picture, a drawing, anything else."""
    if not sparse:
        return [], [], []
    from liteparse import ParseError

    try:
        seen = {s.page_number: s for s in _parser(password).is_complex(_source(path))}
    except ParseError as e:
        raise _ours(e, password) from e
    scanned: list[int] = []
    drawn: list[int] = []
    others: list[int] = []
    for number in sparse:
        stats = seen.get(number)
        if stats is None:
            continue
        bare = stats.text_length == 0
        if stats.full_page_image or stats.image_coverage > (0 if bare else _PICTURE):
            scanned.append(number)
        elif bare and stats.layout is not None and stats.layout.figure_count:
            drawn.append(number)
        elif bare:
            others.append(number)
    return scanned, drawn, others


def _each(pages: Sequence[int], what: str) -> list[str]:
    """A note for each page; one for all that come after the first few."""
    notes = [f"page {n}: {what}" for n in pages[:_LISTED]]
    if len(pages) > _LISTED:
        notes.append(f"pages {', '.join(str(n) for n in pages[_LISTED:])}: {what}")
    return notes


def _metadata(
    info: Info, total: int, result: ParseResult, running: Sequence[str], recognised: str
) -> dict[str, MetadataValue]:
    entries: dict[str, MetadataValue | None] = {
        "pages": total,
        "subject": info.subject,
        "keywords": info.keywords,
        "creator": result.creator,
        "producer": result.producer,
        "running_lines": " / ".join(running),
        "recognised": recognised,
    }
    return {name: value for name, value in entries.items() if value}
