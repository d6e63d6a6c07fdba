"""One file to one Document, in this process; callers who do not trust the file use the sandbox."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DocumentError, UnsupportedFormat
from ..records import Block, Document, MetadataValue
from .compose import squeeze
from .decode import usable
from .detect import ARCHIVES, PICTURES, detect
from .folders import check_file, hash_file, open_file, unreadable
from .parsed import ParsedText

if TYPE_CHECKING:
    from .ocr import Recogniser

# Each takes the file's bytes and its name. PDF and mail take more; see `parse`.
PARSERS = {
    "code": "code:parse",
    "csv": "plain:parse_csv",
    "docx": "docx:parse",
    "epub": "epub:parse",
    "html": "html:parse",
    "json": "json_records:parse",
    "md": "markdown:parse",
    "odp": "odf:parse",
    "ods": "odf:parse",
    "odt": "odf:parse",
    "pptx": "pptx:parse",
    "rst": "rst:parse",
    "rtf": "rtf:parse",
    "txt": "plain:parse_text",
    "xls": "legacy:parse_xls",
    "xlsx": "xlsx:parse",
}

_YEAR_OR_MONTH = re.compile(r"\d{4}(?:-\d\d)?")
_WORD = re.compile(r"\w")
_LONGEST_TITLE = 1_000  # characters; a title is indexed with every passage of its document
_SAMPLE = 1_500  # characters at the start, in the middle and at the end tell the language


@dataclass(slots=True)
class Unpacking:
    """What may still be taken out of one file's archives, whatever lies inside what."""

    members: int = 10_000
    bytes: int = 512 << 20
    depth: int = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file may be, the password for a locked one, and who reads pictures of text."""

    max_bytes: int
    password: str | None = None
    recogniser: Recogniser | None = None
    unpacking: Unpacking = field(default_factory=Unpacking)


def read_document(path: Path, limits: Limits) -> Document:
    """Read, recognise and parse one file.

    Raises DocumentError or a child of it that says why without naming the file; one that changes
    while it is read is refused, so a document is never a mixture of two versions.
    """
    # Python keeps bytes that are no UTF-8 as lone surrogates; parsers take only real text.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    try:
        with open_file(path) as stream:
            before = os.fstat(stream.fileno())
            check_file(before, limits.max_bytes)
            data = stream.read()
            if data is None:  # a file of the system that waits for something
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        sha256 = hashlib.sha256(data).hexdigest()
        kind = recognise(data, name)
        if kind == "pdf" and _is_text(path):
            del data  # it is read from its path, page by page
            parsed = _parse_pdf(path, limits)
        else:
            parsed = parse(kind, data, name, limits)
        same = _identity(before) == _identity(path.stat())
    except OSError as e:
        raise unreadable(path, e) from e
    if not same or (kind == "pdf" and hash_file(path) != sha256):
        raise DocumentError("changed while it was being read; add it again")
    return _document(parsed, path, kind, before.st_size, sha256, _moment(before.st_mtime))


def from_text(text: str, name: str, *, title: str | None = None) -> Document:
    """Text that comes from no file, as the document that a text file of it would be.

    Its characters keep their places. Two of the same text and different names are two documents.
    """
    from .plain import text_blocks

    parsed = ParsedText(text=text, blocks=tuple(text_blocks(text)), title=title)
    data = text.encode("utf-8", "surrogatepass")
    sha256 = hashlib.sha256(name.encode("utf-8", "surrogatepass") + b"\0" + data).hexdigest()
    return replace(_document(parsed, Path(name), "txt", len(data), sha256, None), source=name)


def recognise(data: bytes, name: str) -> str:
    """The format of a file's bytes; raises DocumentError for an empty file."""
    if not data:
        raise DocumentError("is empty")
    return detect(data, name)


