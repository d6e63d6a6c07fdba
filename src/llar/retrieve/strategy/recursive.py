"""Follows what the passages found point to: links, the section above, the text around a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...index.index import Index
from ...records import Hit
from .. import hybrid
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .links import Places, links
from .passages import mask_of, passage_at

LEADS = 10  # passages whose pointers are followed
MOST = 12  # passages that one passage brings
LED = 0.5  # share of the score of the passage that led there; the rest is its own


@dataclass(frozen=True, slots=True)
class _Brought:
    """A passage that another one led to, and how."""

    chunk_id: int
    by: str
    lead: Hit


def recursive(query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Follows links, goes up to the parent section, and from a table to the text around it.

    `recursive`, or `recursive:ROUNDS` to follow what was brought in turn. Each passage brought
    says which one led to it: `parts["from"]` is that one's id, and the steps name the way.
    """
    rounds = Arguments("recursive[:rounds]", argument, "strategy").whole(0, 1, 5)
    hits = searcher.find(query)
    with searcher.index.database.read():
        leads = hits[:LEADS]
        for number in range(1, rounds + 1):
            with searcher.step(f"follow {number}") as about:
                new = _followed(query, searcher, hits, leads, about)
            if not new:
                break
            best = {hit.chunk_id: hit for hit in hits}
            for hit in new:
                if hit.chunk_id not in best or hit.score > best[hit.chunk_id].score:
                    best[hit.chunk_id] = hit
            hits = sorted(best.values(), key=lambda hit: -hit.score)
            leads = new[:LEADS]
    return hits[: searcher.options.depth]


def _followed(
    query: Query, searcher: Searcher, hits: list[Hit], leads: list[Hit], about: dict[str, Any]
) -> list[Hit]:
    """The passages that the leads point to, best first, and on record how each came in."""
    index, view = searcher.index, searcher.index.passages.view()
    held: Places = searcher.kept("places", Places)
    places = held.at(index, view)
    kept = hybrid.kept_by(index, view, query.filters)
    brought: dict[int, _Brought] = {}
    known = {hit.chunk_id for hit in leads}
    for lead in leads:
        for n, found in enumerate(_from(lead, index, places)):
            if n >= MOST:
                break
            if kept is not None and not (mask_of(view, [found.chunk_id]) & kept).any():
                continue  # a link may lead to a document that the filters leave out
            if found.chunk_id not in known and found.chunk_id not in brought:
                brought[found.chunk_id] = found
    if not brought:
        about["brought"] = []
        return []
    own = hybrid.find(searcher, query, len(brought), searcher.options, mask_of(view, [*brought]))
    scores = {hit.chunk_id: hit for hit in own}
    new = []
    for chunk_id, (source, chunk) in index.chunks([*brought]).items():
        found = brought[chunk_id]
        alone = scores.get(chunk_id)
        score = LED * found.lead.score + (1 - LED) * (alone.score if alone else 0.0)
        parts = {**(alone.parts if alone else {}), "from": float(found.lead.chunk_id)}
        hit = replace(alone, score=score) if alone else Hit(source, chunk, chunk_id, score)
        new.append(replace(hit, parts=parts))
    new.sort(key=lambda hit: (-hit.score, hit.chunk_id))
    about["brought"] = [
        {
            "chunk_id": hit.chunk_id,
            "document": hit.document.name,
            "by": brought[hit.chunk_id].by,
            "from": brought[hit.chunk_id].lead.chunk_id,
            "score": round(hit.score, 4),
        }
        for hit in new
    ]
    return new


def _from(lead: Hit, index: Index, places: Places) -> Iterator[_Brought]:
    """What a passage points to, nearest first."""
    document = places.document(index, lead.document.id)
    if lead.chunk.kind == "table":
        for chunk_id in _around(lead, index):
            yield _Brought(chunk_id, "text around the table", lead)
    above = _parent(lead, index)
    if above is not None:
        yield _Brought(above, "section above", lead)
    for link in links(lead, document):
        place = places.resolve(link, lead, index)
        there = passage_at(index, *place) if place else None
        if there is not None:
            yield _Brought(there, f"{link.how} {link.words or link.target}", lead)


def _around(lead: Hit, index: Index) -> list[int]:
    """The passages of text right before and after a table."""
    found = []
    for compared, order in (("end <= ?", "start DESC"), ("start >= ?", "start")):
        edge = lead.chunk.start if "end" in compared else lead.chunk.end
        row = index.database.connection.execute(
            f"SELECT id FROM chunks WHERE document_id = ? AND kind != 'table' AND {compared}"
            f" ORDER BY {order} LIMIT 1",
            (lead.document.id, edge),
        ).fetchone()
        if row:
            found.append(int(row[0]))
    return found


def _parent(lead: Hit, index: Index) -> int | None:
    """The first passage of the section above, or of the document for one at the top."""

    path = list(lead.chunk.headings[:-1])
    rows = index.database.connection.execute(
        "SELECT id, headings FROM chunks WHERE document_id = ? AND start < ? ORDER BY start",
        (lead.document.id, lead.chunk.start),
    ).fetchall()
    if not rows:
        return None
    same = (int(i) for i, headings in rows if path and json.loads(headings) == path)
    return next(same, int(rows[0][0]))
