"""Words, stems and highlights; the index's own tokenizer must agree with them."""

from __future__ import annotations

import json
import math
import sqlite3
import time
import unicodedata
from collections import defaultdict
from pathlib import Path

import pytest

from llar.text.stopwords import LANGUAGES
from llar.text.words import highlight, query_terms, stop_words, terms

TOKENIZER = "unicode61 remove_diacritics 0 tokenchars '_'"


def fts5_tokens(texts: list[str]) -> list[list[str]]:
    """What SQLite makes of each text."""
    db = sqlite3.connect(":memory:")
    db.execute(f'CREATE VIRTUAL TABLE f USING fts5(t, tokenize="{TOKENIZER}")')
    db.execute("CREATE VIRTUAL TABLE v USING fts5vocab(f, instance)")
    db.executemany("INSERT INTO f(rowid, t) VALUES (?, ?)", enumerate(texts))
    found: list[list[str]] = [[] for _ in texts]
    for term, doc in db.execute("SELECT term, doc FROM v ORDER BY doc, offset"):
        found[doc].append(term)
    return found


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The dogs' owner doesn't run", "the dog owner doesnt run"),
        ("en", "4,5 and 4.5", "4_5 and 4_5"),
        ("en", "v3.2.1 of IPv6", "v 3_2_1 of ipv6"),
        ("en", "60mg 60 mg 4 g/day 1-2g/4-6h", "60 mg 60 mg 4 g day 1 2 g 4 6 h"),
        ("en", "1,000 1.000 1000 1,234.56 1.234,56", "1000 1000 1000 1234_56 1234_56"),
        ("en", "1\u202f000 1\u00a0000", "1000 1000"),
        ("en", "the 1990s, 3rd", "the 1990s 3rd"),
        ("en", "U.S. and e.g. a.m.", "us and eg am"),
        ("en", "co-operate e-mail", "co oper e mail"),
        ("en", "select_related __init__ _", "select_related select relat init"),
        ("en", "C++ and C# but not c+", "cplusplus and csharp but not c"),
        ("en", "transfor\u00admation zero\u200bwidth", "transform zerowidth"),
        ("en", "m² CO₂ hydrogen¹² ½", "m2 co2 hydrogen 1_2"),
        ("en", "ﬁnance ＡＢＣ Straße", "financ abc strass"),
        ("en", "!? — … ()", ""),
        ("ca", "l'aigua d’una s'ha dona'm", "aigu un ha don"),
        ("ca", "col·legi co\u0140legi intel·ligent", "colleg colleg intellig"),
        ("fr", "l'eau qu'il aujourd'hui", "eau il aujourdhui"),
        ("es", "CANCIONES canción", "cancion cancion"),
        ("hu", "a házakban, házban", "a haz haz"),
        (None, "Running dogs Ñandú", "running dogs nandu"),
        ("xx", "Running dogs", "running dogs"),
        ("zh", "北京 水", "北 北京 京 水"),
        ("ja", "IPv6アドレス", "ipv6 ア アド ド ドレ レ レス ス"),
        ("ja", "がか", "が がか か"),
        ("ar", "الكِتَابُ ٤٫٥", "كتاب 4 5"),
        ("he", "שָׁלוֹם", "שלום"),
    ],
)
def test_terms(language: str | None, text: str, expected: str) -> None:
    found = terms(text, language)
    assert found == expected.split()
    assert fts5_tokens([" ".join(found)]) == [found]


@pytest.mark.parametrize("language", ["hi", "ta", "ne", "th", "ko", "el", "ru", "hy", "yi", None])
def test_terms_of_every_script_stay_whole_in_the_index(language: str | None) -> None:
    text = "हिन्दी में नमस्ते தமிழ் மொழி ภาษาไทย 한국어 ελληνικά Ёлка հայերեն বাংলা မြန်မာ ខ្មែរ ქართული"
    found = terms(text, language)
    assert len(found) > 12
    assert fts5_tokens([" ".join(found)]) == [found]
    assert len(set(terms("कि की के", None))) == 3  # vowel signs tell words apart


@pytest.mark.slow
def test_the_index_keeps_together_what_the_terms_keep() -> None:
    """Every letter and digit of the world's scripts, between two others."""
    letters = [chr(c) for c in range(0x32000) if chr(c).isalnum()]
    assert len(letters) > 70_000
    found = [terms(f"x{letter}x", None) for letter in letters]
    kept = fts5_tokens([" ".join(words) for words in found])
    split = [letter for letter, a, b in zip(letters, found, kept, strict=True) if a != b]
    # SQLite's tables are older: it takes these vowel signs of two scripts for marks.
    names = {unicodedata.name(letter).split()[0] for letter in split}
    assert names <= {"NEW", "VEDIC"}, names  # New Tai Lue, Vedic


@pytest.mark.parametrize(
    ("language", "pairs"),
    [
        ("es", "cuánto/cuanto información/informacion tecnología/tecnologia mayoría/mayoria"),
        ("es", "también/tambien después/despues escribió/escribio niño/nino pingüino/pinguino"),
        ("ca", "configuració/configuracio però/pero això/aixo importància/importancia"),
        ("ca", "anglès/angles notícies/noticies perquè/perque qüestió/questio"),
        ("hu", "felhasználó/felhasznalo fájlból/fajlbol képernyőn/kepernyon első/elso"),
        ("hu", "következő/kovetkezo két/ket értéket/erteket időtől/idotol szőlő/szolo"),
        ("pt", "informação/informacao informações/informacoes avó/avo"),
        ("fr", "été/ete garçon/garcon"),
        ("de", "Übung/Ubung"),
    ],
)
def test_words_typed_without_accents_meet_those_with(language: str, pairs: str) -> None:
    for pair in pairs.split():
        accented, plain = pair.split("/")
        assert set(terms(accented, language)) & set(terms(plain, language)), pair
        assert set(terms(accented, language)) & {
            t for w in query_terms(plain, [language]) for t in w
        }


