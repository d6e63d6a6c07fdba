"""What a collection holds: documents with their files, chunks, words and vectors."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..chunks import Spec, read_spec
from ..config import Config
from ..errors import CollectionError, UnknownCollection
from ..models.interface import EmbedderIdentity, Matrix
from ..records import Block, Chunk, Document, MetadataValue, Page, Source
from ..text.symbols import inner_words
from ..text.words import terms
from . import access
from .access import Reader
from .database import FILE, Database, collection_path, from_column, mapped_disk, now, to_column
from .passages import Passages
from .seen import SeenDatabase, SeenPassages

Metadata = Mapping[str, MetadataValue]
DOCUMENT = (  # columns of `documents` that a parsed file fills
    "sha256, format, size, title, author, created, modified, language, pages, blocks, notes, text"
)
CHUNK = (  # columns of `chunks` that a passage fills, and its id
    "id, start, end, kind, prefix, headings, first_page, last_page, text, context, parts, keywords"
)
READERS = 64  # of one collection, whose view of it is remembered

_PAGES = re.compile(r"\d{1,9}(-\d{1,9})?(, \d{1,9}(-\d{1,9})?)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """One file of a collection. Files of equal content share one document."""

    path: str
    document_id: int
    sha256: str
    metadata: Metadata


class Index:
    """An open collection. Every method that changes it is one durable transaction."""

    reader: Reader | None = None  # who looks at it; None sees everything

    def __init__(self, name: str, database: Database) -> None:
        self.name = name
        self.database = database
        self.passages = Passages(database)
        self.held: dict[str, Any] = {}  # what steps of a search worked out from it
        self.whole = self  # with what is hidden from the reader
        self._seen: OrderedDict[Reader, Index] = OrderedDict()
        self._guard = threading.Lock()

    def told_path(self) -> Callable[[str], str]:
        """What turns a file's path into the one that the reader may be told."""
        return self.reader.told() if self.reader is not None else str

    def seen_by(self, reader: Reader) -> Index:
        """The collection as if what the reader may not see were not in it; it cannot be changed.

        It shares the file and what is in memory with this one, which closes it. Those of the
        readers seen last are kept.
        """
        whole = self.whole
        if reader.everything:
            return whole
        with whole._guard:
            found = whole._seen.pop(reader, None) or _SeenIndex(whole, reader)
            whole._seen[reader] = found
            if len(whole._seen) > READERS:
                whole._seen.popitem(last=False)
        return found

    @property
    def embedder(self) -> EmbedderIdentity:
        """The embedder whose vectors this collection holds, as its manifest says now."""
        found = self.database.manifest("embedder")
        return EmbedderIdentity(**{**found, "languages": tuple(found["languages"])})

    @property
    def chunker(self) -> Mapping[str, Any]:
        """How documents are chunked: name, max_tokens and the chunker's own parameters."""
        chunker: Mapping[str, Any] = self.database.manifest("chunker")
        return chunker

    @property
    def spec(self) -> Spec:
        """The same, checked. Raises CollectionError for a chunker that this llar does not have."""
        return read_spec(self.chunker)

    @classmethod
    def open(cls, config: Config, name: str) -> Index:
        """Open a collection. Raises UnknownCollection, naming those there are."""
        folder = collection_path(config, name)
        if not (folder / FILE).is_file():
            have = ", ".join(collection_names(config)) or "none yet"
            raise UnknownCollection(
                f"there is no collection {name!r} (there are: {have})",
                fix=f"llar add PATH -c {name}",
            )
        return cls(name, Database(folder, lock_timeout=config.lock_timeout))

    @classmethod
    def create(
        cls, config: Config, name: str, embedder: EmbedderIdentity, chunker: Mapping[str, Any]
    ) -> Index:
        """Make a collection, or open it where it exists already."""
        folder = collection_path(config, name)
        timeout = config.lock_timeout
        return cls(
            name,
            Database.create(folder, lock_timeout=timeout, embedder=embedder, chunker=chunker),
        )

    def close(self) -> None:
        """Close the file; the index must not be used afterwards."""
        with self._guard:
            seen = list(self._seen.values())
            self._seen.clear()
        for index in (*seen, self):
            for held in index.held.values():
                held.close()
            index.held.clear()
            index.database.close()

    # -- writing ---------------------------------------------------------------------------

    def put(
        self,
        document: Document,
        chunks: Sequence[Chunk],
        vectors: Matrix,
        metadata: Metadata,
        *,
        anew: bool = False,
    ) -> Literal["new", "copy", "same"]:
        """Store a parsed document under its path, in place of what that path held before.

        `vectors` has one row per chunk. "copy" means that the same content was there already, and
        only the path is recorded; "same" that it was there under this path (another process was
        faster). With `anew`, content that was there becomes a new document, with the paths that it
        had: number and date then do not tell one who may not see those that it was there.
        """
        if vectors.shape != (len(chunks), self.embedder.dimension):
            raise ValueError(f"{len(chunks)} chunks but vectors of shape {vectors.shape}")
        with self.database.write() as connection:
            found = connection.execute(
                "SELECT id FROM documents WHERE sha256 = ?", (document.sha256,)
            ).fetchone()
            held = connection.execute(
                "SELECT document_id, metadata FROM files WHERE path = ?",
                (to_column(document.source),),
            ).fetchone()
            paths = _emptied(connection, found[0]) if found and anew else []
            known = found and not anew
            document_id = found[0] if known else _insert(connection, document, chunks, vectors)
            connection.executemany(
                "INSERT INTO files VALUES (?, ?, ?)", [(p, document_id, m) for p, m in paths]
            )
            before = json.loads(held[1]) if held else {}
            readers = access.kept(before, document.metadata)
            merged = {**document.metadata, **readers, **metadata}
            _attach(connection, document.source, document_id, merged)
        if found is None:
            return "new"
        return "same" if held and held[0] == found[0] else "copy"

    def attach(
        self,
        path: str,
        sha256: str,
        metadata: Metadata,
        *,
        gone: str | None,
        like: str | None = None,
    ) -> bool:
        """Record that `path` holds content that is indexed already; `gone` is a path it moved
        from. It takes over what is known of that path, or of `like`, or else of the first one.
        Returns False where that content is no longer there."""
        source = gone or like
        with self.database.write() as connection:
            found = connection.execute(
                "SELECT id FROM documents WHERE sha256 = ?", (sha256,)
            ).fetchone()
            if not found:
                return False
            inherited = connection.execute(
                "SELECT metadata FROM files WHERE path = coalesce(?, (SELECT min(path) FROM files"
                " WHERE document_id = ?))",
                (source and to_column(source), found[0]),
            ).fetchone()
            known = json.loads(inherited[0]) if inherited else {}
            held = connection.execute(
                "SELECT metadata FROM files WHERE path = ?", (to_column(path),)
            ).fetchone()
            readers = access.kept(json.loads(held[0]) if held else {}, known)
            _attach(connection, path, found[0], {**known, **readers, **metadata})
            if gone is not None:
                _detach(connection, [gone])
        return True

    def set_metadata(self, path: str, metadata: Mapping[str, MetadataValue | None]) -> None:
        """Add to or change what is known of one file; None removes."""
        with self.database.write() as connection:
            connection.execute(
                "UPDATE files SET metadata = json_patch(metadata, ?) WHERE path = ?",
                (json.dumps(metadata), to_column(path)),
            )

    def remove(self, paths: Sequence[str]) -> int:
        """Forget these files, and documents no file holds any more. Returns how many files."""
        with self.database.write() as connection:
            return _detach(connection, paths)

    def note_failures(self, failures: Mapping[str, str], cleared: Sequence[str]) -> None:
        """Remember which files could not be read, and forget those that now could."""
        with self.database.write() as connection:
            connection.executemany(
                "DELETE FROM failures WHERE path = ?", [(to_column(p),) for p in cleared]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)",
                [(to_column(path), error, now()) for path, error in failures.items()],
            )

    def add_roots(self, paths: Sequence[str]) -> None:
        """Remember folders and files that `sync` follows."""
        with self.database.write() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO roots VALUES (?)", [(to_column(p),) for p in paths]
            )

    def remove_roots(self, paths: Sequence[str]) -> None:
        """Stop following these."""
        with self.database.write() as connection:
            connection.executemany(
                "DELETE FROM roots WHERE path = ?", [(to_column(p),) for p in paths]
            )

    # -- reading ---------------------------------------------------------------------------

    def roots(self) -> list[str]:
        """Folders and files that were added, which `sync` follows."""
        return [from_column(r[0]) for r in self._all("SELECT path FROM roots ORDER BY path")]

    def failures(self) -> list[tuple[str, str, str]]:
        """(path, error, when) of the files that could not be read."""
        rows = self._all("SELECT path, error, at FROM failures ORDER BY path")
        return [(from_column(path), error, at) for path, error, at in rows]

    def files(self) -> Iterator[IndexedFile]:
        """Every file, by path."""
        rows = self._all(
            "SELECT path, document_id, sha256, metadata FROM files"
            " JOIN documents ON documents.id = document_id ORDER BY path"
        )
        for path, document_id, sha256, metadata in rows:
            yield IndexedFile(from_column(path), document_id, sha256, json.loads(metadata))

    def document(self, document_id: int) -> Document:
        """A whole document as it was indexed. Raises CollectionError where it is gone."""
        found = self.find_document(document_id)
        if found is None:
            raise CollectionError(f"document {document_id} is no longer in {self.name!r}")
        return found

    def page_at(self, document_id: int, place: int) -> int | None:
        """The page that the character at `place` of a document stands on, None without pages."""
        rows = self._all("SELECT pages FROM documents WHERE id = ?", (document_id,))
        pages = json.loads(rows[0][0]) if rows else []
        return next((number for number, _, end, _ in pages if place < end), None)

    def find_document(self, document_id: int) -> Document | None:
        """A whole document as it was indexed, None where there is none of that id."""
        rows = self._all(
            "SELECT text, min(path), format, size, sha256, title, author, created, modified,"
            " language, pages, blocks, metadata, notes FROM documents"
            " JOIN files ON document_id = documents.id WHERE documents.id = ?"
            " GROUP BY documents.id",
            (document_id,),
        )
        if not rows:
            return None
        text, source, form, size, sha256, title, author, created, modified, language = rows[0][:10]
        pages, blocks, metadata, notes = rows[0][10:]
        return Document(
            text,
            from_column(source),
            form,
            size,
            sha256,
            title,
            author,
            created,
            modified,
            language,
            pages=tuple(Page(*p) for p in json.loads(pages)),
            blocks=tuple(Block(*b) for b in json.loads(blocks)),
            metadata=json.loads(metadata),
            notes=tuple(json.loads(notes)),
        )

    def text(self, document_id: int) -> str:
        """The text of one document."""
        rows = self._all("SELECT text FROM documents WHERE id = ?", (document_id,))
        if not rows:
            raise CollectionError(f"document {document_id} is no longer in {self.name!r}")
        return str(rows[0][0])

    def chunks(self, ids: Sequence[int]) -> dict[int, tuple[Source, Chunk]]:
        """Chunks by id with the document each is from; ids that are gone are left out."""
        columns = ", ".join(f"chunks.{column}" for column in CHUNK.split(", "))
        rows = self._all(
            f"SELECT {columns}, chunks.id - first_chunk + 1, count,"
            " documents.id, title, format, language, coalesce(created, modified),"
            " (SELECT min(path) FROM files WHERE files.document_id = chunks.document_id),"
            " (SELECT max(json_extract(metadata, '$.recognised')) FROM files"
            "  WHERE files.document_id = chunks.document_id)"
            " FROM chunks JOIN documents ON documents.id = chunks.document_id"
            " LEFT JOIN vectors ON vectors.document_id = chunks.document_id"
            " WHERE chunks.id IN (SELECT value FROM json_each(?))",
            (json.dumps([int(i) for i in ids]),),
        )
        return {row[0]: (_source(row[14:]), read_chunk(row[:12], row[12:14])) for row in rows}

    def neighbours(
        self, document_id: int, start: int, end: int, many: int
    ) -> tuple[list[Chunk], list[Chunk]]:
        """The `many` passages that begin before `start` and those that end after `end`.

        The nearest come first. Passages put together of parts are left out.
        """
        beside = "document_id = ? AND parts IS NULL AND"
        before = self._all(
            f"SELECT {CHUNK} FROM chunks WHERE {beside} start < ? ORDER BY start DESC LIMIT ?",
            (document_id, start, many),
        )
        after = self._all(
            f"SELECT {CHUNK} FROM chunks WHERE {beside} end > ? ORDER BY end LIMIT ?",
            (document_id, end, many),
        )
        return [read_chunk(row) for row in before], [read_chunk(row) for row in after]

    def notes(self) -> dict[str, tuple[str, ...]]:
        """What could not be read in otherwise good files, by path."""
        rows = self._all(
            "SELECT min(path), notes FROM documents JOIN files ON document_id = documents.id"
            " WHERE notes != '[]' GROUP BY documents.id ORDER BY 1"
        )
        return {from_column(path): tuple(json.loads(notes)) for path, notes in rows}

    def languages(self) -> dict[str, int]:
        """How many documents there are of each language ("" where it is not known)."""
        return dict(
            self._all("SELECT coalesce(language, ''), count(*) FROM documents GROUP BY language")
        )

    def counts(self) -> dict[str, int]:
        """Files, documents, chunks, failures and bytes of text."""
        row = self._all(
            "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM documents),"
            " (SELECT count(*) FROM chunks), (SELECT count(*) FROM failures),"
            " (SELECT coalesce(sum(size), 0) FROM documents)"
        )[0]
        return dict(zip(("files", "documents", "chunks", "failures", "bytes"), row, strict=True))

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self.database.read() as connection:
            return connection.execute(sql, values).fetchall()


