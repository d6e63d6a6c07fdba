"""Hits made by hand and a searcher over a small collection, for the tests of `--post`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from llar.config import load
from llar.index.index import Index
from llar.index.vectors import Vectors
from llar.models import open_chat, open_embedder
from llar.models.interface import ChatModel, Embedder, Matrix
from llar.records import Chunk, Document, Hit, Source
from llar.retrieve import Query, Searcher, options
from llar.retrieve.steps import parse_steps


def collection(texts: list[str], vectors: Matrix | None = None, language: str = "en") -> Index:
    """A collection of these passages, one document each; fake vectors unless given."""
    dimension = 64 if vectors is None else vectors.shape[1]
    config = load({"embedder": f"fake:hash-{dimension}"})
    embedder = open_embedder(config)
    index = Index.create(config, "c", embedder.identity, {"name": "structure", "max_tokens": 100})
    for n, text in enumerate(texts):
        document = Document(text, f"/d/{n}.txt", "txt", len(text), f"{n:064x}", language=language)
        row = embedder.embed_documents([text]) if vectors is None else vectors[n : n + 1]
        index.put(document, [Chunk(text, 0, len(text))], row.astype(np.float32), {})
    return index


def found(index: Index, scores: list[float]) -> list[Hit]:
    """The passages of such a collection as hits with these scores, best first."""
    chunks = index.chunks(list(range(1, len(scores) + 1)))
    hits = [Hit(*chunks[i], i, score) for i, score in enumerate(scores, 1)]
    return sorted(hits, key=lambda h: -h.score)


def hit(text: str, score: float = 1.0, language: str | None = "en", **chunk: Any) -> Hit:
    """A passage that is in no collection."""
    source = Source(1, "/d/x.txt", format="txt", language=language)
    return Hit(source, Chunk(text, 0, len(text), **chunk), 1, score)


def searcher(
    index: Index,
    *,
    chat: ChatModel | None = None,
    embedder: Embedder | None = None,
    k: int = 10,
    **settings: Any,
) -> Searcher:
    """A searcher over the collection; the embedder is the collection's own unless given."""
    config = load(settings or None)
    own: Callable[[], Embedder] = lambda: open_embedder(config, index.embedder.name)  # noqa: E731
    return Searcher(
        index,
        Vectors(index),
        own if embedder is None else lambda: embedder,
        (lambda: open_chat(config, "fake:echo")) if chat is None else lambda: chat,
        config,
        options(config, k=k, query="none"),
    )


def apply(post: str, hits: list[Hit], search: Searcher, question: str = "q") -> list[Hit]:
    """What the steps make of the hits."""
    for name in parse_steps("post", post):
        hits = name.load()(hits, Query.of(question), search, name.argument)
    return hits


def told(search: Searcher, name: str) -> Any:
    """What the last step of that name put on record."""
    return next(step.about for step in reversed(search.steps) if step.name.startswith(name))


def verbatim(hit: Hit) -> list[str]:
    """The parts of the document that are left of a hit; they are checked to be its text."""
    spans = hit.kept or ()
    assert list(spans) == sorted(spans)
    assert all(a < b for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in pairwise(spans))
    return [hit.chunk.text[a - hit.chunk.start : b - hit.chunk.start] for a, b in spans]


def moved(hit: Hit, by: int) -> Hit:
    """The same passage further back in its document."""
    chunk = replace(hit.chunk, start=hit.chunk.start + by, end=hit.chunk.end + by)
    return replace(hit, chunk=chunk)


def files(folder: Path, **texts: str) -> Path:
    """A folder of Markdown files."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return folder
