"""Files on disk: which ones a list of files and folders stands for, and what they hash to."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from ..errors import DocumentError, LimitExceeded, UnsupportedFormat

VERSION_CONTROL = frozenset({"CVS", "RCS", "SCCS", "_darcs"})  # the others begin with a dot
TEMPORARY = ("~", ".tmp", ".swp", ".part", ".crdownload")  # ends of names, in any case
_PIECE = 1 << 20  # bytes

Report = Callable[[Path, DocumentError], None]


def find_files(paths: Iterable[Path], *, report: Report, hidden: bool = False) -> Iterator[Path]:
    """Every file named or inside a named folder, as absolute paths, each once, sorted by name.

    A named file is always taken. Inside folders these are left out unless `hidden`: names that
    begin with "." (so .git, .svn, .hg and editors' .#locks too), the folders CVS, RCS, SCCS and
    _darcs, office lock files ("~$..."), and what editors and browsers leave while they write
    (names that end in "~", .tmp, .swp, .part or .crdownload). Symbolic links are followed; a
    folder reached twice is walked once.
    `report` is told of each path that cannot be read or is no file, and the walk goes on.
    """
    named = [Path(os.path.abspath(os.path.expanduser(p))) for p in paths]
    walked: set[tuple[int, int]] = set()
    yielded: set[Path] | None = set() if len(named) > 1 else None
    for path in named:
        for file in _walk(path, walked, report, hidden):
            if yielded is not None:
                if file in yielded:
                    continue
                yielded.add(file)
            yield file


def _walk(
    start: Path, walked: set[tuple[int, int]], report: Report, hidden: bool
) -> Iterator[Path]:
    todo = [start]  # a stack, so depth costs no recursion and each folder is sorted on its own
    while todo:
        path = todo.pop()
        try:
            found = path.stat()
        except OSError as e:
            report(path, about(path, unreadable(path, e)))
            continue
        if stat.S_ISREG(found.st_mode):
            yield path
        elif not stat.S_ISDIR(found.st_mode):
            report(path, about(path, UnsupportedFormat(f"is {kind_of_file(found.st_mode)}")))
        elif (found.st_dev, found.st_ino) not in walked:
            walked.add((found.st_dev, found.st_ino))
            try:
                names = sorted(os.listdir(path), reverse=True)
            except OSError as e:
                report(path, about(path, unreadable(path, e)))
                continue
            todo.extend(path / name for name in names if hidden or not is_ignored(name))


def hash_file(path: Path, most: int | None = None) -> str:
    """SHA-256 of a file's bytes, in hex, read in pieces.

    Raises DocumentError where the file cannot be read or is none, and LimitExceeded, without
    reading it, where it has more than `most` bytes.
    """
    found = hashlib.sha256()
    try:
        with open_file(path) as stream:
            check_file(os.fstat(stream.fileno()), most)
            while piece := stream.read(_PIECE):
                found.update(piece)
            if piece is None:  # a file of the system that waits for something
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    except OSError as e:
        raise about(path, unreadable(path, e)) from e
    except DocumentError as e:
        raise about(path, e) from e
    return found.hexdigest()


def check_file(found: os.stat_result, most: int | None) -> None:
    """Raise UnsupportedFormat for what is no file, and LimitExceeded for one that is too large."""
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedFormat(f"is {kind_of_file(found.st_mode)}")
    if most is not None and found.st_size > most:
        raise LimitExceeded(
            f"has {found.st_size / 2**20:.0f} MiB; at most {most / 2**20:.0f} are read",
            fix="set max_file_mb higher",
        )


def open_file(path: Path) -> BufferedReader:
    """Open for reading without waiting for a writer, should the path be a named pipe."""
    return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")


def about(path: Path, error: DocumentError) -> DocumentError:
    """The same error with the file's name in front, on one line whatever the name holds."""
    return type(error)(f"{str(path)!r}: {error.message}", fix=error.fix)


def unreadable(path: Path, error: OSError) -> DocumentError:
    """What the system said about a path, in our words and without its name."""
    if isinstance(error, FileNotFoundError):
        link = path.is_symlink()
        reason = "is a link to something that does not exist" if link else "does not exist"
    elif isinstance(error, IsADirectoryError):
        reason = "is a folder, not a file"
    elif isinstance(error, PermissionError):
        reason = "may not be read (permission denied)"
    else:
        reason = f"could not be read ({error.strerror or error})"
    return DocumentError(reason)


def kind_of_file(mode: int) -> str:
    """What something that is neither a file nor a folder is called."""
    for test, kind in (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return f"{kind}, not a file"
    return "not a file"


def is_ignored(name: str) -> bool:
    """Whether a name inside a folder is left out, as `find_files` says."""
    return (
        name.startswith((".", "~$")) or name in VERSION_CONTROL or name.lower().endswith(TEMPORARY)
    )