class _SeenIndex(Index):
    """An open collection through the eyes of one reader; closing it closes nothing."""

    def __init__(self, whole: Index, reader: Reader) -> None:
        database = SeenDatabase(whole.database, reader)
        super().__init__(whole.name, database)
        self.reader = reader
        self.whole = whole
        self.passages = SeenPassages(database, whole.passages.held)

    def close(self) -> None:
        """It is closed with the collection that it is made of."""


def collection_names(config: Config) -> list[str]:
    """The collections there are, by name."""
    try:
        with os.scandir(config.collections_dir) as found:
            return sorted(f.name for f in found if os.path.exists(os.path.join(f.path, FILE)))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def delete_collection(config: Config, name: str, *, only_unused: bool = False) -> bool:
    """Delete a whole collection with everything in it. Raises UnknownCollection.

    With `only_unused`, one that holds a document stays. Returns whether it is gone.
    """
    folder = collection_path(config, name)
    doomed = folder.with_name(f".{name}.deleted")
    with contextlib.closing(Index.open(config, name)) as index, mapped_disk(folder):
        if doomed.exists():  # of a deletion that was killed
            shutil.rmtree(doomed)
        with index.database.write() as connection:  # nobody is in the middle of a document
            if only_unused and connection.execute("SELECT 1 FROM documents").fetchone():
                return False
            folder.rename(doomed)  # gone at once for everyone, whatever happens to the rest
    with mapped_disk(folder):
        shutil.rmtree(doomed)
    return True


