"""What the screen asks of a model: candidates under settings, a token taken, methods compared."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ContextTooLong, EngineError, InsideError
from ...inside import generation
from ...inside.decoding import Settings
from ...inside.generation import Distribution, Model, Step
from ...inside.methods import Continuation
from ...inside.sample import sample

__all__ = ["Look", "Stoppable", "ask", "compared", "look"]

ROWS = 15  # candidates in the table
LONGEST = 2_000  # tokens; others wait while a longer one is read


@dataclass(frozen=True, slots=True)
class Look:
    """What may come after some tokens, and what settings keep of it."""

    step: Step
    held: float  # the model's own probability of what is kept, 0 to 1
    after: int  # tokens before it
    ends: frozenset[int]  # those of the candidates with which the model is done


def ask(model: Model, text: str) -> list[int]:
    """The tokens of a text. Raises InsideError for an empty one, ContextTooLong."""
    ids = model.tokens(text)
    if not ids:
        raise InsideError("the text is empty, so nothing can come next")
    _check(model, ids)
    return ids


def _check(model: Model, ids: Sequence[int]) -> None:
    most = min(LONGEST, model.context - 1) if model.complete else model.context
    if model.complete and len(ids) > most:
        raise ContextTooLong(
            f"the text has {len(ids):,} tokens; to be looked into it may have at most {most:,}"
        )


def look(
    model: Model,
    prompt: Sequence[int],
    written: Sequence[int],
    settings: Settings,
    *,
    chance: float | None = None,
) -> Look:
    """What may come after `prompt` and `written`; what is chosen is as `generation.take` says."""
    _check(model, [*prompt, *written])
    found = generation.next_tokens(model, [*prompt, *written])
    step = generation.take(
        model, found, settings, prompt=prompt, written=written, chance=chance, count=ROWS
    )
    ends = frozenset(c.id for c in step.candidates if model.ends(c.id))
    return Look(step, _held(found, settings, prompt, written), len(prompt) + len(written), ends)


def _held(
    found: Distribution, settings: Settings, prompt: Sequence[int], written: Sequence[int]
) -> float:
    """How much of the model's probability the filters leave."""
    kept = np.isfinite(generation.filtered(found, settings, prompt, written))
    return float(found.probabilities[kept].sum())


def compared(
    model: Model, prompt: str, methods: Sequence[str], tokens: int, seed: int
) -> list[Continuation]:
    """The prompt continued by each method. Raises as `inside.sample.sample`."""
    ask(model, prompt)
    return sample(model, prompt, methods, tokens=tokens, seed=seed)


class Stoppable:
    """A model that stops when nobody waits for it any more; as `generation.Model` says."""

    def __init__(self, model: Model, stopped: threading.Event) -> None:
        self._model = model
        self._stopped = stopped
        self.name, self.context = model.name, model.context
        self.complete, self.hidden = model.complete, model.hidden

    def tokens(self, text: str) -> list[int]:
        """As the model's."""
        return self._model.tokens(text)

    def piece(self, token: int) -> bytes:
        """As the model's."""
        return self._model.piece(token)

    def ends(self, token: int) -> bool:
        """As the model's."""
        return self._model.ends(token)

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        """As the model's. Raises EngineError once it was stopped."""
        if self._stopped.is_set():
            raise EngineError("stopped")
        return self._model.next(beginnings, states=states)

    def states(self, ids: Sequence[int]) -> Any:
        """As the model's."""
        return self._model.states(ids)

    def close(self) -> None:
        """Leave the model as it is: others use it."""
