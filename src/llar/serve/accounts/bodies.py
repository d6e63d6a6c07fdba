"""How much a request may send, counted while it is read: Content-Length may be missing or lie."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Send

from ...config import Config
from ...errors import TooLarge

FORM = 64 << 10  # bytes: signing in
TEXT = 32 << 20  # bytes: questions, lists of texts to embed, pictures in a chat
OVERHEAD = 1 << 20  # bytes that a multipart body needs beside its file

_FILE = re.compile(r"/api/collections/[^/]+/files/")  # curl -T names no Content-Type
_PAGE_UPLOAD = re.compile(r"/_nicegui/client/[^/]+/upload/[^/]+")


def limit(config: Config, path: str, kind: str) -> int:
    """The most bytes that a request for a path may send, by its Content-Type."""
    if path in ("/login", "/logout"):
        return FORM
    sends_file = kind.startswith(("multipart/", "application/octet-stream"))
    if (
        _PAGE_UPLOAD.fullmatch(path)
        or _FILE.match(path)
        or (path.startswith("/api/") and sends_file)
    ):
        return (config.upload_mb << 20) + OVERHEAD
    return TEXT


class Body:
    """Reads a request's body up to a limit; past it, answers and hangs up on the application."""

    def __init__(
        self, receive: Receive, most: int, refuse: Callable[[TooLarge], Awaitable[None]]
    ) -> None:
        self._receive = receive
        self._left = most
        self._refuse = refuse
        self.refused = False

    async def receive(self) -> Message:
        """The next message."""
        if self.refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.refused = True
                await self._refuse(TooLarge("the request sends more than the server takes"))
                return {"type": "http.disconnect"}
        return message

    def guarded(self, send: Send) -> Send:
        """`send` for the application, whose own answer comes too late once it was refused."""

        async def sent(message: Message) -> None:
            if not self.refused:
                await send(message)

        return sent
