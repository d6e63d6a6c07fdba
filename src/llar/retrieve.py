"""A question to the passages that fit it: lexical, dense, or both fused (the default).

Fusion adds the normalised BM25 score and the weighted cosine. How much a cosine is worth depends
on whether the embedder knows the passage's language: an English-only model on Spanish text would
drag good lexical hits down. The two weights are measured, see bench/retrieval.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from .errors import QueryError
from .index.filters import Filter, matching_documents
from .index.index import Index
from .index.lexical import Lexical
from .index.vectors import Vectors
from .models.interface import Embedder, Matrix
from .records import Hit
from .text.words import highlight, query_terms

Mode = Literal["hybrid", "dense", "lexical"]

CANDIDATES = 100  # each method's best that are scored by both, at least
KNOWN_LANGUAGE = 0.75  # weight of a cosine where the embedder knows the passage's language
OTHER_LANGUAGE = 0.2
UNKNOWN_LANGUAGE = 0.5


def search(
    index: Index,
    vectors: Vectors,
    embedder: Callable[[], Embedder],
    query: str,
    *,
    k: int = 10,
    mode: Mode = "hybrid",
    filters: Sequence[Filter] = (),
) -> list[Hit]:
    """The k best passages for `query`, best first; fewer where fewer match.

    `embedder` is called only where the mode needs it. Raises QueryError for an empty query, an
    unknown mode or a filter on a key that no document has.
    """
    if not query.strip():
        raise QueryError("the query is empty")
    if mode not in get_args(Mode):
        raise QueryError(f"there is no search mode {mode!r}: expected {', '.join(get_args(Mode))}")
    if k < 1:
        raise QueryError(f"k must be at least 1, got {k}")
    with index.database.read():  # one view of the collection for every step
        documents = matching_documents(index, filters)
        languages = sorted(index.languages())
        scored = _scores(index, vectors, embedder, query, k, mode, documents, languages)
        found = index.chunks([chunk_id for chunk_id, _, _ in scored])
    hits = []
    for chunk_id, score, parts in scored:
        if chunk_id in found:
            source, chunk = found[chunk_id]
            marks = highlight(chunk.text, query, languages)
            spans = tuple((chunk.start + a, chunk.start + b) for a, b in marks)
            hits.append(Hit(source, chunk, chunk_id, score, parts, spans))
    return hits


def _scores(
    index: Index,
    vectors: Vectors,
    embedder: Callable[[], Embedder],
    query: str,
    k: int,
    mode: Mode,
    documents: set[int] | None,
    languages: Sequence[str],
) -> list[tuple[int, float, dict[str, float]]]:
    many = max(CANDIDATES, k)
    lexical: dict[int, float] = {}
    dense: dict[int, float] = {}
    if mode != "dense":
        words = Lexical(index, query_terms(query, [x for x in languages if x]))
        lexical = dict(words.top(many, documents))
    if mode != "lexical":
        vector = embed_query(embedder(), query)
        dense = dict(vectors.nearest(vector, many, documents))
    if mode == "lexical":
        ranked = [(i, s, {"lexical": s}) for i, s in lexical.items() if s > 0]
    elif mode == "dense":
        ranked = [(i, s, {"dense": s}) for i, s in dense.items()]
    else:
        lexical |= words.scores(dense.keys() - lexical.keys())
        dense |= vectors.cosines(vector, sorted(lexical.keys() - dense.keys()))
        weights = _weights(index, list(lexical))
        ranked = [
            (i, s + weights[i] * dense[i], {"lexical": s, "dense": dense[i]})
            for i, s in lexical.items()
            if i in dense and i in weights
        ]
    return sorted(ranked, key=lambda row: (-row[1], row[0]))[:k]


def _weights(index: Index, chunk_ids: Sequence[int]) -> dict[int, float]:
    """What a cosine counts for each chunk."""
    known = index.embedder.languages
    weights = {}
    for chunk_id, language in index.chunk_languages(chunk_ids).items():
        if "*" in known or language in known:
            weights[chunk_id] = KNOWN_LANGUAGE
        else:
            weights[chunk_id] = OTHER_LANGUAGE if language else UNKNOWN_LANGUAGE
    return weights


def embed_query(embedder: Embedder, query: str) -> Matrix:
    """The unit vector of a query; one too long for the model is the mean of its halves."""
    if embedder.count_tokens(query) <= embedder.max_tokens:
        return embedder.embed_query(query)
    middle = query.find(" ", len(query) // 2)
    middle = middle if middle > 0 else len(query) // 2
    vector = embed_query(embedder, query[:middle]) + embed_query(embedder, query[middle:])
    return vector / np.float32(np.linalg.norm(vector) or 1.0)
