"""Half an hour of everything at once: does the server's memory stay flat?

    python bench/serve_soak.py [--minutes N]

Users chat, ask the documents, search, upload and remove files without pause; every ten seconds the
memory of each of its processes (PSS) is written down. The slope is that of a line through the last
three quarters, because models and caches fill at first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
from peer import django, table
from serve_load import Caller
from serve_servers import Server, llar_server, pss, tree

MODEL = "llamacpp:smollm2-135m-instruct"
QUESTIONS = ("How are migrations made?", "What does a form validate?", "Which databases work?",
             "How is a view cached?", "What is middleware?")  # fmt: skip
KEPT = 40  # uploaded files that are there at a time
LIBRARIES = {"llama": "chat model", "ctranslate2": "embedder"}  # what tells the processes apart
Memory = list[tuple[float, Counter[str]]]  # second -> bytes of each kind of process


def main() -> None:
    """Load it, watch it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    given = parser.parse_args()
    with llar_server() as server:
        done, memory, refused = asyncio.run(_soak(server, given.minutes * 60))
    at = np.array([second for second, _ in memory])
    late = at > at[-1] / 4
    print(table(["kind", "done"], list(done.items())), f"\n\nerrors: {dict(refused)}\n")
    body = []
    for kind in ("server", *LIBRARIES.values(), "other", "all"):
        size = np.array([(m.total() if kind == "all" else m[kind]) / 2**20 for _, m in memory])
        quarters = [f"{np.median(q):.0f}" for q in np.array_split(size, 4)]
        slope = float(np.polyfit(at[late], size[late], 1)[0]) * 60
        body.append([kind, *quarters, f"{size.max():.0f}", f"{slope:+.2f}"])
    head = ["memory, MiB", "1st quarter", "2nd", "3rd", "4th", "at most", "MiB/min, last three"]
    print(table(head, body))


async def _soak(server: Server, seconds: float) -> tuple[Counter[str], Memory, Counter[str]]:
    files = [f.read_bytes() for f in sorted(django(150).rglob("*.txt"))]
    first = Caller(server.port)
    await first.ask("POST", "/api/collections", b'{"name": "soak"}')
    done: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    memory: Memory = []
    start = time.monotonic()

    async def loop(kind: str, pause: float) -> None:
        caller, number = Caller(server.port), 0
        while time.monotonic() < start + seconds:
            method, path, body = _request(kind, number, files)
            answer = await caller.ask(method, path, body)
            if answer.status >= 400:
                refused[f"{kind} {answer.status}"] += 1
            else:
                done[kind] += 1
            if kind == "upload" and number >= KEPT:
                await _remove(caller, f"{number - KEPT}.txt")
            number += 1
            await asyncio.sleep(pause)
        caller.close()

    async def watch() -> None:
        while time.monotonic() < start + seconds:
            memory.append((time.monotonic() - start, _memory(server)))
            await asyncio.sleep(10)

    kinds = [("chat", 0.0), ("chat", 0.0), ("ask", 0.2), ("search", 0.05), ("search", 0.05),
             ("upload", 0.5), ("page", 0.5)]  # fmt: skip
    await asyncio.gather(watch(), *(loop(kind, pause) for kind, pause in kinds))
    return done, memory, refused


def _memory(server: Server) -> Counter[str]:
    """Bytes of each kind of process now."""
    found: Counter[str] = Counter()
    for pid in tree(server.process.pid):
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:  # it has just ended
            continue
        kinds = (kind for library, kind in LIBRARIES.items() if library in maps)
        kind = "server" if pid == server.process.pid else next(kinds, "other")
        found[kind] += pss(pid)
    return found


def _request(kind: str, number: int, files: list[bytes]) -> tuple[str, str, bytes]:
    question = QUESTIONS[number % len(QUESTIONS)]
    if kind == "upload":
        data = f"version {number}\n".encode() + files[number % len(files)]
        return "PUT", f"/api/collections/soak/files/{number}.txt", data
    if kind == "page":
        return "GET", "/login", b""
    if kind == "search":
        body: dict[str, object] = {"question": question, "k": 5}
        return "POST", "/api/collections/soak/search", json.dumps(body).encode()
    model = "ask:soak" if kind == "ask" else MODEL
    text = question if kind == "ask" else f"{question} ({number})"
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True,
            "max_tokens": 40}  # fmt: skip
    if kind == "ask":
        del body["max_tokens"]
    return "POST", "/v1/chat/completions", json.dumps(body).encode()


async def _remove(caller: Caller, path: str) -> None:
    """Take the file of that path out of the collection, where it is indexed by now."""
    listed = await caller.ask("GET", "/api/collections/soak/documents?limit=1000")
    for document in listed.json()["documents"]:
        if document["path"] == path:
            await caller.ask("DELETE", f"/api/collections/soak/documents/{document['id']}")


if __name__ == "__main__":
    main()
