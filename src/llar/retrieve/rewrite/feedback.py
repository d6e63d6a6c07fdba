"""Pseudo-relevance feedback: what the best passages say is added to the question.

On the side of the words it is RM3: the relevance model of Lavrenko and Croft, "Relevance-Based
Language Models" (2001), mixed with the question as in Abdul-Jaleel et al., "UMass at TREC 2004:
Novelty and HARD". A word's weight is its share of each passage, times that passage's score. On
the side of the vectors it is Rocchio (1971): the question's vector moves towards the mean of
those of the best passages.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...index.index import Index
from ...index.lexical import is_in_at_most
from ...index.passages import View, find
from ...records import Hit
from ...text.stopwords import stop_words
from ...text.words import terms
from ..query import Query, Word
from .arguments import Arguments
from .words import words_of

if TYPE_CHECKING:
    from ..searcher import Searcher

SYNTAX = "prf[:passages[:words[:weight of the question]]]"
DENSE = "prf-dense[:passages[:weight of the passages]]"
PASSAGES, WORDS, OWN = 5, 10, 0.5  # Anserini takes 10 passages; see bench/RESULTS.md
DENSE_PASSAGES, DENSE_WEIGHT = 3, 0.3
COMMON = 0.1  # words in a larger share of the passages say nothing about these
FEWEST, LONGEST = 2, 20  # characters of a stem


def prf(query: Query, searcher: Searcher, argument: str) -> Query:
    """Add the words that the passages found first have most of (RM3).

    `prf:5:10:0.5`, the default, takes 10 words from the 5 best passages and leaves the
    question's own half of the weight. Added are stems that stand in at most a tenth of the
    collection's passages, without stop words. The passages are those of the search as it is: by
    words alone, which is RM3 as published, only with `--mode lexical`. A search by meaning only
    is left as it is, on record. Raises QueryError for other arguments.
    """
    arguments = Arguments(SYNTAX, argument)
    passages = arguments.whole(0, PASSAGES)
    many = arguments.whole(1, WORDS)
    own = arguments.share(2, OWN)
    if own == 0:
        raise arguments.error("the question's own words need some weight")
    index = searcher.index
    with index.database.read() as connection, searcher.step("words of the first passages") as about:
        if searcher.options.mode == "dense":
            about["skipped"] = "the search is by meaning only"
            return query
        view = index.passages.view()
        words = words_of(query, index, view)
        hits = searcher.find(replace(query, variants=()), passages)
        about["passages"] = [hit.chunk_id for hit in hits]
        shares = _relevance(connection, view, hits)
        model = _rarest(index, view, shares, max(COMMON * view.count, 1), many)
        about["added"] = {stem: round(share, 4) for stem, share in model.items()}
    return replace(query, words=_mixed(words, model, own))


def _relevance(
    connection: sqlite3.Connection, view: View, hits: Sequence[Hit]
) -> Mapping[str, float]:
    """What the relevance model gives each stem of the passages."""
    shares: dict[str, float] = defaultdict(float)
    spoken = [language for language in view.spoken if language]
    common = frozenset(
        t for language in spoken for word in stop_words(language) for t in terms(word, language)
    )
    for hit in hits:
        (stems,) = connection.execute(
            "SELECT terms FROM words WHERE rowid = ?", (hit.chunk_id,)
        ).fetchone()
        counts = Counter(
            t for t in stems.split()
            if FEWEST <= len(t) <= LONGEST and t not in common and not t.isdigit()
        )  # fmt: skip
        total = sum(counts.values())
        for stem, count in counts.items():
            shares[stem] += count / total * max(hit.score, 0.0)
    return shares


def _rarest(
    index: Index, view: View, shares: Mapping[str, float], most: float, many: int
) -> Mapping[str, float]:
    """The `many` highest shares, made to add up to 1, of stems in at most `most` passages."""
    found: dict[str, float] = {}
    for stem, share in sorted(shares.items(), key=lambda pair: (-pair[1], pair[0])):
        if len(found) == many or share <= 0:
            break
        if is_in_at_most(index, view, stem, most):
            found[stem] = share
    whole = sum(found.values())
    return {stem: share / whole for stem, share in found.items()}


def _mixed(words: Sequence[Word], model: Mapping[str, float], own: float) -> tuple[Word, ...]:
    """The question's words and the added ones, scaled so that the former keep their weights."""
    scale = (1 - own) / own * sum(word.weight for word in words)
    held = {stem for word in words for stem in word.stems}
    kept = [
        replace(word, weight=word.weight + scale * sum(model.get(s, 0.0) for s in word.stems))
        for word in words
    ]
    added = [Word((s,), scale * share) for s, share in model.items() if s not in held]
    return (*kept, *(word for word in added if word.weight > 0))


def prf_dense(query: Query, searcher: Searcher, argument: str) -> Query:
    """Move the question's vector towards those of the passages found first (Rocchio).

    `prf-dense:3:0.3`, the default, mixes 0.3 of the mean of the 3 best passages' vectors with 0.7
    of the question's. The passages are those of the search as it is, so words have their say in
    them. A search by words only is left as it is, on record. Raises QueryError for other
    arguments.
    """
    from ..hybrid import vector_of

    arguments = Arguments(DENSE, argument)
    passages = arguments.whole(0, DENSE_PASSAGES)
    weight = arguments.share(1, DENSE_WEIGHT)
    index = searcher.index
    with index.database.read(), searcher.step("vectors of the first passages") as about:
        if searcher.options.mode == "lexical":
            about["skipped"] = "the search is by words only"
            return query
        view = index.passages.view()
        vector = vector_of(query, searcher.embedder())
        hits = searcher.find(replace(query, variants=(), vector=vector), passages)
        about["passages"] = [hit.chunk_id for hit in hits]
        if not hits:
            return query
        places, _ = find(view.ids, np.array([hit.chunk_id for hit in hits], np.int64))
        moved = (1 - weight) * vector + weight * searcher.vectors.of(view, places).mean(axis=0)
        length = np.float32(np.linalg.norm(moved))
        if not length:
            return query
        about["cosine"] = round(float(moved @ vector / length), 4)
    return replace(query, vector=moved / length)
