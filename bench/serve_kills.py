"""Killed under load: is anything lost?

    python bench/serve_kills.py [--kills N] [--users N]

Users upload files without pause while the server is killed (SIGKILL) at random moments and started
again; then every upload that was acknowledged must be in the collection and be found by its own
words. After that, users chat while the model's process is killed: requests under way must fail with
an error, and those after it must be answered. Exits with 1 where anything is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from peer import WORK, table
from serve_load import Caller
from serve_servers import Server, llar_server, start_llar, tree

CHAT = {
    "model": "llamacpp:smollm2-135m-instruct",
    "messages": [{"role": "user", "content": "Count from one to a hundred."}],
    "max_tokens": 60,
    "stream": True,
}


def main() -> None:
    """Kill, count, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--users", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=WORK) as home:
        sent, lost = asyncio.run(_uploads(Path(home), given.kills, given.users))
    with llar_server() as server:
        chats = asyncio.run(_chats(server, given.kills, given.users))
    print(table(["killed", "times", "acknowledged", "lost"],
                [["server under uploads", given.kills, sent, lost]]))  # fmt: skip
    print()
    print(table(["killed", "times", "answered whole", "ended by an error", "neither",
                 "slowest restart s"], [["model under chats", given.kills, *chats]]))  # fmt: skip
    sys.exit(bool(lost or chats[2]))


async def _uploads(home: Path, kills: int, count: int) -> tuple[int, int]:
    """How many uploads were acknowledged, and how many of them are not there in the end."""
    server = start_llar(home)
    caller = Caller(server.port)
    await caller.ask("POST", "/api/collections", b'{"name": "kills"}')
    acknowledged: list[int] = []
    chance, number = random.Random(7), 0
    for _ in range(kills):
        end = time.monotonic() + chance.uniform(0.5, 4)

        async def user(port: int, until: float) -> None:
            nonlocal number
            own = Caller(port)
            while time.monotonic() < until + 5:
                number += 1
                mine = number
                path = f"/api/collections/kills/files/{mine}.txt"
                body = f"The token of file {mine} is zebra{mine}x.".encode()
                try:
                    answer = await own.ask("PUT", path, body, "text/plain")
                except ConnectionError:
                    return
                if answer.status in (201, 202):
                    acknowledged.append(mine)
                await asyncio.sleep(0.01)

        running = [asyncio.create_task(user(server.port, end)) for _ in range(count)]
        await asyncio.sleep(end - time.monotonic())
        server.process.kill()
        server.process.wait()
        await asyncio.gather(*running)
        server = start_llar(home)
    lost = await _missing(server.port, acknowledged)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    return len(acknowledged), lost


async def _missing(port: int, acknowledged: list[int]) -> int:
    """How many of these files no search finds once all jobs are done."""
    caller = Caller(port)
    wanted = len(acknowledged)
    end = time.monotonic() + 600
    while (await caller.ask("GET", "/api/collections/kills")).json()["files"] < wanted:
        if time.monotonic() > end:
            break
        await asyncio.sleep(0.5)
    lost = 0
    for number in acknowledged:
        body = {"question": f"zebra{number}x", "k": 1, "mode": "lexical", "query": "none"}
        answer = await caller.ask(
            "POST", "/api/collections/kills/search", json.dumps(body).encode()
        )
        hits = answer.json()["hits"]
        lost += not (hits and f"zebra{number}x" in hits[0]["text"])
    return lost


async def _chats(server: Server, kills: int, count: int) -> tuple[int, int, int, str]:
    """Whole answers, errors, answers that are neither, and the slowest first text after a kill."""
    whole = failed = neither = 0
    stop = False
    slowest = 0.0

    async def user() -> None:
        nonlocal whole, failed, neither
        caller = Caller(server.port)
        while not stop:
            answer = await caller.ask("POST", "/v1/chat/completions", json.dumps(CHAT).encode())
            text = answer.body
            if answer.status == 200 and text.endswith(b"[DONE]") and b'"error"' not in text:
                whole += 1
            elif b'"error"' in text:
                failed += 1
            else:
                neither += 1
        caller.close()

    running = [asyncio.create_task(user()) for _ in range(count)]
    await asyncio.sleep(5)
    for _ in range(kills):
        (model,) = (p for p in tree(server.process.pid) if b"engines.child" in _command(p))
        os.kill(model, signal.SIGKILL)
        start = time.perf_counter()
        one = Caller(server.port)
        while (
            await one.ask("POST", "/v1/chat/completions",
                          json.dumps({**CHAT, "stream": False, "max_tokens": 1}).encode())
        ).status != 200:  # fmt: skip
            await asyncio.sleep(0.05)
        slowest = max(slowest, time.perf_counter() - start)
        await asyncio.sleep(2)
    stop = True
    await asyncio.gather(*running)
    return whole, failed, neither, f"{slowest:.2f}"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
