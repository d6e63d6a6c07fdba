"""Texts of many requests embedded together: short ones first, long jobs in between.

A run takes about as many tokens as a core computes best at once. Requests of one or a few texts
(questions) that wait share runs and go before the runs of larger ones, so that a question waits
for at most one run of a whole library that is being indexed.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ...errors import LlarError
from ...models.bert import BertEmbedder, batches
from ...models.interface import Matrix

__all__ = ["Batches"]

RUN = 256  # tokens with padding: as fast as 512, and whoever comes next waits half as long


@dataclass(slots=True)
class _Run:
    """Rows of token ids that are computed together, and where their vectors go."""

    ids: list[list[int]]
    done: Future[Matrix]

    @property
    def width(self) -> int:
        return max(map(len, self.ids))


class Batches:
    """The runs of one embedder, on as many threads as it has cores."""

    def __init__(self, model: BertEmbedder, threads: int) -> None:
        self._model = model
        self._short: deque[_Run] = deque()
        self._long: deque[_Run] = deque()
        self._change = threading.Condition()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"embed {number}", daemon=True).start()

    def vectors(self, ids: list[list[int]]) -> Matrix:
        """One vector for each row of token ids, in their order. Raises EngineError."""
        parts = list(batches([len(row) for row in ids], RUN))
        runs = [_Run([ids[i] for i in part], Future()) for part in parts]
        queue = self._short if len(runs) == 1 else self._long
        with self._change:
            queue.extend(runs)
            self._change.notify(len(runs))
        found = np.empty((len(ids), self._model.identity.dimension), np.float32)
        for part, run in zip(parts, runs, strict=True):
            found[part] = run.done.result()
        return found

    def _work(self) -> None:
        while True:
            runs = self._take()
            try:
                rows = self._model.vectors([row for run in runs for row in run.ids])
            except LlarError as e:
                for run in runs:
                    run.done.set_exception(e)
                continue
            start = 0
            for run in runs:
                run.done.set_result(rows[start : start + len(run.ids)])
                start += len(run.ids)

    def _take(self) -> list[_Run]:
        """What to compute next: as many short runs as fit together, or one long one."""
        with self._change:
            self._change.wait_for(lambda: self._short or self._long)
            if not self._short:
                return [self._long.popleft()]
            taken = [self._short.popleft()]
            rows, width = len(taken[0].ids), taken[0].width
            while self._short:
                run = self._short[0]
                width = max(width, run.width)
                rows += len(run.ids)
                if rows * width > RUN:
                    break
                taken.append(self._short.popleft())
            return taken
