"""Nothing that was acknowledged is lost: the real server, killed while files pour in."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from running import Running, started

pytestmark = pytest.mark.slow

SENDERS = 3
KILL_AFTER = 20  # acknowledged files: some are indexed by then, some wait, some are on their way
ENV = {"LLAR_EMBEDDER": "fake:hash", "LLAR_PARSE_WORKERS": "1"}


def text_of(name: str) -> bytes:
    """A file of its own for each name, some long enough to take a while."""
    return f"{name} says this. ".encode() * (1 + len(name) * 37 % 400)


def pour(server: Running, acknowledged: dict[str, bytes]) -> None:
    """Send files from several threads until the server is killed under them."""
    lock = threading.Lock()

    def send(who: int) -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            n = 0
            while True:
                name = f"{who}/{'x' * (n % 7)}{n}.txt"
                data = text_of(name)
                try:
                    answer = client.put(f"/api/collections/c/files/{name}", content=data)
                except httpx.TransportError:
                    return
                assert answer.status_code == 202, answer.text
                with lock:
                    acknowledged[name] = data
                    enough = len(acknowledged) >= KILL_AFTER
                if enough and server.process.poll() is None:
                    server.process.send_signal(signal.SIGKILL)
                n += 1

    senders = [threading.Thread(target=send, args=(who,)) for who in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    server.process.wait(30)


def test_every_acknowledged_upload_is_there_and_indexed_after_a_kill(home: Path) -> None:
    acknowledged: dict[str, bytes] = {}
    server = started(home, env=ENV)
    httpx.post(f"{server.url}/api/collections", json={"name": "c"}, timeout=60).raise_for_status()
    pour(server, acknowledged)
    server = started(home, env=ENV)
    try:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while client.get("/api/jobs?open_only=true").json()["jobs"]:
                time.sleep(0.05)
            jobs = client.get("/api/jobs").json()["jobs"]
            assert {(job["state"], job["failed"]) for job in jobs} == {("done", 0)}
            listed = client.get("/api/collections/c/documents?limit=1000").json()["documents"]
            by_path = {row["path"]: row for row in listed}
            missing = set(acknowledged) - set(by_path)
            assert missing == set()
            assert len(acknowledged) >= KILL_AFTER
            for name, data in list(acknowledged.items())[::7]:
                place = f"/api/collections/c/documents/{by_path[name]['id']}"
                assert client.get(f"{place}/file").content == data
                assert client.get(place).json()["text"].strip() == data.decode().strip()
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
    staged = os.listdir(home / "server" / "uploads" / ".staged")
    assert staged == []  # no half file is left of those that were never acknowledged
