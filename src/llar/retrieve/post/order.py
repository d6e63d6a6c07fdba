"""The order in which a model reads the passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...records import Hit
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher

RANK = "rank"  # the part that keeps a passage's place before it was moved


def order(hits: list[Hit], _query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Put the passages in another order for reading: order:edges|document|score.

    "edges" has the best at both ends and the worst in the middle, where models overlook them
    (Liu et al., "Lost in the Middle", 2023). "document" has the passages of a document as they
    stand in it, documents by their best passage. "score" has the best first. Where a prompt holds
    fewer passages, the best of them are in it, in the order made here. Raises QueryError.
    """
    arguments = Arguments("order:edges|document|score", argument, "post")
    ways = {"edges": edges, "document": document_order, "score": by_score}
    way = arguments.text(0)
    if way not in ways:
        raise arguments.error(f"there is no order {way!r}")
    read, rest = hits[: searcher.options.k], hits[searcher.options.k :]
    read = by_score(read) if way == "score" else [read[i] for i in _ranking(read)]
    ranked = [replace(h, parts={**h.parts, RANK: float(n)}) for n, h in enumerate(read, 1)]
    return ways[way](ranked) + rest


def edges(hits: Sequence[Hit]) -> list[Hit]:
    """Best first, second best last, and so on towards the middle."""
    return [*hits[::2], *reversed(hits[1::2])]


def document_order(hits: Sequence[Hit]) -> list[Hit]:
    """By document, the one with the best passage first, and by place in it."""
    first: dict[int, int] = {}
    for rank, hit in enumerate(hits):
        first.setdefault(hit.document.id, rank)
    return sorted(hits, key=lambda h: (first[h.document.id], h.chunk.start))


def by_score(hits: Sequence[Hit]) -> list[Hit]:
    """The highest score first."""
    return sorted(hits, key=lambda h: -h.score)


def best(hits: Sequence[Hit], many: int) -> list[int]:
    """The places in `hits` of the best `many`, ascending, however they have been ordered."""
    return sorted(_ranking(hits)[:many])


def unmoved(hits: Sequence[Hit]) -> list[Hit]:
    """The hits as they ranked before any was moved."""
    ranked = [hits[i] for i in _ranking(hits)]
    return [replace(h, parts={n: p for n, p in h.parts.items() if n != RANK}) for h in ranked]


def _ranking(hits: Sequence[Hit]) -> list[int]:
    """The places of the hits, the best first: as they stand, unless they were moved."""
    return sorted(range(len(hits)), key=lambda i: hits[i].parts.get(RANK, i + 1))
