"""A local GGUF model one token at a time: the logits of every token after any tokens.

llama.cpp's server tells the likeliest n of the next token, and only of the text that it goes on
with itself; its library tells all of them, for several beginnings at once, and the hidden state
behind them. The weights are mapped from the file, as the server does, and share its memory.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ContextTooLong, EngineError, InsideError, ModelCorrupt
from . import gguf
from .llama import state_per_token
from .llama_library import free, library, quiet
from .threads import free_cores

__all__ = ["LlamaSteps", "Next"]

BATCH = 256  # tokens computed together; between two batches Ctrl-C is heard
ROOM = 256  # tokens; the room of a branch is a multiple of it
LONGEST = 1024  # bytes of a token
MEMORY = 512 << 20  # most bytes for keys and values of branches beyond the first

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Next:
    """What comes after some tokens."""

    logits: Floats  # of each token of the vocabulary
    state: Floats | None = None  # the hidden state after the last layer's norm


@dataclass(slots=True)
class _Branch:
    """A sequence whose keys and values llama.cpp holds."""

    number: int
    held: list[int] = field(default_factory=list)
    used: int = 0  # when, by a counter


class LlamaSteps:
    """A GGUF model that goes on from given tokens. Safe to call from several threads.

    `branches` is how many beginnings it keeps in memory, so that each goes on with one step; more
    are right, too, and slower. Without `threads` it takes at each step as many as there are free
    cores then: two threads on one free core are ten times slower than one. Raises ModelCorrupt,
    EngineError where llama.cpp cannot load it.
    """

    def __init__(
        self, file: Path, *, name: str, context: int = 0, threads: int = 0, branches: int = 16
    ) -> None:
        self.name = name
        if not file.is_file():
            raise ModelCorrupt(f"{name}: {file} is missing")
        header = gguf.read(file)
        own = header.values.get(f"{header.values.get('general.architecture')}.context_length")
        self.context = min(context or own, own) if isinstance(own, int) and own else context
        if not self.context:
            raise ModelCorrupt(f"{name}: the GGUF header gives no context length")
        self._per_token = state_per_token(header)
        self._threads = threads
        self._most = branches
        self._lock = threading.Lock()
        self._llama = library(name)
        quiet(self._llama)
        model = self._llama.llama_model_load_from_file(
            os.fsencode(file), self._llama.llama_model_default_params()
        )
        if not model:
            raise EngineError(f"{name}: llama.cpp cannot load {file}")
        self._model = model
        self._batch = self._llama.llama_batch_init(BATCH, 0, 1)
        self._contexts: list[int] = []  # one, once there is something to read
        held = (self._llama, model, self._batch, self._contexts, os.getpid())
        self._free = weakref.finalize(self, free, *held)
        if self._llama.llama_model_has_encoder(model):
            raise EngineError(f"{name} does not read from left to right: nothing comes next")
        self._vocabulary = self._llama.llama_model_get_vocab(model)
        self.size = int(self._llama.llama_vocab_n_tokens(self._vocabulary))
        self.width = int(self._llama.llama_model_n_embd(model))
        self._room = 0
        self._branches: list[_Branch] = []
        self._clock = 0
        self._pieces: dict[int, bytes] = {}

    def tokens(self, text: str) -> list[int]:
        """The token ids of a prompt, special tokens spelled out in it included.

        What the model wants in front of every text (a BOS) is. Raises InsideError for a text that
        is no Unicode.
        """
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as e:
            raise InsideError(f"the text has {text[e.start]!r} in it, which is no character") from e
        ids = (ctypes.c_int32 * (len(data) + 8))()
        with self._lock:
            self._check_open()
            count = self._llama.llama_tokenize(
                self._vocabulary, data, len(data), ids, len(ids), True, True
            )
        if count < 0:
            raise EngineError(f"{self.name}: llama.cpp cannot split {text[:60]!r} into tokens")
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for, a special one's name included."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._piece(token)
        return found

    def ends(self, token: int) -> bool:
        """Whether the model is done when it says this token."""
        self._check_token(token)
        with self._lock:
            self._check_open()
            return bool(self._llama.llama_vocab_is_eog(self._vocabulary, token))

    def next(self, beginnings: Sequence[Sequence[int]], *, states: bool = False) -> list[Next]:
        """What comes after each of these token sequences, computed together.

        `states` adds the hidden state of each one's last token. Raises ContextTooLong,
        InsideError for an empty sequence or a number that is no token, EngineError.
        """
        asked = [list(ids) for ids in beginnings]
        with self._lock:
            self._check(asked)
            found: list[Next] = []
            for start in range(0, len(asked), max(1, len(self._branches))):
                part = asked[start : start + len(self._branches)]
                found += self._together(part, states)
        return found

    def states(self, ids: Sequence[int]) -> Floats:
        """The hidden state of each token, shape (tokens, width). Raises as `next`."""
        with self._lock:
            self._check([list(ids)])
            branch = min(self._branches, key=lambda b: b.used)
            self._forget(branch, 0)
            rows: list[Floats] = []
            self._llama.llama_set_embeddings(self._contexts[0], True)
            try:
                for start in range(0, len(ids), BATCH):
                    part = [
                        (token, start + i, branch) for i, token in enumerate(ids[start:][:BATCH])
                    ]
                    self._decode(part, range(len(part)))
                    rows += [self._state(i) for i in range(len(part))]
            finally:
                self._llama.llama_set_embeddings(self._contexts[0], False)
            return np.stack(rows)

    def close(self) -> None:
        """Free the memory."""
        with self._lock:
            self._free()

    def _check_open(self) -> None:
        if not self._free.alive:
            raise EngineError(f"{self.name} is closed")

    def _piece(self, token: int) -> bytes:
        self._check_token(token)
        buffer = ctypes.create_string_buffer(LONGEST)
        with self._lock:
            self._check_open()
            length = self._llama.llama_token_to_piece(
                self._vocabulary, token, buffer, LONGEST, 0, True
            )
        if length < 0:
            raise EngineError(
                f"{self.name}: token {token} is of {-length} bytes, expected at most {LONGEST}"
            )
        return buffer.raw[:length]

    def _check_token(self, token: int) -> None:
        if not 0 <= token < self.size:
            raise InsideError(f"{token} is no token of {self.name}; expected 0 to {self.size - 1}")

    def _check(self, asked: Sequence[Sequence[int]]) -> None:
        self._check_open()
        for ids in asked:
            if not ids:
                raise InsideError(f"{self.name} needs something to go on from, not an empty text")
            for token in ids:
                self._check_token(token)
        longest = max(map(len, asked), default=0)
        if longest > self.context:
            raise ContextTooLong(
                f"{self.name}: {longest} tokens are more than the context of {self.context}"
            )
        self._make_room(longest)
        if self._contexts:
            threads = self._threads or free_cores()
            self._llama.llama_set_n_threads(self._contexts[0], threads, threads)

    def _make_room(self, tokens: int) -> None:
        """A context whose branches hold as many tokens, made anew where they do not."""
        if tokens <= self._room:
            return
        while self._contexts:
            self._llama.llama_free(self._contexts.pop())
        room = min(-(-(tokens + 64) // ROOM) * ROOM, -(-self.context // ROOM) * ROOM)
        each = max(1, room * self._per_token)
        count = max(1, min(self._most, 1 + MEMORY // each))
        settings = self._llama.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = room * count, count
        settings.n_batch = settings.n_ubatch = BATCH
        context: int | None = self._llama.llama_init_from_model(self._model, settings)
        if not context:
            self._room = 0
            raise EngineError(f"{self.name}: llama.cpp has no memory for {room * count} tokens")
        self._contexts.append(context)
        self._room = room
        self._branches = [_Branch(n) for n in range(count)]

    def _together(self, asked: Sequence[list[int]], states: bool) -> list[Next]:
        """As `next`, for no more than there are branches."""
        free = list(self._branches)
        own = [self._branch(ids, free) for ids in asked]
        work = [
            (ids[place], place, branch)
            for ids, branch in zip(asked, own, strict=True)
            for place in range(len(branch.held), len(ids))
        ]
        last = {id(branch): len(ids) - 1 for ids, branch in zip(asked, own, strict=True)}
        found: dict[int, Next] = {}
        self._llama.llama_set_embeddings(self._contexts[0], states)
        try:
            for start in range(0, len(work), BATCH):
                part = work[start : start + BATCH]
                wanted = [i for i, (_, place, b) in enumerate(part) if place == last[id(b)]]
                self._decode(part, wanted)
                for i in wanted:
                    state = self._state(i) if states else None
                    found[id(part[i][2])] = Next(self._logits(i), state)
        finally:
            self._llama.llama_set_embeddings(self._contexts[0], False)
        return [found[id(branch)] for branch in own]

    def _branch(self, ids: list[int], free: list[_Branch]) -> _Branch:
        """A branch of `free` that holds as much of the beginning of `ids` as any does.

        Its last token is not held: what comes after it is what has to be computed.
        """
        best = max(self._branches, key=lambda b: (_common(b.held, ids), b in free, -b.number))
        share = min(_common(best.held, ids), len(ids) - 1)
        branch = best
        if best not in free:
            branch = min(free, key=lambda b: (b.used, b.number))
            if share:
                self._copy(best, branch)
        free.remove(branch)
        self._forget(branch, share)
        self._clock += 1
        branch.used = self._clock
        return branch

    def _copy(self, source: _Branch, target: _Branch) -> None:
        memory = self._llama.llama_get_memory(self._contexts[0])
        self._llama.llama_memory_seq_rm(memory, target.number, -1, -1)
        self._llama.llama_memory_seq_cp(memory, source.number, target.number, -1, -1)
        target.held = list(source.held)

    def _forget(self, branch: _Branch, keep: int) -> None:
        """Hold only the first `keep` tokens; none where a model cannot go back."""
        if len(branch.held) == keep:
            return
        memory = self._llama.llama_get_memory(self._contexts[0])
        if not keep or not self._llama.llama_memory_seq_rm(memory, branch.number, keep, -1):
            self._llama.llama_memory_seq_rm(memory, branch.number, -1, -1)
            keep = 0
        del branch.held[keep:]

    def _decode(self, part: Sequence[tuple[int, int, _Branch]], wanted: Sequence[int]) -> None:
        """Read tokens, each at its place in its branch; logits of those in `wanted`."""
        asked = set(wanted)
        for i, (token, place, branch) in enumerate(part):
            self._batch.token[i] = token
            self._batch.pos[i] = place
            self._batch.n_seq_id[i] = 1
            self._batch.seq_id[i][0] = branch.number
            self._batch.logits[i] = i in asked
        self._batch.n_tokens = len(part)
        done = False
        try:
            status = self._llama.llama_decode(self._contexts[0], self._batch)
            if status != 0:
                raise EngineError(f"{self.name}: llama.cpp failed with status {status}")
            for token, _, branch in part:
                branch.held.append(token)
            done = True
        finally:
            if not done:  # also after Ctrl-C: nobody knows what the branches hold now
                memory = self._llama.llama_get_memory(self._contexts[0])
                self._llama.llama_memory_clear(memory, True)
                for branch in self._branches:
                    branch.held.clear()

    def _logits(self, i: int) -> Floats:
        found = self._llama.llama_get_logits_ith(self._contexts[0], i)
        if not found:
            raise EngineError(f"{self.name}: llama.cpp gives no logits of this model")
        return np.ctypeslib.as_array(found, shape=(self.size,)).copy()

    def _state(self, i: int) -> Floats:
        found = self._llama.llama_get_embeddings_ith(self._contexts[0], i)
        if not found:
            raise EngineError(f"{self.name}: llama.cpp gives no hidden states of this model")
        return np.ctypeslib.as_array(found, shape=(self.width,)).copy()


def _common(held: Sequence[int], ids: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = 0
    for a, b in zip(held, ids, strict=False):
        if a != b:
            break
        count += 1
    return count
