"""Builds a document's text piece by piece, and remembers what is where in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..records import Block, BlockKind, Page
from . import markdown_table

_SPACE = re.compile(r"[ \t\r\n\u00a0\u202f]+")
_INVISIBLE = re.compile("[\u00ad\u200b\ufeff]")  # soft hyphen, zero-width space, byte order mark
_TICKS = re.compile(r"`{3,}")


class Composer:
    """Text under construction: add headings, paragraphs, lists, tables and code in order.

    Pieces are set apart by one empty line. Invisible hyphenation and spacing marks are left out.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._pages: list[Page] = []
        self._open: tuple[int, str | None, int] | None = None  # number, label, first block

    def heading(self, text: str, level: int) -> None:
        """One line behind `level` (1-6) number signs."""
        line = squeeze(text)
        if line:
            level = max(1, min(level, 6))
            self._add("heading", f"{'#' * level} {line}", level)

    def text(self, text: str) -> None:
        """A paragraph; its line breaks stay, empty lines in it go."""
        self._add("text", _paragraph(text))

    def list(self, lines: Sequence[str]) -> None:
        """A whole list; each line carries its marker and indentation."""
        self._add("list", "\n".join(line.rstrip() for line in lines if line.strip()))

    def code(self, text: str, language: str = "") -> None:
        """Preformatted text between fences longer than any in it."""
        body = text.strip("\n").rstrip()
        if not body:
            return
        fence = "`" * max(3, *(len(run) + 1 for run in _TICKS.findall(body)), 3)
        self._add("code", f"{fence}{language}\n{body}\n{fence}")

    def table(self, rows: Sequence[Sequence[str]], caption: str | None = None) -> None:
        """A table whose first row is its header. The caption is not written; add it as text.

        A first row that says one thing in every column is a title, not a header: without a
        caption it becomes the caption, in a line of its own.
        """
        title = squeeze(rows[0][0]) if rows and rows[0] else ""
        if title and not caption and len(rows) > 2 and len(rows[0]) > 1 and len(set(rows[0])) == 1:
            self.text(title)
            caption, rows = title, rows[1:]
        self._add("table", markdown_table.render(rows), caption=caption or None)

    def page(self, number: int, label: str | None = None) -> None:
        """Begin page `number`; what is added from here belongs to it."""
        self._close_page()
        self._open = (number, label, len(self._blocks))

    def append(self, text: str, blocks: Sequence[Block]) -> None:
        """Add the text of another document with its blocks."""
        if not text.strip():
            return
        start = self._place(text)
        self._blocks.extend(
            Block(b.kind, b.start + start, b.end + start, b.level, b.caption) for b in blocks
        )

    def finish(self) -> tuple[str, tuple[Block, ...], tuple[Page, ...]]:
        """The text, its blocks and its pages."""
        self._close_page()
        return "".join(self._parts), tuple(self._blocks), tuple(self._pages)

    def _add(self, kind: BlockKind, text: str, level: int = 0, caption: str | None = None) -> None:
        text = _INVISIBLE.sub("", text)
        if not text.strip():
            return
        start = self._place(text)
        self._blocks.append(Block(kind, start, self._length, level, caption))

    def _place(self, text: str) -> int:
        if self._length:
            self._parts.append("\n\n")
            self._length += 2
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        return start

    def _close_page(self) -> None:
        if self._open is None:
            return
        number, label, first = self._open
        held = self._blocks[first:]
        start, end = (held[0].start, held[-1].end) if held else (self._length, self._length)
        self._pages.append(Page(number, start, end, label))
        self._open = None


def squeeze(text: str) -> str:
    """Text on one line, runs of white space as one space."""
    return _SPACE.sub(" ", text).strip()


def cover(text: str, blocks: Sequence[Block], start: int = 0) -> tuple[Block, ...]:
    """`blocks` in order, with a text block over every run of non-blank lines outside them.

    Nothing before `start` is covered.
    """
    whole: list[Block] = []
    position = start
    for block in sorted(blocks, key=lambda b: b.start):
        whole.extend(_paragraphs(text, position, block.start))
        whole.append(block)
        position = block.end
    whole.extend(_paragraphs(text, position, len(text)))
    return tuple(whole)


def _paragraphs(text: str, start: int, end: int) -> list[Block]:
    found: list[Block] = []
    first = None
    offset = start
    for line in text[start:end].split("\n"):
        if line.strip():
            begin = offset + len(line) - len(line.lstrip())
            first = begin if first is None else first
            last = offset + len(line.rstrip())
        elif first is not None:
            found.append(Block("text", first, last))
            first = None
        offset += len(line) + 1
    if first is not None:
        found.append(Block("text", first, last))
    return found


def _paragraph(text: str) -> str:
    lines = (_SPACE.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
