"""Who may read a document: the metadata key `readers` of its files, and the reader who asks.

`readers` is text: names such as "user:eva" and "group:hr", separated by commas or semicolons, or
"everyone". Of lists joined by "&" each must hold the reader. A file without the key may be read by
everyone who may read its collection. A value that cannot be understood lets only those in who may
read everything: a slip of the keyboard must never open a file.

Files of equal content share one document, which is shown with the paths and metadata of those of
its files that the reader may see. One trace of the others is left: passages of source code are
found by, and headed with, the name of the first file that had their content.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import QueryError

KEY = "readers"
EVERYONE = "everyone"
FORM = "expected user:NAME or group:NAME, several separated by commas, or everyone"

_NAME = re.compile(r"(user|group):\S(.*\S)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: the names that access is granted to, "user:eva" and "group:hr".

    With `everything` nothing is hidden. `collections` are the others that a search may look into
    (the step `intent` does); none unless they are named. `told` gives what turns the paths of
    files into those that the reader may be told; as they are, unless somebody says otherwise.
    """

    names: frozenset[str]
    everything: bool = False
    collections: frozenset[str] = frozenset()
    told: Callable[[], Callable[[str], str]] = field(default=lambda: str, compare=False)

    def may_read(self, metadata: Mapping[str, Any]) -> bool:
        """May it read a file with this metadata?"""
        if self.everything:
            return True
        return all(allowed(value, self.names) for value in _values(metadata))


def reader(names: str) -> Reader:
    """The reader with these names, separated as in `readers`. Raises QueryError for odd ones."""
    [found] = understood(names.replace("&", ","))
    return Reader(found - {EVERYONE})


def allowed(value: Any, names: frozenset[str]) -> bool:
    """Does this value of `readers` let one of these names in?"""
    try:
        lists = understood(value)
    except QueryError:
        return False
    return all(EVERYONE in each or bool(each & names) for each in lists)


def understood(value: Any) -> list[frozenset[str]]:
    """The lists of names in a value of `readers`. Raises QueryError for one that is none."""
    lists: list[frozenset[str]] = []
    for part in value.split("&") if isinstance(value, str) else [""]:
        names = frozenset(_folded(name.strip()) for name in re.split("[,;]", part))
        if not all(name == EVERYONE or _NAME.fullmatch(name) for name in names):
            raise QueryError(f"{KEY} {value!r} cannot be understood: {FORM}")
        lists.append(names)
    return lists


def _folded(name: str) -> str:
    """A user's name as accounts keep it, the same for all ways to write it; others as they are."""
    user = name.startswith("user:")
    return unicodedata.normalize("NFKC", name).casefold() if user else name


def check(metadata: Mapping[str, Any]) -> None:
    """Raises QueryError where metadata that somebody gives would lock everybody out."""
    for value in _values(metadata):
        understood(value)


def given(metadata: Mapping[str, Any]) -> bool:
    """Does metadata say who may read a file?"""
    return next(_values(metadata), None) is not None


def kept(before: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What stays of who may read a file that is read anew: it may narrow that, never widen it.

    `before` is its metadata until now, `own` what the file itself says now.
    """
    held = [str(value) for value in _values(before)]
    said = [str(v) for v in _values(own) if not any(str(v) in h.split(" & ") for h in held)]
    return {KEY: " & ".join([*held, *said])} if held else {}


def _values(metadata: Mapping[str, Any]) -> Iterator[Any]:
    """The values under the key, however its letters are written."""
    return (value for key, value in metadata.items() if key.strip().casefold() == KEY)
