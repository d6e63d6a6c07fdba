"""The models llar knows by name, with what this machine would make of them."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from ...models.catalogue import KINDS, CatalogueModel
from ..threads import in_thread
from .frame import Screen
from .library_parts import number, size
from .models_fit import Runs, runs, this_machine
from .models_here import languages_text, verdict_text
from .models_pull import Pulls
from .parts import tag

__all__ = ["Catalogue"]

SIGNS = {"whole": "✓", "partly": "◐", "no": "✗", "unknown": "?"}


class Catalogue:
    """The section."""

    def __init__(
        self, screen: Screen, models: Sequence[CatalogueModel], here: Sequence[str],
        pulls: Pulls | None,
    ) -> None:  # fmt: skip
        self._screen = screen
        self._models = models
        self._here = set(here)
        self._pulls = pulls
        self._fits: dict[str, Runs] = {}
        say = screen.say
        with ui.element("section").classes("t-card"):
            tag("h2", say("catalogue"), "t-head")
            tag("p", say("catalogue_about"), "l-quiet")
            with ui.element("div").classes("t-row"):
                self._find = ui.input(say("find")).props("outlined dense clearable debounce=150")
                self._find.classes("t-grow").on_value_change(self._show)
                kinds = {"": say("every_kind")} | {kind: say(f"kind_{kind}") for kind in KINDS}
                self._kind = ui.select(kinds, value="", label=say("kind"))
                self._kind.props("outlined dense options-dense").classes("t-narrow")
                self._kind.on_value_change(self._show)
                self._fitting = ui.checkbox(say("only_fitting"), value=False)
                self._fitting.on_value_change(self._show)
            self._place = ui.element("div").classes("t-scroll").props("tabindex=0 role=region")
            self._place.props["aria-label"] = say("catalogue")

    async def show(self) -> None:
        """Find out what fits, and draw the table."""
        config = self._screen.state.config
        machine = await in_thread(this_machine, config)
        self._fits = await in_thread(runs, config, self._models, machine)
        self._show()

    def _show(self) -> None:
        say = self._screen.say
        wanted = (self._find.value or "").strip().lower()
        rows = [m for m in self._models if self._wanted(m, wanted)]
        self._place.clear()
        with self._place:
            if not rows:
                ui.label(say("nothing_found"))
                return
            with ui.element("table").classes("t-table t-stack"):
                keys = ["model", "kind", "parameters", "context", "languages", "licence", "here"]
                with ui.element("thead"), ui.element("tr"):
                    for key in keys:
                        tag("th", say(key), props="scope=col")
                    if self._pulls is not None:
                        with tag("th", props="scope=col"):
                            tag("span", say("get"), "l-unseen")
                with ui.element("tbody"):
                    for model in rows:
                        self._row(model)

    def _wanted(self, model: CatalogueModel, wanted: str) -> bool:
        if self._kind.value and model.kind != self._kind.value:
            return False
        if self._fitting.value and self._fits[model.full_name].verdict != "whole":
            return False
        words = f"{model.full_name} {model.licence} {' '.join(model.languages)}".lower()
        return wanted in words

    def _row(self, model: CatalogueModel) -> None:
        say, language = self._screen.say, self._screen.language
        fits = self._fits[model.full_name]
        with ui.element("tr") as row:
            row.props["data-model"] = model.full_name
            tag("th", model.full_name, props="scope=row")
            _cell(say("kind"), say(f"kind_{model.kind}"))
            _cell(say("parameters"), model.parameters)
            _cell(say("context"), number(model.context, language))
            _cell(say("languages"), languages_text(model.languages, say("many")))
            _cell(say("licence"), model.licence)
            needs = f" {size(fits.needed, language)}" if fits.needed else ""
            cell = _cell(
                say("here"), f"{SIGNS[fits.verdict]} {say(f'short_{fits.verdict}')}{needs}"
            )
            with cell:
                ui.tooltip(verdict_text(self._screen, fits)).props("aria-hidden=true")
            if self._pulls is not None:
                with ui.element("td"):
                    if model.name in self._here:
                        ui.label(say("is_here")).classes("l-quiet l-small")
                    else:
                        self._button(model, self._pulls)

    def _button(self, model: CatalogueModel, pulls: Pulls) -> None:
        async def get() -> None:
            await pulls.begin(model.name)

        button = ui.button(self._screen.say("get"), icon="download", on_click=get)
        button.props("outline dense no-caps")
        button.props["aria-label"] = f"{self._screen.say('get')} {model.full_name}"


def _cell(label: str, text: str) -> ui.element:
    cell = tag("td", text)
    cell.props["data-label"] = label
    return cell
