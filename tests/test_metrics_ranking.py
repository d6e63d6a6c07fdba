"""Measures of a ranked list: against trec_eval itself, and worked by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
import pytrec_eval

from llar.errors import EvaluationError
from llar.evaluate.ranking import KS, measures, order

TREC = {"ndcg": "ndcg_cut", "hit": "success", "precision": "P", "recall": "recall",
        "map": "map_cut"}  # fmt: skip


def trec_eval(scores: Mapping[str, float], gains: Mapping[str, int]) -> dict[str, float]:
    """The same measures by the second implementation, under our names."""
    cuts = ",".join(map(str, KS))
    wanted = {"map", "recip_rank", *(f"{name}.{cuts}" for name in TREC.values())}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": dict(gains)}, wanted)
    found = evaluator.evaluate({"q": dict(scores)})["q"]
    named = {f"{ours}@{k}": found[f"{theirs}_{k}"] for ours, theirs in TREC.items() for k in KS}
    return named | {"map": found["map"], "mrr": found["recip_rank"]}


def by_hand_mrr(ranked: list[str], gains: Mapping[str, float], k: int) -> float:
    """trec_eval has no MRR at k."""
    for rank, name in enumerate(ranked[:k], 1):
        if gains.get(name, 0) > 0:
            return 1 / rank
    return 0.0


@pytest.mark.parametrize("levels", [(0, 1), (0, 1, 2, 3), (-1, 0, 1, 2), (0, 0, 0, 5)])
@pytest.mark.parametrize("tied", [False, True])
def test_equals_trec_eval(levels: tuple[int, ...], tied: bool) -> None:
    randoms = random.Random(repr((levels, tied)))
    for _ in range(150):
        names = [f"d{i}" for i in range(randoms.randint(1, 150))]
        judged = randoms.sample(names, randoms.randint(1, len(names)))
        gains = {name: randoms.choice(levels) for name in judged}
        gains |= {f"unfound{i}": randoms.choice(levels) for i in range(randoms.randint(0, 4))}
        scores = {n: float(randoms.randint(0, 5)) if tied else randoms.random() for n in names}
        ranked = order(scores)
        found = measures(ranked, gains)
        expected = trec_eval(scores, gains)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=1e-12), name
        for k in KS:
            assert found[f"mrr@{k}"] == by_hand_mrr(ranked, gains, k)
        assert len(found) == len(expected) + len(KS)


def test_by_hand() -> None:
    # Ranks 1-4: gain 0, 3, 0, 1; a further relevant document of gain 2 is not found.
    found = measures(["a", "b", "c", "d"], {"b": 3, "d": 1, "e": 2, "a": 0}, ks=(1, 2, 3, 10))
    best = 3 + 2 / math.log2(3) + 1 / 2
    assert found["ndcg@1"] == 0.0
    assert found["ndcg@2"] == pytest.approx((3 / math.log2(3)) / (3 + 2 / math.log2(3)))
    assert found["ndcg@10"] == pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / best)
    assert [found[f"hit@{k}"] for k in (1, 2, 3, 10)] == [0, 1, 1, 1]
    assert [found[f"precision@{k}"] for k in (1, 2, 3, 10)] == [0, 1 / 2, 1 / 3, 2 / 10]
    assert [found[f"recall@{k}"] for k in (1, 2, 3, 10)] == [0, 1 / 3, 1 / 3, 2 / 3]
    assert [found[f"mrr@{k}"] for k in (1, 2, 3, 10)] == [0, 1 / 2, 1 / 2, 1 / 2]
    assert found["map@3"] == pytest.approx((1 / 2) / 3)
    assert found["map@10"] == found["map"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert found["mrr"] == 1 / 2


def test_the_best_order_is_1_at_every_k() -> None:
    found = measures(["x", "y", "z"], {"x": 2, "y": 1, "z": 0.5}, ks=(1, 2, 3, 50))
    assert {found[f"ndcg@{k}"] for k in (1, 2, 3, 50)} == {1.0}  # the ideal is cut at k too
    assert found["map"] == 1.0
    assert found["recall@1"] == 1 / 3
    assert found["precision@50"] == 3 / 50


def test_an_empty_list_and_nothing_relevant_are_zero() -> None:
    for ranked, gains in [([], {"a": 1}), (["a", "b"], {}), (["a"], {"a": 0, "b": -1}), ([], {})]:
        found = measures(ranked, gains)
        assert set(found.values()) == {0.0}
        assert set(found) == set(measures(["a"], {"a": 1}))


def test_a_negative_gain_counts_as_none() -> None:
    assert measures(["bad", "good"], {"bad": -2, "good": 1}) == measures(["bad", "good"],
                                                                        {"good": 1})  # fmt: skip


def test_ties_are_broken_by_name_from_the_end() -> None:
    assert order({"a": 1.0, "c": 1.0, "b": 1.0, "z": 0.5, "d": 2.0}) == ["d", "c", "b", "a", "z"]
    assert order({"doc10": 0.0, "doc9": 0.0, "é": 0.0}) == ["é", "doc9", "doc10"]
    assert order({"a": 1.000000001, "b": 1.0}) == ["b", "a"]  # the same as 32-bit floats
    assert order({"a": math.inf, "b": 1e300, "c": -math.inf}) == ["b", "a", "c"]
    assert order({}) == []


def test_order_is_trec_evals_for_scores_as_near_as_32_bits_tell() -> None:
    randoms = random.Random(5)
    for _ in range(100):
        scores = {f"d{i}": 1 + randoms.randint(0, 9) * 3e-8 for i in range(12)}
        gains = {"d3": 1, "d8": 2}
        found, expected = measures(order(scores), gains), trec_eval(scores, gains)
        assert found["mrr"] == pytest.approx(expected["mrr"])
        assert found["ndcg@5"] == pytest.approx(expected["ndcg@5"])


def test_bad_input_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="'a' is ranked twice"):
        measures(["b", "a", "c", "a"], {"a": 1})
    with pytest.raises(EvaluationError, match="'x' is nan"):
        measures(["a"], {"x": math.nan})
    with pytest.raises(EvaluationError, match="score of document 'b'"):
        order({"a": 1.0, "b": math.nan})
    for k in (0, -1, 2.5, True):
        with pytest.raises(EvaluationError, match="k must be"):
            measures(["a"], {"a": 1}, ks=(5, k))  # type: ignore[arg-type]
