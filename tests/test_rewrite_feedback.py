"""prf and prf-dense: feedback from the passages found first."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rewritten import about, made

import llar
from llar.errors import QueryError
from llar.records import Hit

pytestmark = pytest.mark.slow

WORDS = ["kettle", "copper", "smith", "bronze", "anvil", "candle", "window", "garden"]
TEXTS = {
    "one.txt": "The kettle of the smith: kettle, copper, copper, copper, bronze.",
    "two.txt": "The kettle and a smith with copper and with an anvil and bronze.",
    "three.txt": "The copper was heated with bronze on the anvil for the whole night.",
    **{
        f"other{n}.txt": f"This text number {n} says that the garden has a window and a candle."
        for n in range(40)
    },
}


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llar.Collection]:
    with made(tmp_path_factory.mktemp("prf"), TEXTS) as made_here:
        yield made_here


STOPS = frozenset(
    [
        "the",
        "of",
        "and",
        "a",
        "with",
        "an",
        "was",
        "on",
        "for",
        "whole",
        "this",
        "that",
        "has",
        "says",
    ]
)


def _model(hits: list[Hit], many: int) -> dict[str, float]:
    """The relevance model from the texts; every word here is its own stem."""
    shares: dict[str, float] = defaultdict(float)
    for hit in hits:
        counts = Counter(w for w in re.findall("[a-z]+", hit.chunk.text.lower()) if w not in STOPS)
        for word, count in counts.items():
            shares[word] += hit.score * count / counts.total()
    best = sorted(shares, key=lambda w: (-shares[w], w))[:many]
    return {word: shares[word] / sum(shares[w] for w in best) for word in best}


def test_rm3_by_hand(docs: llar.Collection) -> None:
    hits = docs.search("kettle smith", k=2, query="none", mode="lexical")
    assert [Path(h.document.path).name for h in hits] == ["one.txt", "two.txt"]
    result = docs.explain("kettle smith", query="prf:2:3:0.25", mode="lexical")
    words = result.query.words
    assert words is not None
    got = {word.stems[0]: word.weight for word in words}
    renamed = {"kettle": "kettl", "bronze": "bronz"}
    expected = {renamed.get(w, w): share for w, share in _model(hits, 3).items()}
    # three quarters of the weight are the model's: 3 times that of the two words asked for
    assert got["smith"] == pytest.approx(1 + 6 * expected.get("smith", 0.0))
    assert got["kettl"] == pytest.approx(1 + 6 * expected["kettl"])
    assert got["copper"] == pytest.approx(6 * expected["copper"])
    assert sum(got.values()) == pytest.approx(2 + 6)
    shown = about(result, "words of the first passages")
    assert shown["added"] == pytest.approx(expected, abs=1e-4)


def test_feedback_finds_what_has_none_of_the_words(docs: llar.Collection) -> None:
    plain = docs.search("kettle smith", query="none", mode="lexical")
    wide = docs.search("kettle smith", query="prf", mode="lexical")
    assert "three.txt" not in [Path(h.document.path).name for h in plain]
    assert "three.txt" in [Path(h.document.path).name for h in wide]


def test_common_words_are_not_added(docs: llar.Collection) -> None:
    """The words of the forty texts are in more than a tenth of all."""
    result = docs.explain("garden candle", query="prf:10:20", mode="lexical")
    assert result.query.words is not None
    assert {w.stems[0] for w in result.query.words} <= {"garden", "candl", "number", "text"}


def test_all_weight_to_the_question_changes_nothing(docs: llar.Collection) -> None:
    plain = docs.search("kettle bronze", query="none", mode="lexical")
    same = docs.search("kettle bronze", query="prf:5:10:1", mode="lexical")
    assert [h.chunk_id for h in plain] == [h.chunk_id for h in same]
    assert [h.score for h in plain] == pytest.approx([h.score for h in same])


def test_a_question_that_finds_nothing_stays_as_it_is(docs: llar.Collection) -> None:
    result = docs.explain("xylophone", query="prf", mode="lexical")
    assert result.hits == []
    assert about(result, "words of the first passages")["added"] == {}


def test_rocchio_by_hand(docs: llar.Collection) -> None:
    question = "kettle smith"
    result = docs.explain(question, query="prf-dense:2:0.25", mode="dense")
    vector = docs.embedder.embed_query(question)
    near = docs.search(question, k=2, query="none", mode="dense")
    rows = docs.embedder.embed_documents([hit.chunk.text for hit in near])
    moved = 0.75 * vector + 0.25 * rows.mean(axis=0)
    assert result.query.vector is not None
    np.testing.assert_allclose(result.query.vector, moved / np.linalg.norm(moved), atol=1e-6)
    assert math.isclose(np.linalg.norm(result.query.vector), 1, abs_tol=1e-6)
    shown = about(result, "vectors of the first passages")
    assert shown["passages"] == [hit.chunk_id for hit in near]


def test_modes_that_a_feedback_is_nothing_for(docs: llar.Collection) -> None:
    words = docs.explain("kettle", query="prf", mode="dense")
    assert words.query.words is None
    assert "meaning only" in about(words, "words of the first passages")["skipped"]
    vectors = docs.explain("kettle", query="prf-dense", mode="lexical")
    assert vectors.query.vector is None
    assert "words only" in about(vectors, "vectors of the first passages")["skipped"]


def test_steps_go_on_from_each_other(docs: llar.Collection) -> None:
    result = docs.explain("ketle", query="spelling,prf,prf-dense")
    assert result.query.text == "kettle"
    assert result.query.words is not None
    assert result.query.words[0].stems == ("kettl",)
    assert result.query.vector is not None
    names = [step.name for step in result.steps]
    assert [n for n in names if n in ("spelling", "prf", "prf-dense", "single")] == [
        "spelling", "prf", "prf-dense", "single",
    ]  # fmt: skip


def test_an_empty_collection(tmp_path: Path) -> None:
    with made(tmp_path, {"a.txt": "Nothing much stands in this text."}) as docs:
        docs.remove(tmp_path / "notes-files")
        assert docs.search("kettle", query="prf,prf-dense") == []
        assert docs.search("kettle", query="words:none") == []
        assert docs.search("kettle", query="spelling,language,words:porter,prf") == []


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("prf:0", "'0' is not a whole number from 1 to 1000"),
        ("prf:x", r"--query prf: 'x' is not a whole number .* expected prf\[:passages\[:words\["),
        ("prf:5:5:2", "'2' is not a number from 0 to 1"),
        ("prf:5:5:0", "need some weight"),
        ("prf:5:5:nan", "'nan' is not a number"),
        ("prf:5:5:0.5:1", "'1' is too much"),
        ("prf-dense:3:x", "'x' is not a number"),
        ("prf-dense:3:0.3:1", "'1' is too much"),
        ("prf-dense:-3", "'-3' is not a whole number"),
    ],
)
def test_bad_arguments(docs: llar.Collection, steps: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        docs.search("kettle", query=steps)
