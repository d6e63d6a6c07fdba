"""How the next token is chosen: every method as a function on logits, nothing else.

A row of logits has one number for each token; -inf stands for a token that is out. Probabilities
are their softmax; logprobs are logits too, because softmax takes away what they have in common.
Filters return logits with -inf for what they drop, so that they can follow each other. Of equal
tokens the one with the lower id comes first. Rows that nothing can be drawn from (NaN, +inf, no
token left) and numbers outside of a method's range raise InsideError.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsideError

__all__ = [
    "Row", "Settings", "allowed", "blocked", "by_probability", "contrastive", "draw", "filtered",
    "greedy", "log_softmax", "min_p", "penalise", "penalise_repetition", "softmax", "top_k",
    "top_p", "typical",
]  # fmt: skip

Row = NDArray[np.float64]
Ids = NDArray[np.intp]

_ROUNDING = 1e-12  # sums of probabilities that differ by less are equal


@dataclass(frozen=True, slots=True)
class Settings:
    """What is done to a row before a token is taken from it, in the order of the fields.

    It is the order of the library transformers (generation/utils.py, _get_logits_processor).
    """

    repetition_penalty: float = 1.0  # Keskar et al. 2019; 1: none
    presence_penalty: float = 0.0  # of OpenAI's API
    frequency_penalty: float = 0.0  # of OpenAI's API
    no_repeat_ngram: int = 0  # Paulus et al. 2018; 0: any may come again
    temperature: float = 1.0  # 0: the likeliest
    top_k: int | None = None  # Fan et al. 2018
    top_p: float | None = None  # Holtzman et al. 2020
    min_p: float | None = None  # Nguyen et al. 2024
    typical: float | None = None  # Meister et al. 2023

    def __post_init__(self) -> None:
        allowed("repetition penalty", self.repetition_penalty, above=0)
        allowed("presence penalty", self.presence_penalty)
        allowed("frequency penalty", self.frequency_penalty)
        allowed("temperature", self.temperature, least=0)
        if self.no_repeat_ngram < 0:
            raise InsideError(f"no-repeat n-gram {self.no_repeat_ngram!r}: expected 0 or more")
        if self.top_k is not None and self.top_k < 1:
            raise InsideError(f"top-k {self.top_k!r}: expected 1 or more")
        for name, share in (("top-p", self.top_p), ("typical", self.typical)):
            if share is not None:
                allowed(name, share, above=0, most=1)
        if self.min_p is not None:
            allowed("min-p", self.min_p, least=0, most=1)


def allowed(
    name: str,
    value: float,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> None:
    """Raise InsideError unless `value` is a number in the range."""
    good = bool(np.isfinite(value))
    good = good and (least is None or value >= least) and (above is None or value > above)
    if good and (most is None or value <= most):
        return
    words = [f"{least:g} or more"] if least is not None else []
    words += [f"more than {above:g}"] if above is not None else []
    words += [f"at most {most:g}"] if most is not None else []
    raise InsideError(f"{name} {value!r}: expected {' and '.join(words) or 'a number'}")


def _row(logits: ArrayLike) -> Row:
    row = np.asarray(logits, np.float64)
    if row.ndim != 1 or not row.size:
        raise InsideError(f"expected one row of logits, got an array of shape {row.shape}")
    if np.isnan(row).any():
        raise InsideError("there is a NaN among the logits, so nothing can be drawn from them")
    if np.isposinf(row).any():
        raise InsideError("there is an infinite logit, so nothing can be drawn from them")
    if np.isneginf(row).all():
        raise InsideError("every token is out (-inf), so there is none to draw")
    return row


def log_softmax(logits: ArrayLike) -> Row:
    """The natural logarithms of the probabilities."""
    row = _row(logits)
    row = row - row.max()
    return np.asarray(row - np.log(np.exp(row).sum()), np.float64)


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Row:
    """Probabilities: e^(x/T) over their sum. T below 1 sharpens, above 1 flattens.

    T = 0 is the limit: all for the highest, the first of equal ones (greedy).
    """
    allowed("temperature", temperature, least=0)
    row = _row(logits)
    if temperature == 0:
        found = np.zeros(row.size)
        found[row.argmax()] = 1.0
        return found
    with np.errstate(over="ignore"):  # a tiny temperature: all but the highest become -inf
        weights = np.exp((row - row.max()) / temperature)
    return np.asarray(weights / weights.sum(), np.float64)


def by_probability(logits: ArrayLike, count: int | None = None) -> Ids:
    """The ids of what is not out, the likeliest first; only the first `count` of them."""
    row = np.asarray(logits, np.float64)
    inside = np.flatnonzero(np.isfinite(row))
    if count is not None and count < inside.size:  # all that are no less than the count-th
        least = np.partition(row[inside], inside.size - count)[inside.size - count]
        inside = inside[row[inside] >= least]
    return inside[np.argsort(-row[inside], kind="stable")][:count]


def _only(row: Row, kept: Ids) -> Row:
    found = np.full(row.size, -np.inf)
    found[kept] = row[kept]
    return found


def top_k(logits: ArrayLike, k: int) -> Row:
    """Keep the k likeliest (Fan, Lewis and Dauphin 2018); all where there are no more than k."""
    if k < 1:
        raise InsideError(f"top-k {k!r}: expected 1 or more")
    row = _row(logits)
    return _only(row, by_probability(row, k))


def top_p(logits: ArrayLike, p: float) -> Row:
    """Keep the fewest of the likeliest whose probabilities sum to at least p.

    The nucleus of Holtzman et al. 2020; 0 < p <= 1, and 1 keeps all.
    """
    allowed("top-p", p, above=0, most=1)
    row = _row(logits)
    return _reaching(row, by_probability(row), p)


def _reaching(row: Row, order: Ids, share: float) -> Row:
    """Keep the first ones in `order` until their probabilities sum to `share`."""
    if share == 1:
        return row
    sums = np.cumsum(softmax(row)[order])
    needed = int((sums < share - _ROUNDING).sum()) + 1
    return _only(row, order[:needed])


def min_p(logits: ArrayLike, share: float) -> Row:
    """Keep what is at least `share` times as probable as the likeliest (Nguyen et al. 2024)."""
    allowed("min-p", share, least=0, most=1)
    row = _row(logits)
    probabilities = softmax(row)
    kept = probabilities >= share * probabilities.max() * (1 - _ROUNDING)
    return np.where(kept, row, -np.inf)


def typical(logits: ArrayLike, mass: float) -> Row:
    """Keep the fewest whose surprise is nearest to the expected one and that sum to `mass`.

    Locally typical sampling (Meister et al. 2023): surprise is -log p, expected is the entropy.
    """
    allowed("typical", mass, above=0, most=1)
    row = _row(logits)
    logprobs = log_softmax(row)
    probabilities = np.exp(logprobs)
    inside = probabilities > 0
    entropy = -(probabilities[inside] * logprobs[inside]).sum()
    order = np.argsort(np.abs(-logprobs - entropy), kind="stable")
    return _reaching(row, order, mass)


def penalise_repetition(logits: ArrayLike, seen: Collection[int], penalty: float) -> Row:
    """Make tokens that were there already less likely, or more with a penalty below 1.

    CTRL's penalty (Keskar et al. 2019) as transformers applies it: a positive logit is divided by
    it, a negative one multiplied. It works on the logits as the model gives them, because what
    they have in common counts here.
    """
    allowed("repetition penalty", penalty, above=0)
    row = _row(logits).copy()
    ids = np.fromiter(set(seen), np.intp)
    row[ids] = np.where(row[ids] > 0, row[ids] / penalty, row[ids] * penalty)
    return row


def penalise(
    logits: ArrayLike, counts: Mapping[int, int], *, presence: float = 0, frequency: float = 0
) -> Row:
    """Take `presence` off tokens that were written, and `frequency` for each time they were.

    As OpenAI's API defines both; `counts` are of what was written, without the prompt.
    """
    allowed("presence penalty", presence)
    allowed("frequency penalty", frequency)
    row = _row(logits).copy()
    for token, count in counts.items():
        row[token] -= presence * (count > 0) + frequency * count
    return row


def blocked(ids: Sequence[int], n: int) -> set[int]:
    """The tokens that would make an n-gram that is already among `ids` (Paulus et al. 2018)."""
    if n < 1:
        raise InsideError(f"no-repeat n-gram {n!r}: expected 1 or more")
    if len(ids) < n:
        return set()
    last = tuple(ids[len(ids) - n + 1 :])
    return {ids[i + n - 1] for i in range(len(ids) - n + 1) if tuple(ids[i : i + n - 1]) == last}


def filtered(
    logits: ArrayLike, settings: Settings, *, prompt: Sequence[int], written: Sequence[int]
) -> Row:
    """The logits after all that `settings` ask for; their softmax is what is drawn from.

    `prompt` and `written` are the tokens so far.
    """
    row = _row(logits)
    history = [*prompt, *written]
    if settings.repetition_penalty != 1:
        row = penalise_repetition(row, set(history), settings.repetition_penalty)
    if settings.presence_penalty or settings.frequency_penalty:
        counts: dict[int, int] = {}
        for token in written:
            counts[token] = counts.get(token, 0) + 1
        row = penalise(
            row, counts,
            presence=settings.presence_penalty, frequency=settings.frequency_penalty,
        )  # fmt: skip
    if settings.no_repeat_ngram:
        row = row.copy()
        row[list(blocked(history, settings.no_repeat_ngram))] = -np.inf
        row = _row(row)
    if settings.temperature == 0:
        return _only(row, by_probability(row, 1))
    with np.errstate(over="ignore"):  # as in softmax
        row = np.asarray((row - row.max()) / settings.temperature, np.float64)
    if settings.top_k is not None:
        row = top_k(row, settings.top_k)
    if settings.top_p is not None:
        row = top_p(row, settings.top_p)
    if settings.min_p is not None:
        row = min_p(row, settings.min_p)
    if settings.typical is not None:
        row = typical(row, settings.typical)
    return row


def greedy(logits: ArrayLike) -> int:
    """The likeliest token."""
    return int(_row(logits).argmax())


def draw(logits: ArrayLike, chance: float) -> int:
    """The token that a random number from 0 to below 1 falls on.

    The tokens lie beside each other by their probabilities, the likeliest first, so that the same
    numbers take similar tokens by different methods.
    """
    if not 0 <= chance < 1:
        raise InsideError(f"a random number of {chance!r}: expected 0 to below 1")
    row = _row(logits)
    order = by_probability(row)
    sums = np.cumsum(softmax(row)[order])
    place = int(np.searchsorted(sums, chance * sums[-1], side="right"))
    return int(order[min(place, order.size - 1)])


def contrastive(
    probabilities: ArrayLike, states: ArrayLike, before: ArrayLike, alpha: float
) -> tuple[Row, Row]:
    """Scores of candidates, the highest to be taken, and how like what was said each is.

    Contrastive search (Su et al. 2022): (1 - alpha) p - alpha x the highest cosine of the
    candidate's hidden state to one before. Shapes: (k,), (k, width), (tokens, width).
    """
    allowed("alpha", alpha, least=0, most=1)
    p = np.asarray(probabilities, np.float64)
    new, old = _unit(states), _unit(before)
    likeness = np.asarray((new @ old.T).max(axis=1), np.float64)
    return (1 - alpha) * p - alpha * likeness, likeness


def _unit(vectors: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise InsideError("a hidden state of length zero or infinity has no direction")
    return np.asarray(rows / lengths, np.float64)
