"""A collection on disk: one SQLite file, its schema, connections and transactions.

The format is described in docs/formats.md. WAL with synchronous=FULL: a transaction that
returned is on disk, and a process killed at any moment leaves the last one that did. Where this
process may not write, the file is opened read-only and everything but writing works.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import CollectionBusy, CollectionError, SchemaMismatch, UnknownCollection
from ..models.interface import EmbedderIdentity

SCHEMA = 2
FILE = "collection.db"
_NAME = re.compile(r"[\w][\w.-]{0,63}")
_NO_ROOM = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE)

_TABLES = """
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sha256 TEXT NOT NULL UNIQUE,
  format TEXT NOT NULL,
  size INTEGER NOT NULL,
  title TEXT, author TEXT, created TEXT, modified TEXT, language TEXT,
  pages TEXT NOT NULL,     -- JSON [[number, start, end, label], ...]
  blocks TEXT NOT NULL,    -- JSON [[kind, start, end, level, caption], ...]
  notes TEXT NOT NULL,     -- JSON [text, ...]
  added TEXT NOT NULL,     -- ISO 8601, UTC
  text TEXT NOT NULL
);
CREATE TABLE files (
  path TEXT PRIMARY KEY,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  metadata TEXT NOT NULL   -- JSON {key: value}
) WITHOUT ROWID;
CREATE INDEX files_document ON files(document_id);
CREATE TABLE roots (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE failures (path TEXT PRIMARY KEY, error TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
"""


_PASSAGES = """
CREATE TABLE chunks{0} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  start INTEGER NOT NULL, end INTEGER NOT NULL, kind TEXT NOT NULL,
  prefix TEXT NOT NULL, headings TEXT NOT NULL, first_page INTEGER, last_page INTEGER,
  text TEXT NOT NULL,
  context TEXT,            -- JSON [start, end] of what is read where it matches; NULL: itself
  parts TEXT,              -- JSON [[start, end], ...] where it is not one stretch, else NULL
  keywords TEXT NOT NULL DEFAULT '[]'   -- JSON [word, ...]
);
CREATE INDEX chunks{0}_document ON chunks{0}(document_id);
CREATE TABLE vectors{0} (     -- float32, little-endian, one row of `dimension` per chunk by id
  document_id INTEGER PRIMARY KEY REFERENCES documents(id) ON DELETE CASCADE,
  first_chunk INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL
);
"""
_WORDS = """
CREATE VIRTUAL TABLE words{0} USING fts5(
  terms, tokenize = "unicode61 remove_diacritics 0 tokenchars '_'"
)
"""
_VOCABULARY = "CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row)"
NEXT = "_next"  # suffix of the tables that a re-embedding fills, beside the ones in use


def create_tables(connection: sqlite3.Connection) -> None:
    """Make every table of a new collection."""
    connection.executescript(_TABLES)
    create_passages(connection)


def create_passages(connection: sqlite3.Connection, suffix: str = "") -> None:
    """Make empty tables for chunks, their words and their vectors, inside a transaction."""
    for statement in _PASSAGES.format(suffix).split(";\n"):
        connection.execute(statement)
    connection.execute(_WORDS.format(suffix))
    if not suffix:
        connection.execute(_VOCABULARY)


def drop_passages(connection: sqlite3.Connection, suffix: str = "") -> None:
    """Drop those tables, inside a transaction."""
    if not suffix:
        connection.execute("DROP TABLE vocabulary")
    for table in ("chunks", "vectors", "words"):
        connection.execute(f"DROP TABLE IF EXISTS {table}{suffix}")


def empty_words(connection: sqlite3.Connection) -> None:
    """Make the table of words anew, inside a transaction."""
    connection.execute("DROP TABLE vocabulary")
    connection.execute("DROP TABLE words")
    connection.execute(_WORDS.format(""))
    connection.execute(_VOCABULARY)


def swap_passages(connection: sqlite3.Connection) -> None:
    """Put the next tables in the place of those in use, inside a transaction."""
    drop_passages(connection)
    for table in ("chunks", "vectors", "words"):
        connection.execute(f"ALTER TABLE {table}{NEXT} RENAME TO {table}")
    connection.execute(f"DROP INDEX chunks{NEXT}_document")
    connection.execute("CREATE INDEX chunks_document ON chunks(document_id)")
    connection.execute(_VOCABULARY)


def new_manifest(embedder: EmbedderIdentity, chunker: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of an empty collection."""
    return {
        "schema": SCHEMA,
        "created": now(),
        "embedder": asdict(embedder),
        "chunker": dict(chunker),
        "languages": {},
        "generation": 0,
        "epoch": 0,
        "tokens": 0,
    }


def now() -> str:
    """The present moment as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def collection_path(config: Config, name: str) -> Path:
    """The folder of the collection called `name`. Raises CollectionError for an unusable name."""
    if not _NAME.fullmatch(name):
        raise CollectionError(
            f"{name!r} cannot name a collection: use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit, at most 64"
        )
    return config.collections_dir / name


class Database:
    """The SQLite file of one collection; safe to use from several threads and processes."""

    def __init__(self, folder: Path, *, lock_timeout: float) -> None:
        """Open an existing collection. Raises UnknownCollection or SchemaMismatch."""
        self.path = folder / FILE
        self.timeout = lock_timeout
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        if not self.path.is_file():
            raise UnknownCollection(
                f"there is no collection {folder.name!r}", fix=f"llar add PATH -c {folder.name}"
            )
        self.inode = self.path.stat().st_ino
        found = int(self.manifest("schema"))
        if found > SCHEMA:
            raise SchemaMismatch(
                f"collection {folder.name!r} has schema {found}, written by a newer llar; "
                f"this one reads schema {SCHEMA}",
                fix="pip install --upgrade llar",
            )
        if found < SCHEMA:
            from .migrate import migrate

            self.close()
            migrate(self.path, lock_timeout=lock_timeout)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        lock_timeout: float,
        embedder: EmbedderIdentity,
        chunker: Mapping[str, Any],
    ) -> Database:
        """Make the collection; where another process was faster, open what it made."""
        with mapped_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{FILE}.{os.getpid()}-{threading.get_ident()}"
        with mapped(draft), contextlib.closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            create_tables(connection)
            connection.executemany(
                "INSERT INTO manifest VALUES (?, ?)",
                [(k, json.dumps(v)) for k, v in new_manifest(embedder, chunker).items()],
            )
            connection.commit()
        with mapped_disk(folder):
            with contextlib.suppress(FileExistsError):
                os.link(draft, folder / FILE)  # whole or not at all, and never over another's
            draft.unlink()
        return cls(folder, lock_timeout=lock_timeout)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        frozen: Stamp | None = getattr(self._local, "frozen", None)
        idle = connection is not None and not connection.in_transaction
        if connection and idle and frozen and stamp(self.path) != frozen:
            with self._guard:  # somebody who may write did, after all
                self._open.remove(connection)
            connection.close()
            connection = None
        if connection is None:
            connection, self._local.frozen = connect(self.path, self.timeout)
            self._local.connection = connection
            with self._guard:
                self._open.append(connection)
        return connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the collection for several queries."""
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        with mapped(self.path):
            connection.execute("BEGIN")
            self._local.turn = object()
            try:
                yield connection
            finally:
                self._local.turn = None
                if connection.in_transaction:  # some errors end it by themselves
                    connection.execute("COMMIT")

    @property
    def turn(self) -> object | None:
        """The same thing as long as this thread is inside one `read`; None outside."""
        turn: object | None = getattr(self._local, "turn", None)
        return turn

    @contextlib.contextmanager
    def whole(self) -> Iterator[sqlite3.Connection]:
        """The same for what is kept in memory for all readers; its queries name tables of main."""
        with self.read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: all of it is on disk when the block ends, or none."""
        connection = self.connection
        with mapped(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_place()
                yield connection
                connection.execute("UPDATE manifest SET value = value + 1 WHERE key = 'generation'")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _check_place(self) -> None:
        """Refuse to write into a file that another process deleted or replaced meanwhile."""
        try:
            same = self.path.stat().st_ino == self.inode
        except FileNotFoundError:
            same = False
        if not same:
            raise CollectionError(
                f"collection {self.path.parent.name!r} was deleted or replaced by another process "
                "meanwhile",
                fix="run the same command again",
            )

    def manifest(self, key: str) -> Any:
        """One value of the manifest."""
        with mapped(self.path):
            row = self.connection.execute(
                "SELECT value FROM manifest WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            raise CollectionError(f"{self.path} is no llar collection: its manifest has no {key!r}")
        return json.loads(row[0])

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()


# What reading a damaged file raises; SQLite may quote its bytes in what it says is wrong.
BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)

Stamp = tuple[int, int, int, int]


def stamp(path: Path) -> Stamp:
    """What changes when somebody writes to the file or its write-ahead log."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, _log_size(path)


def _log_size(path: Path) -> int:
    log = Path(f"{path}-wal")
    return log.stat().st_size if log.exists() else 0


def connect(path: Path, timeout: float) -> tuple[sqlite3.Connection, Stamp | None]:
    """A connection, and the stamp under which it is valid where it is an immutable one.

    SQLite reads a WAL database on a read-only disk in two cases: with the log's index (-shm)
    beside the log, or as immutable, which takes the log to be empty. The second is only right as
    long as nobody writes, so such a connection is replaced when the stamp changes.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    frozen = None if writable or _log_size(path) else stamp(path)
    if not writable and _log_size(path) and not Path(f"{path}-shm").exists():
        raise CollectionError(
            f"{path} was not closed cleanly and cannot be recovered where nothing may be written",
            fix=f"copy {path.parent} to a disk that can be written, and open it there",
        )
    how = "mode=rw" if writable else "immutable=1" if frozen else "mode=ro"
    with mapped(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        if writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA mmap_size = 4294967296")
    return connection, frozen


def to_column(path: str) -> str | bytes:
    """A path as it is stored: text, or its bytes where the name is no valid UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:  # Python keeps such bytes as lone surrogates, SQLite cannot
        return os.fsencode(path)
    return path


def from_column(stored: str | bytes) -> str:
    """The path that was stored."""
    return os.fsdecode(stored)


@contextlib.contextmanager
def mapped_disk(path: Path) -> Iterator[None]:
    """The file system's errors as ours."""
    try:
        yield
    except OSError as e:
        again = "free some and run the same command again" if e.errno == errno.ENOSPC else None
        raise CollectionError(f"{path}: the disk refused: {e.strerror or e}", fix=again) from e


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except BROKEN as e:
        raise _our_error(path, e, getattr(e, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) from e


def _our_error(path: Path, error: Exception, code: int) -> CollectionError:
    kind = code & 0xFF
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CollectionBusy(
            f"another process is writing to {path} and did not finish in time",
            fix="try again, or raise LLAR_LOCK_TIMEOUT (seconds)",
        )
    if kind == sqlite3.SQLITE_READONLY:
        return CollectionError(
            f"{path} cannot be changed: its disk or folder may not be written to"
        )
    if kind == sqlite3.SQLITE_FULL or code in _NO_ROOM:
        return CollectionError(
            f"{path} could not be written: the disk is full or the file too large ({error}); "
            "what was stored before is unharmed",
            fix="free some space and run the same command again",
        )
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CollectionError(
            f"{path} is damaged: {error}", fix=f"llar doctor -c {path.parent.name} --repair"
        )
    return CollectionError(f"{path}: {error}")
