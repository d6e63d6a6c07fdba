"""How far a mean can be trusted, and whether one setting is really better than another.

One draw of resamples serves every measure of the same questions, so a table of thirty measures
costs little more than one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..errors import EvaluationError

__all__ = ["Difference", "Interval", "holm", "interval", "intervals", "paired", "share"]

Numbers = NDArray[np.float64]

CELLS = 4_000_000  # numbers held at once while resampling: 32 MB
EXACT = 14  # differing pairs up to which every assignment of signs is tried


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the confidence interval around it."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference, its confidence interval, and the two-sided p-value of "there is none"."""

    mean: float
    low: float
    high: float
    p: float


def interval(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The mean of `values` with its bootstrap confidence interval (BCa; see `intervals`)."""
    return intervals({"": values}, confidence=confidence, resamples=resamples, seed=seed)[""]


def intervals(
    columns: Mapping[str, Sequence[float]],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Interval]:
    """The mean and confidence interval of each measure of the same questions.

    The bias-corrected and accelerated bootstrap (Efron, "Better bootstrap confidence intervals",
    1987): measures such as hit rate lie near 1 with a long tail below, where the plain percentile
    interval sits too high. One value, or values that are all the same, give an interval of width
    0: they hold nothing to resample.

    Raises EvaluationError for no values, columns of different lengths or values that are no
    finite numbers.
    """
    _check_settings(confidence, resamples)
    if not columns:
        return {}
    checked = {name: _column(values, name) for name, values in columns.items()}
    first = next(iter(columns))
    for name, column in checked.items():
        if len(column) != len(checked[first]):
            raise EvaluationError(
                f"measures must be of the same questions, but {name!r} has {len(column)} values, "
                f"{first!r} has {len(checked[first])}"
            )
    table = np.column_stack(list(checked.values()))
    means = _resampled(table, resamples, seed)
    found = {}
    for i, name in enumerate(columns):
        low, high = _bca(table[:, i], means[:, i], confidence)
        found[name] = Interval(_mean(table[:, i]), low, high)
    return found


def paired(
    a: Sequence[float],
    b: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """How much better `a` is than `b` on the same questions: the mean of a - b.

    The interval is the BCa bootstrap's over questions. The p-value is of Fisher's randomisation
    test, which Smucker, Allan and Carterette (2007) found the soundest for comparing searches: the
    share of the ways to swap a and b question by question that give a mean difference at least
    as far from 0. All ways are tried where up to 14 questions differ; otherwise `resamples`
    random ones, the observed one counted among them, so that p is never 0.

    Raises EvaluationError as `intervals`, and where a and b are of different lengths.
    """
    if len(a) != len(b):
        raise EvaluationError(
            f"paired values must be of the same questions, got {len(a)} and {len(b)}"
        )
    differences = _column(a, "a") - _column(b, "b")
    found = interval(differences.tolist(), confidence=confidence, resamples=resamples, seed=seed)
    p = _sign_flips(differences, resamples, seed)
    return Difference(found.mean, found.low, found.high, p)


def share(yes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """The share of `yes` among `count` with its score interval (Wilson 1927).

    For few trials and shares near 0 or 1, where a bootstrap has nothing to resample: none of 60
    may still be up to 0.06. Raises EvaluationError where there is nothing to take a share of.
    """
    if not 0 <= yes <= count or count < 1:
        raise EvaluationError(f"there is no share of {yes!r} in {count!r}")
    _check_settings(confidence, 100)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    mean, spread = yes / count, z * z / count
    middle = (mean + spread / 2) / (1 + spread)
    half = math.sqrt(mean * (1 - mean) * spread + spread * spread / 4) / (1 + spread)
    return Interval(mean, max(0.0, middle - half), min(1.0, middle + half))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values made good for having been compared together, in their order (Holm 1979).

    Rejecting those below 0.05 afterwards errs in any of them with a probability of at most 0.05.
    Raises EvaluationError for one outside 0 to 1.
    """
    for p in ps:
        if not 0 <= p <= 1:
            raise EvaluationError(f"a p-value must lie between 0 and 1, got {p!r}")
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, ps[i] * (len(ps) - rank)))
        adjusted[i] = highest
    return adjusted


def _check_settings(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise EvaluationError(f"the confidence must lie between 0 and 1, got {confidence!r}")
    if resamples < 100:
        raise EvaluationError(f"expected at least 100 resamples, got {resamples!r}")


def _column(values: Sequence[float], name: str) -> Numbers:
    column = np.asarray(values, np.float64)
    of = f" of {name!r}" if name else ""
    if column.ndim != 1 or not len(column):
        raise EvaluationError(f"there are no values{of} to take a mean of")
    if not np.isfinite(column).all():
        bad = next(v for v in values if not math.isfinite(v))
        raise EvaluationError(f"a value{of} is {bad!r}, expected a finite number")
    return column


def _mean(column: Numbers) -> float:
    """The mean; of values that are all the same, exactly that value."""
    return float(column[0]) if column.min() == column.max() else float(column.mean())


def _resampled(table: Numbers, resamples: int, seed: int) -> Numbers:
    """Means of rows drawn with replacement, shape (resamples, columns)."""
    count = len(table)
    random = np.random.default_rng(seed)
    step = max(1, CELLS // count)
    parts = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.integers(0, count, (size, count), dtype=np.int32)
        drawn += np.arange(0, size * count, count, dtype=np.int32)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        parts.append(times @ table)  # how often each row was drawn, times its values
    means: Numbers = np.concatenate(parts) / count
    return means


def _bca(column: Numbers, means: Numbers, confidence: float) -> tuple[float, float]:
    if column.min() == column.max():
        return float(column[0]), float(column[0])
    mean, normal = column.mean(), NormalDist()
    near = np.isclose(means, mean, rtol=1e-12, atol=0)  # ties count half, rounding errors aside
    below = float(np.mean((means < mean) & ~near) + np.mean(near) / 2)
    half = 0.5 / len(means)
    bias = normal.inv_cdf(min(max(below, half), 1 - half))
    off = column - mean  # a jackknife of the mean, worked out: its values are mean - off / (n - 1)
    acceleration = float((off**3).sum() / (6 * (off**2).sum() ** 1.5))
    tail = (1 - confidence) / 2
    shares = []
    for share in (tail, 1 - tail):
        z = bias + normal.inv_cdf(share)
        room = 1 - acceleration * z  # none where the tail asked for is longer than there are data
        shares.append(normal.cdf(bias + z / room) if room > 0 else float(z > 0))
    low, high = np.quantile(means, shares)
    return float(low), float(high)


def _sign_flips(differences: Numbers, resamples: int, seed: int) -> float:
    """The two-sided p-value of the mean difference under random swaps."""
    moved = differences[differences != 0]  # swapping equal values changes nothing
    if not len(moved):
        return 1.0
    least = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()  # rounding must not part equals
    if len(moved) <= EXACT:
        ways = np.arange(1 << len(moved))[:, None] >> np.arange(len(moved)) & 1
        return float(np.mean(np.abs((2.0 * ways - 1) @ moved) >= least))
    random = np.random.default_rng(seed)
    step = max(1, CELLS // len(moved))
    as_far = 0
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        flipped = random.integers(0, 2, (size, len(moved)), dtype=np.int8)
        sums = 2 * (flipped @ moved) - moved.sum()
        as_far += int(np.count_nonzero(np.abs(sums) >= least))
    return (as_far + 1) / (resamples + 1)