def _insert(
    connection: sqlite3.Connection, document: Document, chunks: Sequence[Chunk], vectors: Matrix
) -> int:
    cursor = connection.execute(
        f"INSERT INTO documents ({DOCUMENT}, added) VALUES ({', '.join('?' * 13)})",
        (*document_row(document), now()),
    )
    document_id = int(cursor.lastrowid or 0)
    tokens = insert_passages(connection, document_id, document, chunks, vectors)
    connection.execute("UPDATE manifest SET value = value + ? WHERE key = 'tokens'", (tokens,))
    return document_id


def document_row(document: Document) -> tuple[Any, ...]:
    """The values of the columns DOCUMENT."""
    return (
        document.sha256,
        document.format,
        document.size,
        document.title,
        document.author,
        document.created,
        document.modified,
        document.language,
        json.dumps([(p.number, p.start, p.end, p.label) for p in document.pages]),
        json.dumps([(b.kind, b.start, b.end, b.level, b.caption) for b in document.blocks]),
        json.dumps(document.notes),
        document.text,
    )


def insert_passages(
    connection: sqlite3.Connection,
    document_id: int,
    document: Document,
    chunks: Sequence[Chunk],
    vectors: Matrix,
    suffix: str = "",
) -> int:
    """Store a document's chunks, words and vectors; returns how many words there are."""
    used = connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = ?", (f"chunks{suffix}",)
    ).fetchone()
    first = (used[0] if used else 0) + 1
    connection.executemany(
        f"INSERT INTO chunks{suffix} (document_id, {CHUNK}) VALUES ({', '.join('?' * 13)})",
        ((document_id, first + i, *chunk_row(chunk)) for i, chunk in enumerate(chunks)),
    )
    words = 0

    def rows() -> Iterator[tuple[int, str]]:
        nonlocal words  # a large document's words are not all held at once
        for i, chunk in enumerate(chunks):
            found = chunk_terms(document, chunk)
            words += len(found)
            yield first + i, " ".join(found)

    connection.executemany(f"INSERT INTO words{suffix} (rowid, terms) VALUES (?, ?)", rows())
    connection.execute(
        f"INSERT INTO vectors{suffix} VALUES (?, ?, ?, ?)",
        (document_id, first, len(chunks), np.ascontiguousarray(vectors, "<f4").data),
    )
    return words


