"""Documents into chunks: passages of a size the embedder takes, that stay true to the text.

A chunker is a row in a table, `CHUNKERS`; a `Spec` is one with its parameters, as a collection's
manifest keeps it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..models.interface import Embedder, Matrix, TokenEmbedder
from ..records import Chunk, Document
from .keywords import keywords
from .spec import CHUNKERS, Spec, described, parse_spec, read_spec

__all__ = [
    "CHUNKERS",
    "Spec",
    "check",
    "configured",
    "described",
    "embed",
    "embed_first",
    "keywords",
    "parse_spec",
    "read_spec",
    "split",
]


def configured(config: Config, embedder: Embedder, chunker: str = "") -> Spec:
    """The chunker of a new collection: the one named, or else the configured one.

    Its size is `chunk_tokens`, and never more than the embedder reads. Raises ConfigError for one
    that cannot be used.
    """
    most = embedder.max_tokens
    spec = parse_spec(chunker or config.chunker, min(config.chunk_tokens or most, most))
    check(spec, embedder)
    return spec


def check(spec: Spec, embedder: Embedder) -> None:
    """Raise ConfigError where a document could not be split like this, whatever it holds."""
    if spec.max_tokens > embedder.max_tokens:
        raise ConfigError(
            f"chunks of {spec.max_tokens} tokens are longer than the {embedder.max_tokens} that "
            f"{embedder.identity.name} reads"
        )
    if spec.chunker.embed and not isinstance(embedder, TokenEmbedder):
        raise ConfigError(
            f"chunker {spec.name!r} needs a vector for each token, which {embedder.identity.name} "
            "does not give; ctranslate2 embedders do"
        )
    split(Document("", "", "", 0, ""), spec, embedder)  # the chunker checks its own parameters


def split(document: Document, spec: Spec, embedder: Embedder) -> list[Chunk]:
    """The document's chunks in its order, with keywords and positions.

    Each has at most `spec.max_tokens` tokens of `content`, and together they hold every non-blank
    character. Raises ConfigError for parameters that do not go together.
    """
    chunks: list[Chunk] = _function(spec.chunker.split)(
        document, embedder, spec.max_tokens, **spec.values
    )
    words = keywords([chunk.text for chunk in chunks], document.language)
    return [
        replace(chunk, keywords=found, position=(n, len(chunks)))
        for n, (chunk, found) in enumerate(zip(chunks, words, strict=True), 1)
    ]


def embed(
    batch: Sequence[tuple[Document, Sequence[Chunk]]], spec: Spec, embedder: Embedder
) -> list[Matrix]:
    """The vectors of these documents' chunks: each of shape (chunks, dimension), rows of length 1.

    All together, because an embedder is fastest with many texts of which some are alike in length.
    """
    if spec.chunker.embed:
        one = _function(spec.chunker.embed)
        return [one(document, chunks, embedder, **spec.values) for document, chunks in batch]
    texts = [chunk.content for _, chunks in batch for chunk in chunks]
    empty = np.empty((0, embedder.identity.dimension), np.float32)
    vectors = embedder.embed_documents(texts) if texts else empty
    counts = [len(chunks) for _, chunks in batch]
    return [vectors[a:b] for a, b in pairwise(accumulate(counts, initial=0))]


def embed_first(
    document: Document, chunks: Sequence[Chunk], spec: Spec, embedder: Embedder
) -> Matrix:
    """The vector of a document's first chunk, as `embed` makes it, without the others."""
    if not spec.chunker.embed:
        vector: Matrix = embedder.embed_documents([chunks[0].content])[0]
        return vector
    head = _function(f"{spec.chunker.embed}_first")
    found: Matrix = head(document, chunks, embedder, **spec.values)
    return found


def _function(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), name)
