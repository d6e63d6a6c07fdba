"""Word documents: body, notes, text boxes, headers and footers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from .captions import is_caption
from .compose import Composer, squeeze
from .docx_styles import Styles, numbering_of, outline_level, read_styles
from .drawing import chart_table, diagram_lines, formula
from .marks import superscript
from .office import Package, Target, finished, open_package, relation
from .parsed import ParsedText
from .zipped import attribute, child, local

_DELETED = frozenset(("del", "moveFrom", "rPr", "pPr", "instrText", "delText", "fallback"))
_OFF = ("0", "false", "off", "none")


def parse(data: bytes, name: str) -> ParsedText:
    """Everything a reader of the final version sees; insertions are kept, deletions are not."""
    package = open_package(data)
    with closing(package.archive):
        reader = _Reader(package)
        reader.read()
        return finished(package, reader.out, reader.notes())


@dataclass(slots=True)
class _Paragraph:
    """The text of one paragraph and what hangs on it."""

    text: str
    boxes: list[Any] = field(default_factory=list)  # contents of its text boxes
    parts: list[Target] = field(default_factory=list)  # charts and diagrams


class _Reader:
    def __init__(self, package: Package) -> None:
        self.out = Composer()
        self._package = package
        self._styles: Styles = read_styles(package)
        self._targets = package.targets(package.main)
        self._items: list[str] = []  # lines of the list that is open
        self._caption: str | None = None
        self._pictures = 0
        self._hidden = 0
        self._embedded = 0
        self._footnotes: list[tuple[str, str]] = []  # kind, identifier; in order of reference

    def read(self) -> None:
        """Write the body, then notes, then headers and footers, each text once."""
        body = child(self._package.xml(self._package.main), "body")
        if body is not None:
            self._write(body)
        self._write_notes()
        self._write_margins()

    def notes(self) -> list[str]:
        """One line for each thing that is in the file and not in the text."""
        comments = self._package.related(self._package.main, "comments")
        count = sum(local(e) == "comment" for e in self._package.xml(comments)) if comments else 0
        return [
            f"{what}: {number}"
            for number, what in (
                (self._pictures, "pictures, which were not read"),
                (count, "comments, which are not in the text"),
                (self._hidden, "hidden pieces of text, which were left out"),
                (self._embedded, "embedded files, which were not read"),
            )
            if number
        ]

    def _write(self, container: Any) -> None:
        elements = list(_flow(container))
        for index, element in enumerate(elements):
            if local(element) == "p":
                self._write_paragraph(element)
            elif local(element) == "tbl":
                self._end_list()
                self._write_table(element, elements[index + 1 : index + 2])
            elif local(element) == "altChunk":
                self._embedded += 1
        self._end_list()

    def _write_paragraph(self, element: Any) -> None:
        read = self._read_paragraph(element)
        properties = child(element, "pPr")
        holder = child(properties, "pStyle")
        style = self._styles.style(attribute(holder, "val") if holder is not None else None)
        level = outline_level(properties) or style.level
        numbering = numbering_of(properties) or style.numbering
        listed = numbering is not None and numbering[0] != "0"
        marker = (
            self._styles.marker(numbering) if listed and numbering and read.text.strip() else None
        )
        text = read.text
        if text.strip() and level:
            self._end_list()
            self.out.heading(f"{marker} {text}" if marker and marker != "-" else text, level)
        elif text.strip() and listed and numbering:
            lines = [line for line in text.split("\n") if line.strip()]
            indent = "   " * max(numbering[1], style.depth)
            self._items.append(f"{indent}{marker or '-'} {squeeze(lines[0])}")
            self._items.extend(f"{indent}  {squeeze(line)}" for line in lines[1:])
        elif text.strip():
            self._end_list()
            self.out.text(text)
        if text.strip():
            line = squeeze(text)
            self._caption = line if style.name == "caption" or is_caption(line) else None
        self._write_hangers(read)

    def _write_hangers(self, read: _Paragraph) -> None:
        for box in read.boxes:
            self._end_list()
            self._write(box)
        for target in read.parts:
            self._end_list()
            root = self._package.xml(target.part)
            if target.kind == "chart":
                title, rows = chart_table(root)
                self.out.text(title or "")
                self.out.table(rows, title)
            else:
                self.out.list([f"- {line}" for line in diagram_lines(root)])

    def _write_table(self, table: Any, following: list[Any]) -> None:
        grid, inner = self._grid(table)
        caption, self._caption = self._caption, None
        if max((len(row) for row in grid), default=0) < 2:
            for cell in (c for row in _rows(table) for c in _cells(row)):
                self._write(cell)
            return
        if caption is None and following and local(following[0]) == "p":
            below = squeeze(self._read_paragraph(following[0], quiet=True).text)
            caption = below if is_caption(below) else None
        self.out.table(grid, caption)
        for nested in inner:
            self._write_table(nested, [])

    def _grid(self, table: Any) -> tuple[list[list[str]], list[Any]]:
        """A table's cells with merged ones repeated, and the tables inside them."""
        grid: list[list[str]] = []
        inner: list[Any] = []
        for row in _rows(table):
            line: list[str] = [""] * _number(child(row, "trPr", "gridBefore"), 0)
            for cell in _cells(row):
                properties = child(cell, "tcPr")
                span = _number(child(properties, "gridSpan"), 1)
                merge = child(properties, "vMerge")
                above = grid[-1] if grid else []
                if merge is not None and attribute(merge, "val") != "restart":
                    text = above[len(line)] if len(line) < len(above) else ""
                else:
                    text, nested = self._cell(cell)
                    inner.extend(nested)
                beside = child(properties, "hMerge")
                if beside is not None and attribute(beside, "val") != "restart" and line:
                    text = line[-1]
                line.extend([text] * span)
            grid.append(line)
        return grid, inner

    def _cell(self, cell: Any) -> tuple[str, list[Any]]:
        parts: list[str] = []
        inner: list[Any] = []
        for element in _flow(cell):
            if local(element) == "p":
                read = self._read_paragraph(element)
                parts.append(read.text)
                parts.extend(self._cell(box)[0] for box in read.boxes)
            elif local(element) == "tbl":
                inner.append(element)
                rows, deeper = self._grid(element)
                parts.extend(" ".join(row) for row in rows)
                inner.extend(deeper)
        return squeeze(" ".join(parts)), inner

    def _read_paragraph(self, paragraph: Any, *, quiet: bool = False) -> _Paragraph:
        read = _Paragraph("")
        before = self._pictures, self._hidden, len(self._footnotes)
        read.text = "".join(self._pieces(paragraph, read))
        if quiet:  # looked at ahead of its turn
            self._pictures, self._hidden = before[:2]
            del self._footnotes[before[2] :]
        return read

    def _pieces(self, element: Any, read: _Paragraph) -> Iterator[str]:
        for part in element:
            name = local(part)
            if name in _DELETED:
                continue
            if name == "r":
                yield from self._run(part, read)
            elif name in ("oMath", "oMathPara"):
                yield formula(part)
            elif name == "AlternateContent":
                yield from self._pieces(_choice(part), read)
            elif name == "txbxContent":
                read.boxes.append(part)
            elif name in ("p", "tbl"):
                continue
            else:
                yield from self._pieces(part, read)

    def _run(self, run: Any, read: _Paragraph) -> Iterator[str]:
        properties = child(run, "rPr")
        if _is_on(child(properties, "vanish")):
            self._hidden += any(local(e) == "t" for e in run)
            return
        raised = child(properties, "vertAlign")
        up = raised is not None and attribute(raised, "val") == "superscript"
        for part in run:
            name = local(part)
            if name == "t":
                yield superscript(part.text or "") if up else part.text or ""
            elif name in ("tab", "ptab"):
                yield " "
            elif name in ("br", "cr"):
                yield "\n"
            elif name == "noBreakHyphen":
                yield "-"
            elif name == "sym":
                yield _symbol(part)
            elif name in ("footnoteReference", "endnoteReference"):
                yield self._reference(name, attribute(part, "id") or "")
            elif name == "ruby":
                base = child(part, "rubyBase")
                yield from self._pieces(base, read) if base is not None else ()
            elif name in ("drawing", "pict", "object", "AlternateContent"):
                self._hang(_choice(part) if name == "AlternateContent" else part, read)

    def _hang(self, drawing: Any, read: _Paragraph) -> None:
        """Note what a drawing holds: text boxes, charts, diagrams, pictures."""
        for element in _inside(drawing):
            name = local(element)
            if name == "txbxContent":
                read.boxes.append(element)
            elif name in ("chart", "relIds"):
                target = self._targets.get(
                    relation(element, "id" if name == "chart" else "dm") or ""
                )
                if target and target.part in self._package:
                    read.parts.append(target)
            elif name in ("blip", "imagedata"):
                self._pictures += 1

    def _reference(self, name: str, identifier: str) -> str:
        kind = name.removesuffix("Reference")
        if (kind, identifier) not in self._footnotes:
            self._footnotes.append((kind, identifier))
        return f"[^{self._footnotes.index((kind, identifier)) + 1}]"

    def _write_notes(self) -> None:
        found: dict[tuple[str, str], Any] = {}
        for kind in ("footnote", "endnote"):
            part = self._package.related(self._package.main, f"{kind}s")
            if part:
                for element in self._package.xml(part):
                    found[kind, attribute(element, "id") or ""] = element
        for number, key in enumerate(self._footnotes, start=1):
            if key in found:
                text = self._cell(found[key])[0]
                self.out.text(f"[^{number}]: {text}")

    def _write_margins(self) -> None:
        written: set[str] = set()
        for target in self._targets.values():
            if target.kind not in ("header", "footer") or target.part not in self._package:
                continue
            root = self._package.xml(target.part)
            for field_code in [e for e in root.iter() if local(e) == "fldSimple"]:
                field_code.clear()  # page numbers, file names: the same words mean nothing here
            text = self._cell(root)[0]
            if any(c.isalpha() for c in text) and text not in written:
                written.add(text)
                self.out.text(text)

    def _end_list(self) -> None:
        if self._items:
            self.out.list(self._items)
            self._items = []


