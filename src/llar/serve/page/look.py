"""The language and the colours of the page: chosen once, kept in a cookie, never a round trip."""

from __future__ import annotations

import copy
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import nicegui
from nicegui import Client, ui
from starlette.requests import Request

from .words import LANGUAGES

STYLE = Path(__file__).with_name("style")
_SHELL = (  # what is painted until the scripts are there, a few tenths of a second later
    '<div class="l-shell" aria-hidden="true"><img src="/style/favicon.svg" alt="" width="28"'
    ' height="28"><span>llar</span></div>'
)
LOOKS = ("system", "light", "dark")
_QUASAR: dict[str, Any] = {"en": "en-US", "es": "es", "ca": "ca", "hu": "hu"}


def language_of(request: Request) -> str:
    """The language chosen, or the first of those the browser asks for that there is."""
    chosen = request.cookies.get("llar_language")
    if chosen in LANGUAGES:
        return chosen
    return accepted(request.headers.get("accept-language", ""))


def accepted(header: str) -> str:
    """The best of our languages by an Accept-Language header; English where it names none."""
    wanted: list[tuple[float, str]] = []
    for part in header.split(","):
        name, _, parameter = part.strip().partition(";")
        key, _, value = parameter.strip().partition("=")
        try:
            quality = float(value) if key == "q" else 1.0
        except ValueError:
            continue
        wanted.append((-quality, name.split("-")[0].lower()))
    return next((n for q, n in sorted(wanted, key=lambda w: w[0]) if n in LANGUAGES and q), "en")


def look_of(request: Request) -> str:
    """The colours chosen: "system", "light" or "dark"."""
    chosen = request.cookies.get("llar_look")
    return chosen if chosen in LOOKS else "system"


def apply(client: Client) -> str:
    """Give this view of a page its language and colours; returns the language."""
    language, chosen = language_of(client.request), look_of(client.request)
    view = copy.copy(client.page)  # the page itself is shared by all who look at it
    view.dark = {"system": None, "light": False, "dark": True}[chosen]
    view.language = _QUASAR[language]
    client.page = view
    if chosen != "system":
        ui.add_head_html(f"<style>:root{{color-scheme:{chosen}}}</style>")
    return language


def install() -> None:
    """Serve the style sheet and link it in every page."""
    nicegui.app.add_static_files("/style", STYLE, max_cache_age=31_536_000)
    sheets = "".join(
        f'<link rel="stylesheet" href="/style/{name}?{_version(name)}">'
        for name in ("llar.css", "chat.css")
    )
    script = f'<script defer src="/style/llar.js?{_version("llar.js")}"></script>'
    ui.add_head_html(sheets + script, shared=True)
    ui.add_body_html(_SHELL, shared=True)


@cache
def _version(name: str) -> str:
    """A part of the address that changes with the file, so that it may be cached for ever."""
    return hashlib.sha256((STYLE / name).read_bytes()).hexdigest()[:12]
