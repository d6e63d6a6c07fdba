"""A collection's passages on a plane by their meaning; a click opens the passage."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import replace

from nicegui import events, ui
from nicegui.element import Element

from ...errors import LlarError
from ...inside import map_html
from ...inside.map import Line, Map, arrange, passages
from ..threads import in_thread
from .frame import Screen
from .inside_settings import problem
from .inside_shown import percent
from .library_parts import localised, number
from .parts import document_address
from .words import Say

__all__ = ["Meaning", "in_words", "noted"]

NOTES = (  # how the library says what is to know about a map -> its text
    (re.compile(r"a random sample of (?P<most>\S+) of the (?P<all>\S+) passages"), "note_sample"),
    (re.compile(r"no groups stand apart"), "note_apart"),
    (re.compile(r"the groups hardly stand apart: silhouette (?P<score>[-\d.]+),.*"), "note_hardly"),
)
COUNTS = (200, 500, 1_000, 2_000)  # passages drawn


class MapOf(Element, component="inside_map.js"):
    """The map."""

    def __init__(self, drawn: Map, names: dict[str, str]) -> None:
        super().__init__()
        self._props["points"] = map_html.data(drawn)
        self._props["names"] = names
        self._props["opens"] = True


class Meaning:
    """The tab."""

    def __init__(self, screen: Screen, collections: Sequence[str]) -> None:
        self._screen = screen
        self._lines: Sequence[Line] = ()
        self._drawn = ""  # the collection on the map
        say = screen.say
        with ui.element("section").classes("t-card t-ask"):
            ui.label(say("map_about")).classes("l-quiet")
            with ui.element("div").classes("t-row"):
                first = [n for n in collections if n == screen.state.config.collection]
                value = next(iter([*first, *collections]), None)
                self._collection = ui.select(
                    list(collections), value=value, label=say("collection")
                )
                self._collection.props("outlined dense options-dense").classes("t-model")
                methods = {"pca": "PCA"}
                if importlib.util.find_spec("umap") is not None:
                    methods["umap"] = "UMAP"
                self._method = ui.select(methods, value="pca", label=say("projection"))
                self._method.props("outlined dense options-dense").classes("t-narrow")
                colours = {"documents": say("by_document"), "groups": say("by_meaning")}
                self._colours = ui.select(colours, value="documents", label=say("colours"))
                self._colours.props("outlined dense options-dense").classes("t-narrow")
                self._count = ui.select(list(COUNTS), value=500, label=say("at_most"))
                self._count.props("outlined dense options-dense").classes("t-narrow")
                self._go = ui.button(say("draw_map"), icon="scatter_plot", on_click=self._draw)
                self._go.props("unelevated").props("data-part=draw-map")
            if not collections:
                ui.label(say("no_collection"))
            self._problem = ui.label().classes("t-problem").props("role=alert")
        self._place = ui.element("section").classes("t-map-place")
        problem(self._problem, None, screen)

    async def show(self) -> None:
        """The tab was opened."""
        if not self._drawn and self._collection.value:
            await self._draw()

    async def _draw(self) -> None:
        name = self._collection.value
        if not name:
            return
        identity = self._screen.identity()
        state = self._screen.state
        method, count = str(self._method.value), int(self._count.value or COUNTS[0])
        find_groups = self._colours.value == "groups"

        def found() -> tuple[Sequence[Line], Map]:
            collection = state.library.open(name, identity)
            lines, vectors, notes = passages(collection, count)
            embedder = collection.index.embedder.name
            return lines, arrange(lines, vectors, title=name, embedder=embedder, method=method,
                                  find_groups=find_groups, notes=notes)  # fmt: skip

        error: LlarError | None = None
        self._go.disable()
        try:
            lines, drawn = await in_thread(found)
        except LlarError as e:
            error = e
        if self._place.is_deleted:
            return
        self._go.enable()
        problem(self._problem, error, self._screen)
        self._place.clear()
        if error is None:
            self._lines, self._drawn = lines, name
            with self._place:
                self._show(drawn)

    def _show(self, drawn: Map) -> None:
        say, language = self._screen.say, self._screen.language
        text = say("map_facts", points=number(len(drawn.points), language),
                   groups=number(len(drawn.groups), language), embedder=drawn.embedder)  # fmt: skip
        if drawn.variance:
            text += " " + say("variance", share=percent(sum(drawn.variance), language))
        for note in drawn.notes:
            text += " " + noted(note, say, language)
        ui.label(text).classes("l-quiet").props("data-part=map-facts")
        keys = ("find", "found", "in", "out", "whole", "groups", "role", "keys", "all")
        names = {key: say(f"map_{key}", count="{count}") for key in keys}
        MapOf(in_words(drawn, say), names).on("open", self._open)

    def _open(self, e: events.GenericEventArguments) -> None:
        """Show the passage in its document."""
        number_of = int(e.args)
        if not 0 <= number_of < len(self._lines):
            return
        line = self._lines[number_of]
        where = document_address(self._drawn, line.document, start=line.start, end=line.end)
        ui.navigate.to(where)


def noted(note: str, say: Say, language: str) -> str:
    """A note of the library in the reader's language; one that is not known here as it is."""
    for pattern, key in NOTES:
        found = pattern.fullmatch(note)
        if found:
            values = {name: localised(text, language) for name, text in found.groupdict().items()}
            return say(key, **values)
    return f"{note}."


def in_words(drawn: Map, say: Say) -> Map:
    """The map with groups that were found, and pages, called in the reader's language."""

    def group(name: str) -> str:
        return say("map_group", number=name.removeprefix("group ")) if drawn.found else name

    def source(text: str) -> str:
        found = re.fullmatch(r"(.*), page (\d+)", text, re.DOTALL)
        return say("map_page", name=found[1], number=found[2]) if found else text

    points = [replace(p, group=group(p.group), source=source(p.source)) for p in drawn.points]
    groups = [replace(g, name=group(g.name)) for g in drawn.groups]
    return replace(drawn, points=tuple(points), groups=tuple(groups))
