"""Markdown: the document's text is the file's text, and its blocks are spans of it.

Only tables written in HTML are written anew, as Markdown tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..records import Block, BlockKind
from .captions import is_caption
from .compose import cover, squeeze
from .decode import decode
from .front_matter import split_front_matter
from .parsed import ParsedText

if TYPE_CHECKING:
    from markdown_it.token import Token

_HTML_TABLE = re.compile(r"^<table\b.*?</table>", re.IGNORECASE | re.DOTALL | re.MULTILINE)
_KINDS: dict[str, BlockKind] = {  # a token of markdown-it and what it is here
    "heading_open": "heading",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
}


def parse(data: bytes, name: str) -> ParsedText:
    """Headings, lists, tables, code and paragraphs of CommonMark with tables.

    Front matter (YAML between `---`, TOML between `+++`) becomes metadata and is in no block.
    """
    text, notes = decode(data)
    front = split_front_matter(text)
    text = _convert_html_tables(text, front.end)
    return ParsedText(
        text=text,
        blocks=cover(text, list(_blocks(text, front.end)), front.end),
        title=front.title,
        author=front.author,
        created=front.created,
        modified=front.modified,
        language=front.language,
        metadata=front.metadata,
        notes=(*notes, *front.notes),
    )


def _tokens(text: str, start: int) -> list[Token]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])  # what is inside a line does not matter
    return parser.parse(text[start:])


def _convert_html_tables(text: str, start: int) -> str:
    """The text with each HTML table that begins a block of raw HTML as a Markdown table."""
    if "<table" not in text.lower():
        return text
    from .html import parse_markup

    lines = _line_starts(text, start)
    raw = [t.map for t in _tokens(text, start) if t.type == "html_block" and not t.level and t.map]
    spans = [(lines[first], lines[min(last, len(lines) - 1)]) for first, last in raw]
    parts: list[str] = []
    done = 0
    for match in _HTML_TABLE.finditer(text, start):
        if any(first <= match.start() < last for first, last in spans):
            parts += [text[done : match.start()], parse_markup(match[0]).text]
            done = match.end()
    return "".join([*parts, text[done:]])


def _blocks(text: str, start: int) -> Iterator[Block]:
    tokens = _tokens(text, start)
    lines = _line_starts(text, start)
    above: str | None = None  # the paragraph right above, when it reads like a caption
    for token in tokens:
        if token.level or token.map is None:
            continue
        begin, end = _trim(text, lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)])
        if begin == end:
            continue
        kind = _KINDS.get(token.type, "text")
        level = int(token.tag[1:]) if kind == "heading" else 0
        yield Block(kind, begin, end, level, above if kind == "table" else None)
        line = squeeze(text[begin:end]) if token.type == "paragraph_open" else ""
        above = line.strip("*_ ") if is_caption(line) else None


def _line_starts(text: str, start: int) -> list[int]:
    """The offset of each line from `start` on, and of the end."""
    starts = [start]
    position = text.find("\n", start)
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """A span of whole lines without blank lines around it; the first line keeps its indentation."""
    span = text[start:end]
    end = start + len(span.rstrip())
    lead = span[: len(span) - len(span.lstrip())]
    return min(start + lead.rfind("\n") + 1, end), end
