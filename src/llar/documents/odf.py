"""OpenDocument files: texts, spreadsheets, presentations, read from their content part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from ..errors import DocumentError, LockedDocument
from .captions import is_caption
from .cells import Grid, regions
from .compose import Composer, squeeze
from .drawing import formula
from .markdown_table import Cell, spread
from .marks import superscript
from .odf_styles import OdfStyles
from .parsed import ParsedText
from .zipped import attribute, child, local, open_part, open_zip, parse_xml

_SKIPPED = frozenset(
    ("tracked-changes", "annotation", "sequence-decls", "forms", "settings", "table-of-content",
     "alphabetical-index", "illustration-index", "table-index", "bibliography", "shapes")
)  # fmt: skip
_MOST_REPEATED = 1_000  # copies of a cell or row that hold something
_MOST_COLUMNS = 16_384


def parse(data: bytes, name: str) -> ParsedText:
    """Everything a reader sees; generated indexes and deleted text are left out."""
    with closing(open_zip(data)) as archive:
        names = set(archive.namelist())
        if "META-INF/manifest.xml" in names:
            with open_part(archive, "META-INF/manifest.xml") as stream:
                manifest = parse_xml(stream, "manifest.xml")
            if any(local(e) == "encryption-data" for e in manifest.iter()):
                raise LockedDocument("is encrypted; save it without its password")
        styles = OdfStyles()
        if "styles.xml" in names:
            with open_part(archive, "styles.xml") as stream:
                styles.read(parse_xml(stream, "styles.xml"))
        with open_part(archive, "content.xml") as stream:
            root = parse_xml(stream, "content.xml")
        styles.read(root)
        body = child(root, "body")
        facts: dict[str, str] = {}
        if "meta.xml" in names:
            with open_part(archive, "meta.xml") as stream:
                facts = _facts(parse_xml(stream, "meta.xml"))
    if body is None or not len(body):
        raise DocumentError("is an OpenDocument file without a body")
    reader = _Reader(styles)
    content = body[0]
    {"spreadsheet": reader.sheets, "presentation": reader.slides}.get(local(content), reader.text)(
        content
    )
    text, blocks, pages = reader.finish()
    return ParsedText(
        text=text,
        blocks=blocks,
        pages=pages,
        title=facts.pop("title", None),
        author=facts.pop("initial-creator", None) or facts.pop("creator", None),
        created=facts.pop("creation-date", None),
        modified=facts.pop("date", None),
        language=facts.pop("language", None),
        metadata={k: v for k, v in facts.items() if k in ("subject", "keyword", "description")},
        notes=tuple(reader.notes()),
    )


class _Reader:
    def __init__(self, styles: OdfStyles) -> None:
        self._out = Composer()
        self._styles = styles
        self._counts: dict[int, int] = {}  # of numbered lists, by depth
        self._items: list[str] = []
        self._footnotes: list[str] = []
        self._caption: str | None = None
        self._pictures = 0
        self._comments = 0

    def finish(self) -> Any:
        self._end_list()
        for number, text in enumerate(self._footnotes, start=1):
            self._out.text(f"[^{number}]: {text}")
        return self._out.finish()

    def notes(self) -> Iterator[str]:
        if self._pictures:
            yield f"pictures, which were not read: {self._pictures}"
        if self._comments:
            yield f"comments, which are not in the text: {self._comments}"

    def text(self, container: Any) -> None:
        """Write the blocks of a text, a section, a text box or a list item's inside."""
        for element in container:
            name = local(element)
            if name == "h":
                self._heading(element)
            elif name == "p":
                self._paragraph(element)
            elif name == "list":
                self._list(element, 0, attribute(element, "style-name"))
            elif name == "table":
                self._end_list()
                self._table(element)
            elif name == "frame":
                self._frame(element)
            elif name not in _SKIPPED:
                self.text(element)

    def slides(self, presentation: Any) -> None:
        """Write each slide as a page; its title frame is the heading."""
        pages = [e for e in presentation if local(e) == "page"]
        for number, page in enumerate(pages, start=1):
            self._out.page(number, attribute(page, "name"))
            frames = list(page)
            titles = [f for f in frames if attribute(f, "class") == "title"]
            for frame in titles:
                self._out.heading(" ".join(self._flat(frame)), 1)
            for frame in frames:
                if frame in titles or local(frame) in _SKIPPED:
                    continue
                if local(frame) == "notes":
                    lines = list(self._flat(frame))
                    self._out.text(f"Notes: {' '.join(lines)}" if lines else "")
                else:
                    self.text([frame])
            self._end_list()

    def sheets(self, book: Any) -> None:
        """Write each sheet under its name."""
        for table in (e for e in book if local(e) == "table"):
            title = attribute(table, "name") or ""
            grid = self._sheet_grid(table)
            if not grid.rows:
                continue
            self._out.heading(title, 1)
            for region in regions(grid):
                for line in region.lines:
                    self._out.text(line)
                if region.rows:
                    self._out.table(region.rows, region.caption or title)

    def _heading(self, element: Any) -> None:
        level = attribute(element, "outline-level") or "1"
        self._end_list()
        self._out.heading(self._inline(element), int(level) if level.isdigit() else 1)

    def _paragraph(self, element: Any) -> None:
        text = self._inline(element)
        self._end_list()
        if self._styles.is_title(attribute(element, "style-name")):
            self._out.heading(text, 1)
        else:
            self._out.text(text)
        if text.strip():
            line = squeeze(text)
            self._caption = line if is_caption(line) else None
        for frame in (e for e in element.iter() if local(e) == "frame"):
            self._frame(frame)

    def _list(self, element: Any, depth: int, style: str | None) -> None:
        style = attribute(element, "style-name") or style
        numbered = depth + 1 in self._styles.numbered.get(style or "", ())
        goes_on = attribute(element, "continue-numbering") == "true"
        if not goes_on and attribute(element, "continue-list") is None:
            self._counts[depth] = 0
        for item in element:
            if local(item) not in ("list-item", "list-header"):
                continue
            marker = "- "
            for part in item:
                if local(part) == "list":
                    self._list(part, depth + 1, style)
                elif local(part) in ("p", "h"):
                    text = squeeze(self._inline(part))
                    if text:
                        if numbered and marker == "- ":
                            self._counts[depth] = self._counts.get(depth, 0) + 1
                            marker = f"{self._counts[depth]}. "
                        self._items.append("   " * depth + marker + text)
                        marker = "  "
                    for frame in (e for e in part.iter() if local(e) == "frame"):
                        self._frame(frame)

    def _frame(self, frame: Any) -> None:
        for part in frame:
            name = local(part)
            if name == "text-box":
                self._end_list()
                self.text(part)
                self._end_list()
            elif name == "table":
                self._table(part)
            elif name == "image" and not any(local(e) in ("table", "text-box") for e in frame):
                self._pictures += 1
                return  # further images are the same one in other formats

    def _table(self, table: Any) -> None:
        rows: list[list[Cell]] = []
        for row, copies in _rows(table):
            line: list[Cell] = []
            for cell in row:
                if local(cell) == "table-cell":
                    text = squeeze(" ".join(self._flat(cell)))
                    here = Cell(text, _count(cell, "number-columns-spanned"),
                                _count(cell, "number-rows-spanned"))  # fmt: skip
                    line.extend(
                        [here] * min(_count(cell, "number-columns-repeated"), _MOST_REPEATED)
                    )
            rows.extend([line] * min(copies, _MOST_REPEATED))
        caption, self._caption = self._caption, None
        if max((len(row) for row in rows), default=0) < 2:
            for cell in (c for row, _ in _rows(table) for c in row):
                self.text(cell)
            self._end_list()
            return
        self._out.table(spread(rows), caption)
        for cell in (c for row, _ in _rows(table) for c in row):
            for inner in (e for e in cell if local(e) == "table"):
                self._table(inner)

    def _sheet_grid(self, table: Any) -> Grid:
        grid = Grid()
        number = 1
        for row, copies in _rows(table):
            line: dict[int, str] = {}
            column = 1
            for cell in row:
                repeated = _count(cell, "number-columns-repeated")
                text = _shown(cell) or squeeze(" ".join(self._flat(cell)))
                if text and local(cell) == "table-cell":
                    for offset in range(min(repeated, _MOST_REPEATED)):
                        line[column + offset] = text
                    wide, high = (_count(cell, f"number-{n}-spanned") for n in ("columns", "rows"))
                    if wide * high > 1:
                        grid.merge(number, column, number + high - 1, column + wide - 1)
                column = min(column + repeated, _MOST_COLUMNS)
            for offset in range(min(copies, _MOST_REPEATED) if line else 0):
                for place, text in line.items():
                    grid.put(number + offset, place, text)
            number += copies
        grid.finish()
        return grid

    def _flat(self, container: Any) -> Iterator[str]:
        """The paragraphs of a cell, frame or note as lines."""
        for element in container:
            name = local(element)
            if name in ("p", "h"):
                text = self._inline(element)
                if text.strip():
                    yield text
                for frame in (e for e in element.iter() if local(e) == "frame"):
                    yield from self._flat(frame)
            elif name == "annotation":
                self._comments += 1
            elif name not in _SKIPPED:
                yield from self._flat(element)

    def _inline(self, element: Any) -> str:
        return "".join(self._pieces(element))

    def _pieces(self, element: Any) -> Iterator[str]:
        yield element.text or ""
        for part in element:
            name = local(part)
            if name == "s":
                yield " " * _count(part, "c")
            elif name == "tab":
                yield " "
            elif name == "line-break":
                yield "\n"
            elif name == "note":
                body = child(part, "note-body")
                self._footnotes.append(" ".join(self._flat(body)) if body is not None else "")
                yield f"[^{len(self._footnotes)}]"
            elif name == "annotation":
                self._comments += 1
            elif name == "math":
                yield formula(part)
            elif name not in ("frame", "ruby-text", "page-number", "page-count"):
                text = "".join(self._pieces(part))
                raised = attribute(part, "style-name") in self._styles.raised
                yield superscript(text) if raised else text
            yield part.tail or ""

    def _end_list(self) -> None:
        if self._items:
            self._out.list(self._items)
            self._items = []


def _rows(table: Any) -> Iterator[tuple[Any, int]]:
    """Rows with how often each is repeated, through header rows and groups."""
    for element in table:
        if local(element) == "table-row":
            yield element, _count(element, "number-rows-repeated")
        elif local(element) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(element)


def _count(element: Any, name: str) -> int:
    value = attribute(element, name) or "1"
    return max(1, int(value)) if value.isascii() and value.isdigit() else 1


def _shown(cell: Any) -> str:
    """A date in ISO form; other values stand as the cell's own text shows them."""
    return attribute(cell, "date-value") or ""


def _facts(root: Any) -> dict[str, str]:
    meta = child(root, "meta")
    found: dict[str, str] = {}
    for element in meta if meta is not None else ():
        text = squeeze(element.text or "")
        if text:
            name = local(element)
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found
