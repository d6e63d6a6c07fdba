"""Passages scored by the chat model: how relevant it finds them, or how likely the question."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...config import Config
from ...errors import ContextTooLong, QueryError
from ...models.interface import ChatModel, LikelihoodModel, Options
from ...prompts import harmless, render
from ...records import Hit, TokenProbability
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .scores import rescored

PASSAGES = 10  # that are read: each costs the model a prompt
ALTERNATIVES = 20  # tokens whose probability is asked for, the most that servers tell
MASS = 0.1  # least probability of all grades together that counts as an answer
SCALES = {  # name -> its prompt, and what each answer is worth
    "yes-no": ("graded", {"yes": 1.0, "no": 0.0}),
    "0-3": ("graded-0-3", {"0": 0.0, "1": 1 / 3, "2": 2 / 3, "3": 1.0}),
}

Score = Callable[[Hit], float | str]  # a number in 0..1, or why there is none


def graded(hits: list[Hit], query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Let the chat model judge the 10 best passages: graded[:yes-no|0-3[:n]].

    It is asked whether a passage answers the question (yes or no), or how well (0 to 3). The score
    is the expected value, in 0..1, by the probabilities of the answer's first token (as in Zhuang
    et al., "Beyond Yes and No", 2024; the scale is that of UMBRELA, Upadhyay et al. 2024). A reply
    that gives the grades less than a tenth of its probability is invalid: the passage keeps the
    score it had, and that is on record. Raises QueryError.
    """
    arguments = Arguments("graded[:yes-no|0-3[:passages]]", argument, "post")
    scale = arguments.text(0) or "yes-no"
    if scale not in SCALES:
        raise arguments.error(f"there is no scale {scale!r}")
    many = arguments.whole(1, PASSAGES)
    chat = searcher.chat()

    def score(hit: Hit) -> float | str:
        return grade(chat, searcher.config, scale, query.question, hit.chunk.content)

    return _scored(hits[:many], hits[many:], searcher, "graded", chat, score)


def likelihood(hits: list[Hit], query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Score the 10 best passages by how likely the question is after each: likelihood[:n].

    Query likelihood (Sachan et al., "Improving Passage Retrieval with Zero-Shot Question
    Generation", 2022): the mean log-probability of the question's tokens after the passage. The
    score is its exponential, a probability per token. Raises QueryError where the chat model
    cannot tell the probability of a given text.
    """
    arguments = Arguments("likelihood[:passages]", argument, "post")
    many = arguments.whole(0, PASSAGES)
    chat = searcher.chat()
    if not isinstance(chat, LikelihoodModel):
        raise QueryError(f"--post likelihood: {chat.name} does not tell how likely a text is")
    model: LikelihoodModel = chat

    def score(hit: Hit) -> float:
        prompt = render(searcher.config, "likelihood", passage=harmless(hit.chunk.content))
        given = "\n\n".join(message.content for message in prompt)
        tokens = model.logprobs(f" {query.question}", given)
        return math.exp(sum(t.logprob for t in tokens) / len(tokens))

    return _scored(hits[:many], hits[many:], searcher, "likelihood", chat, score)


def grade(chat: ChatModel, config: Config, scale: str, question: str, passage: str) -> float | str:
    """The expected grade of a passage in 0..1, or why the reply is none. Raises ContextTooLong."""
    prompt, worth = SCALES[scale]
    messages = render(config, prompt, question=harmless(question), passage=harmless(passage))
    options = Options(max_tokens=1, temperature=0.0, top_logprobs=ALTERNATIVES)
    completion = chat.chat(messages, options)
    if not completion.tokens:
        return "it tells no probabilities"
    return expected(completion.tokens[0], worth)


def expected(token: TokenProbability, worth: dict[str, float]) -> float | str:
    """The mean worth of the answers a token can be, by their probabilities, or why there is none.

    Spellings of one answer (" Yes", "yes") count together.
    """
    mass = dict.fromkeys(worth, 0.0)
    for text, logprob in token.top or ((token.token, token.logprob),):
        answer = text.strip().casefold()
        if answer in mass:
            mass[answer] += math.exp(logprob)
    total = sum(mass.values())
    if total < MASS:
        return f"only {total:.3f} of its probability is on {', '.join(worth)}"
    return sum(worth[answer] * p for answer, p in mass.items()) / total


def _scored(
    hits: Sequence[Hit],
    rest: Sequence[Hit],
    searcher: Searcher,
    name: str,
    chat: ChatModel,
    score: Score,
) -> list[Hit]:
    """All hits with the first ones scored anew; what could not be scored is on record."""
    scores: list[float | None] = []
    invalid = []
    for hit in hits:
        try:
            found = score(hit)
        except ContextTooLong as e:
            found = e.message
        if isinstance(found, str):
            invalid.append({"chunk_id": hit.chunk_id, "why": found})
        scores.append(None if isinstance(found, str) else found)
    with searcher.step(f"{name} by {chat.name}") as about:
        about["passages"] = len(hits)
        about["invalid"] = invalid
    return rescored([*hits, *rest], name, scores)
