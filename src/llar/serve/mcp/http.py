"""The MCP server at /mcp: streamable HTTP, for whoever the guard let in.

Every request stands for itself: there are no sessions that somebody else could continue, and
whom a request is from is what the guard said of that very request. So nothing is pushed to
clients outside of an answer, and only POST is taken. Host and Origin were checked by the guard,
by the server's settings; the SDK's own lists would have to say the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..request import identity_of, state_of
from ..threads import in_thread
from .desk import Desk, ServerDesk

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from .server import Context

PATH = "/mcp"
LARGEST = 1 << 20  # bytes of a request

_ONLY_POST = JSONResponse(
    {
        "error": {
            "message": f"{PATH} takes POST only: there are no sessions to listen to or to end",
            "type": "invalid_request_error",
            "param": None,
            "code": "method_not_allowed",
        }
    },
    405,
    {"Allow": "POST"},
)


def mount(app: FastAPI) -> None:
    """Answer at /mcp for as long as the application lives."""
    endpoint = _Endpoint()
    before: Any = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(whole: FastAPI) -> AsyncIterator[Any]:
        async with endpoint.kept(), before(whole) as state:
            yield state

    app.router.lifespan_context = lifespan
    app.router.routes.append(Route(PATH, endpoint, include_in_schema=False))


class _Endpoint:
    """The SDK's manager as an application of its own, which gets requests as they are.

    It is made for the first request: the SDK takes most of a second to import, and most servers
    are never asked.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None
        self._manager: asyncio.Future[StreamableHTTPSessionManager]
        self._ended: asyncio.Event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _ONLY_POST(scope, receive, send)
            return
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        either = (self._running, self._manager)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            self._running.result()  # raises what was wrong
        await self._manager.result().handle_request(scope, receive, send)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """What was started meanwhile is ended when the block is left."""
        self._manager = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        try:
            yield
        finally:
            self._ended.set()
            if self._running is not None:
                await self._running
                self._running = None

    async def _run(self) -> None:
        """Run the manager in a task of its own, as its task group has to be."""
        manager = await in_thread(_made)
        async with manager.run():
            self._manager.set_result(manager)
            await self._ended.wait()


def _made() -> StreamableHTTPSessionManager:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings

    from .server import make

    return StreamableHTTPSessionManager(
        make(_desk),
        stateless=True,
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=LARGEST,
    )


def _desk(context: Context) -> Desk:
    """What the sender of a request may see."""
    request: Request | None = context.request
    assert request is not None
    return ServerDesk(state_of(request), identity_of(request))
