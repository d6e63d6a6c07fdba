"""What comes next, as one types: the likeliest tokens, and what the settings keep of them."""

from __future__ import annotations

from nicegui import ui

from ...errors import LlarError
from ..threads import in_thread
from .frame import Screen
from .inside_latest import Latest
from .inside_looking import Look, ask, look
from .inside_settings import Sliders, choose_model, problem
from .inside_shown import Choice, percent
from .library_parts import number

__all__ = ["LONGEST_TEXT", "NextToken", "names_of"]

LONGEST_TEXT = 20_000  # characters that a field takes


class NextToken:
    """The tab; nothing is computed before it is first shown."""

    def __init__(self, screen: Screen, models: list[str]) -> None:
        self._screen = screen
        self._latest = Latest(self._work)
        say = screen.say
        with ui.element("section").classes("t-two"):
            with ui.element("div").classes("t-ask t-card"):
                ui.label(say("next_about")).classes("l-quiet")
                self._text = ui.textarea(say("text"), value=say("next_example"))
                self._text.props(f"outlined autogrow debounce=200 maxlength={LONGEST_TEXT}")
                self._text.props("data-part=next-text").on_value_change(self._latest.ask)
                self._model = choose_model(models, screen.state.config, say, self._latest.ask)
                self._sliders = Sliders(screen, self._latest.ask)
            with ui.element("div").classes("t-answer t-card"):
                self._problem = ui.label().classes("t-problem").props("role=alert")
                self._facts = ui.label().classes("t-facts").props("role=status data-part=facts")
                self._choice = Choice(names_of(screen), screen.language)
                ui.label(say("choice_about")).classes("l-quiet l-small")
        problem(self._problem, None, screen)

    async def show(self) -> None:
        """The tab was opened."""
        await self._latest.ask()

    async def _work(self) -> None:
        self._screen.identity()
        name, text, settings = self._model.value, self._text.value or "", self._sliders.settings
        if not name:
            return
        steps = self._screen.state.steps

        def found() -> Look:
            model = steps.model(name)
            return look(model, ask(model, text), (), settings)

        error: LlarError | None = None
        try:
            told = await in_thread(found)
        except LlarError as e:
            error = e
        if self._choice.is_deleted:
            return
        problem(self._problem, error, self._screen)
        if error is None:
            self._choice.show(told.step.candidates)
            self._facts.text = facts(self._screen, told)


def names_of(screen: Screen) -> dict[str, str]:
    """What inside_choice.js says."""
    keys = ("caption", "token", "id", "bars", "before", "after", "kept", "yes", "no", "take")
    return {key: screen.say(f"choice_{key}") for key in keys}


def facts(screen: Screen, told: Look) -> str:
    """How many tokens are kept of how many, what they hold, and how open the choice is."""
    say, language, step = screen.say, screen.language, told.step
    text = say(
        "facts",
        prompt=number(told.after, language),
        kept=number(step.kept, language),
        of=number(step.of, language),
        held=percent(told.held, language),
    )
    if step.entropy is not None:
        text += " " + say("entropy", bits=number(step.entropy, language, 2))
    if step.tail:
        text += " " + say("tail", share=percent(step.tail, language))
    return text
