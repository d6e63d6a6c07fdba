"""A document on the page: picture and text of one of its pages, with a passage marked on both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nicegui import ui

from ...errors import Conflict, DocumentError, NotThere, QueryError
from ...records import Document, Source
from ..documents_of import Row
from ..pictures_of import Box, can_show
from ..threads import in_thread
from . import document_text
from .document_text import Part, Span
from .frame import Screen
from .parts import document_address, icon, icon_button, tag
from .words import Say, words


@dataclass(slots=True)
class Shown:
    """A document as it is looked at: which part of it, and which passage is marked."""

    collection: str
    document: Document
    row: Row
    parts: list[Part]
    part: Part
    marked: Span | None

    @property
    def recognised(self) -> bool:
        """Was the text of this page read from a picture?"""
        pages = str(self.document.metadata.get("recognised", ""))
        return Source(0, "", recognised=pages).is_recognised(self.part.number)


async def load(
    screen: Screen, collection: str, document_id: int, page: int | None, marked: Span | None
) -> Shown:
    """The document, as far as who looks may see it.

    Raises UnknownCollection, NotThere, and QueryError for a page or passage that it has not.
    """
    say, identity = words("document", screen.language), screen.identity()
    library = screen.state.library
    row = await in_thread(library.row, identity, collection, document_id)
    document = await in_thread(library.document, identity, collection, document_id)
    length = len(document.text)
    if marked is not None and not 0 <= marked[0] < marked[1] <= length:
        raise QueryError(say("no_passage", start=marked[0], end=marked[1], length=length))
    found = document_text.parts(document)
    at = next((p for p in found if p.number == page), None)
    if page is not None and at is None and document.pages:
        raise QueryError(say("no_page", page=page, pages=len(found)))
    if marked is not None and (at is None or not (marked[0] < at.end and marked[1] > at.start)):
        at = next(p for p in found if marked[0] < p.end)
    return Shown(collection, document, row, found, at or found[0], marked)


def passage_dialog(
    screen: Screen, collection: str, document_id: int, page: int | None, start: int, end: int
) -> None:
    """Open a passage of a document beside what is on the screen."""
    say = words("document", screen.language)
    address = document_address(collection, document_id, page=page, start=start, end=end)
    dialog = ui.dialog().props("position=right full-height")
    dialog.props["aria-label"] = say("marked")
    with dialog, ui.card().classes("l-side"):
        with tag("div", classes="l-side-head"):
            ui.link(say("open"), address)
            tag("span", classes="l-grow")
            icon_button("close", say("close")).on_click(dialog.close)
        body = tag("div", classes="l-side-body")

    async def fill() -> None:
        shown = await load(screen, collection, document_id, page, (start, end))
        with body:
            View(screen, shown, heading="h2")

    dialog.on("hide", dialog.delete)  # not sooner: the focus goes back first
    dialog.open()
    ui.timer(0, fill, once=True)


class View:
    """The elements: name, pages to turn, picture and text side by side."""

    def __init__(
        self,
        screen: Screen,
        shown: Shown,
        *,
        heading: str,
        turned: Callable[[Part], None] | None = None,
    ) -> None:
        """`turned` is told when another part is shown."""
        self._screen = screen
        self._say = words("document", screen.language)
        self._shown = shown
        self._turned = turned
        row = shown.row
        with tag("div", classes="l-document"):
            tag(heading, row.title or row.name, "l-document-name")
            with tag("div", classes="l-turn-pages"):
                self._previous = icon_button("chevron_left", self._say("previous"))
                self._previous.on_click(lambda: self._turn(-1))
                self._number = tag("span", "", "l-number", "role=status")
                self._next = icon_button("chevron_right", self._say("next"))
                self._next.on_click(lambda: self._turn(1))
            self._body = tag("div", classes="l-page")
        ui.timer(0, self._show, once=True)

    async def _turn(self, by: int) -> None:
        parts = self._shown.parts
        place = parts.index(self._shown.part) + by
        if 0 <= place < len(parts):
            self._shown.part = parts[place]
            if self._turned:
                self._turned(parts[place])
            await self._show()

    async def _show(self) -> None:
        shown, say = self._shown, self._say
        place = shown.parts.index(shown.part)
        text = "page_of" if shown.document.pages else "part_of"
        self._number.text = say(text, page=shown.part.number, pages=len(shown.parts))
        self._previous.set_enabled(place > 0)
        self._next.set_enabled(place < len(shown.parts) - 1)
        for button in (self._previous, self._next):
            button.set_visibility(len(shown.parts) > 1)
        pictured = can_show(shown.document)
        boxes, problem = await self._boxes() if pictured else ([], "")
        self._body.clear()
        with self._body.classes(remove="l-two", add="l-two" if pictured else ""):
            if pictured:
                _picture(shown, boxes, problem, say)
            with tag("section", classes="l-page-side"):
                tag("h3", say("text"), "l-unseen")
                if shown.recognised:
                    with tag("p", classes="l-notice l-warn"):
                        icon("image_search")
                        tag("span", say("recognised"))
                elif pictured and not problem and not boxes and self._marked_here():
                    tag("p", say("not_located"), "l-notice")
                document_text.show(shown.document, shown.part, shown.marked, say("text"))
        document_text.scroll_to_mark()

    def _marked_here(self) -> bool:
        marked, part = self._shown.marked, self._shown.part
        return marked is not None and marked[0] < part.end and marked[1] > part.start

    async def _boxes(self) -> tuple[list[Box], str]:
        """Where the passage stands on the picture, and why there is no picture."""
        shown, library = self._shown, self._screen.state.library
        identity = self._screen.identity()
        try:
            number = shown.part.number
            await in_thread(library.page_image, identity, shown.collection, shown.row.id, number)
            if shown.marked is None or not self._marked_here():
                return [], ""
            found = await in_thread(
                library.boxes, identity, shown.collection, shown.row.id, *shown.marked
            )
        except (DocumentError, NotThere, Conflict) as error:
            return [], error.message
        return [box for box in found if box[0] == number], ""


def _picture(shown: Shown, boxes: list[Box], problem: str, say: Say) -> None:
    number, name = shown.part.number, shown.row.title or shown.row.name
    with tag("section", classes="l-page-side"):
        if problem:
            tag("p", say("no_picture", reason=problem), "l-notice l-warn")
            return
        with tag("div", classes="l-picture"):
            image = tag("img", classes="l-picture-page")
            image.props["src"] = (
                f"{document_address(shown.collection, shown.row.id)}/page/{number}.png"
            )
            image.props["alt"] = say("picture", name=name, page=number)
            for _, x0, y0, x1, y1 in boxes:
                place = f"left:{x0:.4%};top:{y0:.4%};width:{x1 - x0:.4%};height:{y1 - y0:.4%}"
                tag("div", classes="l-box").style(place)
        if boxes:
            tag("p", say("marked_here"), "l-quiet l-small")
