"""E-mail messages: headers, the best body part, and what is attached."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ..errors import DocumentError, LimitExceeded
from .compose import Composer, cover, squeeze
from .decode import decode
from .html import parse_markup
from .parsed import ParsedText

if TYPE_CHECKING:
    from .reading import Limits

_DEEPEST = 3  # messages and documents inside each other
_MOST_PARTS = 1_000
_LARGEST = 100 << 20  # bytes of one attachment, decoded
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_FOLD = re.compile(r"\r?\n[ \t]+")


@dataclass(slots=True)
class _Contents:
    """The parts of a message, sorted by what is done with them."""

    plain: list[Message] = field(default_factory=list)
    html: list[Message] = field(default_factory=list)
    attached: list[Message] = field(default_factory=list)


def parse(data: bytes, limits: Limits, depth: int = 0) -> ParsedText:
    """Headers as metadata and as the head of the text, the body, then supported attachments.

    The plain text body is preferred to the HTML one. Each attachment is named in a note; one in
    a format llar reads follows under a heading of its name, up to `_DEEPEST` levels deep.
    """
    # The compat32 policy never fails on a header; the newer one raises on broken ones.
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    headers = {name: _header(message, name) for name in _HEADERS}
    if not any(headers.values()):
        raise DocumentError("is no e-mail: it has none of the usual headers")
    out = Composer()
    out.heading(headers["Subject"], 1)
    out.text("\n".join(f"{name}: {value}" for name, value in headers.items() if value))
    contents = _Contents()
    for part in _leaves(message):
        _sort(part, contents)
    notes: list[str] = []
    _write_body(contents, out, notes)
    for part in contents.attached:
        name = _file_name(part) or f"unnamed {part.get_content_type()}"
        write_attachment(name, _bytes(part), out, notes, limits, depth)
    text, blocks, _ = out.finish()
    metadata = {name.lower(): value for name, value in headers.items() if value}
    sent = _date(headers["Date"])
    if sent:
        metadata["date"] = sent
    elif headers["Date"]:
        notes.append(f"its date {headers['Date']!r} is no date")
    return ParsedText(
        text=text,
        blocks=blocks,
        title=headers["Subject"] or None,
        author=headers["From"] or None,
        created=sent,
        metadata=metadata,
        notes=tuple(notes),
    )


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold content, in order, not going into attached messages."""
    todo = [message]
    for _ in range(_MOST_PARTS):
        if not todo:
            return
        part = todo.pop()
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            todo.extend(p for p in reversed(payload) if isinstance(p, Message))
        else:
            yield part
    if todo:
        raise LimitExceeded(f"has more than {_MOST_PARTS} parts")


def _sort(part: Message, contents: _Contents) -> None:
    kind = part.get_content_type()
    attached = part.get_content_disposition() == "attachment" or _file_name(part) is not None
    if attached or kind == "message/rfc822":
        contents.attached.append(part)
    elif kind == "text/html":
        contents.html.append(part)
    elif part.get_content_maintype() in ("text", "multipart"):  # multipart: cut off or empty
        contents.plain.append(part)
    else:
        contents.attached.append(part)


def _write_body(contents: _Contents, out: Composer, notes: list[str]) -> None:
    bodies = [text for part in contents.plain if (text := _text(part, notes)).strip()]
    for text in bodies:
        blocks = cover(text, ())
        for block in blocks:
            out.text(text[block.start : block.end])
    if bodies:
        return
    for part in contents.html:
        parsed = parse_markup(_text(part, notes))
        out.append(parsed.text, parsed.blocks)


def _text(part: Message, notes: list[str]) -> str:
    text, told = decode(_bytes(part), part.get_content_charset())
    notes.extend(told)
    return text


def write_attachment(
    name: str,
    data: bytes,
    out: Composer,
    notes: list[str],
    limits: Limits,
    depth: int,
) -> None:
    """Add what is attached under its name as a heading, and a note on how that went."""
    from .reading import parse as parse_any
    from .reading import recognise

    shown = f"attachment {name!r} ({len(data)} bytes)"
    try:
        if len(data) > _LARGEST:
            raise LimitExceeded(f"has {len(data) >> 20} MiB; at most {_LARGEST >> 20} are read")
        kind = recognise(data, name)
        if depth + 1 >= _DEEPEST:
            raise LimitExceeded("lies too many files deep")
        parsed = parse_any(kind, data, name, limits, depth + 1)
    except DocumentError as e:
        notes.append(f"{shown} was not read: {e.message}")
        return
    notes.append(f"{shown} was read as {kind}")
    notes.extend(f"{name}: {note}" for note in parsed.notes)
    out.heading(name, 1)
    out.append(parsed.text, parsed.blocks)


def _bytes(part: Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):  # an attached message
        return b"\n".join(inner.as_bytes() for inner in payload if isinstance(inner, Message))
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, MessageError) as e:
        raise DocumentError(f"has a part whose transfer encoding is broken ({e})") from e
    return data if isinstance(data, bytes) else b""


def _file_name(part: Message) -> str | None:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError, IndexError):  # broken parameters
        return "attachment"
    return squeeze(_decoded(name)) or None if name else None


def _header(message: Message, name: str) -> str:
    values = message.get_all(name) or []
    return squeeze(", ".join(_decoded(str(value)) for value in values))


def _decoded(value: str) -> str:
    """A header with its encoded words resolved; as it stands where they are broken."""
    value = _FOLD.sub(" ", value)
    # Bytes that are no ASCII arrive as lone surrogates.
    raw = value.encode("utf-8", "surrogateescape")
    if not raw.isascii():
        value = decode(raw)[0]
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return value
    return "".join(
        decode(part, charset)[0] if isinstance(part, bytes) else part for part, charset in parts
    )


def _date(value: str) -> str | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:  # "-0000": the time is UTC, the place unknown
        moment = moment.replace(tzinfo=UTC)
    return moment.isoformat()
