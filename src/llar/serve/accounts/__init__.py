"""Users, keys, roles, sessions and who may read what.

A collection without grants is read by admins only: a town hall's papers are nobody else's
until somebody says so. What somebody may do with a collection is the lesser of their role and of
what was granted: a reader reads, an editor also edits the collections granted for editing, and
an admin does everything, making and deleting collections included.
"""

from __future__ import annotations

from .accounts import Accounts
from .records import EVERYONE, Access, Grant, Key, Session, User
from .start import check_start, is_loopback

__all__ = [
    "EVERYONE",
    "Access",
    "Accounts",
    "Grant",
    "Key",
    "Session",
    "User",
    "check_start",
    "is_loopback",
]
