"""Workbooks: every sheet under a heading, its regions of cells as tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from lxml import etree

from ..errors import DocumentError
from .cells import Grid, regions
from .compose import Composer, squeeze
from .drawing import chart_table
from .number_formats import NumberFormats, read_formats
from .office import Package, finished, open_package, relation
from .parsed import ParsedText
from .zipped import attribute, child, local

_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")


def parse(data: bytes, name: str) -> ParsedText:
    """Stored values as the workbook shows them: dates ISO, percent and currency with their sign."""
    package = open_package(data)
    with closing(package.archive):
        reader = _Reader(package)
        reader.read()
        return finished(package, reader.out, reader.notes)


class _Reader:
    def __init__(self, package: Package) -> None:
        self.out = Composer()
        self.notes: list[str] = []
        self._package = package
        self._strings = self._shared_strings()
        self._formats: NumberFormats = read_formats(package)
        self._unvalued = 0
        self._pictures = 0
        self._comments = 0

    def read(self) -> None:
        """Write every sheet in the order of the workbook."""
        root = self._package.xml(self._package.main)
        targets = self._package.targets(self._package.main)
        properties = child(root, "workbookPr")
        if properties is not None and attribute(properties, "date1904") in ("1", "true"):
            self._formats.from_1904 = True
        sheets = child(root, "sheets")
        for sheet in sheets if sheets is not None else ():
            title = attribute(sheet, "name") or ""
            target = targets.get(relation(sheet) or "")
            if target is None or target.part not in self._package:
                self.notes.append(f"sheet {title!r} is missing from the file")
            elif target.kind in ("worksheet", "chartsheet"):
                if (attribute(sheet, "state") or "visible") != "visible":
                    self.notes.append(f"sheet {title!r} is hidden; it was read too")
                self._sheet(target.part, title)
            else:
                self.notes.append(f"sheet {title!r} is a {target.kind}, which holds no cells")
        for number, what in (
            (self._unvalued, "formulas without a stored value, which stand there themselves"),
            (self._comments, "sheets with comments, which are not in the text"),
            (self._pictures, "pictures, which were not read"),
        ):
            if number:
                self.notes.append(f"{what}: {number}")

    def _sheet(self, part: str, title: str) -> None:
        grid = self._grid(part)
        shapes = list(self._shape_texts(part))
        if not grid.rows and not shapes:
            return
        self.out.heading(title, 1)
        for region in regions(grid):
            for line in region.lines:
                self.out.text(line)
            if region.rows:
                self.out.table(region.rows, region.caption or title)
        for text in shapes:
            self.out.text(text)

    def _grid(self, part: str) -> Grid:
        """The cells of a sheet that hold something, read as a stream: no sheet is held as XML."""
        grid = Grid()
        row = 0
        column = 0
        for element in _stream(self._package, part, ("row", "c", "mergeCell")):
            name = local(element)
            if name == "c":
                place = _REFERENCE.fullmatch(element.get("r") or "")
                if place:
                    row, column = int(place[2]), _column(place[1])
                else:  # a writer may leave places out; then cells follow each other
                    column += 1
                text = self._value(element)
                if text:
                    grid.put(row, column, text)
            elif name == "row":
                row = int(element.get("r") or row) + 1
                column = 0
            else:
                _merge(grid, element.get("ref") or "")
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
        grid.finish()
        return grid

    def _value(self, cell: Any) -> str:
        kind = cell.get("t") or "n"
        value = child(cell, "v")
        raw = (value.text or "") if value is not None else ""
        if kind == "inlineStr":
            inline = child(cell, "is")
            return _string(inline) if inline is not None else ""
        if not raw:
            formula = child(cell, "f")
            if formula is None or (kind == "str" and value is not None):  # an empty result
                return ""
            self._unvalued += 1
            return f"={formula.text or ''}"
        if kind == "s":
            index = int(raw) if raw.isdigit() else -1
            return self._strings[index] if 0 <= index < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if raw == "1" else "FALSE"
        # The rest stands as it is: results of formulas, errors such as #N/A, ISO dates.
        return self._formats.show(raw, cell.get("s")) if kind == "n" else raw

    def _shared_strings(self) -> list[str]:
        part = self._package.related(self._package.main, "sharedStrings")
        strings: list[str] = []
        if part:
            for element in _stream(self._package, part, ("si",)):
                strings.append(_string(element))
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        return strings

    def _shape_texts(self, part: str) -> Iterator[str]:
        """Text boxes and chart titles over the cells; pictures and comments are counted."""
        for target in self._package.targets(part).values():
            self._comments += target.kind == "comments"
            if target.kind != "drawing" or target.part not in self._package:
                continue
            root = self._package.xml(target.part)
            self._pictures += sum(local(e) == "pic" for e in root.iter())
            yield from self._chart_titles(target.part)
            for shape in (e for e in root.iter() if local(e) == "txBody"):
                text = "\n".join(
                    "".join(e.text or "" for e in p.iter() if local(e) == "t")
                    for p in shape
                    if local(p) == "p"
                )
                if text.strip():
                    yield text

    def _chart_titles(self, drawing: str) -> Iterator[str]:
        """A chart's values are cells of the workbook; only its title is not."""
        for target in self._package.targets(drawing).values():
            if target.kind == "chart" and target.part in self._package:
                title, _ = chart_table(self._package.xml(target.part))
                if title:
                    yield title


def _stream(package: Package, part: str, names: tuple[str, ...]) -> Iterator[Any]:
    """Complete elements of those names in document order."""
    with package.open(part) as stream:
        events = etree.iterparse(
            stream, events=("end",), tag=[f"{{*}}{name}" for name in names],
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip
        try:
            for _, element in events:
                yield element
        except etree.XMLSyntaxError as e:
            raise DocumentError(f"its part {part!r} is not well-formed XML ({e.msg})") from e
        if events.root is not None and events.root.getroottree().docinfo.internalDTD is not None:
            raise DocumentError(f"its part {part!r} declares a document type")


def _string(element: Any) -> str:
    """A string of plain or rich text, without the reading aids of East Asian writing."""
    parts: list[str] = []
    for part in element:
        if local(part) == "t":
            parts.append(part.text or "")
        elif local(part) == "r":
            text = child(part, "t")
            parts.append((text.text or "") if text is not None else "")
    return squeeze("".join(parts))


def _merge(grid: Grid, reference: str) -> None:
    first, _, last = reference.partition(":")
    start, end = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last)
    if start and end:
        grid.merge(int(start[2]), _column(start[1]), int(end[2]), _column(end[1]))


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
