"""language, words and spelling: which words of a question are looked for."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rewritten import about, found, made

import llar
from llar.errors import QueryError
from llar.text.lemmas import has_table, is_word, lemma
from llar.text.spelling import Speller, distances
from llar.text.words import query_terms, query_words, written

pytestmark = pytest.mark.slow

ENGLISH = {
    "went.txt": "The children went to the river with their teacher in the morning.",
    "going.txt": "They are going to build the new bridge over the river this year.",
    "mice.txt": "The mice in the laboratory were fed with grain for several weeks.",
    "mouse.txt": "A mouse was seen in the kitchen of the old house last night.",
    "general.txt": "The general gave his soldiers an order that was generally ignored.",
    "university.txt": "The university has several buildings in the centre of the town.",
    "universe.txt": "The universe is larger than anything that people can imagine.",
}
OTHERS = {
    "casa.txt": "Los niños fueron a la casa de su abuela con las informaciones del médico.",
    "ir.txt": "Van a ir a la ciudad para pedir información sobre las nuevas medicinas.",
    "cavalls.txt": "Els cavalls de la muntanya corrien pels camps amb els seus amos.",
    "haz.txt": "A gyerekek a házakban maradtak, mert az orvosok gyógyszert hoztak nekik.",
    "hazak.txt": "Az orvos minden házba elment, és megnézte a beteg gyerekeket.",
}


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llar.Collection]:
    with made(tmp_path_factory.mktemp("english"), ENGLISH) as docs:
        yield docs


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llar.Collection]:
    with made(tmp_path_factory.mktemp("mixed"), {**ENGLISH, **OTHERS}) as docs:
        yield docs


def test_porter_confuses_university_and_universe(english: llar.Collection) -> None:
    assert found(english, "universe", "words:snowball") == ["universe.txt"]
    assert set(found(english, "universe", "words:porter")) == {"universe.txt", "university.txt"}
    assert found(english, "universe", "words:lemma") == ["universe.txt"]
    assert found(english, "universe", "words:none") == ["universe.txt"]


def test_lemmas_find_irregular_forms(english: llar.Collection) -> None:
    assert found(english, "mouse", "words:snowball") == ["mouse.txt"]
    assert set(found(english, "mouse", "words:lemma")) == {"mouse.txt", "mice.txt"}
    assert set(found(english, "go", "words:lemma")) == {"went.txt", "going.txt"}
    assert found(english, "mouse", "words:none") == ["mouse.txt"]


def test_words_are_exact_in_their_scores(english: llar.Collection) -> None:
    """A word that all its passages have in the form asked for scores as the stem does."""
    plain = english.search("laboratory grain", query="words:snowball", mode="lexical")
    exact = english.search("laboratory grain", query="words:none", mode="lexical")
    assert [(h.chunk_id, h.score) for h in plain] == [(h.chunk_id, h.score) for h in exact]


@pytest.mark.parametrize("question", ["the generous teachers", "giving orders to soldiers", "mice"])
def test_porter_is_bm25_over_porters_stems(english: llar.Collection, question: str) -> None:
    """As if the collection had been indexed with them: every text stemmed again, word by word."""
    import Stemmer

    stem = Stemmer.Stemmer("porter").stemWord
    texts = {
        name: [stem(w) for w in re.findall("[a-z]+", ENGLISH[name].lower())] for name in ENGLISH
    }
    mean = sum(map(len, texts.values())) / len(texts)
    asked = [stem(w) for w in re.findall("[a-z]+", question) if w not in ("the", "to")]
    total, most = dict.fromkeys(texts, 0.0), 0.0
    for word in asked:
        held = sum(word in words for words in texts.values())
        idf = math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
        most += idf * 2.2
        for name, words in texts.items():
            tf = words.count(word)
            total[name] += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(words) / mean))
    hits = english.search(question, query="words:porter", mode="lexical", k=20)
    got = {Path(h.document.path).name: h.score for h in hits}
    assert got == pytest.approx({n: s / most for n, s in total.items() if s}, rel=1e-5)


def test_stop_words_are_looked_for_where_asked(english: llar.Collection) -> None:
    assert len(found(english, "of the mouse", "none")) == 1
    assert len(found(english, "of the mouse", "words:stops")) == len(ENGLISH)
    shown = about(english.explain("of the mouse", query="words:stops"), "words:stops")
    assert shown["analysis"] == {"language": None, "stemming": "snowball", "stop_words": True}


@pytest.mark.parametrize(
    ("question", "language", "files"),
    [
        ("¿Qué informacion tiene el médico?", "es", {"casa.txt", "ir.txt"}),
        ("On és el cavall de muntanya?", "ca", {"cavalls.txt"}),
        ("Melyik ház volt az?", "hu", {"haz.txt", "hazak.txt"}),
    ],
)
def test_lemmas_of_other_languages(
    mixed: llar.Collection, question: str, language: str, files: set[str]
) -> None:
    result = mixed.explain(question, query="words:lemma", mode="lexical")
    assert about(result, "the question's words")["language"] == language
    assert files <= {Path(h.document.path).name for h in result.hits}


def test_language_is_detected_and_shown(mixed: llar.Collection) -> None:
    result = mixed.explain("¿Dónde están las casas de los niños?", query="language")
    assert about(result, "language")["analysis"]["language"] == "es"
    result = mixed.explain("¿Dónde están las casas de los niños?", query="language:hu")
    assert result.query.analysis.language == "hu"


def test_language_limits_the_stems(mixed: llar.Collection) -> None:
    """ "Muntanyes" loses its ending in Catalan alone."""
    assert query_terms("muntanyes", ["ca"]) == query_terms("muntanya", ["ca"])
    assert query_terms("muntanyes", ["hu"]) != query_terms("muntanya", ["ca"])
    assert found(mixed, "muntanyes", "none") == ["cavalls.txt"]
    assert found(mixed, "muntanyes", "language:ca") == ["cavalls.txt"]
    assert found(mixed, "muntanyes", "language:hu") == []


def test_variants_are_analysed_like_the_question(english: llar.Collection) -> None:
    result = english.explain(
        "mouse in the kitchen", query="words:lemma,multi:1", mode="lexical",
        model="fake:say:mouse in the laboratory",
    )  # fmt: skip
    assert result.query.variants == ("mouse in the laboratory",)
    assert result.query.analysis.stemming == "lemma"
    assert "mice.txt" in [Path(h.document.path).name for h in result.hits]


def test_porter_is_for_english_and_says_so(mixed: llar.Collection) -> None:
    result = mixed.explain("¿Dónde están las casas?", query="words:porter")
    skipped = about(result, "the question's words")["skipped"]
    assert skipped == "Porter's stemmer is for English, the question is in 'es'"
    assert result.query.analysis.stemming == "snowball"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("words:lancaster", r"--query words: 'lancaster' is no way to compare words; expected wor"),
        ("words:porter:none", "'porter:none' is no way"),
        ("words:none:stops:more", "'more' is too much"),
        ("prf,words:none", "a step before it has chosen the words"),
        ("prf,language", "a step before it has chosen the words"),
        ("prf,spelling", "must stand before the steps that work on the words"),
        ("language:xx", "no stemmer for 'xx'"),
        ("spelling:3", "'3' is not a whole number from 1 to 2"),
        ("spelling:1:2", "'2' is too much"),
    ],
)
def test_bad_arguments(english: llar.Collection, steps: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        english.search("mouse", query=steps)


def test_lemmas() -> None:
    assert lemma("went", "en") == "go"
    assert lemma("házakban", "hu") == "ház"
    assert lemma("informaciones", "es") == "información"
    assert lemma("cavalls", "ca") == "cavall"
    assert has_table("en")
    assert not has_table("xx")
    assert not has_table(None)
    assert is_word("percentage", "en")
    assert is_word("london", "en")
    assert not is_word("percentgae", "en")


def test_query_words_tell_where_and_how_they_are_written() -> None:
    words = query_words("L'aigua de 3,5 €?", ["ca"], stop_words_too=True)
    assert [(w.start, w.end, w.form) for w in words] == [
        (2, 7, "aigua"), (8, 10, "de"), (11, 14, ""),
    ]  # fmt: skip
    assert [w.form for w in query_words("L'aigua de 3,5 €?", ["ca"])] == ["aigua", ""]


def test_written_words_keep_accents_and_count() -> None:
    texts = ["Informació, l'informació 12 1.000", "informacio"]
    assert written(texts) == {"informació": 2, "informacio": 1, "12": 1}


# -- spelling ----------------------------------------------------------------------------------


def _distance(a: str, b: str) -> int:
    """Optimal string alignment, one pair at a time, by its recurrence."""
    table = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        table[i, j] = min(
            table[i - 1, j] + 1,
            table[i, j - 1] + 1,
            table[i - 1, j - 1] + (a[i - 1] != b[j - 1]),
        )
        if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(a), len(b)]


def test_distances_are_those_of_the_recurrence() -> None:
    import numpy as np

    rng = random.Random(0)
    for _ in range(200):
        word = "".join(rng.choices("abcd", k=rng.randint(1, 8)))
        length = rng.randint(1, 8)
        others = ["".join(rng.choices("abcd", k=length)) for _ in range(20)]
        codes = np.array([[ord(c) for c in other] for other in others], np.uint32).T
        got = distances(np.array([ord(c) for c in word], np.uint32), codes)
        assert got.tolist() == [_distance(word, other) for other in others]


def test_speller_finds_every_near_word() -> None:
    """Its look at the letters leaves no near word out."""
    rng = random.Random(1)
    words = {"".join(rng.choices("abcdefgh", k=rng.randint(3, 11))): 1 for _ in range(3000)}
    speller = Speller(words)
    found = 0
    for word in rng.sample(sorted(words), 12):
        asked = word[:2] + "z" + word[3:]
        allowed = 0 if len(asked) < 4 else 1 if len(asked) < 8 else 2
        expected = {w for w in words if allowed and _distance(asked, w) <= allowed}
        assert {near.word for near in speller.near(asked)} == expected
        found += len(expected)
    assert found >= 8  # the words that were changed, where they are long enough


def test_speller_prefers_near_then_common_then_the_same_first_letter() -> None:
    speller = Speller({"effect": 5, "defect": 50, "effects": 100, "effort": 1})
    assert [n.word for n in speller.near("efect")] == ["effect", "defect"]
    assert [n.word for n in Speller({"wing": 1, "wink": 9, "ring": 99}).near("winq")] == [
        "wink", "wing",
    ]  # fmt: skip
    assert speller.near("eff") == []


MISTAKES = [
    ("How were the mcie fed?", "How were the mcie fed?"),  # "mcie" to "mice": below
    ("where is the univrsity", "where is the university"),
    ("Where is the Univrsity", "Where is the University"),
    ("the laboratroy and the kitchn", "the laboratory and the kitchen"),
    ('the "laboratroy"', 'the "laboratroy"'),
    ("the «laboratroy»", "the «laboratroy»"),
    ("laboratroy2 LABX kitchn9", "laboratroy2 LABX kitchn9"),
    ("laboratories and soldier", "laboratories and soldier"),  # other forms of words there are
    ("zzzzzzzz", "zzzzzzzz"),
]


@pytest.mark.parametrize(("asked", "expected"), MISTAKES[1:])
def test_spelling(english: llar.Collection, asked: str, expected: str) -> None:
    result = english.explain(asked, query="spelling", mode="lexical")
    assert result.query.text == expected
    assert result.query.question == asked


def test_spelling_swaps_letters_and_shows_what_it_did(english: llar.Collection) -> None:
    result = english.explain("How were the mcie fed?", query="spelling", mode="lexical")
    assert result.query.text == "How were the mice fed?"
    shown = about(result, "words not in the collection")
    assert shown == {"mcie": "mice (mistakes: 1, written 1 times)"}
    assert about(result, "spelling")["text"] == "How were the mice fed?"


def test_spelling_with_fewer_mistakes(english: llar.Collection) -> None:
    assert english.explain("labratroy", query="spelling").query.text == "laboratory"
    assert english.explain("labratroy", query="spelling:1").query.text == "labratroy"
    assert english.explain("the Labratroy", query="spelling").query.text == "the Labratroy"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("¿Hay informcion del medico?", "¿Hay información del medico?"),
        ("els cavlls de la muntaya", "els cavalls de la muntanya"),
        ("a gyogszert az orvsok", "a gyógyszert az orvosok"),
        ("muntanya información médico", "muntanya información médico"),
    ],
)
def test_spelling_in_other_languages(mixed: llar.Collection, asked: str, expected: str) -> None:
    assert mixed.explain(asked, query="spelling", mode="lexical").query.text == expected


def test_the_vocabulary_follows_the_collection(tmp_path: Path) -> None:
    with made(tmp_path, ENGLISH) as docs:
        assert docs.explain("elephnat", query="spelling").query.text == "elephnat"
        (tmp_path / "notes-files" / "zoo.txt").write_text("The elephant lives in the old zoo.")
        docs.add(tmp_path / "notes-files")
        assert docs.explain("elephnat", query="spelling").query.text == "elephant"
