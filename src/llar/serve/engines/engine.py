"""One model that the server keeps: loaded when it is asked for, restarted when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from ...config import Config
from ...errors import Conflict, ContextTooLong, EngineError, LlarError, Refused
from ...records import Usage
from .line import Line
from .process import Child, Died

__all__ = ["Engine", "EngineStatus", "Kind", "Phase"]

Kind = Literal["chat", "embedding", "reranker", "compressor"]
Phase = Literal["loaded", "loading", "unloaded", "failed"]

HEALTHY = 60.0  # seconds after which a death is no longer one of a row
LONGEST_PAUSE = 60.0  # seconds between tries of a model that keeps dying
NOTICE = 1.0  # seconds until the end of a process is known after its socket has closed


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What one model is doing. `memory` is in bytes, `last_used` in seconds since the epoch.

    `slots` requests are worked on at once; each has `context` tokens (0: unknown until loaded).
    `read` and `written` are tokens since the server started, `reason` why it failed last.
    """

    name: str
    kind: Kind
    state: Phase
    pid: int | None
    memory: int
    active: int
    waiting: int
    restarts: int
    slots: int
    context: int
    last_used: float
    requests: int
    read: int
    written: int
    reason: str


class Engine:
    """A model behind its queue. Safe to use from threads and from an event loop.

    `make_room` is called, in a thread, before it is loaded: it sets `admitted`, or raises.
    """

    def __init__(
        self,
        kind: Kind,
        name: str,
        config: Config,
        *,
        slots: int,
        make_room: Callable[[Engine], None],
    ) -> None:
        self.kind = kind
        self.name = name
        self.slots = slots
        self.line = Line(name, slots, config.queue)
        self.last_used = time.time()
        self.admitted = False  # there is room for it, and it is being loaded
        self._config = config
        self._make_room = make_room
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._loading: Future[Child] | None = None
        self._closed = False
        self._deaths = 0  # in a row
        self._not_before = 0.0
        self._reason = ""
        self._context = 0
        self._restarts = self._requests = self._read = self._written = 0

    @property
    def resident(self) -> bool:
        """Does it take memory, or will in a moment?"""
        return self._child is not None or self.admitted

    @property
    def busy(self) -> bool:
        """Is it being loaded or asked?"""
        return self._loading is not None or not self.line.idle

    def running(self) -> Future[Child]:
        """The child, now or when it is loaded; many may wait for the same.

        Raises EngineError where the model dies again and again and its next try is later.
        """
        with self._lock:
            if self._closed:
                raise EngineError(f"{self.name}: the server is stopping")
            if self._child is not None:
                done: Future[Child] = Future()
                done.set_result(self._child)
                return done
            if self._loading is None:
                pause = self._not_before - time.monotonic()
                if pause > 0:
                    raise EngineError(
                        f"{self.name}: the model process died {self._deaths} times in a row "
                        f"({self._reason}); it is tried again in {pause:.0f} s"
                    )
                self._loading = Future()
                self._loading.set_running_or_notify_cancel()  # whoever gives up, others wait
                threading.Thread(
                    target=self._load, args=(self._loading,), name=f"load {self.name}", daemon=True
                ).start()
            return self._loading

    @contextlib.contextmanager
    def turn(self) -> Iterator[Child]:
        """Wait for a turn and have the model. Raises Overloaded, EngineError."""
        self.line.enter().result()
        started = time.monotonic()
        try:
            with self._using(self.running().result()) as child:
                yield child
        finally:
            self.line.leave(started)

    @contextlib.asynccontextmanager
    async def turn_async(self) -> AsyncIterator[Child]:
        """The same in an event loop."""
        await self.line.wait(self.line.enter())
        started = time.monotonic()
        try:
            child = await asyncio.wrap_future(self.running())
            async with self._using_async(child):
                yield child
        finally:
            self.line.leave(started)

    @contextlib.contextmanager
    def beside(self) -> Iterator[Child]:
        """Have the model for something small that needs no turn, such as counting tokens."""
        self.line.begin_beside()
        try:
            with self._using(self.running().result(), counts=False) as child:
                yield child
        finally:
            self.line.end_beside()

    @contextlib.asynccontextmanager
    async def beside_async(self) -> AsyncIterator[Child]:
        """The same in an event loop."""
        self.line.begin_beside()
        try:
            child = await asyncio.wrap_future(self.running())
            async with self._using_async(child, counts=False):
                yield child
        finally:
            self.line.end_beside()

    def count(self, usage: Usage) -> None:
        """Add the tokens of one answer to the totals."""
        with self._lock:
            self._read += usage.prompt_tokens
            self._written += usage.completion_tokens

    def status(self) -> EngineStatus:
        """What it is doing now."""
        with self._lock:
            child = self._child
            state: Phase = "loaded" if child else "loading" if self._loading else "unloaded"
            if state == "unloaded" and self._reason:
                state = "failed"
            return EngineStatus(
                name=self.name,
                kind=self.kind,
                state=state,
                pid=child.pid if child else None,
                memory=child.memory() if child else 0,
                active=self.line.active,
                waiting=self.line.waiting,
                restarts=self._restarts,
                slots=self.slots,
                context=self._context,
                last_used=self.last_used,
                requests=self._requests,
                read=self._read,
                written=self._written,
                reason=self._reason,
            )

    def unload(self, *, force: bool = False) -> bool:
        """Free its memory; False where it was not loaded.

        Raises Conflict where it is in use, unless `force` breaks off what runs.
        """
        with self._lock:
            if not force and self.busy:
                raise Conflict(
                    f"{self.name} is in use: {self.line.active} requests are worked on, "
                    f"{self.line.waiting} wait"
                )
            child, self._child = self._child, None
            self._reason = ""
        if child is not None:
            child.stop()
        return child is not None

    def check(self, seconds: float, most: float) -> None:
        """See to it that its process has not got stuck: `seconds` more have gone, see `Child`."""
        child = self._child
        if child is not None:
            child.check(seconds, most)

    def close(self) -> None:
        """Unload it for good; requests still running fail."""
        with self._lock:
            self._closed = True
            loading = self._loading
        self.unload(force=True)
        if loading is not None:
            with contextlib.suppress(LlarError):
                loading.result().stop()

    @contextlib.contextmanager
    def _using(self, child: Child, *, counts: bool = True) -> Iterator[Child]:
        """The child while a request runs on it; its death becomes the request's error."""
        self._begin(counts)
        try:
            yield child
        except (ContextTooLong, Refused):
            raise
        except EngineError as e:
            if not child.ended.wait(NOTICE):
                raise
            raise self._death(child) from e
        else:
            self._deaths = 0 if counts else self._deaths
        finally:
            self.last_used = time.time()

    @contextlib.asynccontextmanager
    async def _using_async(self, child: Child, *, counts: bool = True) -> AsyncIterator[Child]:
        """The same in an event loop."""
        self._begin(counts)
        try:
            yield child
        except (ContextTooLong, Refused):
            raise
        except EngineError as e:
            end = time.monotonic() + NOTICE
            while not child.ended.is_set():
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.01)
            raise self._death(child) from e
        else:
            self._deaths = 0 if counts else self._deaths
        finally:
            self.last_used = time.time()

    def _begin(self, counts: bool) -> None:
        self.last_used = time.time()
        with self._lock:
            self._requests += counts

    def _death(self, child: Child) -> EngineError:
        """What a request hears whose child is gone."""
        if not child.wanted:
            return EngineError(f"{self.name} was unloaded before it had answered")
        pause = self._not_before - time.monotonic()
        if pause > 0:
            again = f" ({self._reason}); it is tried again in {pause:.0f} s"
        else:
            again = "; it is being restarted"
        return EngineError(f"{self.name}: the model process died{again}")

    def _load(self, loading: Future[Child]) -> None:
        child: Child | None = None
        error: LlarError = EngineError(f"{self.name}: loading it failed; see the server's log")
        try:
            self._make_room(self)
            child = Child(self.kind, self.name, self._config, self.slots, self._ended)
        except LlarError as e:
            error = e
            if isinstance(e, Died):
                with self._lock:
                    self._died(e.why)
        finally:
            with self._lock:
                self._loading = None
                self.admitted = False
                self._child = child
                self._reason = "" if child else getattr(error, "why", error.message)
                if child is not None:
                    self._context = child.place.get("context", 0)
                if child is not None and child.gone:  # it lived for a moment only
                    self._child = None
        if child is None:
            loading.set_exception(error)
        else:
            loading.set_result(child)

    def _ended(self, child: Child, why: str) -> None:
        """The child's process is gone; start it anew, unless it keeps dying or we ended it."""
        with self._lock:
            if not child.wanted or self._closed:
                return
            if self._child is child:
                self._child = None
            self._restarts += 1
            if time.monotonic() - child.began > HEALTHY:
                self._deaths = 0
            if not self._died(why):
                self.running()

    def _died(self, why: str) -> float:
        """One death more: the pause before the next try, in seconds, which grows."""
        self._deaths += 1
        pause = 0.0 if self._deaths == 1 else min(LONGEST_PAUSE, 2.0 ** (self._deaths - 2))
        self._not_before = time.monotonic() + pause
        self._reason = why
        return pause
