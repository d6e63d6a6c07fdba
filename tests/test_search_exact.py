"""Searches against a second implementation: plain sums over every passage, after every change."""

from __future__ import annotations

import json
import math
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llar import load_config
from llar.config import Config
from llar.errors import CollectionError
from llar.index.filters import Filter, parse_filter
from llar.index.index import Index
from llar.index.lexical import Lexical
from llar.index.passages import Posting, Postings, best
from llar.index.vectors import Vectors
from llar.models import open_chat, open_embedder
from llar.models.interface import Embedder, Matrix
from llar.records import Chunk, Document, Hit
from llar.retrieve import Searcher, options
from llar.text.words import query_terms

WORDS = [a + b for a in "bcdfgklmnprst" for b in ("ala", "ero", "ipu", "omi", "uta", "yne")]
DIMENSION = 32


@dataclass
class Model:
    """The embedder of the collection, and what should be in it: words and vector by chunk id."""

    config: Config
    index: Index
    embedder: Embedder
    random: random.Random
    words: dict[int, Counter[str]] = field(default_factory=dict)
    vectors: dict[int, Matrix] = field(default_factory=dict)
    languages: dict[int, str | None] = field(default_factory=dict)
    ids: dict[str, list[int]] = field(default_factory=dict)  # path -> chunk ids

    def put(self, path: str, texts: list[str], language: str | None = "xx") -> None:
        """Add or replace a document of these passages; "xx" has no stemmer."""
        text = "\n".join(texts)
        spans, start = [], 0
        for passage in texts:
            spans.append(Chunk(passage, start, start + len(passage)))
            start += len(passage) + 1
        sha256 = f"{self.random.getrandbits(256):064x}"
        document = Document(text, path, "txt", len(text), sha256, language=language)
        vectors = self.embedder.embed_documents(texts)
        self.index.put(document, spans, vectors, {"n": len(path), "half": len(self.ids) % 2})
        self.forget(path)
        rows = self.index.database.connection.execute(
            "SELECT chunks.id FROM chunks JOIN files USING (document_id) WHERE path = ?"
            " ORDER BY chunks.id",
            (path,),
        )
        self.ids[path] = [row[0] for row in rows]
        for chunk_id, passage, vector in zip(self.ids[path], texts, vectors, strict=True):
            self.words[chunk_id] = Counter(passage.split())
            self.vectors[chunk_id] = vector
            self.languages[chunk_id] = language

    def forget(self, path: str) -> None:
        """Drop what this path held from the model alone."""
        for chunk_id in self.ids.pop(path, []):
            del self.words[chunk_id], self.vectors[chunk_id], self.languages[chunk_id]

    def remove(self, path: str) -> None:
        """Remove a document."""
        self.index.remove([path])
        self.forget(path)

    def text(self, length: int) -> str:
        """Words as text has them: the n-th is 1/n as frequent as the first."""
        weights = [1 / n for n in range(1, len(WORDS) + 1)]
        return " ".join(self.random.choices(WORDS, weights, k=length))

    def bm25(self, groups: list[list[str]]) -> dict[int, float]:
        """Every passage's score, from the formula as it is printed."""
        total = len(self.words)
        lengths = {i: words.total() for i, words in self.words.items()}
        mean = sum(lengths.values()) / max(total, 1)
        scores = dict.fromkeys(self.words, 0.0)
        most = 0.0
        for group in groups:
            n = max(sum(term in words for words in self.words.values()) for term in group)
            idf = math.log(1 + (total - n + 0.5) / (n + 0.5))
            most += idf * 2.2
            for chunk_id, words in self.words.items():
                tf = sum(words[term] for term in group)
                norm = 1.2 * (0.25 + 0.75 * lengths[chunk_id] / mean)
                scores[chunk_id] += idf * tf * 2.2 / (tf + norm)
        return {i: s / most for i, s in scores.items()}


def search(
    model: Model, vectors: Vectors, query: str, *, filters: Sequence[Filter] = (), **given: Any
) -> list[Hit]:
    """What a collection's search does, over this index."""
    chosen = options(model.config, filters=filters, query="none", **given)
    searcher = Searcher(
        model.index, vectors, lambda: model.embedder, lambda: open_chat(model.config, "fake:say:"),
        model.config, chosen,
    )  # fmt: skip
    return searcher.search(query).hits


