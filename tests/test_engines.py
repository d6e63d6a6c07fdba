"""Models in child processes, with the two real ones: asked, killed, crowded out, left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import STORE

from llar.config import Config, load
from llar.errors import (
    Conflict,
    ContextTooLong,
    EngineError,
    ModelNotInstalled,
    Overloaded,
    Refused,
    UnknownModel,
)
from llar.models import open_chat
from llar.models.interface import ChatModel, Embedder, LikelihoodModel, Options, TokenEmbedder
from llar.models.llama import fitting_slots
from llar.records import Message
from llar.serve.engines import Engines, EngineStatus
from llar.serve.threads import in_thread

pytestmark = pytest.mark.slow

CHAT = "llamacpp:smollm2-135m-instruct"
EMBEDDER = "ctranslate2:all-minilm-l6-v2"
FRUITS = [Message("user", "Name three fruits.")]
STORY = {
    "messages": [{"role": "user", "content": "Write a long story."}],
    "max_tokens": 900,
    "temperature": 0,
    "logit_bias": [[2, False]],  # it cannot end by itself
}
PATH = "/v1/chat/completions"


def _config(**values: Any) -> Config:
    own = {"home": STORE.parent, "threads": 1, "context": 1024, "slots": 2, "queue": 3}
    return load({**own, **values}, env={})


@contextlib.contextmanager
def _engines(**values: Any) -> Iterator[Engines]:
    engines = Engines(_config(**values))
    try:
        yield engines
    finally:
        engines.close()


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    with _engines() as kept:
        yield kept


def _of(engines: Engines, name: str) -> EngineStatus:
    return next(status for status in engines.status() if status.name == name)


def _until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


# --- the same answers as in this process


@pytest.fixture(scope="module")
def smollm() -> Iterator[ChatModel]:
    """The model in this process, fresh as the child: what is cached rounds otherwise.

    llama.cpp computes long batches with other kernels than short ones, and for a beginning that an
    earlier test left in the cache (0.3 of a log-probability was seen) the sizes differ.
    """
    model = open_chat(_config(), CHAT)
    yield model
    model.close()


def test_a_child_answers_as_the_model_in_process(engines: Engines, smollm: ChatModel) -> None:
    chat = engines.chat(CHAT)
    options = Options(max_tokens=12, top_logprobs=2)
    ours, theirs = chat.chat(FRUITS, options), smollm.chat(FRUITS, options)
    assert replace(ours, tokens=()) == replace(theirs, tokens=())
    assert [t.token for t in ours.tokens] == [t.token for t in theirs.tokens]
    for a, b in zip(ours.tokens, theirs.tokens, strict=True):  # other batches, other last bits
        assert a.logprob == pytest.approx(b.logprob, abs=0.05)
    pieces = list(chat.stream(FRUITS, options))
    assert "".join(p.text for p in pieces) == smollm.chat(FRUITS, options).text
    assert pieces[-1].usage == smollm.chat(FRUITS, options).usage
    text = "The capital of France is"
    assert chat.complete(text, Options(max_tokens=1)).text == " Paris"
    assert chat.count_tokens(text) == smollm.count_tokens(text)
    assert chat.count_prompt(FRUITS) == smollm.count_prompt(FRUITS)
    assert (chat.name, chat.context) == (CHAT, 1024)
    assert isinstance(chat, LikelihoodModel)
    assert isinstance(smollm, LikelihoodModel)
    (ours_,), (theirs_,) = chat.logprobs(" Paris", text), smollm.logprobs(" Paris", text)
    assert (ours_.start, ours_.end) == (theirs_.start, theirs_.end)
    assert ours_.logprob == pytest.approx(theirs_.logprob, abs=0.05)


def test_vectors_are_those_of_the_model_in_process(engines: Engines, minilm: Embedder) -> None:
    kept = engines.embedder(EMBEDDER)
    assert kept.identity == minilm.identity
    assert kept.max_tokens == minilm.max_tokens
    texts = [f"Sentence number {n}. " * (n % 7 + 1) for n in range(60)]
    ours, theirs = kept.embed_documents(texts), minilm.embed_documents(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)  # other batches, another last bit
    np.testing.assert_array_equal(kept.embed_query("leave"), minilm.embed_query("leave"))
    assert kept.embed_documents([]).shape == (0, 384)
    for text in ("hello wörld", "hello wörld " * 400):  # a long one is counted in another way
        assert kept.count_tokens(text) == minilm.count_tokens(text)
    assert isinstance(kept, TokenEmbedder)
    assert isinstance(minilm, TokenEmbedder)
    rows, places = kept.embed_tokens("annual leave")
    np.testing.assert_array_equal(rows, minilm.embed_tokens("annual leave")[0])
    assert places == minilm.embed_tokens("annual leave")[1] == [(0, 6), (7, 12)]
    with pytest.raises(ContextTooLong, match="longer than the 254"):
        kept.embed_query("word " * 300)


def test_many_callers_share_the_embedder(engines: Engines, minilm: Embedder) -> None:
    kept = engines.embedder(EMBEDDER)
    texts = [f"question {n} about leave" for n in range(30)]
    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(kept.embed_query, texts))
        bad = pool.submit(kept.embed_query, "word " * 300)
        good = [pool.submit(kept.embed_query, text) for text in texts[:5]]
        with pytest.raises(ContextTooLong):
            bad.result()
        assert all(job.result().shape == (384,) for job in good)
    for text, vector in zip(texts, found, strict=True):
        np.testing.assert_allclose(vector, minilm.embed_query(text), atol=1e-5)


async def _chunks(engines: Engines, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    return [chunk async for chunk in engines.stream(name, PATH, body)]


def _text(chunks: list[dict[str, Any]]) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_requests_and_streams_give_the_same_text(engines: Engines, smollm: ChatModel) -> None:
    body = {
        "messages": [{"role": "user", "content": "Name three fruits."}],
        "max_tokens": 12,
        "temperature": 0,
    }
    before = _of(engines, CHAT)

    async def ask() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        whole = await engines.request(CHAT, PATH, body)
        return whole, await _chunks(engines, CHAT, {**body, "max_tokens": 12})

    whole, chunks = asyncio.run(ask())
    expected = smollm.chat(FRUITS, Options(max_tokens=12)).text
    assert whole["choices"][0]["message"]["content"] == expected == _text(chunks)
    assert whole["model"] == chunks[0]["model"] == CHAT  # never the file's path
    after = _of(engines, CHAT)
    assert after.written - before.written == 2 * whole["usage"]["completion_tokens"]
    assert after.read - before.read == 2 * whole["usage"]["prompt_tokens"]
    assert after.requests - before.requests == 2


def test_tokens_and_templates(engines: Engines, smollm: ChatModel) -> None:
    async def ask() -> None:
        ids = await engines.tokenize(CHAT, "hello wörld")
        assert len(ids) == smollm.count_tokens("hello wörld")
        assert await engines.detokenize(CHAT, ids) == "hello wörld"
        assert await engines.count_prompt(CHAT, FRUITS) == smollm.count_prompt(FRUITS)
        shown = await engines.template(CHAT, {"messages": [{"role": "user", "content": "Hey"}]})
        assert "<|im_start|>user\nHey<|im_end|>" in shown

    asyncio.run(ask())


def test_what_does_not_fit_is_refused_whole(engines: Engines) -> None:
    async def refused(body: dict[str, Any], kind: type[Exception], match: str) -> None:
        with pytest.raises(kind, match=match):
            await engines.request(CHAT, PATH, body)
        with pytest.raises(kind, match=match):
            await _chunks(engines, CHAT, body)

    async def ask() -> None:
        hello = [{"role": "user", "content": "hello"}]
        used = await engines.count_prompt(CHAT, [Message("user", "hello")])
        room = 1024 - used
        whole = rf"prompt of {used} tokens and an answer of up to {room + 1} .* context of 1024"
        await refused({"messages": hello, "max_tokens": room + 1}, ContextTooLong, whole)
        fits = {"messages": hello, "max_tokens": room, "stop": [" "], "temperature": 0}
        assert (await engines.request(CHAT, PATH, fits))["choices"]
        long = [{"role": "user", "content": "word " * 1100}]
        await refused({"messages": long}, ContextTooLong, "does not fit the context of 1024")
        ids = {"prompt": list(range(100, 200)), "max_tokens": 925}
        with pytest.raises(ContextTooLong, match="prompt of 100 tokens"):
            await engines.request(CHAT, "/v1/completions", ids)
        schema = {"messages": hello, "max_tokens": 3, "json_schema": {"type": "nonsense"}}
        await refused(schema, Refused, "refused")

    asyncio.run(ask())
    chat = engines.chat(CHAT)
    with pytest.raises(ContextTooLong, match="answer of up to 1024"):
        chat.chat(FRUITS, Options(max_tokens=1024))
    with pytest.raises(ContextTooLong):
        chat.stream(FRUITS, Options(max_tokens=1024))


def test_models_that_are_not_there(home: Path) -> None:
    with _engines(home=home) as engines:
        with pytest.raises(ModelNotInstalled, match="llar models pull smollm2-135m-instruct"):
            engines.chat(CHAT)
        with pytest.raises(UnknownModel):
            engines.chat("llamacpp:nobody")
        assert engines.status() == []
        assert engines.names() == [CHAT]  # the configured one, installed or not


def test_a_model_of_another_kind_or_without_a_backend_is_refused(engines: Engines) -> None:
    with pytest.raises(UnknownModel, match="no chat model, but one of kind 'embedding'"):
        engines.chat(EMBEDDER)
    with pytest.raises(UnknownModel, match=f"did you mean '{CHAT}'"):
        engines.chat("smollm2-135m-instruct")
    assert EMBEDDER not in engines.names()


# --- many at once


def test_slots_work_side_by_side_and_the_rest_waits_or_is_turned_away(engines: Engines) -> None:
    body = {**STORY, "max_tokens": 30}

    async def crowd() -> list[Any]:
        asked = [asyncio.ensure_future(engines.request(CHAT, PATH, body)) for _ in range(8)]
        await asyncio.sleep(0.01)  # all of them are in the queue; none has ended
        status = _of(engines, CHAT)
        assert (status.active, status.waiting) == (2, 3)
        return list(await asyncio.gather(*asked, return_exceptions=True))

    engines.load(CHAT)
    answers = asyncio.run(crowd())
    good = [a for a in answers if isinstance(a, dict)]
    turned_away = [a for a in answers if isinstance(a, Overloaded)]
    assert (len(good), len(turned_away)) == (5, 3)  # 2 slots and room for 3
    assert {a["choices"][0]["message"]["content"] for a in good} == {
        good[0]["choices"][0]["message"]["content"]
    }
    assert all(1 <= a.retry_after <= 60 for a in turned_away)
    status = _of(engines, CHAT)
    assert (status.active, status.waiting) == (0, 0)


def test_who_leaves_stops_the_generation_and_gives_up_the_place(engines: Engines) -> None:
    async def leave() -> None:
        for _ in range(2):  # both slots
            stream = engines.stream(CHAT, PATH, STORY)
            await anext(stream)
            await stream.aclose()
        asked = [asyncio.ensure_future(engines.request(CHAT, PATH, STORY)) for _ in range(4)]
        await asyncio.sleep(0.3)
        assert _of(engines, CHAT).waiting == 2
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        status = _of(engines, CHAT)
        assert (status.active, status.waiting) == (0, 0)

    asyncio.run(leave())
    pid = _of(engines, CHAT).pid
    assert pid is not None
    _until(lambda: _idle(pid), 10)  # 900 tokens of each would keep it busy for far longer
    assert engines.chat(CHAT).chat(FRUITS, Options(max_tokens=1)).text


def _idle(pid: int) -> bool:
    """Did the process compute nothing for half a second?"""
    before = _ticks(pid)
    time.sleep(0.5)
    return _ticks(pid) - before <= 2


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # user and system time, in hundredths of a second


def test_closing_a_stream_in_a_thread_stops_it_too(engines: Engines) -> None:
    stream = engines.chat(CHAT).stream([Message("user", "A long story.")], Options(max_tokens=900))
    next(stream)
    assert _of(engines, CHAT).active == 1
    stream.close()
    status = _of(engines, CHAT)
    assert status.active == 0
    assert status.pid is not None
    _until(lambda: _idle(status.pid or 0), 10)


# --- children that die


def test_a_killed_child_is_replaced_and_only_its_requests_fail(engines: Engines) -> None:
    async def kill() -> list[Any]:
        asked = [asyncio.ensure_future(engines.request(CHAT, PATH, STORY)) for _ in range(2)]
        streams = [asyncio.ensure_future(_chunks(engines, CHAT, {**STORY, "max_tokens": 3}))]
        await asyncio.sleep(0.5)
        os.kill(before.pid or 0, signal.SIGKILL)
        start = time.monotonic()
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - start < 5
        return [told, await streams[0]]

    engines.load(CHAT)
    before = _of(engines, CHAT)
    failed, waited = asyncio.run(kill())
    for error in failed:
        assert isinstance(error, EngineError)
        assert str(error) == f"{CHAT}: the model process died; it is being restarted"
    assert waited[-1]["choices"] == [] or waited[-1]["choices"][0]["finish_reason"] == "length"
    assert engines.chat(CHAT).complete("The capital of France is", Options(max_tokens=1)).text
    after = _of(engines, CHAT)
    assert after.pid != before.pid
    assert after.restarts == before.restarts + 1
    assert (after.state, after.active, after.waiting) == ("loaded", 0, 0)
    assert not Path(f"/proc/{before.pid}").exists()


def test_a_killed_embedder_is_replaced(engines: Engines) -> None:
    kept = engines.embedder(EMBEDDER)
    expected = kept.embed_query("leave")
    texts = ["word " * 200] * 400
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(kept.embed_documents, texts)
        time.sleep(0.3)
        os.kill(_of(engines, EMBEDDER).pid or 0, signal.SIGKILL)
        with pytest.raises(EngineError, match="process died; it is being restarted"):
            job.result()
    np.testing.assert_array_equal(kept.embed_query("leave"), expected)


def test_a_model_that_keeps_dying_is_left_alone_for_a_while() -> None:
    with _engines() as engines:
        for death in (1, 2):  # the first is replaced at once, the second after a second
            engines.load(CHAT)
            os.kill(_of(engines, CHAT).pid or 0, signal.SIGKILL)
            _until(partial(_died, engines, death))
        status = _of(engines, CHAT)
        assert (status.state, status.reason, status.pid) == ("failed", "signal SIGKILL", None)
        with pytest.raises(EngineError, match=r"died 2 times in a row \(signal SIGKILL\)"):
            engines.load(CHAT)
        time.sleep(1.05)
        assert engines.chat(CHAT).complete("The capital of France is", Options(max_tokens=1)).text
        assert (_of(engines, CHAT).state, _of(engines, CHAT).reason) == ("loaded", "")


def test_a_child_that_hangs_is_killed_and_one_that_works_long_is_not() -> None:
    async def hang(engines: Engines, stuck: int) -> list[Any]:
        stream = engines.stream(CHAT, PATH, STORY)  # works for longer than the other may be silent
        told = [await anext(stream)]
        os.kill(stuck, signal.SIGSTOP)
        asked = asyncio.create_task(in_thread(engines.embedder(EMBEDDER).embed_query, "leave"))
        while not asked.done():
            told.append(await anext(stream))
        await stream.aclose()
        with pytest.raises(EngineError, match="process died; it is being restarted"):
            await asked
        return told

    with _engines(hang_seconds=3) as engines:
        expected = engines.embedder(EMBEDDER).embed_query("leave")
        stuck = _of(engines, EMBEDDER).pid or 0
        assert len(asyncio.run(hang(engines, stuck))) > 20  # tokens, one after the other
        assert not Path(f"/proc/{stuck}").exists()
        np.testing.assert_array_equal(engines.embedder(EMBEDDER).embed_query("leave"), expected)
        assert (_of(engines, EMBEDDER).restarts, _of(engines, CHAT).restarts) == (1, 0)


def _died(engines: Engines, times: int) -> bool:
    return times == _of(engines, CHAT).restarts


def test_a_model_that_cannot_be_loaded_says_why(installed: Path) -> None:
    with _engines(home=installed, context=9000) as engines:
        with pytest.raises(Exception, match=r"9000 tokens .* has 8192") as told:
            engines.chat(CHAT).chat(FRUITS)
        assert type(told.value).__name__ == "ConfigError"
        status = _of(engines, CHAT)
        assert status.state == "failed"
        assert "9000" in status.reason


def test_slots_that_do_not_fit_the_memory_are_refused() -> None:
    with _engines(slots=5000, context=8192) as engines:
        # 30 layers of 3 shared heads with 64 numbers, keys and values, two bytes: 23040 a token
        each = rf"8192 tokens for each of 5000 slots takes {5000 * 8192 * 23040 >> 20} MiB"
        with pytest.raises(EngineError, match=each + r"(?s:.*)LLAR_SLOTS to fewer"):
            engines.load(CHAT)


PARENT = """
import sys
from llar.config import load
from llar.serve.engines import Engines
engines = Engines(load({"home": sys.argv[1], "threads": 1, "context": 512}, env={}))
engines.load("llamacpp:smollm2-135m-instruct")
engines.load("ctranslate2:all-minilm-l6-v2")
print(*(status.pid for status in engines.status()), flush=True)
sys.stdin.read()
"""


def test_no_child_outlives_the_server() -> None:
    command = [sys.executable, "-c", PARENT, str(STORE.parent)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        pids = [int(pid) for pid in server.stdout.readline().split()]
        folders = list(Path(tempfile.gettempdir()).glob(f"llar-{server.pid}-*"))
        assert (len(pids), len(folders)) == (2, 2)
        assert {f.stat().st_mode & 0o777 for f in folders} == {0o700}
        server.kill()
        server.wait()
    _until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), 5)
    _until(lambda: not any(f.exists() for f in folders), 5)


LOADING = PARENT.replace(
    'engines.load("llamacpp', 'print("loading", flush=True); engines.load("llamacpp'
)


def test_a_child_that_still_loads_dies_with_the_server() -> None:
    command = [sys.executable, "-c", LOADING, str(STORE.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"loading\n"
        _until(lambda: _children(server.pid), 10)
        (child,) = _children(server.pid)
        server.kill()
        server.wait()
    _until(lambda: not Path(f"/proc/{child}/exe").exists(), 10)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_folders_of_servers_that_are_gone_are_removed() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    left = Path(tempfile.mkdtemp(prefix=f"llar-{gone.pid}-"))
    kept = Path(tempfile.mkdtemp(prefix=f"llar-{os.getpid()}-"))
    try:
        with _engines():
            assert not left.exists()
            assert kept.exists()
    finally:
        kept.rmdir()


# --- which models are in memory


def test_concurrent_first_requests_load_once_and_the_oldest_idle_model_goes() -> None:
    with _engines(models_loaded=1) as engines:
        chat, embedder = engines.chat(CHAT), engines.embedder(EMBEDDER)
        assert engines.status() == [] or _of(engines, CHAT).state == "unloaded"
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(chat.count_tokens, "a b") for _ in range(4)]
            assert [job.result() for job in jobs] == [2] * 4
        status = _of(engines, CHAT)
        assert (status.state, status.restarts, status.context) == ("loaded", 0, 1024)
        assert status.memory > 100 << 20  # its weights alone are 98 MB
        assert Path(f"/proc/{status.pid}").exists()
        assert embedder.embed_query("a").shape == (384,)
        assert (_of(engines, CHAT).state, _of(engines, EMBEDDER).state) == ("unloaded", "loaded")
        assert not Path(f"/proc/{status.pid}").exists()
        stream = chat.stream(FRUITS, Options(max_tokens=20))
        next(stream)  # in use: it must not go before it has answered
        waits = threading.Thread(target=lambda: embedder.embed_query("a"))
        waits.start()
        time.sleep(0.3)
        assert (_of(engines, CHAT).state, _of(engines, EMBEDDER).state) == ("loaded", "loading")
        with pytest.raises(Conflict, match="in use: 1 requests"):
            engines.unload(CHAT)
        assert list(stream)[-1].finish_reason
        waits.join(30)
        assert (_of(engines, CHAT).state, _of(engines, EMBEDDER).state) == ("unloaded", "loaded")
        assert engines.unload(EMBEDDER)
        assert not engines.unload(EMBEDDER)
        assert _of(engines, EMBEDDER).state == "unloaded"


def test_a_model_nobody_uses_is_unloaded_and_comes_back() -> None:
    with _engines(idle_unload=0.5) as engines:
        chat = engines.chat(CHAT)
        assert chat.count_tokens("a b") == 2
        pid = _of(engines, CHAT).pid
        _until(lambda: _of(engines, CHAT).state == "unloaded", 10)
        _until(lambda: not Path(f"/proc/{pid}").exists(), 5)
        assert chat.count_tokens("a b") == 2


def test_forcing_a_model_out_breaks_off_what_runs() -> None:
    with _engines() as engines:
        stream = engines.chat(CHAT).stream(FRUITS, Options(max_tokens=900, stop=("¤",)))
        next(stream)
        assert engines.unload(CHAT, force=True)
        with pytest.raises(EngineError, match="unloaded before it had answered"):
            list(stream)
        assert _of(engines, CHAT).restarts == 0


def test_slots_follow_the_free_memory() -> None:
    (file,) = (STORE / "smollm2-135m-instruct").glob("*.gguf")
    name = "llamacpp:smollm2-135m-instruct"
    with _engines(slots=0, context=256) as engines:  # 6 MB each: any machine has room for 4
        assert engines.chat(name).count_tokens("hearth") > 0
        (status,) = engines.status()
        assert status.slots == 4
    meminfo = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) << 10 for line in meminfo if line.startswith("MemAvail"))
    if free < 2 << 30:
        pytest.skip("this machine is too full to tell")
    assert fitting_slots(file, name=name) == 4  # 189 MB each, of at least 1 GB
