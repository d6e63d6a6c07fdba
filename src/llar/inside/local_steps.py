"""A local GGUF model, step by step: every token's logit and the hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..config import Config
from ..models.llama_steps import Floats, LlamaSteps
from ..models.llamacpp import model_file
from .generation import Distribution

__all__ = ["LocalSteps"]


class LocalSteps:
    """As `generation.Model` says. Safe to call from several threads."""

    complete = True
    hidden = True

    def __init__(self, steps: LlamaSteps) -> None:
        self.name = steps.name
        self.context = steps.context
        self.size = steps.size
        self._steps = steps

    @classmethod
    def open(cls, config: Config, name: str, *, branches: int = 24) -> LocalSteps:
        """The installed model `name`. Raises ModelNotInstalled, ModelCorrupt, EngineError."""
        return cls(
            LlamaSteps(
                model_file(config, name),
                name=f"llamacpp:{name}",
                context=config.context,
                threads=config.threads,
                branches=branches,
            )
        )

    def tokens(self, text: str) -> list[int]:
        """The token ids of a prompt, with what the model wants in front of every text."""
        return self._steps.tokens(text)

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for."""
        return self._steps.piece(token)

    def ends(self, token: int) -> bool:
        """Whether the model is done when it says this token."""
        return self._steps.ends(token)

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        """What may come after each of these token sequences, computed together."""
        return [
            Distribution(
                found.logits.astype(np.float64),
                state=None if found.state is None else found.state.astype(np.float64),
            )
            for found in self._steps.next(beginnings, states=states)
        ]

    def states(self, ids: Sequence[int]) -> Floats:
        """The hidden state of each token, shape (tokens, width)."""
        return self._steps.states(ids)

    def close(self) -> None:
        """Free the memory."""
        self._steps.close()
