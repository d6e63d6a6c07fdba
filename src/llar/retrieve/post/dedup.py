"""Passages that say what another one says are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...records import Hit
from ...text.words import terms
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .protected import decisive
from .scores import named

SIMILARITY = 0.8
SHINGLE = 3  # words
CONTAINED = 5  # words that a passage must have to count as contained in another


@dataclass(frozen=True, slots=True)
class _Text:
    """What of a passage is compared."""

    words: tuple[str, ...]
    shingles: frozenset[tuple[str, ...]]
    decisive: frozenset[str]  # its numbers and negations

    @classmethod
    def of(cls, hit: Hit) -> _Text:
        words = tuple(terms(f"{hit.chunk.prefix}\n{hit.chunk.text}", hit.document.language))
        size = min(SHINGLE, len(words)) or 1
        shingles = frozenset(words[i : i + size] for i in range(len(words) - size + 1))
        return cls(words, shingles, decisive(hit.chunk.text, hit.document.language))


def dedup(hits: list[Hit], _query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Leave out passages that say what another one says, similarity 0.8: dedup[:similarity].

    Similarity is the share of runs of three words that two passages have in common, of all they
    have (Jaccard; Broder, "On the resemblance and containment of documents", 1997), compared
    exactly: there are few. The better one stays. A passage that stands word by word inside
    another goes, however they score, and the other takes the better place. Passages that differ
    in a number or a negation are never the same. What goes is on record. Raises QueryError.
    """
    arguments = Arguments("dedup[:similarity]", argument, "post")
    similarity = arguments.share(0, SIMILARITY)
    kept: list[Hit] = []
    texts: list[_Text] = []
    gone: list[dict[str, Any]] = []
    for hit in hits:
        text = _Text.of(hit)
        at, why = _same(text, texts, similarity)
        if why == "holds":
            held = kept[at]
            gone.append({**named(held), "why": "stands inside", "kept": named(hit)})
            kept[at] = replace(hit, score=max(hit.score, held.score))
            texts[at] = text
        elif why:
            gone.append({**named(hit), "why": why, "kept": named(kept[at])})
        else:
            kept.append(hit)
            texts.append(text)
    with searcher.step("duplicates") as about:
        about["dropped"] = gone
    return kept


def _same(text: _Text, others: Sequence[_Text], similarity: float) -> tuple[int, str]:
    """The first of `others` that says the same, and how; (-1, "") where none does."""
    for i, other in enumerate(others):
        if text.words == other.words:
            return i, "the same words"
        if _inside(text, other):
            return i, "stands inside"
        if _inside(other, text):
            return i, "holds"
        shared = len(text.shingles & other.shingles)
        every = len(text.shingles | other.shingles)
        if every and shared / every >= similarity and text.decisive == other.decisive:
            return i, f"similarity {shared / every:.2f}"
    return -1, ""


def _inside(small: _Text, large: _Text) -> bool:
    """Do the words of one passage stand in the other, one after the other?"""
    size = len(small.words)
    if not CONTAINED <= size < len(large.words) or not small.shingles <= large.shingles:
        return False
    first = small.words[0]
    return any(
        word == first and large.words[i : i + size] == small.words
        for i, word in enumerate(large.words)
    )
