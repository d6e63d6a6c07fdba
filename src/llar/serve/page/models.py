"""The screen "Models": what is here, what could be, what runs, and what this machine can run."""

from __future__ import annotations

from nicegui import ui

from ...models import catalogue
from ...models.store import Store
from ..threads import in_thread
from . import advise as _advise  # noqa: F401 - registers its screen, which is linked from here
from .frame import frame, page
from .library_parts import sheet
from .models_catalogue import Catalogue
from .models_here import Installed
from .models_machine import show_machine
from .models_pull import Pulls


@page("/models")
async def show() -> None:
    """The screen. Everybody sees what there is; admins change it."""
    sheet("tools")
    sheet("library")
    with frame("models") as screen:
        identity, say = screen.identity(), screen.say
        store = Store(screen.state.config.models_dir)
        with ui.element("div").classes("t-row"):
            ui.label(say("about")).classes("l-quiet t-grow")
            ui.link(say("advice"), "/advise").classes("t-link")
        await show_machine(screen)
        here = Installed(screen, store)
        await here.show()
        pulls = Pulls(screen, here.show) if identity.is_admin else None
        known = list(catalogue.models().values())
        names = await in_thread(store.names)
        table = Catalogue(screen, known, names, pulls)
        await table.show()
