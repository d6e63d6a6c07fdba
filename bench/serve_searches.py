"""Searches at once at 100 k passages, beside txtai's API on the same passages and vectors.

    python bench/serve_searches.py [--users N ...] [--seconds N] [--passages N] [--rate N ...]

Passages, vectors and questions are those of bench/search.py; hybrid search, ten results with their
texts, no rewriting. Each user sends its next question when the last is answered, which measures
how much both do at all (the second table); with `--rate`, questions come at that many a second
whatever is answered yet, as from a town hall's people, which is what the goal is about: p95 under
100 ms at 100 k passages. "CPU ms" is the processor's time of one search, in all processes of the
server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from environments import python
from peer import BENCH, THREADS, WORK, environment, table
from search import DIMENSION, lay_down
from serve_load import Caller, users
from serve_servers import cpu_seconds, free_port, llar_server, start_llar, wait_for

from llar.chunks import configured
from llar.config import load
from llar.index.index import Index
from llar.models import open_embedder
from llar.records import Chunk, Document

QUESTIONS = WORK / "questions.json"


def main() -> None:
    """Search both and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", nargs="*", type=int, default=(1, 8, 32, 100))
    parser.add_argument("--rate", nargs="*", type=float, default=(5, 10, 20, 40))
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--peers", nargs="*", default=("txtai",))
    given = parser.parse_args()
    folder = lay_down(given.passages)
    texts = [json.loads(line) for line in _lines(folder / "texts.jsonl", given.passages)]
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")[: given.passages]
    questions = json.loads(QUESTIONS.read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        served = {"llar": _ours(stack, texts, vectors)}
        if "txtai" in given.peers:
            served["txtai"] = stack.enter_context(_txtai(str(folder), given.passages))
        ports = {name: port for name, (port, _) in served.items()}
        for name, port in ports.items():
            asyncio.run(_closed(name, port, questions, 4, 5.0))  # warms up
        body = []
        for rate in given.rate:
            row: list[object] = [f"{rate:g}"]
            for name, port in ports.items():
                row.append(_shown(*asyncio.run(_open(name, port, questions, rate, given.seconds))))
            body.append(row)
        print(table(["questions a second", *(f"{n}: p50 / p95 / p99 ms" for n in ports)], body))
        body = []
        for count in given.users:
            row = [count]
            for name, (port, pid) in served.items():
                before = cpu_seconds(pid)
                times, rate = asyncio.run(_closed(name, port, questions, count, given.seconds))
                each = (cpu_seconds(pid) - before) / len(times) * 1000
                row += [f"{rate:.1f}", _shown(times, 0), f"{each:.1f}"]
            body.append(row)
        head = [h for n in ports for h in (f"{n}: searches/s", "p50 / p95 / p99 ms", "CPU ms")]
        print("\n" + table(["users", *head], body))


async def _closed(
    name: str, port: int, questions: list[str], count: int, seconds: float
) -> tuple[list[float], float]:
    """`count` users who ask one question after the other: milliseconds each, and answers/s."""
    callers = [Caller(port) for _ in range(count)]
    times: list[float] = []

    async def turn(user: int, number: int) -> None:
        question = questions[(user * 31 + number) % len(questions)]
        times.append(await _search(name, callers[user], question) * 1000)

    done, spent = await users(count, seconds, turn)
    for caller in callers:
        caller.close()
    return times, done / spent


async def _open(
    name: str, port: int, questions: list[str], rate: float, seconds: float
) -> tuple[list[float], int]:
    """Questions at random moments (a Poisson process), `rate` a second: milliseconds each, and how
    many were not answered within 30 s of the end."""
    chance = random.Random(7)
    idle: list[Caller] = []
    times: list[float] = []

    async def one(question: str) -> None:
        caller = idle.pop() if idle else Caller(port)
        times.append(await _search(name, caller, question) * 1000)
        idle.append(caller)

    tasks, loop = [], asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        tasks.append(asyncio.create_task(one(chance.choice(questions))))
        await asyncio.sleep(chance.expovariate(rate))
    _, late = await asyncio.wait(tasks, timeout=30)
    for task in late:
        task.cancel()
    return times, len(late)


async def _search(name: str, caller: Caller, question: str) -> float:
    """Seconds of one search; every answer must hold ten passages."""
    if name == "llar":
        body = json.dumps({"question": question, "k": 10, "query": "none"}).encode()
        answer = await caller.ask("POST", "/api/collections/load/search", body)
        found = answer.json()["hits"] if answer.status == 200 else []
    else:
        path = f"/search?query={urllib.parse.quote(question)}&limit=10"
        answer = await caller.ask("GET", path)
        found = answer.json() if answer.status == 200 else []
    if len(found) != 10:
        raise SystemExit(f"{name} answered {answer.status}: {answer.body[:300]!r}")
    return answer.seconds


def _ours(stack: contextlib.ExitStack, texts: list[str], vectors: np.ndarray) -> tuple[int, int]:
    """llar's server over a collection of these passages, 1,000 to a document: port and process."""
    home = WORK / f"serve-{len(texts)}"
    config = load({"home": home}, env={})
    if not (home / "done").exists():
        subprocess.run(["rm", "-rf", str(home)], check=True)
        home.mkdir(parents=True)
        server = start_llar(home)  # makes the link to the models
        server.process.terminate()
        server.process.wait()
        embedder = open_embedder(config)
        manifest = configured(config, embedder, "").as_manifest()
        index = Index.create(config, "load", embedder.identity, manifest)
        for a in range(0, len(texts), 1000):
            some = texts[a : a + 1000]
            places = np.cumsum([0, *(len(t) + 1 for t in some)])
            chunks = [Chunk(t, int(p), int(p) + len(t)) for t, p in zip(some, places, strict=False)]
            document = Document("\n".join(some), f"/load/{a}.txt", "txt", 1, f"{a:064d}",
                                language="en")  # fmt: skip
            rows = np.ascontiguousarray(vectors[a : a + 1000]).reshape(-1, DIMENSION)
            index.put(document, chunks, rows, {})
        index.close()
        embedder.close()
        (home / "done").touch()
    server = stack.enter_context(llar_server(home))
    return server.port, server.process.pid


@contextlib.contextmanager
def _txtai(folder: str, count: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    log = WORK / "txtai-api.log"
    command = [str(python("txtai")), str(BENCH / "peers" / "txtai_api.py"), folder, str(count),
               str(port)]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=WORK) as home, log.open("wb") as out:
        around = environment(Path(home), THREADS)
        process = subprocess.Popen(command, stdout=out, stderr=out, env=around)
        try:
            wait_for(port, process, log, "/count")
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


def _shown(times: list[float], late: int) -> str:
    p50, p95, p99 = (float(np.percentile(times, p)) for p in (50, 95, 99))
    return f"{p50:.0f} / {p95:.0f} / {p99:.0f}" + (f" ({late} not answered)" if late else "")


def _lines(file: object, count: int) -> Iterator[str]:
    with open(str(file), encoding="utf-8") as lines:
        for _, line in zip(range(count), lines, strict=False):
            yield line


if __name__ == "__main__":
    main()
