"""Another embedder for a collection: every document is chunked and embedded anew, then swapped in.

The new passages grow in tables beside those in use, a transaction per document, so searches and
adds go on meanwhile and a killed run is continued. One last transaction swaps them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from .. import chunks as chunking
from ..chunks import Spec, read_spec
from ..errors import CollectionError
from ..models.interface import Embedder
from .database import NEXT, create_passages, drop_passages, swap_passages
from .index import Index, insert_passages
from .ingest import Progress


def reembed(
    index: Index,
    embedder: Embedder,
    spec: Spec,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> int:
    """Give the collection this embedder and chunker; returns how many chunks there are then.

    A run that was interrupted is continued where embedder and chunker are the same.
    """
    _begin(index, {"embedder": asdict(embedder.identity), "chunker": spec.as_manifest()})
    started, chunks = time.monotonic(), 0
    while True:
        todo = _missing(index)
        for done, document_id in enumerate(todo, 1):
            chunks += _one(index, document_id, embedder, spec)
            if progress:
                seconds = time.monotonic() - started
                progress(Progress(done, len(todo), done, len(todo), chunks, seconds))
        with index.database.write() as connection:
            if not _missing(index):  # nothing was added meanwhile
                return _finish(connection, embedder, spec)


def _begin(index: Index, plan: dict[str, Any]) -> None:
    with index.database.write() as connection:
        before = connection.execute("SELECT value FROM manifest WHERE key = 'next'").fetchone()
        if before is None or not _same(before[0], plan):
            drop_passages(connection, NEXT)
            create_passages(connection, NEXT)
            connection.execute(
                "INSERT OR REPLACE INTO manifest VALUES ('next', ?)", (json.dumps(plan),)
            )


def _same(text: str, plan: dict[str, Any]) -> bool:
    """Whether a plan as it is stored is this one; parameters it does not name have defaults."""
    stored = json.loads(text)
    try:
        chunker = read_spec(stored["chunker"]).as_manifest()
    except CollectionError:  # of a chunker that is no more
        return False
    written: dict[str, Any] = json.loads(json.dumps(plan))  # lists for tuples
    return {**stored, "chunker": chunker} == written


def _missing(index: Index) -> list[int]:
    rows = index.database.connection.execute(
        f"SELECT id FROM documents WHERE id NOT IN (SELECT document_id FROM vectors{NEXT})"
    )
    return [row[0] for row in rows]


def _one(index: Index, document_id: int, embedder: Embedder, spec: Spec) -> int:
    """Chunk and embed one document; returns how many chunks, 0 where it was removed meanwhile."""
    found = index.find_document(document_id)
    if found is None:
        return 0
    pieces = chunking.split(found, spec, embedder)
    [vectors] = chunking.embed([(found, pieces)], spec, embedder)
    with index.database.write() as connection:
        here = "SELECT (SELECT count(*) FROM documents WHERE id = ?1), (SELECT count(*) FROM"
        there = connection.execute(
            f"{here} vectors{NEXT} WHERE document_id = ?1)", (document_id,)
        ).fetchone()
        if there == (1, 0):  # still there, and no other process was faster
            insert_passages(connection, document_id, found, pieces, vectors, NEXT)
            return len(pieces)
    return 0


def _finish(connection: sqlite3.Connection, embedder: Embedder, spec: Spec) -> int:
    connection.execute(
        f"DELETE FROM words{NEXT} WHERE rowid NOT IN (SELECT id FROM chunks{NEXT})"
    )  # of documents removed meanwhile
    swap_passages(connection)
    tokens = sum(len(row[0].split()) for row in connection.execute("SELECT terms FROM words"))
    for key, value in (
        ("embedder", asdict(embedder.identity)),
        ("chunker", spec.as_manifest()),
        ("tokens", tokens),
    ):
        connection.execute("UPDATE manifest SET value = ? WHERE key = ?", (json.dumps(value), key))
    connection.execute("UPDATE manifest SET value = value + 1 WHERE key = 'epoch'")
    connection.execute("DELETE FROM manifest WHERE key = 'next'")
    return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
