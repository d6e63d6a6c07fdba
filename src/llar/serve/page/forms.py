"""What the forms of signing in are made of: one page without a script, its fields and buttons."""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import FormData

from .look import language_of, look_of
from .words import LANGUAGES, Say

STYLE = Path(__file__).with_name("style")


def secret(name: str, label: str, fills: str, more: str = "") -> str:
    """A field for a password; `fills` is what a browser may fill in."""
    return (
        f'<label for="{name}">{escape(label)}</label><input id="{name}" name="{name}"'
        f' type="password" autocomplete="{fills}" required{more}>'
    )


def button(text: str) -> str:
    """What sends a form."""
    return f'<button class="go" type="submit">{escape(text)}</button>'


def page(request: Request, say: Say, title: str, body: str, wanted: str = "/") -> str:
    """A whole page around a form."""
    language, look = language_of(request), look_of(request)
    here = {language: ' aria-current="true"'}
    ways = "".join(
        f'<a lang="{code}" href="/login?{escape(urlencode({"language": code, "next": wanted}))}"'
        f"{here.get(code, '')}>{escape(own)}</a>"
        for code, own in LANGUAGES.items()
    )
    kind = "" if look == "system" else f' class="{look}"'
    return (
        f'<!doctype html><html lang="{language}"{kind}><head><meta charset="utf-8">'
        f"<title>{escape(say(title))} · llar</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/style/favicon.svg">'
        f'<link rel="stylesheet" href="/style/llar.css?{_version("llar.css")}">'
        f'<link rel="stylesheet" href="/style/login.css?{_version("login.css")}">'
        '</head><body><main><div class="card"><div class="brand">'
        '<img src="/style/favicon.svg" alt="" width="28" height="28"><span>llar</span></div>'
        f'{body}</div></main><nav aria-label="{escape(say("language"))}">{ways}</nav></body></html>'
    )


@cache
def _version(name: str) -> str:
    """A part of the address that changes with the file: browsers keep it for a year."""
    return hashlib.sha256((STYLE / name).read_bytes()).hexdigest()[:12]


def field(form: FormData, name: str) -> str:
    """What was typed into a field; nothing where something else came."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
