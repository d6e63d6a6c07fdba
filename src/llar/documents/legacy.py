"""Files in the containers of old office programs: which kind each is, and old Excel workbooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DocumentError, LockedDocument, UnsupportedFormat
from .cells import Grid, regions
from .compose import Composer, squeeze
from .number_formats import NumberFormats, read_format
from .parsed import ParsedText

if TYPE_CHECKING:
    from xlrd.book import Book
    from xlrd.sheet import Cell, Sheet

_CONVERTED = (  # stream that only this kind has, what it is called, what it is converted to
    ("WordDocument", "an old Word document (.doc)", "docx"),
    ("PowerPoint Document", "an old PowerPoint presentation (.ppt)", "pptx"),
)


def ole_format(data: bytes) -> str:
    """ "msg" or "xls"; the names of a file's streams tell.

    Raises LockedDocument for an encrypted office file, and UnsupportedFormat for kinds that no
    free library reads well, with the command that converts them.
    """

    def named(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if named("EncryptedPackage"):
        return _locked()
    if named("__substg1.0_") or named("__properties_version1.0"):
        return "msg"
    for stream, kind, new in _CONVERTED:
        if named(stream):
            raise UnsupportedFormat(
                f"is {kind}; convert it with: soffice --headless --convert-to {new} FILE"
            )
    if named("Workbook") or named("Book"):
        return "xls"
    raise UnsupportedFormat("is an OLE file of no kind llar reads")


def _locked() -> str:
    raise LockedDocument("is encrypted; open it with its password and save it without one")


def parse_xls(data: bytes, name: str) -> ParsedText:
    """An old workbook as `xlsx.parse` gives new ones: stored values, as the workbook shows them."""
    import xlrd

    try:
        with xlrd.open_workbook(
            file_contents=data, formatting_info=True, logfile=_Silent()
        ) as book:
            return _workbook(book)
    except xlrd.XLRDError as e:
        if "encrypted" in str(e):
            _locked()
        raise DocumentError(f"is a damaged Excel workbook ({e})") from e
    except (xlrd.compdoc.CompDocError, ValueError, IndexError, KeyError, AssertionError) as e:
        raise DocumentError(f"is a damaged Excel workbook ({e})") from e


class _Silent:
    """Where the library's warnings go: what it cannot read it raises."""

    def write(self, text: str) -> None:
        """Take a warning."""


def _workbook(book: Book) -> ParsedText:
    codes = [book.format_map[xf.format_key].format_str for xf in book.xf_list]
    formats = NumberFormats([read_format(code) for code in codes], book.datemode == 1)
    out = Composer()
    notes: list[str] = []
    for sheet in book.sheets():
        if sheet.visibility:
            notes.append(f"sheet {sheet.name!r} is hidden; it was read too")
        grid = _grid(sheet, formats)
        if not grid.rows:
            continue
        out.heading(sheet.name, 1)
        for region in regions(grid):
            for line in region.lines:
                out.text(line)
            if region.rows:
                out.table(region.rows, region.caption or sheet.name)
    text, blocks, _ = out.finish()
    return ParsedText(text, blocks, author=squeeze(book.user_name) or None, notes=tuple(notes))


def _grid(sheet: Sheet, formats: NumberFormats) -> Grid:
    grid = Grid()
    for row in range(sheet.nrows):
        for column, cell in enumerate(sheet.row(row)):
            text = _shown(cell, formats)
            if text:
                grid.put(row + 1, column + 1, text)
    for top, bottom, left, right in sheet.merged_cells:
        grid.merge(top + 1, left + 1, bottom, right)
    grid.finish()
    return grid


def _shown(cell: Cell, formats: NumberFormats) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_TEXT:
        return squeeze(cell.value)
    if cell.ctype in (xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE):
        return formats.show(repr(cell.value), str(cell.xf_index))
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, "#ERROR"))
    return ""
