"""A small SQLite file that threads and processes share: WAL, durable, one connection a thread."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

from ...config import Config
from ...errors import ServeError, StateUnusable


class Database:
    """A file under LLAR_HOME/server. Every `write` is one transaction, on disk when it ends."""

    def __init__(self, config: Config, file: str, schema: str, version: int) -> None:
        """`schema` makes the tables of `version`, which is kept in the file.

        Raises ServeError where the file is of another version, damaged, or cannot be written.
        """
        self.path = config.home / "server" / file
        self._timeout = config.lock_timeout
        self._local = threading.local()
        self._guard = threading.Lock()
        self._open: list[sqlite3.Connection] = []
        self._writing = threading.RLock()  # SQLite's own waiting sleeps, and lets others go first
        with self._mapped():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        self._prepare(schema, version)
        self._watch = self._connect()
        self._watching = threading.Lock()

    def read(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of one query."""
        with self._mapped():
            return self._connection().execute(sql, values).fetchall()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: all of it, or none where the block raises."""
        with self._mapped(), self._writing:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def stamp(self) -> int:
        """A number that changes with every write by any thread or process; takes microseconds.

        It is asked on a connection that never writes: SQLite counts what the others did.
        """
        with self._watching, self._mapped():
            found: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
            return found

    def close(self) -> None:
        """Close every connection; the database must not be used afterwards."""
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()

    def shrink(self) -> None:
        """Give the place of what was deleted back; nothing of it stays in the files."""
        with self._mapped():
            connection = self._connection()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        with self._mapped():
            connection = sqlite3.connect(
                self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False
            )
            with self._guard:
                self._open.append(connection)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is written over
        return connection

    def _prepare(self, schema: str, version: int) -> None:
        with self.write() as connection:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                for statement in _statements(schema):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
            elif found != version:
                raise ServeError(
                    f"{self.path} has schema {found}, this llar reads schema {version}",
                    fix="use the llar that wrote it",
                )

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        """SQLite's and the system's errors as ours."""
        named = f"{self.path.parent.name}/{self.path.name}"  # clients need not know more
        try:
            yield
        except sqlite3.OperationalError as e:
            if "locked" in str(e):
                raise StateUnusable(
                    f"another process kept {named} locked for {self._timeout:g} s"
                ) from e
            raise StateUnusable(f"{named} cannot be used: {e}") from e
        except OSError as e:
            raise StateUnusable(f"{named} cannot be used: {e.strerror}") from e
        except sqlite3.DatabaseError as e:
            if isinstance(e, sqlite3.IntegrityError):  # the caller knows what it means
                raise
            raise StateUnusable(f"{named} cannot be used: {e}") from e


def _statements(schema: str) -> Iterator[str]:
    """The statements of a schema; `executescript` would end the transaction they belong in."""
    statement = ""
    for part in schema.strip().removesuffix(";").split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement:
        raise ValueError(f"the schema ends inside a statement: {statement!r}")
