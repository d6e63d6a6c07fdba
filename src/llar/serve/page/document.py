"""The screen of one document: its pages, what is known of it, and its original file."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import nicegui
from fastapi import Request
from nicegui import ui
from starlette.responses import Response, StreamingResponse

from ...errors import DocumentError, LlarError, NotThere, UnknownCollection
from ..originals import Original
from ..request import identity_of, state_of
from ..threads import in_thread
from .document_text import Part
from .document_view import Shown, View, load
from .frame import Screen, frame, page
from .library_parts import day, size
from .parts import document_address, icon, tag

_PIECE = 1 << 18


@page("/document/{collection}/{document}")
async def show(
    collection: str,
    document: int,
    page: int | None = None,
    start: int | None = None,
    end: int | None = None,
) -> None:
    """A document, with the characters `start` to `end` of its text marked where they are given."""
    with frame("document", heading=False) as screen:
        marked = (start, end) if start is not None and end is not None else None
        shown = await load(screen, collection, document, page, marked)
        name = shown.row.title or shown.row.name
        ui.page_title(f"{name} · llar")

        def turned(part: Part) -> None:
            ui.navigate.history.replace(
                document_address(collection, document, page=part.number, start=start, end=end)
            )

        View(screen, shown, heading="h2", turned=turned)
        _about(screen, shown)


@nicegui.app.get("/document/{collection}/{document}/page/{page}.png", include_in_schema=False)
async def picture(request: Request, collection: str, document: int, page: int) -> Response:
    """The picture of a page."""
    library, identity = state_of(request).library, identity_of(request)
    try:
        png = await in_thread(library.page_image, identity, collection, document, page)
    except LlarError as error:
        return _refused(error)
    return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})


@nicegui.app.get("/document/{collection}/{document}/original", include_in_schema=False)
async def original(request: Request, collection: str, document: int) -> Response:
    """The file as it was added, to be saved and never shown by the browser."""
    library, identity = state_of(request).library, identity_of(request)
    try:
        file = await in_thread(library.file, identity, collection, document)
    except LlarError as error:
        return _refused(error)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Length": str(file.size),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(_pieces(file), media_type="application/octet-stream", headers=headers)


def _pieces(file: Original) -> Iterator[bytes]:
    with file:
        while piece := file.stream.read(_PIECE):
            yield piece


def _refused(error: LlarError) -> Response:
    missing = isinstance(error, NotThere | UnknownCollection | DocumentError)
    return Response(error.message, 404 if missing else 400, media_type="text/plain; charset=utf-8")


def _about(screen: Screen, shown: Shown) -> None:
    say, document, row = screen.say, shown.document, shown.row
    facts = {
        "collection": shown.collection,
        "title": document.title,
        "author": document.author,
        "created": day(document.created, screen.language),
        "modified": day(document.modified, screen.language),
        "language": document.language,
        "format": row.format,
        "size": size(row.size, screen.language),
        "pages": str(len(document.pages)) if document.pages else None,
        **{k: str(v) for k, v in row.metadata.items()},
    }
    with tag("section", classes="l-about"):
        tag("h2", say("about"))
        with tag("dl"):
            for name, value in facts.items():
                if value:
                    tag("dt", say(name) if name in _KNOWN else name)
                    tag("dd", value)
        if row.notes:
            tag("h3", say("notes"))
            with tag("ul"):
                for note in row.notes:
                    tag("li", note)
        address = document_address(shown.collection, row.id)
        with ui.link(target=f"{address}/original").classes("l-download"):
            icon("download")
            ui.label(say("download"))
        ui.link(say("back"), "/library")


_KNOWN = frozenset({
    "collection", "title", "author", "created", "modified", "language", "format", "size", "pages",
})  # fmt: skip
