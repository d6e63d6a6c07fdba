"""Passages scored anew by a model that reads question and passage together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import ContextTooLong, QueryError
from ...models import open_reranker
from ...models.interface import Embedder, Reranker, TokenEmbedder
from ...records import Hit
from ...text import sentences
from ..late import closenesses
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .scores import rescored

SYNTAX = "rerank[:late[:passages]] or rerank:BACKEND:NAME"
LATE = 1.0  # weight of closeness beside the score from retrieval
LATE_OTHER = 0.5  # the same where the embedder does not know the passage's language


def rerank(hits: list[Hit], query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Score passages anew by late interaction or a cross-encoder: rerank:late[:n], rerank:MODEL.

    `late` compares every token of the question with every token of the passage, with the
    collection's own embedder, for the best n passages (all unless given). MODEL is the
    backend:name of a reranker; a passage too long for it is read in parts, the best of which
    counts. Without an argument the configured `reranker` is taken. Raises QueryError where the
    embedder gives no vectors of tokens, and what opening the model raises.
    """
    argument = argument or searcher.config.reranker
    if argument.partition(":")[0] == "late":
        return _late(hits, query, searcher, argument)
    if ":" not in argument:
        raise Arguments(SYNTAX, "", "post").error(f"{argument!r} is neither late nor a model")
    reranker: Reranker
    if searcher.reranker is not None:
        reranker = searcher.reranker(argument)
    else:
        reranker = searcher.opened(
            f"reranker {argument}", lambda: open_reranker(searcher.config, argument)
        )
    with searcher.step(f"cross-encoder {argument}") as about:
        scores = _cross(reranker, query.text, hits, about)
    return rescored(hits, "rerank", scores)


def _late(hits: list[Hit], query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Late interaction: see `late.closeness`, mixed with the score from retrieval.

    The mean of the two by weight, so that the score stays on its scale.
    """
    arguments = Arguments("rerank[:late[:passages]]", argument, "post")
    many = arguments.whole(1, len(hits) or 1)
    embedder = searcher.embedder()
    if not isinstance(embedder, TokenEmbedder):
        raise QueryError(
            f"--post rerank:late needs a vector for each token, which {embedder.identity.name} "
            "does not give",
            fix="take rerank:BACKEND:NAME, or a collection with a ctranslate2 embedder",
        )
    first = hits[:many]
    close = closenesses(embedder, query.text, [h.chunk.content for h in first])
    scores: list[float | None] = []
    for hit, value in zip(first, close, strict=True):
        weight = LATE if _knows(embedder, hit) else LATE_OTHER
        scores.append((hit.score + weight * value) / (1 + weight))
    reranked = rescored(hits, "rerank", scores)
    with searcher.step("late interaction") as about:
        about["passages"] = len(first)
        about["closeness"] = {h.chunk_id: c for h, c in zip(first, close, strict=True)}
    return reranked


def _knows(embedder: Embedder, hit: Hit) -> bool:
    """Does the embedder know the passage's language?"""
    known = embedder.identity.languages
    return "*" in known or hit.document.language in known


def _cross(
    reranker: Reranker, question: str, hits: Sequence[Hit], about: dict[str, Any]
) -> list[float]:
    """The sigmoid of the reranker's score for each passage."""
    texts = [h.chunk.content for h in hits]
    try:
        logits = reranker.rerank(question, texts)
        return [_sigmoid(x) for x in logits]
    except ContextTooLong:
        pass  # not all fit: one by one, to see which
    scores, cut = [], {}
    for hit in hits:
        logits = _in_parts(reranker, question, hit, 0, len(hit.chunk.text))
        scores.append(_sigmoid(max(logits)))
        if len(logits) > 1:
            cut[hit.chunk_id] = len(logits)
    about["read in parts"] = cut
    return scores


def _in_parts(reranker: Reranker, question: str, hit: Hit, start: int, end: int) -> list[float]:
    """The scores of a passage from `start` to `end`, or of its halves where it is too long.

    Raises ContextTooLong where the question alone leaves no room.
    """
    chunk = hit.chunk
    above = "\n".join(x for x in (" > ".join(chunk.headings), chunk.prefix) if x)
    text = chunk.text[start:end]
    try:
        return reranker.rerank(question, [f"{above}\n{text}" if above else text])
    except ContextTooLong:
        if len(text.split()) < 2:
            raise
    middle = start + _middle(text, hit.document.language)
    return [
        *_in_parts(reranker, question, hit, start, middle),
        *_in_parts(reranker, question, hit, middle, end),
    ]


def _middle(text: str, language: str | None) -> int:
    """Where to cut a text in two: before a sentence, else before a word, nearest to its middle."""
    half = len(text) / 2
    starts = [start for start, _ in sentences.split(text, language) if start]
    spaces = [i + 1 for i, c in enumerate(text[:-1]) if c.isspace()]
    return min(starts or spaces or [len(text) // 2], key=lambda i: abs(i - half))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
