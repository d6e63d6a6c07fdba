"""Work that takes longer than a request: kept on disk, done in turn, watched and stopped.

A job is queued, running, done, failed or cancelled. What it is told in `Jobs.add` is on disk
before the call returns, and a job that was running when the server ended is queued again when it
starts: every kind of work can be done again from where it was.

One job at a time works on a collection. Users take turns: of those waiting, the one who was served
longest ago comes next, and a long job makes way for others every few seconds.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock

from ..errors import Conflict, LlarError, NotThere, ServeError
from .job_records import (
    OF_FILES,
    OPEN,
    FileStatus,
    Job,
    JobFile,
    Kind,
    Status,
    as_file,
    as_job,
    end_job,
    has_queued,
    insert_job,
    mapped,
    now,
    open_file,
    recount,
    resource_of,
)

WORKERS = 2
SLICE = 5.0  # seconds after which a job makes way for others that wait
_SAVE = 1.0  # seconds between two notes of progress on disk
_DAYS = 30  # that finished jobs are kept, and files that could not be read for another try
_FILES = 10_000  # of one job; further ones are another's

log = logging.getLogger("llar.serve.jobs")


class Paused(Exception):
    """A job makes way for others, or the server ends; it goes on later."""


class Cancelled(Exception):
    """Somebody cancelled the job."""


@dataclass(slots=True)
class Task:
    """A running job as the function that does it sees it."""

    jobs: Jobs
    job: Job
    _before: float  # seconds worked in earlier turns
    _began: float = field(default_factory=time.monotonic)
    _saved: float = 0.0

    @property
    def seconds(self) -> float:
        """Worked on it so far, in all its turns."""
        return self._before + time.monotonic() - self._began

    def progress(self, done: int, total: int, done_bytes: int = 0, total_bytes: int = 0) -> None:
        """Say how far it is. Raises Paused or Cancelled where it must stop here."""
        self.jobs._note(self, (done, total, done_bytes, total_bytes))
        self.check()

    def check(self) -> None:
        """Raises Paused or Cancelled where it must stop here."""
        self.jobs._check(self, time.monotonic() - self._began)


Work = Callable[[Task], Mapping[str, Any]]  # returns the job's result


class Jobs:
    """Every job of this server. Safe to use from several threads."""

    def __init__(self, file: Path, *, turn: float = SLICE) -> None:
        """`turn` is how many seconds a job works before it makes way for others."""
        self._turn = turn
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._file = file
        self._db = open_file(file)
        self._works: Mapping[Kind, Work] = {}
        self._live: dict[int, Job] = {}  # running ones, as their threads know them
        self._busy: dict[int, str] = {}  # running job -> what it has for itself
        self._served: dict[str, float] = {}  # user -> when last
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._single = filelock.FileLock(f"{file}.lock", timeout=0)
        self.version = 0  # grows with every change

    def start(
        self, works: Mapping[Kind, Work], *, ready: Callable[[], object] = lambda: None
    ) -> None:
        """Take up what was left and begin to work, after `ready` was called.

        Raises ServeError where another server works on the same jobs."""
        try:
            self._single.acquire()
        except filelock.Timeout:
            raise ServeError(
                f"another llar serve works on {str(self._file.parent.parent)!r}",
                fix="stop it, or give this one another LLAR_HOME",
            ) from None
        self._works = works
        old = (datetime.now(UTC) - timedelta(days=_DAYS)).isoformat(timespec="milliseconds")
        with self._write() as db:
            db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
            db.execute("DELETE FROM jobs WHERE finished < ?", (old,))
        ready()
        for n in range(WORKERS):
            thread = threading.Thread(target=self._work, name=f"llar-jobs-{n}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let running jobs stop where they are; they go on when the server starts again."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def close(self, *, seconds: float = 10.0) -> None:
        """The same, and wait for them."""
        self.stop()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            self._db.close()
            self._single.release()

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
    ) -> tuple[Job, JobFile]:
        """A file to be indexed, on disk when this returns: with the user's open upload to that
        collection, or a new one."""
        with self._write() as db:
            found = db.execute(
                "SELECT id FROM jobs WHERE kind = 'upload' AND user = ? AND collection = ?"
                " AND state IN ('queued', 'running') AND NOT cancel AND total < ?"
                " ORDER BY id DESC LIMIT 1",
                (user, collection, _FILES),
            ).fetchone()
            job = (
                found[0] if found else insert_job(db, "upload", user, collection, name, "files", {})
            )
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

    # -- working ---------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                task = self._take()
                if task is None:
                    self._changed.wait(1.0)
                    continue
            try:
                self._run(task)
            except sqlite3.ProgrammingError:  # closed: it took longer to stop than `close` waits
                if not self._stopping.is_set():
                    raise

    def _take(self) -> Task | None:
        """The job whose turn it is, of those that nobody is in the way of."""
        rows = self._db.execute("SELECT * FROM jobs WHERE state = 'queued' ORDER BY id").fetchall()
        taken = set(self._busy.values())
        free = [job for job in map(as_job, rows) if resource_of(job) not in taken]
        if not free:
            return None
        job = min(free, key=lambda j: (self._served.get(j.user, 0.0), j.id))
        with self._write() as db:
            db.execute(
                "UPDATE jobs SET state = 'running', started = coalesce(started, ?) WHERE id = ?",
                (now(), job.id),
            )
            job = self._job(job.id)
            self._busy[job.id] = resource_of(job)
            self._live[job.id] = job
        return Task(self, job, job.seconds)

    def _run(self, task: Task) -> None:
        job_id = task.job.id
        state: Status = "queued"
        error: LlarError | None = None
        result: Mapping[str, Any] = {}
        try:
            result = self._works[task.job.kind](task)
            state = "done"
        except Paused:
            pass
        except Cancelled:
            state = "cancelled"
        except LlarError as e:
            state, error = "failed", e
        except Exception as e:  # the thread's edge: one job's fault must not end the others
            log.exception("job %d (%s) failed", job_id, task.job.kind)
            state, error = "failed", ServeError(f"internal error: {type(e).__name__}")
        if state == "failed" and self._stopping.is_set():
            state = "queued"  # what it needed was closed under it
        with self._write() as db:
            live = replace(self._live.pop(job_id, task.job), seconds=task.seconds)
            _save(db, live)
            db.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, job_id))
            if live.kind in OF_FILES:
                recount(db, job_id)
                if state == "done" and has_queued(db, job_id):  # one came just now
                    db.execute("UPDATE jobs SET state = 'queued' WHERE id = ?", (job_id,))
                    state = "queued"
            if state not in OPEN:
                end_job(db, job_id, state, error, result)
            self._busy.pop(job_id, None)
            self._served[live.user] = time.monotonic()

    def _note(self, task: Task, counts: tuple[int, int, int, int]) -> None:
        """Take in how far a job is; on disk once a second."""
        with self._lock:
            done, total, done_bytes, total_bytes = counts
            self._live[task.job.id] = replace(
                self._live[task.job.id],
                done=done,
                total=total,
                done_bytes=done_bytes,
                total_bytes=total_bytes,
                seconds=task.seconds,
            )
            if time.monotonic() - task._saved < _SAVE or self._stopping.is_set():
                self._tell()
                return
            task._saved = time.monotonic()
            with self._write() as db:
                _save(db, self._live[task.job.id])

    def _check(self, task: Task, seconds: float) -> None:
        if self._stopping.is_set():
            raise Paused
        with self._lock:
            self._live[task.job.id] = replace(self._live[task.job.id], seconds=task.seconds)
            row = self._db.execute(
                "SELECT cancel FROM jobs WHERE id = ?", (task.job.id,)
            ).fetchone()
            if row is None or row[0]:
                raise Cancelled
            if seconds > self._turn and self._others_wait(task.job):
                raise Paused

    def _others_wait(self, job: Job) -> bool:
        """Whether another user waits for what this job has, or for a thread."""
        full = len(self._busy) >= WORKERS
        own = resource_of(job)
        others = set(self._busy.values()) - {own}
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE state = 'queued' AND user != ?", (job.user,)
        ).fetchall()
        wanted = {resource_of(as_job(row)) for row in rows}
        return own in wanted or (full and bool(wanted - others))

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


def _save(db: sqlite3.Connection, job: Job) -> None:
    db.execute(
        "UPDATE jobs SET done = ?, total = ?, done_bytes = ?, total_bytes = ?, seconds = ?"
        " WHERE id = ?",
        (job.done, job.total, job.done_bytes, job.total_bytes, job.seconds, job.id),
    )
