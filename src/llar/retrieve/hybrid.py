"""One query to the passages that fit it: lexical, dense, or both fused (the default).

Fusion adds the normalised BM25 score and the weighted cosine. How much a cosine is worth depends
on whether the embedder knows the passage's language: an English-only model on Spanish text would
drag good lexical hits down. The weights are measured, see bench/retrieval.py. "adaptive" does
without that knowledge: for each query the side whose best passage stands out more counts more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..index.filters import Filter, matching_documents
from ..index.index import Index
from ..index.lexical import Lexical
from ..index.passages import Mask, Places, View, best
from ..models.interface import Embedder, Matrix
from ..records import Chunk, Hit, Source
from ..text.words import highlight
from .options import Retrieval
from .query import Query
from .rewrite.words import words_of

if TYPE_CHECKING:
    from .searcher import Searcher

CANDIDATES = 100  # each method's best that are scored by both, at least
KNOWN_LANGUAGE = 0.75  # weight of a cosine where the embedder knows the passage's language
OTHER_LANGUAGE = 0.2
UNKNOWN_LANGUAGE = 0.5
FILTERS_KEPT = 16  # sets of filters whose passages are remembered
RRF_K = 60  # Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion" (2009)
ADAPTIVE = 2.0  # weight of a cosine, times the share that meaning has in what stands out

Scored = tuple[int, float, dict[str, float]]  # chunk id, score, its parts


def find(
    searcher: Searcher, query: Query, k: int, options: Retrieval, among: Mask | None = None
) -> list[Hit]:
    """The k best passages for `query`, best first; fewer where fewer match.

    A passage that is read anyway, in the context of a better one, is part of that one's hit. With
    `among`, a mask over the places of this transaction's view, only those are looked at.
    Raises QueryError for a filter on a key that no document has.
    """
    index = searcher.index
    with index.database.read():  # one view of the collection for every step
        view = index.passages.view()
        kept = kept_by(index, view, query.filters)
        if among is not None:
            kept = among if kept is None else kept & among
        many = k
        while True:
            scored = _scores(searcher, query, many, options, view, kept)
            found = index.chunks([chunk_id for chunk_id, _, _ in scored])
            hits = _read(index, scored, found, query, view)
            if len(hits) >= k or len(scored) < many:
                return hits[:k]
            many *= 2  # several passages of one context


def _read(
    index: Index,
    scored: Sequence[Scored],
    found: dict[int, tuple[Source, Chunk]],
    query: Query,
    view: View,
) -> list[Hit]:
    """The passages as they are to be read."""
    hits: list[Hit] = []
    for chunk_id, score, parts in scored:
        if chunk_id not in found:
            continue
        source, chunk = found[chunk_id]
        matched = (chunk.start, chunk.end)
        if chunk.context:
            at = _reading(hits, source, chunk)
            if at is not None:
                hits[at] = replace(hits[at], matched=(*hits[at].matched, matched))
                continue
            chunk = widened(index, source, chunk, chunk.context)
        marks = highlight(chunk.text, query.text, view.spoken)
        spans = tuple((chunk.place(a), chunk.place(b)) for a, b in marks)
        hit = Hit(source, chunk, chunk_id, score, parts, spans)
        hits.append(replace(hit, matched=(matched,)) if chunk.context else hit)
    return hits


def _reading(hits: Sequence[Hit], source: Source, chunk: Chunk) -> int | None:
    """The number of the first hit in whose context the passage is read anyway."""
    for at, hit in enumerate(hits):
        inside = hit.chunk.start <= chunk.start and chunk.end <= hit.chunk.end
        if inside and hit.matched and hit.document.id == source.id:
            return at
    return None


def widened(index: Index, source: Source, chunk: Chunk, span: tuple[int, int]) -> Chunk:
    """The chunk with the document's text from start to end of `span`, its kind and its pages."""
    document = index.document(source.id)
    start, end = span
    text = document.text[start:end]
    pages = [p.number for p in document.pages if p.start < end and p.end > start]
    kinds = {b.kind for b in document.blocks if b.start < end and b.end > start} | {chunk.kind}
    return replace(
        chunk,
        text=text,
        start=start,
        end=end,
        kind="table" if "table" in kinds else "code" if kinds == {"code"} else "text",
        prefix="" if chunk.prefix in text else chunk.prefix,  # the header may stand there now
        parts=(),
        first_page=pages[0] if pages else None,
        last_page=pages[-1] if pages else None,
    )


