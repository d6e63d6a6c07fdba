"""A collection's file as one reader sees it: what the reader may not read is not in it.

SQLite looks a table's name up among the temporary tables first. So a connection of a reader has a
temporary view for each table that holds something of a document, under that table's name and
without what is hidden: a query that says `FROM chunks` finds the reader's passages, whoever wrote
it. The tables themselves can only be read inside `whole`, by the code that keeps vectors and
places for all readers; an authorizer refuses it everywhere else, and refuses every change.

What is hidden is worked out at the start of each transaction in which the collection is another
than in the one before.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CollectionError, Forbidden
from .access import KEY, Reader
from .database import Database, Stamp, connect, mapped, stamp
from .passages import Held, Passages, Postings, View

IDLE = 2  # connections of one reader that are kept for later
_POSTINGS = 1 << 21  # places that one reader's words may take in memory, 8 bytes each

_VIEWS = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE hidden_documents (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE hidden_files (path PRIMARY KEY) WITHOUT ROWID;
CREATE VIRTUAL TABLE temp.occurrences USING fts5vocab(main, words, instance);
CREATE TEMP VIEW manifest AS
  SELECT * FROM main.manifest WHERE key NOT IN ('tokens', 'next');
CREATE TEMP VIEW documents AS
  SELECT * FROM main.documents WHERE id NOT IN (SELECT id FROM temp.hidden_documents);
CREATE TEMP VIEW files AS
  SELECT * FROM main.files WHERE path NOT IN (SELECT path FROM temp.hidden_files);
CREATE TEMP VIEW chunks AS
  SELECT * FROM main.chunks WHERE document_id NOT IN (SELECT id FROM temp.hidden_documents);
CREATE TEMP VIEW vectors AS
  SELECT * FROM main.vectors WHERE document_id NOT IN (SELECT id FROM temp.hidden_documents);
CREATE TEMP VIEW words (rowid, terms) AS
  SELECT held.rowid, held.terms FROM main.words AS held
  WHERE EXISTS (SELECT 1 FROM temp.chunks AS shown WHERE shown.id = held.rowid);
CREATE TEMP VIEW vocabulary (term, doc, cnt) AS
  SELECT term, count(DISTINCT doc), count(*) FROM temp.occurrences AS held
  WHERE EXISTS (SELECT 1 FROM temp.chunks AS shown WHERE shown.id = held.doc) GROUP BY term;
CREATE TEMP VIEW failures AS SELECT * FROM main.failures WHERE 0;
CREATE TEMP VIEW roots AS SELECT * FROM main.roots WHERE 0;
"""
_INNER = ("content", "data", "docsize", "idx", "config")  # tables that FTS5 keeps for itself
_NEXT = ("chunks_next", "vectors_next", "words_next")  # of a re-embedding
_GUARDED = frozenset(
    ("documents", "files", "chunks", "vectors", "words", "failures", "roots", *_NEXT)
)
_CHANGES = frozenset((
    sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_ALTER_TABLE,
    sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_VTABLE,
    sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_ATTACH,
))  # fmt: skip


@dataclass(frozen=True)
class Hidden:
    """What one reader may not see of one state of a collection."""

    state: tuple[int, int]  # epoch and generation
    documents: NDArray[np.int64]  # ids, ascending
    paths: tuple[str | bytes, ...]  # of files, as stored, in order; those documents' own included

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for two readers who see the same."""
        return (self.state, self.documents.tobytes(), self.paths)


@dataclass
class _Link:
    """A connection with the views, for one reader."""

    connection: sqlite3.Connection
    frozen: Stamp | None
    shows: Hidden | None = None  # what its views leave out
    whole: int = 0  # blocks that may read the tables themselves

    def authorize(
        self, action: int, one: str | None, two: str | None, where: str | None, view: str | None
    ) -> int:
        """SQLite's question while it prepares a statement: may this be done?"""
        if where == "main" or action == sqlite3.SQLITE_ATTACH:
            table = one or ""
            if action in _CHANGES and not table.startswith("sqlite_"):
                return sqlite3.SQLITE_DENY
            # A view that is flattened asks for no column; FTS5 for that of its own name.
            column = bool(two) and two != table
            direct = table in _GUARDED and view is None and not self.whole
            if action == sqlite3.SQLITE_READ and column and direct:
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


