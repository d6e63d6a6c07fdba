"""What every screen has around it: header, navigation, language, light and dark, errors."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nicegui
from fastapi import FastAPI
from nicegui import context, ui
from nicegui.storage import Storage
from starlette.requests import Request

from ...errors import Forbidden, LlarError, NotSignedIn, NotThere, UnknownCollection
from ..request import state_of
from ..state import State, server_dir
from ..who import Identity
from . import header, look
from .parts import tag
from .words import Say, words

_NOT_FOUND = (NotThere, UnknownCollection)


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

    def notify_error(self, error: Exception) -> None:
        """Show what went wrong and how to fix it until it is closed.

        An error that is not ours is only named: its text is for the log.
        """
        say = words("frame", self.language)
        if isinstance(error, NotSignedIn):
            ui.navigate.to("/login")
            return
        message, fix = say("broken"), None
        if isinstance(error, LlarError):
            message, fix = error.message, error.fix
        ui.notify(
            message,
            caption=fix,
            type="negative",
            multi_line=True,
            timeout=0,
            position="top",
            close_button=say("close"),
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
    logging.getLogger("nicegui").addFilter(_not_ours)

    @ui.page("/")
    def home() -> None:
        ui.navigate.to("/chat")

    ui.run_with(
        app,
        title="llar",
        favicon=Path(__file__).parent / "style" / "favicon.svg",
        show_welcome_message=False,
        tailwind=False,
    )


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


def _problem(screen: Screen, error: LlarError) -> None:
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
            ui.label(error.message)
            if error.fix:
                tag("code", error.fix)
    ui.link(words("frame", screen.language)("back"), "/chat")


def _not_ours(record: logging.LogRecord) -> bool:
    """Errors of ours are shown to the user; they may hold words of documents and questions."""
    error = record.exc_info[1] if record.exc_info else record.msg
    return not isinstance(error, LlarError)