@pytest.fixture
def model(home: Path) -> Iterator[Model]:
    config = load_config({"embedder": f"fake:hash-{DIMENSION}"})
    embedder = open_embedder(config)
    index = Index.create(config, "c", embedder.identity, {"name": "structure", "max_tokens": 100})
    made = Model(config, index, embedder, random.Random(7))
    for n in range(60):
        made.put(f"/d/{n}", [made.text(made.random.randint(1, 40)) for _ in range(n % 7)])
    made.put("/d/twins", ["bala cala"] * 5 + ["dala " * 3 + "bala"] * 5)  # ties
    yield made
    index.close()


def _check(model: Model, vectors: Vectors) -> None:
    """Lexical, dense and hybrid search find what going through every passage finds."""
    queries = ["bala cala", "tyne", "bala bero bipu bomi buta byne cala", model.text(9), "absent"]
    for query in queries:
        groups = [[word] for word in query.split()]
        reference = model.bm25(groups)
        with model.index.database.read():
            view = model.index.passages.view()
            scores = Lexical(model.index, groups).scores()
        here = {
            int(i): float(s) for i, d, s in zip(view.ids, view.documents, scores, strict=True) if d
        }
        assert here == pytest.approx(reference, abs=1e-6)

        hits = search(model, vectors, query, mode="lexical", k=7)
        wanted = sorted(
            (i for i in reference if reference[i] > 0), key=lambda i: (-round(reference[i], 6), i)
        )
        assert [h.chunk_id for h in hits] == wanted[:7]

        vector = model.embedder.embed_query(query)
        cosines = {i: float(v.astype(np.float64) @ vector) for i, v in model.vectors.items()}
        hits = search(model, vectors, query, mode="dense", k=7)
        wanted = sorted(cosines, key=lambda i: (-round(cosines[i], 6), i))
        assert [h.chunk_id for h in hits] == wanted[:7]
        assert [h.score for h in hits] == pytest.approx([cosines[i] for i in wanted[:7]], abs=1e-6)

        hits = search(model, vectors, query, k=7)
        total = {i: reference[i] + 0.75 * cosines[i] for i in cosines}
        wanted = sorted(total, key=lambda i: (-round(total[i], 6), i))
        assert [h.chunk_id for h in hits] == wanted[:7]


def test_every_mode_is_exact_after_every_change(model: Model) -> None:
    vectors = Vectors(model.index)
    _check(model, vectors)  # the first search is in float32, the others start in int8
    _check(model, vectors)
    layout = model.index.passages.view().layout
    model.put("/d/new", [model.text(30) for _ in range(4)])
    _check(model, vectors)
    model.put("/d/5", [model.text(12)])  # in place of five passages
    model.remove("/d/11")
    model.remove("/d/twins")
    _check(model, vectors)
    assert model.index.passages.view().layout is layout, "the others kept their places"
    for n in range(30, 60):
        model.remove(f"/d/{n}")
    _check(model, vectors)
    view = model.index.passages.view()
    assert view.layout is not layout
    assert len(view.ids) == view.count == len(model.words), "no places of removed passages are left"
    for path in list(model.ids):
        model.remove(path)
    assert search(model, vectors, "bala", k=3) == []
    model.put("/d/again", ["bala"])
    assert len(search(model, vectors, "bala", k=3)) == 1


def test_what_another_process_writes_is_found(model: Model) -> None:
    vectors = Vectors(model.index)
    _check(model, vectors)
    mine, model.index = model.index, Index.open(model.config, "c")
    model.put("/d/other", [model.text(20) for _ in range(3)])
    model.remove("/d/6")
    model.index.close()
    model.index = mine
    _check(model, vectors)


