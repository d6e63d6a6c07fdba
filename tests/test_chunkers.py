"""Every chunker: what always holds, what each decides, and what it costs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_chunks import STUFF, document, markdown, table

import llar
from llar import chunks as chunking
from llar import load_config
from llar.chunks import CHUNKERS, embed, embed_first, parse_spec, read_spec, split
from llar.chunks.keywords import keywords
from llar.chunks.structure import split as by_structure
from llar.documents import Parsers
from llar.errors import CollectionError, ConfigError
from llar.models.fake import FakeEmbedder
from llar.models.interface import Embedder, Matrix, TokenEmbedder
from llar.records import Chunk, Document

pytestmark = pytest.mark.slow

ALL = sorted(CHUNKERS)
COUNTED = [name for name in ALL if name != "late"]  # fake embedders give no vectors of tokens
TIGHT = {"parent-child": "parent-child:parent=300", "word": "word:words=30,overlap=9"}


class Tally(FakeEmbedder):
    """The fake embedder, which also keeps how many characters it was given."""

    def __init__(self, max_tokens: int = 254) -> None:
        super().__init__(max_tokens=max_tokens)
        self.counted = self.embedded = 0
        self.texts: list[str] = []

    def count_tokens(self, text: str) -> int:
        self.counted += len(text)
        return super().count_tokens(text)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        self.embedded += sum(map(len, texts))
        self.texts += texts
        return super().embed_documents(texts)


def chunks_of(
    text: str | Document, chunker: str, size: int = 64, embedder: Embedder | None = None
) -> list[Chunk]:
    doc = markdown(text) if isinstance(text, str) else text
    return split(doc, parse_spec(chunker, size), embedder or FakeEmbedder())


def check(doc: Document, chunks: list[Chunk], limit: int, embedder: Embedder) -> None:
    """Everything a chunker must never break."""
    covered = bytearray(len(doc.text))
    assert [c.position for c in chunks] == [(n, len(chunks)) for n in range(1, len(chunks) + 1)]
    assert [(c.start, c.end) for c in chunks] == sorted((c.start, c.end) for c in chunks)
    for chunk in chunks:
        assert chunk.text == "\n\n".join(doc.text[a:b] for a, b in chunk.spans)
        assert (chunk.spans[0][0], chunk.spans[-1][1]) == (chunk.start, chunk.end)
        assert all(a[1] < b[0] or a[1] <= b[0] for a, b in pairwise(chunk.spans))
        assert chunk.text == chunk.text.strip() != ""
        assert embedder.count_tokens(chunk.content) <= limit
        for start, end in chunk.spans:
            covered[start:end] = b"x" * (end - start)
        if chunk.context:
            assert chunk.context[0] <= chunk.start < chunk.end <= chunk.context[1]
            assert chunk.context != (chunk.start, chunk.end)
        for at in (0, len(chunk.text) // 2, len(chunk.text)):
            place = chunk.place(at)
            inside = "\n\n" not in chunk.text[max(0, at - 1) : at + 1] or not chunk.parts
            assert not inside or chunk.local(place) == at
    lost = [at for at, char in enumerate(doc.text) if not char.isspace() and not covered[at]]
    assert not lost, doc.text[lost[0] : lost[0] + 40]


# -- what always holds ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("limit", [16, 40, 254])
def test_invariants_on_random_documents(name: str, limit: int) -> None:
    embedder = FakeEmbedder(max_tokens=254)
    rng = random.Random(limit)
    for _ in range(25):
        text = "".join(rng.choice(STUFF) for _ in range(rng.randrange(30)))
        doc = markdown(text, rng.choice(["en", "es", "ca", "hu", "ja"]))
        check(doc, chunks_of(doc, TIGHT.get(name, name), limit, embedder), limit, embedder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_invariants_with_the_real_embedder(name: str, minilm: Embedder) -> None:
    rng = random.Random(7)
    for limit in (24, 100):
        for _ in range(4):
            text = "".join(rng.choice(STUFF) for _ in range(rng.randrange(12)))
            doc = markdown(text, rng.choice(["en", "es", "ca", "hu"]))
            spec = parse_spec(TIGHT.get(name, name), limit)
            found = split(doc, spec, minilm)
            check(doc, found, limit, minilm)
            [vectors] = embed([(doc, found)], spec, minilm)
            assert vectors.shape == (len(found), 384)
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def real_files(data: Path) -> list[Document]:
    """One in forty of the files of formats and corpus, at most 100 kB of text each."""
    config = llar.Config()
    files = [p for d in ("formats", "corpus") for p in sorted((data / d).rglob("*.*"))]
    kept = [p for p in files if not {"ocr", "pdf", "pdf_password"} & set(p.parts)]
    with Parsers(config) as parsers:
        found = [doc for _, doc in parsers.parse(kept[::40]) if isinstance(doc, Document)]
    return [doc for doc in found if len(doc.text) < 100_000]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_invariants_on_real_files(name: str, real_files: list[Document]) -> None:
    assert len(real_files) > 20
    assert len({doc.format for doc in real_files}) > 4
    embedder = FakeEmbedder(max_tokens=254)
    for doc in real_files:
        check(doc, chunks_of(doc, name, 120, embedder), 120, embedder)


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize(
    "text",
    [
        "Sentences come one after the other here. Every second one is about ships! " * 150,
        "| a | b |\n|---|---|\n" + "| some cell | and another one |\n" * 300,
        "# Heading\n\nA few words below it.\n\n" * 150,
        "word " * 4000,
    ],
    ids=["prose", "table", "sections", "words"],
)
def test_the_cost_is_linear(name: str, text: str) -> None:
    """Twice the text costs at most twice as many characters counted and embedded, and a bit."""
    costs = []
    for doc in (markdown(text), markdown(text + "\n\n" + text)):
        tally = Tally()
        spec = parse_spec(name, 64)
        embed([(doc, split(doc, spec, tally))], spec, tally)
        costs.append((tally.counted, tally.embedded))
    (counted, embedded), (counted_twice, embedded_twice) = costs
    assert counted_twice <= 2.2 * counted + 1000
    assert embedded_twice <= 2.2 * embedded + 1000
    assert counted <= 60 * len(text)


@pytest.mark.parametrize("name", ["semantic", "double-pass"])
def test_every_sentence_is_embedded_once(name: str) -> None:
    tally = Tally()
    said = [f"Sentence number {n} speaks of thing {n // 5}." for n in range(80)]
    chunks_of(" ".join(said), name, 64, tally)
    assert tally.texts == said


@pytest.mark.parametrize("name", COUNTED)
def test_empty_documents_make_no_chunks(name: str) -> None:
    for text in ("", " \n\n\t"):
        assert chunks_of(text, name) == []
    none = embed([(document(""), [])], parse_spec(name, 64), FakeEmbedder())
    assert [rows.shape for rows in none] == [(0, 64)]


@pytest.mark.parametrize("name", COUNTED)
def test_a_table_repeats_its_header(name: str) -> None:
    doc = markdown(f"# Costs\n\nWhat things cost.\n\n{table(40, 'price of item')}\n\nThat is all.")
    found = [c for c in chunks_of(doc, name, 48) if c.kind == "table"]
    assert len(found) > 2
    for chunk in found:
        assert "| a | b |" in chunk.content
        assert chunk.headings == ("Costs",)


@pytest.mark.parametrize("name", [n for n in COUNTED if n not in ("token", "word")])
def test_headings_are_kept_and_go_with_what_follows(name: str) -> None:
    text = "# One\n\n" + "Apples are red. " * 20 + "\n\n# Two\n\n" + "Ships sail far. " * 20
    for chunk in chunks_of(text, name, 40):
        assert chunk.headings == (("One",) if "Apples" in chunk.text else ("Two",))
        assert not chunk.text.rstrip().endswith(("# One", "# Two"))


# -- what each decides ---------------------------------------------------------------------------

NUMBERS = " ".join(f"w{n}" for n in range(50))


def test_token_windows() -> None:
    """Words are tokens to the fake embedder: 16 at a time, the last 6 again."""
    found = [c.text.split() for c in chunks_of(NUMBERS, "token:overlap=6", 16)]
    assert [(f[0], f[-1]) for f in found] == [
        ("w0", "w15"), ("w10", "w25"), ("w20", "w35"), ("w30", "w45"), ("w40", "w49"),
    ]  # fmt: skip
    found = [c.text.split() for c in chunks_of(NUMBERS, "token", 16)]
    assert [len(f) for f in found] == [16, 16, 16, 2]


def test_token_windows_go_over_headings_under_what_they_share() -> None:
    text = "# Top\n\none two three four five\n\n## A\n\nsix seven eight\n\n## B\n\nnine ten"
    [first, second] = chunks_of(text, "token", 16)
    assert first.text.startswith("# Top")
    assert first.headings == ("Top",)
    assert second.headings in (("Top",), ("Top", "B"))


def test_word_windows() -> None:
    found = [c.text.split() for c in chunks_of(NUMBERS, "word:words=20,overlap=5", 64)]
    assert [(f[0], f[-1]) for f in found] == [("w0", "w19"), ("w15", "w34"), ("w30", "w49")]
    found = [c.text.split() for c in chunks_of(NUMBERS, "word:words=20", 16)]
    assert [len(f) for f in found] == [16, 16, 16, 2]  # the size still holds


def test_sentences() -> None:
    text = "One is here. Two is next. Three comes. Four follows. Five ends."
    found = [c.text for c in chunks_of(text, "sentence:sentences=2,overlap=0")]
    assert found == ["One is here. Two is next.", "Three comes. Four follows.", "Five ends."]
    found = [c.text for c in chunks_of(text, "sentence:sentences=3,overlap=1")]
    assert found == [
        "One is here. Two is next. Three comes.",
        "Three comes. Four follows. Five ends.",
    ]
    assert [c.text for c in chunks_of(text, "sentence")] == [text]
    for chunk in chunks_of(text * 8, "sentence", 16):
        assert chunk.text.endswith(".")


SENTENCES = {
    "en": ["Dr. Smith left at 5 p.m. on Monday.", "He came back.", "It rained, e.g. in Wales."],
    "es": ["El Sr. Pérez pagó 3.000 euros.", "¿Quién lo vio?", "Véase la pág. 12 del informe."],
    "ca": ["El Sr. Puig viu al núm. 3.", "Després va marxar.", "Vegeu l'art. 5 de la llei."],
    "hu": ["A 3. fejezet rövid.", "Dr. Kovács 2023. január 5-én érkezett.", "Kb. öt óra volt."],
}


@pytest.mark.parametrize("language", SENTENCES)
def test_sentence_window(language: str) -> None:
    said = SENTENCES[language]
    doc = document(" ".join([*said, *said]), language=language)
    found = chunks_of(doc, "sentence-window:window=1")
    assert [c.text for c in found] == [*said, *said]
    read = [doc.text[slice(*(c.context or (0, 0)))] for c in found]
    everything = [*said, *said]
    assert read == [" ".join(everything[max(0, n - 1) : n + 2]) for n in range(6)]


def test_a_window_stays_in_its_section() -> None:
    words = "and goes on with many more words so that it is no small section at all"
    text = f"# A\n\nAlpha {words}. Beta {words}.\n\n# B\n\nGamma {words}. Delta {words}."
    found = chunks_of(text, "sentence-window:window=3", 32)
    assert [c.text[:9].strip("# \n")[:1] for c in found] == ["A", "B", "B", "D"]
    sections = [text[slice(*(c.context or (0, 0)))] for c in found]
    assert sections[0] == sections[1] == text[: text.index("# B")].strip()
    assert sections[2] == sections[3] == text[text.index("# B") :]


APPLES = "Red apples grow on apple trees. Apple trees grow red apples. Trees grow apples. "
SHIPS = "Ships sail the cold seas. The cold seas carry ships. Ships sail seas. "


@pytest.mark.parametrize("how", ["percentile,amount=75", "deviation", "interquartile"])
def test_semantic_breaks_where_the_subject_changes(how: str) -> None:
    text = (APPLES + SHIPS).strip()
    found = [c.text for c in chunks_of(text, f"semantic:breaks={how}", 64)]
    assert found == [APPLES.strip(), SHIPS.strip()]


def test_semantic_cuts_what_is_too_long_where_it_drifts_most() -> None:
    """Never broken by the threshold, but 2 x 15 words do not fit 16 tokens... nor 24."""
    found = [c.text for c in chunks_of((APPLES + SHIPS).strip(), "semantic:amount=100", 24)]
    assert found == [APPLES.strip(), SHIPS.strip()]


COLOURS = ["The blue, the red.", "Football and Tennis.", "Gray and white."]


@pytest.mark.slow
@pytest.mark.parametrize("between", [" ", "\n", "\n\n", " / "])
def test_double_pass_joins_a_theme_over_a_gap(between: str, minilm: Embedder) -> None:
    text = between.join(COLOURS)
    colours, sports = chunks_of(text, "double-pass", 64, minilm)
    said = [text[a:b].strip(" /") for a, b in colours.spans]
    assert said == [COLOURS[0], COLOURS[2]]
    assert sports.text.strip(" /") == COLOURS[1]
    assert colours.text == "\n\n".join(text[a:b] for a, b in colours.spans)
    place = colours.place(colours.text.index("white"))
    assert text[place : place + 5] == "white"
    assert colours.local(place) == colours.text.index("white")
    assert "white" in colours.keywords


def test_double_pass_gap_and_order() -> None:
    """A, B, A, C, A: over one chunk at a time every A is reached; with no gap, none is."""
    a, b, c = "Red apples ripen.", "Cold seas roar.", "Old maps fade."
    text = " ".join([a, b, "Red apples fall.", c, "Red apples rot."])
    found = chunks_of(text, "double-pass:gap=1,append=0.3,merge=0.3")
    assert [chunk.text for chunk in found] == [
        "Red apples ripen.\n\nRed apples fall.\n\nRed apples rot.", b, c,
    ]  # fmt: skip
    assert [len(chunk.spans) for chunk in found] == [3, 1, 1]
    found = chunks_of(text, "double-pass:gap=0,append=0.3,merge=0.3")
    assert len(found) == 5


def test_place_and_local() -> None:
    chunk = Chunk("abc\n\nde", 10, 22, parts=((10, 13), (20, 22)))
    assert [chunk.place(n) for n in range(8)] == [10, 11, 12, 13, 20, 20, 21, 22]
    assert [chunk.local(n) for n in (10, 12, 13, 15, 20, 21, 22)] == [0, 2, 3, 3, 5, 6, 7]
    plain = Chunk("abc", 10, 13)
    assert [plain.place(n) for n in range(4)] == [10, 11, 12, 13]
    assert [plain.local(n) for n in range(10, 14)] == [0, 1, 2, 3]
    assert plain.spans == ((10, 13),)


def test_children_are_read_with_their_parent() -> None:
    text = "\n\n".join(f"# S{s}\n\n" + "Some words stand here. " * 30 for s in range(3))
    doc = markdown(text)
    found = chunks_of(doc, "parent-child:parent=64", 32)
    plain = by_structure(doc, max_tokens=32, count_tokens=FakeEmbedder().count_tokens)
    assert [(c.start, c.end) for c in found] == [(c.start, c.end) for c in plain]
    parents = [c.context or (c.start, c.end) for c in found]
    assert parents == sorted(parents)
    distinct = sorted(set(parents))
    assert len(distinct) < len(found) / 1.5
    for (_, end), (start, _) in pairwise(distinct):
        assert end <= start  # parents do not overlap
    for start, end in distinct:
        assert FakeEmbedder().count_tokens(text[start:end]) <= 64
        assert "# S" not in text[start + 1 : end]  # none goes into the next section


def test_late_pools_the_tokens_of_the_whole_passage(minilm: Embedder) -> None:
    """By hand: embed all of it, and average the token vectors that lie in each chunk."""
    assert isinstance(minilm, TokenEmbedder)
    text = "Berlin is the capital of Germany.\n\n" + "It has many people and it is old. " * 6
    doc = document(text.strip())
    spec = parse_spec("late:overlap=0", 32)
    found = split(doc, spec, minilm)
    assert len(found) > 1
    assert minilm.count_tokens(doc.text) < minilm.max_tokens
    [vectors] = embed([(doc, found)], spec, minilm)
    tokens, places = minilm.embed_tokens(doc.text)
    for chunk, vector in zip(found, vectors, strict=True):
        rows = [t for t, (a, b) in zip(tokens, places, strict=True)
                if chunk.start <= a and b <= chunk.end]  # fmt: skip
        mean = np.mean(rows, axis=0)
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert np.allclose(embed_first(doc, found, spec, minilm), vectors[0], atol=1e-5)
    alone = minilm.embed_documents([found[-1].content])[0]
    city = minilm.embed_query("Berlin")
    assert vectors[-1] @ city > alone @ city + 0.1  # it knows what "it" is


@pytest.mark.slow
def test_late_passages_of_a_long_text(minilm: Embedder) -> None:
    text = " ".join(f"Sentence {n} of a long story is told here." for n in range(200))
    doc = document(text)
    spec = parse_spec("late", 48)
    found = split(doc, spec, minilm)
    [vectors] = embed([(doc, found)], spec, minilm)
    assert vectors.shape == (len(found), 384)
    assert np.allclose(embed_first(doc, found, spec, minilm), vectors[0], atol=1e-5)
    cosines = (vectors * minilm.embed_documents([c.content for c in found])).sum(axis=1)
    assert cosines.min() > 0.6  # still about the same


# -- specs ---------------------------------------------------------------------------------------


def test_a_spec_is_read_and_kept() -> None:
    spec = parse_spec("sentence-window:window=3", 160)
    assert spec.as_manifest() == {"name": "sentence-window", "max_tokens": 160, "window": 3}
    assert str(spec) == "sentence-window:window=3"
    assert read_spec(spec.as_manifest()) == spec
    assert str(parse_spec(" recursive ", 99)) == "structure"
    assert read_spec({"name": "structure", "max_tokens": 160}) == parse_spec("structure", 160)
    assert parse_spec("semantic:breaks=deviation, amount=1.5", 99).values == {
        "breaks": "deviation", "amount": 1.5, "buffer": 1,
    }  # fmt: skip
    for name in CHUNKERS:
        for text in (name, str(parse_spec(name, 64))):
            assert str(parse_spec(text, 64)) == name
        assert name in chunking.described()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strucure", "no chunker 'strucure'.*double-pass, late.*did you mean 'structure'"),
        ("", "no chunker ''"),
        ("token:size=3", "'token' has no parameter 'size'; it has overlap"),
        ("token:overlap", "expected NAME:key=value"),
        ("token:overlap=", "expected NAME:key=value"),
        ("token:overlap=1,overlap=2", "gives 'overlap' twice"),
        ("token:overlap=x", "overlap: expected int, got 'x'"),
        ("token:overlap=1.5", "overlap: expected int, got '1.5'"),
        ("token:overlap=-1", "overlap: expected 0 or more, got '-1'"),
        ("sentence-window:window=0", "window: expected 1 or more"),
        ("semantic:breaks=never", "one of percentile, deviation, interquartile, got 'never'"),
        ("semantic:amount=nan", "amount: expected 0 to 100, got 'nan'"),
        ("double-pass:merge=2", "merge: expected -1 to 1"),
    ],
)
def test_what_a_spec_cannot_be(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_spec(text, 160)


def test_what_a_manifest_cannot_hold() -> None:
    for manifest in ({"name": "axe", "max_tokens": 9}, {"max_tokens": 9}, {"name": "structure"}):
        with pytest.raises(CollectionError, match="chunker cannot be used"):
            read_spec(manifest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token:overlap=80", "overlap must be under half of 160 tokens, got 80"),
        ("word:words=10,overlap=5", "under half of 10 words"),
        ("sentence:sentences=2,overlap=1", "under half of 2 sentences"),
        ("structure:overlap=80", "under half of 160"),
        ("parent-child:parent=100", "at least the 160 tokens of its children, got 100"),
        ("late", "a vector for each token, which fake:hash does not give"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chunking.configured(load_config({"chunker": text}), FakeEmbedder())


def test_the_size_is_the_setting_within_the_embedders_limit() -> None:
    embedder = FakeEmbedder(max_tokens=100)
    assert chunking.configured(load_config(), embedder).max_tokens == 100
    assert chunking.configured(load_config({"chunk_tokens": 64}), embedder).max_tokens == 64
    assert chunking.configured(load_config({"chunk_tokens": 0}), embedder).max_tokens == 100


# -- keywords ------------------------------------------------------------------------------------


def test_keywords_tell_chunks_apart() -> None:
    """By hand: (1 + ln count) x ln(1 + chunks / chunks that have the word)."""
    texts = ["The dose of ibuprofen: ibuprofen twice.", "The dose of aspirin.", "The dose is low."]
    assert keywords(texts, "en") == [
        ("ibuprofen", "twice", "dose"),  # 1.69 x 1.39, 1.39, 0.69
        ("aspirin", "dose"),
        ("low", "dose"),
    ]
    assert keywords(["La dosi màxima del fàrmac és de 4 g."], "ca") == [
        ("dosi", "màxima", "fàrmac"),
    ]  # fmt: skip
    assert keywords([], "en") == []
    assert keywords(["12 34 5"], None) == [()]
