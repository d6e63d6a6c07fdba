"""The entities and relations of a collection: `graph.db` beside its documents.

Everything in it is made from the documents, so it may be deleted at any time: what is missing is
made anew, documents that came or went are followed. It is read and written through one connection
for each thread. Where its folder may not be written to, it lives in memory as long as the process.

    documents  id, sha256 and how each was read
    entities   id and key; the forms in which documents write it are in `forms`
    forms      entity, document, name, kind and how often
    mentions   entity, document and the span of its text
    relations  subject, object, kind, words between them, document and span
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Forbidden
from ..records import Document
from ..text import entities
from ..text.relations import Relation, relations
from .database import mapped
from .index import Index

FILE = "graph.db"
VERSION = 1  # of what is read from a text and how it is kept; another one is made anew
RULES = "rules"

_TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, how TEXT NOT NULL);
CREATE TABLE entities (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE forms (
  entity INTEGER NOT NULL, document INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
  count INTEGER NOT NULL
);
CREATE INDEX forms_entity ON forms(entity);
CREATE INDEX forms_document ON forms(document);
CREATE TABLE mentions (
  entity INTEGER NOT NULL, document INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL
);
CREATE INDEX mentions_entity ON mentions(entity);
CREATE INDEX mentions_document ON mentions(document);
CREATE TABLE relations (
  subject INTEGER NOT NULL, object INTEGER NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL,
  document INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL
);
CREATE INDEX relations_subject ON relations(subject);
CREATE INDEX relations_object ON relations(object);
CREATE INDEX relations_document ON relations(document);
"""

