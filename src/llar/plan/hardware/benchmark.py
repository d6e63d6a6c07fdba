"""Short measurements of this machine: memory bandwidth and compute. Needs numpy."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

__all__ = ["bandwidth", "compute"]

_BLOCK = 64 * 2**20  # bytes each core copies: larger than its share of any cache
_ROUNDS = 5  # at least: the first one or two pay for memory pages and threads


def bandwidth(cores: int, seconds: float) -> float:
    """Bytes/s that `cores` read and write together while copying; the best round."""
    pairs = [
        (np.ones(_BLOCK, dtype=np.uint8), np.ones(_BLOCK, dtype=np.uint8)) for _ in range(cores)
    ]
    with ThreadPoolExecutor(cores) as pool:
        took = _best(
            lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs)), seconds
        )
    return 2 * _BLOCK * cores / took


def compute(cores: int, seconds: float) -> float:
    """fp32 FLOP/s of matrix products on `cores` at once; the best round."""
    size = 1024
    matrix = np.ones((size, size), dtype=np.float32)
    with ThreadPoolExecutor(cores) as pool:
        took = _best(lambda: list(pool.map(lambda _: matrix @ matrix, range(cores))), seconds)
    return 2 * size**3 * cores / took


def _best(work: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest of as many rounds as fit, in perf_counter's."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < _ROUNDS or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)