def chunk_row(chunk: Chunk) -> tuple[Any, ...]:
    """The values of the columns CHUNK, less the id."""
    return (
        chunk.start,
        chunk.end,
        chunk.kind,
        chunk.prefix,
        json.dumps(chunk.headings, ensure_ascii=False),
        chunk.first_page,
        chunk.last_page,
        chunk.text,
        json.dumps(chunk.context) if chunk.context else None,
        json.dumps(chunk.parts) if chunk.parts else None,
        json.dumps(chunk.keywords, ensure_ascii=False),
    )


def read_chunk(row: Sequence[Any], position: Sequence[Any] = ()) -> Chunk:
    """The chunk of a row of CHUNK; `position` is its n of m.

    Raises ValueError or TypeError for columns that are not the JSON they should be.
    """
    start, end, kind, prefix, headings, first, last, text, context, parts, keywords = row[1:]
    return Chunk(
        text,
        start,
        end,
        kind,
        prefix,
        tuple(json.loads(headings)),
        first,
        last,
        context=_span(json.loads(context)) if context else None,
        keywords=tuple(json.loads(keywords)),
        parts=tuple(map(_span, json.loads(parts))) if parts else (),
        position=(position[0], position[1]) if position and position[1] else None,
    )


def _span(pair: Sequence[int]) -> tuple[int, int]:
    start, end = pair
    return start, end


