"""What is chosen on several tabs: the model, and how a token is chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from ...config import Config
from ...errors import LlarError
from ...inside.decoding import Settings
from ...models.store import Store
from . import problems
from .frame import Screen
from .library_parts import number
from .words import Say

__all__ = ["Sliders", "choose_model", "model_names", "problem", "reason"]

Changed = Callable[[], Awaitable[None]]

# name -> least, most, step, what switches it off
RANGES: dict[str, tuple[float, float, float, float]] = {
    "temperature": (0.0, 2.0, 0.05, 1.0),
    "top_k": (0, 100, 1, 0),
    "top_p": (0.01, 1.0, 0.01, 1.0),
    "min_p": (0.0, 1.0, 0.01, 0.0),
}


class Slider(ui.slider):
    """A slider that moves at once: one that waits for the server loses quick keys."""

    LOOPBACK = False


class Sliders:
    """Temperature, top-k, top-p and min-p."""

    def __init__(self, screen: Screen, changed: Changed) -> None:
        self._say, self._language = screen.say, screen.language
        self._changed = changed
        self._sliders: dict[str, Slider] = {}
        self._shown: dict[str, ui.label] = {}
        with (
            ui.element("div")
            .classes("t-sliders")
            .props(f'role=group aria-label="{self._say("how")}"')
        ):
            for name, (least, most, step, off) in RANGES.items():
                self._add(name, least, most, step, off)
            reset = ui.button(self._say("reset"), icon="restart_alt", on_click=self._reset)
            reset.props("flat dense no-caps").classes("t-reset")

    @property
    def settings(self) -> Settings:
        """As they stand."""
        value = {name: float(slider.value or 0) for name, slider in self._sliders.items()}
        return Settings(
            temperature=round(value["temperature"], 2),
            top_k=int(value["top_k"]) or None,
            top_p=None if value["top_p"] >= 1 else round(value["top_p"], 2),
            min_p=round(value["min_p"], 2) or None,
        )

    def _add(self, name: str, least: float, most: float, step: float, off: float) -> None:
        with ui.element("div").classes("t-slider"):
            with ui.element("div").classes("t-slider-head"):
                ui.label(self._say(name))
                self._shown[name] = ui.label().classes("t-value")
            slider = Slider(min=least, max=most, step=step, value=off)
            slider.props(f'aria-label="{self._say(name)}" dense').props(f"data-part={name}")
            slider.on_value_change(self._moved)
            self._sliders[name] = slider
            ui.label(self._say(f"{name}_about")).classes("l-quiet l-small")
        self._show()

    async def _moved(self) -> None:
        self._show()
        await self._changed()

    async def _reset(self) -> None:
        for name, slider in self._sliders.items():
            slider.value = RANGES[name][3]

    def _show(self) -> None:
        for name, slider in self._sliders.items():
            value = float(slider.value or 0)
            off = value == RANGES[name][3] and name != "temperature"
            text = number(value, self._language, 0 if name == "top_k" else 2)
            self._shown[name].text = self._say("off") if off else text


def model_names(config: Config) -> list[str]:
    """The chat models that can be looked into: those installed, and a configured remote one."""
    found = [m.full_name for m in Store(config.models_dir).list()
             if m.kind == "chat" and m.backend == "llamacpp"]  # fmt: skip
    if config.chat_model.startswith("openai:"):
        found.append(config.chat_model)
    return found


def choose_model(names: Sequence[str], config: Config, say: Say, changed: Changed) -> ui.select:
    """A choice of one of them, the configured one first."""
    first = config.chat_model if config.chat_model in names else (names[0] if names else None)

    async def on_change(_: Any) -> None:
        await changed()

    chosen = ui.select(list(names), value=first, label=say("model"), on_change=on_change)
    return chosen.props("outlined dense options-dense").classes("t-model")


def problem(label: TextElement, error: LlarError | None, screen: Screen) -> None:
    """Show what is wrong in its place, or nothing."""
    label.text = reason(error, screen) if error else ""
    label.set_visibility(error is not None)


def reason(error: LlarError, screen: Screen) -> str:
    """What is wrong in the reader's language, its exact words, and what mends it."""
    return " ".join(filter(None, problems.said(error, screen.language, admin=screen.is_admin)))
