"""The models in the children, as the rest of llar sees them: chat, embedder, reranker, compressor.

Making one costs nothing; the child is loaded by the first question. `close` does nothing: the
server keeps the model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...config import Config
from ...models.interface import (
    DEFAULTS,
    EmbedderIdentity,
    Matrix,
    Options,
    Pieces,
    TokenLikelihood,
    TokenWorth,
)
from ...records import Completion, Message
from .engine import Engine

LONG = 2_000  # characters from which a tokenizer should let go of Python's lock meanwhile

__all__ = ["KeptChat", "KeptCompressor", "KeptEmbedder", "KeptReranker", "KeptTokenEmbedder"]


class _Kept:
    """What all of them share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name

    def close(self) -> None:
        """Nothing: the server keeps it."""


class KeptChat(_Kept):
    """A chat model in a child; requests wait in its queue."""

    @property
    def context(self) -> int:
        """Tokens that prompt and answer share."""
        with self._engine.beside() as child:
            return child.talk.context

    def chat(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Completion:
        """As LlamaChat. Raises also Overloaded."""
        with self._engine.turn() as child:
            return self._counted(child.talk.chat(messages, options))

    def stream(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Pieces:
        """As LlamaChat. Raises also Overloaded, that one with the first piece."""
        with self._engine.beside() as child:
            child.talk.stream(messages, options).close()  # what cannot work fails here
        return self._pieces(messages, options)

    def complete(self, prompt: str, options: Options = DEFAULTS) -> Completion:
        """As LlamaChat. Raises also Overloaded."""
        with self._engine.turn() as child:
            return self._counted(child.talk.complete(prompt, options))

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone."""
        with self._engine.beside() as child:
            return child.talk.count_tokens(text)

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the chat template renders it."""
        with self._engine.beside() as child:
            return child.talk.count_prompt(messages)

    def logprobs(self, text: str, given: str) -> list[TokenLikelihood]:
        """As interface.LikelihoodModel says."""
        with self._engine.turn() as child:
            rows, _ = child.calls.call("logprobs", text=text, given=given)
        return [TokenLikelihood(*row) for row in rows]

    def _pieces(self, messages: Sequence[Message], options: Options) -> Pieces:
        with self._engine.turn() as child:
            for piece in child.talk.stream(messages, options):
                if piece.usage is not None:
                    self._engine.count(piece.usage)
                yield piece

    def _counted(self, answer: Completion) -> Completion:
        self._engine.count(answer.usage)
        return answer


class KeptEmbedder(_Kept):
    """An embedder in a child. Small requests of many callers are computed together.

    Tokens are counted here: a tokenizer is small, and chunking counts thousands of times.
    """

    def __init__(self, engine: Engine, config: Config) -> None:
        super().__init__(engine)
        self._config = config
        self._lock = threading.Lock()
        self._tokenizer: tuple[str, Any] | None = None  # of which weights, and itself

    @property
    def identity(self) -> EmbedderIdentity:
        """What a collection's manifest pins."""
        told = dict(self._told()["identity"])
        told["languages"] = tuple(told["languages"])
        return EmbedderIdentity(**told)

    @property
    def max_tokens(self) -> int:
        """Longest text, special tokens and prefix excluded."""
        longest: int = self._told()["max_tokens"]
        return longest

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special tokens and prefix."""
        if not self.name.startswith("ctranslate2:"):
            with self._engine.beside() as child:
                count: int = child.calls.call("count", text=text)[0]
                return count
        tokenizer = self._tokens_of()
        if len(text) < LONG:
            return len(tokenizer.encode(text, add_special_tokens=False).ids)
        return len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), float32, rows of length 1.

        Raises ContextTooLong where a text has more than max_tokens tokens, Overloaded."""
        if not texts:
            return np.empty((0, self.identity.dimension), np.float32)
        return self._embed(list(texts), query=False)

    def embed_query(self, text: str) -> Matrix:
        """Shape (dimension,), float32, length 1. Raises as above."""
        vector: Matrix = self._embed([text], query=True)[0]
        return vector

    def _embed(self, texts: list[str], *, query: bool) -> Matrix:
        with self._engine.turn() as child:
            return child.calls.call("embed", texts=texts, query=query)[1][0]

    def _told(self) -> dict[str, Any]:
        with self._engine.beside() as child:
            return child.place

    def _tokens_of(self) -> Any:
        sha256 = self._told()["identity"]["sha256"]
        with self._lock:
            if self._tokenizer is None or self._tokenizer[0] != sha256:
                from ...models.bert import tokenizer
                from ...models.store import Store

                folder = Store(self._config.models_dir).get(self.name).folder
                size = json.loads((folder / "config.json").read_bytes())["vocab_size"]
                self._tokenizer = (sha256, tokenizer(folder, size))
            return self._tokenizer[1]


class KeptTokenEmbedder(KeptEmbedder):
    """One that also gives a vector for each token."""

    def embed_tokens(self, text: str) -> tuple[Matrix, list[tuple[int, int]]]:
        """As interface.TokenEmbedder says."""
        with self._engine.turn() as child:
            offsets, (vectors,) = child.calls.call("tokens", text=text)
        return vectors, [(start, end) for start, end in offsets]


class KeptReranker(_Kept):
    """A reranker in a child."""

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score per text, in the order of `texts`. Raises as the model does, Overloaded."""
        with self._engine.turn() as child:
            scores: list[float] = child.calls.call("rerank", query=query, texts=list(texts))[0]
        return scores


class KeptCompressor(_Kept):
    """A compressor in a child."""

    def worths(self, text: str) -> list[TokenWorth]:
        """As interface.Compressor says."""
        with self._engine.turn() as child:
            rows, _ = child.calls.call("worths", text=text)
        return [TokenWorth(*row) for row in rows]
