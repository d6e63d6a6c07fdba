"""Messages between the sandbox and its children: JSON, never code.

A frame is the length of a message in four bytes, most significant first, and that many bytes.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LENGTH = struct.Struct(">I")


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one frame."""
    # A path may hold bytes that are no UTF-8, which Python keeps as lone surrogates.
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes], most: int) -> dict[str, Any] | None:
    """Read one message of at most `most` bytes, waiting for it; None at the end of the stream."""
    buffer = bytearray()
    while (message := take(buffer, most)) is None:
        missing = _missing(buffer)
        data = stream.read(missing)
        if not data:
            return None
        buffer += data
    return message


def take(buffer: bytearray, most: int) -> dict[str, Any] | None:
    """Remove and return the first message in `buffer`; None while it is incomplete.

    Raises ValueError where it is longer than `most` bytes or no JSON object.
    """
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > most:
        raise ValueError(f"a message of {length} bytes; expected at most {most}")
    if _missing(buffer):
        return None
    body = bytes(buffer[_LENGTH.size : _LENGTH.size + length])
    del buffer[: _LENGTH.size + length]
    message = json.loads(body.decode("utf-8", "surrogatepass"))
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message


def _missing(buffer: bytearray) -> int:
    """How many bytes of the first message are still to come."""
    if len(buffer) < _LENGTH.size:
        return _LENGTH.size - len(buffer)
    return max(0, _LENGTH.size + int(_LENGTH.unpack_from(buffer)[0]) - len(buffer))
