"""The graph of a collection in memory, with the passages that its entities stand in."""

from __future__ import annotations

import difflib
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...index.graph import Edge, Graph, Update
from ...index.index import Index
from ...index.passages import View
from ...text.entities import key_of
from ...text.relations import WEIGHTS
from ...text.stopwords import stop_words

LONGEST = 6  # words of an entity's name in a question
ALIKE = 0.86  # least similarity of a misspelt name, as difflib measures it
SHORTEST = 5  # letters of a name that may be misspelt
COMMON = 0.05  # an entity in more than this share of the passages joins nothing
FARTHEST = 3  # relations between two entities that a path may take
WIDEST = 60  # neighbours of an entity that a path may go through, the rarest first

Numbers = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """An entity that a question names; `how` is "exact" or "alike"."""

    entity: int
    key: str
    words: str
    how: str


@dataclass(slots=True)
class Network:
    """What is needed of a graph to search with it, for one state of the collection."""

    graph: Graph | None = None
    state: tuple[int, int] = (-1, -1)
    update: Update | None = None
    places: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of mentions
    entities: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of mentions
    pairs: tuple[Numbers, Numbers, Weights] | None = None  # related entities, both ways
    weights: Weights = field(default_factory=lambda: np.empty(0))  # of entities, by rarity
    passages: int = 0
    _starts: dict[int, tuple[Numbers, Numbers]] = field(default_factory=dict)

    def close(self) -> None:
        """Close the graph's file."""
        if self.graph is not None:
            self.graph.close()
            self.graph = None

    def at(self, index: Index, view: View) -> Network:
        """This network, made to fit the collection where it changed."""
        if self.graph is None:
            self.graph = Graph(index)
        if self.state != view.state:
            self.update = self.graph.update()
            self._load(self.graph, index, view)
            self.state = view.state
        return self

    def _load(self, graph: Graph, index: Index, view: View) -> None:
        self._starts = _starts(index, view)
        self.passages = len(view.ids)
        found = np.array(graph.mentions(), np.int64).reshape(-1, 3)
        places = self.place(found[:, 1], found[:, 2])
        here = places >= 0
        both = np.unique(np.stack([found[here, 0], places[here]], axis=1), axis=0)
        self.entities, self.places = both[:, 0], both[:, 1]
        edges = graph.all_edges()
        ends = np.array([(s, o) for s, o, *_ in edges], np.int64).reshape(-1, 2)
        most = int(max(self.entities.max(initial=0), ends.max(initial=0))) + 1
        counts = np.bincount(self.entities, minlength=most)
        self.weights = np.log1p(max(view.count, 1) / np.maximum(counts, 1))
        self.weights[counts > max(COMMON * view.count, 10)] = 0.0
        kinds = np.array([WEIGHTS[kind] for _, _, kind, *_ in edges])
        self.pairs = _joined(ends, kinds, most)

    def place(self, documents: Numbers, starts: Numbers) -> Numbers:
        """The places in the view of the passages that hold these spans; -1 for none."""
        found = np.full(len(documents), -1, np.int64)
        order = np.argsort(documents, kind="stable")
        edges = np.flatnonzero(np.diff(documents[order], prepend=-1, append=-1))
        for first, last in pairwise(edges):
            rows = order[first:last]
            held = self._starts.get(int(documents[rows[0]]))
            if held is not None:
                at = np.searchsorted(held[0], starts[rows], side="right") - 1
                found[rows] = np.where(at >= 0, held[1][np.maximum(at, 0)], held[1][0])
        return found

    # -- entities of a question --------------------------------------------------------------

    def asked(self, question: str, languages: Sequence[str]) -> list[Asked]:
        """The entities that a question names, the longest names first; each word for one only."""
        assert self.graph is not None
        words = [w.strip("?¿!¡.,;:()\"“”«»'`") for w in question.split()]
        words = [w for w in words if w]
        stops = frozenset().union(*(stop_words(x) for x in {*languages, "en"}))
        used: set[int] = set()
        found: list[Asked] = []
        for length in range(min(LONGEST, len(words)), 0, -1):
            for at in range(len(words) - length + 1):
                span = range(at, at + length)
                ends = (words[at].casefold(), words[at + length - 1].casefold())
                if used & set(span) or (ends[0] in stops or ends[1] in stops):
                    continue
                said = " ".join(words[at : at + length])
                keys = list(dict.fromkeys(key_of(said, x or None) for x in (*languages, "")))
                for key, entity in self.graph.find([k for k in keys if k]).items():
                    found.append(Asked(entity, key, said, "exact"))
                    used.update(span)
        for at, word in enumerate(words):
            if at in used or len(word) < SHORTEST or word.casefold() in stops:
                continue
            alike = self._alike(word, languages)
            if alike is not None:
                found.append(alike)
        return found

    def _alike(self, word: str, languages: Sequence[str]) -> Asked | None:
        """The entity whose name is nearly this word."""
        assert self.graph is not None
        key = key_of(word, languages[0] if languages else None)
        near = difflib.get_close_matches(key, self.graph.keys_like(key[:2]), n=1, cutoff=ALIKE)
        if not near:
            return None
        found = self.graph.find(near)
        return Asked(found[near[0]], near[0], word, "alike") if found else None

    # -- paths -------------------------------------------------------------------------------

    def path(self, first: int, last: int) -> list[Edge]:
        """The shortest way from one entity to another: relations that lead from each to the next.

        At most three; through rare entities rather than common ones. Empty where there is none.
        """
        best: dict[int, float] = {first: 0.0}
        came: dict[int, tuple[int, Edge]] = {}
        heap: list[tuple[float, int, int]] = [(0.0, 0, first)]
        while heap:
            cost, steps, entity = heapq.heappop(heap)
            if entity == last:
                break
            if steps == FARTHEST or cost > best[entity]:
                continue
            for other, edge, step in self.neighbours(entity):
                new = cost + step
                if new < best.get(other, math.inf):
                    best[other] = new
                    came[other] = (entity, edge)
                    heapq.heappush(heap, (new, steps + 1, other))
        way: list[Edge] = []
        while last in came and last != first:
            last, edge = came[last]
            way.insert(0, edge)
        return way

    def neighbours(self, entity: int) -> list[tuple[int, Edge, float]]:
        """(entity, the strongest relation to it, what a step there costs), the cheapest first."""
        assert self.graph is not None
        strongest: dict[int, Edge] = {}
        counted: dict[int, float] = {}
        for edge in self.graph.edges(entity):
            other = edge.object if edge.subject == entity else edge.subject
            if other == entity:
                continue
            counted[other] = counted.get(other, 0.0) + WEIGHTS[edge.kind]
            held = strongest.get(other)
            if held is None or WEIGHTS[edge.kind] > WEIGHTS[held.kind]:
                strongest[other] = edge
        rarest = math.log1p(max(self.passages, 1))
        found = [
            (other, edge, 1.0 + (rarest - self.weights[other]) / rarest + 1 / (1 + counted[other]))
            for other, edge in strongest.items()
        ]
        found.sort(key=lambda x: (x[2], x[0]))
        return found[:WIDEST]

    # -- scores ------------------------------------------------------------------------------

    def spread(self, seeds: Mapping[int, float], passages: Mapping[int, float],
               rounds: int, keep: float) -> tuple[Weights, Weights]:  # fmt: skip
        """Weight spread from entities and passages over the graph: (of entities, of passages).

        Personalised PageRank, as in Gutiérrez et al., "HippoRAG" (2024): each round, a share of
        `keep` goes on along relations and between an entity and the passages it stands in, and
        the rest goes back to where it came from. `passages` are by place.
        """
        assert self.pairs is not None
        many = len(self.weights)
        start = np.zeros(many + self.passages)
        for entity, weight in seeds.items():
            start[entity] += weight
        for place, weight in passages.items():
            start[many + place] += weight
        if not start.any():
            return np.zeros(many), np.zeros(self.passages)
        start /= start.sum()
        source, target, weight = self.links()
        now = start
        for _ in range(rounds):
            now = (1 - keep) * start + keep * np.bincount(
                target, weights=now[source] * weight, minlength=len(start)
            )
        return now[:many], now[many:]

    def links(self) -> tuple[Numbers, Numbers, Weights]:
        """Every link between entities and passages with its share of what leaves its source."""
        assert self.pairs is not None
        many = len(self.weights)
        first, second, weight = self.pairs
        of_entity = self.weights[self.entities]
        source = np.concatenate([first, self.entities, self.places + many])
        target = np.concatenate([second, self.places + many, self.entities])
        along = np.concatenate([weight * self.weights[second], of_entity, of_entity])
        leaving = np.bincount(source, weights=along, minlength=many + self.passages)
        shares = along / np.maximum(leaving[source], 1e-12)
        return source, target, shares


def _starts(index: Index, view: View) -> dict[int, tuple[Numbers, Numbers]]:
    """For each document where its passages begin, in order, and their places in the view."""
    rows = np.array(
        index.database.connection.execute(
            "SELECT id, document_id, start FROM chunks ORDER BY document_id, start, id"
        ).fetchall(),
        np.int64,
    ).reshape(-1, 3)
    places = np.searchsorted(view.ids, rows[:, 0])
    edges = np.flatnonzero(np.diff(rows[:, 1], prepend=-1, append=-1))
    return {
        int(rows[first, 1]): (rows[first:last, 2], places[first:last])
        for first, last in pairwise(edges)
    }


def _joined(ends: Numbers, weights: Any, many: int) -> tuple[Numbers, Numbers, Weights]:
    """Related entities both ways, each pair once with the weights of its relations together."""
    both = np.concatenate([ends, ends[:, ::-1]])
    codes, place = np.unique(both[:, 0] * many + both[:, 1], return_inverse=True)
    total = np.bincount(place, weights=np.concatenate([weights, weights]), minlength=len(codes))
    return codes // many, codes % many, np.log1p(total)
