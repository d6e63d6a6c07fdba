"""A model on a server, step by step: only the likeliest tokens, and only by their text.

Servers of the OpenAI protocol tell the logprobs of at most 20 tokens, no ids and no hidden states.
What would need more is refused by name (`generation.exactly`), never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..config import Config
from ..errors import InsideError
from ..models.interface import Options
from ..models.openai import OpenAIChat
from .generation import Distribution

__all__ = ["RemoteSteps"]

TOLD = 20  # the most that servers tell
PARTS = ("\ufffd", "bytes:")  # how servers write a token that is no whole character


class RemoteSteps:
    """As `generation.Model` says; an id is the number of a text in the order it was first seen.

    A prompt is one text. Each step sends the prompt and what was chosen as one text, which the
    server cuts into tokens anew.
    """

    complete = False
    hidden = False

    def __init__(self, chat: OpenAIChat) -> None:
        self.name = chat.name
        self.context = chat.context
        self._chat = chat
        self._texts: list[str] = []
        self._ids: dict[str, int] = {}
        self._ends: set[int] = set()

    @classmethod
    def open(cls, config: Config, name: str) -> RemoteSteps:
        """The model `name` of the configured server. Raises ConfigError, RemoteError."""
        return cls(OpenAIChat.open(config, name))

    def tokens(self, text: str) -> list[int]:
        """The prompt as it is, as one."""
        return [self._id(text)] if text else []

    def piece(self, token: int) -> bytes:
        """The bytes of a text."""
        return self._texts[token].encode()

    def ends(self, token: int) -> bool:
        """Whether the server was seen to stop with this token; it does not tell otherwise."""
        return token in self._ends

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        """What may come after each of these; one request for each."""
        if states:
            self.states(())
        return [self._one([self._texts[n] for n in ids]) for ids in beginnings]

    def states(self, ids: Sequence[int]) -> Any:
        """Raises InsideError: no server tells hidden states."""
        raise InsideError(f"{self.name} tells no hidden states")

    def close(self) -> None:
        """Close the connections."""
        self._chat.close()

    def _one(self, texts: Sequence[str]) -> Distribution:
        for text in texts[1:]:
            if any(part in text for part in PARTS):
                raise InsideError(
                    f"the server writes a token as {text!r}, part of a character, which cannot be "
                    "sent back to it as text"
                )
        told = self._chat.complete("".join(texts), Options(max_tokens=1, top_logprobs=TOLD))
        if not told.tokens:
            raise InsideError(f"{self.name} tells no logprobs, so no method can be shown with it")
        first = told.tokens[0]
        found = {self._id(text): logprob for text, logprob in (*first.top,)}
        found.setdefault(self._id(first.token), first.logprob)
        if told.finish_reason == "stop":
            self._ends.add(self._id(first.token))
        row = np.full(len(self._texts), -np.inf)
        for token, logprob in found.items():
            row[token] = min(logprob, 0.0)
        return Distribution(row, tail=max(0.0, 1 - float(np.exp(row).sum())), complete=False)

    def _id(self, text: str) -> int:
        if text not in self._ids:
            self._ids[text] = len(self._texts)
            self._texts.append(text)
        return self._ids[text]