def parse(kind: str, data: bytes, name: str, limits: Limits, depth: int = 0) -> ParsedText:
    """The text in the bytes of a file of format `kind`, which lies inside `depth` others."""
    if kind == "pdf":
        with _as_path(data) as path:
            return _parse_pdf(path, limits)
    if kind == "eml":
        from .mail import parse as parse_mail

        return parse_mail(data, limits, depth)
    if kind == "msg":
        from .msg import parse as parse_message

        return parse_message(data, limits, depth)
    if kind in ARCHIVES:
        from .members import parse as parse_archive

        return parse_archive(data, kind, name, limits, depth)
    if kind in PICTURES:
        from .image import parse as parse_picture

        return parse_picture(data, kind, limits.recogniser)
    module, _, function = PARSERS[kind].partition(":")
    parser: Callable[[bytes, str], ParsedText] = getattr(
        importlib.import_module(f".{module}", __package__), function
    )
    return parser(data, name)


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _parse_pdf(path: Path, limits: Limits) -> ParsedText:
    from .pdf import parse_pdf

    return parse_pdf(path, password=limits.password, recogniser=limits.recogniser)


@contextmanager
def _as_path(data: bytes) -> Iterator[Path]:
    """A path under which `data` can be read. It lies in memory: parsers may not write files."""
    if not hasattr(os, "memfd_create"):
        raise UnsupportedFormat("is a PDF inside another file, which is read on Linux only")
    number = os.memfd_create("attachment")
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        yield Path(f"/proc/self/fd/{number}")


def _document(
    parsed: ParsedText, path: Path, kind: str, size: int, sha256: str, modified: str | None
) -> Document:
    text, replaced = usable(parsed.text)
    notes = list(parsed.notes)
    if replaced:
        notes.append(f"{replaced} control characters were replaced by spaces")
    if not text.strip():
        notes.append("no text was found in it")
    title = _line(parsed.title) or _first_heading(text, parsed.blocks)
    if title and len(title) > _LONGEST_TITLE:
        notes.append(f"its title has {len(title)} characters and is not taken for one")
        title = None
    return Document(
        text=text,
        source=str(path),
        format=kind,
        size=size,
        sha256=sha256,
        title=title,
        author=_line(parsed.author),
        created=_date(parsed.created, "created", notes),
        modified=_date(parsed.modified, "modified", notes) or modified,
        language=_two_letters(parsed.language) or _language(text),
        pages=parsed.pages,
        blocks=parsed.blocks,
        metadata={squeeze(usable(k)[0]): _value(v) for k, v in parsed.metadata.items()},
        notes=tuple(squeeze(usable(n)[0]) for n in notes),
    )


def _line(text: str | None) -> str | None:
    return (squeeze(usable(text)[0]) or None) if text else None


def _date(text: str | None, what: str, notes: list[str]) -> str | None:
    """A date in ISO 8601, and a note in its place where it is written otherwise."""
    line = _line(text)
    if line is None or _YEAR_OR_MONTH.fullmatch(line):
        return line
    try:
        datetime.fromisoformat(line)
    except ValueError:
        notes.append(f"the date it was {what} is not in ISO 8601: {line!r}")
        return None
    return line


def _moment(stamp: float) -> str | None:
    """A file's time in ISO 8601; None for the year 30,000, which a wrong clock may write."""
    try:
        return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def _value(value: MetadataValue) -> MetadataValue:
    return squeeze(usable(value)[0]) if isinstance(value, str) else value


def _first_heading(text: str, blocks: Sequence[Block]) -> str | None:
    for block in blocks:
        if block.kind == "heading":
            for line in text[block.start : block.end].split("\n"):
                if _WORD.search(line):
                    return line.strip("#").strip()
    return None


def _two_letters(tag: str | None) -> str | None:
    """ "es" for "es-ES"; None for what is no two-letter language."""
    main = (tag or "").strip().replace("_", "-").split("-")[0].lower()
    return main if len(main) == 2 and main.isascii() and main.isalpha() else None


def _language(text: str) -> str | None:
    from ..text.language import detect as detect_language

    if len(text) > 3 * _SAMPLE:  # a third of the time of parsing everything would go into more
        middle = len(text) // 2
        text = "\n".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))
    return detect_language(text)
