"""Lexical, dense and hybrid search, filters, highlights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import llar
from llar import Collection, load_config
from llar.errors import QueryError
from llar.index.filters import Filter, parse_filter, parse_value
from llar.index.index import Index
from llar.index.lexical import Lexical
from llar.models.interface import Embedder
from llar.records import Chunk, Document
from llar.retrieve import Mode, embed_query
from llar.text.words import query_terms

TEXTS = {
    "leave.txt": ("en", "Annual leave is 27 days. Leave must be requested early."),
    "sick.txt": ("en", "Sick leave must be reported before eight."),
    "dosis.txt": ("es", "Los adultos pueden tomar un comprimido cada ocho horas."),
    "horari.txt": ("ca", "La biblioteca obre els dissabtes al matí."),
}


@pytest.fixture
def docs(home: Path) -> Iterator[Collection]:
    config = load_config({"embedder": "fake:hash"})
    with Collection("c", config=config) as collection:
        embedder = collection.embedder
        chunker = {"name": "structure", "max_tokens": embedder.max_tokens}
        index = Index.create(config, "c", embedder.identity, chunker)
        for n, (name, (language, text)) in enumerate(TEXTS.items()):
            document = Document(
                text, f"/docs/{name}", "txt", len(text), f"{n:064}", language=language,
                created=f"202{n}-05-01T00:00:00+00:00",
            )  # fmt: skip
            vectors = embedder.embed_documents([text])
            index.put(document, [Chunk(text, 0, len(text))], vectors, {"dept": f"d{n}", "rank": n})
        index.close()
        yield collection


def _names(hits: list[llar.Hit]) -> list[str]:
    return [Path(h.document.path).name for h in hits]


def test_bm25_is_the_textbook_formula(docs: Collection) -> None:
    query = "annual leave"
    hits = docs.search(query, mode="lexical")
    assert _names(hits) == ["leave.txt", "sick.txt"]
    # worked by hand: 4 passages of 10, 7, 9 and 7 words; "annual" in 1 of them, "leave" in 2
    mean = (10 + 7 + 9 + 7) / 4
    idf = {"annual": math.log(1 + 3.5 / 1.5), "leave": math.log(1 + 2.5 / 2.5)}

    def part(word: str, tf: int, length: int) -> float:
        return idf[word] * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / mean))

    most = 2.2 * sum(idf.values())
    assert hits[0].score == pytest.approx((part("annual", 1, 10) + part("leave", 2, 10)) / most)
    assert hits[1].score == pytest.approx(part("leave", 1, 7) / most)


def test_covered_is_the_weighed_share_of_the_words(docs: Collection) -> None:
    lexical = Lexical(docs.index, query_terms("annual leave", ["en"]))
    annual, leave = math.log(1 + 3.5 / 1.5), math.log(2)
    assert lexical.covered({"leav"}) == pytest.approx(leave / (annual + leave))
    assert lexical.covered({"leav", "annual"}) == pytest.approx(1.0)


def test_dense_is_the_exact_cosine_order(docs: Collection) -> None:
    query = "tomar un comprimido"
    vector = docs.embedder.embed_query(query)
    expected = sorted(
        TEXTS, key=lambda n: -float(docs.embedder.embed_documents([TEXTS[n][1]])[0] @ vector)
    )
    hits = docs.search(query, mode="dense")
    assert _names(hits) == expected
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_hybrid_shows_both_parts_and_scores_all_candidates(docs: Collection) -> None:
    hits = docs.search("leave reported", k=4)
    assert _names(hits)[0] == "sick.txt"
    assert all(set(h.parts) == {"lexical", "dense"} for h in hits)
    for hit in hits:  # fake:hash knows every language, so a cosine counts 0.75
        assert hit.score == pytest.approx(hit.parts["lexical"] + 0.75 * hit.parts["dense"])


def test_a_stem_of_any_language_of_the_collection_is_found(docs: Collection) -> None:
    assert _names(docs.search("adulto", mode="lexical")) == ["dosis.txt"]
    assert _names(docs.search("dissabte", mode="lexical")) == ["horari.txt"]
    assert _names(docs.search("comprimidos para adultos", mode="lexical")) == ["dosis.txt"]


def test_highlights_are_the_words_found(docs: Collection) -> None:
    [hit] = docs.search("dias leave annual", mode="lexical", k=1)
    text = docs.index.text(hit.document.id)
    assert [text[a:b] for a, b in hit.highlights] == ["Annual", "leave", "Leave"]


def test_offsets_point_into_the_document(docs: Collection) -> None:
    for hit in docs.search("leave comprimido biblioteca", k=4):
        text = docs.index.text(hit.document.id)
        assert text[hit.chunk.start : hit.chunk.end] == hit.chunk.text


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("lang=ca", {"horari.txt"}),
        ("language!=en", {"dosis.txt", "horari.txt"}),
        ("rank>=2", {"dosis.txt", "horari.txt"}),
        ("rank<1", {"leave.txt"}),
        ("dept=D1", {"sick.txt"}),
        ("path~docs/s", {"sick.txt"}),
        ("year>=2022", {"dosis.txt", "horari.txt"}),
        ("created<=2021", {"leave.txt", "sick.txt"}),
        ("created=2020-05", {"leave.txt"}),
        ("format=pdf", set()),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_filters_hold_in_every_mode(
    docs: Collection, condition: str, names: set[str], mode: Mode
) -> None:
    words = "leave leave tomar biblioteca"
    found = set(_names(docs.search(words, mode=mode, filters=[condition])))
    assert found == names


def test_filters_are_joined_by_and(docs: Collection) -> None:
    assert _names(docs.search("leave", filters=["lang=en", "rank=0"])) == ["leave.txt"]


def test_what_cannot_be_understood_is_refused(docs: Collection) -> None:
    for bad in ("lang", "=x", "lang=", "lang==", ""):
        with pytest.raises(QueryError, match="is not a filter"):
            parse_filter(bad if bad != "lang==" else "lang")
    with pytest.raises(QueryError, match=r"no document .* 'color'; there are: .*dept"):
        docs.search("leave", filters=["color=red"])
    with pytest.raises(QueryError, match="the query is empty"):
        docs.search("  ")
    with pytest.raises(QueryError, match="no search mode 'fuzzy'"):
        docs.search("leave", mode="fuzzy")
    with pytest.raises(QueryError, match="k must be at least 1"):
        docs.search("leave", k=0)


def test_values_have_the_type_they_look_like() -> None:
    assert parse_value("2023") == 2023
    assert parse_value("-1.5") == -1.5
    assert parse_value("007") == "007"
    assert parse_value("true") is True
    assert parse_value("1e3") == "1e3"
    assert parse_filter("a.b>= x y ") == Filter("a.b", ">=", "x y")
    assert parse_value("9" * 5000) == "9" * 5000  # Python converts no more than 4300 digits
    far = "x" + " " * 1_000_000 + "x"  # once this took time that grew with the square of it
    assert parse_filter(f"a={far}") == Filter("a", "=", far)


def test_words_that_look_like_fts_syntax_are_only_words(docs: Collection) -> None:
    for query in ('leave OR "', "NEAR(leave)", "terms:leave", "leave*", "-leave", "AND AND", "''"):
        docs.search(query, mode="lexical")
    assert _names(docs.search('"leave" AND', mode="lexical"))[0] in ("leave.txt", "sick.txt")


def test_a_query_longer_than_the_embedder_is_the_mean_of_its_parts(minilm: Embedder) -> None:
    half = " ".join(f"word{i}" for i in range(60, 122))
    assert minilm.count_tokens(half) <= minilm.max_tokens < minilm.count_tokens(f"{half} {half}")
    parts = [minilm.embed_query(half), minilm.embed_query(f" {half}")]
    mean = (parts[0] + parts[1]) / np.linalg.norm(parts[0] + parts[1])
    np.testing.assert_allclose(embed_query(minilm, f"{half} {half}"), mean, atol=1e-6)


@pytest.mark.slow
def test_spanish_is_not_dragged_down_by_an_english_embedder(
    installed: Path, tmp_path: Path
) -> None:
    texts = {
        "agua": "El agua hierve a cien grados en condiciones normales de presión.",
        "pan": "El pan se hornea durante cuarenta minutos.",
        "vino": "El vino tinto se guarda en una bodega fresca y oscura.",
        "tren": "El tren de Barcelona a Madrid sale cada mañana a las ocho.",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(f"{text} {text}")
    with Collection("es") as collection:
        collection.add(tmp_path / f"{name}.txt" for name in texts)
        assert collection.index.languages() == {"es": 4}
        for name, text in texts.items():
            [best] = collection.search(text.split(" ", 3)[3], k=1)
            assert _names([best]) == [f"{name}.txt"]
            weight = (best.score - best.parts["lexical"]) / best.parts["dense"]
            assert weight == pytest.approx(0.2)
