"""Intervals, paired differences and Holm's correction: against scipy, by hand and by coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from llar.errors import EvaluationError
from llar.evaluate.statistics import Interval, holm, interval, intervals, paired


@pytest.mark.parametrize("count", [8, 30, 100])
@pytest.mark.parametrize("kind", ["skewed", "ones", "ties"])
def test_equals_scipys_bca(count: int, kind: str) -> None:
    random = np.random.default_rng(count)
    if kind == "skewed":
        values = random.beta(0.4, 1.5, count)
    elif kind == "ones":
        values = (random.random(count) < 0.8).astype(float)
    else:
        values = random.choice([0.0, 0.5, 1 / 3, 1.0], count)
    found = interval(values.tolist(), resamples=50_000, seed=1)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=50_000, random_state=2
    ).confidence_interval
    width = expected.high - expected.low
    assert found.mean == pytest.approx(values.mean())
    step = 1 / count if kind == "ones" else 0.03 * width  # means of ones come in steps of 1/n
    assert found.low == pytest.approx(expected.low, abs=step)
    assert found.high == pytest.approx(expected.high, abs=step)


def test_covers_the_true_mean() -> None:
    """Of 95 % intervals around the mean of a skewed distribution nearly 95 % hold the true mean."""
    random = np.random.default_rng(7)
    truth, trials, inside = 0.8, 600, 0  # Beta(2, 0.5): a tail below, as of nDCG
    table = random.beta(2, 0.5, (40, trials))
    found = intervals({str(i): table[:, i].tolist() for i in range(trials)}, resamples=2000)
    inside = sum(f.low <= truth <= f.high for f in found.values())
    assert 0.91 <= inside / trials <= 0.98


def test_confidence_and_seed() -> None:
    values = [0.0, 0.2, 0.9, 1.0, 0.4, 0.4, 0.8]
    narrow, wide = interval(values, confidence=0.5), interval(values, confidence=0.99)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high
    assert interval(values) == interval(values, seed=0)
    assert interval(values) != interval(values, seed=1)
    assert interval(values, resamples=20_000).low == pytest.approx(interval(values).low, abs=0.02)


def test_one_value_and_values_all_the_same_are_exact() -> None:
    assert interval([0.3]) == Interval(0.3, 0.3, 0.3)
    assert interval([0.1] * 30) == Interval(0.1, 0.1, 0.1)
    assert interval([0]) == Interval(0.0, 0.0, 0.0)


def test_a_table_is_its_columns() -> None:
    random = np.random.default_rng(3)
    columns = {"a": random.random(50).tolist(), "b": [1.0] * 50, "c": random.random(50).tolist()}
    found = intervals(columns)
    for name, values in columns.items():
        alone = interval(values)
        assert (found[name].low, found[name].high) == pytest.approx((alone.low, alone.high))
    assert intervals({}) == {}


def test_many_values_are_resampled_in_parts() -> None:
    values = np.random.default_rng(4).random(50_000)  # more than fits one part a hundred times
    found = interval(values.tolist(), resamples=200)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, rel=2e-3)
    assert found.high == pytest.approx(values.mean() + half, rel=2e-3)


def test_extreme_settings_stay_in_the_data() -> None:
    found = interval([0.0] * 9 + [1.0], confidence=0.999999, resamples=100)
    assert 0.0 <= found.low <= 0.1 <= found.high <= 1.0


# --- two settings on the same questions


def test_p_is_exact_for_few_questions() -> None:
    a, b = [0.9, 0.8, 0.7, 0.9, 0.3], [0.5, 0.6, 0.9, 0.4, 0.3]
    differences = [0.4, 0.2, -0.2, 0.5]  # the fifth is the same in both
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in itertools.product((1, -1), repeat=4)]  # fmt: skip
    expected = sum(s >= 0.9 - 1e-9 for s in sums) / 16
    found = paired(a, b)
    assert found.mean == pytest.approx(0.9 / 5)
    assert found.p == expected == 6 / 16  # all one way, or one 0.2 the other way
    scipys = scipy.stats.permutation_test(
        (np.array(a), np.array(b)), lambda x, y: np.mean(x - y), permutation_type="samples"
    )
    assert found.p == pytest.approx(scipys.pvalue)


def test_p_of_many_questions_is_near_scipys() -> None:
    random = np.random.default_rng(11)
    a = random.random(80)
    for shift in (0.0, 0.03, 0.06):
        b = a - shift + random.normal(0, 0.15, 80)
        found = paired(a.tolist(), b.tolist())
        scipys = scipy.stats.permutation_test(
            (a, b),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=10_000,
            random_state=5,
        )
        assert found.p == pytest.approx(scipys.pvalue, abs=0.02)
        boot = interval((a - b).tolist())
        assert (found.mean, found.low, found.high) == (boot.mean, boot.low, boot.high)


def test_the_other_way_round_is_the_negative() -> None:
    a, b = [1, 0, 1, 1, 0.5, 0.2], [0, 0, 1, 0, 0.4, 0.1]
    there, back = paired(a, b), paired(b, a)
    assert there.mean == -back.mean > 0
    assert there.low == pytest.approx(-back.high, abs=0.03)
    assert there.p == back.p


def test_no_difference_at_all() -> None:
    found = paired([0.5, 0.1, 0.7], [0.5, 0.1, 0.7])
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_p_errs_as_often_as_it_says() -> None:
    """Without a true difference p is below 0.05 in about 5 % of comparisons."""
    random = np.random.default_rng(13)
    ps = [
        paired(random.random(20).tolist(), random.random(20).tolist(), resamples=500, seed=i).p
        for i in range(400)
    ]
    assert 0.025 <= np.mean(np.array(ps) <= 0.05) <= 0.085
    assert min(ps) >= 1 / 501


def test_p_is_never_0() -> None:
    assert paired([1.0] * 60, [0.0] * 60, resamples=999).p == 1 / 1000
    assert paired([1.0] * 10, [0.0] * 10).p == 2 / 1024  # exactly


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, then 0.03 x 2 (not below the one before), 0.9 x 1.
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.04, 0.05]) == pytest.approx([0.08, 0.08])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_bad_input_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no values to take a mean of"):
        interval([])
    with pytest.raises(EvaluationError, match="no values of 'ndcg'"):
        intervals({"ndcg": []})
    with pytest.raises(EvaluationError, match="a value of 'x' is nan"):
        intervals({"x": [0.1, math.nan]})
    with pytest.raises(EvaluationError, match="'b' has 2 values, 'a' has 1"):
        intervals({"a": [1.0], "b": [1.0, 0.0]})
    with pytest.raises(EvaluationError, match="same questions, got 2 and 1"):
        paired([0.1, 0.2], [0.1])
    with pytest.raises(EvaluationError, match="confidence"):
        interval([0.1, 0.2], confidence=95)
    with pytest.raises(EvaluationError, match="100 resamples"):
        interval([0.1, 0.2], resamples=10)
    for p in (-0.1, 1.2, math.nan):
        with pytest.raises(EvaluationError, match="p-value"):
            holm([0.5, p])
