"""This machine: its processor, memory and disk, as far as models are concerned."""

from __future__ import annotations

import shutil

from nicegui import ui

from ...plan.hardware.machines import Machine
from ..threads import in_thread
from .frame import Screen
from .library_parts import number, size
from .models_fit import this_machine
from .parts import tag

__all__ = ["figure", "show_machine"]


async def show_machine(screen: Screen) -> None:
    """A line of figures."""
    config, say, language = screen.state.config, screen.say, screen.language
    machine: Machine = await in_thread(this_machine, config)
    config.models_dir.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(config.models_dir)
    with ui.element("section").classes("t-card"):
        tag("h2", say("machine"), "t-head")
        with ui.element("dl").classes("t-figures"):
            figure(say("processor"), machine.title.rpartition(": ")[2] or machine.called)
            if machine.kind == "gpu":
                figure(say("cards"), number(machine.count, language))
            figure(say("for_models"), size(machine.usable_memory, language))
            figure(say("disk_free"), size(disk.free, language))
            figure(say("at_once"), number(config.models_loaded, language))
            idle = config.idle_unload
            figure(say("unloaded_after"), f"{number(idle / 60, language)} min" if idle else "–")


def figure(name: str, value: str) -> None:
    """A value with its name, in a list of figures."""
    with ui.element("div"):
        tag("dt", name)
        tag("dd", value)
