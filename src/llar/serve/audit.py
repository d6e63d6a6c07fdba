"""Who asked what of which collection, when, and which documents answered.

A store of its own, which the server only adds to. Entries are kept `audit_days` and then
deleted; what is older is not shown either, even before it is deleted. Forgetting a user keeps
that something happened and takes away who and what: their entries get one made-up name, the
same for all of them and kept nowhere beside the real one, and lose question, detail and address.

There is no chain of hashes: who can write to the file could make the chain anew. Whoever must
prove that nothing was changed exports the log to a place that this machine cannot write to.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ..config import Config
from ..errors import ServeError
from ..records import to_json
from .accounts.database import Database
from .who import Identity

Format = Literal["csv", "jsonl"]

_VERSION = 1
_SCHEMA = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, user TEXT NOT NULL, via TEXT NOT NULL,
    action TEXT NOT NULL, collection TEXT NOT NULL, question TEXT NOT NULL,
    documents TEXT NOT NULL, detail TEXT NOT NULL, address TEXT NOT NULL
);
CREATE INDEX entries_at ON entries (at);
CREATE INDEX entries_user ON entries (user, at);
CREATE INDEX entries_collection ON entries (collection, at)
"""
_COLUMNS = "id, at, user, via, action, collection, question, documents, detail, address"
_PAGE = 1000  # rows read at once


@dataclass(frozen=True, slots=True)
class AuditDocument:
    """A document that answered. `id` is its number in the collection, None where only the path
    was given."""

    id: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did. `at` is UTC."""

    id: int
    at: datetime
    user: str
    via: str
    action: str
    collection: str
    question: str
    documents: tuple[AuditDocument, ...]
    detail: str
    address: str


class Audit:
    """The audit log. Safe from threads and processes."""

    def __init__(self, config: Config) -> None:
        self._days = config.audit_days
        self._database = Database(config, "audit.db", _SCHEMA, _VERSION)
        self._pruned = ""  # day on which entries were last deleted
        self._pruning = threading.Lock()
        self.prune_due()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def record(
        self,
        identity: Identity,
        action: str,
        *,
        collection: str = "",
        question: str = "",
        documents: Iterable[str | tuple[int, str]] = (),
        detail: str = "",
    ) -> None:
        """Write down what somebody did; it is on disk when this returns.

        `documents` are those that answered: (document id, path), or the path alone. Raises
        ServeError where it cannot be written: what cannot be recorded must not happen.
        """
        held = [[None, d] if isinstance(d, str) else [d[0], d[1]] for d in documents]
        values = (
            _text(datetime.now(UTC)), identity.user, identity.via, action, collection, question,
            json.dumps(held), detail, identity.address,
        )  # fmt: skip
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO entries"
                " (at, user, via, action, collection, question, documents, detail, address)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_storable(v) for v in values],
            )
        self.prune_due()

    def entries(
        self,
        *,
        user: str | None = None,
        collection: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """The newest entries first. `since` is included and `until` not; both need a time zone.

        `before` is an entry's id: the page after the one that ended with it.
        """
        oldest = self._oldest()
        bounds = [_text(t) for t in (since, oldest) if t is not None]
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM entries WHERE (?1 IS NULL OR user = ?1)"
            " AND (?2 IS NULL OR collection = ?2) AND (?3 IS NULL OR action = ?3)"
            " AND (?4 IS NULL OR at >= ?4) AND (?5 IS NULL OR at < ?5)"
            " AND (?6 IS NULL OR id < ?6) ORDER BY id DESC LIMIT ?7",
            user, collection, action, max(bounds) if bounds else None,
            None if until is None else _text(until), before, limit,
        )  # fmt: skip
        return [_entry(row) for row in rows]

    def export(
        self,
        form: Format,
        *,
        user: str | None = None,
        collection: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[str]:
        """All entries that fit, newest first, as lines of CSV (with a header) or of JSON.

        A cell of CSV that a spreadsheet would run as a formula is preceded by an apostrophe.
        """
        if form == "csv":
            yield _csv(_COLUMNS.split(", "))
        before: int | None = None
        while True:
            page = self.entries(
                user=user, collection=collection, action=action, since=since, until=until,
                before=before, limit=_PAGE,
            )  # fmt: skip
            for entry in page:
                yield _csv(_cells(entry)) if form == "csv" else _json(entry)
            if len(page) < _PAGE:
                return
            before = page[-1].id

    def prune(self, before: datetime) -> int:
        """Delete all entries older than that, and return how many there were."""
        with self._database.write() as connection:
            return connection.execute("DELETE FROM entries WHERE at < ?", (_text(before),)).rowcount

    def prune_due(self) -> None:
        """Delete what is older than `audit_days`, once a day."""
        oldest = self._oldest()
        today = datetime.now(UTC).date().isoformat()
        if oldest is None or self._pruned == today:
            return
        with self._pruning:
            if self._pruned != today:
                self.prune(oldest)
                self._pruned = today

    def forget(self, user: str) -> int:
        """Take a user out of the log, and return how many entries were theirs.

        See the module's docstring for what stays. Entries in which an admin did something about
        the user lose their detail.
        """
        made_up = f"forgotten-{secrets.token_hex(4)}"
        with self._database.write() as connection:
            count = connection.execute(
                "UPDATE entries SET user = ?, question = '', detail = '', address = ''"
                " WHERE user = ?",
                (made_up, user),
            ).rowcount
            connection.execute(
                "UPDATE entries SET detail = '' WHERE detail = ?1 OR detail LIKE ?2 ESCAPE '\\'",
                (user, user.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + " %"),
            )
        self._database.shrink()
        return count

    def _oldest(self) -> datetime | None:
        return datetime.now(UTC) - timedelta(days=self._days) if self._days else None


def parse_day(text: str) -> datetime:
    """The beginning of a day (YYYY-MM-DD), or a time with its zone, in UTC. Raises ServeError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ServeError(f"{text!r} is no date; expected YYYY-MM-DD") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _text(when: datetime) -> str:
    """A time as it is stored: UTC to the microsecond, so that text sorts as time does."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def _storable(text: str) -> str:
    """Text that SQLite can hold: bytes of a path that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _entry(row: Any) -> Entry:
    return Entry(
        id=row["id"], at=datetime.fromisoformat(row["at"]), user=row["user"], via=row["via"],
        action=row["action"], collection=row["collection"], question=row["question"],
        documents=tuple(AuditDocument(i, path) for i, path in json.loads(row["documents"])),
        detail=row["detail"], address=row["address"],
    )  # fmt: skip


def _json(entry: Entry) -> str:
    return json.dumps(to_json(entry) | {"at": _text(entry.at)}) + "\n"


def _cells(entry: Entry) -> list[str]:
    documents = "\n".join(d.path if d.id is None else f"{d.id} {d.path}" for d in entry.documents)
    return [
        str(entry.id), _text(entry.at), entry.user, entry.via, entry.action, entry.collection,
        entry.question, documents, entry.detail, entry.address,
    ]  # fmt: skip


def _csv(cells: list[str]) -> str:
    out = io.StringIO()
    safe = [f"'{c}" if c.startswith(("=", "+", "-", "@", "\t", "\r")) else c for c in cells]
    csv.writer(out).writerow([c.encode("utf-8", "backslashreplace").decode() for c in safe])
    return out.getvalue()
