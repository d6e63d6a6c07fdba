"""The accounts of a server: one file, edited by the command line while the server runs."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from ...config import Config
from ...errors import Conflict, Forbidden, NotSignedIn, NotThere, ServeError
from ...index.index import collection_names
from ..who import Identity, Via
from . import passwords, throttle
from .database import Database
from .identities import KEY_START, Identities, digest
from .records import (
    EVERYONE,
    Access,
    Grant,
    Key,
    Session,
    User,
    check_role,
    grantee,
    group_name,
    least,
    user_name,
)
from .start import has_sso, is_exposed
from .tables import KEY, SCHEMA, USER, VERSION, bind, groups_column, key_of, session_of, user_of

if TYPE_CHECKING:
    from .oidc import Issuer


class Accounts:
    """Who there is, who is asking, and what they may do. Safe from threads and processes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._database = Database(config, "accounts.db", SCHEMA, VERSION)
        self._identities = Identities(config, self._database)
        self._secret = self._read_secret()
        self._issuer: Issuer | None = None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # -- users -----------------------------------------------------------------------------

    def users(self) -> list[User]:
        """Everybody, by name."""
        return [user_of(row) for row in self._database.read(f"{USER} ORDER BY name")]

    def user(self, name: str) -> User:
        """One of them. Raises NotThere."""
        rows = self._database.read(f"{USER} WHERE name = ?", user_name(name))
        if not rows:
            raise NotThere(f"there is no user {name!r}", fix="llar users list")
        return user_of(rows[0])

    def add_user(
        self,
        name: str,
        password: str | None = None,
        *,
        role: str = "reader",
        groups: Sequence[str] = (),
    ) -> User:
        """Add a user; one without a password can only come by single sign-on or with a key.

        Raises Conflict where there is one of that name, ServeError for a password too weak.
        """
        name = user_name(name)
        stored = self._hashed(name, password) if password is not None else None
        try:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO users VALUES (?, ?, ?, ?, NULL, '[]', 0, ?, NULL)",
                    (name, check_role(role), groups_column(groups), stored, time.time()),
                )
        except sqlite3.IntegrityError:
            raise Conflict(
                f"there is a user {name!r} already", fix=f"llar users change {name} ..."
            ) from None
        return self.user(name)

    def change_user(
        self,
        name: str,
        *,
        role: str | None = None,
        groups: Sequence[str] | None = None,
        disabled: bool | None = None,
    ) -> User:
        """Change what is given. A user who is disabled cannot come in, and is put out.

        Raises NotThere, and Conflict where nobody would be left who is admin.
        """
        user = self.user(name)
        new = check_role(role) if role is not None else user.role
        off = user.disabled if disabled is None else disabled
        names = user.groups if groups is None else groups
        with self._database.write() as connection:
            if new != "admin" or off:
                self._keep_an_admin(connection, user.name)
            connection.execute(
                "UPDATE users SET role = ?, groups = ?, disabled = ? WHERE name = ?",
                (new, groups_column(names), off, user.name),
            )
            if off:
                connection.execute("DELETE FROM sessions WHERE user = ?", (user.name,))
        return self.user(name)

    def set_password(self, name: str, password: str) -> None:
        """Give a user a new password; every session of theirs ends."""
        user = self.user(name)
        stored = self._hashed(user.name, password)
        with self._database.write() as connection:
            connection.execute("UPDATE users SET password = ? WHERE name = ?", (stored, user.name))
            connection.execute("DELETE FROM sessions WHERE user = ?", (user.name,))
            connection.execute("DELETE FROM failures WHERE name = ?", (f"user:{user.name}",))

    def remove_user(self, name: str) -> None:
        """Remove a user with their keys, sessions and grants. Raises NotThere, Conflict."""
        user = self.user(name)
        with self._database.write() as connection:
            if connection.execute("SELECT count(*) FROM users").fetchone()[0] > 1:
                self._keep_an_admin(connection, user.name)
            connection.execute("DELETE FROM users WHERE name = ?", (user.name,))
            for table in ("grants", "failures"):
                connection.execute(f"DELETE FROM {table} WHERE name = ?", (f"user:{user.name}",))

    def forget_user(self, name: str) -> None:
        """Remove a user, and leave nothing of them in the file."""
        self.remove_user(name)
        self._database.shrink()

    # -- signing in ------------------------------------------------------------------------

    @property
    def needed(self) -> bool:
        """Must people sign in? Not on a loopback address as long as there are no accounts."""
        return self._identities.needed(is_exposed(self._config) or has_sso(self._config))

    def verify(self, name: str, password: str, address: str = "") -> User:
        """The user whose name and password these are.

        Raises NotSignedIn where they are not, which takes as long and reads the same whatever
        was wrong, and Overloaded where there were too many wrong ones.
        """
        wrong = NotSignedIn("the name or the password is wrong")
        try:
            name = user_name(name)
        except ServeError:
            name = "?"  # no user has that name, but the work must be the same
        throttle.count_try(self._database, name, address, self._config.login_tries)
        rows = self._database.read(
            "SELECT password FROM users WHERE name = ? AND NOT disabled", name
        )
        if not passwords.matches(password, rows[0]["password"] if rows else None):
            raise wrong
        throttle.right(self._database, name, address)
        return self.user(name)

    def sign_in(self, name: str, password: str, address: str = "") -> str:
        """Start a session with a password and return its token. Raises as `verify`."""
        return self.start_session(self.verify(name, password, address).name, "session", address)

    def start_session(self, name: str, via: Via, address: str = "") -> str:
        """Start a session of a user who was found to be who they are, and return its token."""
        token = secrets.token_urlsafe(32)
        now = time.time()
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
                (digest(token), name, via, address, now, now + self._config.session_hours * 3600),
            )
            connection.execute("UPDATE users SET last_sign_in = ? WHERE name = ?", (now, name))
        return token

    def tidy(self) -> None:
        """Drop sessions that are over, with the addresses in them, and old wrong passwords."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM sessions WHERE expires < ?", (time.time(),))
            throttle.forget(connection)

    def sign_out(self, identity: Identity) -> None:
        """End the session this identity came by; a key stays."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM sessions WHERE hash = ?", (identity.session,))

    def sessions(self, user: str | None = None) -> list[Session]:
        """The sessions of a user, or of all, newest first."""
        rows = self._database.read(
            "SELECT * FROM sessions WHERE expires > ?1 AND (?2 IS NULL OR user = ?2)"
            " ORDER BY created DESC",
            time.time(),
            user,
        )
        return [session_of(row) for row in rows]

    def end_session(self, session: str) -> None:
        """End a session by its id. Raises NotThere."""
        with self._database.write() as connection:
            if not connection.execute("DELETE FROM sessions WHERE hash = ?", (session,)).rowcount:
                raise NotThere("there is no session of that id; it may have ended")

    def identity(self, token: str, address: str = "") -> Identity:
        """Who a session's token or an API key stands for, as things are now.

        A few microseconds where nothing changed since the last call. Raises NotSignedIn where it
        stands for nobody: unknown, revoked, expired, or the user is gone or disabled.
        """
        return self._identities.by_token(token, address)

    def still(self, identity: Identity) -> Identity:
        """The same as it is now. Raises NotSignedIn where its session, key or user is gone."""
        return self._identities.still(identity, needed=self.needed)

    # -- single sign-on --------------------------------------------------------------------

    def sso_user(self, subject: str, name: str, groups: Iterable[str]) -> User:
        """The user that the OpenID issuer calls `subject`, made where there is none yet.

        `name` is taken once: afterwards the subject says who it is, for a name may be given to
        somebody else. Raises Conflict where the name belongs to an account with a password or
        to another subject, Forbidden where the user is disabled.
        """
        name = user_name(name)
        given = groups_column(groups)
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT name, disabled FROM users WHERE subject = ?", (subject,)
            ).fetchone()
            if row is None:
                row = bind(connection, name, subject)
            if row["disabled"]:
                raise Forbidden(f"the account {row['name']!r} is disabled")
            connection.execute(
                "UPDATE users SET sso_groups = ? WHERE name = ?", (given, row["name"])
            )
            found: str = row["name"]
        return self.user(found)

    def proxy_identity(self, name: str, groups: Iterable[str] | None, address: str) -> Identity:
        """Who a trusted proxy says is asking; a user who is new here is a reader.

        Raises NotSignedIn where the user is disabled or the name cannot be one.
        """
        try:
            name = user_name(name)
            given = None if groups is None else frozenset(group_name(g) for g in groups)
        except ServeError as e:
            raise NotSignedIn(f"the proxy named nobody who can be known here: {e.message}") from e
        identity = self._identities.by_name(name, given, address)
        if identity is None:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT OR IGNORE INTO users"
                    " VALUES (?, 'reader', '[]', NULL, NULL, '[]', 0, ?, NULL)",
                    (name, time.time()),
                )
            identity = self._identities.by_name(name, given, address)
        if identity is None:
            raise NotSignedIn(f"the account {name!r} is disabled")
        return identity

    # -- keys ------------------------------------------------------------------------------

    def keys(self, user: str | None = None) -> list[Key]:
        """The keys of a user, or of all, without their secrets."""
        name = user_name(user) if user is not None else None
        rows = self._database.read(
            f"{KEY} WHERE ?1 IS NULL OR user = ?1 ORDER BY user, created", name
        )
        return [key_of(row) for row in rows]

    def add_key(
        self,
        user: str,
        label: str = "",
        *,
        days: float | None = None,
        role: str | None = None,
        collections: Iterable[str] | None = None,
    ) -> tuple[Key, str]:
        """A new key and its secret, which is kept nowhere and cannot be shown again.

        It may do what the user may, at most as `role` and only with `collections` where these
        are given. Raises NotThere, ServeError for a role above the user's.
        """
        owner = self.user(user)
        if days is not None and not 0 < days <= 36500:
            raise ServeError(f"a key cannot be valid for {days!r} days")
        limit = None if role is None else check_role(role)
        has = self._identities.role_of(owner)
        if limit and least(limit, has) != limit:
            raise ServeError(f"{owner.name!r} is {has}; a key of theirs cannot be {limit}")
        only = None if collections is None else json.dumps(sorted(set(collections)))
        secret = KEY_START + secrets.token_urlsafe(32)
        now = time.time()
        ends = None if days is None else now + timedelta(days=days).total_seconds()
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (secret[:13], digest(secret), owner.name, label, limit, only, now, ends),
            )
        return self.key(secret[:13]), secret

    def key(self, key_id: str) -> Key:
        """One key by its id. Raises NotThere."""
        rows = self._database.read(f"{KEY} WHERE id = ?", key_id)
        if not rows:
            raise NotThere(f"there is no key {key_id[:13]!r}", fix="llar keys list")
        return key_of(rows[0])

    def revoke_key(self, key_id: str) -> Key:
        """End a key at once, and return what it was. Raises NotThere."""
        key = self.key(key_id)
        with self._database.write() as connection:
            connection.execute("DELETE FROM keys WHERE id = ?", (key.id,))
        return key

    def used(self, identity: Identity) -> None:
        """Write down that a key was used now; call it where `is_unused` says so."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE keys SET last_used = ? WHERE id = ?", (time.time(), identity.session)
            )

    def is_unused(self, identity: Identity) -> bool:
        """Did it come by a key whose use was not written down in the last minute?"""
        return self._identities.is_unused(identity)

    # -- access ----------------------------------------------------------------------------

    def grants(self, collection: str | None = None) -> list[Grant]:
        """What was granted on a collection, or on all."""
        rows = self._database.read(
            "SELECT * FROM grants WHERE ?1 IS NULL OR collection = ?1 ORDER BY collection, name",
            collection,
        )
        return [Grant(r["collection"], r["name"], r["role"]) for r in rows]

    def grant(self, collection: str, names: Iterable[str], role: Access = "reader") -> None:
        """Let "user:NAME", "group:NAME" or "everyone" read a collection, or edit it.

        What was granted to the same name before is replaced. Raises ServeError for other names.
        """
        if role not in ("reader", "editor"):
            raise ServeError(f"{role!r} cannot be granted; expected reader or editor")
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO grants VALUES (?, ?, ?)",
                [(collection, grantee(name), role) for name in names],
            )

    def revoke(self, collection: str, names: Iterable[str]) -> None:
        """Take back what was granted. Raises NotThere where nothing was granted to a name."""
        with self._database.write() as connection:
            for name in names:
                gone = connection.execute(
                    "DELETE FROM grants WHERE collection = ? AND name = ?",
                    (collection, grantee(name)),
                ).rowcount
                if not gone:
                    raise NotThere(
                        f"nothing on {collection!r} is granted to {name!r}",
                        fix=f"llar access show {collection}",
                    )

    def forget_collection(self, collection: str) -> None:
        """Drop its grants: the next collection of that name is another one."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM grants WHERE collection = ?", (collection,))

    def may_read(self, identity: Identity, collection: str) -> bool:
        """May it read that collection?"""
        return self._access(identity, collection) is not None

    def may_edit(self, identity: Identity, collection: str) -> bool:
        """May it add to that collection, change and remove?"""
        return self._access(identity, collection) == "editor" and identity.role != "reader"

    def collections_of(self, identity: Identity) -> list[str]:
        """The collections that exist and that it may read, by name."""
        return [n for n in collection_names(self._config) if self.may_read(identity, n)]

    def _access(self, identity: Identity, collection: str) -> Access | None:
        if identity.collections is not None and collection not in identity.collections:
            return None
        if identity.is_admin:
            return "editor"
        granted = self._identities.grants().get(collection, {})
        found = {granted[n] for n in (*identity.names, EVERYONE) if n in granted}
        return "editor" if "editor" in found else "reader" if found else None

    @property
    def issuer(self) -> Issuer | None:
        """The OpenID issuer to sign in with, where one is configured. Nothing is asked yet."""
        if self._issuer is None and self._config.oidc_issuer:
            from .oidc import Issuer

            self._issuer = Issuer(self._config)
        return self._issuer

    # -- forms -----------------------------------------------------------------------------

    @property
    def secret(self) -> bytes:
        """32 random bytes of this server, for signing what browsers bring back."""
        return self._secret

    def _read_secret(self) -> bytes:
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_hex(32),)
            )
            row = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
        return bytes.fromhex(row["value"])

    def _keep_an_admin(self, connection: sqlite3.Connection, name: str) -> None:
        """Refuse to lose the last admin, while there are others who would depend on one."""
        found = connection.execute("SELECT name FROM users WHERE role = 'admin' AND NOT disabled")
        if [row["name"] for row in found] == [name] and not self._config.oidc_admins:
            raise Conflict(
                f"{name!r} is the only admin", fix="llar users change ANOTHER --role admin"
            )

    def _hashed(self, name: str, password: str) -> str:
        passwords.check_new(password, name)
        return passwords.hashed(password)