class SeenDatabase(Database):
    """The file of a collection through the eyes of one reader; nothing can be written.

    A transaction takes a connection and gives it back, so that many readers need few.
    """

    def __init__(self, whole: Database, reader: Reader) -> None:
        self.path = whole.path
        self.reader = reader
        self.timeout = whole.timeout
        self.inode = whole.inode
        self._local = threading.local()
        self._guard = threading.Lock()
        self._idle: list[_Link] = []
        self._hidden: Hidden | None = None
        weakref.finalize(self, _close, self._idle)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of this thread's transaction, outside of which nothing is readable."""
        return self._link.connection

    @property
    def _link(self) -> _Link:
        link: _Link | None = getattr(self._local, "link", None)
        if link is None or not link.connection.in_transaction:
            raise CollectionError("what a reader sees is only read inside database.read()")
        return link

    @property
    def hidden(self) -> Hidden:
        """What this transaction leaves out."""
        hidden = self._link.shows
        assert hidden is not None
        return hidden

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of what the reader may see."""
        held: _Link | None = getattr(self._local, "link", None)
        if held is not None and held.connection.in_transaction:
            yield held.connection
            return
        with mapped(self.path):
            link = self._local.link = self._take()
            try:
                link.connection.execute("BEGIN")
                self._local.turn = object()
                self._hide(link)
                yield link.connection
            finally:
                self._local.turn = None
                if link.connection.in_transaction:  # some errors end it by themselves
                    link.connection.execute("COMMIT")
                self._local.link = None
                self._give(link)

    @contextlib.contextmanager
    def whole(self) -> Iterator[sqlite3.Connection]:
        """The same moment of the collection with all that is hidden, for queries on main."""
        with self.read() as connection:
            link = self._link
            link.whole += 1
            try:
                yield connection
            finally:
                link.whole -= 1

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Raises Forbidden."""
        raise Forbidden(f"collection {self.path.parent.name!r} is open for reading only")
        yield self.connection

    def manifest(self, key: str) -> Any:
        """One value of the manifest."""
        with self.read():
            return super().manifest(key)

    def close(self) -> None:
        """Close the connections that nobody works with."""
        with self._guard:
            _close(self._idle)

    def _take(self) -> _Link:
        """An idle connection, or a new one."""
        while True:
            with self._guard:
                link = self._idle.pop() if self._idle else None
            if link is None:
                return self._open_link()
            if link.frozen is None or link.frozen == stamp(self.path):
                return link
            link.connection.close()  # somebody who may write did, after all

    def _give(self, link: _Link) -> None:
        with self._guard:
            if len(self._idle) < IDLE:
                self._idle.append(link)
                return
        link.connection.close()

    def _open_link(self) -> _Link:
        connection, frozen = connect(self.path, self.timeout)
        try:
            self._check_place()
            link = _Link(connection, frozen)
            connection.executescript(_VIEWS)
            for name in (*(f"words_{inner}" for inner in _INNER), *_NEXT):
                connection.execute(f"CREATE TEMP VIEW {name} AS SELECT NULL AS id WHERE 0")
            connection.set_authorizer(link.authorize)
        except BaseException:
            connection.close()
            raise
        return link

    def _hide(self, link: _Link) -> None:
        """Make a connection's views fit its transaction."""
        values = dict(
            link.connection.execute(
                "SELECT key, value FROM main.manifest WHERE key IN ('epoch', 'generation')"
            )
        )
        state = (int(json.loads(values["epoch"])), int(json.loads(values["generation"])))
        if link.shows is not None and link.shows.state == state:
            return
        hidden = self._hidden
        if hidden is None or hidden.state != state:
            link.whole += 1
            try:
                hidden = _hidden(link.connection, self.reader, state)
            finally:
                link.whole -= 1
            self._hidden = hidden
        link.shows = None
        execute = link.connection.execute
        execute("DELETE FROM temp.hidden_documents")
        execute("DELETE FROM temp.hidden_files")
        link.connection.executemany(
            "INSERT INTO temp.hidden_documents VALUES (?)",
            ((i,) for i in hidden.documents.tolist()),
        )
        link.connection.executemany(
            "INSERT INTO temp.hidden_files VALUES (?)", ((path,) for path in hidden.paths)
        )
        link.shows = hidden