def test_restored_endings_meet_other_forms_too() -> None:
    assert set(terms("informacion", "es")) & set(terms("informaciones", "es"))
    assert set(terms("configuracio", "ca")) & set(terms("configuracions", "ca"))
    assert set(terms("fajlbol", "hu")) & set(terms("fájl", "hu"))


def test_query_terms_give_the_stems_of_every_language() -> None:
    assert query_terms("running canciones", ["en", "es"]) == [["run", "running"], ["cancion"]]
    assert query_terms("2.500 60mg", ["en"]) == [["2500"], ["60"], ["mg"]]
    assert query_terms("東京都", ["ja"]) == [["東京"], ["京都"]]
    assert query_terms("水", ["ja"]) == [["水"]]
    assert query_terms("Running", []) == [["running"]]
    assert query_terms("", ["en"]) == []
    assert query_terms("?!", ["en"]) == []


def test_stop_words_go_unless_nothing_would_remain() -> None:
    assert query_terms("What is the dose for adults?", ["en"]) == [["dose"], ["adult"]]
    assert query_terms("to be or not to be", ["en"]) == [
        ["to"],
        ["be"],
        ["or"],
        ["not"],
        ["to"],
        ["be"],
    ]
    # "sin" is Spanish for without: it stays in a question whose other function words are English.
    assert [w[0] for w in query_terms("What is the sin of Adam?", ["en", "es"])] == ["sin", "adam"]
    assert [w[0] for w in query_terms("¿Qué tomar sin receta?", ["en", "es"])] == [
        "tomar",
        "receta",
    ]
    assert query_terms("Who is us, and what is the U.S.?", ["en"]) == [["us"]]


def test_stop_words_hold_original_and_unaccented_forms() -> None:
    assert {"qué", "que", "cuánto", "cuanto", "también", "tambien"} <= stop_words("es")
    assert {"això", "aixo", "perquè", "perque"} <= stop_words("ca")
    assert {"és", "es", "miért", "miert"} <= stop_words("hu")
    assert {"don't", "the"} <= stop_words("en")
    assert stop_words(None) == stop_words("xx") == frozenset()
    for language in LANGUAGES:
        assert len(stop_words(language)) > 150
        assert all(word == word.lower() for word in stop_words(language))
    assert not {"dosis", "hora", "día", "euros", "año", "agua"} & stop_words("es")


def test_highlight() -> None:
    text = "Les aigües d'aquí i l'aigua d'allà; 60mg, 東京都と京都。"

    def words(query: str, *languages: str) -> list[str]:
        return [text[start:end] for start, end in highlight(text, query, languages)]

    assert words("aigua", "ca") == ["aigües", "aigua"]
    assert words("aigua", "ca", "en") == ["aigües", "aigua"]
    assert words("60 mg", "ca") == ["60", "mg"]
    assert words("京都", "ca") == ["京都", "京都"]
    assert words("東京都", "ca") == ["東京都", "京都"]
    assert words("banana", "ca") == []
    assert highlight("", "aigua", ["ca"]) == []
    decomposed = unicodedata.normalize("NFD", "canción nueva")
    assert highlight(decomposed, "canciones", ["es"]) == [(0, 8)]


def test_terms_are_fast() -> None:
    words = [
        f"{'palabra' if i % 2 else 'word'}{chr(97 + i % 26)}{chr(97 + i % 17)}" for i in range(500)
    ]
    text = ", ".join(words * 100)
    terms(text[:10_000], "es")
    started = time.process_time()
    terms(text, "es")
    assert len(text) / (time.process_time() - started) > 2e5  # characters per second
    started = time.process_time()
    terms("漢字" * 20_000 + "a" * 50_000 + "_" * 50_000 + "1.1" * 10_000 + "9" * 50_000, "ja")
    assert time.process_time() - started < 5


BM25 = {"cranfield": 0.376, "medline": 0.690, "adi": 0.480, "xquad_en": 0.968, "xquad_es": 0.962}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", BM25)
def test_bm25_ranks_as_well_as_measured(name: str, data: Path) -> None:
    """nDCG@10 of FTS5 over our terms, stop words left out of the query; Lucene's is in DESIGN."""
    folder = data / "retrieval" / name
    language = "es" if name.endswith("es") else "en"
    docs = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    queries = [
        json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()
    ]
    gains: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, gain = line.split("\t")
        gains[query][document] = max(0, int(gain))
    db = sqlite3.connect(":memory:")
    db.execute(f"CREATE VIRTUAL TABLE f USING fts5(t, content='', tokenize=\"{TOKENIZER}\")")
    texts = (f"{doc.get('title') or ''}\n{doc['text']}" for doc in docs)
    db.executemany(
        "INSERT INTO f(rowid, t) VALUES (?, ?)",
        ((i, " ".join(terms(text, language))) for i, text in enumerate(texts)),
    )
    total = judged = 0.0
    for query in queries:
        wanted = gains.get(query["_id"], {})
        if not any(wanted.values()):
            continue
        match = " OR ".join(
            f'"{t}"' for found in query_terms(query["text"], [language]) for t in found
        )
        rows = db.execute(
            "SELECT rowid FROM f WHERE f MATCH ? ORDER BY rank, rowid LIMIT 10", [match]
        )
        found = [wanted.get(docs[row[0]]["_id"], 0) for row in rows]
        best = sorted(wanted.values(), reverse=True)[:10]
        total += _dcg(found) / _dcg(best)
        judged += 1
    assert total / judged >= BM25[name]


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