def chunk_terms(document: Document, chunk: Chunk) -> list[str]:
    """The words that find a chunk, folded and stemmed."""
    return terms(chunk_words(document, chunk), document.language)


def chunk_words(document: Document | Source, chunk: Chunk) -> str:
    """The text whose words find a chunk: its own, its context's, and the document's title.

    Of source code also the words in its identifiers: parseHeader is found by "header" too.
    """
    title = document.title or ""
    text = chunk.content if title in chunk.content else f"{title}\n{chunk.content}"
    return f"{text}\n{inner_words(text)}" if document.format == "code" else text


def _attach(
    connection: sqlite3.Connection, path: str, document_id: int, metadata: Metadata
) -> None:
    stored = to_column(path)
    before = connection.execute(
        "SELECT document_id FROM files WHERE path = ?", (stored,)
    ).fetchone()
    connection.execute(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (stored, document_id, json.dumps(metadata))
    )
    if before and before[0] != document_id:
        _drop_orphans(connection, [before[0]])


def _detach(connection: sqlite3.Connection, paths: Sequence[str]) -> int:
    documents, gone = [], 0
    for path in map(to_column, paths):
        row = connection.execute("SELECT document_id FROM files WHERE path = ?", (path,)).fetchone()
        if row:
            connection.execute("DELETE FROM files WHERE path = ?", (path,))
            documents.append(row[0])
            gone += 1
    _drop_orphans(connection, documents)
    return gone


def _emptied(connection: sqlite3.Connection, document_id: int) -> list[tuple[Any, str]]:
    """Drop a document; the paths it had, as stored, with their metadata."""
    rows = connection.execute(
        "SELECT path, metadata FROM files WHERE document_id = ?", (document_id,)
    ).fetchall()
    connection.execute("DELETE FROM files WHERE document_id = ?", (document_id,))
    _drop_orphans(connection, [document_id])
    return [(path, metadata) for path, metadata in rows]


def _drop_orphans(connection: sqlite3.Connection, documents: Sequence[int]) -> None:
    for document_id in documents:
        if connection.execute(
            "SELECT 1 FROM files WHERE document_id = ?", (document_id,)
        ).fetchone():
            continue
        chunk_ids = "SELECT id FROM chunks WHERE document_id = ?"
        count = 0
        for (found,) in connection.execute(
            f"SELECT terms FROM words WHERE rowid IN ({chunk_ids})", (document_id,)
        ):
            count += len(found.split())
        connection.execute("UPDATE manifest SET value = value - ? WHERE key = 'tokens'", (count,))
        connection.execute(f"DELETE FROM words WHERE rowid IN ({chunk_ids})", (document_id,))
        connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))


def _source(row: Sequence[Any]) -> Source:
    document_id, title, form, language, date, path, recognised = row
    pages = recognised if _PAGES.fullmatch(str(recognised)) else ""
    return Source(document_id, from_column(path), title, form, language, pages, date)
