"""Many users at once: a small HTTP client, and a loop in which each of them waits for its answer.

It does little per byte, because it shares the two cores with what it measures.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Lines = list[tuple[float, bytes]]  # when each line of a body came, and the line


@dataclass
class Answered:
    """One answer: its status, and the lines of its body with the seconds since it was asked."""

    status: int
    seconds: float
    lines: Lines = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"\n".join(line for _, line in self.lines)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Caller:
    """One user's connection, kept open."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._port = port
        self._headers = headers or {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> Answered:
        """Send one request and read its answer to the end. Raises OSError where it breaks off."""
        head = {
            "Host": f"127.0.0.1:{self._port}",
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **self._headers,
        }
        lines = "".join(f"{k}: {v}\r\n" for k, v in head.items())
        request = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
        kept = self._writer is not None
        try:
            return await self._exchange(request)
        except (OSError, EOFError, ValueError):
            self.close()
            if not kept:
                raise ConnectionError("the answer broke off") from None
        return await self.ask(method, path, body, kind)  # a server may close what it kept open

    async def _exchange(self, request: bytes) -> Answered:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=1 << 24
            )
        start = time.perf_counter()
        self._writer.write(request)
        await self._writer.drain()
        return await self._read(start)

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _read(self, start: float) -> Answered:
        assert self._reader is not None
        first = (await self._reader.readline()).split()
        if not first:
            raise EOFError
        status = int(first[1])
        headers = {}
        while line := (await self._reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        answer = Answered(status, 0.0)
        if headers.get("transfer-encoding") == "chunked":
            await self._chunks(answer, start)
        elif length := int(headers.get("content-length", "0")):
            data = await self._reader.readexactly(length)
            answer.lines.append((time.perf_counter() - start, data))
        if headers.get("connection", "").lower() == "close":
            self.close()
        answer.seconds = time.perf_counter() - start
        return answer

    async def _chunks(self, answer: Answered, start: float) -> None:
        assert self._reader is not None
        rest = b""
        while size := int(await self._reader.readline(), 16):
            data = await self._reader.readexactly(size + 2)
            now = time.perf_counter() - start
            *whole, rest = (rest + data[:-2]).split(b"\n")
            answer.lines.extend((now, line) for line in whole if line)
        await self._reader.readline()
        if rest:
            answer.lines.append((time.perf_counter() - start, rest))


async def users(
    count: int, seconds: float, turn: Callable[[int, int], Awaitable[None]]
) -> tuple[int, float]:
    """`count` users who each go on for `seconds`; `turn(user, number)` is one request of one.

    Returns how many turns ended, and the seconds until the last one did.
    """
    done = 0
    start = time.perf_counter()

    async def one(user: int) -> None:
        nonlocal done
        number = 0
        while time.perf_counter() - start < seconds or number == 0:
            await turn(user, number)
            number += 1
            done += 1

    await asyncio.gather(*(one(user) for user in range(count)))
    return done, time.perf_counter() - start
