"""The steps after retrieval that score, drop, join and order passages."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from post_hits import apply, collection, files, found, hit, searcher, told

from llar import Collection
from llar.answer.prompt import build
from llar.config import load
from llar.errors import ConfigError, ContextTooLong, QueryError, UnknownModel
from llar.models.fake import FakeChat
from llar.models.interface import EmbedderIdentity, Matrix
from llar.records import Chunk, Hit
from llar.retrieve.post.order import best, unmoved

pytestmark = pytest.mark.slow

TEXTS = ["red apples", "red apples again", "a blue door"]
WORDS = {"red": (1.0, 0.0), "blue": (0.0, 1.0), "violet": (0.6, 0.8)}


class Colours:
    """An embedder that knows three words and reads two at a time."""

    max_tokens = 2

    def __init__(self, language: str = "*") -> None:
        self.identity = EmbedderIdentity("test:colours", "", 2, "mean", "", "", (language,))

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed_tokens(self, text: str) -> tuple[Matrix, list[tuple[int, int]]]:
        assert self.count_tokens(text) <= self.max_tokens
        rows = [WORDS[w] for w in text.split()]
        return np.asarray(rows, np.float32).reshape(-1, 2), [(0, len(text))] * len(rows)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        raise AssertionError("only tokens are asked for")

    def embed_query(self, text: str) -> Matrix:
        raise AssertionError("only tokens are asked for")

    def close(self) -> None: ...


class Short:
    """A reranker that reads six words at most and scores by the number 5, 7 or 9 in them."""

    name = "test:short"

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        for text in texts:
            if len(f"{query} {text}".split()) > 6:
                raise ContextTooLong(f"too long: {text!r}")
        return [max([float(n) for n in re.findall("[579]", t)] or [-2.0]) for t in texts]

    def close(self) -> None: ...


def ids(hits: Sequence[Hit]) -> list[int]:
    return [h.chunk_id for h in hits]


# --- late interaction


def test_late_interaction_by_hand() -> None:
    index = collection(["violet blue", "red", "blue red violet"])
    hits = found(index, [0.3, 0.2, 0.1])
    search = searcher(index, embedder=Colours())
    ranked = apply("rerank:late", hits, search, "red blue")
    # Closeness: (.6 + 1)/2 of mean .6 is .5 (see test_evidence); red alone (1 + 0)/2 of mean .5 is
    # 0; the last one has both, so 1, although it is read in two pieces. Mixed half and half.
    assert ids(ranked) == [3, 1, 2]
    assert [h.score for h in ranked] == pytest.approx([0.55, 0.4, 0.1], abs=1e-6)
    assert [h.parts["rerank"] for h in ranked] == [h.score for h in ranked]
    closeness = told(search, "late interaction")["closeness"]
    assert closeness == pytest.approx({1: 0.5, 2: 0.0, 3: 1.0}, abs=1e-6)


def test_late_interaction_counts_half_where_the_embedder_does_not_know_the_language() -> None:
    index = collection(["red"], language="es")
    (ranked,) = apply("rerank:late", found(index, [0.4]), searcher(index, embedder=Colours("en")),
                      "red")  # fmt: skip
    assert ranked.score == pytest.approx((0.4 + 0.5 * 0.0) / 1.5)  # one token: chance is 1


def test_late_interaction_of_some_leaves_the_others_behind() -> None:
    index = collection(["violet blue", "red", "blue red violet"])
    hits = found(index, [0.3, 0.2, 0.15])
    ranked = apply("rerank:late:2", hits, searcher(index, embedder=Colours()), "red blue")
    assert ids(ranked) == [1, 2, 3]
    assert ranked[2].score == ranked[1].score == pytest.approx(0.1, abs=1e-6)
    assert "rerank" not in ranked[2].parts


def test_late_interaction_needs_vectors_of_tokens() -> None:
    index = collection(["red"])
    with pytest.raises(QueryError, match=r"vector for each token.*fake:hash does not") as e:
        apply("rerank:late", found(index, [1.0]), searcher(index))
    assert "rerank:BACKEND:NAME" in str(e.value.fix)


@pytest.mark.slow
def test_late_interaction_with_the_real_embedder(installed: Path, tmp_path: Path) -> None:
    folder = files(
        tmp_path / "f",
        dose="The adult dose of paracetamol is 500 mg every six hours.",
        child="Paracetamol for children is given by weight, as the leaflet for adults says.",
        garden="The garden of the library was laid out in 1921.",
    )
    with Collection("c") as docs:
        docs.add(folder)
        result = docs.explain("What is the adult dose of paracetamol?", k=2, post="rerank:late")
    assert [h.document.path.rsplit("/", 1)[1] for h in result.hits] == ["dose.md", "child.md"]
    assert all(0 <= h.score <= 1 for h in result.hits)
    assert result.hits[0].score == result.hits[0].parts["rerank"] > result.hits[1].score


# --- cross-encoders


def test_a_cross_encoder_gives_the_sigmoid_of_its_score() -> None:
    index = collection(TEXTS)
    hits = found(index, [0.9, 0.8, 0.7])
    ranked = apply("rerank:fake:overlap", hits, searcher(index), "blue door")
    assert ids(ranked) == [3, 1, 2]
    assert [h.score for h in ranked] == pytest.approx([1 / (1 + math.exp(-1)), 0.5, 0.5])


def test_the_configured_reranker_is_taken_and_opened_once() -> None:
    index = collection(TEXTS)
    search = searcher(index, reranker="fake:overlap")
    apply("rerank", found(index, [0.9, 0.8, 0.7]), search, "blue")
    (model,) = search.models.values()
    apply("rerank", found(index, [0.9, 0.8, 0.7]), search, "blue")
    assert list(search.models.values()) == [model]


def test_a_passage_too_long_is_read_in_parts_and_the_best_counts() -> None:
    long = "The first says 5 here. The second one says 9. The third says 7."
    index = collection(["It says 7 only", long, "nothing"])
    search = searcher(index)
    search.models["reranker test:short"] = Short()
    ranked = apply("rerank:test:short", found(index, [0.9, 0.8, 0.7]), search, "q")
    assert ids(ranked) == [2, 1, 3]
    expected = [1 / (1 + math.exp(-x)) for x in (9, 7, -2)]
    assert [h.score for h in ranked] == pytest.approx(expected)
    assert told(search, "cross-encoder")["read in parts"] == {2: 3}


def test_a_question_too_long_for_the_reranker_is_an_error() -> None:
    index = collection(["It says 7 only"])
    search = searcher(index)
    search.models["reranker test:short"] = Short()
    with pytest.raises(ContextTooLong):
        apply("rerank:test:short", found(index, [0.9]), search, "a b c d e f g")


def test_a_reranker_that_there_is_not() -> None:
    index = collection(["x"])
    with pytest.raises(UnknownModel, match="no backend 'nowhere'"):
        apply("rerank:nowhere:x", found(index, [1.0]), searcher(index))
    with pytest.raises(QueryError, match="'lat' is neither late nor a model"):
        apply("rerank:lat", found(index, [1.0]), searcher(index))


# --- MMR


def test_mmr_by_hand() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], np.float32)
    index = collection(["a", "b", "c", "d"], vectors)
    hits = found(index, [1.0, 0.9, 0.5, 0.1])
    ranked = apply("mmr:0.7", hits, searcher(index))
    # First a: .7 * 1 + .3. Then c: .7 * .5 + .3 (nothing like it), before b: .7 * .9 + .3 * 0.
    # Last d: .7 * .1 + .3 * (1 - .8), its cosine to c.
    assert ids(ranked) == [1, 3, 2, 4]
    assert [h.score for h in ranked] == pytest.approx([1.0, 0.65, 0.63, 0.13])
    assert [h.parts["mmr"] for h in ranked] == [h.score for h in ranked]
    assert ids(apply("mmr:1", hits, searcher(index))) == [1, 2, 3, 4]
    assert ids(apply("mmr:0", hits, searcher(index))) == [1, 3, 4, 2]
    assert apply("mmr", [], searcher(index)) == []


def test_mmr_of_a_passage_that_was_removed_meanwhile() -> None:
    index = collection(["a", "b", "c"], np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    hits = found(index, [1.0, 0.9, 0.5])
    index.remove(["/d/1.txt"])
    assert sorted(ids(apply("mmr", hits, searcher(index)))) == [1, 2, 3]


@pytest.mark.parametrize("post", ["mmr:2", "mmr:x", "mmr:0.5:1"])
def test_mmr_arguments(post: str) -> None:
    index = collection(["a"])
    with pytest.raises(QueryError, match=r"--post mmr: .*expected mmr\[:lambda\]"):
        apply(post, found(index, [1.0]), searcher(index))


# --- least score


@pytest.mark.parametrize(("least", "kept"), [("0.5", [1, 2]), ("60%", [1]), ("0", [1, 2, 3])])
def test_min_score(least: str, kept: list[int]) -> None:
    index = collection(TEXTS)
    search = searcher(index)
    assert ids(apply(f"min-score:{least}", found(index, [0.9, 0.5, 0.2]), search)) == kept
    dropped = told(search, "too low")["dropped"]
    assert [row["chunk_id"] for row in dropped] == [i for i in (1, 2, 3) if i not in kept]


@pytest.mark.parametrize("least", ["", ":x", ":-1", ":nan", ":101%", ":1:2"])
def test_min_score_arguments(least: str) -> None:
    index = collection(["a"])
    with pytest.raises(QueryError, match=r"--post min-score: .*expected min-score:x"):
        apply(f"min-score{least}", found(index, [1.0]), searcher(index))


# --- duplicates

LEAVE = "Full-time members of staff have 27 days of paid annual leave in every calendar year"


@pytest.mark.parametrize(
    ("first", "second", "left", "why"),
    [
        (LEAVE, LEAVE.upper(), [1], "the same words"),
        (LEAVE, f"{LEAVE} here.", [2], "stands inside"),  # the longer one says it all
        (f"{LEAVE} here.", LEAVE, [1], "stands inside"),
        (
            LEAVE,
            LEAVE.replace("calendar year", "single year"),
            [1],
            "similarity 0.75",
        ),  # 12 runs of 16
        (LEAVE, LEAVE.replace("27", "25"), [1, 2], ""),
        (LEAVE, LEAVE.replace("have", "do not have"), [1, 2], ""),
        (LEAVE, "The garden of the library was laid out long ago.", [1, 2], ""),
        ("Leave", LEAVE, [1, 2], ""),  # one word is no passage to drop for
        (LEAVE, "", [1, 2], ""),
    ],
)
def test_dedup(first: str, second: str, left: list[int], why: str) -> None:
    index = collection([first, second])
    search = searcher(index)
    kept = apply("dedup:0.6", found(index, [0.9, 0.4]), search)
    assert ids(kept) == left
    dropped = told(search, "duplicates")["dropped"]
    assert [row["why"] for row in dropped] == ([why] if why else [])
    if why:
        assert kept[0].score == 0.9  # also where the worse one stayed
        assert {dropped[0]["chunk_id"], dropped[0]["kept"]["chunk_id"]} == {1, 2}


def test_dedup_of_runs_by_hand() -> None:
    # Runs of three: abc bcd cde def of the first, abc bcd cde deg of the second: 3 of 5 in common.
    index = collection(["ba bb bc bd be bf", "ba bb bc bd be bg"], language="xx")
    assert len(apply("dedup:0.61", found(index, [0.9, 0.4]), searcher(index))) == 2
    assert len(apply("dedup:0.59", found(index, [0.9, 0.4]), searcher(index))) == 1


# --- neighbours

SECTIONS = """# Apples

