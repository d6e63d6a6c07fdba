"""The OpenAI protocol against a real local server, well and in every way unwell."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai_server as wire
import pytest
from conftest import STORE
from openai_server import Failure, OpenAIServer

from llar.config import load
from llar.errors import ConfigError, ContextTooLong, RemoteError, UnknownModel
from llar.models import open_chat, open_embedder
from llar.models.fake import FakeEmbedder
from llar.models.interface import ChatModel, Embedder, Options
from llar.models.llamacpp import LlamaChat
from llar.models.openai import OpenAIChat, OpenAIEmbedder
from llar.models.remote import Remote
from llar.records import Message, TokenProbability, Usage

pytestmark = pytest.mark.slow

HELLO = [Message("system", "Be kind."), Message("user", "Hello there, you.")]
CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def remote(server: OpenAIServer, **given: Any) -> Remote:
    return Remote(server.url, **({"timeout": 5.0, "pause": 0.01} | given))


def chat(server: OpenAIServer, **given: Any) -> OpenAIChat:
    return OpenAIChat(remote(server, **given), "echo")


# --- configuration


def test_the_configured_server_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(key="secret-1") as server:
        monkeypatch.setenv("LLAR_OPENAI_BASE_URL", server.url + "/")
        monkeypatch.setenv("LLAR_OPENAI_API_KEY", "secret-1")
        model: ChatModel = open_chat(load(), "openai:echo")
        embedder: Embedder = open_embedder(load(), "openai:hash")
        assert model.name == "openai:echo"
        assert model.chat(HELLO).text == "Hello there, you."
        assert embedder.identity.name == "openai:hash"
        model.close()
        embedder.close()
        monkeypatch.setenv("LLAR_OPENAI_API_KEY", "wrong")
        with pytest.raises(RemoteError, match="401: Incorrect API key") as caught:
            open_chat(load(), "openai:echo")
        assert caught.value.status == 401
        assert "LLAR_OPENAI_API_KEY" in str(caught.value)
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "openai_base_url is empty\nfix: export LLAR_OPENAI_BASE_URL="),
        ("localhost:8000/v1", "expected something like http"),
        ("ftp://x/v1", "expected something like http"),
        ("http://me:pw@127.0.0.1/v1", "holds a password"),
    ],
)
def test_a_base_url_that_is_none(home: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_chat(load({"openai_base_url": url}), "openai:echo")


def test_nobody_listening_is_a_remote_error(home: Path) -> None:
    config = load({"openai_base_url": "http://127.0.0.1:9/v1", "openai_retries": 0})
    with pytest.raises(
        RemoteError, match=r"connection to http://127\.0\.0\.1:9/v1/models"
    ) as caught:
        open_chat(config, "openai:echo")
    assert caught.value.status is None


def test_a_model_the_server_lacks_is_named(server: OpenAIServer) -> None:
    with pytest.raises(UnknownModel, match="no model 'ecko', only 'echo', 'hash'; did you mean"):
        OpenAIChat(remote(server), "ecko")


def test_the_context_is_the_servers_or_the_settings(server: OpenAIServer) -> None:
    assert chat(server).context == 1000
    assert OpenAIChat(remote(server), "echo", context=500).context == 500
    with pytest.raises(ConfigError, match="2000 tokens was asked for, the server has 1000"):
        OpenAIChat(remote(server), "echo", context=2000)
    server.models = {"echo": None}
    assert OpenAIChat(remote(server), "echo", context=700).context == 700
    with pytest.raises(ConfigError, match=r"does not say how long(?s:.)*set LLAR_CONTEXT"):
        OpenAIChat(remote(server), "echo")
    server.failures["/v1/models"] = [wire.status(404)]  # a server without that list
    assert OpenAIChat(remote(server), "echo", context=700).context == 700


# --- chat


def test_every_option_is_sent(server: OpenAIServer) -> None:
    model = chat(server)
    schema = {"type": "object"}
    options = Options(
        max_tokens=9, temperature=0.5, top_p=0.9, seed=7, stop=("you", "!"), schema=schema,
        top_logprobs=2,
    )  # fmt: skip
    answer = model.chat(HELLO, options)
    assert server.last(CHAT) == {
        "model": "echo",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello there, you."},
        ],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["you", "!"],
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
    }
    assert (answer.text, answer.finish_reason) == ("Hello there, ", "stop")
    assert answer.tokens[0] == TokenProbability("Hello", -0.5, (("other", -2.0),))
    model.chat(HELLO)
    assert server.last(CHAT).keys() == {"model", "messages", "temperature"}


def test_chat_and_stream_agree(server: OpenAIServer) -> None:
    model = chat(server)
    for options in (Options(), Options(max_tokens=2), Options(top_logprobs=1)):
        whole = model.chat(HELLO, options)
        pieces = list(model.stream(HELLO, options))
        assert "".join(p.text for p in pieces) == whole.text
        assert len(pieces) > 2
        assert pieces[-1].finish_reason == whole.finish_reason
        assert pieces[-1].usage == whole.usage
        assert tuple(token for p in pieces for token in p.tokens) == whole.tokens
    assert model.chat(HELLO, Options(max_tokens=2)).finish_reason == "length"
    assert model.chat(HELLO).usage == Usage(10, 5)  # 3 + 5 words and signs, 2 roles; 5 repeated


def test_raw_completion(server: OpenAIServer) -> None:
    answer = chat(server).complete("one two", Options(top_logprobs=1))
    assert (answer.text, answer.usage) == ("one two", Usage(2, 2))
    assert answer.tokens[1] == TokenProbability(" two", 0.0, ((" two", 0.0),))
    assert server.last("/v1/completions")["logprobs"] == 1


def test_closing_a_stream_hangs_up(server: OpenAIServer) -> None:
    server.failures[CHAT] = [wire.endless]
    stream = chat(server).stream(HELLO)
    assert next(stream).text == "x"
    stream.close()
    assert server.gone.wait(5)
    assert server.sent_events < 500


def test_adapters_are_refused(server: OpenAIServer) -> None:
    with pytest.raises(ConfigError, match="adapter 'law' cannot be chosen per request"):
        chat(server).chat(HELLO, Options(adapters=(("law", 1.0),)))


# --- counting


@pytest.mark.parametrize(("kind", "prompt"), [("vllm", 10), ("llama.cpp", 14)])
def test_servers_that_count_are_asked(kind: str, prompt: int) -> None:
    # llama.cpp renders <system>Be kind.<user>Hello there, you.: 3 + 5 words and signs, 2 x 3
    with OpenAIServer(kind) as server:
        model = chat(server)
        assert model.counts_exactly
        assert model.count_tokens("Hello there, you.") == 5
        assert model.count_prompt(HELLO) == prompt


def test_elsewhere_the_count_is_an_upper_bound() -> None:
    with OpenAIServer("plain") as server:
        model = chat(server)
        assert not model.counts_exactly
        assert model.count_tokens("año") == 4 + 2  # UTF-8 bytes, and two to be safe
        assert model.count_prompt(HELLO) == 64 + (16 + 8 + 2) + (16 + 17 + 2)
        with pytest.raises(ContextTooLong, match="counted as bytes"):
            model.chat([Message("user", "x" * 990)])


def test_a_failing_counter_is_an_error_not_a_guess(server: OpenAIServer) -> None:
    server.failures["/tokenize"] = [wire.status(500)] * 9
    with pytest.raises(RemoteError, match="/tokenize answered 500"):
        chat(server, retries=1)


def test_prompt_and_answer_must_fit(server: OpenAIServer) -> None:
    model = OpenAIChat(remote(server), "echo", context=20)
    assert model.chat(HELLO, Options(max_tokens=10)).text
    sent = len(server.requests)
    with pytest.raises(ContextTooLong, match=r"prompt of 10 tokens and .* 11 do not .* of 20"):
        model.chat(HELLO, Options(max_tokens=11))
    with pytest.raises(ContextTooLong):
        model.stream(HELLO, Options(max_tokens=11))
    assert CHAT not in server.paths()[sent:]


# --- tries


@pytest.mark.parametrize(
    "failure", [wire.status(429), wire.status(500), wire.status(503), wire.drop]
)
def test_passing_failures_are_tried_again(server: OpenAIServer, failure: Failure) -> None:
    model = chat(server)
    server.failures[CHAT] = [failure, failure]
    assert model.chat(HELLO).text == "Hello there, you."
    assert server.paths().count(CHAT) == 3
    server.failures[CHAT] = [failure, failure]
    assert len(list(model.stream(HELLO))) > 2


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 501])
def test_lasting_failures_are_not(server: OpenAIServer, code: int) -> None:
    model = chat(server)
    server.failures[CHAT] = [wire.status(code, "the reason")]
    with pytest.raises(RemoteError, match=f"answered {code}: the reason") as caught:
        model.chat(HELLO)
    assert caught.value.status == code
    assert server.paths().count(CHAT) == 1


def test_the_last_try_tells_what_the_server_said(server: OpenAIServer) -> None:
    model = chat(server, retries=2)
    server.failures[CHAT] = [wire.status(503, "too busy")] * 9
    with pytest.raises(RemoteError, match="answered 503: too busy") as caught:
        model.chat(HELLO)
    assert caught.value.status == 503
    assert server.paths().count(CHAT) == 3
    server.failures[CHAT] = [wire.drop] * 9
    with pytest.raises(RemoteError, match=r"failed \(3 tries\)") as caught:
        model.chat(HELLO)
    assert caught.value.status is None


def test_pauses_grow(server: OpenAIServer) -> None:
    model = chat(server, pause=0.1)
    server.failures[CHAT] = [wire.status(500)] * 3
    model.chat(HELLO)
    at = [r.at for r in server.requests if r.path == CHAT]
    pauses = [b - a for a, b in itertools.pairwise(at)]
    # 0.1, 0.2 and 0.4 s, each a quarter up or down
    assert pauses[0] >= 0.075
    assert pauses[1] >= 0.15
    assert 0.3 <= pauses[2] < 2


def test_retry_after_is_honoured(server: OpenAIServer) -> None:
    model = chat(server)
    server.failures[CHAT] = [wire.status(429, Retry_After="0.4")]
    start = time.monotonic()
    model.chat(HELLO)
    assert time.monotonic() - start >= 0.4
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    server.failures[CHAT] = [wire.status(503, Retry_After=soon)]
    start = time.monotonic()
    model.chat(HELLO)
    assert time.monotonic() - start >= 0.9
    server.failures[CHAT] = [wire.status(429, "quota used up", Retry_After="3600")]
    with pytest.raises(RemoteError, match="quota used up"):  # nobody waits an hour
        model.chat(HELLO)


def test_a_silent_server_is_given_up_on(server: OpenAIServer) -> None:
    model = chat(server, timeout=0.3)
    server.failures[CHAT] = [wire.hang(1)]
    with pytest.raises(RemoteError, match="did not answer in time") as caught:
        model.chat(HELLO)
    assert caught.value.status is None
    assert server.paths().count(CHAT) == 1  # it may still be at work on the first


# --- answers that are none


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (wire.text("<!doctype html>Hi"), r"text/html \('<!doctype html>Hi'\), expected"),
        (wire.text("{", "application/json"), "expected JSON"),
        (wire.half, "broke off its answer"),
        (wire.answer([]), "no answer"),
        (wire.answer({}), "no answer"),
        (wire.answer({"choices": []}), "no answer"),
        (wire.answer({"choices": [{"message": {}, "finish_reason": "stop"}]}), "no answer"),
        (wire.answer({"error": {"message": "model is loading"}}), "model is loading"),
        (wire.answer({"error": "model is loading"}), "model is loading"),
        (
            wire.answer({"choices": [{"message": {"content": ""}, "finish_reason": "filtered"}]}),
            "ended its answer with 'filtered'",
        ),
        (wire.text("<h1>Bad Gateway", code=400), "answered 400: text/html"),
        (wire.redirect("https://elsewhere.example/v1"), "redirects to 'https://elsewhere.example/v1'"),
    ],
)  # fmt: skip
def test_a_malformed_answer_is_a_remote_error(
    server: OpenAIServer, failure: Failure, message: str
) -> None:
    model = chat(server)
    server.failures[CHAT] = [failure]
    with pytest.raises(RemoteError, match=message):
        model.chat(HELLO)


def _delta(text: str, finish: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (wire.events(_delta("Hel"), whole=False), "broke off in the middle"),
        (wire.events(_delta("Hel")), "broke off in the middle"),  # [DONE], but it never finished
        (wire.events(_delta("Hel"), {"error": {"message": "out of memory"}}), "out of memory"),
        (wire.events(_delta("Hel"), "{"), "event that is no JSON: '{'"),
        (wire.events(_delta("Hel"), {"choices": [{}]}), "no answer"),
        (wire.events(_delta("Hel"), []), "no answer"),
    ],
)
def test_a_stream_that_goes_wrong_is_a_remote_error(
    server: OpenAIServer, failure: Failure, message: str
) -> None:
    model = chat(server)
    server.failures[CHAT] = [failure]
    stream = model.stream(HELLO)
    assert next(stream).text == "Hel"
    with pytest.raises(RemoteError, match=message):
        list(stream)


def test_html_instead_of_a_stream(server: OpenAIServer) -> None:
    model = chat(server)
    server.failures[CHAT] = [wire.text("<html>Sign in")]
    with pytest.raises(RemoteError, match="<html>Sign in"):
        next(model.stream(HELLO))


def test_a_list_of_models_that_is_none(server: OpenAIServer) -> None:
    server.failures["/v1/models"] = [wire.answer({"data": None})]
    with pytest.raises(RemoteError, match="no list of models"):
        chat(server)


def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert chat(server).chat(HELLO).text == "Hello there, you."


# --- embeddings


def test_embeddings(server: OpenAIServer) -> None:
    embedder = OpenAIEmbedder(remote(server), "hash")
    identity = embedder.identity
    assert (identity.name, identity.dimension, identity.sha256) == ("openai:hash", 16, "")
    assert embedder.max_tokens == 92  # 100 less 8 for what a server adds
    texts = [f"text number {i} of many" for i in range(150)]
    vectors = embedder.embed_documents(texts)
    np.testing.assert_allclose(vectors, FakeEmbedder(16).embed_documents(texts), atol=1e-6)
    assert vectors.dtype == np.float32
    assert [len(r.body["input"]) for r in server.requests if r.path == EMBED] == [1, 64, 64, 22]
    np.testing.assert_allclose(embedder.embed_query(texts[3]), vectors[3], atol=1e-6)
    assert embedder.embed_documents([]).shape == (0, 16)


def test_a_text_that_is_too_long_is_never_sent(server: OpenAIServer) -> None:
    embedder = OpenAIEmbedder(remote(server), "hash")
    assert embedder.embed_query("word" + " word" * 91).shape == (16,)
    sent = server.paths().count(EMBED)
    with pytest.raises(ContextTooLong, match="93 tokens is longer than the 92"):
        embedder.embed_documents(["short", "word" + " word" * 92])
    assert server.paths().count(EMBED) == sent


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "0 vectors for 2 texts"),
        ([{"index": 0, "embedding": [1.0] * 16}], "1 vectors for 2 texts"),
        ([{"index": 0, "embedding": [1.0] * 16}] * 2, "2 vectors for 2 texts"),
        ([{"index": i, "embedding": [1.0] * 8} for i in range(2)], "expected 16 numbers"),
        ([{"index": i, "embedding": [1.0] * (15 + i)} for i in range(2)], "no usable vectors"),
        ([{"index": i, "embedding": "abc"} for i in range(2)], "no usable vectors"),
        ([{"index": i, "embedding": [0.0] * 16} for i in range(2)], "length zero"),
        ([{"index": i, "embedding": [float("nan")] * 16} for i in range(2)], "length zero"),
        (None, "no usable vectors"),
    ],
)
def test_vectors_that_are_none(server: OpenAIServer, data: Any, message: str) -> None:
    embedder = OpenAIEmbedder(remote(server), "hash")
    server.failures[EMBED] = [wire.answer({"data": data})]
    with pytest.raises(RemoteError, match=message):
        embedder.embed_documents(["one", "two"])


# --- against llama.cpp's own server, over a TCP port


def test_a_real_server_gives_what_the_same_model_gives_in_process() -> None:
    import xllamacpp

    file = STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.model_alias = {"smol"}
    params.hostnames = ["127.0.0.1"]
    params.n_ctx, params.n_parallel, params.verbosity = 512, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.fit_params = False
    server = xllamacpp.Server(params)
    here = LlamaChat(file, name="llamacpp:smol", context=512, threads=1)
    there = OpenAIChat(Remote(f"{server.listening_address}/v1"), "smol")
    try:
        assert there.context == 512
        assert there.counts_exactly
        assert there.count_tokens("hello world") == here.count_tokens("hello world") == 2
        assert there.count_prompt(HELLO) == here.count_prompt(HELLO)
        options = Options(max_tokens=12, top_logprobs=2)
        ours, theirs = here.chat(HELLO, options), there.chat(HELLO, options)
        assert theirs.text == ours.text
        assert theirs.usage == ours.usage
        assert [t.token for t in theirs.tokens] == [t.token for t in ours.tokens]
        assert "".join(p.text for p in there.stream(HELLO, options)) == ours.text
        assert there.complete("The capital of France is", Options(max_tokens=1)).text == " Paris"
    finally:
        there.close()
        here.close()
        del server
