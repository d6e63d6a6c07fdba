"""The screen "Look inside": what a model makes of a text, and what a collection looks like."""

from __future__ import annotations

from typing import Protocol

import nicegui
from nicegui import ui

from ...inside import map_html
from ...inside.tokens import installed
from ..threads import in_thread
from .frame import frame, page
from .inside_meaning import Meaning
from .inside_methods import Methods
from .inside_next import NextToken
from .inside_settings import model_names
from .inside_steps import StepByStep
from .inside_tokens import TextTokens
from .library_parts import sheet

_SCRIPT = "/inside/map.js"
nicegui.app.add_static_file(local_file=map_html.SCRIPT, url_path=_SCRIPT, max_cache_age=0)

ICONS = {
    "tokens": "data_array",
    "next": "insights",
    "steps": "account_tree",
    "methods": "alt_route",
    "map": "scatter_plot",
}


class Tab(Protocol):
    """A part of the screen that begins to work when it is opened."""

    async def show(self) -> None: ...


@page("/inside")
async def show(tab: str = "tokens") -> None:
    """The screen. `tab` is one of ICONS; any other opens the first."""
    sheet("tools")
    ui.add_head_html(f'<script src="{_SCRIPT}" defer></script>')
    with frame("inside") as screen:
        identity, state, say = screen.identity(), screen.state, screen.say
        models = await in_thread(model_names, state.config)
        tokenizers = await in_thread(installed, state.config)
        collections = await in_thread(state.library.names, identity)
        ui.label(say("about")).classes("l-quiet")
        if not models:
            ui.label(say("no_model")).classes("t-problem")
        chosen = tab if tab in ICONS else "tokens"
        parts: dict[str, Tab] = {}
        with ui.tabs().props("inline-label outside-arrows mobile-arrows align=left") as tabs:
            for name, icon in ICONS.items():
                ui.tab(name, say(f"tab_{name}"), icon=icon)
        with ui.tab_panels(tabs, value=chosen).props("keep-alive").classes("t-panels"):
            with ui.tab_panel("tokens"):
                parts["tokens"] = TextTokens(screen, tokenizers)
            with ui.tab_panel("next"):
                parts["next"] = NextToken(screen, models)
            with ui.tab_panel("steps"):
                parts["steps"] = StepByStep(screen, models)
            with ui.tab_panel("methods"):
                parts["methods"] = Methods(screen, models)
            with ui.tab_panel("map"):
                parts["map"] = Meaning(screen, collections)

        async def opened() -> None:
            name = str(tabs.value)
            ui.run_javascript(f"history.replaceState(null, '', '?tab={name}')")
            await parts[name].show()

        tabs.on_value_change(opened)
        ui.timer(0.01, parts[chosen].show, once=True)
