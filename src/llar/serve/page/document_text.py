"""A stretch of a document's text on the page, block by block, with a passage of it marked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nicegui import ui

from ...records import Block, Document
from .parts import tag

Span = tuple[int, int]

_PART = 6000  # characters shown at once of a document without pages
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s|:-]+")
_MARKS = re.compile(r"^(?:#{1,6}\s+|```\w*\n?|```$)|\n```$")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch that is shown at once: a page, or as many whole blocks as fit one."""

    number: int
    start: int
    end: int


def parts(document: Document) -> list[Part]:
    """The pages of a document, or the parts of one that has none."""
    if document.pages:
        return [Part(p.number, p.start, p.end) for p in document.pages]
    ends = [b.end for b in document.blocks] or [
        m.end() for m in re.finditer(r"\n\n|\Z", document.text)
    ]
    found: list[Part] = []
    start = last = 0
    for end in ends:
        if end - start > _PART and last > start:
            found.append(Part(len(found) + 1, start, last))
            start = last
        last = end
    found.append(Part(len(found) + 1, start, len(document.text)))
    return found


def show(document: Document, part: Part, marked: Span | None, label: str) -> None:
    """That part, with the marked passage in it in <mark>; the first has the class l-here.

    `label` is the name of the stretch of text for who cannot see it.
    """
    first = [True]
    with tag("div", classes="l-page-text", props="tabindex=0 role=region") as element:
        element.props["aria-label"] = label
        if document.language:
            element.props["lang"] = document.language
        for block in _blocks(document, part):
            _block(document.text, block, marked, first)


def _blocks(document: Document, part: Part) -> Iterator[Block]:
    """The blocks of a part, cut to it, with text between them as blocks too: nothing is left
    out."""
    at = part.start
    for block in document.blocks:
        start, end = max(block.start, part.start), min(block.end, part.end)
        if start >= end:
            continue
        if document.text[at:start].strip():
            yield Block("text", at, start)
        whole = (start, end) == (block.start, block.end)
        yield Block(block.kind if whole else "text", start, end, block.level, block.caption)
        at = end
    if document.text[at : part.end].strip():
        yield Block("text", at, part.end)


def _block(text: str, block: Block, marked: Span | None, first: list[bool]) -> None:
    if block.kind == "table":
        _table(text, block, marked, first)
        return
    name = {"heading": "h3", "code": "pre"}.get(block.kind, "p")
    with tag(name, classes=f"l-block-{block.kind}"):
        _marked(text, block.start, block.end, marked, first, heading=block.kind == "heading")


def _marked(
    text: str,
    start: int,
    end: int,
    marked: Span | None,
    first: list[bool],
    *,
    heading: bool = False,
) -> None:
    """text[start:end] with what of it is marked in <mark>."""
    low, high = marked or (end, end)
    low, high = max(start, min(low, end)), max(start, min(high, end))
    if low >= high:
        low = high = end
    pieces = ((start, low, "span"), (low, high, "mark"), (high, end, "span"))
    for a, b, name in pieces:
        said = text[a:b]
        if heading and a == start:
            said = _MARKS.sub("", said)
        if said:
            element = tag(name, said)
            if name == "mark" and first[0]:
                element.classes("l-here")
                first[0] = False


def _table(text: str, block: Block, marked: Span | None, first: list[bool]) -> None:
    """A Markdown table as a table; a row that the passage touches is marked."""
    lines = list(_lines(text, block.start, block.end))
    with tag("div", classes="l-table-box", props="tabindex=0 role=group") as box:
        box.props["aria-label"] = block.caption or text[slice(*lines[0])]
        with tag("table", classes="l-table"):
            for number, (start, end) in enumerate(lines):
                line = text[start:end]
                if number == 1 and _RULE.fullmatch(line):
                    continue
                with tag("tr") as row:
                    if marked and start < marked[1] and end > marked[0]:
                        row.classes("l-marked-row")
                        if first[0]:
                            row.classes("l-here")
                            first[0] = False
                    for cell in _CELL.split(line.strip().removeprefix("|").removesuffix("|")):
                        tag("th" if number == 0 else "td", cell.replace("\\|", "|").strip())


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    for line in text[start:end].split("\n"):
        if line.strip():
            yield start, start + len(line)
        start += len(line) + 1


def scroll_to_mark() -> None:
    """Bring the marked passage into view."""
    ui.run_javascript("llarHere()")
