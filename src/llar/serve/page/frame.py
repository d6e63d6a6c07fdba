"""What every screen has around it: header, navigation, language, light and dark, errors."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nicegui
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from nicegui import Client, context, ui
from nicegui.storage import Storage
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...errors import Forbidden, LlarError, NotSignedIn, NotThere, UnknownCollection
from ..request import state_of
from ..state import State, server_dir
from ..who import Identity
from . import header, look, problems, sockets
from .parts import tag
from .words import Say, words

_NOT_FOUND = (NotThere, UnknownCollection)
_AWAY = 30.0  # seconds a browser may be away and find its page as it was; then it loads it anew
_PATIENCE = 30.0  # seconds a screen may take on a busy machine


@dataclass(slots=True)
class Screen:
    """What a screen knows of its surroundings."""

    name: str
    language: str
    say: Say  # the texts of words/NAME.toml in that language
    state: State
    request: Request = field(repr=False)

    def identity(self) -> Identity:
        """Who is looking, as the accounts have it now.

        Raises NotSignedIn where the session has ended meanwhile: a page stays open longer than
        that, so whatever reads or writes asks again.
        """
        identity: Identity | None = self.request.scope.get("llar.identity")
        if identity is None:
            raise NotSignedIn("sign in first")
        return self.state.accounts.still(identity)

    @property
    def is_admin(self) -> bool:
        """Whether an administrator was looking when the screen was built."""
        identity: Identity | None = self.request.scope.get("llar.identity")
        return identity is not None and identity.is_admin

    def notify_error(self, error: Exception) -> None:
        """Show what went wrong and how to fix it until it is closed."""
        if isinstance(error, NotSignedIn):
            ui.navigate.to("/login")
            return
        message, detail, fix = problems.said(error, self.language, admin=self.is_admin)
        ui.notify(
            message,
            caption=" · ".join(filter(None, (detail, fix))),
            type="negative",
            multi_line=True,
            timeout=0,
            position="top",
            close_button=words("frame", self.language)("close"),
            classes="l-error",
        )


def mount(app: FastAPI, pages: Sequence[str]) -> None:
    """Put the page on the application."""
    for name in pages:
        importlib.import_module(f".{name}", __package__)
    state: State = app.state.llar
    nicegui.app.state.llar = state
    nicegui.app.state.metrics = app.state.metrics
    Storage.path = server_dir(state.config) / "page"  # never used, but never in the current folder
    look.install()
    sockets.install()
    logging.getLogger("nicegui").addFilter(_not_ours)
    nicegui.app.add_exception_handler(404, _nothing_here)
    nicegui.app.add_exception_handler(RequestValidationError, _nothing_here)
    nicegui.app.on_page_exception(_broken)

    @page("/")
    def home() -> None:
        ui.navigate.to("/chat")

    ui.run_with(
        app,
        title="llar",
        favicon=Path(__file__).parent / "style" / "favicon.svg",
        show_welcome_message=False,
        tailwind=False,
        reconnect_timeout=_AWAY,
    )


def page(path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function the screen at an address."""
    return ui.page(path, response_timeout=_PATIENCE)


@contextmanager
def frame(active: str, *, heading: bool = True) -> Iterator[Screen]:
    """The content of a screen goes into the block.

    An error of ours in the block becomes the screen's content, one in a later event a notice.
    `heading` shows the screen's name above; otherwise only screen readers hear it.
    """
    client = context.client
    request, language = client.request, look.apply(client)
    screen = Screen(active, language, words(active, language), state_of(request), request)
    client.on_exception(screen.notify_error)
    header.build(active, language, request.scope.get("llar.identity"))
    title = words("frame", language)(active)
    ui.page_title(f"{title} · llar")
    with ui.element("div").classes("l-screen").props(f"id=content data-screen={active}"):
        tag("h1", title, "l-title" if heading else "l-unseen")
        try:
            yield screen
        except LlarError as error:
            _problem(screen, error)


def _problem(screen: Screen, error: Exception) -> None:
    """The content of a screen that cannot be shown."""
    if isinstance(error, NotSignedIn):
        ui.navigate.to("/login")
        return
    context.client.status_code = 404 if isinstance(error, _NOT_FOUND) else 400
    if isinstance(error, Forbidden):
        context.client.status_code = 403
    with ui.element("section").classes("l-problem").props("role=alert"):
        ui.icon("error_outline").props("aria-hidden=true")
        with ui.element("div"):
            message, detail, fix = problems.said(error, screen.language, admin=screen.is_admin)
            ui.label(message)
            if detail:
                tag("p", detail, "l-small")
            if fix:
                tag("code", fix)
    ui.link(words("frame", screen.language)("back"), "/chat")


async def _nothing_here(request: Request, error: Exception) -> Response:
    """The answer for an address of no screen: a page for people, JSON for programs."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": "Not Found"}, 404)
    with Client(ui.page(""), request=request) as client, frame("problems", heading=False) as screen:
        tag("p", screen.say("nothing_here"), "l-problem")
        ui.link(words("frame", screen.language)("back"), "/chat")
    return client.build_response(request, 404)


def _broken(error: Exception) -> None:
    """The content of a screen that failed where nobody expected it."""
    with frame("problems", heading=False) as screen:
        _problem(screen, error)


def _not_ours(record: logging.LogRecord) -> bool:
    """Errors of ours are shown to the user; they may hold words of documents and questions."""
    error = record.exc_info[1] if record.exc_info else record.msg
    return not isinstance(error, LlarError)
