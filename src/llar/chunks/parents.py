"""Small chunks to match, each read with the larger stretch of text it stands in."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ConfigError
from ..models.interface import Embedder
from ..records import Chunk, Document
from .atoms import Atom, Ruler, pack
from .structure import split_parts


def parent_child(
    document: Document, embedder: Embedder, max_tokens: int, parent: int
) -> list[Chunk]:
    """Chunks by structure, and as many neighbours as take `parent` tokens to read them with.

    A parent stays inside a top-level section and begins and ends where its children do, so several
    children of one parent name the same stretch. One that is as large as its parent has none.
    """
    if parent < max_tokens:
        raise ConfigError(
            f"parent must be at least the {max_tokens!r} tokens of its children, got {parent!r}"
        )
    ruler = Ruler(document.text, embedder.count_tokens, document.language)
    families: list[list[Chunk]] = []  # children of each top-level section
    for part, chunks in split_parts(document, max_tokens, embedder.count_tokens):
        if part.main or not families:
            families.append([])
        families[-1] += chunks
    done: list[Chunk] = []
    for children in families:
        atoms = [Atom(c.start, c.end, ruler.of(c.text)) for c in children]
        groups = pack(atoms, parent)
        at = 0
        for group in groups:
            around = group[0].start, group[-1].end
            for child in children[at : at + len(group)]:
                alone = around == (child.start, child.end)
                done.append(child if alone else replace(child, context=around))
            at += len(group)
    return done
