"""Where the time of a measurement goes: into search and model, or into measuring itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Clock"]


class Clock:
    """Started when it is made. Times count in seconds.

    What is neither work nor aside is overhead: reading questions, judging, writing, statistics.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.work_seconds = 0.0  # in search and model, for the questions
        self.aside_seconds = 0.0  # indexing documents and loading models

    @contextmanager
    def work(self) -> Iterator[None]:
        """Time spent on answering a question."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.work_seconds += time.perf_counter() - start

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time that belongs to neither, as it is spent once."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.aside_seconds += time.perf_counter() - start

    def as_json(self) -> dict[str, float | None]:
        """The seconds, and overhead as a share of the work (None where nothing was searched)."""
        total = time.perf_counter() - self._started
        overhead = total - self.work_seconds - self.aside_seconds
        share = overhead / self.work_seconds if self.work_seconds else None
        return {
            "seconds": round(overhead, 4),
            "work_seconds": round(self.work_seconds, 4),
            "preparing_seconds": round(self.aside_seconds, 4),
            "share": None if share is None else round(share, 4),
        }
