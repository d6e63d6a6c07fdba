"""The screen of `llar plan advise`: which model, on which hardware, worked with how."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui import ui

from ...errors import LlarError
from ...plan.advice.advise import advise
from ...plan.advice.records import Advice
from ...plan.advice.situation import QUESTIONS, Question, situation
from ...plan.hardware.machines import machines
from ..threads import in_thread
from .advise_answer import show_answer
from .advise_said import said
from .frame import Screen, frame, page
from .inside_settings import problem
from .library_parts import sheet
from .parts import tag

NUMBERS = ("users", "documents", "pages", "latency", "examples")
BUDGETS = ("once", "monthly")  # empty: no limit
DEFAULTS = {"users": "20", "data": "internal", "languages": "en", "hardware": "this"}


@page("/advise")
async def show() -> None:
    """The screen; it needs no model and no network."""
    sheet("tools")
    with frame("advise") as screen:
        screen.identity()
        known = await in_thread(machines, screen.state.config)
        names = {"this": screen.say("this_machine")}
        language = screen.language
        names |= {name: said(machine.title, language) or name for name, machine in known.items()}
        Form(screen, names)


class Form:
    """The questions, and below them the answer."""

    def __init__(self, screen: Screen, hardware: Mapping[str, str]) -> None:
        self._screen = screen
        self._hardware = hardware
        self._fields: dict[str, ui.select | ui.input] = {}
        say = screen.say
        tag("p", say("about"), "l-quiet")
        with ui.element("section").classes("t-card"):
            with ui.element("div").classes("t-form"):
                for question in QUESTIONS:
                    self._ask(question)
                self._currency = ui.select(["USD", "EUR"], value="USD", label=say("currency"))
                self._currency.props("outlined options-dense")
                self._rate = ui.input(say("rate")).props("outlined")
                self._rate.props("data-question=rate inputmode=decimal")
                self._rate.bind_visibility_from(self._currency, "value", value="EUR")
            self._open = ui.checkbox(say("open_licence"), value=False)
            self._go = ui.button(say("advise"), icon="lightbulb", on_click=self._work)
            self._go.props("unelevated data-part=advise")
            self._problem = tag("p", "", "t-problem", "role=alert")
        self._place = ui.element("section").classes("t-results").props("aria-live=polite")
        problem(self._problem, None, screen)

    def _ask(self, question: Question) -> None:
        say, key = self._screen.say, question.key
        value = "" if key in BUDGETS else DEFAULTS.get(key, question.default)
        field: ui.select | ui.input
        if question.choices:
            options = {answer: say(f"{key}_{answer}") for answer, _ in question.choices}
            field = ui.select(options, value=value, label=say(key)).props("options-dense")
        elif key == "hardware":
            field = ui.select(
                dict(self._hardware), value=[value], multiple=True, label=say(key), with_input=True
            ).props("use-chips options-dense")
        else:
            field = ui.input(say(key), value=value)
            if key in BUDGETS:
                field.props("stack-label").props["placeholder"] = say("no_limit")
            if key in (*NUMBERS, *BUDGETS):
                field.props("inputmode=decimal")
        field.props(f"outlined data-question={key}")
        hint = f"{key}_hint"
        if key in ("latency", "once", "monthly", "languages", "hardware", "examples"):
            field.props["hint"] = say(hint)
        self._fields[key] = field

    def _answers(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for key, field in self._fields.items():
            value = field.value
            found[key] = ",".join(value) or "none" if isinstance(value, list) else value
        return found

    async def _work(self) -> None:
        self._screen.identity()
        config = self._screen.state.config
        answers, currency = self._answers(), self._currency.value
        rate = self._rate.value if currency == "EUR" else None
        is_open = bool(self._open.value)

        def found() -> Advice:
            told = situation(
                answers,
                open_licence=is_open,
                currency="EUR" if currency == "EUR" else "USD",
                eur_per_usd=rate,
            )
            return advise(config, told)

        error: LlarError | None = None
        try:
            told = await in_thread(found)
        except LlarError as e:
            error = e
        if self._place.is_deleted:
            return
        problem(self._problem, error, self._screen)
        self._place.clear()
        if error is None:
            with self._place:
                show_answer(self._screen, told)
