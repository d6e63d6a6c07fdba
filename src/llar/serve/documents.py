"""The documents of the collections: listed, read, shown as they are, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..collection import Collection
from ..config import Config
from ..errors import NotThere, QueryError
from ..index.access import check
from ..index.filters import RESERVED
from ..index.index import IndexedFile
from ..records import Chunk, Document, MetadataValue
from .accounts import Accounts
from .documents_of import Row, Rows, chunks_of, files_of, list_documents, one_row
from .engines import Engines
from .opened import Collections
from .originals import Original, Originals
from .pictures_of import Box, Pictures
from .who import Identity


class Documents(Collections):
    """Every document, as those see it who may read it."""

    def __init__(self, config: Config, engines: Engines, accounts: Accounts) -> None:
        super().__init__(config, engines, accounts)
        self._pictures = Pictures(config)
        self._originals = Originals()

    def close(self) -> None:
        """Let go of every collection, and end what draws pages."""
        self._pictures.close()
        super().close()

    def documents(
        self,
        identity: Identity,
        name: str,
        *,
        text: str = "",
        form: str = "",
        order: str = "path",
        descending: bool = False,
        start: int = 0,
        limit: int = 100,
    ) -> Rows:
        """Documents of a collection; see `documents_of.list_documents`."""
        docs = self.open(name, identity)
        return list_documents(
            docs.index,
            self._names(docs),
            self._uploads.folder / name,
            text=text,
            form=form,
            order=order,
            descending=descending,
            start=start,
            limit=limit,
        )

    def row(self, identity: Identity, name: str, document_id: int) -> Row:
        """One document as in the list. Raises NotThere."""
        docs = self.open(name, identity)
        found = one_row(docs.index, self._names(docs), self._uploads.folder / name, document_id)
        if found is None:
            raise _no_document(name, document_id)
        return found

    def document(self, identity: Identity, name: str, document_id: int) -> Document:
        """A document with its whole text; `source` is its path on the server. Raises NotThere."""
        found = self.open(name, identity).index.find_document(document_id)
        if found is None:
            raise _no_document(name, document_id)
        return found

    def chunks(self, identity: Identity, name: str, document_id: int) -> list[tuple[int, Chunk]]:
        """A document's passages with their ids, in order. Raises NotThere."""
        docs = self.open(name, identity)
        found = chunks_of(docs.index, document_id)
        if not found and docs.index.find_document(document_id) is None:
            raise _no_document(name, document_id)
        return found

    def set_metadata(
        self,
        identity: Identity,
        name: str,
        document_id: int,
        metadata: Mapping[str, MetadataValue | None],
    ) -> Row:
        """Add to or change what is known of a document; None takes a key away. For editors.

        Raises QueryError for keys that the document itself tells, such as "title".
        """
        self.check(identity, name, edit=True)
        paths, _ = self._paths(identity, name, document_id)
        check_metadata(metadata)
        index = self.whole(name).index
        for path in paths:
            index.set_metadata(path, metadata)
        return self.row(identity, name, document_id)

    def file(self, identity: Identity, name: str, document_id: int) -> Original:
        """The file that a document was read from, open. Close it.

        Raises NotThere where it is gone, and Conflict where it is no longer the one indexed.
        """
        row = self.row(identity, name, document_id)
        paths, sha256 = self._paths(identity, name, document_id)
        return self._originals.open(paths, sha256, row.name)

    def page_image(
        self, identity: Identity, name: str, document_id: int, page: int, dpi: int = 110
    ) -> bytes:
        """A page (from 1) of a PDF or picture as PNG. Raises as `file`, and DocumentError."""
        return self._pictures.page_image(self._on_disk(identity, name, document_id), page, dpi)

    def boxes(
        self, identity: Identity, name: str, document_id: int, start: int, end: int
    ) -> list[Box]:
        """Where a span of a document's text stands on its pages; see `Pictures.boxes`."""
        return self._pictures.boxes(self._on_disk(identity, name, document_id), start, end)

    def failures(self, identity: Identity, name: str) -> list[tuple[str, str, str]]:
        """(name, why, when) of files that could not be read on the command line, for editors."""
        self.check(identity, name, edit=True)
        docs = self.whole(name)
        names = self._names(docs)
        return [
            (names.shown(path), why.removeprefix(f"{path!r}: "), when)
            for path, why, when in docs.index.failures()
        ]

    # -- inside ----------------------------------------------------------------------------

    def _paths(self, identity: Identity, name: str, document_id: int) -> tuple[list[str], str]:
        """Where a document was indexed from, as far as the identity may see, and its SHA-256."""
        files = self._files(self.open(name, identity), [document_id])[document_id]
        return [file.path for file in files], files[0].sha256

    def _files(self, docs: Collection, ids: Sequence[int]) -> dict[int, list[IndexedFile]]:
        """The files of these documents. Raises NotThere where one of them is not there."""
        found = files_of(docs.index, ids)
        for document_id in ids:
            if document_id not in found:
                raise _no_document(docs.name, document_id)
        return found

    def _on_disk(self, identity: Identity, name: str, document_id: int) -> Document:
        """The document, its `source` a file that is still the one indexed."""
        document = self.document(identity, name, document_id)
        with self.file(identity, name, document_id) as original:
            return original.of(document)


def check_metadata(metadata: Mapping[str, MetadataValue | None]) -> None:
    """Raises QueryError for keys that cannot be set, and for readers that nobody could be."""
    for key in metadata:
        if key in RESERVED or not key.strip() or len(key) > 100:
            raise QueryError(f"the key {key[:100]!r} cannot be set: the document itself tells it")
    check({k: v for k, v in metadata.items() if v is not None})


def _no_document(name: str, document_id: int) -> NotThere:
    return NotThere(f"there is no document {document_id} in {name!r}")