Extractor = Callable[[Document], Sequence[Relation]]  # further relations of a document


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity under the name its documents use most; `mentions` counts where it stands."""

    id: int
    key: str
    name: str
    kind: str
    mentions: int


@dataclass(frozen=True, slots=True)
class Edge:
    """One relation as it was read: between two entities by id, at a span of a document."""

    subject: int
    object: int
    kind: str
    label: str
    document: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Update:
    """What it took to make the graph fit its collection."""

    read: int
    removed: int
    documents: tuple[int, ...] = ()  # that were read


class Graph:
    """The graph of one collection. `open_graph` opens it for who looks at the collection."""

    def __init__(self, index: Index) -> None:
        if index.reader is not None:
            raise ValueError("what a reader sees of a graph is opened by open_graph")
        self._index = index
        folder = index.database.path.parent
        self.path: Path | None = folder / FILE
        if not os.access(folder, os.W_OK):
            self.path = None
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        if self.path is None:
            self._memory = self._connect()
        with self.reading() as connection:
            made = _version(connection)
        if made != str(VERSION):
            self._make()

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()

    def show(self, documents: Sequence[int]) -> None:
        """Read of these documents only; of all of them where the reader may see everything."""

    # -- making ----------------------------------------------------------------------------

    def update(
        self,
        *,
        progress: Callable[[int, int], None] | None = None,
        how: str = RULES,
        extractor: Extractor | None = None,
    ) -> Update:
        """Read the documents that are new and forget those that are gone.

        With an `extractor`, called `how`, its relations are kept beside those by rules, and
        documents that it has not seen are read again.
        """
        with self._index.database.read() as collection:
            wanted = dict(collection.execute("SELECT id, sha256 FROM documents"))
        with self.reading() as connection:
            held = {
                row[0]: (row[1], row[2])
                for row in connection.execute("SELECT id, sha256, how FROM documents")
            }
        gone = [i for i, (sha256, _) in held.items() if wanted.get(i) != sha256]
        again = [] if extractor is None else [i for i, (_, was) in held.items() if was != how]
        if gone:
            with self._writing() as connection:
                self._forget(connection, gone)
        missing = sorted((wanted.keys() - held.keys()) | set(gone) & wanted.keys() | set(again))
        missing = [i for i in missing if i in wanted]
        for done, document_id in enumerate(missing, 1):
            document = self._index.find_document(document_id)
            if document is not None:
                self._add(document_id, document, how, extractor)
            if progress:
                progress(done, len(missing))
        return Update(len(missing), len(gone), tuple(missing))

    def _add(
        self, document_id: int, document: Document, how: str, extractor: Extractor | None
    ) -> None:
        reading, found = extract(document)
        if extractor is not None:
            found = [*found, *extractor(document)]
        with self._writing() as connection:
            self._forget(connection, [document_id])
            ids = _Ids(connection)
            forms: Counter[tuple[int, str, str]] = Counter()
            for mention in reading.mentions:
                forms[ids.of(mention.key), mention.name, mention.kind] += 1
            for relation in found:
                if relation.object_name:
                    forms[ids.of(relation.object), relation.object_name, "term"] += 1
            connection.executemany(
                "INSERT INTO forms VALUES (?, ?, ?, ?, ?)",
                [(e, document_id, name, kind, n) for (e, name, kind), n in forms.items()],
            )
            connection.executemany(
                "INSERT INTO mentions VALUES (?, ?, ?, ?)",
                [(ids.of(m.key), document_id, m.start, m.end) for m in reading.mentions],
            )
            connection.executemany(
                "INSERT INTO relations VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (ids.of(r.subject), ids.of(r.object), r.kind, r.label, document_id, r.start,
                     r.end)
                    for r in found
                ],
            )  # fmt: skip
            connection.execute(
                "INSERT INTO documents VALUES (?, ?, ?)", (document_id, document.sha256, how)
            )

    def _forget(self, connection: sqlite3.Connection, documents: Sequence[int]) -> None:
        for document_id in documents:
            for table in ("forms", "mentions", "relations"):
                connection.execute(f"DELETE FROM {table} WHERE document = ?", (document_id,))
            connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))

    # -- reading ---------------------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, int]:
        """The entities with these keys: key -> id."""
        found: dict[str, int] = {}
        with self.reading() as connection:
            for key in keys:
                row = connection.execute("SELECT id FROM entities WHERE key = ?", (key,)).fetchone()
                if (
                    row
                    and connection.execute(
                        "SELECT 1 FROM forms WHERE entity = ? LIMIT 1", row
                    ).fetchone()
                ):
                    found[key] = row[0]
        return found

    def entities(self, ids: Sequence[int]) -> dict[int, Entity]:
        """Entities by id, under the name that is used most."""
        found = {}
        with self.reading() as connection:
            for entity in ids:
                rows = connection.execute(
                    "SELECT name, kind, sum(count) AS n FROM forms WHERE entity = ?"
                    " GROUP BY name, kind ORDER BY n DESC, kind = 'heading', name",
                    (entity,),
                ).fetchall()
                key = connection.execute(
                    "SELECT key FROM entities WHERE id = ?", (entity,)
                ).fetchone()
                if rows and key:
                    total = sum(row[2] for row in rows)
                    found[entity] = Entity(entity, key[0], rows[0][0], rows[0][1], total)
        return found

    def mentions(self) -> list[tuple[int, int, int]]:
        """(entity, document, start) of every mention."""
        return self._all("SELECT entity, document, start FROM mentions ORDER BY rowid")

    def mentions_of(self, entity: int) -> list[tuple[int, int, int]]:
        """(document, start, end) of one entity's mentions."""
        return self._all(
            "SELECT document, start, end FROM mentions WHERE entity = ? ORDER BY document, start",
            (entity,),
        )

    def keys_like(self, start: str) -> list[str]:
        """The keys that begin so."""
        rows = self._all(
            "SELECT key FROM entities WHERE key >= ? AND key < ? ORDER BY key",
            (start, start + "\U0010ffff"),
        )
        return [row[0] for row in rows]

    def edges(self, entity: int) -> list[Edge]:
        """The relations of one entity, in the order of documents and places."""
        rows = self._all(
            "SELECT subject, object, kind, label, document, start, end, rowid FROM relations"
            " WHERE subject = ?1 UNION ALL"
            " SELECT subject, object, kind, label, document, start, end, rowid FROM relations"
            " WHERE object = ?1 AND subject != ?1 ORDER BY document, start, end, 8",
            (entity,),
        )
        return [Edge(*row[:7]) for row in rows]

    def between(self, first: int, second: int) -> list[Edge]:
        """The relations of two entities with each other, in the order of documents and places."""
        rows = self._all(
            "SELECT subject, object, kind, label, document, start, end FROM relations"
            " WHERE (subject = ?1 AND object = ?2) OR (subject = ?2 AND object = ?1)"
            " ORDER BY document, start, end, rowid",
            (first, second),
        )
        return [Edge(*row) for row in rows]

    def pairs(self) -> list[tuple[int, int, str, int]]:
        """(subject, object, kind, how often) of all that is related."""
        return self._all(
            "SELECT subject, object, kind, count(*) FROM relations GROUP BY subject, object, kind"
        )

    def in_order(self) -> list[int]:
        """Every entity's id, in the order of their keys, which no history of the graph changes."""
        return [row[0] for row in self._all("SELECT id FROM entities ORDER BY key")]

    def most(self) -> int:
        """The highest id of an entity, 0 for none."""
        return int(self._all("SELECT coalesce(max(id), 0) FROM entities")[0][0])

    def is_term(self, entity: int) -> bool:
        """Do documents write it small, as one of their terms?"""
        rows = self._all(
            "SELECT 1 FROM forms WHERE entity = ? AND kind = 'term' LIMIT 1", (entity,)
        )
        return bool(rows)

    def counts(self) -> dict[str, int]:
        """How many documents, entities, mentions and relations there are."""
        (row,) = self._all(
            "SELECT (SELECT count(*) FROM documents), (SELECT count(DISTINCT entity) FROM forms),"
            " (SELECT count(*) FROM mentions), (SELECT count(*) FROM relations)"
        )
        return dict(zip(("documents", "entities", "mentions", "relations"), row, strict=True))

    def top(self, many: int) -> list[Entity]:
        """The entities with the most different neighbours, names and code before plain terms."""
        rows = self._all(
            "SELECT entity FROM (SELECT subject AS entity, object AS other FROM relations"
            " WHERE kind != 'under' UNION ALL SELECT object, subject FROM relations"
            " WHERE kind != 'under') JOIN entities ON entities.id = entity"
            " GROUP BY entity ORDER BY count(DISTINCT other) DESC, key LIMIT ?",
            (20 * many + 100,),
        )
        ids = [row[0] for row in rows]
        found = self.entities(ids)
        told = [found[i] for i in ids if i in found]
        plain = [e for e in told if e.kind in ("term", "date", "amount", "heading")]
        return [*(e for e in told if e not in plain), *plain][:many]

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self.reading() as connection:
            return connection.execute(sql, values).fetchall()

    def copy_to(self, connection: sqlite3.Connection) -> None:
        """Copy the whole graph into another database."""
        with self._guard, self.reading() as own:
            own.backup(connection)

    # -- connections -----------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, with SQLite's errors as ours."""
        with mapped(self._name):
            yield self._connection()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._guard, mapped(self._name):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @property
    def _name(self) -> Path:
        return self.path or self._index.database.path.parent / FILE

    def _connection(self) -> sqlite3.Connection:
        if self.path is None:
            return self._memory
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        with mapped(self._name):
            connection = sqlite3.connect(
                self.path or ":memory:", isolation_level=None, check_same_thread=False, timeout=60
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # it can be made again
        self._open.append(connection)
        return connection

    def _make(self) -> None:
        """Empty tables in the place of whatever was there."""
        with self._writing() as connection:
            if _version(connection) == str(VERSION):
                return  # another process was faster
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                connection.execute(f'DROP TABLE "{name}"')
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES ('version', ?)", (str(VERSION),))


_OPENING = threading.Lock()
_SHOWN = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE shown (id INTEGER PRIMARY KEY);
CREATE TEMP VIEW documents AS
  SELECT * FROM main.documents WHERE id IN (SELECT id FROM temp.shown);
CREATE TEMP VIEW forms AS
  SELECT rowid, * FROM main.forms WHERE document IN (SELECT id FROM temp.shown);
CREATE TEMP VIEW mentions AS
  SELECT rowid, * FROM main.mentions WHERE document IN (SELECT id FROM temp.shown);
CREATE TEMP VIEW relations AS
  SELECT rowid, * FROM main.relations WHERE document IN (SELECT id FROM temp.shown);
CREATE TEMP VIEW entities AS SELECT * FROM main.entities AS held
  WHERE EXISTS (SELECT 1 FROM temp.forms WHERE entity = held.id)
  OR EXISTS (SELECT 1 FROM temp.relations WHERE subject = held.id)
  OR EXISTS (SELECT 1 FROM temp.relations WHERE object = held.id);
"""


class _SeenGraph(Graph):
    """The graph of a collection as one reader sees it: of the documents shown, and no others.

    The file is that of all readers, kept in step by the collection with everything in it; as in
    `seen.py` temporary views stand before its tables.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._turn = threading.RLock()  # of the threads, which share one connection
        held = index.whole.held
        with _OPENING:
            self._whole: Graph = held.get("whole graph") or Graph(index.whole)
            held["whole graph"] = self._whole
        self.path = self._whole.path
        self._open: list[sqlite3.Connection] = []
        self._memory = self._connect()
        self._memory.executescript(_SHOWN)
        weakref.finalize(self, _close_all, self._open)

    def close(self) -> None:
        """Close its connection."""
        _close_all(self._open)

    def update(
        self,
        *,
        progress: Callable[[int, int], None] | None = None,
        how: str = RULES,
        extractor: Extractor | None = None,
    ) -> Update:
        """Make the graph fit its collection; tells of documents that the reader may see."""
        if extractor is not None:
            raise Forbidden(f"collection {self._index.name!r} is open for reading only")
        made = self._whole.update(progress=progress)
        if self.path is None:
            with self._turn:
                self._whole.copy_to(self._memory)
        with self._index.database.read() as collection:
            seen = {row[0] for row in collection.execute("SELECT id FROM documents")}
        read = tuple(i for i in made.documents if i in seen)
        return Update(len(read), 0, read)

    def show(self, documents: Sequence[int]) -> None:
        """Read of these documents only."""
        with self.reading():
            self._memory.execute("BEGIN")
            self._memory.execute("DELETE FROM temp.shown")
            self._memory.executemany(
                "INSERT INTO temp.shown VALUES (?)", ((int(i),) for i in documents)
            )
            self._memory.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time."""
        with self._turn, super().reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        raise Forbidden(f"collection {self._index.name!r} is open for reading only")
        yield self._memory

    def _connection(self) -> sqlite3.Connection:
        return self._memory


def open_graph(index: Index) -> Graph:
    """The graph of a collection, for whoever looks at it."""
    return Graph(index) if index.reader is None else _SeenGraph(index)


def _close_all(connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
    connections.clear()


class _Ids:
    """Entities' ids by key, made where they are new."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}

    def of(self, key: str) -> int:
        if key not in self._known:
            self._connection.execute("INSERT OR IGNORE INTO entities (key) VALUES (?)", (key,))
            (found,) = self._connection.execute(
                "SELECT id FROM entities WHERE key = ?", (key,)
            ).fetchone()
            self._known[key] = int(found)
        return self._known[key]


def _version(connection: sqlite3.Connection) -> str | None:
    """Of what is in the file; None for an empty one."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
        return None
    row = connection.execute("SELECT value FROM about WHERE key = 'version'").fetchone()
    return str(row[0]) if row else None


def extract(document: Document) -> tuple[entities.Reading, list[Relation]]:
    """The entities of a document and how they hang together, by rules."""
    prose = [(b.start, b.end) for b in document.blocks if b.kind in ("text", "list", "table")]
    headings = [(b.start, b.end) for b in document.blocks if b.kind == "heading"]
    if not document.blocks:
        prose = [(0, len(document.text))]
    reading = entities.read(document.text, prose, headings, document.language)
    return reading, relations(document.text, reading, document.language)
