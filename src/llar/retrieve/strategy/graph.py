"""Retrieval over the graph of entities: what stands between the things a question names.

What the question names is looked up in the graph (`llar.index.graph`). Passages that relate two of
these entities, or that lie on the shortest way from one to the other, are found even where they
share no word with the question; passages that speak of the same rare things as the best ones count
more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from ...errors import QueryError
from ...index.graph import Edge
from ...index.passages import View
from ...records import Hit
from ...text.relations import WEIGHTS
from .. import hybrid
from ..query import Query
from ..searcher import Searcher
from .graph_network import Asked, Network
from .passages import mask_of

DEEP = 200  # passages found plainly that the graph may move
LEADS = 5  # of them, those that the others are compared with
NEAR = 0.2  # what speaking of the same rare things as these counts beside a passage's score
PATH = 0.1  # the same for a passage that a path goes through
MOST = 5  # entities of the question that paths are looked for between
EACH = 2  # passages taken for each step of a path


@dataclass(frozen=True, slots=True)
class _Way:
    """A path between two entities of the question: for each step its relations, by place."""

    first: Asked
    entities: tuple[int, ...]
    steps: tuple[dict[int, Edge], ...]


def graph(query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Finds passages over entities and relations: neighbourhoods and shortest paths between them.

    The graph is made at the first use, kept in the collection's folder, and follows it. What the
    question names, the paths, and what each passage owes to them are on record.
    """
    if argument:
        raise QueryError(f"graph takes no argument, got {argument!r}")
    index = searcher.index
    with index.database.read():
        view = index.passages.view()
        held: Network = searcher.kept("graph", Network)
        with searcher.step("graph") as about:
            network = held.at(index, view)
            if network.update and (network.update.read or network.update.removed):
                about["read"] = network.update.read
                about["removed"] = network.update.removed
            asked = network.asked(query.text, [x for x in view.spoken if x])
            asked = [a for a in asked if network.weights[a.entity] > 0]
            about["entities"] = [f"{a.words} ({a.key})" + _how(a) for a in asked]
            ways = _ways(network, asked)
            about["paths"] = [_told(network, way) for way in ways]
        plain = hybrid.find(searcher, query, max(DEEP, searcher.options.depth), searcher.options)
        if not asked:
            return searcher.find(query)
        hits = _with_paths(query, searcher, view, network, plain, ways)
        return _moved(network, view, hits, plain[:LEADS], asked)[: searcher.options.depth]


def _how(asked: Asked) -> str:
    return ", spelt alike" if asked.how == "alike" else ""


def _ways(network: Network, asked: Sequence[Asked]) -> list[_Way]:
    """The shortest ways between the rarest things that the question names."""
    distinct = {a.entity: a for a in asked if a.how == "exact"}
    rare = sorted(distinct.values(), key=lambda a: (-network.weights[a.entity], a.key))[:MOST]
    ways = []
    for first, last in combinations(rare, 2):
        entities = network.path(first.entity, last.entity)
        steps = [_step(network, *pair) for pair in pairwise(entities)]
        if steps and all(steps):
            ways.append(_Way(first, tuple(entities), tuple(steps)))
    return ways


def _step(network: Network, first: int, second: int) -> dict[int, Edge]:
    """The passages, by place, that relate two entities, each with its strongest relation."""
    edges = network.between(first, second)
    edges.sort(key=lambda e: -WEIGHTS[e.kind])
    found: dict[int, Edge] = {}
    for place, edge in zip(network.places_of(edges), edges, strict=True):
        if place >= 0:
            found.setdefault(place, edge)
    return found


def _told(network: Network, way: _Way) -> str:
    """A path in words: each relation with what is said between its ends."""
    assert network.graph is not None
    names = {i: e.name for i, e in network.graph.entities(way.entities).items()}
    told = names.get(way.entities[0], way.first.key)
    for at, other, step in zip(way.entities, way.entities[1:], way.steps, strict=False):
        edge = next(iter(step.values()))
        label = edge.label or edge.kind
        arrow = f" –{label}→ " if edge.subject == at else f" ←{label}– "
        told += arrow + names.get(other, "?")
    return told


def _with_paths(
    query: Query,
    searcher: Searcher,
    view: View,
    network: Network,
    plain: Sequence[Hit],
    ways: Sequence[_Way],
) -> list[Hit]:
    """The plain hits and the best passages of each step of a path; these with their bonus."""
    pool = {place for way in ways for step in way.steps for place in step}
    found = {hit.chunk_id: hit for hit in plain}
    missing = {int(view.ids[place]) for place in pool} - found.keys()
    if missing:
        mask = mask_of(view, missing)
        for hit in hybrid.find(searcher, query, len(missing), searcher.options, mask):
            found[hit.chunk_id] = hit
    bonus: dict[int, float] = {}
    for way in ways:
        for step in way.steps:
            here = {int(view.ids[place]) for place in step} & found.keys()
            best = sorted(here, key=lambda i: (-found[i].score, i))[:EACH]
            for chunk_id in best:
                bonus[chunk_id] = max(bonus.get(chunk_id, 0.0), PATH / len(way.steps))
    return [
        replace(hit, score=hit.score + bonus[i], parts={**hit.parts, "path": bonus[i]})
        if i in bonus
        else hit
        for i, hit in found.items()
    ]


def _moved(
    network: Network,
    view: View,
    hits: Sequence[Hit],
    leads: Sequence[Hit],
    asked: Sequence[Asked],
) -> list[Hit]:
    """The hits by their scores and by how much they speak of what the leads speak of.

    Compared are the entities that the question does not name, weighed by rarity: the mean cosine
    to the leads, each for its share of the best score.
    """
    said = {a.entity for a in asked}
    vectors = {hit.chunk_id: _entities(network, view, hit, said) for hit in (*hits, *leads)}
    best = max((lead.score for lead in leads), default=0.0)
    moved: list[tuple[float, int, Hit]] = []
    for hit in hits:
        near = [
            lead.score / best * _cosine(vectors[hit.chunk_id], vectors[lead.chunk_id])
            for lead in leads
            if best > 0 and lead.chunk_id != hit.chunk_id
        ]
        share = float(np.mean(near)) if near else 0.0
        score = hit.score + NEAR * share
        parts: dict[str, Any] = {**hit.parts, "near": NEAR * share}
        moved.append((-score, hit.chunk_id, replace(hit, score=score, parts=parts)))
    return [hit for _, _, hit in sorted(moved, key=lambda x: x[:2])]


def _entities(network: Network, view: View, hit: Hit, without: set[int]) -> dict[int, float]:
    """The entities of a passage with their weights squared, without those the question names."""
    place = int(np.searchsorted(view.ids, hit.chunk_id))
    return {
        int(e): float(network.weights[e]) ** 2
        for e in network.of_place(place)
        if int(e) not in without and network.weights[e] > 0
    }


def _cosine(one: dict[int, float], other: dict[int, float]) -> float:
    shared = math.fsum(one[e] for e in one.keys() & other.keys())
    size = (math.fsum(one.values()) * math.fsum(other.values())) ** 0.5
    return shared / size if size else 0.0
