"""A model one step at a time: what may come next, what a method makes of it, and the step taken.

Everything here can be driven by hand: `next_tokens` tells what may come after a text or any
tokens, `take` takes one of them by `decoding.Settings`, and the tokens so far are yours to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..config import Config
from ..errors import InsideError
from . import decoding
from .decoding import Row, Settings

__all__ = [
    "Candidate", "Distribution", "Model", "Step", "Tip", "exactly", "filtered", "next_tokens",
    "open_model", "shown", "take", "tips",
]  # fmt: skip

SHOWN = 10  # candidates of a step, and the one chosen


@dataclass(frozen=True, slots=True)
class Tip:
    """One token that may come next."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """What may come next. `row` has a number for each id: logits of all tokens, or, where a server
    tells only the likeliest, their logprobs and -inf; `tail` is what is missing then, 0 to 1."""

    row: Row
    tail: float = 0.0
    complete: bool = True
    state: Row | None = None  # hidden state of the last token, where it was asked for

    @property
    def probabilities(self) -> Row:
        """Of each id; together 1, less the tail."""
        return decoding.softmax(self.row) if self.complete else np.exp(self.row)

    @property
    def entropy(self) -> float | None:
        """How open the choice is, in bits; None where not every token is told."""
        if not self.complete:
            return None
        logprobs = decoding.log_softmax(self.row)
        inside = np.isfinite(logprobs)
        return float(-(np.exp(logprobs[inside]) * logprobs[inside]).sum() / np.log(2)) + 0.0

    def best(self, count: int) -> list[int]:
        """The ids of the likeliest, fewer where fewer are told."""
        return [int(n) for n in decoding.by_probability(self.row, count)]


class Model(Protocol):
    """A model that goes on from given tokens."""

    name: str
    context: int  # tokens
    complete: bool  # whether it tells every token's probability
    hidden: bool  # whether it tells hidden states

    def tokens(self, text: str) -> list[int]: ...

    def piece(self, token: int) -> bytes: ...

    def ends(self, token: int) -> bool:
        """Whether the model is done when it says this token."""
        ...

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        """What may come after each of these token sequences."""
        ...

    def states(self, ids: Sequence[int]) -> Any:
        """The hidden state of each token, shape (tokens, width)."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token in a step. Probabilities are from 0 to 1; `after` is 0 for one that was dropped."""

    id: int
    text: str
    before: float  # by the model
    after: float  # after the method's filters
    kept: bool
    chosen: bool
    beam: int | None = None  # of beam search: the beginning it goes on with, from 0
    score: float | None = None  # of beam search: sum of logprobs; of contrastive: its score
    likeness: float | None = None  # of contrastive: the highest cosine to what was said


@dataclass(frozen=True, slots=True)
class Step:
    """One token taken: the likeliest candidates, the one chosen among them, and what was kept."""

    place: int  # tokens written before it
    candidates: tuple[Candidate, ...]
    kept: int  # how many tokens the filters left
    of: int  # of how many
    tail: float = 0.0  # probability of tokens that a server did not tell
    entropy: float | None = None  # bits, of the model's own distribution
    chance: float | None = None  # the random number that chose, 0 to 1

    @property
    def chosen(self) -> Candidate:
        """The token that was taken."""
        return next(c for c in self.candidates if c.chosen)


def open_model(config: Config, name: str | None = None, *, branches: int = 24) -> Model:
    """The chat model `name` or the configured one, to go on with step by step.

    Raises UnknownModel, ModelNotInstalled ..., InsideError for a backend that tells no
    probabilities.
    """
    full = name or config.chat_model
    backend, _, short = full.rpartition(":")
    if backend == "openai":
        from .remote_steps import RemoteSteps

        return RemoteSteps.open(config, short)
    if backend not in ("", "llamacpp"):
        raise InsideError(
            f"{full!r}: the backend {backend!r} does not tell probabilities; expected llamacpp or "
            "openai"
        )
    from .local_steps import LocalSteps

    return LocalSteps.open(config, short, branches=branches)


