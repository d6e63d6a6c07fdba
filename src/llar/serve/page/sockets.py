"""A browser's socket speaks for the page it was opened for, and for no other.

NiceGUI takes any client id that a message names. The ids are random, but whoever learns one (from
a page left open on a shared computer, say) must not act in it, or listen to it, with a session of
their own. The guard has looked at the id that a socket names when it connects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from inspect import isawaitable
from typing import Any

from nicegui import Client, core

Handler = Callable[[str, dict[str, Any]], Awaitable[Any] | Any]

_SPEAKING = ("event", "javascript_response", "ack", "log")


@cache  # the socket server is one for the whole process
def install() -> None:
    """Put a check before NiceGUI's own handlers."""
    handlers: dict[str, Handler] = core.sio.handlers["/"]
    for name in _SPEAKING:
        core.sio.on(name, _checked(handlers[name], speaks_for))
    core.sio.on("handshake", _checked(handlers["handshake"], is_same_session))


def speaks_for(sid: str, client: str) -> bool:
    """Was the socket opened for this page? The handshake put it into a room of that name."""
    return client in core.sio.rooms(sid)


def is_same_session(sid: str, client: str) -> bool:
    """Has the page been made for the session that opened the socket?"""
    page, environment = Client.instances.get(client), core.sio.get_environ(sid)
    if page is None or environment is None:
        return False
    mine = environment["asgi.scope"].get("llar.identity")
    owner = page.request.scope.get("llar.identity")
    if mine is None or owner is None:
        return False
    return (mine.user, mine.session) == (owner.user, owner.session)


def _checked(handler: Handler, may: Callable[[str, str], bool]) -> Handler:
    async def checked(sid: str, message: dict[str, Any]) -> Any:
        if not may(sid, str(message.get("client_id"))):
            return False
        done = handler(sid, message)
        return await done if isawaitable(done) else done

    return checked
