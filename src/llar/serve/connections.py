"""Connections that come to nothing are closed, so that nobody can use all there may be.

uvicorn waits for ever for the rest of a request: a thousand connections with half a line each
would keep everybody else out, without any account.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """One connection, closed where the other end keeps us waiting."""

    head = 20.0  # seconds that a request's head may take, and a new connection until its first
    silence = 60.0  # seconds in which something of a request's body must come
    _timer: asyncio.TimerHandle | None = None
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a first request."""
        super().connection_made(transport)
        self._wait(self.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came: a part of a request, or nothing that begins one."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:  # a websocket from now on
            return
        if self._in_body:
            self._wait(self.silence)
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait(self.head)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._wait(self.head)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_body = True
        self._stop()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there: how long the answer takes is our affair."""
        self._in_body = False
        self._stop()
        super().on_message_complete()

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._late, seconds)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self, seconds: float) -> None:
        if self._in_body and self.flow.read_paused:  # it is we who do not read
            self._wait(seconds)
            return
        self.transport.close()
