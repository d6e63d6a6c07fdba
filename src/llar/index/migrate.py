"""Older collections brought to the present schema: a backup, then one transaction, or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..chunks.keywords import keywords
from ..errors import CollectionError, SchemaMismatch
from .database import NEXT, SCHEMA, mapped, mapped_disk

# Schema it starts from -> what brings a collection to the next one. A step runs inside the
# transaction and must not commit; the schema in the manifest is raised for it.
Steps = Mapping[int, Callable[[sqlite3.Connection], None]]


def _add_chunk_columns(connection: sqlite3.Connection) -> None:
    """Schema 1 to 2: chunks get a context, parts and keywords; those of an unfinished reembed, too.

    Keywords are made from the passages' texts, as a new collection would have them.
    """
    for suffix in ("", NEXT):
        table = f"chunks{suffix}"
        if not connection.execute(
            "SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone():
            continue
        for column in ("context TEXT", "parts TEXT", "keywords TEXT NOT NULL DEFAULT '[]'"):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        for (document_id,) in connection.execute("SELECT id FROM documents").fetchall():
            set_keywords(connection, table, document_id)


def set_keywords(connection: sqlite3.Connection, table: str, document_id: int) -> None:
    """Make the keywords of a document's passages in `table` from their texts."""
    [language] = connection.execute(
        "SELECT language FROM documents WHERE id = ?", (document_id,)
    ).fetchone()
    rows = connection.execute(
        f"SELECT id, text FROM {table} WHERE document_id = ? ORDER BY id", (document_id,)
    ).fetchall()
    found = keywords([text for _, text in rows], language)
    connection.executemany(
        f"UPDATE {table} SET keywords = ? WHERE id = ?",
        [
            (json.dumps(words, ensure_ascii=False), row[0])
            for words, row in zip(found, rows, strict=True)
        ],
    )


STEPS: Steps = {1: _add_chunk_columns}


def migrate(
    path: Path, *, lock_timeout: float, steps: Steps = STEPS, schema: int = SCHEMA
) -> Path | None:
    """Bring the collection in the file `path` to `schema`; returns the backup, None if not needed.

    Raises SchemaMismatch where there is no way from its schema to this one, and CollectionError
    where a step fails; the collection is then as it was before.
    """
    with (
        mapped(path),
        contextlib.closing(
            sqlite3.connect(path, timeout=lock_timeout, isolation_level=None)
        ) as connection,
    ):
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")  # whoever else wants to migrate waits here
        try:
            found = _schema(connection, path)
            if found == schema:
                return None
            missing = [n for n in range(found, schema) if n not in steps]
            if missing or found > schema:
                raise SchemaMismatch(
                    f"collection {path.parent.name!r} has schema {found}; this llar reads schema "
                    f"{schema} and knows no way from there. Nothing was changed",
                    fix="make the collection anew with: llar add",
                )
            backup = back_up(path)
            for step in range(found, schema):
                steps[step](connection)
                connection.execute(
                    "UPDATE manifest SET value = ? WHERE key = 'schema'", (json.dumps(step + 1),)
                )
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            if broken:
                raise CollectionError(
                    f"{path}: the migration from schema {found} left rows of {broken[0]!r} without "
                    f"their document; nothing was changed"
                )
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    return backup


def back_up(path: Path) -> Path:
    """Copy the collection in the file `path` as it is now, write-ahead log included.

    The copy lies beside it as collection.db.backup-DATE and is complete when it has that name.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")  # never the name of one before
    target = path.with_name(f"{path.name}.backup-{stamp}")
    draft = path.with_name(f".{path.name}.{os.getpid()}-{stamp}")
    with mapped_disk(draft), mapped(draft):
        with (
            contextlib.closing(
                sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            ) as a,
            contextlib.closing(sqlite3.connect(draft)) as b,
        ):
            a.backup(b)
            b.execute("PRAGMA journal_mode = DELETE")  # one file, complete by itself
        draft.rename(target)
    return target


def _schema(connection: sqlite3.Connection, path: Path) -> int:
    row = connection.execute("SELECT value FROM manifest WHERE key = 'schema'").fetchone()
    if row is None:
        raise CollectionError(f"{path} is no llar collection: its manifest has no 'schema'")
    return int(json.loads(row[0]))
