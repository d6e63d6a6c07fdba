"""The queue before a model: so many are worked on, so many wait, and the rest is turned away."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from concurrent.futures import Future

from ...errors import Overloaded

__all__ = ["Line"]

LONGEST = 60  # seconds; the most that anybody is asked to stay away
FIRST = 2.0  # seconds a request is taken to last before one has ended


class Line:
    """First come, first served. Safe to use from threads and from an event loop alike.

    `slots` are worked on at once and `room` may wait. `also` counts what is let past it.
    """

    def __init__(self, name: str, slots: int, room: int) -> None:
        self._name = name
        self._slots = slots
        self._room = room
        self._lock = threading.Lock()
        self._waiting: deque[Future[None]] = deque()
        self._active = 0
        self._also = 0
        self._lasts = FIRST

    @property
    def active(self) -> int:
        """Requests that are worked on."""
        return self._active

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Is nobody here at all?"""
        with self._lock:
            return not (self._active or self._waiting or self._also)

    def enter(self) -> Future[None]:
        """A ticket that is done when it is one's turn; `leave` follows. Raises Overloaded."""
        ticket: Future[None] = Future()
        with self._lock:
            if self._active < self._slots:
                self._active += 1
                ticket.set_result(None)
                return ticket
            if len(self._waiting) >= self._room:
                seconds = math.ceil((len(self._waiting) + 1) / self._slots * self._lasts)
                raise Overloaded(
                    f"{self._name} works on {self._slots} requests and {self._room} wait; "
                    "expected fewer at once",
                    retry_after=max(1, min(LONGEST, seconds)),
                )
            self._waiting.append(ticket)
        return ticket

    async def wait(self, ticket: Future[None]) -> None:
        """Wait for one's turn in an event loop; whoever is cancelled meanwhile has left."""
        if ticket.done():
            return
        try:
            await asyncio.wrap_future(ticket)
        except asyncio.CancelledError:
            if not ticket.cancel():  # its turn came at the same moment
                self.leave(None)
            with self._lock, contextlib.suppress(ValueError):  # that one has been taken out
                self._waiting.remove(ticket)
            raise

    def leave(self, started: float | None) -> None:
        """Give the turn, which began at `started` (time.monotonic), to the next."""
        with self._lock:
            if started is not None:
                self._lasts += 0.2 * (time.monotonic() - started - self._lasts)
            while self._waiting:
                ticket = self._waiting.popleft()
                if ticket.set_running_or_notify_cancel():
                    break
            else:
                self._active -= 1
                return
        ticket.set_result(None)

    def begin_beside(self) -> None:
        """Something small that needs no turn begins; `end_beside` follows."""
        with self._lock:
            self._also += 1

    def end_beside(self) -> None:
        """It has ended."""
        with self._lock:
            self._also -= 1
