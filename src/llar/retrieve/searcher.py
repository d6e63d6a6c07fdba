"""One search from the question to its hits: rewrite, retrieve, refine, each step on record."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from ..config import Config
from ..errors import QueryError
from ..index.access import Reader
from ..index.index import Index
from ..index.vectors import Vectors
from ..models.interface import ChatModel, Embedder, Reranker
from ..records import Computed, Hit, Step
from . import hybrid
from .options import Retrieval
from .query import Query, Word

Model = TypeVar("Model")

_OPENING = threading.Lock()  # several searches share the models


@dataclass(frozen=True, slots=True)
class Result:
    """What a search found, for what query in the end, and how it went."""

    hits: list[Hit]
    query: Query
    steps: tuple[Step, ...]
    computed: tuple[Computed, ...] = ()  # what was worked out from tables


@dataclass(slots=True)
class Searcher:
    """What every step of a search may use. Models are loaded when first called for."""

    index: Index
    vectors: Vectors
    embedder: Callable[[], Embedder]
    chat: Callable[[], ChatModel]
    config: Config
    options: Retrieval
    steps: list[Step] = field(default_factory=list)
    computed: list[Computed] = field(default_factory=list)
    models: dict[str, Any] = field(default_factory=dict)  # of steps; the collection keeps them
    reader: Reader | None = None  # who asks; None may see everything
    reranker: Callable[[str], Reranker] | None = None  # gives one that is kept elsewhere

    def search(self, question: str) -> Result:
        """The k best passages for a question, best first; fewer where fewer match.

        Raises QueryError for an empty question or a filter on a key that no document has.
        """
        if not question.strip():
            raise QueryError("the query is empty")
        query = self.rewrite(question)
        with self.step(str(self.options.strategy)) as about:
            hits: list[Hit] = self.options.strategy.load()(
                query, self, self.options.strategy.argument
            )
            about["hits"] = _shown(hits)
        for name in self.options.post:
            with self.step(str(name)) as about:
                hits = name.load()(hits, query, self, name.argument)
                about["hits"] = _shown(hits)
        return Result(hits[: self.options.k], query, tuple(self.steps), tuple(self.computed))

    def rewrite(self, question: str) -> Query:
        """The query that the steps before retrieval make of a question."""
        query = Query.of(question, self.options.filters)
        for name in self.options.query:
            with self.step(str(name)) as about:
                before, query = query, name.load()(query, self, name.argument)
                about.update(_changed(before, query))
        return query

    def find(self, query: Query, k: int | None = None, **changed: Any) -> list[Hit]:
        """The k best passages for a query and its variants, fused; best first.

        `changed` are options of this one retrieval, such as mode="lexical".
        """
        many = k or self.options.depth
        options = replace(self.options, **changed) if changed else self.options
        queries = [query, *(query.asking(text) for text in query.variants)]
        found = [hybrid.find(self, q, many, options) for q in queries]
        return fused(found)[:many] if len(found) > 1 else found[0]

    def opened(self, name: str, model: Callable[[], Model]) -> Model:
        """A model that a step works with: `model()` at first, then the one there is."""
        with _OPENING:
            if name not in self.models:
                self.models[name] = model()
            found: Model = self.models[name]
            return found

    def kept(self, name: str, made: Callable[[], Model]) -> Model:
        """What a step worked out from the documents: `made()` at first, then the one there is.

        It is never another reader's.
        """
        with _OPENING:
            held = self.index.held
            if name not in held:
                held[name] = made()
            found: Model = held[name]
            return found

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Puts a step on record: its time, and what the block tells about it."""
        about: dict[str, Any] = {}
        start, place = time.perf_counter(), len(self.steps)
        yield about
        seconds = round(time.perf_counter() - start, 6)
        self.steps.insert(place, Step(name, seconds, about))


def fused(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Rankings as one by reciprocal rank fusion; a passage's score is then its fused one."""
    scores: dict[int, float] = defaultdict(float)
    hits: dict[int, Hit] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, 1):
            scores[hit.chunk_id] += 1 / (hybrid.RRF_K + rank)
            hits.setdefault(hit.chunk_id, hit)
    most = len(rankings) / (hybrid.RRF_K + 1)
    order = sorted(scores, key=lambda i: -scores[i])
    return [
        replace(hits[i], score=scores[i] / most, parts={**hits[i].parts, "rrf": scores[i] / most})
        for i in order
    ]


def _changed(before: Query, after: Query) -> Mapping[str, Any]:
    """What a step did to a query, for people."""
    about: dict[str, Any] = {}
    if after.text != before.text:
        about["text"] = after.text
    if after.words != before.words and after.words is not None:
        about["words"] = [_word(w) for w in after.words]
    if after.vector is not before.vector:
        about["vector"] = "changed"
    if after.variants != before.variants:
        about["variants"] = list(after.variants)
    if after.analysis != before.analysis:
        about["analysis"] = asdict(after.analysis)
    if after.filters != before.filters:
        about["filters"] = [f"{f.key}{f.operator}{f.value}" for f in after.filters]
    return about


def _word(word: Word) -> dict[str, Any]:
    shown = {"stems": list(word.stems), "weight": round(word.weight, 4)}
    return {**shown, "forms": list(word.forms)} if word.forms else shown


def _shown(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Which passages these are and how they score, for people."""
    return [
        {
            "chunk_id": h.chunk_id,
            "document": h.document.name,
            "start": h.chunk.start,
            "end": h.chunk.end,
            "score": h.score,
            "parts": dict(h.parts),
        }
        for h in hits
    ]
