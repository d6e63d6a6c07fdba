"""Presentations: a page per slide, its title as heading, its shapes in reading order, its notes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from .compose import Composer, squeeze
from .drawing import chart_table, diagram_lines, formula
from .markdown_table import Cell, spread
from .marks import superscript
from .office import Package, Target, finished, open_package, relation
from .parsed import ParsedText
from .reading_order import Box, in_reading_order
from .zipped import attribute, child, local

_TITLES = frozenset(("title", "ctrTitle"))
_NUMBERS = frozenset(("sldNum", "dt"))
_BULLETS = frozenset(("buChar", "buAutoNum", "buBlip"))


def parse(data: bytes, name: str) -> ParsedText:
    """All text of all slides; a `Page` is a slide and its number is the slide's."""
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
        self._targets: dict[str, Target] = {}  # of the slide at hand
        self._boxes: dict[tuple[str, str], Box] = {}  # of its layout's placeholders
        self._title: str | None = None
        self._pictures = 0
        self._footers: set[str] = set()

    def read(self) -> None:
        """Write every slide in the order of the presentation."""
        main = self._package.main
        targets = self._package.targets(main)
        slides = child(self._package.xml(main), "sldIdLst")
        hidden: list[str] = []
        comments = 0
        for number, entry in enumerate(slides if slides is not None else (), start=1):
            target = targets.get(relation(entry) or "")
            self.out.page(number)
            if target is None or target.part not in self._package:
                self.notes.append(f"slide {number} is missing from the file")
                continue
            root = self._package.xml(target.part)
            if attribute(root, "show") == "0":
                hidden.append(str(number))
            self._targets = self._package.targets(target.part)
            comments += sum(t.kind == "comments" for t in self._targets.values())
            self._slide(root, target.part)
        if hidden:
            self.notes.append(f"hidden slides were read too: {', '.join(hidden)}")
        if comments:
            self.notes.append(f"slides with comments, which are not in the text: {comments}")
        if self._pictures:
            self.notes.append(f"pictures, which were not read: {self._pictures}")

    def _slide(self, root: Any, part: str) -> None:
        self._boxes = self._layout_boxes(part)
        tree = child(root, "cSld", "spTree")
        shapes = list(_shapes(tree)) if tree is not None else []
        titles = [s for s in shapes if _placeholder(s)[0] in _TITLES]
        self._title = None
        for shape in titles:
            text = squeeze(" ".join(t for _, t, _ in _paragraphs(shape)))
            self._title = self._title or text or None
            self.out.heading(text, 1)
        self._write([s for s in shapes if s not in titles])
        notes = self._package.related(part, "notesSlide")
        if notes:
            self._speaker_notes(self._package.xml(notes))

    def _write(self, shapes: list[Any]) -> None:
        for shape in in_reading_order([(self._box(s), s) for s in shapes]):
            name = local(shape)
            if name == "grpSp":
                self._write(list(_shapes(shape)))
            elif name == "graphicFrame":
                self._frame(shape)
            elif name == "pic":
                self._pictures += 1
            else:
                self._text_shape(shape)

    def _text_shape(self, shape: Any) -> None:
        kind, index = _placeholder(shape)
        if kind in _NUMBERS:
            return
        paragraphs = [p for p in _paragraphs(shape) if p[1].strip()]
        if kind in ("ftr", "hdr"):
            text = squeeze(" ".join(t for _, t, _ in paragraphs))
            if text not in self._footers:  # the same on every slide
                self._footers.add(text)
                self.out.text(text)
            return
        listed = kind in ("body", "obj") or (kind == "" and index is not None)
        lines: list[str] = []
        for depth, text, mark in paragraphs:
            if mark == "" or (mark is None and not (listed and len(paragraphs) > 1)):
                self.out.list(lines)
                lines = []
                self.out.text(text)
            else:
                first, *rest = [line for line in text.split("\n") if line.strip()]
                indent = "   " * depth
                lines.append(f"{indent}{mark or '-'} {squeeze(first)}")
                lines.extend(f"{indent}  {squeeze(line)}" for line in rest)
        self.out.list(lines)

    def _frame(self, frame: Any) -> None:
        for element in frame.iter():
            name = local(element)
            if name == "tbl":
                self.out.table(_grid(element), self._title)
                return
            if name in ("chart", "relIds"):
                target = self._targets.get(
                    relation(element, "id" if name == "chart" else "dm") or ""
                )
                if target is None or target.part not in self._package:
                    continue
                root = self._package.xml(target.part)
                if name == "chart":
                    title, rows = chart_table(root)
                    self.out.text(title or "")
                    self.out.table(rows, title or self._title)
                else:
                    self.out.list([f"- {line}" for line in diagram_lines(root)])
                return

    def _speaker_notes(self, root: Any) -> None:
        tree = child(root, "cSld", "spTree")
        for shape in _shapes(tree) if tree is not None else ():
            if _placeholder(shape)[0] == "body":
                text = "\n".join(t for _, t, _ in _paragraphs(shape) if t.strip())
                if text:
                    self.out.text(f"Notes: {text}")

    def _layout_boxes(self, part: str) -> dict[tuple[str, str], Box]:
        """Where the layout, and behind it the master, put each placeholder."""
        boxes: dict[tuple[str, str], Box] = {}
        layout = self._package.related(part, "slideLayout")
        master = self._package.related(layout, "slideMaster") if layout else None
        for holder in (master, layout):
            tree = child(self._package.xml(holder), "cSld", "spTree") if holder else None
            for shape in _shapes(tree) if tree is not None else ():
                box = _own_box(shape)
                kind, index = _placeholder(shape)
                if box is not None:
                    boxes[kind, ""] = box
                    boxes["", index or ""] = box
        return boxes

    def _box(self, shape: Any) -> Box | None:
        kind, index = _placeholder(shape)
        return (
            _own_box(shape)
            or (self._boxes.get(("", index)) if index else None)
            or (self._boxes.get((kind, "")) if kind else None)
        )


