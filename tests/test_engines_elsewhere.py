"""The engines' answers for models that need no child: fakes, and models on another server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer

from llar.config import load
from llar.errors import ContextTooLong, Overloaded, Refused, RemoteError, UnknownModel
from llar.records import Message
from llar.serve.engines import Engines
from llar.serve.engines.line import Line

PATH = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello there, you"}]


@pytest.fixture
def engines(home: Path) -> Iterator[Engines]:
    kept = Engines(load())
    yield kept
    kept.close()


async def _chunks(engines: Engines, name: str, **body: Any) -> list[dict[str, Any]]:
    return [chunk async for chunk in engines.stream(name, PATH, {"messages": HELLO, **body})]


def test_a_fake_answers_in_openais_shape(engines: Engines) -> None:
    asked = {"messages": HELLO, "max_tokens": 2, "logprobs": True, "top_logprobs": 1}
    answer = asyncio.run(engines.request("fake:echo", PATH, asked))
    row = {"token": "Hello", "logprob": 0.0, "bytes": list(b"Hello")}
    choice = answer["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello there"}
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"]["content"][0] == {**row, "top_logprobs": [row]}
    assert (answer["object"], answer["model"]) == ("chat.completion", "fake:echo")
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}  # 3 words, ",", a role
    assert answer["usage"] == usage
    prompt = {"prompt": "one two", "stop": [" two"]}
    raw = asyncio.run(engines.request("fake:echo", "/v1/completions", prompt))
    assert (raw["choices"][0]["text"], raw["choices"][0]["finish_reason"]) == ("one", "stop")


def test_a_fake_streams_token_by_token(engines: Engines) -> None:
    chunks = asyncio.run(_chunks(engines, "fake:echo", stream_options={"include_usage": True}))
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    said = [choice["delta"].get("content") for choice in choices]
    assert said == [None, "Hello", " there", ",", " you", None]
    assert [choice["finish_reason"] for choice in choices] == [None] * 5 + ["stop"]
    assert choices[0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 4
    assert len({chunk["id"] for chunk in chunks}) == 1


@pytest.mark.parametrize(
    ("extra", "name"),
    [({"tools": [{"type": "function"}]}, "tools"), ({"grammar": "root ::= x"}, "grammar")],
)
def test_a_fake_ignores_nothing_that_was_asked(
    engines: Engines, extra: dict[str, Any], name: str
) -> None:
    with pytest.raises(Refused, match=f"cannot do '{name}'"):
        asyncio.run(engines.request("fake:echo", PATH, {"messages": HELLO, **extra}))
    with pytest.raises(Refused, match=f"cannot do '{name}'"):
        asyncio.run(_chunks(engines, "fake:echo", **extra))
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(Refused, match="reads text only, not 'image_url'"):
        asyncio.run(engines.request("fake:echo", PATH, {"messages": picture}))
    with pytest.raises(ContextTooLong):
        asyncio.run(engines.request("fake:echo", PATH, {"messages": HELLO, "max_tokens": 8192}))


def test_other_names(engines: Engines) -> None:
    assert engines.embedder("fake:hash").embed_query("a").shape == (64,)
    assert engines.embedder("fake:hash") is engines.embedder("fake:hash")
    assert engines.reranker("fake:overlap").rerank("a b", ["a"]) == [0.5]
    with pytest.raises(UnknownModel, match="no fake chat model"):
        engines.chat("fake:nobody")
    with pytest.raises(UnknownModel, match="names no backend"):
        engines.chat("smollm2-135m-instruct")
    assert asyncio.run(engines.count_prompt("fake:echo", [Message("user", "a b")])) == 3
    assert engines.status() == []  # none of them is in a child


@pytest.fixture
def elsewhere(home: Path) -> Iterator[tuple[OpenAIServer, Engines]]:
    with OpenAIServer() as server:
        env = {"LLAR_OPENAI_BASE_URL": server.url, "LLAR_OPENAI_RETRIES": "0"}
        kept = Engines(load({"chat_model": "openai:echo", "home": home}, env=env))
        yield server, kept
        kept.close()


def test_a_model_elsewhere_gets_the_request_as_it_is(
    elsewhere: tuple[OpenAIServer, Engines],
) -> None:
    server, engines = elsewhere
    asked = {"messages": HELLO, "max_tokens": 3, "seed": 4}
    answer = asyncio.run(engines.request("openai:echo", PATH, asked))
    assert answer["choices"][0]["message"]["content"] == "Hello there,"
    assert server.last("/v1/chat/completions") == {**asked, "model": "echo"}
    chunks = asyncio.run(_chunks(engines, "openai:echo", max_tokens=3))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello there,"
    assert server.last("/v1/chat/completions")["stream"] is True
    assert engines.names() == ["openai:echo"]
    assert engines.chat("openai:echo").count_tokens("a b") == 2


def test_what_a_server_refuses_is_its_own_error(elsewhere: tuple[OpenAIServer, Engines]) -> None:
    _, engines = elsewhere
    with pytest.raises(RemoteError) as told:
        asyncio.run(engines.request("openai:echo", "/v1/nothing", {}))
    assert told.value.status == 404


# --- the queue by itself


def _line(slots: int, room: int) -> Line:
    return Line("model", slots, room)


def test_first_come_first_served() -> None:
    line = _line(1, 2)
    first, second, third = line.enter(), line.enter(), line.enter()
    assert [t.done() for t in (first, second, third)] == [True, False, False]
    with pytest.raises(Overloaded, match="works on 1 requests and 2 wait") as told:
        line.enter()
    assert told.value.retry_after == 6  # three before it, two seconds each as long as none ended
    line.leave(None)
    assert [t.done() for t in (first, second, third)] == [True, True, False]
    assert (line.active, line.waiting, line.idle) == (1, 1, False)
    line.leave(None)
    line.leave(None)
    assert third.done()
    assert (line.active, line.waiting, line.idle) == (0, 0, True)


def test_whoever_gives_up_frees_the_place() -> None:
    line = _line(1, 1)
    line.enter()

    async def give_up() -> None:
        ticket = line.enter()
        waits = asyncio.ensure_future(line.wait(ticket))
        await asyncio.sleep(0)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert line.waiting == 0
        next_one = line.enter()
        waits = asyncio.ensure_future(line.wait(next_one))
        await asyncio.sleep(0)
        line.leave(None)  # its turn comes ...
        waits.cancel()  # ... when it has just been cancelled
        with pytest.raises(asyncio.CancelledError):
            await waits

    asyncio.run(give_up())
    assert (line.active, line.waiting, line.idle) == (0, 0, True)


def test_threads_never_exceed_the_slots() -> None:
    line = _line(3, 100)
    inside = 0
    most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        ticket: Future[None] = line.enter()
        ticket.result()
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.002)
        with lock:
            inside -= 1
        line.leave(None)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3
    assert line.idle
