"""Work that takes longer than a request: kept on disk, done in turn, watched and stopped.

A job is queued, running, done, failed or cancelled. What it is told in `Jobs.add` is on disk
before the call returns, and a job that was running when the server ended is queued again when it
starts: every kind of work can be done again from where it was, or from the beginning.

One job at a time works on a collection. Users take turns: of those waiting, the one who was served
longest ago comes next, and a long job makes way for others every few seconds, unless it would have
to begin anew.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock

from ..errors import LlarError, ServeError
from .job_records import (
    ANEW,
    OF_FILES,
    OPEN,
    Job,
    Kind,
    Status,
    as_job,
    end_job,
    has_queued,
    now,
    recount,
    resource_of,
)
from .job_store import JobStore

WORKERS = 2
SLICE = 5.0  # seconds after which a job makes way for others that wait
_SAVE = 1.0  # seconds between two notes of progress on disk
_DAYS = 30  # that finished jobs are kept, and files that could not be read for another try

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


class Jobs(JobStore):
    """Every job of this server, and the threads that work on them."""

    def __init__(self, file: Path, *, turn: float = SLICE) -> None:
        """`turn` is how many seconds a job works before it makes way for others."""
        super().__init__(file)
        self._turn = turn
        self._works: Mapping[Kind, Work] = {}
        self._served: dict[str, float] = {}  # user -> when last
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._single = filelock.FileLock(f"{file}.lock", timeout=0)

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
        with self._changed:  # no thread is between looking and waiting then
            self._stopping.set()
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

    # -- working ---------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._stopping.is_set():
                    return
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
            may_pause = task.job.kind not in ANEW
            if may_pause and seconds > self._turn and self._others_wait(task.job):
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


def _save(db: sqlite3.Connection, job: Job) -> None:
    db.execute(
        "UPDATE jobs SET done = ?, total = ?, done_bytes = ?, total_bytes = ?, seconds = ?"
        " WHERE id = ?",
        (job.done, job.total, job.done_bytes, job.total_bytes, job.seconds, job.id),
    )
