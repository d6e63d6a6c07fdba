"""The cookies of sign-in: read strictly, and written so that scripts and other sites have no use
of them.

Over HTTPS they carry the prefix `__Host-`, which browsers only take from this very host.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response


def session_name(secure: bool) -> str:
    """The name of the cookie that holds a session's token."""
    return "__Host-llar" if secure else "llar_session"


def form_name(secure: bool) -> str:
    """The name of the cookie that proves that a form is one of ours."""
    return "__Host-llar-form" if secure else "llar_form"


def oidc_name(secure: bool) -> str:
    """The name of the cookie that holds a sign-in under way with the OpenID issuer."""
    return "__Host-llar-oidc" if secure else "llar_oidc"


def read(header: str, name: str) -> str:
    """A cookie's value in a Cookie header; nothing where it is missing or there twice."""
    found = [v for k, _, v in (p.strip().partition("=") for p in header.split(";")) if k == name]
    return found[0] if len(found) == 1 else ""


def write(response: Response, name: str, value: str, *, secure: bool, seconds: int) -> None:
    """Set a cookie that no script can read and that other sites' forms do not send."""
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax"
    )


def drop(response: Response, name: str, *, secure: bool) -> None:
    """Take a cookie away."""
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def signed(value: dict[str, Any], secret: bytes) -> str:
    """A value as text that only this server can write."""
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return f"{text}.{_mark(text, secret)}"


def unsigned(text: str, secret: bytes) -> dict[str, Any] | None:
    """The value; None where this server did not write the text."""
    body, _, mark = text.partition(".")
    if not hmac.compare_digest(mark.encode("latin-1", "replace"), _mark(body, secret).encode()):
        return None
    padded = body + "=" * (-len(body) % 4)  # left out: a cookie with a = would come in quotes
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(padded))
    return found


def local_path(wanted: str) -> str:
    """Where to go after signing in: a path of this server, whatever was asked for."""
    plain = wanted.startswith("/") and wanted.isprintable() and "\\" not in wanted
    if not plain or wanted.startswith("//") or " " in wanted:
        return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path in ("/login", "/logout"):
        return "/"
    return wanted


def _mark(text: str, secret: bytes) -> str:
    return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
