"""The tables that accounts are kept in, and their rows as records."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ...errors import Conflict
from .records import Key, Session, User, check_role, group_name

VERSION = 1
SCHEMA = """
CREATE TABLE users (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, groups TEXT NOT NULL, password TEXT,
    subject TEXT UNIQUE, sso_groups TEXT NOT NULL, disabled INTEGER NOT NULL,
    created REAL NOT NULL, last_sign_in REAL
);
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    via TEXT NOT NULL, address TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL
);
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE keys (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL REFERENCES users ON DELETE CASCADE, label TEXT NOT NULL, role TEXT,
    collections TEXT, created REAL NOT NULL, expires REAL, last_used REAL
);
CREATE INDEX keys_user ON keys (user);
CREATE TABLE grants (
    collection TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (collection, name)
);
CREATE TABLE failures (name TEXT PRIMARY KEY, count INTEGER NOT NULL, last REAL NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
USER = (
    "SELECT name, role, groups, sso_groups, password IS NOT NULL AS has_password, subject,"
    " disabled, created, last_sign_in FROM users"
)
KEY = "SELECT id, user, label, role, collections, created, expires, last_used FROM keys"


def bind(connection: sqlite3.Connection, name: str, subject: str) -> sqlite3.Row:
    """Make the user, or give the subject to one that was added for it without a password."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT name, disabled, password, subject FROM users WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO users VALUES (?, 'reader', '[]', NULL, ?, '[]', 0, ?, NULL)",
            (name, subject, time.time()),
        )
    elif row["password"] is not None or row["subject"] is not None:
        raise Conflict(
            f"the name {name!r} belongs to another account here; an admin can remove that one"
        )
    else:
        connection.execute("UPDATE users SET subject = ? WHERE name = ?", (subject, name))
    found: sqlite3.Row = connection.execute(
        "SELECT name, disabled FROM users WHERE name = ?", (name,)
    ).fetchone()
    return found


def groups_column(names: Iterable[str]) -> str:
    """Groups as they are stored. Raises ServeError for what cannot be a name."""
    return json.dumps(sorted({group_name(n) for n in names}), ensure_ascii=False)


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else _when(seconds)


def user_of(row: Any) -> User:
    """A row of users."""
    role = check_role(row["role"])
    return User(
        name=row["name"], role=role, groups=tuple(json.loads(row["groups"])),
        sso_groups=tuple(json.loads(row["sso_groups"])), has_password=bool(row["has_password"]),
        subject=row["subject"] or "", disabled=bool(row["disabled"]),
        created=_when(row["created"]), last_sign_in=_maybe(row["last_sign_in"]),
    )  # fmt: skip


def session_of(row: Any) -> Session:
    """A row of sessions."""
    return Session(
        row["hash"], row["user"], row["via"], row["address"], _when(row["created"]),
        _when(row["expires"]),
    )  # fmt: skip


def key_of(row: Any) -> Key:
    """A row of keys."""
    only = None if row["collections"] is None else tuple(json.loads(row["collections"]))
    return Key(
        id=row["id"], user=row["user"], label=row["label"],
        role=None if row["role"] is None else check_role(row["role"]), collections=only,
        created=_when(row["created"]), expires=_maybe(row["expires"]),
        last_used=_maybe(row["last_used"]),
    )  # fmt: skip
