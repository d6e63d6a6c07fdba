"""What every answer carries: headers that tell the browser what it may do with it.

The page's own scripts carry a nonce, made for each answer; NiceGUI needs `eval`, and styles of
single elements. So what is put into the page as text, or as HTML by a mistake, still runs
nothing: neither a script, nor an attribute such as onerror.
"""

from __future__ import annotations

import gzip
import re
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_HSTS = "max-age=31536000"
_PAGE = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:;"
    " media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
_REST = (  # forms, files of documents, and what an API answers
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SCRIPT = re.compile(rb"<script(?=[\s>])")
_MOST = 16 << 20  # bytes of a page that are held back; NiceGUI sends a page in one piece


class Answer:
    """Sends one answer on, with those headers."""

    def __init__(self, send: Send, *, strict: bool, packed: bool) -> None:
        """`strict` says that the browser shall use HTTPS from now on, `packed` that it takes
        gzip."""
        self._send = send
        self._strict = strict
        self._packed = packed
        self._start: Message | None = None
        self._nonce = ""
        self._body = bytearray()
        self.begun = False

    async def __call__(self, message: Message) -> None:
        """One ASGI message."""
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            is_page = headers.get("x-nicegui-content") == "page"
            self._complete(headers, is_page)
            message = {**message, "headers": headers.raw}
            if is_page and "content-encoding" not in headers:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body") and len(self._body) < _MOST:
                return
            await self._page(self._start, more=bool(message.get("more_body")))
            return
        await self._send(message)

    def _complete(self, headers: MutableHeaders, is_page: bool) -> None:
        for name, value in _ALWAYS.items():
            headers.setdefault(name, value)
        if is_page:
            self._nonce = secrets.token_urlsafe(16)
            headers["content-security-policy"] = _PAGE.format(nonce=self._nonce)
        else:
            headers.setdefault("content-security-policy", _REST)
        headers.setdefault("cache-control", "no-store")
        if self._strict:
            headers["strict-transport-security"] = _HSTS

    async def _page(self, start: Message, *, more: bool) -> None:
        """The page with its nonce in every script tag, packed where the browser takes that.

        What users wrote is in the page with its `<` escaped, so no tag can be theirs.
        """
        body = _SCRIPT.sub(b"<script nonce=" + self._nonce.encode(), bytes(self._body))
        headers = MutableHeaders(raw=list(start["headers"]))
        if more:
            del headers["content-length"]
        else:
            if self._packed:
                body = gzip.compress(body, 5)
                headers["content-encoding"] = "gzip"
            headers["content-length"] = str(len(body))
        headers.add_vary_header("accept-encoding")
        self._start = None
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def takes_gzip(accepted: str) -> bool:
    """Does an Accept-Encoding header allow gzip?"""
    for part in accepted.split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def without(raw: list[tuple[bytes, bytes]], name: bytes) -> list[tuple[bytes, bytes]]:
    """Headers without one of them."""
    return [h for h in raw if h[0].lower() != name]
