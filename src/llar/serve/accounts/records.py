"""What accounts are made of, and which names they may have."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ...errors import ServeError
from ..who import ROLES, Role, Via

Access = Literal["reader", "editor"]  # what may be granted on a collection
EVERYONE = "everyone"  # a grant to all who are signed in
RESERVED = ("local", EVERYONE)  # whoever is here without accounts, and everybody

_USER = re.compile(r"\w[\w.@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. `groups` are given here, `sso_groups` by the sign-in service."""

    name: str
    role: Role
    groups: tuple[str, ...]
    sso_groups: tuple[str, ...]
    has_password: bool
    subject: str  # who it is to the OpenID issuer; empty before the first sign-in by it
    disabled: bool
    created: datetime
    last_sign_in: datetime | None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret. It may do what its user may, and no more than it says.

    `id` is how the secret begins. `collections` of None is all that the user may read.
    """

    id: str
    user: str
    label: str
    role: Role | None
    collections: tuple[str, ...] | None
    created: datetime
    expires: datetime | None
    last_used: datetime | None  # to the minute


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in."""

    id: str
    user: str
    via: Via
    address: str
    created: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """`name` ("user:eva", "group:hr" or "everyone") may read, or also edit, a collection."""

    collection: str
    name: str
    role: Access


def user_name(name: str) -> str:
    """The name as it is stored: the same for all ways to write it.

    Raises ServeError for what cannot be a name.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    if not _USER.fullmatch(folded) or folded in RESERVED:
        raise ServeError(
            f"{name!r} cannot be a user's name; expected up to 64 letters, digits and . _ - @ +,"
            f" the first a letter or digit, and none of {', '.join(RESERVED)}"
        )
    return folded


def group_name(name: str) -> str:
    """The group's name, as the sign-in service writes it. Raises ServeError for no name."""
    name = name.strip()
    if not name or len(name) > 256 or not name.isprintable():
        raise ServeError(f"{name!r} cannot be a group's name; expected up to 256 printable letters")
    return name


def grantee(name: str) -> str:
    """What access can be granted to, as it is stored. Raises ServeError for anything else."""
    if name == EVERYONE:
        return name
    kind, colon, rest = name.partition(":")
    if colon and kind == "user":
        return f"user:{user_name(rest)}"
    if colon and kind == "group":
        return f"group:{group_name(rest)}"
    raise ServeError(f"{name!r}: expected user:NAME, group:NAME or {EVERYONE}")


def check_role(role: str) -> Role:
    """The role. Raises ServeError where there is none of that name."""
    for known in ROLES:
        if role == known:
            return known
    raise ServeError(f"there is no role {role!r}; expected one of {', '.join(ROLES)}")


def least(*roles: Role) -> Role:
    """The role of these that may do least."""
    return min(roles, key=ROLES.index)
