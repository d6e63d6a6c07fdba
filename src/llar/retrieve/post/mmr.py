"""Maximal marginal relevance: passages that fit the question and say something new."""

from __future__ import annotations

import numpy as np

from ...index.passages import find
from ...records import Hit
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .scores import rescored

LAMBDA = 0.7


def mmr(hits: list[Hit], _query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Put passages first that fit and say something new, lambda 0.7: mmr[:lambda].

    Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
    and Producing Summaries" (1998): again and again the passage with the highest
    lambda * relevance - (1 - lambda) * similarity to those chosen before. Relevance is the score
    as a share of the best one, similarity the highest cosine of the vectors in the collection.
    The new score adds the constant 1 - lambda, so that it lies in 0..1. Raises QueryError.
    """
    arguments = Arguments("mmr[:lambda]", argument, "post")
    weight = arguments.share(0, LAMBDA)
    if not hits:
        return []
    index = searcher.index
    with index.database.read():
        view = index.passages.view()
        places, here = find(view.ids, np.array([h.chunk_id for h in hits], np.int64))
        vectors = searcher.vectors.of(view, places[here])
    cosines = np.zeros((len(hits), len(hits)))  # of one removed a moment ago: 0
    cosines[np.ix_(here, here)] = np.clip(vectors @ vectors.T, 0.0, 1.0)
    best = max(h.score for h in hits)
    relevance = np.array([h.score / best if best > 0 else 0.0 for h in hits])
    scores = np.zeros(len(hits))
    nearest = np.zeros(len(hits))  # the highest cosine to one that is chosen
    left = np.ones(len(hits), np.bool_)
    for _ in hits:
        value = np.where(left, weight * relevance + (1 - weight) * (1 - nearest), -np.inf)
        chosen = int(np.argmax(value))
        scores[chosen], left[chosen] = value[chosen], False
        nearest = np.maximum(nearest, cosines[chosen])
    return rescored(hits, "mmr", [float(s) for s in np.clip(scores, 0.0, 1.0)])
