"""The models that are installed: what they are, what they do now, and what can be done to them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nicegui import ui

from ...errors import LlarError
from ...index.index import collection_names
from ...models.store import InstalledModel, Store
from ..engines import EngineStatus
from ..steps import StepsStatus
from ..threads import in_thread
from .frame import Screen
from .inside_settings import reason
from .library_parts import confirmed, empty, number, size
from .models_fit import Runs, runs, this_machine
from .models_machine import figure
from .parts import tag

__all__ = ["Installed", "Shelf", "languages_text", "resident", "verdict_text"]

EVERY = 2.0  # seconds between two looks at the engines


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the store holds: good models, why others are damaged, and pulls that were stopped."""

    good: tuple[InstalledModel, ...]
    damaged: dict[str, LlarError]
    unfinished: dict[str, int]

    @classmethod
    def of(cls, store: Store) -> Shelf:
        """As it is now."""
        good: list[InstalledModel] = []
        bad: dict[str, LlarError] = {}
        for name in store.names():
            try:
                good.append(store.get(name))
            except LlarError as e:
                bad[name] = e
        return cls(tuple(good), bad, store.unfinished())


class Installed:
    """The section; `show` draws it anew."""

    def __init__(self, screen: Screen, store: Store) -> None:
        self._screen = screen
        self._store = store
        self._cards: dict[str, Callable[[EngineStatus | None, StepsStatus | None], None]] = {}
        with ui.element("section").classes("t-results"):
            tag("h2", screen.say("installed"))
            self._place = ui.element("div").classes("t-cards")
        ui.timer(EVERY, self._look)

    async def show(self) -> None:
        """Draw what is in the store now."""
        config = self._screen.state.config
        shelf = await in_thread(Shelf.of, self._store)
        machine = await in_thread(this_machine, config)
        fits = await in_thread(runs, config, shelf.good, machine)
        self._place.clear()
        self._cards.clear()
        with self._place:
            if not (shelf.good or shelf.damaged):
                empty("memory", self._screen.say("none"), self._screen.say("none_about"))
            for model in shelf.good:
                self._card(model, fits[model.full_name])
            for name, why in shelf.damaged.items():
                self._damaged(name, why)
            for name, count in shelf.unfinished.items():
                self._unfinished(name, count)
        self._look()

    def _look(self) -> None:
        """Show what the engines do now."""
        state = self._screen.state
        engines = {status.name: status for status in state.engines.status()}
        looked = {status.name: status for status in state.steps.status()}
        for name, update in self._cards.items():
            update(engines.get(name), looked.get(name))

    def _card(self, model: InstalledModel, fits: Runs) -> None:
        say, language = self._screen.say, self._screen.language
        with ui.element("article").classes("t-card") as card:
            card.props["data-model"] = model.full_name
            with ui.element("div").classes("t-row"):
                tag("h3", model.full_name, "t-head t-grow")
                badge = tag("span", classes="k-chip")
            with ui.element("dl").classes("t-figures"):
                figure(say("kind"), say(f"kind_{model.kind}"))
                figure(say("size"), size(model.size, language))
                context = number(model.context, language) if model.context else "?"
                figure(say("context"), context)
                figure(say("languages"), languages_text(model.languages, say("many")))
                figure(say("licence"), model.licence or "?")
            ui.label(verdict_text(self._screen, fits)).classes("l-quiet l-small")
            now = ui.label().classes("t-facts l-small")
            with ui.expansion(say("more")).classes("k-fold"):
                tag("p", say("source", source=model.source), "l-small t-code")
                for file, digest in model.files.items():
                    tag("p", f"{file}  SHA-256 {digest}", "l-small t-code")
            buttons = self._buttons(model) if self._screen.identity().is_admin else {}

        def update(engine: EngineStatus | None, looked: StepsStatus | None) -> None:
            state = engine.state if engine else "unloaded"
            badge.set_text(say(f"state_{state}"))
            badge.props(f"data-state={state}")
            now.set_text(now_text(self._screen, engine, looked))
            now.set_visibility(bool(now.text))
            if buttons:
                buttons["load"].set_visibility(state in ("unloaded", "failed"))
                buttons["unload"].set_visibility(state == "loaded" or looked is not None)

        self._cards[model.full_name] = update

    def _buttons(self, model: InstalledModel) -> dict[str, ui.button]:
        say, found = self._screen.say, {}
        actions = (
            ("load", "play_arrow", self._load),
            ("unload", "eject", self._unload),
            ("verify", "verified", self._verify),
            ("remove", "delete", self._remove),
        )
        with ui.element("div").classes("t-row"):
            for name, icon, do in actions:
                button = ui.button(say(name), icon=icon, on_click=lambda do=do: do(model))
                found[name] = button.props("outline dense no-caps")
                button.props["data-do"] = name
        return found

    async def _load(self, model: InstalledModel) -> None:
        identity = self._screen.identity()
        identity.require("admin")
        ui.notify(self._screen.say("loading", name=model.full_name), position="top")
        await in_thread(self._screen.state.engines.load, model.full_name)
        self._look()

    async def _unload(self, model: InstalledModel) -> None:
        self._screen.identity().require("admin")
        state = self._screen.state
        await in_thread(state.steps.unload, model.full_name)
        await in_thread(state.engines.unload, model.full_name)
        self._look()

    async def _verify(self, model: InstalledModel) -> None:
        self._screen.identity().require("admin")
        await in_thread(self._store.verify, model.full_name)
        text = self._screen.say("verified", name=model.full_name)
        ui.notify(text, type="positive", position="top")

    async def _remove(self, model: InstalledModel) -> None:
        say = self._screen.say
        self._screen.identity().require("admin")
        lost = [f"{f} ({size((model.folder / f).stat().st_size, self._screen.language)})"
                for f in model.files]  # fmt: skip
        used = await in_thread(self._users_of, model.full_name)
        lost += [say("needed_by", name=name) for name in used]
        title = say("remove_title", name=model.full_name)
        if await confirmed(say, title, say("remove_about"), lost, say("remove")):
            await self._gone(model.name, model.full_name)
            ui.notify(say("removed", name=model.full_name), position="top")

    async def _gone(self, short: str, full: str) -> None:
        identity = self._screen.identity()
        identity.require("admin")
        state = self._screen.state
        await in_thread(state.audit.record, identity, "model removed", detail=full)
        await in_thread(state.steps.unload, full)
        await in_thread(state.engines.unload, full, force=True)
        await in_thread(self._store.remove, short, state.config.lock_timeout)
        await self.show()

    def _users_of(self, full_name: str) -> list[str]:
        """The collections whose vectors are from this model."""
        library = self._screen.state.library
        found = []
        for name in collection_names(self._screen.state.config):
            with contextlib.suppress(LlarError):  # one that cannot be opened names no model
                if library.whole(name).index.embedder.name == full_name:
                    found.append(name)
        return found

    def _damaged(self, name: str, why: LlarError) -> None:
        say = self._screen.say
        with ui.element("article").classes("t-card") as card:
            card.props["data-model"] = name
            tag("h3", name, "t-head")
            tag("p", reason(why, self._screen), "t-problem")
            if self._screen.identity().is_admin:
                self._delete(name, say("remove_damaged", name=name))

    def _unfinished(self, name: str, count: int) -> None:
        say = self._screen.say
        with ui.element("article").classes("t-card") as card:
            card.props["data-model"] = name
            tag("h3", name, "t-head")
            tag("p", say("unfinished", size=size(count, self._screen.language)))
            if self._screen.identity().is_admin:
                self._delete(name, say("remove_unfinished", name=name))

    def _delete(self, name: str, about: str) -> None:
        say = self._screen.say

        async def remove() -> None:
            self._screen.identity().require("admin")
            if await confirmed(say, say("remove_title", name=name), about, [], say("remove")):
                await self._gone(name, name)

        button = ui.button(say("remove"), icon="delete", on_click=remove)
        button.props("outline dense no-caps data-do=remove")


