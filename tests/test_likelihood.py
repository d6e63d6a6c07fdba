"""How likely a model finds a given text: llama.cpp's C functions, a server's echo, the fake."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import openai_server
import pytest
import tiny_gguf
from conftest import STORE
from openai_server import OpenAIServer

from llar.config import load
from llar.errors import ContextTooLong, EngineError, RemoteError
from llar.models import open_chat
from llar.models.fake import FakeChat
from llar.models.gguf import read
from llar.models.interface import LikelihoodModel, Options, TokenLikelihood
from llar.models.llama_likelihood import BATCH, _logprob
from llar.models.llamacpp import LlamaChat

MIXED = "Ärzte dürfen 日本語 nem tud 🙂 repülni — 3,5 mg.\n\nNext  line\tend"


def covers(text: str, tokens: list[TokenLikelihood]) -> bool:
    """Do the tokens hold the whole text, one after the other?"""
    ends = [0, *(t.end for t in tokens)]
    return [t.start for t in tokens] == ends[:-1] and ends[-1] == len(text)


@pytest.mark.slow
def test_the_likelihood_of_what_was_written_is_that_of_writing_it(smollm: LikelihoodModel) -> None:
    given = "The capital of France is"
    written = smollm.complete(given, Options(max_tokens=6, top_logprobs=1))
    read = smollm.logprobs(written.text, given)
    assert covers(written.text, read)
    # What was read may be split into other tokens than were written, so the sums are compared
    # where the tokens are the same.
    ends = np.cumsum([len(t.token) for t in written.tokens]).tolist()
    same = [(t, ends.index(t.end)) for t in read if t.end in ends]
    assert same[0][0].end == ends[0]
    assert same[0][0].logprob == pytest.approx(written.tokens[0].logprob, abs=0.02)
    best = written.tokens[0]
    other = smollm.logprobs(" Rome", given)
    assert sum(t.logprob for t in other) < best.logprob


@pytest.mark.slow
def test_every_character_is_in_one_token(smollm: LikelihoodModel) -> None:
    read = smollm.logprobs(MIXED, "\n")
    assert covers(MIXED, read)
    assert all(t.logprob < 0 for t in read)


def tiny(folder: Path) -> LlamaChat:
    """SmolLM2's tokens on a model of random numbers, which reads long texts in no time."""
    key = "tokenizer.ggml."
    arrays = {key + name for name in ("tokens", "merges", "token_type")}
    real = read(STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf", arrays).values
    words = {k.removeprefix(key): v for k, v in real.items() if k.startswith(key)}
    file = tiny_gguf.write(folder / "tiny.gguf", words.pop("tokens"), words, context=1500)
    return LlamaChat(file, name="llamacpp:tiny", threads=1)


@pytest.mark.slow
def test_batches_do_not_matter(tmp_path: Path) -> None:
    chat = tiny(tmp_path)
    words = [f"number {n} is followed by the next one," for n in range(90)]
    text = " " + " ".join(words)
    assert 2 * BATCH < chat.count_tokens(text) < 4 * BATCH
    whole = chat.logprobs(text, "Count:")
    for part in (0.1, 0.5, 0.9):  # the first token asked for is in another batch each time
        at = int(len(text) * part)
        cut = next(t.start for t in whole if t.start >= at and text[t.start] == " ")
        behind = chat.logprobs(text[cut:], "Count:" + text[:cut])
        tail = [t.logprob for t in whole if t.start >= cut]
        assert len({round(p) for p in tail}) > 3  # so that a wrong row would be noticed
        assert [t.logprob for t in behind] == pytest.approx(tail, abs=0.05)
    chat.close()


@pytest.mark.slow
def test_what_was_said_before_is_expected(smollm: LikelihoodModel) -> None:
    name = " Xavier Quetzal"
    cold = sum(t.logprob for t in smollm.logprobs(name, "The director is"))
    warm = sum(t.logprob for t in smollm.logprobs(name, f"We met{name}. The director is"))
    assert warm > cold + 5


@pytest.mark.slow
def test_limits_of_a_local_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chat = tiny(tmp_path)
    assert len(chat.logprobs(" word" * 1400, "a")) == 1400  # more than there is room for at first
    with pytest.raises(ContextTooLong, match=r"1 and 1600 tokens .* context of 1500"):
        chat.logprobs(" word" * 1600, "a")
    for text, given in (("", "a"), ("a", "")):
        with pytest.raises(ValueError, match="empty"):
            chat.logprobs(text, given)
    chat.close()
    with pytest.raises(EngineError, match="is closed"):
        chat.logprobs("a", "b")
    assert capfd.readouterr().err == ""  # llama.cpp logs to it unless it is told not to


def test_a_logprob_is_a_log_softmax() -> None:
    row = np.array([0.0, math.log(3), math.log(4)], np.float32)
    assert _logprob(row, 1) == pytest.approx(math.log(3 / 8), abs=1e-6)
    assert _logprob(row + 1000, 2) == pytest.approx(math.log(4 / 8), abs=1e-4)


def test_the_fake_finds_known_words_easy() -> None:
    chat = FakeChat()
    read = chat.logprobs("the red, the", "a red one")
    assert [(t.start, t.end, t.logprob) for t in read] == [
        (0, 3, -3.0), (3, 7, -1.0), (7, 8, -1.0), (8, 12, -1.0),
    ]  # fmt: skip
    with pytest.raises(ContextTooLong):
        FakeChat(context=3).logprobs("one two three", "four")


# --- servers


def echoed(prompt: str, *pieces: tuple[str, float | None]) -> dict[str, Any]:
    """A completion that repeats its prompt, with the probability of each piece."""
    offsets = np.cumsum([0, *(len(text) for text, _ in pieces)]).tolist()[:-1]
    table = {"text_offset": offsets, "tokens": [text for text, _ in pieces],
             "token_logprobs": [p for _, p in pieces]}  # fmt: skip
    return {"choices": [{"text": prompt + "!", "finish_reason": "length", "logprobs": table}]}


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Any:
    with OpenAIServer("vllm") as server:
        monkeypatch.setenv("LLAR_OPENAI_BASE_URL", server.url)
        chat = open_chat(load({"openai_retries": 0}), "openai:echo")
        yield server, chat
        chat.close()


def test_a_server_that_echoes(remote: tuple[OpenAIServer, LikelihoodModel]) -> None:
    server, chat = remote
    body = echoed("ask: one two", ("ask", None), (": o", -0.5), ("ne", -0.25), (" two", -2.0),
                  ("!", -9.0))  # fmt: skip
    server.failures["/v1/completions"] = [openai_server.answer(body)]
    assert chat.logprobs("one two", "ask: ") == [
        TokenLikelihood(0, 1, -0.5),  # it begins in what is given
        TokenLikelihood(1, 3, -0.25),
        TokenLikelihood(3, 7, -2.0),
    ]
    sent = server.last("/v1/completions")
    assert (sent["prompt"], sent["echo"], sent["logprobs"]) == ("ask: one two", True, 1)


def test_a_server_that_does_not(remote: tuple[OpenAIServer, LikelihoodModel]) -> None:
    server, chat = remote
    with pytest.raises(RemoteError, match="does not tell how likely a given text is"):
        chat.logprobs("one", "ask: ")
    server.failures["/v1/completions"] = [
        openai_server.status(400, "Only no echo is supported"),
        openai_server.answer(echoed("ask: one", ("ask: ", None), ("one", None))),
    ]
    with pytest.raises(RemoteError, match="Only no echo is supported"):
        chat.logprobs("one", "ask: ")
    with pytest.raises(RemoteError, match="no answer"):  # a probability is missing
        chat.logprobs("one", "ask: ")
    with pytest.raises(ContextTooLong):
        chat.logprobs("one " * 1000, "ask: ")
