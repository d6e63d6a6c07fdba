"""How likely a local GGUF model finds a given text, token by token.

llama.cpp's server tells the probabilities of what it writes, not of what it reads, so this goes
to the C functions of the same library (xllamacpp carries all of llama.cpp) through ctypes. The
weights are mapped from the same file as the server's and share its memory.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ContextTooLong, EngineError
from .interface import TokenLikelihood
from .llama_library import free, library
from .threads import free_cores

__all__ = ["LlamaLikelihood"]

BATCH = 256  # tokens computed together; between two batches Ctrl-C is heard
SMALLEST = 1024  # tokens there is room for at first
LONGEST = 1024  # bytes of a token


class LlamaLikelihood:
    """A GGUF model that reads texts. Safe to call from several threads; they take turns.

    The same model must be loaded by `llama.Llama` already: it checks the file and keeps llama.cpp
    quiet. `context` is the most tokens of a text with what stands before it.
    Raises EngineError where llama.cpp cannot load it.
    """

    def __init__(self, file: Path, *, name: str, context: int, threads: int = 0) -> None:
        self._name = name
        self._most = context
        self._threads = threads or free_cores()
        self._lock = threading.Lock()
        self._room = 0
        self._contexts: list[int] = []  # one, once there is something to read
        self._llama = library(name)
        model = self._llama.llama_model_load_from_file(
            os.fsencode(file), self._llama.llama_model_default_params()
        )
        if not model:
            raise EngineError(f"{name}: llama.cpp cannot load {file} once more")
        self._model = model
        self._batch = self._llama.llama_batch_init(BATCH, 0, 1)
        held = (self._llama, model, self._batch, self._contexts, os.getpid())
        self._free = weakref.finalize(self, free, *held)
        self._vocabulary = self._llama.llama_model_get_vocab(model)
        self._size = self._llama.llama_vocab_n_tokens(self._vocabulary)
        if self._llama.llama_model_has_encoder(model):
            raise EngineError(f"{name} does not read from left to right: it gives no likelihoods")

    def logprobs(self, text: str, given: str) -> list[TokenLikelihood]:
        """As `interface.LikelihoodModel` says."""
        with self._lock:
            if not self._free.alive:
                raise EngineError(f"{self._name} is closed")
            before, _ = self._tokens(given, opening=True)
            tokens, ends = self._tokens(text, opening=False)
            if not before or not tokens:
                raise ValueError("expected a text and something before it, not an empty string")
            if len(before) + len(tokens) > self._most:
                raise ContextTooLong(
                    f"{self._name}: a text of {len(before)} and {len(tokens)} tokens is longer "
                    f"than the context of {self._most}: {text[:60]!r}..."
                )
            found = self._read(before + tokens, len(before))
        return _characters(text, ends, found)

    def close(self) -> None:
        """Free the memory."""
        with self._lock:
            self._free()

    def _tokens(self, text: str, *, opening: bool) -> tuple[list[int], list[int]]:
        """The token ids of a text, and where in its UTF-8 bytes each ends."""
        data = text.encode("utf-8")
        ids = (ctypes.c_int32 * (len(data) + 8))()
        count = self._llama.llama_tokenize(
            self._vocabulary, data, len(data), ids, len(ids), opening, False
        )
        if count < 0:
            raise EngineError(f"{self._name}: llama.cpp cannot split {text[:60]!r} into tokens")
        pieces = [self._piece(token) for token in ids[:count]]
        extra = sum(map(len, pieces)) - len(data)  # some tokenizers put a space in front
        if b"".join(pieces) != b" " * max(extra, 0) + data:
            raise EngineError(f"{self._name}: its tokens do not give {text[:60]!r} back")
        return list(ids[:count]), [end - extra for end in accumulate(map(len, pieces))]

    def _piece(self, token: int) -> bytes:
        """The bytes a token stands for; none for one that opens a text."""
        buffer = ctypes.create_string_buffer(LONGEST)
        length = self._llama.llama_token_to_piece(
            self._vocabulary, token, buffer, LONGEST, 0, False
        )
        if length < 0:
            raise EngineError(
                f"{self._name}: token {token} is of {-length} bytes, expected at most {LONGEST}"
            )
        return buffer.raw[:length]

    def _read(self, tokens: Sequence[int], first: int) -> list[float]:
        """The natural-log probability of each token from `first` on, which is at least 1."""
        context = self._context(len(tokens))
        self._llama.llama_memory_clear(self._llama.llama_get_memory(context), True)
        found: list[float] = []
        for start in range(0, len(tokens) - 1, BATCH):  # nothing follows the last one
            part = tokens[start : min(start + BATCH, len(tokens) - 1)]
            for i, token in enumerate(part):
                self._batch.token[i] = token
                self._batch.pos[i] = start + i
                self._batch.n_seq_id[i] = 1
                self._batch.seq_id[i][0] = 0
                self._batch.logits[i] = start + i + 1 >= first
            self._batch.n_tokens = len(part)
            status = self._llama.llama_decode(context, self._batch)
            if status != 0:
                raise EngineError(f"{self._name}: llama.cpp failed with status {status}")
            for i in range(max(0, first - start - 1), len(part)):
                logits = self._llama.llama_get_logits_ith(context, i)
                row = np.ctypeslib.as_array(logits, shape=(self._size,))
                found.append(_logprob(row, tokens[start + i + 1]))
        return found

    def _context(self, tokens: int) -> int:
        """A context that holds as many tokens, made anew where the last was smaller."""
        if tokens <= self._room:
            return self._contexts[0]
        while self._contexts:
            self._llama.llama_free(self._contexts.pop())
        self._room = 0
        room = SMALLEST
        while room < tokens:
            room *= 2
        settings = self._llama.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = room, BATCH, BATCH
        context: int | None = self._llama.llama_init_from_model(self._model, settings)
        if not context:
            raise EngineError(f"{self._name}: llama.cpp has no memory for {room} tokens")
        self._llama.llama_set_n_threads(context, self._threads, self._threads)
        self._contexts.append(context)
        self._room = room
        return context


def _logprob(logits: NDArray[np.float32], token: int) -> float:
    """The natural-log probability of one token among all."""
    row = logits.astype(np.float64)
    top = row.max()
    return float(row[token] - top - np.log(np.exp(row - top).sum()))


def _characters(text: str, ends: Sequence[int], logprobs: Sequence[float]) -> list[TokenLikelihood]:
    """Tokens by characters instead of bytes; those that share a character become one."""
    sizes = accumulate(len(c.encode("utf-8")) for c in text)
    place = {0: 0} | {size: n for n, size in enumerate(sizes, 1)}  # byte -> character
    found: list[TokenLikelihood] = []
    start, total = 0, 0.0
    for end, logprob in zip(ends, logprobs, strict=True):
        total += logprob
        if end > start and end in place:
            found.append(TokenLikelihood(place[start], place[end], total))
            start, total = end, 0.0
    return found