def now_text(screen: Screen, engine: EngineStatus | None, looked: StepsStatus | None) -> str:
    """What a model does now: memory, requests, tokens, and what went wrong."""
    say, language = screen.say, screen.language
    parts = []
    if engine is not None and engine.pid is not None:
        parts.append(
            say("now", memory=size(engine.memory, language), pid=engine.pid,
                active=number(engine.active, language), slots=number(engine.slots, language),
                waiting=number(engine.waiting, language))
        )  # fmt: skip
    if engine is not None and (engine.read or engine.written):
        parts.append(say("tokens_now", read=number(engine.read, language),
                         written=number(engine.written, language)))  # fmt: skip
    if engine is not None and engine.restarts:
        parts.append(say("restarts", count=number(engine.restarts, language)))
    if engine is not None and engine.state == "failed":
        parts.append(say("failed", reason=engine.reason))
    if looked is not None:
        memory = size(resident(looked.pid), language)
        parts.append(say("looked_into", pid=looked.pid, memory=memory))
    return " ".join(parts)


def resident(pid: int) -> int:
    """The resident memory of a process in bytes; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def languages_text(languages: tuple[str, ...], many: str) -> str:
    """The languages of a model, for a table."""
    if languages == ("*",) or len(languages) > 9:
        return many
    return " ".join(languages) or "?"


def verdict_text(screen: Screen, fits: Runs) -> str:
    """Whether this machine can run a model, with which memory and speed."""
    say, language = screen.say, screen.language
    if fits.verdict == "unknown":
        return say("fit_unknown", why=fits.why)
    text = say(
        f"fit_{fits.verdict}",
        needed=size(fits.needed, language),
        there=size(fits.there, language),
        context=number(fits.context, language),
        users=number(fits.users, language),
    )
    if fits.speed is not None:
        digits = 0 if fits.speed >= 10 else 1
        text += " " + say("speed", rate=number(fits.speed, language, digits))
    return text
