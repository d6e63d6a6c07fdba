"""The fakes that ship with llar, and how models are found by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llar.config import load
from llar.errors import ConfigError, ContextTooLong, EngineError, UnknownModel
from llar.models import open_chat, open_embedder, open_reranker
from llar.models.fake import FakeChat, FakeEmbedder, FakeReranker
from llar.models.interface import ChatModel, Embedder, Options, Reranker
from llar.records import Message, Piece, TokenProbability, Usage

ASK = [
    Message("system", "Use the passages."),
    Message("user", "[1] Adults take 500 mg. Twice a day.\n[2] Rain fell.\n\nHow much?"),
]


# --- chat


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("fake:echo", ASK[1].content),
        ("fake:quote", "Adults take 500 mg. [1]"),
        ("fake:say:Not found: nothing.", "Not found: nothing."),
    ],
)
def test_each_rule_answers_as_it_says(home: Path, name: str, answer: str) -> None:
    model: ChatModel = open_chat(load(), name)
    assert model.chat(ASK).text == answer
    assert "".join(piece.text for piece in model.stream(ASK)) == answer
    assert model.chat(ASK).model == model.name == name


def test_quote_without_a_passage_repeats_the_question() -> None:
    assert FakeChat("fake:quote").chat([Message("user", "Hello?")]).text == "Hello?"


def test_replies_come_in_order_and_conversations_are_kept() -> None:
    model = FakeChat(replies=["one", "two"])
    assert [model.chat(ASK).text, model.complete("x").text] == ["one", "two"]
    assert model.asked == [tuple(ASK)]
    with pytest.raises(EngineError, match="no reply is left"):
        model.chat(ASK)


def test_tokens_are_words_and_signs() -> None:
    model = FakeChat()
    assert model.count_tokens("Adults take 500 mg.") == 5
    assert model.count_tokens("") == 0
    assert model.count_prompt(ASK) == 4 + 1 + 21 + 1  # two texts, and one for each role


def test_max_tokens_stop_and_usage_are_honoured() -> None:
    model = FakeChat("fake:say:one two. three")
    cut = model.chat([Message("user", "a b")], Options(max_tokens=2))
    assert (cut.text, cut.finish_reason, cut.usage) == ("one two", "length", Usage(3, 2))
    stopped = model.chat([Message("user", "a b")], Options(stop=(" three", ".")))
    assert (stopped.text, stopped.finish_reason, stopped.usage) == ("one two", "stop", Usage(3, 2))
    assert list(model.stream([Message("user", "a")], Options(max_tokens=1))) == [
        Piece("one"),
        Piece("", finish_reason="length", usage=Usage(2, 1)),
    ]


def test_probabilities_are_certain() -> None:
    model = FakeChat("fake:say:yes no")
    assert model.chat(ASK, Options(top_logprobs=1)).tokens == (
        TokenProbability("yes", 0.0, (("yes", 0.0),)),
        TokenProbability(" no", 0.0, ((" no", 0.0),)),
    )
    assert model.chat(ASK, Options(top_logprobs=0)).tokens[0].top == ()
    assert model.chat(ASK).tokens == ()


def test_what_a_fake_cannot_do_is_an_error() -> None:
    with pytest.raises(EngineError, match="asked for JSON"):
        FakeChat("fake:say:hello").chat(ASK, Options(schema={"type": "object"}))
    assert FakeChat('fake:say:{"a": 1}').chat(ASK, Options(schema={})).text == '{"a": 1}'
    with pytest.raises(ConfigError, match="no adapter 'x'"):
        FakeChat().chat(ASK, Options(adapters=(("x", 1.0),)))
    with pytest.raises(ContextTooLong, match=r"prompt of 27 tokens .* up to 4 .* context of 30"):
        FakeChat(context=30).stream(ASK, Options(max_tokens=4))
    assert FakeChat(context=30).chat(ASK, Options(max_tokens=3)).usage == Usage(27, 3)


# --- embeddings and ranking


def test_texts_that_share_words_are_near() -> None:
    embedder: Embedder = FakeEmbedder()
    texts = ["the cat sat", "the cat ran", "quick brown fox", "", "CAT the Sat!"]
    vectors = embedder.embed_documents(texts)
    assert vectors.shape == (5, 64)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] == pytest.approx(2 / 3, abs=0.25)  # two words of three
    assert abs(vectors[0] @ vectors[2]) < 0.4
    assert vectors[0] @ vectors[4] == pytest.approx(1)
    np.testing.assert_array_equal(embedder.embed_query("the cat sat"), vectors[0])
    assert embedder.embed_documents([]).shape == (0, 64)


def test_another_process_makes_the_same_vector() -> None:
    code = (
        "from llar.models.fake import FakeEmbedder\n"
        "print(FakeEmbedder().embed_query('the cat').tolist())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == str(FakeEmbedder().embed_query("the cat").tolist())


def test_limits_and_identities(home: Path) -> None:
    embedder = open_embedder(load(), "fake:hash-32")
    assert embedder.identity.dimension == 32
    assert embedder.identity != open_embedder(load(), "fake:hash").identity
    assert embedder.count_tokens("one two, three") == 3
    assert embedder.embed_query("w " * 256).shape == (32,)
    with pytest.raises(ContextTooLong, match=r"257 tokens .* 256"):
        embedder.embed_documents(["w " * 257])


def test_overlap_is_the_share_of_the_querys_words(home: Path) -> None:
    reranker: Reranker = open_reranker(load(), "fake:overlap")
    texts = ["the dose of a child", "Dose!", "rain", ""]
    assert reranker.rerank("child dose", texts) == [1.0, 0.5, 0.0, 0.0]
    assert reranker.rerank("?", ["a"]) == [0.0]
    assert isinstance(reranker, FakeReranker)


# --- names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2", "names no backend; expected backend:name .* did you mean 'llamacpp:smollm2'"),
        ("llamacpp:", "names no backend"),
        (":x", "names no backend"),
        ("lamacpp:x", "no backend 'lamacpp', .* did you mean 'llamacpp:x'"),
        ("ctranslate2:x", "no backend 'ctranslate2', expected one of fake, llamacpp, openai"),
        ("fake:ecco", "expected echo, quote or say:TEXT"),
        ("llamacpp:smollm3-135m", "no model 'llamacpp:smollm3-135m'; did you mean"),
    ],
)
def test_a_name_that_means_nothing_says_what_would(home: Path, name: str, message: str) -> None:
    with pytest.raises(UnknownModel, match=message):
        open_chat(load(), name)


def test_each_kind_has_its_own_names(home: Path) -> None:
    with pytest.raises(UnknownModel, match="expected hash or hash-N"):
        open_embedder(load(), "fake:echo")
    with pytest.raises(UnknownModel, match="expected overlap"):
        open_reranker(load(), "fake:hash")


def test_the_configured_model_is_the_default(home: Path) -> None:
    config = load({"chat_model": "fake:echo", "embedder": "fake:hash-8"})
    assert open_chat(config).name == "fake:echo"
    assert open_embedder(config).identity.name == "fake:hash-8"


def test_another_package_can_bring_a_backend(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parrot.py").write_text(
        "from llar.models.fake import FakeChat\n"
        "class Parrot(FakeChat):\n"
        "    @classmethod\n"
        "    def open(cls, config, name):\n"
        "        return cls(f'parrot:{name}')\n"
    )
    info = tmp_path / "parrot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llar.backends]\nchat.parrot = parrot:Parrot\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert open_chat(load(), "parrot:polly").name == "parrot:polly"
    with pytest.raises(UnknownModel):
        open_embedder(load(), "parrot:polly")


def test_listing_backends_imports_none_of_them() -> None:
    code = (
        "import sys, llar.models\n"
        "heavy = {'numpy', 'httpx', 'ctranslate2', 'xllamacpp', 'tokenizers'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
