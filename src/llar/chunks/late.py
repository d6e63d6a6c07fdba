"""Late chunking: a passage is embedded as a whole, then the vectors of each chunk's tokens pooled.

So a chunk's vector knows what stands around it. Günther et al., "Late Chunking: Contextual Chunk
Embeddings Using Long-Context Embedding Models", 2024; passages that overlap are its "long late
chunking".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..models.interface import Embedder, Matrix, TokenEmbedder
from ..records import Chunk, Document
from .atoms import CHARACTERS_PER_TOKEN
from .structure import split


class _Passage(NamedTuple):
    """Chunks that are embedded together, and where the text that is read for them begins."""

    start: int
    chunks: Sequence[Chunk]


def late(document: Document, embedder: Embedder, max_tokens: int, overlap: int) -> list[Chunk]:
    """Chunks by structure. Raises ConfigError where no passage could hold one with its overlap."""
    if embedder.identity.pooling != "mean":
        raise ConfigError(
            f"chunker 'late' pools by the mean of tokens, but {embedder.identity.name} was made "
            f"for {embedder.identity.pooling!r}"
        )
    if overlap > embedder.max_tokens // 2:
        raise ConfigError(
            f"overlap must be at most half of the {embedder.max_tokens!r} tokens that "
            f"{embedder.identity.name} reads, got {overlap!r}"
        )
    return split(document, max_tokens=max_tokens, count_tokens=embedder.count_tokens)


def embed(
    document: Document, chunks: Sequence[Chunk], embedder: TokenEmbedder, overlap: int
) -> Matrix:
    """Vectors of the chunks, shape (chunks, dimension), float32, rows of length 1.

    A table's piece that repeats its header is embedded by itself, with that header.
    """
    rows = [_pooled(document, passage, embedder)
            for passage in _passages(document, chunks, embedder, overlap)]  # fmt: skip
    return np.concatenate(rows) if rows else np.empty((0, embedder.identity.dimension), np.float32)


def embed_first(
    document: Document, chunks: Sequence[Chunk], embedder: TokenEmbedder, overlap: int
) -> Matrix:
    """The vector of the first of these chunks."""
    passage = next(_passages(document, chunks, embedder, overlap))
    vector: Matrix = _pooled(document, passage, embedder)[0]
    return vector


def _passages(
    document: Document, chunks: Sequence[Chunk], embedder: TokenEmbedder, overlap: int
) -> Iterator[_Passage]:
    """As many neighbouring chunks as the embedder reads, with the end of the text before them."""
    limit = embedder.max_tokens
    held: list[Chunk] = []
    size, start = 0, 0
    for chunk in chunks:
        tokens = embedder.count_tokens(chunk.text) + 1  # what stands between two may count
        if chunk.prefix or (held and held[-1].prefix) or (held and size + tokens > limit):
            if held:
                yield _Passage(start, held)
            held = []
        if not held:
            room = min(overlap, limit - tokens)
            start, size = _before(document, chunk.start, room, embedder)
        held.append(chunk)
        size += tokens
    if held:
        yield _Passage(start, held)


def _before(document: Document, place: int, room: int, embedder: TokenEmbedder) -> tuple[int, int]:
    """Where the last `room` tokens before a place begin, at most, and how many they are."""
    text = document.text
    start = max(0, place - max(room, 0) * CHARACTERS_PER_TOKEN // 2)
    while start < place:
        if start:  # not in the middle of a word
            space = text.find(" ", start, place)
            start = place if space < 0 else space + 1
        tokens = embedder.count_tokens(text[start:place])
        if tokens <= room:
            return start, tokens
        start += max(1, (place - start) * (tokens - room) // tokens)
    return place, 0


def _pooled(document: Document, passage: _Passage, embedder: TokenEmbedder) -> Matrix:
    first = passage.chunks[0]
    if first.prefix:
        return embedder.embed_documents([first.content])
    text = document.text[passage.start : passage.chunks[-1].end]
    if embedder.count_tokens(text) > embedder.max_tokens:  # the whole may count more than its parts
        return np.concatenate([_pooled(document, half, embedder) for half in _halves(passage)])
    vectors, places = embedder.embed_tokens(text)
    ends = np.array([end for _, end in places], np.int64) + passage.start
    rows = []
    for chunk in passage.chunks:
        inside = vectors[(ends > chunk.start) & (ends <= chunk.end)]
        if not len(inside):  # no token begins in it: signs the tokenizer does not know
            rows.append(embedder.embed_documents([chunk.content])[0])
            continue
        mean = inside.mean(axis=0)
        rows.append(mean / np.float32(np.linalg.norm(mean) or 1.0))
    return np.stack(rows)


def _halves(passage: _Passage) -> list[_Passage]:
    """The passage as two, the one of a single chunk as that chunk alone."""
    chunks = passage.chunks
    if len(chunks) == 1:
        return [_Passage(chunks[0].start, chunks)]
    middle = len(chunks) // 2
    return [
        _Passage(passage.start, chunks[:middle]),
        _Passage(chunks[middle].start, chunks[middle:]),
    ]
