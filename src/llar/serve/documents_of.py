"""What a collection holds, in rows for people: its documents, their passages, their names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..index.database import from_column
from ..index.index import Index, IndexedFile
from ..records import Chunk, Document, MetadataValue


@dataclass(frozen=True, slots=True)
class Row:
    """One document in a list. `path` is what is shown: relative, without the server's folders."""

    id: int
    name: str  # of its file, without folders
    path: str
    title: str | None
    format: str
    size: int  # bytes
    language: str | None
    pages: int
    chunks: int
    added: str  # ISO 8601
    date: str | None  # when it was created, or else modified
    author: str | None
    notes: tuple[str, ...]  # what could not be read of it
    copies: tuple[str, ...]  # further paths of the same content
    uploaded: bool  # its bytes were sent to the server, and go when it is removed
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some documents of a collection, and how many there are in all."""

    rows: list[Row]
    total: int
    formats: tuple[str, ...] = ()  # of all its documents, whatever was looked for


class Names:
    """How the paths of a collection are shown: without the folders of the server.

    An upload is shown as it was sent; a file below a folder that was added, with that folder's
    name in front; any other by its name.
    """

    def __init__(self, uploads: Path, roots: Iterable[str] = ()) -> None:
        """`uploads` is the folder of the collection's uploads."""
        self._uploads = f"{_clean(str(uploads))}{os.sep}"
        self._roots = sorted((_clean(r).rstrip(os.sep) for r in roots), key=len, reverse=True)

    def shown(self, path: str) -> str:
        """What to show for a path; bytes in it that are no UTF-8 are replaced."""
        path = _clean(path)
        if path.startswith(self._uploads):
            return path[len(self._uploads) :]
        for root in self._roots:
            if path == root or path.startswith(root + os.sep):
                return path[len(os.path.dirname(root).rstrip(os.sep)) + 1 :]
        return path.rsplit(os.sep, 1)[-1] if path.startswith(os.sep) else path


def list_documents(
    index: Index,
    names: Names,
    uploads: Path,
    *,
    text: str = "",
    form: str = "",
    order: str = "path",
    descending: bool = False,
    start: int = 0,
    limit: int = 100,
) -> Rows:
    """Documents of a collection that hold `text` in their path or title, `limit` from `start` on.

    With `form`, only those of that format.
    `order` is "path", "title", "added", "size", "format", "date" or "chunks".
    """
    files: dict[int, list[IndexedFile]] = {}
    for file in index.files():
        files.setdefault(file.document_id, []).append(file)
    details = _details(index)
    held = [  # (path as shown, columns); one that was removed meanwhile is in one of both only
        (names.shown(of[0].path), details[i]) for i, of in files.items() if i in details
    ]
    formats = tuple(sorted({detail[2] for _, detail in held}))
    if form:
        held = [(path, detail) for path, detail in held if detail[2] == form]
    wanted = text.casefold().strip()
    if wanted:
        held = [h for h in held if wanted in f"{h[0]}\n{h[1][1] or ''}".casefold()]
    held.sort(key=lambda h: h[0])
    if order != "path" or descending:
        held.sort(key=_ORDERS[order], reverse=descending)
    rows = [_row(d, files[d[0]], names, uploads) for _, d in held[start : start + limit]]
    return Rows(rows, len(held), formats)


def one_row(index: Index, names: Names, uploads: Path, document_id: int) -> Row | None:
    """The same for one document; None where there is none of that id."""
    files = files_of(index, [document_id])
    details = _details(index, document_id)
    if not files or document_id not in details:
        return None
    return _row(details[document_id], files[document_id], names, uploads)


def files_of(index: Index, ids: Sequence[int]) -> dict[int, list[IndexedFile]]:
    """The files of these documents, by path; documents that are not there are left out."""
    with index.database.read() as connection:
        rows = connection.execute(
            "SELECT path, document_id, sha256, metadata FROM files"
            " JOIN documents ON documents.id = document_id"
            " WHERE document_id IN (SELECT value FROM json_each(?)) ORDER BY path",
            (json.dumps(list(ids)),),
        ).fetchall()
    found: dict[int, list[IndexedFile]] = {}
    for path, document_id, sha256, metadata in rows:
        file = IndexedFile(from_column(path), document_id, sha256, json.loads(metadata))
        found.setdefault(document_id, []).append(file)
    return found


def chunks_of(index: Index, document_id: int) -> list[tuple[int, Chunk]]:
    """The passages of a document by where they begin, with their ids."""
    with index.database.read() as connection:
        ids = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM chunks WHERE document_id = ? ORDER BY start, id", (document_id,)
            )
        ]
        found = index.chunks(ids)
    return [(i, found[i][1]) for i in ids if i in found]


def page_at(document: Document, offset: int) -> int | None:
    """The page that a place of a document's text is on."""
    for page in document.pages:
        if page.start <= offset < page.end:
            return page.number
    return None


def _clean(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


_ORDERS: Mapping[str, Any] = {  # of a path as shown and the columns of `_details`
    "path": lambda h: h[0],
    "title": lambda h: (h[1][1] or h[0].rsplit("/", 1)[-1]).casefold(),
    "added": lambda h: h[1][7],
    "size": lambda h: h[1][3],
    "format": lambda h: h[1][2],
    "date": lambda h: h[1][8] or "",
    "chunks": lambda h: h[1][6],
}
ORDERS = tuple(_ORDERS)


def _details(index: Index, document_id: int | None = None) -> dict[int, Sequence[Any]]:
    with index.database.read() as connection:
        rows = connection.execute(
            "SELECT documents.id, title, format, size, language, json_array_length(pages),"
            " coalesce(vectors.count, 0), added, coalesce(created, modified), author, notes"
            " FROM documents LEFT JOIN vectors ON vectors.document_id = documents.id"
            " WHERE ? IS NULL OR documents.id = ?",
            (document_id, document_id),
        ).fetchall()
    return {row[0]: row for row in rows}


def _row(detail: Sequence[Any], files: Sequence[IndexedFile], names: Names, uploads: Path) -> Row:
    first = files[0]
    shown = names.shown(first.path)
    document_id, title, form, size, language, pages, chunks, added, date, author, notes = detail
    return Row(
        id=document_id,
        name=shown.rsplit("/", 1)[-1],
        path=shown,
        title=title,
        format=form,
        size=size,
        language=language,
        pages=pages,
        chunks=chunks,
        added=added,
        date=date,
        author=author,
        notes=tuple(json.loads(notes)),
        copies=tuple(names.shown(f.path) for f in files[1:]),
        uploaded=Path(first.path).is_relative_to(uploads),
        metadata=first.metadata,
    )
