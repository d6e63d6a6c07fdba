"""Models that are gone on with step by step for the page, each in a child process of its own.

The engines tell texts and the likeliest tokens; looking inside needs the logits of every token
after any tokens. A child starts when a model is first looked into and ends when nobody did for
`idle_unload` seconds. One that crashed is started again by the next call.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, cast

from .. import errors
from ..config import Config
from ..errors import EngineError, LlarError, Overloaded
from ..inside.generation import Distribution, Model, open_model
from ..models.llamacpp import model_file

__all__ = ["Steppers", "SteppingModel", "StepsStatus"]

LOADED = 2  # models in memory at once; one more ends the one that was used longest ago
BRANCHES = 24  # beginnings a child keeps, so that several people go on with one step each
_ENDING = 5.0  # seconds a child gets to end by itself


@dataclass(frozen=True, slots=True)
class StepsStatus:
    """A model in a child of its own."""

    name: str
    pid: int
    waiting: int  # calls that wait or are answered
    restarts: int
    last_used: float  # seconds since the epoch


class _Ended(EngineError):
    """The child is gone."""


class SteppingModel:
    """As `inside.generation.Model` says, answered by a child. Safe to call from several threads."""

    complete = True
    hidden = True

    def __init__(self, config: Config, name: str) -> None:
        """Start the child. Raises ModelNotInstalled, ModelCorrupt, EngineError."""
        self.name = f"llamacpp:{name}"
        self._opening = {
            "file": str(model_file(config, name)),
            "name": self.name,
            "context": config.context,
            "threads": config.threads,
            "branches": BRANCHES,
        }
        self._most = config.queue
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._restarts = -1
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self.context = self.size = 0
        self.last_used = time.time()
        self.piece = lru_cache(maxsize=100_000)(self._piece)
        self.ends = lru_cache(maxsize=10_000)(self._ends)
        with self._lock:
            self._start()

    def tokens(self, text: str) -> list[int]:
        """The token ids of a prompt, with what the model wants in front of every text."""
        return cast("list[int]", self._ask("tokens", text=text))

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        """What may come after each of these token sequences, computed together."""
        asked = [list(ids) for ids in beginnings]
        return cast("list[Distribution]", self._ask("next", beginnings=asked, states=states))

    def states(self, ids: Sequence[int]) -> Any:
        """The hidden state of each token, shape (tokens, width)."""
        return self._ask("states", ids=list(ids))

    def _piece(self, token: int) -> bytes:
        return cast(bytes, self._ask("piece", token=token))

    def _ends(self, token: int) -> bool:
        return cast(bool, self._ask("ends", token=token))

    @property
    def status(self) -> StepsStatus:
        """Which process it is, and what it does."""
        pid = self._process.pid if self._process else 0
        return StepsStatus(self.name, pid, self._waiting, max(0, self._restarts), self.last_used)

    def close(self) -> None:
        """End the child for good; a call that waits for it gets EngineError."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ask(self, name: str, **arguments: Any) -> Any:
        """One call answered by the child. Raises Overloaded, and what the child raised."""
        with self._counting:
            if self._waiting >= self._most:
                raise Overloaded(f"{self._waiting} calls already wait for {self.name}")
            self._waiting += 1
        try:
            with self._lock:
                self.last_used = time.time()
                if self._process is not None and self._process.poll() is None:
                    with contextlib.suppress(_Ended):  # it was killed: one more try, in another
                        return self._exchange((name, arguments))
                self._start()
                return self._exchange((name, arguments))
        finally:
            with self._counting:
                self._waiting -= 1

    def _start(self) -> None:
        if self._closed:
            raise EngineError(f"{self.name} was unloaded meanwhile; try again")
        self._end()  # what may be left of the one before
        if self._pipe is not None:
            self._pipe.close()
        self._pipe, theirs = Pipe()
        self._restarts += 1
        self._process = subprocess.Popen(
            # -P: a module in the working folder must not shadow one of ours.
            [sys.executable, "-P", "-m", "llar.serve.steps_child", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        theirs.close()
        try:
            self.context, self.size = self._exchange(self._opening)
        except LlarError:
            self._end()
            raise

    def _exchange(self, message: Any) -> Any:
        assert self._pipe is not None
        try:
            self._pipe.send(message)
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise _Ended(f"the process that looks into {self.name} ended; try again") from None
        if answer[0] == "error":
            _, kind, text, fix = answer
            raise getattr(errors, kind)(text, fix=fix)
        return answer[1]


class Steppers:
    """The models that are looked into. Safe to use from several threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._models: dict[str, SteppingModel] = {}
        self._remote: dict[str, Model] = {}
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def model(self, name: str) -> Model:
        """The model `backend:name`, loaded when it is not. Raises as `generation.open_model`."""
        backend, _, short = name.rpartition(":")
        if backend not in ("", "llamacpp"):
            with self._lock:
                if name not in self._remote:
                    self._remote[name] = open_model(self._config, name)
                return self._remote[name]
        with self._lock:
            if self._closed.is_set():
                raise EngineError("the server is stopping")
            found = self._models.get(short)
            if found is None:
                self._make_room()
                found = self._models[short] = SteppingModel(self._config, short)
                self._start_watching()
            found.last_used = time.time()
            return cast(Model, found)

    def status(self) -> list[StepsStatus]:
        """The models in memory, by name."""
        return [model.status for _, model in sorted(self._models.items())]

    def unload(self, name: str) -> None:
        """End the child of a model; nothing where it has none."""
        with self._lock:
            found = self._models.pop(name.rpartition(":")[2], None)
        if found is not None:
            found.close()

    def close(self) -> None:
        """End every child."""
        self._closed.set()
        with self._lock:
            for model in (*self._models.values(), *self._remote.values()):
                model.close()
            self._models.clear()
            self._remote.clear()

    def _make_room(self) -> None:
        while len(self._models) >= LOADED:
            oldest = min(self._models, key=lambda n: self._models[n].last_used)
            self._models.pop(oldest).close()

    def _start_watching(self) -> None:
        if self._watch is None and self._config.idle_unload:
            self._watch = threading.Thread(target=self._unload_idle, daemon=True)
            self._watch.start()

    def _unload_idle(self) -> None:
        most = self._config.idle_unload
        while not self._closed.wait(min(most, 30.0)):
            idle = [n for n, m in list(self._models.items())
                    if not m.status.waiting and time.time() - m.last_used > most]  # fmt: skip
            for name in idle:
                with contextlib.suppress(KeyError):
                    self.unload(name)
