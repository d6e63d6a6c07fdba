"""Jobs as they are kept: on disk before a call returns, and followed by those who watch."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import Conflict, NotThere
from .job_records import (
    OF_FILES,
    FileStatus,
    Job,
    JobFile,
    Kind,
    as_file,
    as_job,
    end_job,
    insert_job,
    mapped,
    open_file,
    recount,
)

_FILES = 10_000  # of one job; further ones are another's


class JobStore:
    """Every job of this server with its files. Safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._file = file
        self._db = open_file(file)
        self._live: dict[int, Job] = {}  # running ones, as their threads know them
        self._busy: dict[int, str] = {}  # running job -> what it has for itself
        self.version = 0  # grows with every change

    # -- making and changing jobs ----------------------------------------------------------

    def add(
        self,
        kind: Kind,
        user: str,
        *,
        collection: str = "",
        title: str = "",
        unit: str = "documents",
        options: Mapping[str, Any] | None = None,
        files: Iterable[tuple[str, int, str, Mapping[str, Any]]] = (),
    ) -> Job:
        """A new job, on disk when this returns.

        `files` are those it works on: the name to show, size, SHA-256, and what else is known."""
        with self._write() as db:
            made = insert_job(db, kind, user, collection, title, unit, options or {})
            db.executemany(
                "INSERT INTO files (job, name, state, staged, size, sha256, metadata)"
                f" VALUES ({made}, ?, 'queued', '', ?, ?, ?)",
                (
                    (name, size, sha256, json.dumps(dict(more)))
                    for name, size, sha256, more in files
                ),
            )
            if kind in OF_FILES:
                recount(db, made)
            return self._job(made)

    def add_file(
        self,
        user: str,
        collection: str,
        name: str,
        *,
        staged: str,
        size: int,
        sha256: str,
        metadata: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Job, JobFile]:
        """A file to be indexed, on disk when this returns: with the user's open upload to that
        collection that has the same options, or a new one."""
        options = dict(options or {})
        with self._write() as db:
            found = db.execute(
                "SELECT id FROM jobs WHERE kind = 'upload' AND user = ? AND collection = ?"
                " AND state IN ('queued', 'running') AND NOT cancel AND total < ?"
                " AND options = ? ORDER BY id DESC LIMIT 1",
                (user, collection, _FILES, json.dumps(options)),
            ).fetchone()
            if found:
                job = found[0]
            else:
                job = insert_job(db, "upload", user, collection, name, "files", options)
            made = db.execute(
                "INSERT INTO files (job, name, state, staged, size, sha256, metadata)"
                " VALUES (?, ?, 'queued', ?, ?, ?, ?)",
                (job, name, staged, size, sha256, json.dumps(dict(metadata))),
            ).lastrowid
            db.execute(
                "UPDATE jobs SET total = total + 1, total_bytes = total_bytes + ? WHERE id = ?",
                (size, job),
            )
            assert made is not None
            self._refresh(job)
            return self._job(job), self._file_row(made)

    def settle(
        self, file: JobFile, state: FileStatus, *, error: str = "", document: int | None = None
    ) -> None:
        """Note what came of a file."""
        with self._write() as db:
            db.execute(
                "UPDATE files SET state = ?, error = ?, document = ? WHERE id = ?",
                (state, error, document, file.id),
            )
            recount(db, file.job)
            self._refresh(file.job)

    def cancel(self, job_id: int) -> Job:
        """Stop a job: at once where it waits, soon where it runs. What it did stays done."""
        with self._write() as db:
            job = self._job(job_id)
            if job.state == "queued" and job_id not in self._busy:
                end_job(db, job_id, "cancelled")
            elif job.is_open:
                db.execute("UPDATE jobs SET cancel = 1 WHERE id = ?", (job_id,))
            return self._job(job_id)

    def retry(self, job_id: int) -> Job:
        """Queue a failed or cancelled job again, or a finished one's files that failed.

        Raises Conflict where there is nothing to try again."""
        with self._write() as db:
            job = self._job(job_id)
            again = db.execute(
                "UPDATE files SET state = 'queued', error = '' WHERE job = ?"
                " AND state IN ('failed', 'cancelled')",
                (job_id,),
            ).rowcount
            if job.is_open or not (again or job.state in ("failed", "cancelled")):
                raise Conflict(f"job {job_id} is {job.state}: there is nothing to try again")
            db.execute(
                "UPDATE jobs SET state = 'queued', cancel = 0, error = '', fix = '',"
                " finished = NULL WHERE id = ?",
                (job_id,),
            )
            if job.kind in OF_FILES:
                recount(db, job_id)
            return self._job(job_id)

    def forget(
        self, *, job_id: int | None = None, collection: str | None = None, user: str | None = None
    ) -> list[str]:
        """Delete one finished job, or those of a collection or user; returns the staged files
        that nobody wants any more. Raises Conflict where the one is not finished."""
        with self._write() as db:
            if job_id is not None and self._job(job_id).is_open:
                raise Conflict(f"job {job_id} is not finished; cancel it first")
            which = (
                "SELECT id FROM jobs WHERE state NOT IN ('queued', 'running')"
                " AND (id = ?1 OR collection = ?2 OR user = ?3)"
            )
            asked = (job_id, collection, user)
            rows = db.execute(
                f"SELECT staged FROM files WHERE job IN ({which}) AND staged != ''", asked
            ).fetchall()
            db.execute(f"DELETE FROM jobs WHERE id IN ({which})", asked)
        return [row[0] for row in rows]

    def cancel_of(self, collection: str) -> None:
        """Cancel every job of a collection and wait until none works on it."""
        for job in self.jobs(collection=collection):
            if job.is_open:
                self.cancel(job.id)
        with self._changed:
            while any(
                self._live[i].collection == collection for i in self._busy if i in self._live
            ):
                self._changed.wait(1.0)

    # -- reading ---------------------------------------------------------------------------

    def job(self, job_id: int) -> Job:
        """One job. Raises NotThere."""
        with self._lock:
            return self._job(job_id)

    def jobs(
        self,
        *,
        user: str | None = None,
        collection: str | None = None,
        open_only: bool = False,
        limit: int = 1000,
    ) -> list[Job]:
        """Jobs, the newest first: of a user, of a collection, not finished."""
        conditions, values = ["1"], []
        for column, value in (("user", user), ("collection", collection)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        if open_only:
            conditions.append("state IN ('queued', 'running')")
        where = " AND ".join(conditions)
        with self._lock:
            rows = self._db.execute(
                f"SELECT * FROM jobs WHERE {where} ORDER BY id DESC LIMIT ?", (*values, limit)
            ).fetchall()
            return [self._live.get(row["id"]) or as_job(row) for row in rows]

    def files(
        self, job_id: int, *, state: FileStatus | None = None, limit: int = _FILES, after: int = 0
    ) -> list[JobFile]:
        """The files of a job in the order they came, with what became of each.

        At most `limit`, those with an id above `after`."""
        with self._lock:
            self._job(job_id)
            rows = self._db.execute(
                "SELECT * FROM files WHERE job = ? AND id > ? AND (? IS NULL OR state = ?)"
                " ORDER BY id LIMIT ?",
                (job_id, after, state, state, limit),
            ).fetchall()
        return [as_file(row) for row in rows]

    def waiting_files(self, user: str) -> int:
        """How many files of a user are not dealt with."""
        with self._lock:
            count: int = self._db.execute(
                "SELECT count(*) FROM files JOIN jobs ON jobs.id = files.job"
                " WHERE files.state = 'queued' AND jobs.state IN ('queued', 'running')"
                " AND user = ?",
                (user,),
            ).fetchone()[0]
        return count

    def staged(self) -> set[str]:
        """Where the bytes of files lie that may still be wanted: all but those indexed."""
        with self._lock:
            rows = self._db.execute(
                "SELECT staged FROM files WHERE state IN ('queued', 'failed', 'cancelled')"
            ).fetchall()
        return {row[0] for row in rows}

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each state."""
        with self._lock:
            rows = self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
        return {row[0]: row[1] for row in rows}

    def changes(self, since: int = -1, *, seconds: float = 0.0) -> int:
        """The version of what is known here; waits up to `seconds` for it to differ from `since`.

        Where it is the same as before, nothing has changed."""
        with self._changed:
            if self.version == since and seconds:
                self._changed.wait(seconds)
            return self.version

    # -- inside ----------------------------------------------------------------------------

    def _refresh(self, job_id: int) -> None:
        """Bring a running job's counts in line with the table."""
        live = self._live.get(job_id)
        if live is not None:
            row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            self._live[job_id] = replace(as_job(row), seconds=live.seconds)

    def _job(self, job_id: int) -> Job:
        row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotThere(f"there is no job {job_id}")
        live = self._live.get(job_id)
        return live if live is not None and row["state"] == "running" else as_job(row)

    def _file_row(self, file_id: int) -> JobFile:
        return as_file(self._db.execute("SELECT * FROM files WHERE id = ?", (file_id,)).fetchone())

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction; tells those who watch."""
        with self._lock, mapped(self._file):
            outer = self._db.in_transaction
            if not outer:
                self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if not outer and self._db.in_transaction:  # a full disk ends it by itself
                    self._db.execute("ROLLBACK")
                raise
            if not outer:
                self._db.execute("COMMIT")
                self._tell()

    def _tell(self) -> None:
        self.version += 1
        self._changed.notify_all()