def next_tokens(model: Model, text_or_ids: str | Sequence[int]) -> Distribution:
    """What may come after a text, or after tokens. Raises InsideError, ContextTooLong ..."""
    ids = model.tokens(text_or_ids) if isinstance(text_or_ids, str) else list(text_or_ids)
    return model.next([ids])[0]


def tips(model: Model, found: Distribution, count: int = SHOWN) -> list[Tip]:
    """The likeliest next tokens, for showing."""
    with np.errstate(divide="ignore"):
        logprobs = np.log(found.probabilities)
    return [Tip(n, shown(model.piece(n)), float(logprobs[n])) for n in found.best(count)]


def shown(piece: bytes) -> str:
    """A token's text; bytes that are no whole character as "\\xf0\\x9f", never replaced."""
    return piece.decode("utf-8", "backslashreplace")


def exactly(found: Distribution, settings: Settings) -> None:
    """Raise InsideError where the tokens that are told are too few for `settings` to be exact."""
    if found.complete:
        return
    count = int(np.isfinite(found.row).sum())
    told = f"the server tells {count} tokens, which hold {1 - found.tail:.3f} of the probability"
    if settings.repetition_penalty != 1 or settings.presence_penalty or settings.frequency_penalty:
        raise InsideError(f"a penalty changes every token's share; {told}")
    if settings.no_repeat_ngram:
        raise InsideError(f"the server does not tell the prompt's tokens, so no n-grams; {told}")
    if settings.temperature == 0:
        return
    if settings.top_k is not None and settings.top_k <= count:
        return
    if settings.typical is not None:
        raise InsideError(f"typical sampling needs the entropy of all tokens; {told}")
    if settings.top_k is not None:
        raise InsideError(f"top-k {settings.top_k} needs as many tokens; {told}")
    ratio = float(np.exp((found.row[np.isfinite(found.row)] - found.row.max()).min()))
    if settings.min_p is not None and settings.top_p is None:
        if ratio ** (1 / settings.temperature) < settings.min_p:
            return
        raise InsideError(f"min-p {settings.min_p:g} reaches further; {told}")
    if settings.top_p is None:
        raise InsideError(f"drawing from all tokens needs all of them; {told}")
    if settings.temperature != 1:
        raise InsideError(f"a temperature changes every token's share before top-p; {told}")
    if 1 - found.tail < settings.top_p:
        raise InsideError(f"top-p {settings.top_p:g} reaches further; {told}")


def take(
    model: Model,
    found: Distribution,
    settings: Settings,
    *,
    prompt: Sequence[int] = (),
    written: Sequence[int] = (),
    chance: float | None = None,
    count: int = SHOWN,
) -> Step:
    """Take a token: the one that `chance` (0 to below 1) falls on, or the likeliest left without.

    `prompt` and `written` are the tokens so far, `count` how many candidates to tell. Raises
    InsideError where nothing is left, or as `exactly`.
    """
    exactly(found, settings)
    row = filtered(found, settings, prompt, written)
    chosen = decoding.greedy(row) if chance is None else decoding.draw(row, chance)
    before, after = found.probabilities, decoding.softmax(row)
    ids = found.best(count)
    if chosen not in ids:
        ids.append(chosen)
    return Step(
        len(written),
        tuple(
            Candidate(
                n,
                shown(model.piece(n)),
                float(before[n]),
                float(after[n]),
                bool(np.isfinite(row[n])),
                n == chosen,
            )
            for n in ids
        ),
        kept=int(np.isfinite(row).sum()),
        of=int(np.isfinite(found.row).sum()),
        tail=found.tail,
        entropy=found.entropy,
        chance=chance,
    )


def filtered(
    found: Distribution, settings: Settings, prompt: Sequence[int], written: Sequence[int]
) -> Row:
    """The row with -inf for what `settings` drop; what `take` draws from."""
    if found.complete or settings.top_p is None or settings.top_k is not None:
        return decoding.filtered(found.row, settings, prompt=prompt, written=written)
    # top-p is a share of all tokens, so of what is told it is more.
    share = min(1.0, settings.top_p / (1 - found.tail))
    inside = replace(settings, top_p=share)
    return decoding.filtered(found.row, inside, prompt=prompt, written=written)
