"""Who a token stands for, found in microseconds and never out of date.

What was looked up is kept until anybody writes to the accounts, in this process or another:
the file's stamp says so.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from ...config import Config
from ...errors import NotSignedIn
from ..who import LOCAL, Identity, Role, Via
from .database import Database
from .records import Access, User, check_role, least

KEY_START = "llar-"
_MOST = 10_000  # identities kept at once

_SESSION = (
    "SELECT hash AS id, via, expires, NULL AS limited, NULL AS collections, NULL AS last_used,"
    " name, users.role AS role, groups, sso_groups FROM sessions JOIN users ON user = name"
    " WHERE hash = ? AND NOT disabled"
)
_KEY = (
    "SELECT id, 'key' AS via, expires, keys.role AS limited, collections, last_used, name,"
    " users.role AS role, groups, sso_groups FROM keys JOIN users ON user = name"
    " WHERE {column} = ? AND NOT disabled"
)
_USER = "SELECT role, groups, sso_groups, disabled FROM users WHERE name = ?"


@dataclass(frozen=True, slots=True)
class _Found:
    identity: Identity
    expires: float | None
    last_used: float | None


def digest(token: str) -> str:
    """What is stored of a token: it is random enough that its SHA-256 cannot be turned back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Identities:
    """Looks up who is asking, and what was granted."""

    def __init__(self, config: Config, database: Database) -> None:
        self._admins = config.oidc_admins
        self._database = database
        self._lock = threading.Lock()
        self._stamp = -1
        self._known: dict[tuple[str, str], _Found] = {}
        self._others: dict[str, Any] = {}  # what is known of all users and grants together

    def by_token(self, token: str, address: str) -> Identity:
        """Who a session's token or a key stands for. Raises NotSignedIn."""
        kind = "key" if token.startswith(KEY_START) else "session"
        found = self._find(kind, digest(token))
        if found is None:
            what = "API key" if kind == "key" else "session"
            raise NotSignedIn(f"the {what} is not valid: unknown, expired or revoked")
        return replace(found.identity, address=address)

    def still(self, identity: Identity, *, needed: bool) -> Identity:
        """The same as it is now. Raises NotSignedIn where it ended."""
        now: Identity | None
        if identity.via == "local":
            now = None if needed else LOCAL
        elif identity.via == "proxy":
            now = self.by_name(identity.user, identity.groups, identity.address)
        else:
            kind = "key id" if identity.via == "key" else "session"
            found = self._find(kind, identity.session)
            now = found.identity if found else None
        if now is None:
            raise NotSignedIn("the session has ended; sign in again")
        return replace(now, address=identity.address)

    def by_name(self, name: str, groups: frozenset[str] | None, address: str) -> Identity | None:
        """A user whom a proxy names, with the groups it gives; None for none or one disabled."""
        rows = self._database.read(_USER, name)
        if not rows or rows[0]["disabled"]:
            return None
        own = frozenset(json.loads(rows[0]["groups"]))
        role = check_role(rows[0]["role"])
        return Identity(name, role, own | (groups or frozenset()), "proxy", address=address)

    def role_of(self, user: User) -> Role:
        """A user's role, with what the groups of the sign-in service make of it."""
        return self._role(user.role, user.sso_groups)

    def is_unused(self, identity: Identity) -> bool:
        """Did it come by a key whose use was not written down in the last minute?"""
        found = self._find("key id", identity.session) if identity.via == "key" else None
        return found is not None and (found.last_used or 0) < time.time() - 60

    def needed(self, always: bool) -> bool:
        """Must people sign in: always, or because there are users?"""
        if always:
            return True
        self._refresh()
        known = self._others.get("needed")
        if known is None:
            stamp = self._stamp
            known = bool(self._database.read("SELECT 1 FROM users LIMIT 1"))
            self._keep("needed", known, stamp)
        return bool(known)

    def grants(self) -> dict[str, dict[str, Access]]:
        """Collection -> name -> what was granted."""
        self._refresh()
        known: dict[str, dict[str, Access]] | None = self._others.get("grants")
        if known is None:
            stamp = self._stamp
            known = {}
            for row in self._database.read("SELECT * FROM grants"):
                known.setdefault(row["collection"], {})[row["name"]] = row["role"]
            self._keep("grants", known, stamp)
        return known

    def _find(self, kind: str, value: str) -> _Found | None:
        self._refresh()
        found = self._known.get((kind, value))
        if found is None:
            stamp = self._stamp
            found = self._look_up(kind, value)
            if found is None:  # not kept: whoever guesses would fill the memory
                return None
            with self._lock:
                if self._stamp == stamp and len(self._known) < _MOST:
                    self._known[kind, value] = found
        if found.expires is not None and found.expires <= time.time():
            return None
        return found

    def _look_up(self, kind: str, value: str) -> _Found | None:
        column = "id" if kind == "key id" else "hash"
        query = _SESSION if kind == "session" else _KEY.format(column=column)
        rows = self._database.read(query, value)
        if not rows:
            return None
        row = rows[0]
        given = json.loads(row["sso_groups"])
        role = self._role(check_role(row["role"]), given)
        via: Via = row["via"]
        only = None if row["collections"] is None else frozenset(json.loads(row["collections"]))
        if row["limited"] is not None:
            role = least(role, check_role(row["limited"]))
        if only is not None:  # who may do everything is not limited to some collections
            role = least(role, "editor")
        groups = frozenset(json.loads(row["groups"])) | frozenset(given)
        identity = Identity(row["name"], role, groups, via, row["id"], only)
        return _Found(identity, row["expires"], row["last_used"])

    def _role(self, role: Role, given: Any) -> Role:
        return "admin" if self._admins and self._admins in given else role

    def _refresh(self) -> None:
        """Forget everything where anybody wrote since."""
        stamp = self._database.stamp()
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._known = {}
                self._others = {}

    def _keep(self, what: str, value: Any, stamp: int) -> None:
        with self._lock:
            if self._stamp == stamp:
                self._others[what] = value
