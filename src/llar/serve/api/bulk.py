"""Large bodies and answers in pieces, so that small requests of others pass in between.

Reading and writing JSON holds Python's lock from beginning to end, in whatever thread it is done.
So what is read at once is bounded, and what is written is written piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic_core import to_json

from ...errors import TooLarge

__all__ = ["MOST_VALUES", "check_text", "check_values", "listed", "numbers"]

MOST_VALUES = 200_000  # numbers, texts, lists and objects of one body: reading them takes 50 ms
PART = 1 << 18  # bytes looked through at once
ROWS = 5_000  # numbers written at once


def check_values(data: bytes) -> None:
    """Raises TooLarge where JSON holds so many values that reading it would hold up others."""
    if len(data) <= MOST_VALUES:  # each takes a byte
        return
    most = sum(part.count(sign) for part in _parts(data) for sign in (b",", b"[", b"{"))
    if most < MOST_VALUES:  # those in texts included
        return
    found = _values(data)
    if found > MOST_VALUES:
        raise TooLarge(
            f"the request holds about {found} values (numbers, texts, lists, objects); at most "
            f"{MOST_VALUES} are taken at once"
        )


def check_text(value: Any, most: int) -> None:
    """Raises TooLarge where the texts in parsed JSON, pictures excepted, are longer together."""
    found = sum(len(text) for text in _texts(value) if not text.startswith("data:image/"))
    if found > most:
        raise TooLarge(
            f"the request holds {found} characters of text; at most {most} are taken (the setting "
            "text_limit)",
            fix=f"set LLAR_TEXT_LIMIT={found} or more",
        )


def listed(rows: Iterable[Any]) -> Iterator[bytes]:
    """A JSON list of these items, each written by itself; many numbers in a row together."""
    yield b"["
    for n, row in enumerate(rows):
        yield b"," + to_json(row) if n else to_json(row)
    yield b"]"


def numbers(found: Sequence[int]) -> bytes:
    """A JSON list of numbers."""
    parts = (to_json(found[at : at + ROWS])[1:-1] for at in range(0, len(found), ROWS))
    return b"[" + b",".join(parts) + b"]"


def _parts(data: bytes) -> Iterator[bytes]:
    """The bytes in parts that end in no escape sequence."""
    at = 0
    while at < len(data):
        end = at + PART
        while end < len(data) and data[end - 1] == 0x5C:  # a backslash
            end += 1
        yield data[at:end]
        at = end


def _values(data: bytes) -> int:
    """How many values JSON holds, from the signs outside of its texts."""
    found, inside = 1, False
    for part in _parts(data):
        pieces = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(pieces[1::2] if inside else pieces[::2])
        found += sum(outside.count(sign) for sign in (b",", b"[", b"{"))
        inside ^= len(pieces) % 2 == 0
    return found


def _texts(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
