"""Outlook messages (.msg): the same text from them as from an e-mail file.

Format: [MS-OXMSG] for the streams, [MS-OXPROPS] for the numbers of properties, [MS-OXRTFCP] for
compressed RTF.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..errors import DocumentError, LimitExceeded
from .compose import Composer, cover, squeeze
from .decode import decode
from .html import parse_markup
from .mail import write_attachment
from .parsed import ParsedText

if TYPE_CHECKING:
    from olefile import OleFileIO

    from .reading import Limits

_SUBJECT, _SENDER, _SENDER_MAIL, _SENDER_SMTP = 0x0037, 0x0C1A, 0x0C1F, 0x5D01
_TO, _CC = 0x0E04, 0x0E03
_SENT, _DELIVERED = 0x0039, 0x0E06
_PLAIN, _HTML, _RTF = 0x1000, 0x1013, 0x1009
_CODE_PAGE, _BODY_CODE_PAGE = 0x3FFD, 0x3FDE
_LONG_NAME, _SHORT_NAME, _SHOWN_NAME, _CONTENT = 0x3707, 0x3704, 0x3001, 0x3701
_DEEPEST = 3  # messages inside each other
_MOST_ATTACHMENTS = 1_000
_LARGEST = 100 << 20  # bytes of unpacked RTF
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, struct.error)

Path = list[str]


@dataclass(slots=True)
class _Folder:
    """One storage of the file with its properties: a message or an attachment."""

    ole: OleFileIO
    path: Path
    numbers: dict[int, bytes]  # property -> its eight bytes, of those of fixed size
    charset: str

    def text(self, tag: int) -> str:
        """A string property; empty where there is none."""
        wide = self.raw(tag, 0x001F)
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self.raw(tag, 0x001E)
        return decode(narrow.rstrip(b"\0"), self.charset)[0] if narrow else ""

    def raw(self, tag: int, kind: int) -> bytes | None:
        """The stream of a property; None where there is none."""
        place = [*self.path, f"__substg1.0_{tag:04X}{kind:04X}"]
        if not self.ole.exists(place) or self.ole.get_type(place) != 2:
            return None
        return bytes(self.ole.openstream(place).read())

    def moment(self, tag: int) -> str | None:
        """A date property as ISO 8601 in UTC."""
        value = self.numbers.get(tag)
        ticks = int.from_bytes(value, "little") if value else 0
        if not 0 < ticks < 2**61:
            return None
        whole = (_EPOCH + timedelta(microseconds=ticks // 10)).replace(microsecond=0)
        return whole.isoformat()


def parse(data: bytes, limits: Limits, depth: int = 0) -> ParsedText:
    """Headers, body and attachments; the plain body, else the HTML one, else the rich one.

    Raises DocumentError for a damaged file.
    """
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            return _message(_folder(ole, [], 32, "cp1252"), limits, depth)
    except _DAMAGE as e:
        raise DocumentError(f"is a damaged Outlook message ({e})") from e


def unpack_rtf(data: bytes) -> bytes:
    """Compressed RTF as plain RTF ([MS-OXRTFCP] 2.2: a dictionary of 4096 bytes, in a ring)."""
    size, raw_size, kind, _ = struct.unpack_from("<IIII", data)
    if raw_size > _LARGEST:
        raise LimitExceeded(f"holds {raw_size >> 20} MiB of text")
    if kind == 0x414C454D:  # "MELA": not compressed
        return data[16 : 16 + raw_size]
    if kind != 0x75465A4C:  # "LZFu"
        raise DocumentError("has a text that is packed in an unknown way")
    ring = bytearray(_RTF_START.ljust(4096, b"\0"))
    write = len(_RTF_START)
    out = bytearray()
    for token in _tokens(data[16 : size + 4]):
        if isinstance(token, bytes):
            piece = token
        else:
            start, length = token >> 4, (token & 15) + 2
            if start == write:  # how the end is marked
                break
            piece = _from_ring(ring, start, write, length)
        for byte in piece:
            ring[write] = byte
            write = (write + 1) & 4095
        out += piece
        if len(out) > raw_size:
            break
    return bytes(out[:raw_size])


def _tokens(data: bytes) -> Iterator[bytes | int]:
    """Single bytes, and numbers that point into the ring; a byte says of each eight which."""
    position = 0
    while position < len(data):
        control = data[position]
        position += 1
        for bit in range(8):
            length = 2 if control >> bit & 1 else 1
            piece = data[position : position + length]
            if len(piece) < length:
                return
            position += length
            yield int.from_bytes(piece, "big") if length == 2 else piece


def _from_ring(ring: bytearray, start: int, write: int, length: int) -> bytes:
    """A run out of the ring; it may reach into what it writes itself."""
    piece = bytearray()
    for i in range(length):
        place = (start + i) & 4095
        ahead = (place - write) & 4095
        piece.append(piece[ahead] if ahead < i else ring[place])
    return bytes(piece)


_RTF_START = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def _folder(ole: OleFileIO, path: Path, header: int, charset: str) -> _Folder:
    numbers: dict[int, bytes] = {}
    place = [*path, "__properties_version1.0"]
    if ole.exists(place):
        stream = bytes(ole.openstream(place).read())
        for offset in range(header, len(stream) - 15, 16):
            numbers[int.from_bytes(stream[offset + 2 : offset + 4], "little")] = stream[
                offset + 8 : offset + 16
            ]
    page = int.from_bytes(numbers.get(_CODE_PAGE, b"")[:4], "little")
    return _Folder(ole, path, numbers, _codec(page) or charset)


def _codec(page: int) -> str | None:
    """Python's name of a Windows code page."""
    named = {65001: "utf-8", 28591: "cp1252", 20127: "cp1252", 1200: "utf-16-le", 20866: "koi8-r"}
    if not page:
        return None
    if 28592 <= page <= 28605:
        return f"iso8859-{page - 28590}"
    return named.get(page, f"cp{page}")


