"""The screen "library": the collections one may read, and a way to make new ones."""

from __future__ import annotations

from nicegui import ui

from ...errors import CollectionError, UnknownCollection
from ...index.database import collection_path
from ..opened import About
from ..threads import in_thread
from . import library_collection, library_document
from .frame import Screen, frame, page
from .library_parts import answered, asking, empty, number, sheet, size, tag

__all__ = ["library_collection", "library_document", "show"]  # they register their screens


@page("/library")
async def show() -> None:
    """The screen."""
    sheet("library")
    with frame("library") as screen:
        say, identity = screen.say, screen.identity()
        abouts = await in_thread(_abouts, screen)
        with tag("div", style="k-toolbar"):
            tag("p", say("lead"), "k-lead l-grow")
            if identity.is_admin:
                new = ui.button(say("new"), icon="add", on_click=lambda: _make(screen))
                new.props("unelevated")
        if not abouts:
            said = "empty_about_admin" if identity.is_admin else "empty_about"
            empty("folder_open", say("empty"), say(said))
            return
        with tag("ul", style="k-cards"):
            for about in abouts:
                _card(screen, about)


def _abouts(screen: Screen) -> list[About]:
    """What the collections hold; one that is deleted meanwhile is left out."""
    library, identity = screen.state.library, screen.identity()
    found = []
    for name in library.names(identity):
        try:
            found.append(library.about(name, identity))
        except UnknownCollection:
            continue
    return found


def _card(screen: Screen, about: About) -> None:
    say, language = screen.say, screen.language
    with tag("li", style="k-card k-collection-card"):
        with tag("h2"):
            ui.link(about.name, f"/library/{about.name}").classes("k-cover")
        with tag("p", style="k-counts"):
            tag("strong", number(about.documents, language))
            tag("span", say("documents_unit"))
            tag("strong", number(about.chunks, language))
            tag("span", say("chunks_unit"))
        tag("p", f"{size(about.bytes, language)} · {languages(screen, about)}", "l-quiet l-small")
        if about.may_edit and about.failures:
            tag("p", say("failures", count=number(about.failures, language)), "l-small k-warned")


def languages(screen: Screen, about: About) -> str:
    """The languages of a collection, the commonest first."""
    known = sorted((-n, name) for name, n in about.languages.items() if name)
    return ", ".join(name for _, name in known[:6]) or screen.say("no_language")


async def _make(screen: Screen) -> None:
    """Ask for a name and make the collection."""
    say = screen.say
    taken = set(await in_thread(screen.state.library.names, screen.identity()))

    def typed(value: str | None) -> str:
        return (value or "").strip()

    def checked(value: str | None) -> str | None:
        if typed(value) in taken:
            return say("name_taken")
        try:
            collection_path(screen.state.config, typed(value))
        except CollectionError:
            return say("name_wrong")
        return None

    with asking(say("new")) as dialog, tag("form", style="k-section") as form:
        name = ui.input(say("name"), validation=checked).props("outlined autofocus maxlength=64")
        name.without_auto_validation().props["hint"] = say("name_hint")
        with tag("div", style="k-actions"):
            ui.button(say("cancel"), on_click=lambda: dialog.submit(None)).props("flat")
            ui.button(say("make")).props("unelevated type=submit")

        def made() -> None:
            if name.validate():
                dialog.submit(typed(name.value))

        form.on("submit.prevent", made)
    answer = await answered(dialog)
    if answer:
        await in_thread(screen.state.library.create, screen.identity(), answer)
        await in_thread(
            screen.state.audit.record, screen.identity(), "create collection", collection=answer
        )
        ui.navigate.to(f"/library/{answer}")
