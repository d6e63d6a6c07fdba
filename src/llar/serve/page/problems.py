"""What went wrong, in the reader's language."""

from __future__ import annotations

import re

from ...errors import LlarError
from .words import texts, words

_FILES = (  # how the reason that a file was not read begins or goes on -> its text
    (re.compile(r"is (an e-book with copy|.*\b(locked|encrypted)\b)"), "file_locked"),
    (re.compile(r"is empty|holds only zero bytes"), "file_empty"),
    (re.compile(r".*declares? entities, which are never expanded"), "file_entities"),
    (re.compile(r"is named (?P<suffix>\S+) but holds nothing of that kind"), "file_named"),
    (re.compile(r".*of no kind llar reads"), "file_unknown"),
    (re.compile(r"is (a )?damaged|is no PDF that can be read"
                r"|.*(is not well-formed XML|its part .* is damaged)"),
     "file_damaged"),
    (re.compile(r".*(at most .* (are|is) (read|indexed)|needs more than|unpacks to|is nested|"
                r"took longer than|holds more files|has more than)"), "file_large"),
)  # fmt: skip


def said(error: Exception, language: str, *, admin: bool) -> tuple[str, str, str]:
    """What to tell about an error, its exact words, and what mends it; "" for what is not told.

    An error of ours tells itself, but in English. In another language its kind is told, and its
    own words below. What mends it is a command for the machine: for admins only. An error that
    is not ours is only named: its text is for the log.
    """
    if not isinstance(error, LlarError):
        return words("frame", language)("broken"), "", ""
    fix = (error.fix or "") if admin else ""
    if language == "en":
        return error.message, "", fix
    known = texts("problems")
    kind = next(c.__name__ for c in type(error).__mro__ if c.__name__ in known)
    return known[kind][language], error.message, fix


def unreadable(reason: str, language: str) -> str:
    """Why a file could not be read: a sentence; what has no translation is in brackets."""
    say = words("problems", language)
    for pattern, key in _FILES:
        if found := pattern.match(reason):
            return say(key, reason=reason, **found.groupdict())
    return say("file_other", reason=reason)
