"""/api/collections/NAME/documents: lists, texts, passages, original files, pages as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from ..originals import Original
from ..pictures_of import DPI, can_show
from ..request import identity_of, state_of
from ..threads import in_thread
from . import own_shown as shown
from .body import JsonRoute
from .own_collections import CollectionName
from .own_models import (
    Boxes,
    BoxOnPage,
    Chunks,
    ChunkShown,
    DocumentRow,
    DocumentRows,
    DocumentText,
    JobShown,
    MetadataChange,
    Page,
)

__all__ = ["router"]

router = APIRouter(
    route_class=JsonRoute, prefix="/api/collections/{collection}/documents", tags=["documents"]
)

DocumentId = Annotated[int, Path(ge=0, lt=2**53)]
Place = Annotated[int, Query(ge=0, lt=2**53)]

_PIECE = 1 << 18


@router.get("")
async def documents(
    request: Request,
    collection: CollectionName,
    text: Annotated[str, Query(max_length=500, description="in path or title")] = "",
    form: Annotated[str, Query(alias="format", max_length=20)] = "",
    order: Literal["path", "title", "added", "size", "format", "date", "chunks"] = "path",
    descending: bool = False,
    start: Place = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DocumentRows:
    """The documents of a collection, `limit` from `start` on."""
    library, identity = state_of(request).library, identity_of(request)

    def found() -> DocumentRows:
        rows = library.documents(
            identity, collection, text=text, form=form, order=order, descending=descending,
            start=start, limit=limit,
        )  # fmt: skip
        listed = [DocumentRow.model_validate(row) for row in rows.rows]
        return DocumentRows(documents=listed, total=rows.total)

    return await in_thread(found)


@router.get("/{document}")
async def document(
    request: Request, collection: CollectionName, document: DocumentId
) -> DocumentText:
    """A document with its whole text."""
    library, identity = state_of(request).library, identity_of(request)

    def found() -> DocumentText:
        row = library.row(identity, collection, document)
        whole = library.document(identity, collection, document)
        return DocumentText(
            **DocumentRow.model_validate(row).model_dump(),
            sha256=whole.sha256,
            text=whole.text,
            page_spans=[Page.model_validate(page) for page in whole.pages],
            pictures=can_show(whole),
        )

    return await in_thread(found)


@router.patch("/{document}")
async def change(
    request: Request, collection: CollectionName, document: DocumentId, body: MetadataChange
) -> DocumentRow:
    """Set or take away metadata. For those who may edit the collection."""
    state, identity = state_of(request), identity_of(request)

    def changed() -> DocumentRow:
        row = state.library.set_metadata(identity, collection, document, body.metadata)
        state.audit.record(
            identity, "metadata", collection=collection, documents=[(document, row.path)],
            detail=", ".join(sorted(body.metadata)),
        )  # fmt: skip
        return DocumentRow.model_validate(row)

    return await in_thread(changed)


@router.delete("/{document}", status_code=202)
async def remove(request: Request, collection: CollectionName, document: DocumentId) -> JobShown:
    """Take a document out of the collection; if it was uploaded, its file goes, too."""
    state, identity = state_of(request), identity_of(request)

    def removed() -> JobShown:
        row = state.library.row(identity, collection, document)
        job = state.library.remove_document(identity, collection, document)
        state.audit.record(
            identity, "remove", collection=collection, documents=[(document, row.path)]
        )
        return shown.job(job)

    return await in_thread(removed)


@router.get("/{document}/chunks")
async def chunks(request: Request, collection: CollectionName, document: DocumentId) -> Chunks:
    """The passages of a document as they are indexed, in order."""
    library, identity = state_of(request).library, identity_of(request)
    found = await in_thread(library.chunks, identity, collection, document)
    return Chunks(
        chunks=[
            ChunkShown(
                id=number,
                text=chunk.text,
                start=chunk.start,
                end=chunk.end,
                spans=list(chunk.spans),
                kind=chunk.kind,
                prefix=chunk.prefix,
                headings=chunk.headings,
                first_page=chunk.first_page,
                last_page=chunk.last_page,
                keywords=chunk.keywords,
                position=chunk.position,
            )
            for number, chunk in found
        ]
    )


_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes of the file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/{document}/file", response_class=StreamingResponse, responses=_FILE)
async def file(
    request: Request, collection: CollectionName, document: DocumentId
) -> StreamingResponse:
    """The original file, byte for byte. 404 where it is gone, 409 where it has changed."""
    state, identity = state_of(request), identity_of(request)

    def opened() -> Original:
        original = state.library.file(identity, collection, document)
        state.audit.record(
            identity, "download", collection=collection, documents=[(document, original.name)]
        )
        return original

    original = await in_thread(opened)
    return StreamingResponse(
        _pieces(original),
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(original.size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(original.name, safe='')}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cache-Control": "private, no-store",
            "ETag": f'"{original.sha256}"',
        },
    )


def _pieces(original: Original) -> Iterator[bytes]:
    with original:
        while piece := original.stream.read(_PIECE):
            yield piece


_PNG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The page as a picture.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/{document}/pages/{page}.png", response_class=Response, responses=_PNG)
async def picture(
    request: Request,
    collection: CollectionName,
    document: DocumentId,
    page: Annotated[int, Path(ge=1, lt=10**6)],
    dpi: Annotated[int, Query(ge=DPI[0], le=DPI[1])] = 110,
) -> Response:
    """A page of a PDF or picture. 422 where its format has no pages to show, or not this one."""
    library, identity = state_of(request).library, identity_of(request)
    png = await in_thread(library.page_image, identity, collection, document, page, dpi)
    headers = {"Cache-Control": "private, max-age=3600"}
    return Response(png, media_type="image/png", headers=headers)


@router.get("/{document}/boxes")
async def boxes(
    request: Request, collection: CollectionName, document: DocumentId, start: Place, end: Place
) -> Boxes:
    """Where the characters from `start` to `end` of a PDF's text stand on its pages."""
    library, identity = state_of(request).library, identity_of(request)
    found = await in_thread(library.boxes, identity, collection, document, start, end)
    return Boxes(
        boxes=[BoxOnPage(page=p, x0=x0, y0=y0, x1=x1, y1=y1) for p, x0, y0, x1, y1 in found]
    )
