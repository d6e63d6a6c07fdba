"""BM25 over a collection's words, exact: every passage that holds a word of the query is scored.

The formula is Lucene's, after Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25
and Beyond" (2009), with k1 1.2 and b 0.75: sum of
idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean length)), where
idf = ln(1 + (N - n + 0.5) / (n + 0.5)). Scores are divided by what a passage would get that
repeats every word of the query for ever, so they lie in 0..1 and can be compared between queries.

FTS5 only keeps the words: where each stands is read from it when first asked for (a word at a
time, as one string) and stays in memory until the collection changes. Its own ranking would go
through every passage with any of the words for each query, and gives a word in more than half of
the passages no weight.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection as SetOf
from collections.abc import Sequence

import numpy as np

from ..text.words import fold, written
from .index import Index, chunk_words
from .passages import Places, Posting, Scores, View, find, numbers

K1 = 1.2
B = 0.75
BLOCK = 1024  # passages whose text is read together


class Lexical:
    """One query's words, weighed against a collection.

    Each word is a group of alternatives (its stem in each language of the collection) that count
    as one word. `weights`, one for each word, multiply what it is worth. A word with `forms`
    counts only where it is written as one of them (lower case, without accents).
    """

    def __init__(
        self,
        index: Index,
        words: Sequence[Sequence[str]],
        weights: Sequence[float] | None = None,
        forms: Sequence[Sequence[str]] | None = None,
    ) -> None:
        given = zip(
            words,
            [1.0] * len(words) if weights is None else weights,
            [()] * len(words) if forms is None else forms,
            strict=True,
        )
        held = [(tuple(sorted(set(g))), w, tuple(sorted(set(f)))) for g, w, f in given if g]
        self._groups = [group for group, _, _ in held]
        with index.database.read() as connection:
            self._view = index.passages.view()
            self._postings = [
                _written(index, connection, self._view, group, f) if f
                else _posting(connection, self._view, group)
                for group, _, f in held
            ]  # fmt: skip
        total = self._view.count
        self._weights = [
            weight * math.log(1 + (total - p.passages + 0.5) / (p.passages + 0.5))
            for p, (_, weight, _) in zip(self._postings, held, strict=True)
        ]
        self._most = sum(self._weights) * (K1 + 1)

    def scores(self) -> Scores:
        """The score of every passage, by place; 0 where none of the words stands."""
        scores = np.zeros(len(self._view.ids), np.float32)
        for posting, weight in zip(self._postings, self._weights, strict=True):
            scores[posting.places] += posting.impacts * np.float32(weight / self._most)
        return scores

    def covered(self, words: SetOf[str]) -> float:
        """The share of the query's words, weighed by how rare they are, that stand in `words`."""
        held = (
            w
            for g, w in zip(self._groups, self._weights, strict=True)
            if any(t in words for t in g)
        )
        return sum(held) * (K1 + 1) / self._most if self._most else 0.0

    def heaviest_missing(self, words: SetOf[str]) -> float:
        """The weight, as a share of all, of the rarest word of the query not in `words`."""
        missing = (
            w
            for g, w in zip(self._groups, self._weights, strict=True)
            if not any(t in words for t in g)
        )
        return max(missing, default=0.0) * (K1 + 1) / self._most if self._most else 0.0


def stands(index: Index, connection: sqlite3.Connection, stem: str) -> bool:
    """Does a passage have this stem?"""
    if index.reader is None:
        query = "SELECT 1 FROM vocabulary WHERE term = ?"
    else:  # the view counts all of a stem's passages before it tells
        query = (
            "SELECT 1 FROM occurrences WHERE term = ?"
            " AND EXISTS (SELECT 1 FROM chunks WHERE chunks.id = doc) LIMIT 1"
        )
    return connection.execute(query, (stem,)).fetchone() is not None


def is_in_at_most(index: Index, view: View, stem: str, most: float) -> bool:
    """Do at most so many passages, and one at least, have this stem? In the view's transaction."""
    with index.database.whole() as connection:
        row = connection.execute(
            "SELECT doc FROM main.vocabulary WHERE term = ?", (stem,)
        ).fetchone()
    if row is None:
        return False
    hidden = int(np.count_nonzero(view.owners)) - view.count
    if not hidden or row[0] - hidden > most:
        return bool(row[0] <= most)
    return 0 < _posting(connection, view, (stem,)).passages <= most


def _posting(connection: sqlite3.Connection, view: View, group: tuple[str, ...]) -> Posting:
    """Where the words of a group stand, kept with the view."""
    held = view.postings.get(group)
    if held is None:
        held = _read(connection, view, group)
        view.postings.keep(group, held)
    return held


def _read(connection: sqlite3.Connection, view: View, group: tuple[str, ...]) -> Posting:
    connection.execute(  # one row per word and place; https://www.sqlite.org/fts5.html#fts5vocab
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.occurrences USING fts5vocab(main, words, instance)"
    )
    places, most = [np.empty(0, np.int64)], 0
    for term in group:
        (row,) = connection.execute(
            "SELECT group_concat(doc) FROM occurrences WHERE term = ?", (term,)
        ).fetchone()
        found, here = find(view.ids, numbers(row))
        found = found[here]
        places.append(found[view.documents[found] != 0])  # the words are those of all readers
        most = max(most, len(_runs(places[-1])[0]))
    distinct, tf = _runs(np.concatenate(places))
    return Posting(distinct.astype(np.int32), _impacts(view, distinct, tf), most)


def _impacts(view: View, places: Places, tf: Places) -> Scores:
    """What a word of weight 1 adds to passages that hold it `tf` times."""
    norm = K1 * (1 - B + B * view.lengths[places] / view.mean_length)
    return (tf * (K1 + 1) / (tf + norm)).astype(np.float32)


def _written(
    index: Index,
    connection: sqlite3.Connection,
    view: View,
    group: tuple[str, ...],
    forms: tuple[str, ...],
) -> Posting:
    """Where one of `forms` stands, among the passages that hold a stem of `group`."""
    key = (*group, "", *forms)  # no stem is empty
    held = view.postings.get(key)
    if held is None:
        wanted, places, counts = frozenset(forms), [], []
        candidates = _posting(connection, view, group).places
        for a in range(0, len(candidates), BLOCK):
            block = candidates[a : a + BLOCK]
            found = index.chunks(view.ids[block].tolist())
            for place, chunk_id in zip(block.tolist(), view.ids[block].tolist(), strict=True):
                if chunk_id in found:
                    words = written([chunk_words(*found[chunk_id])])
                    count = sum(n for form, n in words.items() if fold(form) in wanted)
                    if count:
                        places.append(place)
                        counts.append(count)
        here, tf = np.array(places, np.int64), np.array(counts, np.int64)
        held = Posting(here.astype(np.int32), _impacts(view, here, tf), len(places))
        view.postings.keep(key, held)
    return held


def _runs(places: Places) -> tuple[Places, Places]:
    """The distinct places in order, and how often each occurs."""
    places = np.sort(places, kind="stable")  # mostly in order already
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    return places[starts], np.diff(starts, append=len(places))
