"""Answers that come in pieces (server-sent events), and work that ends when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import LlarError
from .errors import STOPPING, Gone, as_json, is_stopping

__all__ = [
    "DONE",
    "EventStream",
    "Events",
    "dump",
    "event",
    "failure",
    "streamed",
    "while_connected",
]

Item = TypeVar("Item")
Events = AsyncGenerator[bytes, None]
Failed = Callable[[LlarError], bytes]

DONE = b"data: [DONE]\n\n"

dump = json.JSONEncoder(separators=(",", ":")).encode  # in ASCII


def event(data: Mapping[str, Any], name: str = "") -> bytes:
    """One event. JSON has no raw line breaks, so its data is one line."""
    text = f"data: {dump(data)}\n\n"
    return (f"event: {name}\n{text}" if name else text).encode("ascii")


def failure(request: Request) -> Failed:
    """How an error becomes an event that OpenAI's clients raise as theirs."""
    identity = request.scope.get("llar.identity")
    admin = identity is not None and identity.is_admin
    return lambda error: event({"error": as_json(error, admin=admin)}, "error")


async def streamed(
    request: Request, stream: Events, *, failed: Failed, end: bytes = DONE
) -> Response:
    """A response of these events, once the first is there: what fails before has its own status.

    What fails later becomes the event that `failed` makes. `end` is sent in any case. Where the
    client leaves, the generator is closed, which ends the generation.
    """
    try:
        first = await while_connected(request, anext(stream, b""))
    except BaseException:
        await stream.aclose()
        raise
    return EventStream(first, stream, failed, end)


class EventStream(Response):
    """A streamed response. Unlike Starlette's, it cancels once: what it streams can tidy up.

    Where the server stops before its end, the client is told by an event.
    """

    media_type = "text/event-stream"

    def __init__(self, first: bytes, stream: Events, failed: Failed, end: bytes) -> None:
        # X-Accel-Buffering: nginx would otherwise hold the events back
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._stream = stream
        self._failed = failed
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, or until the client leaves."""
        try:
            await _until_gone(receive, self._sent(send))
        except Gone:
            return
        except asyncio.CancelledError:
            if not is_stopping(scope):
                raise
            last = self._failed(STOPPING) + self._end
            await send({"type": "http.response.body", "body": last, "more_body": False})
        finally:
            await self._stream.aclose()

    async def _sent(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        try:
            async for item in self._stream:
                await send({"type": "http.response.body", "body": item, "more_body": True})
        except LlarError as error:
            item = self._failed(error)
            await send({"type": "http.response.body", "body": item, "more_body": True})
        await send({"type": "http.response.body", "body": self._end, "more_body": False})


async def while_connected(request: Request, work: Coroutine[Any, Any, Item]) -> Item:
    """The result of `work`, which is cancelled where the client leaves before it is there.

    Raises Gone in that case.
    """
    return await _until_gone(request.receive, work)


async def _until_gone(receive: Receive, work: Coroutine[Any, Any, Item]) -> Item:
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        left.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, LlarError):
                await task


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