def test_filters_are_exact_and_follow_changes(model: Model) -> None:
    vectors = Vectors(model.index)
    for _ in range(2):
        for condition in ("half=1", "n>=5"):
            half = {
                int(i)
                for (i,) in model.index.database.connection.execute(
                    "SELECT chunks.id FROM chunks JOIN files USING (document_id) WHERE "
                    + {"half=1": "metadata ->> 'half' = 1", "n>=5": "metadata ->> 'n' >= 5"}[
                        condition
                    ]
                )
            }
            query = "bala cala dero"
            vector = model.embedder.embed_query(query)
            reference = model.bm25([[w] for w in query.split()])
            total = {i: reference[i] + 0.75 * float(model.vectors[i] @ vector) for i in half}
            hits = search(model, vectors, query, k=9,
                filters=[parse_filter(condition)],
            )  # fmt: skip
            wanted = sorted(total, key=lambda i: (-round(total[i], 6), i))[:9]
            assert [h.chunk_id for h in hits] == wanted
        model.put("/d/seven-more", ["bala cala dero", "dero bala"])


def test_alternatives_count_as_one_word(model: Model) -> None:
    groups = [["bala", "cala"], ["dero"]]
    with model.index.database.read():
        view = model.index.passages.view()
        scores = Lexical(model.index, groups).scores()
    reference = model.bm25(groups)
    assert {int(i): float(s) for i, s in zip(view.ids, scores, strict=True)} == pytest.approx(
        reference, abs=1e-6
    )


def test_more_places_than_may_be_held_start_anew() -> None:
    held = Postings(most=10)
    posting = Posting(np.arange(4, dtype=np.int32), np.ones(4, np.float32), 4)
    for word in ("a", "b", "c", "d"):
        held.keep((word,), posting)
    assert list(held) == [("c",), ("d",)]


def test_long_passages_have_their_length(model: Model) -> None:
    lengths = (127, 128, 16_383, 16_384, 20_000)
    for n, length in enumerate(lengths):
        text = " ".join(["kala"] * length)
        document = Document(text, f"/{n}", "txt", len(text), f"{n:064}", language="xx")
        rows = model.embedder.embed_documents(["kala"])
        model.index.put(document, [Chunk(text, 0, len(text))], rows, {})
    with model.index.database.read():
        view = model.index.passages.view()
    expected = [words.total() for words in model.words.values()]
    assert view.lengths.tolist() == [*expected, *lengths]


def test_vectors_closer_than_int8_can_tell_are_still_told_apart(model: Model) -> None:
    generator = np.random.default_rng(3)
    center = generator.standard_normal(DIMENSION)
    rows = center + generator.standard_normal((400, DIMENSION)) * 1e-4
    rows = np.vstack([rows, rows[:50]])  # and some are the same
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    text = "kala"
    document = Document(text, "/near", "txt", 4, f"{1:064}", language="xx")
    model.index.put(document, [Chunk(text, 0, 4)] * len(rows), rows, {})
    vectors = Vectors(model.index)
    for _ in range(3):
        moved = center + generator.standard_normal(DIMENSION)
        query: Matrix = (moved / np.linalg.norm(moved)).astype(np.float32)
        with model.index.database.read():
            view = model.index.passages.view()
            found = vectors.nearest(view, query, 20)
            cosines = vectors.cosines(view, query, found)
        start = len(view.ids) - len(rows)
        exact = rows.astype(np.float64) @ query
        order = sorted(range(len(rows)), key=lambda i: -exact[i])
        assert cosines == pytest.approx(exact[found - start], abs=1e-6)
        assert min(exact[found - start]) >= exact[order[19]] - 2e-7  # float32's own precision
        pairs = [(float(c), int(p)) for c, p in zip(cosines, found, strict=True)]
        assert pairs == sorted(pairs, key=lambda pair: (-pair[0], pair[1])), "ties by place"


def test_a_search_in_an_older_transaction_sees_that_moment(model: Model) -> None:
    vectors = Vectors(model.index)
    _check(model, vectors)
    before = set(model.words)
    gone = set(model.ids["/d/20"])

    def change() -> None:
        model.remove("/d/20")
        model.put("/d/later", ["bala cala"])
        _check(model, vectors)

    with model.index.database.read() as connection:
        connection.execute("SELECT count(*) FROM chunks").fetchone()  # the moment is fixed here
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        view = model.index.passages.view()
        assert set(view.ids[view.documents > 0].tolist()) == before
        vector = model.embedder.embed_query("bala")
        found = vectors.nearest(view, vector, len(before))
        assert set(view.ids[found].tolist()) == before
        scores = Lexical(model.index, [["bala"]]).scores()
        assert len(scores) == len(before)
    _check(model, vectors)
    assert gone.isdisjoint(model.index.passages.view().ids[
        model.index.passages.view().documents > 0].tolist())  # fmt: skip


