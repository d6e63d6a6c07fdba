"""The steps after retrieval that make passages shorter: what stays, and how much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bert_numpy import Array, forward
from post_hits import apply, collection, files, found, hit, searcher, told, verbatim
from safetensors.numpy import load_file, save_file
from test_embedders import BERT, WORDS, write_model

from llar import Collection
from llar.config import load
from llar.errors import ModelCorrupt, ModelNotInstalled, QueryError
from llar.models import open_compressor
from llar.models.bert_compressor import BertCompressor
from llar.models.fake import FakeChat
from llar.models.interface import ChatModel, LikelihoodModel
from llar.models.pull import pull
from llar.records import GAP, Hit, joined
from llar.retrieve.post.protected import protected, words
from llar.retrieve.post.target import Target

pytestmark = pytest.mark.slow

PROSE = (
    "The garden was laid out in 1921. Full-time staff have 27 days of annual leave. "
    "The rooms are cleaned on Mondays. Leave must be agreed with the head of the department."
)


# --- what is shown of what is left


def test_what_was_left_out_shows() -> None:
    text = "One two three. Four five six. Seven."
    assert joined(text, [(0, 3), (8, 14)]) == "One three."  # within a sentence
    assert joined(text, [(0, 7), (20, 24)]) == f"One two{GAP}five"
    assert joined(text, [(0, 14), (30, 36)]) == f"One two three.{GAP}Seven."
    assert joined("a 3.5 b c", [(0, 1), (8, 9)]) == "a c"  # no sentence ends in 3.5
    assert joined("row\nnext row", [(0, 3), (9, 12)]) == f"row{GAP}row"
    assert joined(text, []) == ""


# --- the words that always stay


@pytest.mark.parametrize(
    ("language", "text", "stays"),
    [
        ("en", "Adults may not take more than 3.5 tablets within six hours of lunch.",
         "may not take more 3.5 tablets six hours"),
        ("en", "Yesterday the nurse Ana Ruiz of the University of Oslo didn't answer.",
         "Ana Ruiz of the University of Oslo didn't answer."),
        ("en", "Paris is large. The visit to Paris cost nothing.", "Paris Paris nothing."),
        ("es", "No tome nunca más de dos comprimidos con Ibuprofeno sin receta de la doctora.",
         "No tome nunca más de dos comprimidos Ibuprofeno sin receta"),
        ("ca", "El personal no pot entrar sense permís abans de les 9:30 a l'edifici de Girona.",
         "no pot entrar sense permís abans 9:30 Girona."),
        ("hu", "A gyógyszert tilos bevenni két órán belül, és nem szabad Kovács Anna nélkül.",
         "tilos bevenni két órán nem szabad Kovács Anna nélkül."),
        (None, "Ne szedje 8 napnál tovább.", "Ne szedje 8 napnál"),
    ],
)  # fmt: skip
def test_numbers_negations_and_names_are_protected(
    language: str | None, text: str, stays: str
) -> None:
    spans = words(text)
    kept = protected(text, spans, language)
    assert " ".join(text[slice(*spans[i])] for i in sorted(kept)) == stays


# --- targets


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("0.5", 100, 50),
        ("30%", 10, 3),
        ("80", 100, 80),
        ("80", 60, 60),
        ("", 10, 5),
        ("0.01", 10, 1),
    ],
)
def test_targets(text: str, tokens: int, expected: int) -> None:
    from llar.retrieve.rewrite.arguments import Arguments

    target = Target.read(Arguments("compress[:rate|tokens]", text, "post"), 0, 0.5)
    assert target.of(tokens) == expected


@pytest.mark.parametrize("step", ["compress", "surprisal", "llmlingua2"])
@pytest.mark.parametrize("rate", ["0", "1.5", "x", "-3", "101%", "nan", "0.5:1"])
def test_rates_that_are_none(step: str, rate: str) -> None:
    index = collection([PROSE])
    with pytest.raises(QueryError, match=rf"--post {step}: .*expected {step}\[:rate\|tokens\]"):
        apply(f"{step}:{rate}", found(index, [1.0]), searcher(index))


# --- sentences


def test_the_sentences_that_matter_are_kept_in_their_order() -> None:
    index = collection([PROSE])
    search = searcher(index, chat=FakeChat())
    (short,) = apply("compress:0.6", found(index, [1.0]), search, "How many days of annual leave?")
    assert verbatim(short) == [
        "Full-time staff have 27 days of annual leave.",
        "Leave must be agreed with the head of the department.",
    ]
    assert short.content == GAP.join(verbatim(short))
    assert short.chunk.text == PROSE  # the passage itself is as it was
    (row,) = told(search, "sentences kept")["passages"]
    # Words and signs: 8, 11, 7 and 11; 11, a gap and 11 are left.
    assert row == {"chunk_id": 1, "tokens": 37, "kept": 23, "sentences": 4, "sentences_kept": 2}


def test_at_most_so_many_tokens_and_at_least_a_sentence() -> None:
    index = collection([PROSE])
    question = "How many days of annual leave?"
    for most, kept in (("5", 1), ("11", 1), ("23", 2), ("400", 4)):
        (short,) = apply(f"compress:{most}", found(index, [1.0]), searcher(index), question)
        spans = [] if short.kept is None else verbatim(short)
        assert sum(text.count(".") for text in spans) == kept
        assert "27 days" in " ".join(spans)


def test_sentences_that_follow_each_other_stay_one_span() -> None:
    index = collection([PROSE])
    (short,) = apply("compress:1.0", found(index, [1.0]), searcher(index), "leave")
    assert verbatim(short) == [PROSE]


def test_a_table_keeps_its_header_and_the_rows_asked_for() -> None:
    table = (
        "| drug | dose |\n|---|---|\n| aspirin | 100 mg |\n| ibuprofen | 400 mg |\n| iron | 80 mg |"
    )
    index = collection([table])
    one = found(index, [1.0])[0]
    hits = [Hit(one.document, hit(table, kind="table").chunk, 1, 1.0)]
    (short,) = apply("compress:0.5", hits, searcher(index), "dose of ibuprofen")
    assert verbatim(short) == ["| drug | dose |\n|---|---|", "| ibuprofen | 400 mg |"]


def test_a_heading_that_stands_above_anyway_is_not_kept() -> None:
    index = collection([PROSE])
    text = f"# Annual leave\n\n{PROSE}"
    one = found(index, [1.0])[0]
    hits = [Hit(one.document, hit(text, headings=("Annual leave",)).chunk, 1, 1.0)]
    (short,) = apply("compress:12", hits, searcher(index), "How much annual leave?")
    assert short.content == "Annual leave\nFull-time staff have 27 days of annual leave."
    (only,) = apply("compress:12", [Hit(one.document, hit("# A", headings=("A",)).chunk, 1, 1.0)],
                    searcher(index))  # fmt: skip
    assert only.content == "A"


def test_only_what_a_prompt_shows_is_made_shorter() -> None:
    index = collection([PROSE, PROSE + " Yes.", PROSE + " No."])
    search = searcher(index, passages=2)
    hits = apply("order:edges,compress:0.3", found(index, [0.9, 0.8, 0.7]), search, "leave")
    assert [(h.chunk_id, h.kept is None) for h in hits] == [(1, False), (3, True), (2, False)]
    assert len(told(search, "sentences kept")["passages"]) == 2


def test_code_stays_whole() -> None:
    index = collection(["x = 1\ny = 2\n"])
    code = hit("x = 1\ny = 2\n", kind="code")
    for step in ("compress:0.5", "surprisal:0.5"):
        search = searcher(index)
        (same,) = apply(step, [code], search)
        assert same == code
        assert "stays whole" in search.steps[-1].about["passages"][0]["why"]


# --- words


def test_surprising_words_by_hand() -> None:
    # The fake model: a token read before costs 1, any other as much as it has letters: 2 4 6 5 7
    # 1 1 8 2, and 2 4 5 6 4.3 3 3.3 3.7 3.3 as means of three.
    text = "we like longer words because longer words surprise us"
    index = collection([text], language="en")
    search = searcher(index, chat=FakeChat())
    (short,) = apply("surprisal:4", found(index, [1.0]), search)
    assert verbatim(short) == ["like longer words because"]
    (row,) = told(search, "surprising words")["passages"]
    assert (row["tokens"], row["kept"]) == (9, 4)
    assert "why" not in row


def test_words_that_must_stay_can_miss_the_target_which_is_said() -> None:
    text = "Ana paid 3 euros and 7 cents to Eva for 9 apples, not 10, in total of everything."
    index = collection([text])
    search = searcher(index, chat=FakeChat())
    (short,) = apply("surprisal:0.1", found(index, [1.0]), search)
    shown = short.content.split()
    assert {"3", "7", "9", "not", "10,", "Eva"} <= set(shown)
    assert "everything." not in shown
    (row,) = told(search, "surprising words")["passages"]
    assert row["why"] == "the words that must stay take more than 2"
    assert row["kept"] > 2


def test_a_model_without_likelihoods_is_refused() -> None:
    class Plain:
        name = "test:plain"
        context = 100

        def chat(self, *_: Any) -> Any: ...
        def stream(self, *_: Any) -> Any: ...
        def complete(self, *_: Any) -> Any: ...
        def count_tokens(self, text: str) -> int:
            return len(text.split())

        def count_prompt(self, *_: Any) -> int:
            return 0

        def close(self) -> None: ...

    index = collection([PROSE])
    plain: ChatModel = Plain()
    for step in ("surprisal", "likelihood"):
        with pytest.raises(QueryError, match=f"--post {step}: test:plain does not tell how likely"):
            apply(step, found(index, [1.0]), searcher(index, chat=plain))


def test_compressing_twice_takes_from_what_is_left() -> None:
    index = collection([PROSE])
    search = searcher(index, chat=FakeChat())
    once = apply("compress:0.6", found(index, [1.0]), search, "annual leave days")
    (twice,) = apply("surprisal:0.6", once, search)
    left = " ".join(verbatim(once[0]))
    assert all(part in left for part in verbatim(twice))
    row = told(search, "surprising words")["passages"][0]
    assert row["tokens"] == FakeChat().count_tokens(once[0].content)
    assert row["kept"] <= row["tokens"] * 0.6 + 1


def test_sentences_of_what_is_left_bring_nothing_back() -> None:
    index = collection([PROSE])
    search = searcher(index, chat=FakeChat())
    (once,) = apply("surprisal:0.5", found(index, [1.0]), search)
    (twice,) = apply("compress:0.5", [once], search, "annual leave days")
    assert twice.kept
    assert once.kept
    assert len(twice.content) < len(once.content)
    for a, b in twice.kept:
        assert any(start <= a and b <= end for start, end in once.kept)


LONG = """The Normans were the people who in the 10th and 11th centuries gave their name to
Normandy, a region in the north of the country. They were descended from raiders and pirates who
came over the sea and, under their leader Rollo, agreed to swear fealty to King Charles III.
Through generations of assimilation and mixing with the native populations, their descendants
would gradually merge with the cultures of the land, and a distinct cultural and ethnic identity
emerged initially in the first half of the 10th century, and it continued to evolve over the
succeeding centuries."""


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.4, 0.55, 0.8])
def test_the_real_model_meets_the_rate(smollm: LikelihoodModel, rate: float) -> None:
    index = collection([LONG])
    search = searcher(index, chat=smollm)
    (short,) = apply(f"surprisal:{rate}", found(index, [1.0]), search)
    (row,) = told(search, "surprising words")["passages"]
    assert row["tokens"] == smollm.count_tokens(LONG)
    assert row["kept"] == smollm.count_tokens(short.content)
    assert abs(row["kept"] - rate * row["tokens"]) <= max(1.5, 0.02 * row["tokens"])
    left = " ".join(verbatim(short))
    assert "10th" in left
    assert "Rollo" in left
    assert "King Charles III." in left
    assert len(verbatim(short)) > 3


# --- LLMLingua-2

CONFIG = BERT | {"architectures": ["BertForTokenClassification"]}


def write_compressor(folder: Path) -> dict[str, Array]:
    """A random token classifier; returns its tensors without their prefix."""
    tensors = write_model(folder, CONFIG, prefix="bert.")
    rng = np.random.default_rng(3)
    head = {"classifier.weight": rng.normal(0, 1, (2, 16)).astype(np.float32),
            "classifier.bias": rng.normal(0, 1, 2).astype(np.float32)}  # fmt: skip
    file = folder / "model.safetensors"
    save_file(load_file(file) | head, file)
    return tensors | head


def tiny(folder: Path) -> BertCompressor:
    return BertCompressor(
        folder, name="ctranslate2:tiny", sha256="x", cache=folder / "cache", threads=1,
        compute_type="float32",
    )  # fmt: skip


def reference(tensors: dict[str, Array], ids: list[int]) -> list[float]:
    """The probability of "keep" for each token between the first and the last."""
    states = forward(tensors, ids, layers=2, heads=4, epsilon=1e-5)[1:-1]
    logits = states @ tensors["classifier.weight"].T + tensors["classifier.bias"]
    powers = np.exp(logits)
    return [float(p) for p in powers[:, 1] / powers.sum(axis=1)]


def test_a_compressor_equals_numpy(tmp_path: Path) -> None:
    tensors = write_compressor(tmp_path / "m")
    text = f"{WORDS[4]} {WORDS[5]}  {WORDS[4]}"
    model = tiny(tmp_path / "m")
    worths = model.worths(text)
    assert [text[t.start : t.end] for t in worths] == text.split()
    expected = reference(tensors, [0, 4, 5, 4, 2])
    assert [t.worth for t in worths] == pytest.approx(expected, abs=1e-5)
    assert len({round(t.worth, 3) for t in worths}) > 1
    model.close()


def test_a_text_too_long_for_a_compressor_is_read_in_halves(tmp_path: Path) -> None:
    tensors = write_compressor(tmp_path / "m")
    model = tiny(tmp_path / "m")
    text = " ".join([WORDS[4]] * 10 + [WORDS[5]] * 10)  # it reads 18 and two special tokens
    worths = model.worths(text)
    assert [text[t.start : t.end] for t in worths] == text.split()
    middle = text.find(" ", len(text) // 2)
    first = len(text[:middle].split())
    ids = [4] * 10 + [5] * 10
    expected = [
        *reference(tensors, [0, *ids[:first], 2]),
        *reference(tensors, [0, *ids[first:], 2]),
    ]
    assert [t.worth for t in worths] == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def pulled(home: Path, tmp_path: Path) -> dict[str, Array]:
    """A compressor that was imported under the name "tiny"."""
    tensors = write_compressor(tmp_path / "m")
    pull(f"file:{tmp_path / 'm'}", load(), name="tiny")
    return tensors


def test_an_imported_compressor_says_what_it_is(pulled: dict[str, Array]) -> None:
    from llar.models.store import Store

    model = Store(load().models_dir).get("tiny")
    assert (model.kind, model.full_name, model.context) == ("compressor", "ctranslate2:tiny", 20)
    opened = open_compressor(load({"compressor": "ctranslate2:tiny"}))
    assert opened.name == "ctranslate2:tiny"
    opened.close()


def test_llmlingua2_keeps_the_words_worth_most(pulled: dict[str, Array]) -> None:
    worth = reference(pulled, [0, 4, 5, 6, 7, 2])
    ranked = sorted(range(4), key=lambda i: -worth[i])
    assert worth[ranked[0]] > worth[ranked[1]] + 0.1  # more than int8 can change
    assert worth[ranked[2]] > worth[ranked[3]] + 0.1
    text = " ".join(WORDS[4:8])
    index = collection([text], language="xx")
    search = searcher(index, chat=FakeChat(), compressor="ctranslate2:tiny")
    for many in (1, 3):
        (short,) = apply(f"llmlingua2:{many}", found(index, [1.0]), search)
        assert short.content.split() == [text.split()[i] for i in sorted(ranked[:many])]
        assert told(search, "words worth keeping")["passages"][0]["kept"] == many


def test_llmlingua2_that_is_not_installed(home: Path) -> None:
    index = collection([PROSE])
    with pytest.raises(ModelNotInstalled) as e:
        apply("llmlingua2", found(index, [1.0]), searcher(index))
    assert e.value.fix == "llar models pull llmlingua-2-bert-base"


def test_an_encoder_without_the_two_classes_is_no_compressor(tmp_path: Path) -> None:
    write_model(tmp_path / "m", CONFIG, prefix="bert.")
    with pytest.raises(ModelCorrupt, match=r"no tensor 'classifier.weight'"):
        tiny(tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    head = {"classifier.weight": np.zeros((3, 16), np.float32),
            "classifier.bias": np.zeros(3, np.float32)}  # fmt: skip
    save_file(load_file(file) | head, file)
    with pytest.raises(ModelCorrupt, match=r"shape \(3, 16\), expected \(2, 16\)"):
        tiny(tmp_path / "m")


# --- in an answer


def test_what_was_left_out_is_not_said_to_be_shown(home: Path, tmp_path: Path) -> None:
    config = load({"embedder": "fake:hash", "chat_model": "fake:echo", "query": "none"})
    with Collection("c", config=config) as docs:
        docs.add(files(tmp_path / "f", leave=PROSE))
        question = "How many days of annual leave do staff have?"
        said = "fake:say:The rooms are cleaned on Mondays. Staff have 27 days of annual leave."
        answer = docs.ask(question, model=said, post="compress:12")
        shown = answer.prompt[-1].content
        text = docs.index.text(1)
    assert "27 days" in shown
    assert "Mondays" not in shown
    assert not answer.sentences[0].supported
    assert "27 days" in answer.answer
    for c in answer.citations:
        assert text[c.start : c.end] == c.quote
    assert json.dumps(answer.hits[0].as_json()["kept"]) != "null"
