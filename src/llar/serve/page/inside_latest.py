"""Work that is asked for faster than it is done: only what was asked last is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

__all__ = ["Latest"]


class Latest:
    """Calls `work` once for all that was asked while it ran; never twice at a time."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._asked = 0
        self._running = False

    async def ask(self) -> None:
        """Have the work done with what is there now."""
        self._asked += 1
        if self._running:
            return
        self._running = True
        try:
            done = 0
            while done != self._asked:
                done = self._asked
                await self._work()
        finally:
            self._running = False
