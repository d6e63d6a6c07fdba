"""Passwords: which are good enough, and how they are kept.

Kept as scrypt (RFC 7914) with a salt each and the parameters beside it. The parameters are
among those that OWASP's Password Storage Cheat Sheet holds equal to N=2^17, r=8, p=1; this one
takes 32 MiB, so that a few sign-ins at once do not fill a server. Lengths and what is refused
follow NIST SP 800-63B-4, section 3.1.1.2: 15 characters where nothing but a password is asked,
no rules on their kinds, no change on a date.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
import unicodedata
from itertools import pairwise

from ...errors import ServeError

SHORTEST = 15  # characters
LONGEST = 1024  # bytes; enough for any phrase, and no work for nothing

_N, _R, _P = 2**15, 8, 3
_MEMORY = 64 * 2**20
_AT_ONCE = threading.Semaphore(2)  # so that guessing takes neither all memory nor all cores


def check_new(password: str, name: str) -> None:
    """Raises ServeError where a password is too short, too long or easily guessed."""
    text = unicodedata.normalize("NFKC", password)
    if len(text) < SHORTEST:
        raise ServeError(
            f"the password has {len(text)} characters; expected at least {SHORTEST}"
            " (a few unrelated words are easy to remember)"
        )
    if len(text.encode()) > LONGEST:
        raise ServeError(f"the password is longer than {LONGEST} bytes")
    rest = text.casefold().replace(name.casefold(), "").replace("llar", "")
    if _is_repeated(text) or _is_row(text) or len(rest) < SHORTEST // 2:
        raise ServeError(
            "the password is easily guessed: it repeats itself, counts up or down, or is little"
            " more than the user's name"
        )


def hashed(password: str) -> str:
    """What is stored of a password."""
    salt = os.urandom(16)
    digest = _scrypt(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(digest)}"


def matches(password: str, stored: str | None) -> bool:
    """Is it this password? Takes as long where nothing is stored as where something is."""
    _, n, r, p, salt, digest = (stored or _NOBODY).split("$")
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        return False
    found = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest)) and stored is not None


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    with _AT_ONCE:
        return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _is_repeated(text: str) -> bool:
    """Is it one to five characters, over and over?"""
    return any(text == (text[:n] * len(text))[: len(text)] for n in range(1, 6))


def _is_row(text: str) -> bool:
    """Do its characters count up or down, as in 123456789012345?"""
    steps = {(ord(b) - ord(a)) % 10 for a, b in pairwise(text)}
    return len(steps) == 1 and steps <= {1, 9}


# For users who are not there: the work is the same, and no password fits.
_NOBODY = f"scrypt${_N}${_R}${_P}${_text(bytes(16))}${_text(bytes(32))}"
