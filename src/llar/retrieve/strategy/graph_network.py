"""The graph of a collection in memory, with the passages that its entities stand in."""

from __future__ import annotations

import difflib
import heapq
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...index.graph import Edge, Graph, Update, open_graph
from ...index.index import Index
from ...index.passages import View
from ...text.entities import key_of
from ...text.relations import WEIGHTS
from ...text.stopwords import stop_words

LONGEST = 6  # words of an entity's name in a question
ALIKE = 0.86  # least similarity of a misspelt name, as difflib measures it
SHORTEST = 5  # letters of a name that may be misspelt
COMMON = 0.05  # an entity in more than this share of the passages joins nothing,
FEW = 10  # but for one in no more than these
FARTHEST = 2  # relations that a path may take; all of Django's terms are three apart
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
    places: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of mentions, in order
    entities: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # at those places
    weights: Weights = field(default_factory=lambda: np.empty(0))  # of entities, by rarity
    ranks: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of entities, by key
    passages: int = 0
    _starts: dict[int, tuple[Numbers, Numbers]] = field(default_factory=dict)
    _firsts: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of related pairs
    _others: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    _costs: Weights = field(default_factory=lambda: np.empty(0))
    _told: Weights = field(default_factory=lambda: np.empty(0))  # relations, by what each counts
    _now: Network | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Close the graph's file."""
        with self._guard:
            if self.graph is not None:
                self.graph.close()
            self.graph = self._now = None

    def at(self, index: Index, view: View) -> Network:
        """The network of this state of the collection, which is never changed again."""
        with self._guard:
            if self.graph is None:
                self.graph = open_graph(index)
            if self._now is None or self._now.state != view.state:
                made = Network(self.graph, view.state, self.graph.update())
                self.graph.show(view.listed.tolist())
                made._load(self.graph, index, view)
                self._now = made
            return self._now

    def _load(self, graph: Graph, index: Index, view: View) -> None:
        self._starts = _starts(index, view)
        self.passages = view.count
        found = np.array(graph.mentions(), np.int64).reshape(-1, 3)
        places = self.place(found[:, 1], found[:, 2])
        here = places >= 0
        both = np.unique(np.stack([places[here], found[here, 0]], axis=1), axis=0)
        self.places, self.entities = both[:, 0], both[:, 1]
        counts = np.bincount(self.entities, minlength=graph.most() + 1)
        self.weights = np.log1p(max(view.count, 1) / np.maximum(counts, 1)).astype(np.float64)
        self.weights[counts > max(COMMON * view.count, FEW)] = 0.0
        ids = np.array(graph.in_order(), np.int64)
        self.ranks = np.zeros(len(self.weights), np.int64)
        self.ranks[ids] = np.arange(len(ids))
        self._join(graph, counts)

    def _join(self, graph: Graph, counts: Numbers) -> None:
        """Related entities with what a step from one to the other costs, in order of the first.

        A step costs 1, more to a common entity, and less the more often both are told together.
        """
        pairs = np.array(
            [(a, b, WEIGHTS[kind] * n) for a, b, kind, n in graph.pairs() if a != b], np.float64
        ).reshape(-1, 3)
        ends = pairs[:, :2].astype(np.int64)
        both = np.concatenate([ends, ends[:, ::-1]])
        many = len(self.weights)
        codes, place = np.unique(both[:, 0] * many + both[:, 1], return_inverse=True)
        told: Weights = np.zeros(len(codes))
        np.add.at(told, place, np.tile(pairs[:, 2], 2))
        self._firsts, self._others, self._told = codes // many, codes % many, told
        rarest = math.log1p(max(self.passages, 1))
        common = np.minimum(np.log1p(counts[self._others]) / rarest, 1.0)
        self._costs = 1 + 2 * common + 1 / (1 + told)

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
                    if length == 1 and said.islower() and not self.graph.is_term(entity):
                        continue  # an ordinary word that is a name or a piece of code elsewhere
                    found.append(Asked(entity, key, said, "exact"))
                    used.update(span)
        for at, word in enumerate(words):
            if at in used or len(word) < SHORTEST or word.casefold() in stops:
                continue
            alike = self._alike(word, languages)
            if alike is not None:
                found.append(alike)
        return found

    def named(self, name: str, languages: Sequence[str]) -> int | None:
        """The entity of that name, None for none."""
        assert self.graph is not None
        keys = list(dict.fromkeys(key_of(name, x or None) for x in (*languages, "")))
        found = self.graph.find([k for k in keys if k])
        return next(iter(found.values()), None)

    def near(self, name: str, languages: Sequence[str]) -> list[str]:
        """The names that are most like this one."""
        assert self.graph is not None
        key = key_of(name, languages[0] if languages else None)
        keys = difflib.get_close_matches(key, self.graph.keys_like(key[:1]), n=5, cutoff=0.6)
        found = self.graph.find(keys)
        names = self.graph.entities(list(found.values()))
        return [names[found[k]].name for k in keys if k in found and found[k] in names]

    def _alike(self, word: str, languages: Sequence[str]) -> Asked | None:
        """The entity whose name is nearly this word."""
        assert self.graph is not None
        key = key_of(word, languages[0] if languages else None)
        near = difflib.get_close_matches(key, self.graph.keys_like(key[:2]), n=1, cutoff=ALIKE)
        if not near or near[0] == key:  # the very word was looked at before
            return None
        found = self.graph.find(near).get(near[0])
        if found is None or (word.islower() and not self.graph.is_term(found)):
            return None
        return Asked(found, near[0], word, "alike")

    # -- paths -------------------------------------------------------------------------------

    def path(self, first: int, last: int, farthest: int = FARTHEST) -> list[int]:
        """The cheapest way from one entity to another, both included; empty where there is none.

        At most `farthest` steps; one to a rare entity, or along many relations, is cheap.
        """
        best: dict[tuple[int, int], float] = {(first, 0): 0.0}
        came: dict[tuple[int, int], int] = {}
        heap: list[tuple[float, int, int, int]] = [(0.0, 0, 0, first)]
        while heap:
            cost, steps, _, entity = heapq.heappop(heap)
            if entity == last:
                way = [last]
                while steps:
                    way.insert(0, came[way[0], steps])
                    steps -= 1
                return way
            if steps == farthest or cost > best[entity, steps]:
                continue
            for other, step in self._steps(entity, last):
                new = cost + step
                if new < best.get((other, steps + 1), math.inf):
                    best[other, steps + 1] = new
                    came[other, steps + 1] = entity
                    heapq.heappush(heap, (new, steps + 1, int(self.ranks[other]), other))
        return []

    def _steps(self, entity: int, last: int) -> list[tuple[int, float]]:
        """(neighbour, cost of the step to it), the cheapest ones and the last of all."""
        a, b = np.searchsorted(self._firsts, [entity, entity + 1])
        others, costs = self._others[a:b], self._costs[a:b]
        if len(others) > WIDEST:
            order = np.lexsort((self.ranks[others], costs))[:WIDEST]
            order = np.union1d(order, np.flatnonzero(others == last))
            others, costs = others[order], costs[order]
        found: list[tuple[int, float]] = list(zip(others.tolist(), costs.tolist(), strict=True))
        return found

    def neighbours(self, entity: int, most: int) -> list[int]:
        """The entities related to one, those with more, stronger and rarer relations first."""
        a, b = np.searchsorted(self._firsts, [entity, entity + 1])
        strength = np.log1p(self._told[a:b]) * (1 + self.weights[self._others[a:b]])
        order = np.lexsort((self.ranks[self._others[a:b]], -strength))[:most]
        found: list[int] = self._others[a:b][order].tolist()
        return found

    # -- passages ----------------------------------------------------------------------------

    def of_place(self, place: int) -> Numbers:
        """The entities that stand in the passage at a place."""
        first, last = np.searchsorted(self.places, [place, place + 1])
        return self.entities[first:last]

    def between(self, first: int, second: int) -> list[Edge]:
        """Every relation between two entities."""
        assert self.graph is not None
        return self.graph.between(first, second)

    def places_of(self, edges: Sequence[Edge]) -> list[int]:
        """The places of the passages that these relations are read from, -1 for none."""
        documents = np.array([e.document for e in edges], np.int64)
        starts = np.array([e.start for e in edges], np.int64)
        found: list[int] = self.place(documents, starts).tolist()
        return found


def _starts(index: Index, view: View) -> dict[int, tuple[Numbers, Numbers]]:
    """For each document where its passages begin, in order, and their places in the view."""
    with index.database.read() as connection:
        found = connection.execute(
            "SELECT id, document_id, start FROM chunks ORDER BY document_id, start, id"
        ).fetchall()
    rows = np.array(found, np.int64).reshape(-1, 3)
    places = np.searchsorted(view.ids, rows[:, 0])
    edges = np.flatnonzero(np.diff(rows[:, 1], prepend=-1, append=-1))
    return {
        int(rows[first, 1]): (rows[first:last, 2], places[first:last])
        for first, last in pairwise(edges)
    }