def _message(folder: _Folder, limits: Limits, depth: int) -> ParsedText:
    headers = {
        "From": _sender(folder),
        "To": squeeze(folder.text(_TO)),
        "Cc": squeeze(folder.text(_CC)),
        "Date": folder.moment(_SENT) or folder.moment(_DELIVERED) or "",
        "Subject": squeeze(folder.text(_SUBJECT)),
    }
    out = Composer()
    out.heading(headers["Subject"], 1)
    out.text("\n".join(f"{name}: {value}" for name, value in headers.items() if value))
    notes: list[str] = []
    _write_body(folder, out, notes)
    _write_attachments(folder, out, notes, limits, depth)
    text, blocks, _ = out.finish()
    if not text:
        raise DocumentError("is no Outlook message with anything to read")
    return ParsedText(
        text,
        blocks,
        title=headers["Subject"] or None,
        author=headers["From"] or None,
        created=headers["Date"] or None,
        metadata={name.lower(): value for name, value in headers.items() if value},
        notes=tuple(notes),
    )


def _sender(folder: _Folder) -> str:
    name = squeeze(folder.text(_SENDER))
    address = squeeze(folder.text(_SENDER_SMTP) or folder.text(_SENDER_MAIL))
    if "@" not in address:  # an address inside an Exchange server, which tells people nothing
        return name
    return f"{name} <{address}>" if name and name != address else address


def _write_body(folder: _Folder, out: Composer, notes: list[str]) -> None:
    plain = folder.text(_PLAIN)
    if plain.strip():
        text, told = decode(plain.encode("utf-8", "replace"))
        notes.extend(told)
        for block in cover(text, ()):
            out.text(text[block.start : block.end])
        return
    html = folder.raw(_HTML, 0x0102)
    if html is not None:
        page = int.from_bytes(folder.numbers.get(_BODY_CODE_PAGE, b"")[:4], "little")
        markup, told = decode(html, _codec(page))
        notes.extend(told)
    else:
        markup = folder.text(_HTML)
    if markup.strip():
        parsed = parse_markup(markup)
    else:
        packed = folder.raw(_RTF, 0x0102)
        if packed is None:
            return
        from .rtf import parse as parse_rtf

        parsed = parse_rtf(unpack_rtf(packed), "body.rtf")
    notes.extend(parsed.notes)
    out.append(parsed.text, parsed.blocks)


def _write_attachments(
    folder: _Folder, out: Composer, notes: list[str], limits: Limits, depth: int
) -> None:
    ole, level = folder.ole, len(folder.path)
    names = sorted(
        {
            entry[level]
            for entry in ole.listdir(streams=True, storages=True)
            if entry[:level] == folder.path
            and len(entry) > level
            and entry[level].startswith("__attach_version1.0_")
        }
    )
    if len(names) > _MOST_ATTACHMENTS:
        raise LimitExceeded(f"has more than {_MOST_ATTACHMENTS} attachments")
    for storage in names:
        held = _folder(ole, [*folder.path, storage], 8, folder.charset)
        name = squeeze(held.text(_LONG_NAME) or held.text(_SHORT_NAME) or held.text(_SHOWN_NAME))
        inner = [*held.path, f"__substg1.0_{_CONTENT:04X}000D"]
        if ole.exists(inner):
            _write_inner(_folder(ole, inner, 24, folder.charset), name, out, notes, limits, depth)
            continue
        data = held.raw(_CONTENT, 0x0102)
        if data is None:
            notes.append(f"attachment {name!r} was not read: it is a link or empty")
        else:
            write_attachment(name or "unnamed", data, out, notes, limits, depth)


def _write_inner(
    folder: _Folder, name: str, out: Composer, notes: list[str], limits: Limits, depth: int
) -> None:
    """A message attached to a message, which lies in the same file."""
    name = name or "attached message"
    try:
        if depth + 1 >= _DEEPEST:
            raise LimitExceeded("lies too many files deep")
        parsed = _message(folder, limits, depth + 1)
    except DocumentError as e:
        notes.append(f"attachment {name!r} was not read: {e.message}")
        return
    notes.append(f"attachment {name!r} was read as msg")
    notes.extend(f"{name}: {note}" for note in parsed.notes)
    out.heading(name, 1)
    out.append(parsed.text, parsed.blocks)
