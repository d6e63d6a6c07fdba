"""Decoding methods on logits: worked cases, and the numbers of transformers 5.23.

The worked values of TRANSFORMERS came from its logits processors (TemperatureLogitsWarper,
TopKLogitsWarper ...) in float64 on CPU, those of BEAMS from its generate with a model whose logits
are `table_model.formula`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from table_model import TableModel, formula

from llar.errors import InsideError
from llar.inside import decoding as d
from llar.inside.sample import sample

FIVE = np.log([0.4, 0.3, 0.15, 0.1, 0.05])
BAD = [
    ([], "an array of shape"), ([[1.0, 2.0]], "one row"), ([1.0, math.nan], "a NaN"),
    ([1.0, math.inf], "infinite logit"), ([-math.inf] * 3, "every token is out"),
]  # fmt: skip


def near(row: Any, *values: float, digits: int = 4) -> bool:
    return [round(float(v), digits) for v in row] == list(values)


# --- softmax and temperature


def test_the_lecture_case() -> None:
    # They are log-probabilities, of the five likeliest of many tokens: together a third. Softmax
    # takes what they have in common away, so that it gives their shares of that third.
    logits = [-1.806, -2.499, -2.786, -3.885, -5.494]
    assert near(d.softmax(logits), 0.494, 0.247, 0.185, 0.062, 0.012, digits=3)
    assert sum(map(math.exp, logits)) == pytest.approx(0.333, abs=1e-3)


def test_temperature() -> None:
    assert near(d.softmax([math.log(9), 0.0], 2), 0.75, 0.25)  # sqrt(9) = 3 to 1
    assert near(d.softmax([math.log(3), 0.0], 0.5), 0.9, 0.1)  # 3^2 = 9 to 1
    assert near(d.softmax([1.0, 3.0, 3.0], 0), 0, 1, 0)  # of equal ones the first
    assert near(d.softmax([1.0, 3.0, 3.0], 1e-300), 0, 0.5, 0.5)
    assert near(d.softmax([1.0, 3.0], 1e9), 0.5, 0.5)
    with pytest.raises(InsideError, match=r"temperature -1: expected 0 or more"):
        d.softmax([1.0], -1)
    with pytest.raises(InsideError, match="temperature nan: expected 0 or more"):
        d.softmax([1.0], math.nan)


def test_softmax_of_anything() -> None:
    assert near(d.softmax([5.0]), 1)
    assert near(d.softmax([1000.0, 1000.0, -math.inf]), 0.5, 0.5, 0)
    assert near(d.softmax([-1e300, 0.0]), 0, 1)
    assert np.allclose(np.exp(d.log_softmax([0.0, math.log(3)])), [0.25, 0.75])


@pytest.mark.parametrize(("logits", "why"), BAD)
def test_rows_that_nothing_can_be_drawn_from(logits: Any, why: str) -> None:
    calls: list[Any] = [
        d.softmax, d.log_softmax, d.greedy, lambda r: d.top_k(r, 1), lambda r: d.top_p(r, 0.5),
        lambda r: d.min_p(r, 0.5), lambda r: d.typical(r, 0.5), lambda r: d.draw(r, 0.5),
        lambda r: d.penalise(r, {}), lambda r: d.penalise_repetition(r, (), 2),
        lambda r: d.filtered(r, d.Settings(), prompt=(), written=()),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(InsideError, match=why):
            call(logits)


# --- filters


def test_filters_of_the_lecture() -> None:
    assert near(d.softmax(d.top_p(FIVE, 0.8)), 0.4706, 0.3529, 0.1765, 0, 0)  # /.85
    assert near(d.softmax(d.top_p(FIVE, 0.9)), 0.4211, 0.3158, 0.1579, 0.1053, 0)  # /.95
    assert near(d.softmax(d.min_p(FIVE, 0.3)), 0.4706, 0.3529, 0.1765, 0, 0)  # .12 and more
    assert near(d.softmax(d.top_k(FIVE, 2)), 0.5714, 0.4286, 0, 0, 0)  # 4/7, 3/7


def kept(row: Any) -> list[int]:
    return np.flatnonzero(np.isfinite(row)).tolist()


def test_the_edges_of_top_p() -> None:
    assert kept(d.top_p(FIVE, 0.4)) == [0]  # exactly reached
    assert kept(d.top_p(FIVE, 0.7)) == [0, 1]
    assert kept(d.top_p(FIVE, 0.7000001)) == [0, 1, 2]
    assert kept(d.top_p(FIVE, 1e-9)) == [0]
    assert kept(d.top_p(FIVE, 1)) == [0, 1, 2, 3, 4]
    assert kept(d.top_p([0.0, 0.0, 0.0, 0.0], 0.5)) == [0, 1]  # ties: the lower ids
    assert kept(d.top_p([-math.inf, 0.0], 1)) == [1]
    assert kept(d.top_p([7.0], 0.5)) == [0]


def test_the_edges_of_the_others() -> None:
    assert kept(d.top_k([1.0, 2.0, 2.0, 2.0], 2)) == [1, 2]
    assert kept(d.top_k(FIVE, 99)) == [0, 1, 2, 3, 4]
    assert kept(d.top_k([-math.inf, 1.0], 2)) == [1]
    assert kept(d.min_p(FIVE, 0)) == [0, 1, 2, 3, 4]
    assert kept(d.min_p(FIVE, 1)) == [0]
    assert kept(d.min_p(FIVE, 0.75)) == [0, 1]  # .3 is exactly .75 of .4
    assert kept(d.min_p([2.0, 2.0, 1.0], 1)) == [0, 1]
    assert kept(d.typical([3.0], 0.2)) == [0]
    assert kept(d.typical([0.0, 0.0, -math.inf], 1)) == [0, 1]


def test_typical_may_drop_the_likeliest() -> None:
    # Entropy: .3 x 1.74 + 10 x .07 x 3.84 = 3.21 bits. The surprise of .3 is 1.47 away from it,
    # that of .07 only .63; five of those reach .3.
    row = np.log([0.3, *[0.07] * 10])
    assert kept(d.typical(row, 0.3)) == [1, 2, 3, 4, 5]
    assert kept(d.typical(row, 0.71)) == list(range(11))
    assert kept(d.typical(np.log([0.9, 0.05, 0.05]), 0.5)) == [0]  # .57 bits; .15, 4.3, 4.3


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: d.top_p(FIVE, 0), r"top-p 0: expected more than 0 and at most 1"),
        (lambda: d.top_p(FIVE, 1.01), r"top-p 1\.01: expected more than 0 and at most 1"),
        (lambda: d.top_p(FIVE, math.nan), "top-p nan"),
        (lambda: d.top_k(FIVE, 0), "top-k 0: expected 1 or more"),
        (lambda: d.min_p(FIVE, -0.1), r"min-p -0\.1: expected 0 or more and at most 1"),
        (lambda: d.typical(FIVE, 2), "typical 2"),
        (lambda: d.penalise_repetition(FIVE, [0], 0), "repetition penalty 0: expected more than 0"),
        (lambda: d.penalise(FIVE, {}, presence=math.inf), "presence penalty inf"),
        (lambda: d.blocked([1], 0), "n-gram 0: expected 1 or more"),
        (lambda: d.draw(FIVE, 1.0), r"random number of 1\.0"),
        (lambda: d.Settings(temperature=-1), "temperature -1"),
        (lambda: d.Settings(top_k=0), "top-k 0"),
        (lambda: d.Settings(no_repeat_ngram=-1), "no-repeat n-gram -1"),
        (lambda: d.contrastive([1.0], [[1.0, 0.0]], [[1.0, 0.0]], 1.5), r"alpha 1\.5"),
        (lambda: d.contrastive([1.0], [[0.0, 0.0]], [[1.0, 0.0]], 0.5), "no direction"),
    ],
)
def test_numbers_out_of_range(call: Any, why: str) -> None:
    with pytest.raises(InsideError, match=why):
        call()


# --- penalties and n-grams


def test_penalties() -> None:
    row = [2.0, -2.0, 1.0, 0.0]
    assert d.penalise_repetition(row, [0, 1, 3], 2).tolist() == [1, -4, 1, 0]
    assert d.penalise_repetition(row, [], 2).tolist() == row
    assert d.penalise(row, {0: 3, 2: 1}, presence=0.5, frequency=0.25).tolist() == [
        0.75, -2, 0.25, 0,
    ]  # fmt: skip


def test_blocked_ngrams() -> None:
    assert d.blocked([1, 2, 3, 1, 2], 3) == {3}
    assert d.blocked([1, 2, 3, 1, 2], 2) == {3}
    assert d.blocked([1, 2, 1, 3, 1], 2) == {2, 3}
    assert d.blocked([1, 2, 3], 1) == {1, 2, 3}
    assert d.blocked([1, 2], 3) == set()
    assert d.blocked([], 1) == set()
    assert d.blocked([5, 5], 2) == {5}


def test_only_what_was_written_counts_for_openai_penalties() -> None:
    settings = d.Settings(frequency_penalty=1.0)
    found = d.filtered([0.0, 0.0], settings, prompt=[0, 0], written=[1])
    assert near(d.softmax(found), *np.round([1 / (1 + math.exp(-1)), 1 / (1 + math.e)], 4))


# --- taking a token


def test_drawing() -> None:
    row = np.log([0.1, 0.6, 0.3])  # in the order of drawing: 1 to .6, 2 to .9, 0
    assert [d.draw(row, chance) for chance in (0, 0.59, 0.61, 0.89, 0.91, 0.999999)] == [
        1, 1, 2, 2, 0, 0,
    ]  # fmt: skip
    assert d.draw([-math.inf, 4.0], 0.9999999999999999) == 1
    assert d.greedy([1.0, 3.0, 3.0]) == 1
    shares = np.bincount([d.draw(row, (n + 0.5) / 1000) for n in range(1000)]) / 1000
    assert shares.tolist() == pytest.approx([0.1, 0.6, 0.3], abs=0.002)


def test_contrastive_scores() -> None:
    # Candidates along and across what was said: cosines 1 and 0; .4 x p - .6 x cosine.
    scores, likeness = d.contrastive([0.9, 0.1], [[2.0, 0], [0, 3.0]], [[1.0, 0], [-1.0, 0]], 0.6)
    assert likeness.tolist() == [1, 0]
    assert scores.tolist() == pytest.approx([0.36 - 0.6, 0.04])
    assert d.contrastive([0.9], [[1.0, 1.0]], [[1.0, 0]], 1)[0].tolist() == pytest.approx(
        [-math.sqrt(0.5)]
    )


# --- the second implementation

ROWS = {
    "spread": [2.0, 1.5, 0.3, -0.7, 1.1, -2.0, 0.0, 3.1, 0.9, -1.2],
    "flat": [0.1, 0.2, 0.15, 0.05, 0.12, 0.18, 0.11, 0.09, 0.14, 0.16],
}
TRANSFORMERS: list[tuple[str, dict[str, Any], list[float]]] = [
    ("spread", {"temperature": 0.5}, [0.093221, 0.0342941, 0.0031111, 0.000421, 0.0154093,
                                      0.0000313, 0.0017074, 0.8413207, 0.0103292, 0.0001549]),
    ("spread", {"temperature": 2.0}, [0.1634415, 0.1272883, 0.0698573, 0.0423706, 0.1042149,
                                      0.0221194, 0.0601268, 0.2832854, 0.0942975, 0.0329983]),
    ("spread", {"top_k": 3}, [0.216887, 0.1315486, 0, 0, 0, 0, 0, 0.6515644, 0, 0]),
    ("spread", {"top_p": 0.8}, [0.1993117, 0.1208887, 0, 0, 0.0810341, 0, 0, 0.5987655, 0, 0]),
    ("spread", {"min_p": 0.2}, [0.216887, 0.1315486, 0, 0, 0, 0, 0, 0.6515644, 0, 0]),
    ("spread", {"typical": 0.6}, [0.216887, 0.1315486, 0, 0, 0, 0, 0, 0.6515644, 0, 0]),
    ("flat", {"typical": 0.6}, [0.139388, 0, 0.1465346, 0, 0.1422038, 0, 0.1407888, 0.138001,
                                0.1450765, 0.1480073]),
    ("flat", {"top_p": 0.5}, [0, 0.2068688, 0.1967797, 0, 0, 0.2027725, 0, 0, 0.1948217,
                              0.1987573]),
    ("spread", {"repetition_penalty": 1.3}, [0.1703808, 0.1159803, 0.0493814, 0.0147254,
                                             0.1099004, 0.0049509, 0.0365827, 0.3971007,
                                             0.0899788, 0.0110185]),
    ("spread", {"repetition_penalty": 0.8}, [0.1609155, 0.0861319, 0.01783, 0.007545, 0.0396813,
                                             0.0017876, 0.0132088, 0.6364333, 0.0324883,
                                             0.0039784]),
    ("spread", {"no_repeat_ngram": 2}, [0.1952857, 0, 0.0356755, 0, 0.0793972, 0.0035768,
                                        0.026429, 0.5866706, 0.065005, 0.0079603]),
    ("spread", {"repetition_penalty": 1.2, "no_repeat_ngram": 2, "temperature": 0.7, "top_k": 6,
                "top_p": 0.9, "min_p": 0.05, "typical": 0.95},
     [0.1941944, 0, 0, 0, 0.0864301, 0, 0, 0.7193755, 0, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "expected"), TRANSFORMERS)
def test_transformers_has_the_same(name: str, settings: dict[str, Any], expected: Any) -> None:
    row = d.filtered(ROWS[name], d.Settings(**settings), prompt=[0, 7, 3, 7], written=[1, 0, 7])
    assert d.softmax(row).tolist() == pytest.approx(expected, abs=1e-7)


BEAMS = [  # seed of the table, beams, length penalty, n-gram, tokens after "fd" (5, 3)
    (1, 3, 1.0, 0, [6, 7, 6, 7, 6, 7]),
    (1, 3, 1.0, 2, [4, 5, 6, 7, 6, 5]),
    (1, 4, 0.5, 1, [4, 7, 6, 9, 8, 11]),
    (3, 1, 1.0, 0, [3, 3, 3, 3, 3, 3]),
    (3, 3, 2.0, 0, [2, 2, 2, 2, 2, 2]),
    (3, 3, 1.0, 2, [3, 2, 2, 1, 2, 3]),
    (3, 4, 0.5, 1, [0]),
    (4, 2, 1.0, 0, [9, 5, 2, 4, 0]),
    (4, 3, 1.0, 0, [9, 8, 3, 9, 5, 2]),
    (4, 3, 0.0, 0, [9, 8, 0]),
    (4, 5, -1.0, 0, [0]),
    (7, 3, 1.0, 2, [1, 7, 8, 8, 2, 7]),
    (7, 4, 0.5, 1, [7, 2, 1, 0]),
    (7, 5, -1.0, 0, [0]),
]


@pytest.mark.parametrize(("seed", "beams", "penalty", "ngram", "expected"), BEAMS)
def test_beams_are_those_of_transformers(
    seed: int, beams: int, penalty: float, ngram: int, expected: list[int]
) -> None:
    given: dict[str, float] = {"beams": beams, "length_penalty": penalty}
    method = "beam"
    if ngram:
        method, given["no_repeat_ngram"] = "beam-no-repeat", ngram
    (found,) = sample(TableModel(formula(seed)), "fd", [method], given=given, tokens=6)
    assert list(found.ids) == expected
    assert found.finish == ("stop" if expected[-1] == 0 else "length")
