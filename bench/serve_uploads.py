"""Uploads at once: how soon they are acknowledged, and how soon they can be searched.

    python bench/serve_uploads.py [--users N ...] [--files N]

Each user sends its next file (a page of Django's documentation) when the last is acknowledged,
which llar does when the bytes and the job are on disk. The second rate is from the first upload to
the moment when the last file is indexed. Each number of users gets a collection of its own; every
file must be in it afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import numpy as np
from peer import django, table
from serve_load import Caller
from serve_servers import llar_server


def main() -> None:
    """Send, wait, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", nargs="*", type=int, default=(1, 8, 32, 100))
    parser.add_argument("--files", type=int, default=150)
    given = parser.parse_args()
    files = [f.read_bytes() for f in sorted(django(given.files).rglob("*.txt"))][: given.files]
    size = sum(map(len, files)) / len(files) / 1024
    with llar_server() as server:
        asyncio.run(_send(server.port, "warm", files[:4], 1))
        body = []
        for count in given.users:
            times, spent, whole = asyncio.run(
                _send(server.port, f"users{count}", [b"%d\n" % count + f for f in files], count)
            )
            p50, p95 = np.percentile(times, 50) * 1000, np.percentile(times, 95) * 1000
            body.append([count, f"{len(files) / spent:.0f}", f"{p50:.0f} / {p95:.0f}",
                         f"{len(files) / whole:.1f}"])  # fmt: skip
    print(f"{len(files)} files of {size:.0f} KiB on average\n")
    print(table(["users", "acknowledged/s", "p50 / p95 ms", "indexed/s"], body))


async def _send(
    port: int, name: str, files: list[bytes], count: int
) -> tuple[list[float], float, float]:
    """Seconds of each upload, of all, and until all are indexed."""
    first = Caller(port)
    made = await first.ask("POST", "/api/collections", json.dumps({"name": name}).encode())
    assert made.status == 201, made.body
    waiting, times = list(enumerate(files)), []
    start = time.perf_counter()

    async def user() -> None:
        caller = Caller(port)
        while waiting:
            number, data = waiting.pop()
            path = f"/api/collections/{name}/files/{number}.txt"
            answer = await caller.ask("PUT", path, data, "application/octet-stream")
            assert answer.status in (201, 202), answer.body
            times.append(answer.seconds)
        caller.close()

    await asyncio.gather(*(user() for _ in range(count)))
    spent = time.perf_counter() - start
    while (await first.ask("GET", f"/api/collections/{name}")).json()["files"] < len(files):
        await asyncio.sleep(0.1)
    first.close()
    return times, spent, time.perf_counter() - start


if __name__ == "__main__":
    main()