def test_languages_are_those_of_the_passages_that_are_left(model: Model) -> None:
    assert model.index.passages.view().spoken == ("xx",)
    model.put("/ca", ["bala"], "ca")
    model.put("/unknown", ["bala"], None)
    assert model.index.passages.view().spoken == ("", "ca", "xx")
    model.remove("/ca")
    assert model.index.passages.view().spoken == ("", "xx")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("UPDATE vectors SET data = substr(data, 5) WHERE count > 0", "not those of its passages"),
        (
            "UPDATE vectors SET first_chunk = first_chunk + 1 WHERE count > 0",
            "not those of its passages",
        ),
        ("UPDATE vectors SET data = zeroblob(0) WHERE count > 3", "not those of its passages"),
        (
            "UPDATE vectors SET count = 7, data = CAST(data || zeroblob(128) AS BLOB)"
            " WHERE count = 6",
            "not those of its passages",
        ),
        ("DELETE FROM vectors WHERE count = 5", r"\d+ passages have no vectors"),
    ],
)
def test_damaged_vectors_are_an_error(model: Model, damage: str, why: str) -> None:
    model.index.database.connection.execute(damage)
    with pytest.raises(CollectionError, match=why) as caught:
        search(model, Vectors(model.index), "bala")
    assert caught.value.fix == "llar doctor -c c --repair"


def test_vectors_that_are_no_numbers_are_an_error(model: Model) -> None:
    rows = np.full((1, DIMENSION), np.nan, "<f4")
    model.index.database.connection.execute(
        "UPDATE vectors SET data = ? WHERE count = 1", (rows.tobytes(),)
    )
    vectors = Vectors(model.index)
    for _ in range(2):
        with pytest.raises(CollectionError, match="no numbers"):
            search(model, vectors, "bala")


def test_the_best_are_those_of_a_full_sort() -> None:
    generator = np.random.default_rng(5)
    for size in (0, 1, 9, 100, 5_000, 40_000):
        for scores in (
            generator.standard_normal(size).astype(np.float32),
            generator.integers(0, 4, size).astype(np.float32),  # ties
            np.where(generator.random(size) < 0.01, np.float32(1), np.float32(-np.inf)),
            np.zeros(size, np.float32),
        ):
            for k in (1, 10, 200):
                order = sorted(range(size), key=lambda i: (-scores[i], i))
                wanted = [i for i in order if scores[i] > -np.inf][:k]
                assert best(scores, k).tolist() == wanted
                above = [p for p in wanted if scores[p] > 0.5]
                assert best(scores, k, above=0.5).tolist() == above


@pytest.mark.data
@pytest.mark.slow
def test_real_vectors_are_searched_exactly(data: Path, home: Path, minilm: Embedder) -> None:
    """Recall 1.0 of the first 10 and 100 against a float64 product over all vectors."""
    articles = json.loads((data / "qa" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    paragraphs = [p for article in articles for p in article["paragraphs"]]
    texts = [s for p in paragraphs for s in p["context"].split(". ") if len(s) < 400][:600]
    rows = minilm.embed_documents(texts)
    index = Index.create(
        load_config(), "c", minilm.identity, {"name": "structure", "max_tokens": 9}
    )
    for n, (text, row) in enumerate(zip(texts, rows, strict=True)):
        document = Document(text, f"/{n}", "txt", len(text), f"{n:064}", language="en")
        index.put(document, [Chunk(text, 0, len(text))], row[None], {})
    vectors = Vectors(index)
    for paragraph in paragraphs[:60]:
        query = minilm.embed_query(paragraph["qas"][0]["question"])
        exact = rows.astype(np.float64) @ query
        for k in (10, 100):
            with index.database.read():
                found = vectors.nearest(index.passages.view(), query, k)
            wanted = np.argsort(-exact, kind="stable")[:k]
            assert exact[found] == pytest.approx(exact[wanted], abs=2e-7)
    words = query_terms(paragraphs[0]["qas"][0]["question"], ["en"])
    assert Lexical(index, words).scores().max() > 0
    index.close()
