"""The guard before every request and every websocket message.

In this order: is the request meant for this server (Host), is its path one, who is asking (key,
proxy or session), did a page of ours send it (where the browser adds the proof of who is asking
by itself), may it be answered without signing in, is its body small enough. What passes has
`scope["llar.identity"]`: an Identity, or None on what is public.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import Forbidden, LlarError, NotSignedIn, ServeError, TooLarge
from ..api import errors
from ..state import State
from ..threads import in_thread
from ..who import LOCAL, Identity
from . import bodies, cookies
from .answers import Answer, takes_gzip, without
from .origin import Headers, Places, host_name
from .start import is_loopback

PUBLIC = frozenset({
    "/health", "/ready", "/login", "/logout", "/oidc/login", "/oidc/callback", "/favicon.ico",
})  # fmt: skip
_ASSETS = re.compile(r"/style/.*|/_nicegui/\d[\w.]*/(static|libraries|components|esm|resources)/.*")
_PROGRAMS = re.compile(r"/(v1|api|mcp|rerank|tokenize|detokenize|metrics|openapi\.json)(/.*)?")
_SOCKET = "/_nicegui_ws/"
_CLIENT = re.compile(r"/_nicegui/client/([^/]+)/.*")
_SAFE = ("GET", "HEAD", "OPTIONS")


class Misdirected(ServeError):
    """The request names a host that this server is not."""


class Guard:
    """ASGI middleware around the whole server."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._config = state.config
        self._accounts = state.accounts
        self._places = Places(state.config)
        self._state = state
        self._writing: dict[str, asyncio.Task[None]] = {}  # key -> its use being written down
        self._next = 0.0  # when what is too old is looked for again
        self._tidying: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._tidy()
        headers = Headers.of(scope)
        peer = (scope.get("client") or ("",))[0] or ""
        secure = self._places.is_secure(scope, headers, peer)
        scope["llar.secure"] = secure
        scope["llar.base"] = self._places.base(scope, headers)
        scope["llar.identity"] = None
        address = self._places.address(headers, peer)
        if scope.get("client"):
            scope["client"] = (address, scope["client"][1] if address == peer else 0)
        scope["llar.address"] = address
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, headers, peer)
            return
        packed = takes_gzip(headers.get("accept-encoding"))
        strict = secure and not is_loopback(host_name(headers.get("host")))  # others serve there
        answer = Answer(send, strict=strict, packed=packed)
        try:
            await self._admit(scope, headers, peer)
        except LlarError as error:
            await self._refusal(error, scope, headers)(scope, receive, answer)
            return
        identity: Identity | None = scope["llar.identity"]
        if identity is None:
            await self._http(scope, receive, answer, headers)
            return
        flow = _Flow(receive, answer, lambda: self._lives(identity))
        await self._http(scope, flow.receive, answer, headers, flow.send)

    async def _http(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        headers: Headers,
        send: Send | None = None,
    ) -> None:
        """Pass a request on, with a bound on its body."""
        scope["headers"] = self._places.stripped(scope["headers"])
        if "text/html" in headers.get("accept"):  # a page is packed after it got its nonce
            scope["headers"] = without(scope["headers"], b"accept-encoding")
        most = bodies.limit(self._config, scope["path"], headers.get("content-type"))

        async def refuse(error: TooLarge) -> None:
            if not answer.begun:
                response = errors.answer(error, scope)
                response.headers["connection"] = "close"
                await response(scope, receive, answer)

        announced = headers.get("content-length")
        if announced.isdecimal() and int(announced) > most:
            await refuse(TooLarge(f"the request sends {announced} bytes; at most {most} are taken"))
            return
        body = bodies.Body(receive, most, refuse)
        await self._app(scope, body.receive, body.guarded(send or answer))

    # -- who is asking, and may they -------------------------------------------------------

    async def _admit(self, scope: Scope, headers: Headers, peer: str) -> None:
        """Set the identity. Raises LlarError where the request must not pass."""
        if not self._places.knows_host(headers, scope.get("server")):
            raise Misdirected(
                f"this server is not {headers.get('host')[:200]!r}",
                fix="name that host in the setting serve_hosts",
            )
        _check_path(scope["path"])
        identity = await self._who(scope, headers, peer)
        scope["llar.identity"] = identity
        self._check_page(scope, headers, identity)
        if identity is not None:
            if _is_foreign(scope, identity):
                raise NotSignedIn("this page belongs to another session")
            self._write_use(identity)
            if scope["path"] == "/metrics" and not self._is_here(headers, peer):
                identity.require("admin")
        elif not self._is_public(scope["path"]) and not (
            scope["path"] == "/metrics" and self._is_here(headers, peer)
        ):
            raise NotSignedIn("sign in first, or send an API key as 'Authorization: Bearer KEY'")

    async def _who(self, scope: Scope, headers: Headers, peer: str) -> Identity | None:
        """Who is asking; None where nobody says so. Raises NotSignedIn for a key not valid."""
        address: str = scope["llar.address"]
        if not self._accounts.needed:
            if self._places.is_forwarded(headers):
                raise Forbidden(
                    "the request came through a proxy, and this server has no accounts: add one"
                    " with 'llar users add NAME --role admin'"
                )
            return replace(LOCAL, address=address)
        kind, _, secret = headers.get("authorization").partition(" ")
        if kind.lower() == "bearer":
            if "authorization" in headers.repeated or not secret.strip().startswith("llar-"):
                raise NotSignedIn("the API key is not valid: expected one that begins with llar-")
            return self._accounts.identity(secret.strip(), address)
        named = self._places.user(headers, peer)
        if named:
            return await in_thread(self._accounts.proxy_identity, *named, address)
        token = cookies.read(headers.get("cookie"), cookies.session_name(scope["llar.secure"]))
        if not token or token.startswith("llar-"):  # a key is not a cookie
            return None
        try:
            return self._accounts.identity(token, address)
        except NotSignedIn:
            return None

    def _check_page(self, scope: Scope, headers: Headers, identity: Identity | None) -> None:
        """Refuse what another site made the browser send.

        A key is no concern: a browser does not add it by itself. Whoever is not known to come
        from a browser may do without the proof only where no browser's cookie is taken either.
        """
        if identity is not None and identity.via == "key":
            return
        ours = self._places.is_ours(scope, headers)
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes:
            may = ours is True or (ours is None and (identity is None or identity.via == "local"))
        else:  # following a link from elsewhere is fine; reading what is here from there is not
            may = ours is not False or headers.get("sec-fetch-mode") in ("", "navigate")
        if not may and (changes or identity is not None):
            raise Forbidden("the request was sent by a page of another site")

    def _is_public(self, path: str) -> bool:
        return path in PUBLIC or _ASSETS.fullmatch(path) is not None

    def _is_here(self, headers: Headers, peer: str) -> bool:
        """Does it come from this machine, and not through a proxy on it?"""
        direct = not self._config.serve_url and not self._places.is_forwarded(headers)
        return direct and bool(peer) and is_loopback(peer)

    def _write_use(self, identity: Identity) -> None:
        """Note that a key was used, at most once a minute and after the request went on."""
        key = identity.session
        if key in self._writing or not self._accounts.is_unused(identity):
            return

        async def write() -> None:
            try:
                await in_thread(self._accounts.used, identity)
            finally:
                del self._writing[key]

        self._writing[key] = asyncio.create_task(write())

    def _tidy(self) -> None:
        """Delete what is kept no longer, once an hour, beside whatever request comes then."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 3600

        def tidy() -> None:
            self._state.audit.prune_due()
            self._state.history.prune()
            self._accounts.tidy()

        self._tidying = asyncio.create_task(in_thread(tidy))

    # -- refusing --------------------------------------------------------------------------

    def _refusal(self, error: LlarError, scope: Scope, headers: Headers) -> Response:
        if isinstance(error, NotSignedIn) and _is_page(scope, headers):
            path = quote(scope["path"])
            query = scope.get("query_string", b"").decode("latin-1")
            wanted = f"{path}?{query}" if query else path
            suffix = "" if wanted == "/" else f"?next={quote(wanted, safe='')}"
            return RedirectResponse(f"/login{suffix}", 303)
        if isinstance(error, Misdirected):
            return JSONResponse({"error": errors.as_json(error, admin=True)}, 421)
        return errors.answer(error, scope)

    # -- websockets ------------------------------------------------------------------------

    async def _websocket(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, peer: str
    ) -> None:
        """Pass a websocket on for as long as its session lives."""
        try:
            await self._admit(scope, headers, peer)
        except NotSignedIn:
            if scope["path"].startswith(_SOCKET):
                await _reload(receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        except LlarError:
            await send({"type": "websocket.close", "code": 1008})
            return
        scope["headers"] = self._places.stripped(scope["headers"])
        identity: Identity = scope["llar.identity"]
        watched = _Watched(receive, send, lambda: self._lives(identity))
        await self._app(scope, watched.receive, watched.send)

    def _lives(self, identity: Identity) -> bool:
        try:
            self._accounts.still(identity)
        except NotSignedIn:
            return False
        return True


class _Flow:
    """An answer in pieces, which breaks off when the session of who asked has ended."""

    def __init__(self, receive: Receive, send: Send, lives: Callable[[], bool]) -> None:
        self._receive = receive
        self._send = send
        self._lives = lives
        self._ended = asyncio.Event()
        self._heard = False  # the whole body of the request
        self._begun = False

    async def receive(self) -> Message:
        """The next message from the client; that it left, where the session has ended."""
        if not self._heard:
            message = await self._receive()
            self._heard = not message.get("more_body")
            return message
        following = asyncio.ensure_future(self._receive())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((following, ended), return_when=asyncio.FIRST_COMPLETED)
            return following.result() if following.done() else {"type": "http.disconnect"}
        finally:
            following.cancel()
            ended.cancel()

    async def send(self, message: Message) -> None:
        """Pass a message on; the first piece belongs to the request, which was let in."""
        if message["type"] == "http.response.body":
            if self._begun and message.get("body") and not self._lives():
                self._ended.set()
            self._begun = True
        if not self._ended.is_set():
            await self._send(message)


class _Watched:
    """A websocket that closes with its session: nothing passes it afterwards, either way."""

    def __init__(self, receive: Receive, send: Send, lives: Callable[[], bool]) -> None:
        self._receive = receive
        self._send = send
        self._lives = lives
        self._closed = False

    async def receive(self) -> Message:
        """The next message from the browser; that it left, where the session has ended."""
        if self._closed:
            return {"type": "websocket.disconnect", "code": 1008}
        message = await self._receive()
        if message["type"] == "websocket.receive" and await self._ended():
            return {"type": "websocket.disconnect", "code": 1008}
        return message

    async def send(self, message: Message) -> None:
        """A message to the browser; none where the session has ended."""
        if self._closed or (message["type"] == "websocket.send" and await self._ended()):
            return
        await self._send(message)

    async def _ended(self) -> bool:
        if not self._closed and not self._lives():
            self._closed = True
            await self._send({"type": "websocket.close", "code": 1008})
        return self._closed


async def _reload(receive: Receive, send: Send) -> None:
    """Tell a page whose session has ended to load itself anew, which leads it to the sign-in.

    A refused connection would be tried again for ever. So it is accepted, and the handshake of
    NiceGUI fails: engine.io's "open", then socket.io's "connect error".
    """
    await receive()
    await send({"type": "websocket.accept"})
    hello = {"sid": secrets.token_urlsafe(16), "upgrades": [], "pingInterval": 25000,
             "pingTimeout": 20000, "maxPayload": 1000}  # fmt: skip
    await send({"type": "websocket.send", "text": "0" + json.dumps(hello)})
    try:
        message = await asyncio.wait_for(receive(), 10)
    except TimeoutError:
        message = {"type": "websocket.receive"}
    if message["type"] == "websocket.receive":
        failed = json.dumps({"message": "Implicit handshake failed"})
        await send({"type": "websocket.send", "text": "44" + failed})
        await send({"type": "websocket.close", "code": 1008})


def _check_path(path: str) -> None:
    """Raises ServeError for a path that climbs, or that no client of ours writes."""
    if ".." in path.split("/") or "\\" in path or any(ord(c) < 32 or ord(c) == 127 for c in path):
        raise ServeError("the path of the request is not valid")


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Would a person see the answer?"""
    reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    wants = "text/html" in headers.get("accept") or headers.get("sec-fetch-mode") == "navigate"
    return reads and wants and not _PROGRAMS.fullmatch(scope["path"])


def _is_foreign(scope: Scope, identity: Identity) -> bool:
    """Is it about a page that was made for another session, left open in the same browser?"""
    path: str = scope["path"]
    found = _CLIENT.fullmatch(path)
    if found is None and not path.startswith(_SOCKET):
        return False
    from urllib.parse import parse_qs

    from nicegui import Client

    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    client = Client.instances.get(found[1] if found else query.get("client_id", [""])[0])
    if client is None:
        return False
    owner: Identity | None = client.request.scope.get("llar.identity")
    if owner is None:
        return False
    return (owner.user, owner.via, owner.session) != (
        identity.user, identity.via, identity.session,
    )  # fmt: skip
