"""What the rest of llar asks of a model. Every backend's class fits one of these protocols."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..records import Completion, Message, Piece

Matrix = NDArray[np.float32]
Pieces = Generator[Piece, None, None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to generate. Unset fields leave the choice to the model's own defaults, seed included."""

    max_tokens: int | None = None  # None: until the model stops or the context is full
    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None  # JSON schema the output must satisfy
    top_logprobs: int | None = None  # 0: chosen tokens only; n: also n alternatives; None: off
    adapters: tuple[tuple[str, float], ...] = ()  # LoRA (name, scale), loaded with the model


DEFAULTS = Options()


class ChatModel(Protocol):
    """A model that writes text. Safe to call from several threads."""

    name: str  # "backend:name"
    context: int  # tokens that prompt and answer share

    def chat(self, messages: Sequence[Message], options: Options = ...) -> Completion: ...

    def stream(self, messages: Sequence[Message], options: Options = ...) -> Pieces:
        """Like chat, in pieces; closing the generator stops the generation."""
        ...

    def complete(self, prompt: str, options: Options = ...) -> Completion:
        """Continue raw text, without the chat template."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone, without a template's."""
        ...

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the chat template renders it."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TokenLikelihood:
    """One token of a text that was read: its place in it, and its natural-log probability."""

    start: int
    end: int
    logprob: float


@runtime_checkable
class LikelihoodModel(ChatModel, Protocol):
    """A chat model that also tells how likely it finds a given text."""

    def logprobs(self, text: str, given: str) -> list[TokenLikelihood]:
        """The probability of each token of `text` after `given`; neither may be empty.

        The tokens follow each other without gaps. Tokens that share a character count as one.
        Raises ContextTooLong where both together do not fit, EngineError and RemoteError where
        the model cannot tell."""
        ...


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """What a collection's manifest pins: vectors of different identities must never be mixed."""

    name: str  # "backend:name"
    sha256: str  # of the weights; for a remote server "" (it cannot be known)
    dimension: int
    pooling: str
    query_prefix: str
    document_prefix: str
    languages: tuple[str, ...]  # ISO 639-1; ("*",) for a multilingual model


class Embedder(Protocol):
    """A model that turns text into unit vectors. Safe to call from several threads."""

    identity: EmbedderIdentity
    max_tokens: int  # longest text, special tokens and prefix excluded

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special tokens and prefix; comparable to max_tokens."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), float32, rows of length 1.

        Raises ContextTooLong where a text has more than max_tokens tokens."""
        ...

    def embed_query(self, text: str) -> Matrix:
        """Shape (dimension,), float32, length 1. Raises ContextTooLong as above."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that also gives a vector for each token, for late interaction."""

    def embed_tokens(self, text: str) -> tuple[Matrix, list[tuple[int, int]]]:
        """Unit vectors, shape (tokens, dimension), and each token's (start, end) in `text`.

        Raises ContextTooLong as above."""
        ...


class Reranker(Protocol):
    """A model that scores how well each text answers a query; higher is better."""

    name: str

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TokenWorth:
    """One token of a text: its place in it, and how surely it should be kept, 0 to 1."""

    start: int
    end: int
    worth: float


class Compressor(Protocol):
    """A model that tells which tokens of a text carry its meaning."""

    name: str

    def worths(self, text: str) -> list[TokenWorth]:
        """Each token of `text`, in order; characters that no token holds are between them."""
        ...

    def close(self) -> None: ...


class Models(Protocol):
    """Models that are kept elsewhere, such as in the children of a server; cheap to call."""

    def chat(self, name: str) -> ChatModel: ...

    def embedder(self, name: str) -> Embedder: ...

    def reranker(self, name: str) -> Reranker: ...
