"""Files that people send: named safely, written durably, kept where their bytes can be had again.

`server/uploads/COLLECTION/...` holds the files that are indexed, each under the name it was sent
with. What has arrived but is not indexed yet lies in `server/uploads/.staged`, so that a new
version takes the old one's place only when it could be read.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..documents.folders import is_ignored
from ..errors import Conflict, NotThere, Overloaded, QueryError, ServeError, TooLarge

STAGED = ".staged"
SPARE = 512 << 20  # bytes that stay free on the disk
_PART = 240  # bytes of one folder's or file's name, of 255 that file systems take
_PATH = 2_000  # bytes of the whole name
_DEPTH = 32  # folders inside each other
_PIECE = 1 << 20
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def safe_name(name: str) -> str:
    """A file's name with its folders as it may be stored: relative, `/` between, in NFC.

    Raises QueryError, saying why, for one that could lead elsewhere, that some system reads as a
    device, that hides what it is, or that is left out of a collection.
    """
    said = repr(name if len(name) <= 100 else name[:100] + "...")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise QueryError(f"the file name {said} is not valid UTF-8") from None
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise QueryError(f"the file name {said} must be relative")
    parts = path.split("/")
    why = _wrong(path, parts, size)
    for part in parts:
        why = why or _wrong_part(part)
    if why:
        raise QueryError(f"the file name {said} {why}")
    return path


def _wrong(path: str, parts: list[str], size: int) -> str:
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") or c in _TURNING for c in path):
        return "holds control characters"
    if size > _PATH or len(path.encode()) > _PATH:
        return f"has {size} bytes; at most {_PATH} are taken"
    if len(parts) > _DEPTH:
        return f"has {len(parts)} parts; at most {_DEPTH} are taken"
    return ""


def _wrong_part(part: str) -> str:
    if part in ("", ".", ".."):
        return "has an empty part, '.' or '..' in it"
    if len(part.encode()) > _PART:
        return f"has a part of {len(part.encode())} bytes; at most {_PART} are taken"
    if _DEVICE.fullmatch(part):
        return f"names a device ({part!r})"
    if part != part.strip() or part.endswith("."):
        return f"has a part that begins or ends with a space or dot ({part!r})"
    if is_ignored(part):
        return f"is of a hidden or temporary file ({part!r}), which are left out of collections"
    return ""


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that arrived whole and is on disk. `place` is its name among the staged ones."""

    place: str
    size: int
    sha256: str


