"""Real passages of a collection to put before a model: those that hold an answer, and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..collection import Collection
from ..index.filters import Filter
from ..records import Hit
from .counterfactual import says
from .draw import drawn
from .places import Place
from .questions import Question

__all__ = ["Passage", "Passages"]

POOL = 400  # passages ranked for a question, at most
NEAR = 30  # of these the first may distract; the far half is about something else


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage with the score that the search gives it for a question."""

    hit: Hit

    @property
    def place(self) -> tuple[int, int, int]:
        """Document, start and end."""
        return self.hit.document.id, self.hit.chunk.start, self.hit.chunk.end


class Passages:
    """Chooses passages of a collection for questions, the same ones for the same seed."""

    def __init__(self, docs: Collection, seed: int) -> None:
        self._docs, self._seed = docs, seed
        self._count = docs.index.counts()["chunks"]
        self._ranked = lru_cache(maxsize=64)(self._ranking)

    def holding(self, question: str, spans: Sequence[Place]) -> list[Passage]:
        """The passages that overlap these places, best first."""
        found = []
        for document in dict.fromkeys(span.document for span in spans):
            of_document = [s for s in spans if s.document == document]
            path = self._docs.index.document(document).source
            hits = self._search(question, self._count, [Filter("path", "=", path)])
            found += [
                hit
                for hit in hits
                if any(a < s.end and s.start < b for a, b in hit.chunk.spans for s in of_document)
            ]
        return [Passage(hit) for hit in sorted(found, key=lambda h: -h.score)]

    def near(self, question: Question, count: int) -> list[Passage]:
        """The passages nearest to a question that hold none of its answers."""
        return self._without(question, self._ranked(question.question)[:NEAR])[:count]

    def far(self, question: Question, count: int, besides: Sequence[Passage] = ()) -> list[Passage]:
        """Passages of the far half of a ranking, none of `besides`, that hold no answer."""
        ranked = self._ranked(question.question)
        taken = {p.hit.chunk_id for p in besides}
        rest = [h for h in ranked[len(ranked) // 2 :] if h.chunk_id not in taken]
        kept = self._without(question, rest)
        return drawn(self._seed, "far", question.id).sample(kept, min(count, len(kept)))

    def _without(self, question: Question, hits: Sequence[Hit]) -> list[Passage]:
        paths = [span.path for span in question.spans]
        return [
            Passage(hit)
            for hit in hits
            if not says(f"{hit.document.title or ''} {hit.content}", question.answers)
            and not any(hit.document.path.endswith(path) for path in paths)
        ]

    def _ranking(self, question: str) -> tuple[Hit, ...]:
        return tuple(self._search(question, min(POOL, self._count), []))

    def _search(self, question: str, k: int, filters: Sequence[Filter]) -> list[Hit]:
        """By words and meaning as configured, without further steps."""
        return self._docs.search(
            question, k=k, filters=filters, query=(), strategy="single", post=()
        )