One apple is red. Two apples are green. Three apples are ripe. Four apples are old.

# Figs

Five figs are sweet. Six figs are dry.
"""


@pytest.fixture
def sections(home: Path, tmp_path: Path) -> Collection:
    docs = Collection("c", config=load({"embedder": "fake:hash", "home": str(home)}))
    docs.add(files(tmp_path / "f", fruit=SECTIONS), chunker="sentence:sentences=1")
    return docs


@pytest.mark.parametrize(
    ("question", "post", "expected"),
    [
        ("two", "neighbours", "One apple is red. Two apples are green. Three apples are ripe."),
        ("four", "neighbours", "Three apples are ripe. Four apples are old."),
        ("five", "neighbours:5", "Five figs are sweet. Six figs are dry."),
    ],
)
def test_neighbours(sections: Collection, question: str, post: str, expected: str) -> None:
    with sections as docs:
        (plain,) = docs.search(question, mode="lexical", query="none", post="none")
        (wide,) = docs.search(question, mode="lexical", query="none", post=post)
        text = docs.index.text(wide.document.id)
    assert wide.chunk.text.removeprefix("# Apples\n\n").removeprefix("# Figs\n\n") == expected
    assert text[wide.chunk.start : wide.chunk.end] == wide.chunk.text
    assert wide.matched == ((plain.chunk.start, plain.chunk.end),)
    assert wide.chunk.headings == plain.chunk.headings
    (mark,) = wide.highlights
    assert text[slice(*mark)].lower() == question
    assert wide.score == plain.score


def test_neighbours_that_touch_become_one(sections: Collection) -> None:
    with sections as docs:
        plain = docs.search("one four", mode="lexical", query="none")
        result = docs.explain("one four", mode="lexical", query="none", post="neighbours")
        text = docs.index.text(1)
    assert len(plain) == 2
    (wide,) = result.hits
    assert "One apple" in wide.chunk.text
    assert "Four apples are old." in wide.chunk.text
    assert "figs" not in wide.chunk.text
    assert wide.score == plain[0].score
    assert wide.matched == tuple(sorted((h.chunk.start, h.chunk.end) for h in plain))
    assert text[wide.chunk.start : wide.chunk.end] == wide.chunk.text
    (row,) = next(s.about["merged"] for s in result.steps if s.name == "joined with another")
    assert row["chunk_id"] == plain[1].chunk_id
    assert row["into"]["chunk_id"] == plain[0].chunk_id


def test_a_passage_between_two_closes_the_gap(home: Path, tmp_path: Path) -> None:
    text = "One is red. Two is red. Three is red. Four is red. Five is red. Six is red."
    with Collection("c", config=load({"embedder": "fake:hash"})) as docs:
        docs.add(files(tmp_path / "f", numbers=text), chunker="sentence:sentences=1")
        chunks = docs.index.chunks([1, 2, 3, 4, 5, 6])
        hits = [Hit(*chunks[i], i, score) for i, score in ((1, 0.9), (6, 0.8), (3, 0.7))]
        search = searcher(docs.index)
        apart = apply("neighbours", hits[:2], search)
        (wide,) = apply("neighbours", hits, search)
    assert [h.chunk.text for h in apart] == ["One is red. Two is red.", "Five is red. Six is red."]
    assert (wide.chunk.text, wide.chunk_id, wide.score) == (text, 1, 0.9)
    assert len(wide.matched) == 3
    merged = told(search, "joined")["merged"]
    assert [(row["chunk_id"], row["into"]["chunk_id"]) for row in merged] == [(3, 1), (6, 1)]


def test_neighbours_of_a_table_keep_their_header(home: Path, tmp_path: Path) -> None:
    rows = "".join(f"| item{n} | {n * 7} |\n" for n in range(40))
    table = f"# Prices\n\n| name | price |\n|---|---|\n{rows}"
    with Collection("c", config=load({"embedder": "fake:hash", "chunk_tokens": 20})) as docs:
        docs.add(files(tmp_path / "f", prices=table))
        (wide,) = docs.search("item30", mode="lexical", query="none", post="neighbours")
        text = docs.index.text(wide.document.id)
    assert wide.chunk.kind == "table"
    assert "name | price" in wide.chunk.content.splitlines()[1]
    assert wide.chunk.text.startswith("| item")
    assert text[wide.chunk.start : wide.chunk.end] == wide.chunk.text


# --- order


def ranked(many: int) -> list[Hit]:
    """Hits of two documents by turns, each further up in its document than the one before."""
    made = []
    for n in range(many):
        one = hit(f"passage {n + 1}", 1 - n / 10)
        source = replace(one.document, id=n % 2 + 1)
        chunk = Chunk(f"passage {n + 1}", 100 - n, 109 - n)
        made.append(replace(one, chunk_id=n + 1, document=source, chunk=chunk))
    return made


@pytest.mark.parametrize(
    ("way", "order"),
    [("edges", [1, 3, 5, 4, 2]), ("document", [5, 3, 1, 4, 2]), ("score", [1, 2, 3, 4, 5])],
)
def test_order(way: str, order: list[int]) -> None:
    search = searcher(collection(["a"]), k=5)
    hits = ranked(7)
    moved = apply(f"order:{way}", hits, search)
    assert ids(moved) == [*order, 6, 7]  # what is cut off later is not moved
    assert ids(unmoved(moved)) == [1, 2, 3, 4, 5, 6, 7]
    assert [moved[i].chunk_id for i in best(moved, 3)] == [i for i in order if i <= 3]
    assert ids(apply("order:score", moved, search))[:5] == [1, 2, 3, 4, 5]
    again = apply("order:edges", apply("order:document", hits, search), search)
    assert ids(again)[:5] == [1, 3, 5, 4, 2]  # by rank, not by where the step before put them


def test_order_needs_a_way() -> None:
    search = searcher(collection(["a"]))
    with pytest.raises(QueryError, match="there is no order 'middle'"):
        apply("order:middle", ranked(2), search)
    with pytest.raises(ConfigError, match=r"there is no step 'ordre'.* 'order'"):
        apply("ordre:edges", ranked(2), search)


def test_a_prompt_shows_the_best_in_the_order_made() -> None:
    search = searcher(collection(["a"]), k=5)
    moved = apply("order:edges", ranked(5), search)  # 1 3 5 4 2
    prompt = build("q", moved, FakeChat(), load({"passages": 3}))
    shown = prompt.messages[-1].content
    assert [n for n in "12345" if f"passage {n}" in shown] == ["1", "2", "3"]
    assert shown.index("passage 1") < shown.index("passage 3") < shown.index("passage 2")
    assert prompt.numbers == (1, 2, 5)  # where they stand among the hits
    room = prompt.tokens + 20 - 1  # one token less than all three take
    less = build("q", moved, FakeChat(context=room), load({"passages": 3, "max_answer_tokens": 20}))
    assert less.numbers == (1, 5)  # the worst went, not the last
