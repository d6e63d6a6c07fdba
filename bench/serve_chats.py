"""Streaming chats at once, beside llama.cpp's own server on the same model.

    python bench/serve_chats.py [--users N ...] [--requests N] [--tokens N] [--slots N] [...]

Both servers are given the same requests in turn, the first one first every other round: each
user sends a prompt of its own and reads the stream to its end. Both work on `--slots` requests
at once and let the others wait. Tokens are counted as the servers report them in `usage`. Goal:
0.95 of the raw server's tokens per second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from dataclasses import dataclass, field

from peer import ROOT, table
from serve_load import Caller
from serve_servers import llar_server, raw_server

MODEL = "smollm2-135m-instruct"
TOPICS = ("hearths", "town halls", "bread", "bridges", "libraries", "rain", "clocks", "forests")


@dataclass
class Figures:
    """What one server did at one number of users."""

    rates: list[float] = field(default_factory=list)  # tokens per second, one a round
    first: list[float] = field(default_factory=list)  # seconds to the first text
    refused: int = 0


def main() -> None:
    """Chat with both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", nargs="*", type=int, default=(1, 8, 32, 100))
    parser.add_argument("--requests", type=int, default=0, help="a round; 0: twice the users, >= 8")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[tuple[int, str], Figures] = {}
    settings = {"threads": given.threads, "slots": given.slots, "queue": 512}
    with llar_server(**settings) as ours, raw_server(ROOT, given.threads, given.slots) as theirs:
        ports = {"llar": (ours.port, f"llamacpp:{MODEL}"), "llama.cpp": (theirs, MODEL)}
        for count in given.users:
            requests = given.requests or max(8, 2 * count)
            for number in range(given.rounds + 1):  # the first warms up
                order = list(ports) if number % 2 else list(reversed(ports))
                for name in order:
                    port, model = ports[name]
                    figures = found.setdefault((count, name), Figures())
                    some = requests if number else min(requests, 4)
                    asyncio.run(_round(port, model, count, some, given.tokens, number, figures))
                    if not number:
                        found[count, name] = Figures()
    body = []
    for count in given.users:
        ours_, raw = found[count, "llar"], found[count, "llama.cpp"]
        ratios = [a / b for a, b in zip(ours_.rates, raw.rates, strict=True)]
        body.append([
            count, *(f"{statistics.median(f.rates):.1f}" for f in (ours_, raw)),
            f"**{statistics.median(ratios):.3f}**", f"{min(ratios):.3f} to {max(ratios):.3f}",
            *(f"{statistics.median(f.first):.2f} / {_p95(f.first):.2f}" for f in (ours_, raw)),
            f"{ours_.refused} / {raw.refused}",
        ])  # fmt: skip
    head = ["users", "llar tokens/s", "llama.cpp tokens/s", "ratio", "of single rounds",
            "llar first text p50 / p95 s", "llama.cpp first text", "refused"]  # fmt: skip
    print(table(head, body))


async def _round(
    port: int, model: str, count: int, requests: int, tokens: int, number: int, figures: Figures
) -> None:
    """`requests` chats by `count` users; adds the rate to `figures`."""
    waiting = list(range(requests))
    written = 0
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def user() -> None:
        nonlocal written
        caller = Caller(port)
        while waiting:
            which = waiting.pop()
            topic = TOPICS[which % len(TOPICS)]
            body = {
                "model": model,
                "messages": [
                    {"role": "user", "content": f"Write {which + number * 1000} lines on {topic}."}
                ],
                "max_tokens": tokens,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            answer = await caller.ask("POST", "/v1/chat/completions", json.dumps(body).encode())
            if answer.status != 200:
                figures.refused += 1
                continue
            events = [(at, line[6:]) for at, line in answer.lines if line.startswith(b"data: {")]
            figures.first.append(next(at for at, e in events if b'"content":"' in e or
                                      b'"content": "' in e))  # fmt: skip
            usage = [json.loads(e)["usage"] for _, e in events if b'"usage":{' in e]
            written += usage[-1]["completion_tokens"]
        caller.close()

    await asyncio.gather(*(user() for _ in range(count)))
    figures.rates.append(written / (loop.time() - start))


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


if __name__ == "__main__":
    main()
