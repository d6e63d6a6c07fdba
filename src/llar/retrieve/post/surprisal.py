"""Passages made shorter by leaving out the words that the model would have guessed anyway."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ContextTooLong, QueryError
from ...models.interface import LikelihoodModel, TokenLikelihood
from ...records import Hit
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .shorten import by_word, shortened
from .target import Passage, Span, Target

RATE = 0.5


def surprisal(hits: list[Hit], _query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Leave out the words that the chat model finds least surprising: surprisal[:rate|tokens].

    `rate` is the share of each passage's tokens to keep (0.5 or 50%), `tokens` the most of each
    passage; they are met within 2 % of the passage or one token, unless the words that always stay
    take more: numbers, negations, names and limits (see `protected`). A word's surprisal is the
    sum of -log p of its tokens, each after those before it (Li et al., "Compressing Context to
    Enhance Inference Efficiency of Large Language Models", 2023; Jiang et al., "LLMLingua", 2023);
    a word is ranked by the mean of its own and its neighbours', so that phrases stay together.
    Tables and code stay whole. Only the passages that a prompt shows (setting `passages`)
    are made shorter. What was kept is on record. Raises QueryError where the chat model cannot
    tell the probability of a given text.
    """
    target = Target.read(Arguments("surprisal[:rate|tokens]", argument, "post"), 0, RATE)
    chat = searcher.chat()
    if not isinstance(chat, LikelihoodModel):
        raise QueryError(f"--post surprisal: {chat.name} does not tell how likely a text is")
    model: LikelihoodModel = chat

    def scores(passage: Passage, words: Sequence[Span]) -> list[float]:
        given = " > ".join(passage.hit.chunk.headings) + "\n"
        tokens = _read(passage.text, given, model)
        values = by_word(words, [(t.start, t.end, -t.logprob) for t in tokens])
        return smoothed([sum(v) for v in values])

    return shortened(hits, searcher, "surprising words kept", target, scores)


def smoothed(values: Sequence[float]) -> list[float]:
    """The mean of each value and the two beside it, 0 beyond the ends."""
    padded = [0.0, *values, 0.0]
    return [sum(padded[i : i + 3]) / 3 for i in range(len(values))]


def _read(text: str, given: str, model: LikelihoodModel) -> list[TokenLikelihood]:
    """The likelihoods of a text; of its halves, each by itself, where it is too long."""
    if not text:
        return []
    try:
        return model.logprobs(text, given)
    except ContextTooLong:
        if len(text.split()) < 2:
            raise
    middle = text.find(" ", len(text) // 2)
    middle = middle if middle > 0 else len(text) // 2
    behind = [
        TokenLikelihood(t.start + middle, t.end + middle, t.logprob)
        for t in _read(text[middle:], given, model)
    ]
    return [*_read(text[:middle], given, model), *behind]
