"""What a job and its files are, and the tables that keep them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import LlarError, StateUnusable

Kind = Literal["upload", "reindex", "reembed", "remove", "sync", "make", "evaluate", "pull"]
Status = Literal["queued", "running", "done", "failed", "cancelled"]
FileStatus = Literal["queued", "done", "duplicate", "unchanged", "failed", "cancelled"]
OPEN = ("queued", "running")
OF_FILES = ("upload", "reindex")  # kinds whose counts are those of their files
EVALUATION = ("make", "evaluate")  # kinds that are of question sets
ANEW = ("make",)  # kinds that begin anew where they were stopped, so they make way for nobody

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, state TEXT NOT NULL, user TEXT NOT NULL, collection TEXT NOT NULL,
  title TEXT NOT NULL, options TEXT NOT NULL, unit TEXT NOT NULL,
  created TEXT NOT NULL, started TEXT, finished TEXT,
  done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
  done_bytes INTEGER NOT NULL DEFAULT 0, total_bytes INTEGER NOT NULL DEFAULT 0,
  seconds REAL NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '', fix TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '{}', cancel INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs(state);
CREATE TABLE IF NOT EXISTS files (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
  name TEXT NOT NULL, state TEXT NOT NULL, staged TEXT NOT NULL, size INTEGER NOT NULL,
  sha256 TEXT NOT NULL, metadata TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
  document INTEGER
);
CREATE INDEX IF NOT EXISTS files_job ON files(job, state);
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work as it stands. Times are ISO 8601 in UTC, `seconds` those worked so far."""

    id: int
    kind: Kind
    state: Status
    user: str
    collection: str  # "" where it is about none
    title: str  # what it works on, for people
    unit: str  # what `done` and `total` count: "files", "documents", "questions", "bytes"
    created: str
    started: str | None = None
    finished: str | None = None
    done: int = 0
    total: int = 0  # 0 while it is not known
    done_bytes: int = 0
    total_bytes: int = 0
    seconds: float = 0.0
    failed: int = 0  # files that could not be read
    error: str = ""  # why it failed
    fix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do."""
        return self.state in OPEN

    @property
    def rate(self) -> float | None:
        """What it gets done in a second, in `unit`; None before the first."""
        return self.done / self.seconds if self.done and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """By the bytes done so far, or what else is counted; None where nothing tells."""
        if not self.is_open:
            return 0.0
        by_bytes = self.total_bytes > 0
        done = self.done_bytes if by_bytes else self.done
        total = self.total_bytes if by_bytes else self.total
        return self.seconds * (total - done) / done if done and total else None


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file of a job: its name in the collection, and what came of it."""

    id: int
    job: int
    name: str
    state: FileStatus
    size: int
    sha256: str
    staged: str  # where its bytes wait, below the uploads
    metadata: Mapping[str, Any]
    error: str = ""  # why it failed; for a duplicate, of what
    document: int | None = None


def now() -> str:
    """The present moment as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_file(file: Path) -> sqlite3.Connection:
    """The file of jobs, made where there is none. Raises StateUnusable where it is damaged."""
    with mapped(file):
        db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        file.chmod(0o600)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.executescript(_TABLES)
    return db


@contextmanager
def mapped(file: Path) -> Iterator[None]:
    """SQLite's and the system's errors as ours."""
    named = f"{file.parent.name}/{file.name}"
    try:
        yield
    except OSError as e:
        raise StateUnusable(f"{named} cannot be used: {e.strerror}") from e
    except sqlite3.DatabaseError as e:
        if isinstance(e, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise  # a mistake of ours, or closed already
        raise StateUnusable(f"{named} cannot be used: {e}") from e


def resource_of(job: Job) -> str:
    """What a job must have for itself."""
    if job.kind in EVALUATION:  # both ask one question after another: one at a time
        return "evaluation"
    return "pull" if job.kind == "pull" else f"collection {job.collection}"


def insert_job(
    db: sqlite3.Connection,
    kind: Kind,
    user: str,
    collection: str,
    title: str,
    unit: str,
    options: Mapping[str, Any],
) -> int:
    """Add a job, inside a transaction; its id."""
    made = db.execute(
        "INSERT INTO jobs (kind, state, user, collection, title, unit, options, created)"
        " VALUES (?, 'queued', ?, ?, ?, ?, ?, ?)",
        (kind, user, collection, title, unit, json.dumps(dict(options)), now()),
    ).lastrowid
    assert made is not None
    return made


def end_job(
    db: sqlite3.Connection,
    job_id: int,
    state: Status,
    error: LlarError | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """Note that a job is over, inside a transaction; what it had not come to is cancelled."""
    db.execute(
        "UPDATE jobs SET state = ?, finished = ?, error = ?, fix = ?, result = ? WHERE id = ?",
        (
            state,
            now(),
            error.message if error else "",
            (error.fix or "") if error else "",
            json.dumps(dict(result or {})),
            job_id,
        ),
    )
    if state == "cancelled":
        db.execute(
            "UPDATE files SET state = 'cancelled' WHERE job = ? AND state = 'queued'", (job_id,)
        )


def has_queued(db: sqlite3.Connection, job_id: int) -> bool:
    """Whether a file of the job is not dealt with."""
    row = db.execute(
        "SELECT 1 FROM files WHERE job = ? AND state = 'queued' LIMIT 1", (job_id,)
    ).fetchone()
    return row is not None


def recount(db: sqlite3.Connection, job_id: int) -> None:
    """Bring a job's counts in line with its files."""
    db.execute(
        "UPDATE jobs SET (done, done_bytes, total, total_bytes, failed) = (SELECT"
        " coalesce(sum(state != 'queued'), 0),"
        " coalesce(sum(CASE WHEN state != 'queued' THEN size END), 0), count(*),"
        " coalesce(sum(size), 0), coalesce(sum(state = 'failed'), 0)"
        " FROM files WHERE job = jobs.id) WHERE id = ?",
        (job_id,),
    )


def as_job(row: sqlite3.Row) -> Job:
    """A row of the table of jobs."""
    values = {k: row[k] for k in row.keys() if k not in ("cancel", "options", "result")}  # noqa: SIM118
    return Job(**values, options=json.loads(row["options"]), result=json.loads(row["result"]))


def as_file(row: sqlite3.Row) -> JobFile:
    """A row of the table of files."""
    values = {k: row[k] for k in row.keys() if k != "metadata"}  # noqa: SIM118
    return JobFile(**values, metadata=json.loads(row["metadata"]))
