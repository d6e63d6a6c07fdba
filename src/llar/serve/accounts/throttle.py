"""Guessing passwords made slow: per user and per address, and a restart does not forget.

A try is counted before the password is looked at, in one transaction, so that many tries at
once count as many. After `login_tries` in a row the next must wait 1 s, then 2, 4 ... at most
15 minutes. One address may be a whole building behind one router: it may err ten times as
often. What was counted is forgotten after a day without a wrong password.
"""

from __future__ import annotations

import ipaddress
import math
import sqlite3
import time

from ...errors import Overloaded
from .database import Database

LONGEST = 15 * 60.0  # seconds
FORGOTTEN = 24 * 3600.0  # seconds
BUILDING = 10  # how much oftener an address may err than a user


def count_try(database: Database, user: str, address: str, tries: int) -> None:
    """Count a try before its password is looked at. Raises Overloaded where it comes too soon."""
    wait = 0.0
    with database.write() as connection:
        now = time.time()  # after those who were faster
        forget(connection)
        names = _names(user, address, tries)
        for name, allowed in names:
            found = connection.execute(
                "SELECT count, last FROM failures WHERE name = ?", (name,)
            ).fetchone()
            if found and found["count"] >= allowed:
                pause = min(LONGEST, 2.0 ** min(found["count"] - allowed, 20))
                wait = max(wait, found["last"] + pause - now)
        if wait <= 0:
            connection.executemany(
                "INSERT INTO failures VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE"
                " SET count = count + 1, last = excluded.last",
                [(name, now) for name, _ in names],
            )
    if wait > 0:
        seconds = max(1, math.ceil(wait))
        raise Overloaded(f"too many wrong passwords; try again in {seconds} s", retry_after=seconds)


def right(database: Database, user: str, address: str) -> None:
    """The password was right: forget the user's wrong ones, and do not count this try.

    The address keeps its others: whoever guesses may have an account as well.
    """
    with database.write() as connection:
        (name, _), *place = _names(user, address, 1)
        connection.execute("DELETE FROM failures WHERE name = ?", (name,))
        for where, _ in place:
            connection.execute("UPDATE failures SET count = count - 1 WHERE name = ?", (where,))


def forget(connection: sqlite3.Connection) -> None:
    """Drop what was counted a day ago and more."""
    connection.execute("DELETE FROM failures WHERE last < ?", (time.time() - FORGOTTEN,))


def _names(user: str, address: str, tries: int) -> list[tuple[str, int]]:
    """What a try is counted under, with how many are allowed before it is slowed."""
    names = [(f"user:{user}", tries)]
    if address:
        names.append((f"address:{network(address)}", tries * BUILDING))
    return names


def network(address: str) -> str:
    """The address, or of an IPv6 one the network of one customer, who has 2^64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
