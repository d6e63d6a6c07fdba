"""Do answers rest on the right places: worked by hand, with the real embedder, and with judges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from llar import Collection
from llar.config import Config, load
from llar.errors import EvaluationError
from llar.evaluate.grounding import (
    Figure,
    Gold,
    Item,
    Quality,
    abstention,
    answer_relevance,
    citations,
    context_precision,
    context_recall,
    context_relevance,
    faithfulness,
    judged_context_relevance,
    judged_faithfulness,
    statements,
)
from llar.evaluate.semantic import embed_texts, semscore
from llar.models.fake import FakeChat, FakeEmbedder
from llar.models.interface import ChatModel, Embedder
from llar.records import Answer, Chunk, Citation, Hit, Sentence, Source, Usage

A, B = Source(1, "/docs/a.txt", language="en"), Source(2, "/docs/b.txt", language="en")
LEAVE = "Full-time staff have 27 days of paid leave. The alarm is tested on Mondays."
BOOKS = "Members may borrow five books. The library closes at six."


@pytest.fixture
def config(home: Path) -> Config:
    return load()


def hit(source: Source, text: str, start: int = 0, kept: Sequence[tuple[int, int]] = ()) -> Hit:
    chunk = Chunk(text, start, start + len(text))
    return Hit(source, chunk, 1, 1.0, kept=tuple(kept) or None)


def place(source: Source, start: int, end: int) -> Hit:
    return hit(source, "x" * (end - start), start)


def answer(*cited: tuple[Source, int, int], said: Sequence[Sentence] = ()) -> Answer:
    marks = tuple(Citation(n, s, None, a, b, "q") for n, (s, a, b) in enumerate(cited, 1))
    return Answer("q", "a", False, tuple(said), marks, (), "fake", Usage(), {})


# --- abstention


def test_abstention_by_hand() -> None:
    # Abstained five times, three of them rightly; four questions have no answer.
    outcomes = [(True, True)] * 3 + [(True, False)] * 2 + [(False, True)] + [(False, False)] * 4
    found = abstention(outcomes)
    assert found == Quality(3 / 5, 3 / 4, 2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4))


def test_abstention_with_nothing_to_measure() -> None:
    assert abstention([]) == abstention([(False, False)] * 3) == Quality(None, None, None)
    assert abstention([(True, False)]) == Quality(0.0, None, None)  # declined for no reason
    assert abstention([(False, True)]) == Quality(0.0, 0.0, 0.0)  # answered what has no answer
    assert abstention([(True, True)]) == Quality(1.0, 1.0, 1.0)


# --- places


def test_citations_by_hand() -> None:
    golds = [Gold(A.path, 10, 20), Gold(A.path, 50, 60), Gold(B.path)]
    # Right: overlapping the first, inside b. Wrong: ending where the gold starts, another place.
    cited = answer((A, 15, 30), (B, 900, 910), (A, 45, 50), (A, 300, 310))
    assert citations(cited, golds) == Quality(2 / 4, 2 / 3, 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    twice = answer((A, 10, 14), (A, 14, 20))  # two citations may share a gold place
    assert citations(twice, golds[:1]) == Quality(1.0, 1.0, 1.0)


def test_citations_of_nothing_and_without_golds() -> None:
    assert citations(answer(), [Gold(A.path, 0, 5)]) == Quality(0.0, 0.0, 0.0)
    assert citations(answer((A, 0, 5)), []) == Quality(None, None, None)


def test_documents_may_be_called_by_another_name() -> None:
    golds = [Gold("a", 0, 5)]
    assert citations(answer((A, 0, 5)), golds).precision == 0.0
    assert citations(answer((A, 0, 5)), golds, name=lambda s: Path(s.path).stem).precision == 1.0


def test_context_recall_by_hand() -> None:
    hits = [place(A, 0, 15), place(A, 10, 18), place(A, 25, 30), place(B, 0, 100)]
    assert context_recall(hits, [Gold(A.path, 10, 20)]) == 8 / 10  # 15 to 18 counts once
    assert context_recall(hits, [Gold(A.path, 12, 28)]) == (6 + 3) / 16
    assert context_recall(hits, [Gold(A.path, 40, 50), Gold(B.path)]) == 1 / 2
    assert context_recall(hits, [Gold("/docs/c.txt")]) == 0.0
    assert context_recall([], [Gold(A.path, 0, 1)]) == 0.0
    assert context_recall(hits, []) is None


def test_only_what_a_model_is_shown_counts() -> None:
    short = hit(A, "x" * 50, 100, kept=[(100, 110), (140, 150)])
    assert context_recall([short], [Gold(A.path, 105, 145)]) == 10 / 40
    assert context_recall([place(A, 100, 150)], [Gold(A.path, 105, 145)]) == 1.0
    assert context_precision([short], [Gold(A.path, 112, 138)]) == 0.0


def test_context_precision_by_hand() -> None:
    hits = [place(A, 0, 10), place(A, 30, 40), place(B, 0, 10)]
    assert context_precision(hits, [Gold(A.path, 5, 8)]) == 1 / 3
    assert context_precision(hits, [Gold(A.path)]) == 2 / 3
    assert context_precision(hits, [Gold(A.path, 10, 30)]) == 0.0  # between two of them
    assert context_precision([], [Gold(A.path)]) == 0.0
    assert context_precision(hits, []) is None


@pytest.mark.parametrize("span", [(5, 5), (6, 5), (-1, 5), (None, 5), (5, None)])
def test_a_gold_span_without_length_is_an_error(span: tuple[int | None, int | None]) -> None:
    with pytest.raises(EvaluationError, match=r"gold span of '/docs/a\.txt'"):
        Gold(A.path, *span)


# --- sentences


def test_statements() -> None:
    text = "Staff have 27 days [1]. Up to five, e.g. in May, may be kept [2, 3].\n- Ask Ann [4][5]"
    assert statements(text, language="en") == [
        "Staff have 27 days.",
        "Up to five, e.g. in May, may be kept.",
        "Ask Ann",
    ]
    assert statements("The value is x[1], see [2].") == ["The value is x[1], see."]
    assert statements("") == statements(" [1] ") == []
    said = [Sentence("Shown.", True, (1,)), Sentence("Removed.", False, (), "it says nothing")]
    assert statements(answer(said=said)) == ["Shown."]
    assert statements(answer(said=said), removed=True) == ["Shown.", "Removed."]


def test_faithfulness_with_the_real_embedder(minilm: Embedder) -> None:
    said = [
        "Full-time staff have 27 days of paid leave.",
        "Full-time staff have 28 days of paid leave.",
        "Members may borrow five books.",
        "Members may not borrow five books.",
    ]
    found = faithfulness(said, [hit(A, LEAVE), hit(B, BOOKS)], minilm)
    assert [item.value for item in found.items] == [1.0, 0.0, 1.0, 0.0]
    assert (found.value, found.counted, found.invalid) == (0.5, 4, 0)
    assert "'28'" in found.items[1].reason
    assert "negated" in found.items[3].reason
    assert faithfulness([], [hit(A, LEAVE)], minilm) == Figure(None, 0, 0, ())
    assert faithfulness(said[:1], [], minilm).value == 0.0


@pytest.mark.slow
def test_what_ask_took_out_was_not_faithful(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LEAVE)
    said = "Full-time staff have 27 days of paid leave. They have 99 days in prison."
    with Collection("c") as docs:
        docs.add(tmp_path / "a.txt")
        asked = docs.ask("How many days of paid leave do staff have?", model=f"fake:say:{said}")
        embedder = docs.embedder
        shown = faithfulness(statements(asked), asked.hits, embedder, question=asked.question)
        wrote = faithfulness(
            statements(asked, removed=True), asked.hits, embedder, question=asked.question
        )
    assert shown.value == 1.0
    assert wrote.value == 0.5
    end = LEAVE.index(".") + 1
    assert citations(asked, [Gold(str(tmp_path / "a.txt"), 0, end)]) == Quality(1.0, 1.0, 1.0)
    assert context_recall(asked.hits, [Gold(str(tmp_path / "a.txt"), 0, end)]) == 1.0


def test_context_relevance_counts_sentences_near_the_question() -> None:
    embedder = FakeEmbedder(256)
    question, (first, second) = "Members may borrow five books", BOOKS.split(". ")
    vector = embedder.embed_query(question)
    cosines = [float(vector @ embedder.embed_query(t)) for t in (first, second)]
    assert cosines[0] > 0.9 > cosines[1] + 0.3
    found = context_relevance(question, [hit(B, BOOKS)], embedder)
    assert [item.value for item in found.items] == [1.0, 0.0]
    assert found.value == 0.5
    assert context_relevance(question, [hit(B, BOOKS)], embedder, least=-1.0).value == 1.0
    assert context_relevance(question, [], embedder) == Figure(None, 0, 0, ())


# --- judges


def test_judged_faithfulness_counts_what_it_does_not_understand(config: Config) -> None:
    judge = FakeChat(replies=["Yes.", "no", "As a language model, I", "YES"])
    said = ["one", "two", "three", "four"]
    found = judged_faithfulness(said, [hit(A, LEAVE), hit(B, BOOKS)], judge, config)
    assert (found.value, found.counted, found.invalid) == (2 / 3, 3, 1)
    assert found.items[2] == Item("three", None, "As a language model, I")
    shown = judge.asked[1][-1].content
    assert LEAVE in shown
    assert BOOKS in shown
    assert "Statement: two" in shown
    assert judged_faithfulness([], [], judge, config) == Figure(None, 0, 0, ())


def test_a_context_too_long_for_the_judge_is_invalid_and_says_so(config: Config) -> None:
    judge = FakeChat("fake:say:yes", context=100)
    found = judged_faithfulness(["one"], [hit(A, LEAVE)], judge, config)
    assert (found.value, found.counted, found.invalid) == (None, 0, 1)
    assert "do not fit the context of 100" in found.items[0].reason
    found = judged_context_relevance("q?", [hit(A, LEAVE)], judge, config)
    assert (found.value, found.counted, found.invalid) == (None, 0, 2)
    found = answer_relevance("q?", "Yes.", FakeChat(context=50), FakeEmbedder(), config)
    assert (found.value, found.counted, found.invalid) == (None, 0, 3)


@pytest.mark.parametrize(
    ("reply", "values"),
    [
        ("1", [1.0, 0.0]),
        ("2, 1", [1.0, 1.0]),
        ("1 and 2.", [1.0, 1.0]),
        ("none", [0.0, 0.0]),
        ("None.", [0.0, 0.0]),
        ("3", [None, None]),  # there are two sentences
        ("1, 7", [None, None]),
        ("the first one", [None, None]),
        ("I think 1", [None, None]),
        ("", [None, None]),
    ],
)
def test_judged_context_relevance(config: Config, reply: str, values: list[float | None]) -> None:
    judge = FakeChat(replies=[reply, "2"])
    found = judged_context_relevance("q?", [hit(A, LEAVE), hit(B, BOOKS)], judge, config)
    assert [item.value for item in found.items] == [*values, 0.0, 1.0]
    counted = [v for v in [*values, 0.0, 1.0] if v is not None]
    assert found.value == sum(counted) / len(counted)
    assert found.invalid == values.count(None)
    assert "2. The alarm is tested on Mondays." in judge.asked[0][-1].content


def test_answer_relevance_by_hand(config: Config) -> None:
    question = "How many books may members borrow?"
    drawn = ["How many books may be borrowed?", "Five books.", "Sure!\nMay members borrow books?"]
    judge, embedder = FakeChat(replies=drawn), FakeEmbedder(256)
    found = answer_relevance(
        question, "Members may borrow five books [1].", judge, embedder, config
    )
    vector = embedder.embed_query(question)
    cosines = [
        float(vector @ embedder.embed_query(q)) for q in (drawn[0], "May members borrow books?")
    ]
    assert found.value == pytest.approx(sum(cosines) / 2, abs=1e-6)
    assert (found.counted, found.invalid) == (2, 1)
    assert found.items[1] == Item("", None, "Five books.")
    assert "Text: Members may borrow five books." in judge.asked[0][-1].content
    assert len(judge.asked) == 3


def test_a_blank_answer_is_not_relevant_to_anything(config: Config) -> None:
    found = answer_relevance("q?", " [1] ", FakeChat(), FakeEmbedder(), config)
    assert (found.value, found.counted, found.invalid) == (0.0, 1, 0)


@pytest.mark.slow
def test_the_real_model_as_judge(smollm: ChatModel, minilm: Embedder, config: Config) -> None:
    hits = [hit(A, LEAVE), hit(B, BOOKS)]
    found = judged_faithfulness(["Members may borrow five books."] * 2, hits, smollm, config)
    assert found.counted + found.invalid == 2
    found = judged_context_relevance("When does it close?", hits, smollm, config)
    assert found.counted + found.invalid == 4
    found = answer_relevance("When does the library close?", "It closes at six.",
                             smollm, minilm, config)  # fmt: skip
    assert found.counted + found.invalid == 3
    assert all(item.reason for item in found.items)


# --- SemScore


def test_semscore_with_the_real_embedder(minilm: Embedder) -> None:
    gold = "Members may borrow five books."
    near, far = "People who have joined can take out 5 books.", "The alarm is tested on Mondays."
    found = semscore(
        minilm, [gold, near, far, far, " "], [[gold], [gold], [gold], [gold, far], [gold]]
    )
    assert found[0] == found[3] == pytest.approx(1.0, abs=1e-5)  # the best gold counts
    assert 1 > found[1] > 0.5
    assert found[2] < 0.3
    assert found[4] == 0.0
    vectors = minilm.embed_documents([near, gold])
    assert found[1] == pytest.approx(float(vectors[0] @ vectors[1]), abs=0.01)
    assert semscore(minilm, [], []) == []


def test_a_text_too_long_is_the_mean_of_its_parts() -> None:
    embedder = FakeEmbedder(32, max_tokens=4)
    text = "one two three four five six"
    halves = embedder.embed_documents(["one two three", " four five six"])
    expected = halves.sum(axis=0) / np.linalg.norm(halves.sum(axis=0))
    np.testing.assert_allclose(embed_texts(embedder, ["a", text])[1], expected, atol=1e-6)
    assert embed_texts(embedder, []).shape == (0, 32)
    assert semscore(embedder, [text], [[text]]) == [pytest.approx(1.0)]


def test_more_texts_than_one_batch() -> None:
    embedder = FakeEmbedder(16)
    texts = [f"word{i}" for i in range(1100)]
    np.testing.assert_allclose(embed_texts(embedder, texts), embedder.embed_documents(texts))


def test_semscore_needs_golds() -> None:
    with pytest.raises(EvaluationError, match="1 answers, but golds for 2"):
        semscore(FakeEmbedder(), ["a"], [["a"], ["b"]])
    with pytest.raises(EvaluationError, match="answer 1, 'b', has no gold"):
        semscore(FakeEmbedder(), ["a", "b"], [["a"], [" "]])
