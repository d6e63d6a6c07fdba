"""One text continued by several decoding methods, side by side."""

from __future__ import annotations

import math
import threading

from nicegui import context, ui

from ...errors import LlarError
from ...inside.generation import Model, shown
from ...inside.methods import DEFAULT, METHODS, Continuation
from ..threads import in_thread
from .frame import Screen
from .inside_looking import Stoppable, compared
from .inside_next import LONGEST_TEXT
from .inside_settings import choose_model, problem
from .inside_shown import Chip, Tokens, percent, token_names, visible
from .library_parts import number
from .parts import tag

__all__ = ["Methods"]

MOST = 60  # tokens of a continuation
FIRST = ("greedy", "beam", "temperature", "top-k", "top-p", "min-p")


class Methods:
    """The tab."""

    def __init__(self, screen: Screen, models: list[str]) -> None:
        self._screen = screen
        self._stopped = threading.Event()
        self._running = False
        say = screen.say
        with ui.element("section").classes("t-card t-ask"):
            ui.label(say("methods_about")).classes("l-quiet")
            self._text = ui.textarea(say("text"), value=say("methods_example"))
            self._text.props(f"outlined autogrow maxlength={LONGEST_TEXT}").props(
                "data-part=methods-text"
            )
            with ui.element("div").classes("t-row"):
                self._model = choose_model(models, screen.state.config, say, _nothing)
                self._methods = ui.select(
                    list(DEFAULT), value=list(FIRST), multiple=True, label=say("methods")
                ).props("outlined dense use-chips options-dense").classes("t-grow")  # fmt: skip
            with ui.element("div").classes("t-row"):
                self._tokens = ui.number(say("tokens"), value=20, min=1, max=MOST, step=1)
                self._tokens.props("outlined dense").classes("t-narrow")
                self._seed = ui.number(say("seed"), value=0, min=0, max=2**31, step=1)
                self._seed.props("outlined dense").classes("t-narrow")
                self._go = ui.button(say("run"), icon="play_arrow", on_click=self._run)
                self._go.props("unelevated")
                self._stop = ui.button(say("stop"), icon="stop", on_click=self._stopped.set)
                self._stop.props("outline").set_visibility(False)
                self._spinner = ui.spinner(size="2em")
                self._spinner.set_visibility(False)
            self._problem = ui.label().classes("t-problem").props("role=alert")
        self._results = ui.element("section").classes("t-cards").props("aria-live=polite")
        problem(self._problem, None, screen)
        context.client.on_disconnect(self._stopped.set)

    async def show(self) -> None:
        """The tab was opened: nothing runs before it is asked for."""

    async def _run(self) -> None:
        if self._running or not self._model.value:
            return
        self._screen.identity()
        self._stopped.clear()
        self._working(True)
        name, text = str(self._model.value), self._text.value or ""
        methods = list(self._methods.value or ())
        tokens = max(1, min(MOST, int(self._tokens.value or 1)))
        seed = max(0, int(self._seed.value or 0))

        def found() -> list[tuple[Continuation, list[Chip]]]:
            model = Stoppable(self._screen.state.steps.model(name), self._stopped)
            wrote = compared(model, text, methods, tokens, seed)
            return [(each, [chip(model, token) for token in each.ids]) for each in wrote]

        error: LlarError | None = None
        told: list[tuple[Continuation, list[Chip]]] = []
        try:
            told = await in_thread(found)
        except LlarError as e:
            error = e
        finally:
            self._running = False
        if self._results.is_deleted:
            return
        self._working(False)
        problem(self._problem, None if self._stopped.is_set() else error, self._screen)
        if error is None:
            self._results.clear()
            with self._results:
                for each, pieces in told:
                    self._show(each, pieces)

    def _working(self, running: bool) -> None:
        self._running = running
        self._go.set_enabled(not running)
        self._stop.set_visibility(running)
        self._spinner.set_visibility(running)

    def _show(self, each: Continuation, pieces: list[Chip]) -> None:
        say, language = self._screen.say, self._screen.language
        with ui.element("article").classes("t-card").props(f"data-method={each.method}"):
            tag("h2", each.method, "t-head")
            about = METHODS[each.method]
            ui.label(say(f"method_{each.method.replace('-', '_')}")).classes("l-quiet l-small")
            if each.refused:
                ui.label(say("refused", reason=each.refused)).classes("t-problem")
                return
            ui.label(each.text).classes("t-written")
            chips = Tokens(say("tokens_of", name=each.method), token_names(say))
            chips.show(pieces)
            mean = math.exp(each.logprob / len(each.ids)) if each.ids else 0.0
            count = number(len(each.ids), language)
            text = say("written_tokens", count=count, share=percent(mean, language))
            ui.label(f"{text} {about.source}".strip()).classes("l-quiet l-small")


def chip(model: Model, token: int) -> Chip:
    """A token that was written, as inside_tokens.js takes it."""
    piece = model.piece(token)
    return visible(shown(piece)), token, piece.hex(" "), "special" if model.ends(token) else ""


async def _nothing() -> None:
    """Another model is used from the next run on."""
