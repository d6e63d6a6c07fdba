"""What API clients see when the server is full, a client leaves, or a model dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import STORE
from running import Running, running

pytestmark = pytest.mark.slow

CHAT = "llamacpp:smollm2-135m-instruct"
LONG: dict[str, Any] = {
    "model": CHAT,
    "messages": [{"role": "user", "content": "Count up from one, slowly."}],
    "max_tokens": 6000,
    "logit_bias": {"0": -100, "2": -100},  # what would end it: it goes on until it is stopped
    "stream": True,
}
SHORT: dict[str, Any] = {**LONG, "max_tokens": 1, "stream": False}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that works on one request at a time and lets nobody wait."""
    home = tmp_path_factory.mktemp("faults")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    env = {"LLAR_THREADS": "1", "LLAR_SLOTS": "1", "LLAR_QUEUE": "0"}
    with running(home, env=env) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as found:
        yield found


def answered(client: httpx.Client) -> httpx.Response:
    """The answer to a short request, as soon as there is room for one."""
    end = time.monotonic() + 30
    while True:
        response = client.post("/v1/chat/completions", json=SHORT)
        if response.status_code == 200 or time.monotonic() > end:
            return response
        time.sleep(0.2)


def begun(lines: Iterator[str]) -> None:
    """Read until the model has written something."""
    for line in lines:
        if line.startswith("data: ") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
            return


def child_of(server: Running) -> int:
    """The process that the model runs in."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == server.process.pid and b"engines.child" in line:
            return int(folder.name)
    raise AssertionError("no model runs")


def test_a_full_server_says_when_to_come_back(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/chat/completions", json=LONG) as response:
        lines = response.iter_lines()  # kept: without it, httpx hangs up
        begun(lines)
        for body in (SHORT, {**SHORT, "stream": True}):
            other = client.post("/v1/chat/completions", json=body)
            assert other.status_code == 429
            assert int(other.headers["retry-after"]) >= 1
            assert other.json()["error"]["code"] == "overloaded"


@pytest.mark.parametrize("stream", [True, False])
def test_generation_stops_when_the_client_leaves(client: httpx.Client, stream: bool) -> None:
    """6000 tokens take a minute; the next request has its turn long before."""
    assert answered(client).status_code == 200
    start = time.monotonic()
    if stream:
        with client.stream("POST", "/v1/chat/completions", json=LONG) as response:
            begun(response.iter_lines())
    else:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/chat/completions", json={**LONG, "stream": False}, timeout=1)
    assert answered(client).status_code == 200
    assert time.monotonic() - start < 30


def test_a_model_that_dies_ends_the_stream_with_an_error_and_comes_back(
    client: httpx.Client, server: Running
) -> None:
    assert answered(client).status_code == 200
    with client.stream("POST", "/v1/chat/completions", json=LONG) as response:
        lines = response.iter_lines()
        begun(lines)
        os.kill(child_of(server), signal.SIGKILL)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert rest[-3] == "event: error"
    error = json.loads(rest[-2].removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", "model_unavailable")
    assert answered(client).json()["usage"]["completion_tokens"] == 1


def test_a_model_that_dies_before_it_answers_is_a_503(
    client: httpx.Client, server: Running
) -> None:
    assert answered(client).status_code == 200
    child = child_of(server)
    threading.Timer(1.0, os.kill, (child, signal.SIGKILL)).start()
    response = client.post("/v1/chat/completions", json={**LONG, "stream": False})
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["error"]["code"] == "model_unavailable"


def test_the_log_holds_nothing_that_was_said(server: Running) -> None:
    log = server.log.read_text()
    assert "/v1/chat/completions" in log
    assert "slowly" not in log