def kept_by(index: Index, view: View, filters: Sequence[Filter]) -> Mask | None:
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
    searcher: Searcher,
    query: Query,
    k: int,
    options: Retrieval,
    view: View,
    kept: Mask | None,
) -> list[Scored]:
    """The k best passages by id, best first."""
    many = max(CANDIDATES, k)
    mode, vectors = options.mode, searcher.vectors
    lexical = vector = None
    places = np.empty(0, np.int64)
    if mode != "dense":
        words = words_of(query, searcher.index, view)
        lexical = Lexical(
            searcher.index,
            [w.stems for w in words],
            [w.weight for w in words],
            [w.forms for w in words],
        ).scores()
        if kept is not None:
            lexical[~kept] = 0
        places = best(lexical, many, above=0)
    if mode != "lexical":
        vector = vector_of(query, searcher.embedder())
        places = np.union1d(places, vectors.nearest(view, vector, many, kept))
    parts: dict[str, NDArray[np.float64]] = {}
    if lexical is not None:
        parts["lexical"] = lexical[places].astype(np.float64)
    if vector is not None:
        parts["dense"] = vectors.cosines(view, vector, places).astype(np.float64)
    total = _fused(searcher.index, view, places, parts, options)
    return [
        (int(view.ids[places[i]]), float(total[i]), {n: float(p[i]) for n, p in parts.items()})
        for i in np.lexsort((places, -total))[:k]
    ]


def vector_of(query: Query, embedder: Embedder) -> Matrix:
    """The unit vector that a query searches with."""
    return embed_query(embedder, query.text) if query.vector is None else query.vector


def _fused(
    index: Index,
    view: View,
    places: Places,
    parts: dict[str, NDArray[np.float64]],
    options: Retrieval,
) -> NDArray[np.float64]:
    """One score for each passage."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    lexical, dense = parts["lexical"], parts["dense"]
    if options.fusion == "rrf":
        found: NDArray[np.float64] = 1 / (RRF_K + _ranks(lexical)) + 1 / (RRF_K + _ranks(dense))
        return found
    if options.fusion == "adaptive":
        a, b = _decided(lexical), _decided(dense)
        return lexical + dense * (ADAPTIVE * b / (a + b) if a + b else 1)
    if options.dense_weight:
        return lexical + dense * options.dense_weight
    return lexical + dense * _weights(index, view, places)


def _decided(scores: NDArray[np.float64]) -> float:
    """How far the best passage stands out, from 0: the share of its score that the tenth lacks."""
    top = np.sort(scores)[::-1][:10]
    return float((top[0] - top[-1]) / top[0]) if len(top) and top[0] > 0 else 0.0


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each one's rank from 1; a score of 0 or less has none."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    ranks[scores <= 0] = np.inf
    return ranks


def _weights(index: Index, view: View, places: Places) -> NDArray[np.float64]:
    """What a cosine counts for each passage. That of each language is remembered with the view."""
    weights: NDArray[np.float64] | None = view.known.get("cosines")
    if weights is None:
        known = index.embedder.languages
        weights = view.known["cosines"] = np.array([
            KNOWN_LANGUAGE if "*" in known or name in known
            else OTHER_LANGUAGE if name else UNKNOWN_LANGUAGE
            for name in view.names
        ])  # fmt: skip
    return weights[view.languages[places]]


def embed_query(embedder: Embedder, query: str) -> Matrix:
    """The unit vector of a query; one too long for the model is the mean of its halves."""
    if embedder.count_tokens(query) <= embedder.max_tokens:
        return embedder.embed_query(query)
    middle = query.find(" ", len(query) // 2)
    middle = middle if middle > 0 else len(query) // 2
    vector = embed_query(embedder, query[:middle]) + embed_query(embedder, query[middle:])
    return vector / np.float32(np.linalg.norm(vector) or 1.0)


def embed_spans(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    """Unit vectors of spans, shape (len(texts), dimension); one too long is a mean of halves."""
    fits = [embedder.count_tokens(t) <= embedder.max_tokens for t in texts]
    vectors = np.empty((len(texts), embedder.identity.dimension), np.float32)
    short = [t for t, ok in zip(texts, fits, strict=True) if ok]
    if short:
        vectors[np.asarray(fits)] = embedder.embed_documents(short)
    for i, ok in enumerate(fits):
        if not ok:
            vectors[i] = embed_query(embedder, texts[i])
    return vectors
