"""New scores for passages, and the order that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...records import Hit


def rescored(hits: Sequence[Hit], name: str, scores: Sequence[float | None]) -> list[Hit]:
    """The hits in the order of their new scores, each put into `parts[name]` and `score`.

    `scores` are of the first hits. One that is None leaves its hit the score it has; hits beyond
    them keep their order behind all others, with no score above the last of those.
    """
    new = [
        hit if score is None else replace(hit, score=score, parts={**hit.parts, name: score})
        for hit, score in zip(hits, scores, strict=False)
    ]
    new.sort(key=lambda h: -h.score)
    rest = hits[len(new) :]
    least = min((h.score for h in new), default=0.0)
    return new + [replace(h, score=min(h.score, least)) for h in rest]


def named(hit: Hit) -> dict[str, object]:
    """Which passage a hit is, for the record of a step."""
    return {
        "chunk_id": hit.chunk_id,
        "document": hit.document.name,
        "start": hit.chunk.start,
        "end": hit.chunk.end,
    }
