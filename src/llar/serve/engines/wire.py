"""HTTP/1.1 to a child's socket from the event loop, as cheap per streamed token as it can be.

Requests to our own llama.cpp only: one connection each, which is how it learns that a caller has
gone; answers with a length, in chunks, or up to the end of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, cast

from ...errors import EngineError
from ...models.llama_socket import LlamaSocket, refusal

__all__ = ["events", "post"]

MUCH = 1 << 20  # bytes a slow reader may leave unread before the model is held up
DONE = b"[DONE]"


async def post(socket: LlamaSocket, name: str, path: str, body: Mapping[str, Any]) -> Any:
    """The JSON answer. Raises ContextTooLong, Refused, EngineError."""
    async with _exchange(socket, name, path, body) as answer:
        parts = [part async for part in answer.parts()]
        text = b"".join(parts)
        if answer.status != 200:
            raise _refused(name, text)
        return _parsed(name, text)


async def events(
    socket: LlamaSocket, name: str, path: str, body: Mapping[str, Any]
) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event as it comes, unparsed, without the final [DONE].

    Closing the iterator closes the connection, which stops the generation.
    Raises ContextTooLong, Refused and EngineError, also in the middle of an answer.
    """
    async with _exchange(socket, name, path, {**body, "stream": True}) as answer:
        if answer.status != 200:
            raise _refused(name, b"".join([part async for part in answer.parts()]))
        rest = b""
        async for part in answer.parts():
            *whole, rest = (rest + part if rest else part).split(b"\n\n")
            for event in whole:
                if event.startswith(b"data: "):
                    data = event[6:]
                    if data == DONE:
                        return
                    if data.startswith(b'{"error"'):
                        raise _refused(name, data)
                    yield data
                elif event.startswith(b"error: "):
                    raise _refused(name, event[7:])
    raise EngineError(f"{name} broke off its answer")


class _Answer(asyncio.Protocol):
    """The answer to one request, as it comes in."""

    def __init__(self, name: str, request: bytes) -> None:
        self.status = 0
        self._name = name
        self._request = request
        self._buffer = bytearray()
        self._parts: deque[bytes] = deque()
        self._held = 0  # bytes in _parts
        self._paused = False
        self._chunked = False
        self._left: int | None = None  # bytes of the body (or chunk) still to come
        self._ended = False
        self._broken: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only behave like one
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.status and not self._head():
            return
        if self._chunked:
            self._chunks()
        elif self._buffer:
            self._keep(bytes(self._buffer))
            if self._left is not None:
                self._left -= len(self._buffer)
                self._ended = self._left <= 0
            self._buffer.clear()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended:
            whole = self.status and not self._chunked and self._left is None
            if exc is not None or not whole:
                self._broken = EngineError(f"{self._name} broke off its answer")
            self._ended = True
        self._wake()

    async def begun(self) -> None:
        """Wait for the status."""
        while not self.status and not self._ended:
            await self._wait()
        if not self.status:
            raise self._broken or EngineError(f"{self._name} does not answer")

    async def parts(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come."""
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._held -= len(part)
                if self._paused and not self._held and self._transport is not None:
                    self._paused = False
                    self._transport.resume_reading()
                yield part
            if self._ended:
                if self._broken is not None:
                    raise self._broken
                return
            await self._wait()

    def _head(self) -> bool:
        """Read status and headers, once they are here."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(b":") for x in lines)}
        self._chunked = headers.get(b"transfer-encoding", b"").lower() == b"chunked"
        length = headers.get(b"content-length")
        self._left = int(length) if length is not None and not self._chunked else None
        self.status = int(first.split(b" ", 2)[1])
        return True

    def _chunks(self) -> None:
        """Take whole chunks out of the buffer: size in hex, CRLF, bytes, CRLF; one of 0 ends."""
        start = 0
        while True:
            line = self._buffer.find(b"\r\n", start)
            if line < 0:
                break
            size = int(self._buffer[start:line].partition(b";")[0], 16)
            end = line + 2 + size
            if size == 0:
                self._ended = True
                break
            if len(self._buffer) < end + 2:
                break
            self._keep(bytes(self._buffer[line + 2 : end]))
            start = end + 2
        del self._buffer[:start]

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._held += len(part)
        if self._held > MUCH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@contextlib.asynccontextmanager
async def _exchange(
    socket: LlamaSocket, name: str, path: str, body: Mapping[str, Any]
) -> AsyncIterator[_Answer]:
    """Send a request and wait for its answer to begin; the connection ends with the block."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {socket.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        "Connection: close\r\n\r\n"
    )
    answer = _Answer(name, head.encode() + data)
    loop = asyncio.get_running_loop()
    try:
        if "/" in socket.address:
            transport, _ = await loop.create_unix_connection(lambda: answer, socket.address)
        else:  # Windows
            host, _, port = socket.address.partition(":")
            transport, _ = await loop.create_connection(lambda: answer, host, int(port))
    except OSError as e:
        raise EngineError(f"{name} does not answer: {e!r}") from e
    try:
        await answer.begun()
        yield answer
    finally:
        transport.abort()


def _parsed(name: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as e:
        raise EngineError(f"{name}: expected JSON from llama.cpp, got {text[:100]!r}") from e


def _refused(name: str, text: bytes) -> Exception:
    told = _parsed(name, text)
    error = told.get("error", told) if isinstance(told, dict) else {"message": told}
    return refusal(name, error if isinstance(error, dict) else {"message": error})
