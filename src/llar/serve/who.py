"""Who is asking: the identity that every request has, and what its role may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import Forbidden

Role = Literal["reader", "editor", "admin"]
Via = Literal["local", "session", "key", "oidc", "proxy"]
ROLES: tuple[Role, ...] = ("reader", "editor", "admin")  # each may do what those before it may


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as one request sees them.

    `names` is what access to collections and documents is granted to: "user:NAME" and one
    "group:NAME" for each group. An admin may read everything.
    """

    user: str
    role: Role
    groups: frozenset[str] = frozenset()
    via: Via = "session"
    session: str = ""  # id of the session or key it came by, for ending it
    collections: frozenset[str] | None = None  # those a limited key may reach; None: no limit
    address: str = field(default="", compare=False)  # where the request came from

    @property
    def names(self) -> frozenset[str]:
        """The names that access may be granted to."""
        return frozenset({f"user:{self.user}", *(f"group:{g}" for g in self.groups)})

    @property
    def is_admin(self) -> bool:
        """May it do everything?"""
        return self.role == "admin"

    def require(self, role: Role) -> None:
        """Raises Forbidden where it has not at least this role."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise Forbidden(f"{self.user!r} is {self.role}; this needs the role {role!r}")


LOCAL = Identity("local", "admin", via="local")  # whoever is at this machine, without accounts
