"""A question to the passages that fit it: lexical, dense, or both fused (the default).

Fusion adds the normalised BM25 score and the weighted cosine. How much a cosine is worth depends
on whether the embedder knows the passage's language: an English-only model on Spanish text would
drag good lexical hits down. The two weights are measured, see bench/retrieval.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import QueryError
from .index.filters import Filter, matching_documents
from .index.index import Index
from .index.lexical import Lexical
from .index.passages import Mask, Places, View, best
from .index.vectors import Vectors
from .models.interface import Embedder, Matrix
from .records import Hit
from .text.words import highlight, query_terms

Mode = Literal["hybrid", "dense", "lexical"]

CANDIDATES = 100  # each method's best that are scored by both, at least
KNOWN_LANGUAGE = 0.75  # weight of a cosine where the embedder knows the passage's language
OTHER_LANGUAGE = 0.2
UNKNOWN_LANGUAGE = 0.5
FILTERS_KEPT = 16  # sets of filters whose passages are remembered


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
        view = index.passages.view()
        kept = _kept(index, view, filters)
        scored = _scores(index, vectors, embedder, query, k, mode, view, kept)
        found = index.chunks([chunk_id for chunk_id, _, _ in scored])
    hits = []
    for chunk_id, score, parts in scored:
        if chunk_id in found:
            source, chunk = found[chunk_id]
            marks = highlight(chunk.text, query, view.spoken)
            spans = tuple((chunk.start + a, chunk.start + b) for a, b in marks)
            hits.append(Hit(source, chunk, chunk_id, score, parts, spans))
    return hits


def _kept(index: Index, view: View, filters: Sequence[Filter]) -> Mask | None:
    """The passages that the filters leave, None without any; remembered with the view."""
    if not filters:
        return None
    kept = view.kept.get(tuple(filters))
    if kept is None:
        kept = view.of_documents(matching_documents(index, filters) or ())
        if len(view.kept) >= FILTERS_KEPT:
            view.kept.clear()
        view.kept[tuple(filters)] = kept
    return kept


def _scores(
    index: Index,
    vectors: Vectors,
    embedder: Callable[[], Embedder],
    query: str,
    k: int,
    mode: Mode,
    view: View,
    kept: Mask | None,
) -> list[tuple[int, float, dict[str, float]]]:
    """(chunk id, score, its parts), best first."""
    many = max(CANDIDATES, k)
    lexical = vector = None
    places = np.empty(0, np.int64)
    if mode != "dense":
        lexical = Lexical(index, query_terms(query, [x for x in view.spoken if x])).scores()
        if kept is not None:
            lexical[~kept] = 0
        places = best(lexical, many)
        places = places[lexical[places] > 0]
    if mode != "lexical":
        vector = embed_query(embedder(), query)
        places = np.union1d(places, vectors.nearest(view, vector, many, kept))
    parts, total = {}, np.zeros(len(places))
    if lexical is not None:
        parts["lexical"] = lexical[places].astype(np.float64)
        total += parts["lexical"]
    if vector is not None:
        parts["dense"] = vectors.cosines(view, vector, places).astype(np.float64)
        total += parts["dense"] * (_weights(index, view, places) if mode == "hybrid" else 1)
    return [
        (int(view.ids[places[i]]), float(total[i]), {n: float(p[i]) for n, p in parts.items()})
        for i in np.lexsort((places, -total))[:k]
    ]


def _weights(index: Index, view: View, places: Places) -> NDArray[np.float64]:
    """What a cosine counts for each passage."""
    known = index.embedder.languages
    weights = [
        KNOWN_LANGUAGE if "*" in known or name in known
        else OTHER_LANGUAGE if name else UNKNOWN_LANGUAGE
        for name in view.names
    ]  # fmt: skip
    return np.array(weights)[view.languages[places]]


def embed_query(embedder: Embedder, query: str) -> Matrix:
    """The unit vector of a query; one too long for the model is the mean of its halves."""
    if embedder.count_tokens(query) <= embedder.max_tokens:
        return embedder.embed_query(query)
    middle = query.find(" ", len(query) // 2)
    middle = middle if middle > 0 else len(query) // 2
    vector = embed_query(embedder, query[:middle]) + embed_query(embedder, query[middle:])
    return vector / np.float32(np.linalg.norm(vector) or 1.0)
