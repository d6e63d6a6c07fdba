"""Archives of documents (zip, tar, gz, bz2, xz, mbox): one document with a heading per member.

An archive is one file, so it is one document: adding, moving and removing treat it as they treat
any file, and what was read from it goes when it goes. The name of a member is never used as a
path; it is only shown.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

from ..errors import DocumentError, LimitExceeded, LockedDocument
from .compose import Composer, squeeze
from .decode import usable
from .folders import is_ignored
from .parsed import ParsedText
from .zipped import REMEDY, open_zip

if TYPE_CHECKING:
    from .reading import Limits

_MOST_RATIO = 1_000  # unpacked to packed; text repeats itself less
_RATIO_FROM = 64 << 20  # bytes; what unpacks to less cannot hurt, whatever its ratio
_LISTED = 50  # members that could not be read, named one by one
_OPEN: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
_SENDER = re.compile(rb"(?m)^From [^\r\n]*\r?\n")
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError,
    OSError, NotImplementedError, ValueError,
)  # fmt: skip


@dataclass(slots=True)
class _Member:
    """One file in an archive: what it is called there, and its bytes or why there are none."""

    name: str
    data: bytes = b""
    error: DocumentError | None = None


def parse(data: bytes, kind: str, name: str, limits: Limits, depth: int) -> ParsedText:
    """Every member that can be read, under a heading of its path; a note for each that cannot.

    `limits.unpacking` bounds the number, the size and the depth of all that one file holds, and
    nothing is unpacked beyond it. Raises LimitExceeded where an archive lies too deep, and
    DocumentError where it is damaged from the start or nothing in it can be read.
    """
    if depth >= limits.unpacking.depth:
        raise LimitExceeded(
            f"lies more than {limits.unpacking.depth} archives deep", fix="set archive_depth higher"
        )
    out = Composer()
    read = 0
    told: list[str] = []
    failed: list[str] = []
    try:
        for member in _members(data, kind, name, limits):
            shown = squeeze(usable(member.name)[0]) or "unnamed"
            parsed = _read(member, shown, limits, depth, failed)
            if parsed is None:
                continue
            read += 1
            out.heading(shown, 1)
            out.append(parsed.text, parsed.blocks)
            told += [f"{shown}: {note}" for note in parsed.notes]
    except _DAMAGE as e:
        if not read and not failed:
            raise DocumentError(f"is a damaged {kind} archive ({e})") from e
        failed.append(f"the rest of the {kind} archive is damaged ({e})")
    except LimitExceeded as e:
        if not read:
            raise
        failed.append(f"the rest of the archive was not read: {e.message}")
    if failed and not read:
        raise DocumentError(f"holds nothing that can be read ({failed[0]})")
    if len(failed) > _LISTED:
        failed[_LISTED:] = [f"{len(failed) - _LISTED} more files were not read"]
    text, blocks, _ = out.finish()
    metadata = {"members": read}
    return ParsedText(text, blocks, metadata=metadata, notes=tuple(failed + told))


def _read(
    member: _Member, shown: str, limits: Limits, depth: int, failed: list[str]
) -> ParsedText | None:
    from .reading import parse as parse_any
    from .reading import recognise

    try:
        if member.error is not None:
            raise member.error
        return parse_any(
            recognise(member.data, shown), member.data, PurePath(shown).name, limits, depth + 1
        )
    except DocumentError as e:
        failed.append(f"{shown!r} was not read: {e.message}")
        return None


def _members(data: bytes, kind: str, name: str, limits: Limits) -> Iterator[_Member]:
    if kind == "zip":
        yield from _in_zip(data, limits)
    elif kind == "mbox":
        yield from _in_mailbox(data, limits)
    elif kind == "tar":
        yield from _in_tar(io.BytesIO(data), len(data), limits)
    else:
        yield from _in_stream(data, kind, name, limits)


def _in_zip(data: bytes, limits: Limits) -> Iterator[_Member]:
    password = limits.password.encode() if limits.password is not None else None
    with open_zip(data) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or _is_passed_over(entry.filename):
                continue
            _count(limits)
            if entry.flag_bits & 1 and password is None:
                error = LockedDocument(f"is locked with a password ({REMEDY})")
                yield _Member(entry.filename, error=error)
                continue
            try:
                with archive.open(entry, pwd=password) as stream:
                    member = _Member(entry.filename, _take(stream, entry.compress_size, limits))
            except RuntimeError:  # zipfile's word for the wrong password
                error = LockedDocument("is locked, and the given password does not open it")
                member = _Member(entry.filename, error=error)
            except NotImplementedError as e:
                member = _Member(
                    entry.filename, error=DocumentError(f"is packed in a way unknown here ({e})")
                )
            except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as e:
                member = _Member(entry.filename, error=DocumentError(f"is damaged ({e})"))
            yield member


def _in_tar(stream: IO[bytes], packed: int, limits: Limits) -> Iterator[_Member]:
    # "r|" reads forward only: no member can point back into the archive.
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            if not entry.isfile() or _is_passed_over(entry.name):
                continue
            _count(limits)
            content = archive.extractfile(entry)
            if content is not None:
                yield _Member(entry.name, _take(content, packed, limits))


def _in_stream(data: bytes, kind: str, name: str, limits: Limits) -> Iterator[_Member]:
    """What a compressed file holds: the members of a tar archive, or the one file it is."""
    opened: IO[bytes] = _OPEN[kind](io.BytesIO(data))
    with opened as stream:
        head = stream.read(512)
        if head.startswith(b"ustar", 257):
            stream.seek(0)
            yield from _in_tar(stream, len(data), limits)
            return
        stream.seek(0)
        _count(limits)
        yield _Member(PurePath(name).stem, _take(stream, len(data), limits))


def _in_mailbox(data: bytes, limits: Limits) -> Iterator[_Member]:
    """The messages between lines that begin with "From " behind an empty line (RFC 4155)."""
    starts = [
        m for m in _SENDER.finditer(data)
        if m.start() == 0 or data[max(0, m.start() - 2) : m.start()] in (b"\n\n", b"\r\n")
    ]  # fmt: skip
    for number, start in enumerate(starts, 1):
        _count(limits)
        end = starts[number].start() if number < len(starts) else len(data)
        body = data[start.end() : end]
        _spend(limits, len(body))
        # Lines of a message that begin like that were written with a ">" in front.
        yield _Member(f"message {number}", re.sub(rb"(?m)^>(>*From )", rb"\1", body))


def _is_passed_over(name: str) -> bool:
    """Hidden files and what macOS adds, as in folders."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return not parts or parts[0] == "__MACOSX" or any(is_ignored(part) for part in parts)


def _count(limits: Limits) -> None:
    if not limits.unpacking.members:
        raise LimitExceeded("holds more files than archive_members allows")
    limits.unpacking.members -= 1


def _spend(limits: Limits, size: int) -> None:
    if size > limits.unpacking.bytes:
        raise LimitExceeded("unpacks to more than archive_mb allows")
    limits.unpacking.bytes -= size


def _take(stream: IO[bytes], packed: int, limits: Limits) -> bytes:
    """A member's bytes; never unpacks more than is allowed."""
    data = stream.read(limits.unpacking.bytes + 1)
    _spend(limits, len(data))
    if len(data) > _RATIO_FROM and len(data) > _MOST_RATIO * max(1, packed):
        raise LimitExceeded(f"unpacks to {len(data) // max(1, packed)} times its size, as bombs do")
    return data
