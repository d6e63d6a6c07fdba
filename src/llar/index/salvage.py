"""What can still be read of a damaged collection, row by row, into a fresh file."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import CollectionBusy, CollectionError
from .database import BROKEN, SCHEMA, create_tables, from_column, mapped, mapped_disk
from .index import CHUNK

_ROWS = {  # table -> its columns, in the order of the schema; words are made anew from chunks
    "documents": "id, sha256, format, size, title, author, created, modified, language, pages,"
    " blocks, notes, added, text",
    "chunks": f"document_id, {CHUNK}",
    "vectors": "document_id, first_chunk, count, data",
}
_PAGE = 4096  # bytes; SQLite's default, which collections have
_KEYED = {  # WITHOUT ROWID
    "manifest": "key, value",
    "files": "path, document_id, metadata",
    "roots": "path",
    "failures": "path, error, at",
}


def salvage(path: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Put a new file with every readable row in the place of `path`; returns what was lost.

    The damaged files are kept beside it under names with `.backup-DATE`. Nobody else may have the
    collection open. `manifest` has the values for keys that cannot be read.
    Raises CollectionError where nothing at all can be read; the file is then as it was.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    draft = path.with_name(f".{path.name}.{os.getpid()}-{stamp}")
    work = Path(f"{draft}-damaged")
    _keep_others_out(path)
    try:
        with mapped_disk(path):
            for ending in _parts(path):
                kept = path.with_name(f"{path.name}.backup-{stamp}{ending}")
                shutil.copy2(f"{path}{ending}", kept)
                if ending != "-shm":  # SQLite makes it anew from the log
                    shutil.copy2(kept, f"{work}{ending}")
            _mend_header(work)
        with mapped(draft), contextlib.closing(sqlite3.connect(draft)) as target:
            target.execute("PRAGMA synchronous = FULL")
            create_tables(target)
            target.executemany(
                "INSERT INTO manifest VALUES (?, ?)",
                [(k, json.dumps(v)) for k, v in manifest.items()],
            )
            lost = _copy(work, target)
            target.execute(  # its tables are the present ones, whatever was copied
                "INSERT OR REPLACE INTO manifest VALUES ('schema', ?)", (json.dumps(SCHEMA),)
            )
            target.commit()
            if not target.execute("SELECT count(*) FROM documents").fetchone()[0]:
                raise CollectionError(
                    f"nothing can be read of {path} any more; it was left as it is",
                    fix=f"llar remove --all -c {path.parent.name} and add the files again",
                )
        with mapped_disk(path):
            for ending in ("-wal", "-shm"):  # first: a log must never meet another file
                Path(f"{path}{ending}").unlink(missing_ok=True)
            draft.replace(path)
    finally:
        for left in path.parent.glob(f"{draft.name}*"):
            left.unlink()
    return lost


def _parts(path: Path) -> list[str]:
    return [ending for ending in ("", "-wal", "-shm") if Path(f"{path}{ending}").exists()]


def _keep_others_out(path: Path) -> None:
    """Raise CollectionBusy where another process works with the file, as far as it can be told."""
    probe = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    with contextlib.closing(probe):
        try:
            probe.execute("BEGIN IMMEDIATE")
            probe.execute("ROLLBACK")
        except BROKEN as e:
            if getattr(e, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise CollectionBusy(
                    f"another process is writing to {path}; it must end before it can be mended"
                ) from e


def _mend_header(work: Path) -> None:
    """Give a file whose head makes no sense the one that llar's collections have.

    The first 100 bytes describe the file; the rest of the first page lists the tables, in the
    order and places in which a new collection gets them (a re-embedded one has others).
    The fields are those of https://www.sqlite.org/fileformat.html#the_database_header.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        create_tables(model)
        page = bytearray(model.serialize()[:_PAGE])
    page[28:32] = (work.stat().st_size // _PAGE).to_bytes(4, "big")
    page[32:40] = bytes(8)  # no free pages: nothing will be written to it
    page[92:96] = page[24:28]  # else SQLite would not believe the number of pages
    for head in (page[:100], page):
        if _has_documents(work):
            return
        with work.open("r+b") as file:
            file.write(head)


def _has_documents(work: Path) -> bool:
    with contextlib.closing(sqlite3.connect(work)) as connection:
        try:
            connection.execute("SELECT id FROM documents LIMIT 1").fetchone()
        except BROKEN:
            return False
    return True


def _copy(work: Path, target: sqlite3.Connection) -> list[str]:
    """Every row that can be read; returns what could not, a line each."""
    lost = []
    with contextlib.closing(sqlite3.connect(work, isolation_level=None)) as source:
        source.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
        for table, columns in (_ROWS | _KEYED).items():
            failed = _Rows(source, table, columns).copy(target)
            if failed and table in ("chunks", "vectors"):
                failed = ""  # made anew from the documents, so nothing is lost
            if failed:
                lost.append(f"some rows of {table!r} ({failed})")
        _find_paths(source, target)
    for (stored,) in target.execute(
        "SELECT path FROM files WHERE document_id NOT IN (SELECT id FROM documents)"
    ):
        lost.append(f"the document of {from_column(stored)!r}; llar sync reads it again")
    for table in ("files", "chunks", "vectors"):
        target.execute(f"DELETE FROM {table} WHERE document_id NOT IN (SELECT id FROM documents)")
    return lost


class _Rows:
    """The readable rows of one table of a damaged file."""

    def __init__(self, source: sqlite3.Connection, table: str, columns: str) -> None:
        self.source, self.table, self.columns = source, table, columns
        self.why = ""  # the first reason why a row could not be read
        with contextlib.suppress(*BROKEN):  # reading the rows tells why
            here = {c[1] for c in source.execute(f"PRAGMA table_info({table})")}
            kept = [c for c in columns.split(", ") if c in here]
            self.columns = ", ".join(kept) or columns

    def copy(self, target: sqlite3.Connection) -> str:
        """Insert them into the same table of `target`; returns why some could not be, or ""."""
        marks = ", ".join("?" * (self.columns.count(",") + 1))
        insert = f"INSERT OR REPLACE INTO {self.table} ({self.columns}) VALUES ({marks})"
        for row in self._by_key() if self.table in _KEYED else self._by_number():
            try:
                target.execute(insert, [_bindable(value) for value in row])
            except sqlite3.IntegrityError as e:  # damaged in a way that no table may hold
                self.why = self.why or str(e)
        return self.why

    def _scan(self, what: str, key: str) -> Iterator[list[Any]]:
        """Rows from the first and, where that breaks off, from the last, up to the break."""
        for order in ("ASC", "DESC"):
            found: list[Any] = []
            try:
                for row in self.source.execute(
                    f"SELECT {what} FROM {self.table} ORDER BY {key} {order}"
                ):
                    found.append(row)  # noqa: PERF402 - what came before an error counts
                yield found
                return
            except BROKEN as e:
                self.why = self.why or str(e)
                yield found

    def _by_key(self) -> Iterator[Sequence[Any]]:
        seen: dict[Sequence[Any], None] = {}
        for rows in self._scan(self.columns, self.columns.partition(",")[0]):
            seen |= dict.fromkeys(rows)
        yield from seen

    def _by_number(self) -> Iterator[Sequence[Any]]:
        """One by one, as each may fail; what no scan reaches is asked for by its number."""
        up, *rest = [[row[0] for row in rows] for rows in self._scan("rowid", "rowid")]
        down = rest[0] if rest else []
        numbers = dict.fromkeys(up)
        if rest:
            last = down[-1] if down else self._highest() + 1
            numbers |= dict.fromkeys(range(up[-1] + 1 if up else 1, last))
            numbers |= dict.fromkeys(reversed(down))
        for number in numbers:
            try:
                yield from self.source.execute(
                    f"SELECT {self.columns} FROM {self.table} WHERE rowid = ?", (number,)
                ).fetchall()
            except BROKEN as e:
                self.why = self.why or str(e)

    def _highest(self) -> int:
        """The highest number that any readable table knows of."""
        most = 0
        for question in (
            "SELECT max(seq) FROM sqlite_sequence",
            "SELECT max(document_id) FROM files",
            "SELECT max(first_chunk + count) FROM vectors",
        ):
            with contextlib.suppress(*BROKEN):  # broken as well; another may answer
                most = max(most, self.source.execute(question).fetchone()[0] or 0)
        return most


def _bindable(value: Any) -> Any:
    """Text whose bytes were damaged gets marks in their place, which the doctor finds."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value


def _find_paths(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Take the paths of documents without any from the index, which holds a copy of them."""
    nameless = target.execute(
        "SELECT id FROM documents WHERE id NOT IN (SELECT document_id FROM files)"
    ).fetchall()
    for (number,) in nameless:
        with contextlib.suppress(*BROKEN):  # the copy is broken as well
            for (path,) in source.execute(
                "SELECT path FROM files INDEXED BY files_document WHERE document_id = ?", (number,)
            ).fetchall():
                target.execute(
                    "INSERT OR IGNORE INTO files VALUES (?, ?, '{}')", (_bindable(path), number)
                )
