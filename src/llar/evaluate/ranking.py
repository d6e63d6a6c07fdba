"""How good a ranked list is: nDCG, hit rate, precision, recall, MRR and MAP at k.

The definitions are trec_eval's (https://trec.nist.gov/trec_eval), so that figures can be compared
with published ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np

from ..errors import EvaluationError

__all__ = ["KS", "measures", "order"]

KS = (1, 3, 5, 10, 20, 100)


def measures(
    ranked: Sequence[str], gains: Mapping[str, float], ks: Sequence[int] = KS
) -> dict[str, float]:
    """Every measure of one query's results, each from 0 to 1.

    `ranked` are the documents found, best first; `gains` are the judged ones' relevance, graded
    or 0 and 1. A document is relevant where its gain is above 0; one without a judgement and one
    with a negative gain count as gain 0.

    Keys are `ndcg@k`, `hit@k`, `precision@k`, `recall@k`, `mrr@k` and `map@k` for each of `ks`,
    and `map` and `mrr` of the whole list. The ideal ranking of nDCG is cut at k too, with linear
    gains and a discount of log2(rank + 1) (Järvelin and Kekäläinen 2002). Precision divides by k,
    however short the list is. `map@k` divides by all relevant documents, found or not.

    Where nothing is relevant every measure is 0.0 and says nothing about the search: leave such
    queries out of a mean and report how many there were, as BEIR and trec_eval's users do by
    having no such query among their judgements.

    Raises EvaluationError where a document is ranked twice, a gain is no finite number or k is
    below 1.
    """
    names = _names(tuple(ks))
    _check(ranked, gains)
    found = [max(gains.get(name, 0), 0) for name in ranked]
    ideal = sorted((g for g in gains.values() if g > 0), reverse=True)
    if not ideal:
        return dict.fromkeys((n for row in names for n in row[1:]), 0.0) | {"map": 0.0, "mrr": 0.0}
    return _cut(found, ideal, names)


def _cut(
    found: Sequence[float], ideal: Sequence[float], names: Sequence[_Names]
) -> dict[str, float]:
    """The measures from gains by rank and the gains of the ideal ranking."""
    discounts = _discounts(max(len(found), len(ideal)))
    best = [0.0, *accumulate(g / d for g, d in zip(ideal, discounts, strict=False))]
    gained = [0.0, *accumulate(g / d for g, d in zip(found, discounts, strict=False))]
    hits = [0, *accumulate(g > 0 for g in found)]
    precisions = [0.0, *accumulate(
        hits[i + 1] / (i + 1) if g > 0 else 0.0 for i, g in enumerate(found)
    )]  # fmt: skip
    first = next((i + 1 for i, g in enumerate(found) if g > 0), 0)
    result = {}
    for k, ndcg, hit, precision, recall, mrr, average in names:
        at = min(k, len(found))
        result[ndcg] = gained[at] / best[min(k, len(ideal))]
        result[hit] = float(hits[at] > 0)
        result[precision] = hits[at] / k
        result[recall] = hits[at] / len(ideal)
        result[mrr] = 1 / first if 0 < first <= k else 0.0
        result[average] = precisions[at] / len(ideal)
    result["map"] = precisions[-1] / len(ideal)
    result["mrr"] = 1 / first if first else 0.0
    return result


def order(scores: Mapping[str, float]) -> list[str]:
    """The documents of a run by score, best first, ties broken as trec_eval breaks them.

    Of documents with the same score the one whose name is later in code point order comes first.
    Scores count as 32-bit floats, as in trec_eval: 1.0 and 1.000000001 are a tie. Raises
    EvaluationError for a score that is not a number.
    """
    rounded = np.fromiter(scores.values(), np.float64, len(scores))
    if np.isnan(rounded).any():
        name = next(n for n, s in scores.items() if math.isnan(s))
        raise EvaluationError(f"the score of document {name!r} is not a number")
    with np.errstate(over="ignore"):  # what is too large for 32 bits is infinite there
        singles = rounded.astype(np.float32).tolist()
    return [name for _, name in sorted(zip(singles, scores, strict=True), reverse=True)]


_Names = tuple[int, str, str, str, str, str, str]


@lru_cache(maxsize=64)
def _names(ks: tuple[int, ...]) -> tuple[_Names, ...]:
    """(k, the six keys of a cut at k) for each k."""
    for k in ks:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise EvaluationError(f"k must be a whole number of at least 1, got {k!r}")
    kinds = ("ndcg", "hit", "precision", "recall", "mrr", "map")
    return tuple((k, *(f"{kind}@{k}" for kind in kinds)) for k in ks)  # type: ignore[misc]


@lru_cache(maxsize=64)
def _discounts(count: int) -> tuple[float, ...]:
    return tuple(math.log2(rank + 2) for rank in range(count))


def _check(ranked: Sequence[str], gains: Mapping[str, float]) -> None:
    if len(set(ranked)) < len(ranked):
        twice = Counter(ranked).most_common(1)[0][0]
        raise EvaluationError(f"document {twice!r} is ranked twice; each may be ranked once")
    for name, gain in gains.items():
        if not math.isfinite(gain):
            raise EvaluationError(f"the gain of document {name!r} is {gain!r}, expected a number")