def _flow(container: Any) -> Iterator[Any]:
    """The paragraphs and tables of a container, through wrappers that only mark a stretch."""
    for element in container:
        name = local(element)
        if name in ("p", "tbl", "altChunk"):
            yield element
        elif name == "AlternateContent":
            yield from _flow(_choice(element))
        elif name not in ("del", "moveFrom", "sdtPr", "tcPr", "sectPr"):
            yield from _flow(element)


def _rows(table: Any) -> Iterator[Any]:
    for element in table:
        if local(element) == "tr":
            if child(element, "trPr", "del") is None:
                yield element
        elif local(element) in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
            yield from _rows(element)


def _cells(row: Any) -> Iterator[Any]:
    for element in row:
        if local(element) == "tc":
            yield element
        elif local(element) in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
            yield from _cells(element)


def _choice(alternate: Any) -> Any:
    """What a current program shows of alternatives: the first choice."""
    for name in ("Choice", "Fallback"):
        found = child(alternate, name)
        if found is not None:
            return found
    return alternate


def _inside(element: Any) -> Iterator[Any]:
    """Everything inside a drawing, not going into text boxes or second alternatives."""
    for part in element:
        yield part
        if local(part) == "AlternateContent":
            yield from _inside(_choice(part))
        elif local(part) != "txbxContent":
            yield from _inside(part)


def _number(element: Any, default: int) -> int:
    value = attribute(element, "val") if element is not None else None
    return min(int(value), 1_000) if value and value.isdigit() else default


def _is_on(element: Any) -> bool:
    return element is not None and (attribute(element, "val") or "1").lower() not in _OFF


def _symbol(element: Any) -> str:
    """A character given by number; those of symbol fonts have no meaning outside the font."""
    code = int(attribute(element, "char") or "0", 16)
    return "" if not code or 0xE000 <= code <= 0xF8FF else chr(code)
