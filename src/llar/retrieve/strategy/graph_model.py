"""Relations that the chat model reads from passages, of which only those are kept that stand there.

A line counts where both its things stand in one sentence of the passage; the relation keeps the
span from the one to the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...config import Config
from ...index.graph import Extractor
from ...models.interface import ChatModel, Options
from ...prompts import render
from ...records import Block, Document
from ...text import sentences
from ...text.entities import key_of
from ...text.relations import Relation

LONGEST = 1_500  # characters of a passage; a longer one is cut between sentences
MOST_WORDS = 8  # of a thing or a relation
_LINE = re.compile(r"[-*\d.)\s]*([^|\n]+)\|([^|\n]+)\|([^|\n]+)")


def extractor(chat: ChatModel, config: Config) -> Extractor:
    """Reads a document's relations with a chat model, passage by passage."""

    def read(document: Document) -> list[Relation]:
        found: list[Relation] = []
        for start, end in _passages(document):
            passage = document.text[start:end]
            messages = render(config, "graph_relations", passage=passage)
            written = chat.chat(messages, Options(max_tokens=256)).text
            found += accepted(written, document, start, end)
        return found

    return read


def _passages(document: Document) -> Iterator[tuple[int, int]]:
    """Blocks of prose one after the other, as many as fit together."""
    blocks = [b for b in document.blocks if b.kind in ("text", "list")]
    held: list[Block] = []
    for block in blocks or [Block("text", 0, len(document.text))]:
        if held and block.end - held[0].start > LONGEST:
            yield held[0].start, held[-1].end
            held = []
        if block.end - block.start > LONGEST:
            yield from _pieces(document, block)
        else:
            held.append(block)
    if held:
        yield held[0].start, held[-1].end


def _pieces(document: Document, block: Block) -> Iterator[tuple[int, int]]:
    start = last = block.start
    for _, end in sentences.split(document.text[block.start : block.end], document.language):
        if block.start + end - start > LONGEST and last > start:
            yield start, last
            start = last
        last = block.start + end
    if last > start:
        yield start, last


def accepted(written: str, document: Document, start: int, end: int) -> list[Relation]:
    """The relations in what a model wrote about a stretch that its text bears out."""
    text = document.text[start:end]
    spans = [(start + a, start + b) for a, b in sentences.split(text, document.language)]
    found: list[Relation] = []
    for match in _LINE.finditer(written):
        first, said, second = (" ".join(part.split()).strip("\"'.`* ") for part in match.groups())
        if not first or not said or not second:
            continue
        if max(len(x.split()) for x in (first, said, second)) > MOST_WORDS:
            continue
        place = _together(document.text, spans, first, second)
        keys = key_of(first, document.language), key_of(second, document.language)
        if place and all(keys) and keys[0] != keys[1]:
            found.append(Relation(*keys, "does", said, *place, second))
    return list(dict.fromkeys(found))


def _together(
    text: str, spans: list[tuple[int, int]], first: str, second: str
) -> tuple[int, int] | None:
    """Where both things stand in one sentence: from the one's beginning to the other's end."""
    for start, end in spans:
        one, other = _stands(text, first, start, end), _stands(text, second, start, end)
        if one and other and (one[1] <= other[0] or other[1] <= one[0]):
            return min(one[0], other[0]), max(one[1], other[1])
    return None


def _stands(text: str, thing: str, start: int, end: int) -> tuple[int, int] | None:
    words = r"\s+".join(map(re.escape, thing.split()))
    found = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE).search(text, start, end)
    return found.span() if found else None
