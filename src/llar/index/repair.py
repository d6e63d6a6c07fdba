"""Mends what the doctor found in a collection, after a backup, and says plainly what is lost.

The text of a document is the truth that everything else is made from again. Where the file it
came from is unchanged, even that is read anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import chunks as chunking
from ..config import Config
from ..documents import Parsers
from ..errors import DocumentError, EmbedderMismatch, LlarError
from ..models import open_embedder
from ..models.interface import Embedder, EmbedderIdentity
from ..records import Document
from .database import (
    FILE,
    NEXT,
    collection_path,
    connect,
    drop_passages,
    empty_words,
    from_column,
    mapped,
    mapped_disk,
    new_manifest,
)
from .doctor import Problem, check, manifest_faults, stale_drafts, stopped_folders
from .examine import Examined, read_chunks, read_record, readable_metadata
from .index import DOCUMENT, chunk_terms, document_row, insert_passages
from .migrate import back_up, set_keywords
from .salvage import salvage


def repair(config: Config, name: str, problems: Sequence[Problem]) -> list[str]:
    """Mend what `check` found in a collection; returns what was done and what was lost, in lines.

    A backup is made first, beside the collection. What needs the embedder stays as it is where
    that is not installed; `check` tells afterwards what is left.
    """
    done: list[str] = []
    path = collection_path(config, name) / FILE
    with mapped_disk(path):
        for draft in stale_drafts(path.parent):
            draft.unlink()
            done.append(f"deleted {draft.name}")
    kinds = {p.kind for p in problems} - {"draft", ""}
    if "file" in kinds:
        with contextlib.closing(_Embedder(config, None)) as model:
            lost = salvage(path, fresh_manifest(config, model.open))
        done.append("copied every readable row into a new file; the damaged one is kept as .backup")
        done += [f"lost: {line}" for line in lost]
        problems = check(config, name)
        kinds = {p.kind for p in problems} - {"draft", ""}
    elif kinds:
        done.append(f"kept a backup as {back_up(path).name}")
    if kinds - {"file"}:
        done += _Repair(config, name).run(problems)
    return done


def fresh_manifest(config: Config, model: Embedder) -> dict[str, Any]:
    """The manifest that a new collection would get."""
    spec = chunking.configured(config, model)
    return new_manifest(model.identity, spec.as_manifest())


def repair_folders(config: Config) -> list[str]:
    """Delete what stopped creations and deletions left where the collections are."""
    done = []
    for folder in stopped_folders(config):
        with mapped_disk(folder):
            shutil.rmtree(folder)
        done.append(f"deleted {folder}")
    return done


class _Embedder:
    """The embedder of a collection, opened when it is needed."""

    def __init__(self, config: Config, pinned: EmbedderIdentity | None) -> None:
        self._config, self._pinned = config, pinned
        self._model: Embedder | None = None

    @property
    def open(self) -> Embedder:
        if self._model is None:
            pinned = self._pinned
            self._model = open_embedder(self._config, pinned.name if pinned else None)
            if pinned and self._model.identity != pinned:
                raise EmbedderMismatch(f"{pinned.name} is not the model its vectors are of")
        return self._model

    def close(self) -> None:
        if self._model is not None:
            self._model.close()


class _Repair:
    """One collection while it is mended, all of it in one transaction."""

    def __init__(self, config: Config, name: str) -> None:
        self.config = config
        self.path = collection_path(config, name) / FILE
        self.done: list[str] = []

    def run(self, problems: Sequence[Problem]) -> list[str]:
        """Mend all that can be; returns what was done."""
        self.connection, _ = connect(self.path, self.config.lock_timeout)
        self.connection.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
        with contextlib.closing(self.connection) as connection, mapped(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._mend(problems)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return self.done

    def _mend(self, problems: Sequence[Problem]) -> None:
        connection = self.connection
        kinds = {p.kind for p in problems}
        every = self._manifest() if "manifest" in kinds else False
        if "next" in kinds:
            drop_passages(connection, NEXT)
            connection.execute("DELETE FROM manifest WHERE key = 'next'")
            self.done.append("dropped what an unfinished re-embedding left")
        if "orphans" in kinds:
            self._drop_orphans()
        if "sequence" in kinds:
            self._renumber()
        anew = {i for p in problems if p.kind in ("document", "passages") for i in p.documents}
        if every:
            anew = {row[0] for row in connection.execute("SELECT id FROM documents")}
        others = {i for p in problems if p.kind in ("metadata", "nameless") for i in p.documents}
        if anew or kinds & {"words", "orphans", "nameless"}:
            empty_words(connection)  # filled below: the index of words is never mended in place
        for number in sorted(others):
            self._files(number)
        if anew:
            doubtful = {i for p in problems if p.kind == "document" for i in p.documents}
            self._documents(sorted(anew), doubtful)
        self._fill_words()
        self._keywords(sorted(i for p in problems if p.kind == "keywords" for i in p.documents))
        tokens = sum(len(row[0].split()) for row in connection.execute("SELECT terms FROM words"))
        self._set("tokens", tokens)
        # Whoever has the collection open must not go on with vectors that were replaced.
        connection.execute(
            "UPDATE manifest SET value = value + 1 WHERE key IN ('generation', 'epoch')"
        )

    def _manifest(self) -> bool:
        """Give damaged keys new values; whether that made every vector useless."""
        rows = dict(self.connection.execute("SELECT key, value FROM manifest").fetchall())
        faults = manifest_faults(rows)
        pinned = None
        if "embedder" not in faults:
            found = json.loads(rows["embedder"])
            pinned = EmbedderIdentity(**{**found, "languages": tuple(found["languages"])})
        with contextlib.closing(_Embedder(self.config, pinned)) as model:
            for key in faults:
                if key in ("generation", "epoch"):
                    self._set(key, secrets.randbelow(2**40))  # none that a reader has seen
                elif key in ("embedder", "chunker"):
                    value = fresh_manifest(self.config, model.open)[key]
                    self._set(key, value)
                    self.done.append(f"the manifest's {key!r} was lost; it is the configured now")
                else:
                    value = new_manifest(pinned or model.open.identity, {})[key]
                    self._set(key, value)
                    self.done.append(f"the manifest's {key!r} was lost; it is {value!r} now")
        return "embedder" in faults

    def _set(self, key: str, value: Any) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO manifest VALUES (?, ?)", (key, json.dumps(value))
        )

    def _drop_orphans(self) -> None:
        connection = self.connection
        gone = "document_id NOT IN (SELECT id FROM documents)"
        for (path,) in connection.execute(f"SELECT path FROM files WHERE {gone}"):
            name = from_column(path)
            self.done.append(f"lost: the document of {name!r}; llar add reads it again")
        for table in ("files", "chunks", "vectors"):
            count = connection.execute(f"DELETE FROM {table} WHERE {gone}").rowcount
            if count:
                self.done.append(f"dropped {count} rows of {table!r} that belonged to no document")
        if connection.execute(
            f"SELECT 1 FROM sqlite_schema WHERE name = 'chunks{NEXT}'"
        ).fetchone():
            for table in ("chunks", "vectors"):
                connection.execute(f"DELETE FROM {table}{NEXT} WHERE {gone}")

    def _renumber(self) -> None:
        for table in ("documents", "chunks"):
            self.connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self.connection.execute(
                f"INSERT INTO sqlite_sequence SELECT ?, coalesce(max(id), 0) FROM {table}", (table,)
            )
        self.done.append("new documents and passages get numbers that were never used")

    def _files(self, number: int) -> None:
        """Mend the metadata of a document's files; forget a document that belongs to none."""
        connection = self.connection
        rows = connection.execute(
            "SELECT path, metadata FROM files WHERE document_id = ?", (number,)
        ).fetchall()
        for path, metadata in rows:
            if not readable_metadata(metadata):
                connection.execute("UPDATE files SET metadata = '{}' WHERE path = ?", (path,))
                self.done.append(f"lost: the metadata of {from_column(path)!r}")
        if not rows:
            title = connection.execute(
                "SELECT title FROM documents WHERE id = ?", (number,)
            ).fetchone()
            connection.execute("DELETE FROM documents WHERE id = ?", (number,))
            self.done.append(
                f"dropped document {number} ({title[0] if title else None!r}), which no file "
                "belonged to; its text is in the backup"
            )

    def _documents(self, numbers: Sequence[int], doubtful: Set[int]) -> None:
        """Chunk and embed these anew; doubtful ones from their files where those are unchanged."""
        found = dict(self.connection.execute("SELECT key, value FROM manifest").fetchall())
        pinned = json.loads(found["embedder"])
        spec = chunking.read_spec(json.loads(found["chunker"]))
        identity = EmbedderIdentity(**{**pinned, "languages": tuple(pinned["languages"])})
        with contextlib.closing(_Embedder(self.config, identity)) as model:
            try:
                embedder = model.open
            except LlarError as e:
                what = f"{len(numbers)} documents wait for the embedder"
                self.done.append(f"not mended: {what}: {e.message}")
                return
            with Parsers(self.config) as parsers:
                for number in numbers:
                    row = self.connection.execute(
                        f"SELECT id, {DOCUMENT} FROM documents WHERE id = ?", (number,)
                    ).fetchone()
                    if row:  # else it was nameless and is gone
                        seen = read_record(self.connection, row)
                        again = number in doubtful
                        document = self._truth(seen, parsers) if again else seen.document
                        self._passages(seen.id, document, embedder, spec)
        self.done.append(f"made the passages of {len(numbers)} documents anew")

    def _passages(
        self, number: int, document: Document, embedder: Embedder, spec: chunking.Spec
    ) -> None:
        chunks = chunking.split(document, spec, embedder)
        [vectors] = chunking.embed([(document, chunks)], spec, embedder)
        connection = self.connection
        columns = ", ".join(f"{column} = ?" for column in DOCUMENT.split(", "))
        connection.execute(
            f"UPDATE documents SET {columns} WHERE id = ?", (*document_row(document), number)
        )
        for table in ("chunks", "vectors"):
            connection.execute(f"DELETE FROM {table} WHERE document_id = ?", (number,))
        insert_passages(connection, number, document, chunks, vectors)

    def _truth(self, seen: Examined, parsers: Parsers) -> Document:
        """The document as its file says, or as it is stored where the file is another now."""
        kept = seen.document
        nameable = re.fullmatch(r"[0-9a-f]{64}", kept.sha256) is not None
        for path in seen.paths:
            if not Path(path).is_file():
                continue
            [(_, fresh)] = parsers.parse([Path(path)])
            if isinstance(fresh, DocumentError):
                continue  # no longer readable: what is stored is all there is
            if fresh.sha256 == kept.sha256 or not nameable:
                self.done.append(f"read {path!r} again")
                return fresh
        why = "; ".join(what for kind, what in seen.faults if kind == "document")
        if why:
            self.done.append(f"lost: parts of {kept.source!r}, whose file is no longer: {why}")
        if nameable:
            return kept
        return replace(kept, sha256=hashlib.sha256(kept.text.encode()).hexdigest())

    def _keywords(self, numbers: Sequence[int]) -> None:
        """Make the keywords of these documents' passages anew."""
        for number in numbers:
            set_keywords(self.connection, "chunks", number)
        if numbers:
            self.done.append(f"made the keywords of {len(numbers)} documents anew")

    def _fill_words(self) -> None:
        """Words for every passage that has none."""
        connection = self.connection
        count = 0
        for row in connection.execute(
            f"SELECT id, {DOCUMENT} FROM documents WHERE id IN (SELECT document_id FROM chunks"
            " WHERE id NOT IN (SELECT rowid FROM words))"
        ).fetchall():
            document = read_record(connection, row).document
            for number, chunk in read_chunks(connection, row[0], document):
                words = " ".join(chunk_terms(document, chunk))
                if connection.execute("SELECT 1 FROM words WHERE rowid = ?", (number,)).fetchone():
                    continue
                connection.execute(
                    "INSERT INTO words (rowid, terms) VALUES (?, ?)", (number, words)
                )
                count += 1
        if count:
            self.done.append(f"made the words of {count} passages anew")