def _hidden(connection: sqlite3.Connection, reader: Reader, state: tuple[int, int]) -> Hidden:
    """What a reader may not see. A document is hidden where all of its files are."""
    files = connection.execute(
        "SELECT path, document_id, metadata FROM main.files WHERE document_id IN ("
        "SELECT document_id FROM main.files WHERE instr(lower(metadata), ?)) ORDER BY path",
        (KEY,),
    )
    shown: set[int] = set()
    guarded: set[int] = set()
    known: dict[str, bool] = {}  # many files say the same
    paths = []
    for path, document_id, metadata in files:
        guarded.add(document_id)
        if metadata not in known:
            known[metadata] = _may_read(reader, metadata)
        if known[metadata]:
            shown.add(document_id)
        else:
            paths.append(path)
    hidden = np.array(sorted(guarded - shown), np.int64)
    return Hidden(state, hidden, tuple(paths))


def _may_read(reader: Reader, metadata: str) -> bool:
    """As `Reader.may_read`; metadata that is damaged hides its file."""
    try:
        found = json.loads(metadata)
    except ValueError:
        return False
    return isinstance(found, dict) and reader.may_read(found)


class SeenPassages(Passages):
    """The passages that one reader may see, in the places that they have for everybody."""

    def __init__(self, database: SeenDatabase, held: Held) -> None:
        super().__init__(database, held)
        self._seen = database
        self._last: tuple[View, Hidden, View] | None = None

    def _find(self) -> View:
        """The passages as this thread's transaction shows them to the reader."""
        whole, hidden, last = super()._find(), self._seen.hidden, self._last
        if last is not None and last[0] is whole and last[1] is hidden:
            return last[2]
        view = self._shared(whole, hidden)
        self._last = (whole, hidden, view)
        return view

    def _shared(self, whole: View, hidden: Hidden) -> View:
        """One view, with all that is remembered of it, for all who see the very same."""
        key = (id(whole.layout), hidden.key)  # the view holds its layout, so no other has its id
        with self._held.guard:
            view = self._held.shown.get(key)
            if view is None:
                view = self._held.shown[key] = without(whole, hidden.documents)
            return view


def without(whole: View, hidden: NDArray[np.int64]) -> View:
    """The view as if these documents were not there; what is left keeps its place."""
    gone = np.isin(whole.documents, hidden)
    documents = np.where(gone, 0, whole.documents)
    here = documents != 0
    count = int(np.count_nonzero(here))
    words = whole.words - int(whole.lengths[gone].sum())
    spoken = np.flatnonzero(np.bincount(whole.languages[here]))
    return replace(
        whole,
        documents=documents,
        listed=np.setdiff1d(whole.listed, hidden, assume_unique=True),
        count=count,
        words=words,
        mean_length=max(words / max(count, 1), 1.0),
        spoken=tuple(sorted(whole.names[i] for i in spoken)),
        postings=Postings(_POSTINGS),
        kept={},
        known={},
    )


def _close(links: list[_Link]) -> None:
    for link in links:
        link.connection.close()
    links.clear()