class Incoming:
    """A file as it arrives. `finish` makes it durable; without it, `discard` removes it.

    Not safe to use from several threads at once.
    """

    def __init__(self, folder: Path, name: str, most: int, *, spare: int = SPARE) -> None:
        """At most `most` bytes are taken, and `spare` bytes of the disk stay free."""
        self._most, self._spare = most, spare
        suffix = PurePosixPath(name).suffix
        place = uuid.uuid4().hex + (suffix if _SUFFIX.fullmatch(suffix) else "")
        self._path = folder / place
        self._hash = hashlib.sha256()
        self.size = 0
        _check_room(folder, spare)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb")

    def write(self, data: bytes) -> None:
        """The next bytes. Raises TooLarge, and Overloaded where the disk is nearly full."""
        self.size += len(data)
        if self.size > self._most:
            self.discard()
            raise TooLarge(
                f"the file has more than {self._most >> 20} MiB",
                fix="set upload_mb higher, or split it",
            )
        if self.size // (64 << 20) != (self.size - len(data)) // (64 << 20):
            _check_room(self._path.parent, self._spare)
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as e:
            self.discard()
            raise Overloaded(f"the disk refused: {e.strerror}", retry_after=600) from e

    def finish(self) -> Staged:
        """Everything came. On disk when this returns, the folder's entry too."""
        if not self.size:
            self.discard()
            raise QueryError("the file is empty")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sync_folder(self._path.parent)
        except OSError as e:
            self.discard()
            raise Overloaded(f"the disk refused: {e.strerror}", retry_after=600) from e
        return Staged(self._path.name, self.size, self._hash.hexdigest())

    def discard(self) -> None:
        """It did not come whole, or is not wanted."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Uploads:
    """The files of all collections that were sent to the server."""

    def __init__(self, folder: Path, *, upload_mb: int) -> None:
        self.folder = folder
        self._most = upload_mb << 20
        (folder / STAGED).mkdir(parents=True, exist_ok=True, mode=0o700)

    def incoming(self, name: str) -> Incoming:
        """A new file, to be written piece by piece."""
        return Incoming(self.folder / STAGED, name, self._most)

    def staged_path(self, place: str) -> Path:
        """Where a staged file lies."""
        return self.folder / STAGED / place

    def path(self, collection: str, name: str) -> Path:
        """Where a file of that (safe) name lies when it is indexed."""
        return self.folder / collection / name

    def check_place(self, collection: str, name: str) -> None:
        """Raises Conflict where a folder has the file's name, or a file that of its folder."""
        path, top = self.path(collection, name), self.folder / collection
        if path.is_dir():
            raise Conflict(f"{name!r} is the name of a folder here")
        for parent in path.parents:
            if parent == top:
                return
            if parent.is_file():
                raise Conflict(f"{str(parent.relative_to(top))!r} is a file here, no folder")

    def settle(self, staged: str, collection: str, name: str) -> Path:
        """Put a staged file in its place, over an older version; durable when this returns.

        Where it was put there before (the server was killed just then), nothing is done."""
        source, target = self.staged_path(staged), self.path(collection, name)
        if not source.exists() and target.is_file():
            return target
        self.check_place(collection, name)
        try:
            _make_folders(target.parent, self.folder)
            source.replace(target)
            sync_folder(target.parent)
            sync_folder(source.parent)
        except FileNotFoundError as e:
            raise NotThere(f"the bytes of {name!r} are gone") from e
        except OSError as e:
            raise ServeError(f"{name!r} could not be stored: {e.strerror}") from e
        return target

    def drop(self, staged: str) -> None:
        """Remove a staged file."""
        self.staged_path(staged).unlink(missing_ok=True)

    def is_ours(self, path: str) -> bool:
        """Whether a document's path is that of an upload."""
        return Path(path).is_relative_to(self.folder)

    def remove(self, path: str) -> None:
        """Delete an upload's file, and the folders that are empty then. Others are left alone."""
        if not self.is_ours(path):
            return
        file = Path(path)
        file.unlink(missing_ok=True)
        for parent in file.parents:
            if parent.parent == self.folder or not parent.is_relative_to(self.folder):
                return
            try:
                parent.rmdir()
            except OSError:  # something else is in it
                return

    def remove_collection(self, collection: str) -> None:
        """Delete every file of a collection."""
        folder = self.folder / collection
        if folder.is_dir():
            shutil.rmtree(folder)
            sync_folder(self.folder)

    def sweep(self, wanted: set[str]) -> int:
        """Delete staged files that no job wants; returns how many.

        They came without being acknowledged, or their job was forgotten."""
        doomed = [p for p in (self.folder / STAGED).iterdir() if p.name not in wanted]
        for path in doomed:
            path.unlink(missing_ok=True)
        return len(doomed)


def pieces(stream: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of something that can be read, or that comes in pieces already."""
    if isinstance(stream, bytes):
        yield stream
    elif hasattr(stream, "read"):
        while piece := stream.read(_PIECE):
            yield piece
    else:
        yield from stream


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folders(folder: Path, top: Path) -> None:
    """Make a folder and those above it, durably."""
    missing = []
    while not folder.is_dir() and folder != top:
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(mode=0o700, exist_ok=True)
        sync_folder(made.parent)


def _check_room(folder: Path, spare: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < spare:
        raise Overloaded(
            f"the server's disk has {free >> 20} MiB left, too little to take files",
            retry_after=600,
        )
