"""Mends what the doctor found in a collection, after a backup, and says plainly what is lost.

The text of a document is the truth that everything else is made from again. Where the file it
came from is unchanged, even that is read anew.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from .. import chunks as chunking
from ..config import Config
from ..documents import load
from ..errors import DocumentError, EmbedderMismatch, LlarError
from ..models import open_embedder
from ..models.interface import Embedder, EmbedderIdentity
from ..records import Document
from .database import (
    FILE,
    NEXT,
    collection_path,
    connect,
    create_words,
    drop_passages,
    mapped,
    mapped_disk,
    new_manifest,
    to_column,
)
from .doctor import Problem, check, stale_drafts, stopped_folders
from .examine import Examined, read_record
from .examine import COLUMNS as RECORD
from .index import document_columns, insert_passages, words_of
from .migrate import back_up
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
            limit = min(config.chunk_tokens or model.open.max_tokens, model.open.max_tokens)
            chunker = {"name": "structure", "max_tokens": limit}
            lost = salvage(path, model.open.identity, chunker)
        done.append("copied every readable row into a new file; the damaged one is kept as .backup")
        done += [f"lost: {line}" for line in lost]
        problems = check(config, name)
        kinds = {p.kind for p in problems} - {"draft", ""}
    elif kinds:
        done.append(f"kept a backup as {back_up(path).name}")
    if kinds:
        done += _Repair(config, name).run(kinds, problems)
    return done


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

    def run(self, kinds: set[str], problems: Sequence[Problem]) -> list[str]:
        self.connection, _ = connect(self.path, self.config.lock_timeout)
        self.connection.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
        with contextlib.closing(self.connection) as connection, mapped(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._mend(kinds, problems)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return self.done

    def _mend(self, kinds: set[str], problems: Sequence[Problem]) -> None:
        every = self._manifest()
        if "next" in kinds:
            drop_passages(self.connection, NEXT)
            self.connection.execute("DELETE FROM manifest WHERE key = 'next'")
            self.done.append("dropped what an unfinished re-embedding left")
        if "orphans" in kinds:
            self._drop_orphans()
        if "sequence" in kinds:
            self._renumber()
        damaged = {i for p in problems if p.kind in _BY_DOCUMENT for i in p.documents}
        if every:
            damaged = {row[0] for row in self.connection.execute("SELECT id FROM documents")}
        self._documents(sorted(damaged))
        if kinds & {"words", "passages", "document", "orphans", "nameless"} or every:
            self._words()
        tokens = sum(
            len(row[0].split()) for row in self.connection.execute("SELECT terms FROM words")
        )
        self._set("tokens", tokens)
        # Whoever has the collection open must not go on with vectors that were replaced.
        self.connection.execute(
            "UPDATE manifest SET value = value + 1 WHERE key IN ('generation', 'epoch')"
        )

    def _manifest(self) -> bool:
        """Give damaged keys values; whether that made every vector useless."""
        rows = dict(self.connection.execute("SELECT key, value FROM manifest").fetchall())
        model = _Embedder(self.config, None)
        useless = False
        with contextlib.closing(model):
            for key, sane in _manifest_faults(rows).items():
                if sane:
                    continue
                if key == "embedder":
                    self._set(key, asdict(model.open.identity))
                    self.done.append(
                        f"its embedder was not readable; it has {model.open.identity.name} now, "
                        "and all its passages are embedded anew"
                    )
                    useless = True
                    continue
                limit = self.config.chunk_tokens or model.open.max_tokens
                chunker = {"name": "structure", "max_tokens": min(limit, model.open.max_tokens)}
                value = new_manifest(model.open.identity, chunker)[key]
                self._set(key, value)
                self.done.append(f"the manifest's {key!r} is {value!r} now; what it was is lost")
        return useless