def _shapes(tree: Any) -> Iterator[Any]:
    for element in tree:
        if local(element) in ("sp", "grpSp", "graphicFrame", "pic", "cxnSp"):
            yield element
        elif local(element) == "AlternateContent":
            chosen = child(element, "Choice")
            chosen = chosen if chosen is not None else child(element, "Fallback")
            if chosen is not None:
                yield from _shapes(chosen)


def _placeholder(shape: Any) -> tuple[str, str | None]:
    """The kind and index of a placeholder; ("", None) for any other shape."""
    for holder in ("nvSpPr", "nvPicPr", "nvGraphicFramePr"):
        found = child(shape, holder, "nvPr", "ph")
        if found is not None:
            return attribute(found, "type") or "", attribute(found, "idx") or "0"
    return "", None


def _own_box(shape: Any) -> Box | None:
    frame = child(shape, "xfrm")
    for holder in ("spPr", "grpSpPr"):
        frame = frame if frame is not None else child(shape, holder, "xfrm")
    offset, extent = child(frame, "off"), child(frame, "ext")
    if offset is None or extent is None:
        return None
    try:
        left, top = int(offset.get("x")), int(offset.get("y"))
        return left, top, left + int(extent.get("cx")), top + int(extent.get("cy"))
    except (TypeError, ValueError):
        return None


def _paragraphs(shape: Any) -> list[tuple[int, str, str | None]]:
    """Depth, text and marker of each paragraph; "" for explicitly none, None for inherited."""
    body = child(shape, "txBody")
    found: list[tuple[int, str, str | None]] = []
    counts: dict[int, int] = {}
    for paragraph in body if body is not None else ():
        if local(paragraph) != "p":
            continue
        properties = child(paragraph, "pPr")
        level = attribute(properties, "lvl") if properties is not None else None
        depth = int(level) if level and level.isdigit() else 0
        marks = {local(e) for e in properties} if properties is not None else set()
        mark: str | None = None
        if "buNone" in marks:
            mark = ""
        elif "buAutoNum" in marks:
            counts[depth] = counts.get(depth, 0) + 1
            mark = f"{counts[depth]}."
        elif marks & _BULLETS:
            mark = "-"
        if mark is None or not mark[:1].isdigit():
            counts.pop(depth, None)
        found.append((depth, "".join(_runs(paragraph)), mark))
    return found


def _runs(paragraph: Any) -> Iterator[str]:
    for part in paragraph:
        name = local(part)
        if name in ("r", "fld"):
            text = child(part, "t")
            properties = child(part, "rPr")
            raised = int(
                (attribute(properties, "baseline") if properties is not None else None) or 0
            )
            value = (text.text or "") if text is not None else ""
            yield superscript(value) if raised > 0 else value
        elif name == "br":
            yield "\n"
        elif name == "AlternateContent":
            chosen = child(part, "Choice")
            yield from _runs(chosen) if chosen is not None else ()
        elif name == "m" or name.startswith("oMath"):
            yield formula(part)


def _grid(table: Any) -> list[list[str]]:
    rows: list[list[Cell]] = []
    for row in table:
        if local(row) != "tr":
            continue
        rows.append([])
        for cell in row:
            if local(cell) != "tc" or cell.get("hMerge") == "1" or cell.get("vMerge") == "1":
                continue
            text = " ".join(text for _, text, _ in _paragraphs(cell))
            rows[-1].append(Cell(text, _span(cell, "gridSpan"), _span(cell, "rowSpan")))
    return spread(rows)


def _span(cell: Any, name: str) -> int:
    value = cell.get(name) or "1"
    return int(value) if value.isdigit() and value != "0" else 1
