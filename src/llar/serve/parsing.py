"""Parser processes that stay up between jobs: starting one takes longer than most files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..config import Config
from ..documents import Parsers

IDLE = 30.0  # seconds after which unused ones end


class Parsing:
    """Lends parsers to one job at a time and keeps them for the next."""

    def __init__(self, config: Config, *, idle: float = IDLE) -> None:
        self._config = config
        self._idle = idle
        self._lock = threading.Lock()
        self._free: list[Parsers] = []
        self._lent: list[Parsers] = []
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextmanager
    def parsers(self) -> Iterator[Parsers]:
        """Parsers for the length of the block; what they were asked must be closed in it."""
        with self._lock:
            parsers = self._free.pop() if self._free else Parsers(self._config)
            self._lent.append(parsers)
        try:
            yield parsers
        finally:
            self._give_back(parsers)

    def close(self) -> None:
        """End all; those at work fail at it."""
        with self._lock:
            self._closed = True
            for parsers in self._lent:
                parsers.interrupt()
        self._end_idle()

    def _give_back(self, parsers: Parsers) -> None:
        with self._lock:
            self._lent.remove(parsers)
            self._free.append(parsers)
            closed = self._closed
            if self._timer is not None:
                self._timer.cancel()
            if not closed:
                self._timer = threading.Timer(self._idle, self._end_idle)
                self._timer.daemon = True
                self._timer.start()
        if closed:
            self._end_idle()

    def _end_idle(self) -> None:
        with self._lock:
            free, self._free = self._free, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for parsers in free:
            parsers.close()
