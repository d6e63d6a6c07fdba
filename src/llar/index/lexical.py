"""BM25 over a collection's words: SQLite's FTS5 finds candidates, the exact formula ranks them.

FTS5's own bm25() gives a word in more than half of the passages no weight, which in a small
collection is most of the question's words. The formula here is Lucene's, after Robertson and
Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with k1 1.2 and b 0.75:
sum of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean length)), where
idf = ln(1 + (N - n + 0.5) / (n + 0.5)). Scores are divided by what a passage would get that
repeats every word of the query for ever, so they lie in 0..1 and can be compared between queries.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection as SetOf
from collections.abc import Iterable, Sequence

from .index import Index

K1 = 1.2
B = 0.75


class Lexical:
    """One query's words, weighed against a collection.

    Each word is a group of alternatives (its stem in each language of the collection) that count
    as one word.
    """

    def __init__(self, index: Index, words: Sequence[Sequence[str]]) -> None:
        self._index = index
        self._groups = [sorted(set(group)) for group in words if group]
        with index.database.read() as connection:
            total = connection.execute("SELECT count(*) FROM chunks").fetchone()[0]
            self._mean = max(index.database.manifest("tokens") / max(total, 1), 1)
            self._weights = []
            for group in self._groups:
                marks = ", ".join("?" * len(group))
                n = connection.execute(
                    f"SELECT coalesce(max(doc), 0) FROM vocabulary WHERE term IN ({marks})", group
                ).fetchone()[0]
                self._weights.append(math.log(1 + (total - n + 0.5) / (n + 0.5)))
        self._most = sum(self._weights) * (K1 + 1)

    def top(self, k: int, documents: SetOf[int] | None = None) -> list[tuple[int, float]]:
        """The k best chunks as (chunk id, score), best first, ties by id."""
        terms = sorted({term for group in self._groups for term in group})
        if not terms:
            return []
        inside, values = "", []
        if documents is not None:
            inside = (
                "AND rowid IN (SELECT c.id FROM chunks c, json_each(?) WHERE document_id = value)"
            )
            values = [json.dumps(sorted(documents))]
        with self._index.database.read() as connection:
            rows = connection.execute(
                f"SELECT rowid, terms FROM words WHERE words MATCH ? {inside}"
                " ORDER BY rank LIMIT ?",
                (" OR ".join(f'"{term}"' for term in terms), *values, k),
            ).fetchall()
        scored = [(chunk_id, self._score(found)) for chunk_id, found in rows]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

    def scores(self, chunk_ids: Iterable[int]) -> dict[int, float]:
        """The score of each of these chunks; ids that are gone are left out."""
        with self._index.database.read() as connection:
            rows = connection.execute(
                "SELECT rowid, terms FROM words WHERE rowid IN (SELECT value FROM json_each(?))",
                (json.dumps(list(chunk_ids)),),
            ).fetchall()
        return {chunk_id: self._score(found) for chunk_id, found in rows}

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

    def _score(self, found: str) -> float:
        tokens = found.split(" ")
        counts = Counter(tokens)
        norm = K1 * (1 - B + B * len(tokens) / self._mean)
        score = 0.0
        for group, weight in zip(self._groups, self._weights, strict=True):
            tf = sum(counts[term] for term in group)
            score += weight * tf * (K1 + 1) / (tf + norm)
        return score / self._most if self._most else 0.0
