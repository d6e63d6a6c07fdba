"""Passages made shorter by a model that was trained for it."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import open_compressor
from ...models.interface import Compressor
from ...records import Hit
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .shorten import by_word, shortened
from .target import Passage, Span, Target

RATE = 0.5


def llmlingua2(hits: list[Hit], _query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Keep the words that LLMLingua-2 finds worth keeping: llmlingua2[:rate|tokens].

    `rate` is the share of each passage's tokens to keep (0.5 or 50%), `tokens` the most of each
    passage, measured with the chat model and met as `surprisal` meets them; the same words always
    stay. The model is the configured `compressor` (Pan et al., "LLMLingua-2", 2024): a word's
    worth is the mean probability of "keep" over its tokens. Tables and code stay whole, and so
    do passages that a prompt does not show (setting `passages`). What was kept is on record.
    Raises QueryError, and ModelNotInstalled with the command that pulls the model.
    """
    target = Target.read(Arguments("llmlingua2[:rate|tokens]", argument, "post"), 0, RATE)
    name = searcher.config.compressor
    compressor: Compressor = searcher.opened(
        f"compressor {name}", lambda: open_compressor(searcher.config)
    )

    def scores(passage: Passage, words: Sequence[Span]) -> list[float]:
        tokens = compressor.worths(passage.text)
        values = by_word(words, [(t.start, t.end, t.worth) for t in tokens])
        return [sum(v) / len(v) if v else 0.0 for v in values]

    return shortened(hits, searcher, "words worth keeping", target, scores)
