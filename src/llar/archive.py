"""Many files in one, each with its SHA-256: what bundles and exported collections are made of.

An uncompressed tar with everything below one folder. Its last member, manifest.json, lists every
other member, so a file that was cut or altered anywhere is recognised. Nothing is ever unpacked
by the tar library: members are read one by one and written where the caller says.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Any

from .errors import BundleError

SCHEMA = 1
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1 << 26
LARGEST_READ = 1 << 22  # settings, prompts and records, which are held in memory
_BLOCK = 1 << 20
_PART = re.compile(r'[^\x00-\x1f\x7f/\\:*?"<>|]{1,200}')  # usable on every file system
_TAKEN = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # by Windows

Watch = Callable[[str, int, int], None]  # name, bytes done, bytes in all


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `name` is relative to the archive's folder, with slashes."""

    name: str
    size: int
    sha256: str


class Writer:
    """An archive being written."""

    def __init__(self, tar: tarfile.TarFile, top: str) -> None:
        self.members: list[Member] = []
        self._tar = tar
        self._top = top
        self._now = int(time.time())

    def add(self, name: str, data: bytes, *, executable: bool = False) -> None:
        """Add a member from memory."""
        self._write(name, io.BytesIO(data), len(data), executable)

    def add_file(self, name: str, path: Path) -> Member:
        """Add a file under `name`; returns what was written."""
        with path.open("rb") as stream:
            return self._write(name, stream, os.fstat(stream.fileno()).st_size, False)

    def finish(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Write the manifest: what this is, `facts`, and the list of all members."""
        manifest = {
            "kind": kind,
            "schema": SCHEMA,
            "llar": version("llar"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **facts,
            "members": [asdict(m) for m in self.members],
        }
        self.add(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n")

    def _write(self, name: str, stream: IO[bytes], size: int, executable: bool) -> Member:
        check_name(name)
        info = tarfile.TarInfo(f"{self._top}/{name}")
        info.size, info.mtime, info.mode = size, self._now, 0o755 if executable else 0o644
        read = _Hashing(stream)
        self._tar.addfile(info, read)
        member = Member(name, size, read.digest.hexdigest())
        self.members.append(member)
        return member


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self.digest.update(block)
        return block


@contextlib.contextmanager
def create(file: Path, top: str) -> Iterator[Writer]:
    """Write an archive: whole and on the disk under its name when the block ends, or not at all.

    Raises BundleError where `file` exists already or the disk refuses.
    """
    if file.exists():
        raise BundleError(f"{str(file)!r} exists already", fix="give another name, or delete it")
    partial = file.with_name(f"{file.name}.partial")
    with told(file):
        try:
            with partial.open("wb") as stream:
                with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as tar:
                    yield Writer(tar, top)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def told(file: Path) -> Iterator[None]:
    """What the disk refused while `file` is written or read, as a BundleError."""
    try:
        yield
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        where = f" ({e.filename})" if e.filename and str(e.filename) != str(file) else ""
        raise BundleError(
            f"{str(file)!r}: the disk refused: {e.strerror or e}{where}",
            fix="free some space, or give a file on another disk" if full else None,
        ) from e


class Archive:
    """An archive open for reading: the file itself, or the folder it was unpacked into."""

    def __init__(
        self, path: Path, manifest: dict[str, Any], tar: tarfile.TarFile | None, top: str
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.members = _listed(path, manifest)
        self._tar = tar
        self._top = top

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(m.size for m in self.members.values())

    def names(self, folder: str) -> list[str]:
        """The members below `folder`, which ends in a slash."""
        return [name for name in self.members if name.startswith(folder)]

    def read(self, name: str) -> bytes:
        """A small member's bytes, checked."""
        if self.members[name].size > LARGEST_READ:
            raise _damaged(self.path, f"{name!r} is larger than {LARGEST_READ} bytes")
        out = io.BytesIO()
        self._transfer(name, out)
        return out.getvalue()

    def extract(self, name: str, target: Path) -> None:
        """Write a member to `target`, whose folder is made; checked, and on the disk."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            self._transfer(name, out)
            out.flush()
            os.fsync(out.fileno())

    def verify(self, watch: Watch | None = None) -> None:
        """Read every member and compare its hash. Raises BundleError, naming the first bad one."""
        done, total = 0, self.size
        for name, member in self.members.items():
            self._transfer(name, None)
            done += member.size
            if watch:
                watch(name, done, total)

    def _transfer(self, name: str, out: IO[bytes] | None) -> None:
        member, digest, size = self.members[name], hashlib.sha256(), 0
        try:
            with self._stream(name) as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    if size > member.size:
                        break
                    if out is not None:
                        out.write(block)
        except tarfile.TarError as e:
            raise _damaged(self.path, f"{name!r} cannot be read: {e}") from e
        if size != member.size:
            how = "more" if size > member.size else f"only {size}"
            raise _damaged(self.path, f"{name!r} should have {member.size} bytes and has {how}")
        if digest.hexdigest() != member.sha256:
            raise _damaged(self.path, f"{name!r} was altered: its SHA-256 is not the listed one")

    def _stream(self, name: str) -> IO[bytes]:
        if self._tar is None:
            return (self.path / name).open("rb")
        found = self._tar.extractfile(f"{self._top}/{name}")
        assert found is not None  # only regular files were let in
        return found


@contextlib.contextmanager
def open_archive(path: Path, kind: str) -> Iterator[Archive]:
    """Open an archive of this kind, or the folder it was unpacked into; hashes are not yet read.

    Raises BundleError where it is something else, was cut short, or where a member is no plain
    file, has a name that leads outside, is not listed, or is listed and not there.
    """
    if not path.exists():
        raise BundleError(f"there is no file {str(path)!r}")
    with told(path), contextlib.ExitStack() as stack:
        if path.is_dir():
            found, tar, top = _walk(path), None, ""
            if MANIFEST not in found:
                raise BundleError(f"{str(path)!r} is no unpacked {kind}: it has no {MANIFEST}")
            text = (path / MANIFEST).read_bytes() if found[MANIFEST] < LARGEST_MANIFEST else b""
        else:
            tar = stack.enter_context(_open_tar(path, kind))
            top, found = _index(path, tar)
            if found[MANIFEST] > LARGEST_MANIFEST:
                raise _damaged(path, f"its {MANIFEST} is larger than {LARGEST_MANIFEST} bytes")
            stream = tar.extractfile(f"{top}/{MANIFEST}")
            assert stream is not None
            text = stream.read()
        archive = Archive(path, _manifest(path, text, kind), tar, top)
        _compare(archive, found)
        yield archive


def check_name(name: str) -> str:
    """The name itself, if it is one that stays inside any folder on any system."""
    for part in name.split("/"):
        if not _PART.fullmatch(part) or part.endswith((".", " ")) or _TAKEN.fullmatch(part):
            raise BundleError(f"a member called {name!r} is refused: its name is not a safe one")
    return name


def _open_tar(path: Path, kind: str) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except tarfile.TarError as e:
        raise BundleError(f"{str(path)!r} is no {kind}: {e}") from e


def _index(path: Path, tar: tarfile.TarFile) -> tuple[str, dict[str, int]]:
    """The archive's folder, and every member's size by name."""
    top, last, found = "", "its beginning", dict[str, int]()
    try:
        for info in tar:
            head, _, name = info.name.partition("/")
            if info.isdir() and (head == top or not top) and ".." not in info.name:
                continue  # packed again by another program; folders carry nothing
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
                raise _damaged(path, f"{info.name!r} is not a plain file")
            top = top or check_name(head)
            if head != top or not name:
                raise _damaged(path, f"{info.name!r} lies outside its folder {top!r}")
            if check_name(name) in found:
                raise _damaged(path, f"{name!r} is in it twice")
            found[name], last = info.size, repr(name)
    except (tarfile.TarError, ValueError, OverflowError) as e:
        raise _damaged(path, f"it is cut short or unreadable in or after {last} ({e})") from e
    if MANIFEST not in found:
        raise _damaged(path, f"it is cut short or altered in or after {last}: no {MANIFEST}")
    return top, found


def _walk(folder: Path) -> dict[str, int]:
    """Every file of an unpacked archive with its size."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise _damaged(folder, f"{inside!r} is not a plain file")
            if path.is_file():
                found[inside] = path.stat().st_size
    return found


def _manifest(path: Path, text: bytes, kind: str) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
        if not isinstance(manifest, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as e:
        raise _damaged(path, f"its {MANIFEST} cannot be read ({e})") from e
    if manifest.get("kind") != kind:
        raise BundleError(f"{str(path)!r} is no {kind} but {manifest.get('kind')!r}")
    if manifest.get("schema") != SCHEMA:
        raise BundleError(
            f"{str(path)!r} has schema {manifest.get('schema')!r}, this llar reads {SCHEMA}",
            fix="pip install --upgrade llar",
        )
    return manifest


def _listed(path: Path, manifest: dict[str, Any]) -> dict[str, Member]:
    try:
        members = [Member(str(m["name"]), int(m["size"]), str(m["sha256"])) for m in
                   manifest["members"]]  # fmt: skip
    except (KeyError, TypeError, ValueError) as e:
        raise _damaged(path, f"its {MANIFEST} does not list its members ({e!r})") from e
    listed = {check_name(m.name): m for m in members}
    if len(listed) != len(members) or MANIFEST in listed:
        raise _damaged(path, f"its {MANIFEST} lists a member twice")
    return listed


def _compare(archive: Archive, found: Mapping[str, int]) -> None:
    for name, member in archive.members.items():
        if name not in found:
            raise _damaged(archive.path, f"{name!r} is missing")
        if found[name] != member.size:
            raise _damaged(
                archive.path, f"{name!r} has {found[name]} bytes, listed are {member.size}"
            )
    for name in found:
        if name != MANIFEST and name not in archive.members:
            raise _damaged(archive.path, f"{name!r} is in it but not listed")
    folders = {str(p).lower() for n in found for p in PurePosixPath(n).parents}
    names = [n.lower() for n in found]
    if len(set(names)) != len(names) or folders & set(names):
        raise _damaged(archive.path, "two of its names are the same on some systems")


def _damaged(path: Path, why: str) -> BundleError:
    return BundleError(
        f"{str(path)!r} is damaged or was tampered with: {why}; nothing was changed",
        fix="copy or make it again",
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
