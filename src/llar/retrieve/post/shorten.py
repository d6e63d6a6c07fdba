"""Passages made shorter word by word, down to a number of tokens that is really met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...records import Hit
from ..searcher import Searcher
from .protected import protected, words
from .target import Passage, Span, Target, kept, shown

Scores = Callable[[Passage, Sequence[Span]], list[float]]


def shortened(
    hits: Sequence[Hit], searcher: Searcher, name: str, target: Target, scores: Scores
) -> list[Hit]:
    """The hits with the words of each passage that score best, down to the target.

    `scores` gives a number for each word of a passage's text. Words that must stay do (see
    `protected`); where they alone take more than the target, that is on record as `name`.
    """
    chat = searcher.chat()
    result = list(hits)
    rows: list[dict[str, Any]] = []
    with searcher.step(name) as about:
        about["passages"] = rows
        for place in shown(hits, searcher):
            hit = hits[place]
            passage = Passage(hit, chat)
            row: dict[str, Any] = {"chunk_id": hit.chunk_id, "tokens": passage.tokens}
            rows.append(row)
            if hit.chunk.kind != "text":
                row.update(kept=passage.tokens, why=f"a {hit.chunk.kind} stays whole")
                continue
            spans = _shorter(passage, target, scores)
            row["kept"] = passage.count(spans)
            row["rate"] = round(row["kept"] / max(passage.tokens, 1), 3)
            if not target.met(row["kept"], passage.tokens):
                row["why"] = f"the words that must stay take more than {target.of(passage.tokens)}"
            result[place] = passage.shortened(spans)
    return result


def by_word(words: Sequence[Span], tokens: Sequence[tuple[int, int, float]]) -> list[list[float]]:
    """The values of each word's tokens (start, end, value).

    A token is part of the word that it ends in; one that ends in none is left out.
    """
    found: list[list[float]] = [[] for _ in words]
    place = 0
    for _, end, value in tokens:
        while place < len(words) and words[place][1] < end:
            place += 1
        if place < len(words) and words[place][0] < end:
            found[place].append(value)
    return found


def _shorter(passage: Passage, target: Target, scores: Scores) -> list[Span]:
    """The spans of a passage's text that stay."""
    every = words(passage.text)
    scored = scores(passage, every)
    must = protected(passage.text, every, passage.hit.document.language)
    here = [i for i, span in enumerate(every) if passage.holds(span)]
    ranked = sorted(here, key=lambda i: -scored[i])
    chosen = kept(passage, every, ranked, must & set(here), target)
    return passage.merged(every, chosen)
