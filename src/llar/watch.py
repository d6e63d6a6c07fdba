"""Follows a collection's folders by looking at them again and again, and keeps up with them.

Looking needs no events, so it works on network drives; it costs one directory listing and one stat
per file, and only what changed is read. A file is taken in once it was the same for one interval,
so one that is still being written is left alone. A folder that is not there, or is empty where it
held files, is taken for an unmounted disk: nothing is removed because of it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .collection import Collection
from .documents import is_ignored
from .errors import CollectionBusy, CollectionError
from .index import ingest
from .index.ingest import Report

INTERVAL = 2.0  # seconds between two looks
BUSIEST = 0.2  # share of the time that may go into looking; more files are looked at less often

_Stamp = tuple[int, int, int]  # size, time of change in ns, inode
_NEVER: _Stamp = (-1, -1, -1)  # of a file that was indexed before the watch began


@dataclass(slots=True)
class _Look:
    """What one look at all folders found."""

    files: dict[str, _Stamp] = field(default_factory=dict)
    mounts: set[str] = field(default_factory=set)  # folders on another disk than the one above
    lost: dict[str, str] = field(default_factory=dict)  # what cannot be seen into -> why
    walked: set[tuple[int, int]] = field(default_factory=set)

    def hides(self, path: str) -> bool:
        """Whether `path` lies in something that cannot be seen into."""
        return any(path == folder or _below(path, folder) for folder in self.lost)


def watch(
    collection: Collection,
    interval: float = INTERVAL,
    stop: threading.Event | None = None,
    *,
    paths: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[Report]:
    """Keep a collection equal to its folders (or to `paths`) until `stop` is set.

    Yields a Report for the first pass, then one whenever something changed. A folder that
    vanished or returned is in its `notes`. A file that failed is tried again when it changes.
    Raises CollectionError where nothing was ever added, or one of `paths` does not exist.
    """
    if not interval > 0:
        raise ValueError(f"the interval must be above 0 seconds, got {interval!r}")
    stop = stop or threading.Event()
    following = _Following(collection, [os.path.abspath(os.path.expanduser(p)) for p in paths])
    yield following.step(following.look(), settled=True)
    pause = interval
    while not stop.wait(pause):
        began = time.monotonic()
        seen = following.look()
        pause = max(interval, (time.monotonic() - began) / BUSIEST)
        report = following.step(seen)
        if _says_something(report):
            yield report


class _Following:
    """What is known of the folders between two looks."""

    def __init__(self, collection: Collection, paths: Sequence[str]) -> None:
        self.collection = collection
        self.paths = paths
        missing = [path for path in paths if not os.path.exists(path)]
        if missing:
            raise CollectionError(f"{missing[0]!r} is not there; is its disk mounted?")
        if paths:
            collection.index.add_roots(paths)
        roots = self._roots()
        if not roots:
            raise CollectionError(
                f"nothing was ever added to {collection.name!r}", fix="llar add PATH"
            )
        indexed = (f.path for f in collection.index.files())
        failed = (path for path, _, _ in collection.index.failures())
        self.seen = {path: _NEVER for path in (*indexed, *failed) if _under(path, roots)}
        self.waiting: dict[str, _Stamp] = {}  # changed, and not yet the same for one interval
        self.going: set[str] = set()  # gone for less than one interval
        self.mounts: set[str] = set()
        self.lost: dict[str, str] = {}

    def look(self) -> _Look:
        """See what is there now."""
        look = _Look()
        for root in self._roots():
            self._look_at(root, look)
        for mount in self.mounts - look.mounts:
            if not look.hides(mount):
                look.lost[mount] = "is no longer mounted"
        self.mounts |= look.mounts
        return look

    def step(self, look: _Look, *, settled: bool = False) -> Report:
        """Take in what changed and has settled since the last look."""
        changed = {p: s for p, s in look.files.items() if self.seen.get(p) != s}
        ready = {p: s for p, s in changed.items() if settled or self.waiting.get(p) == s}
        gone = self._gone(look)
        leave = gone if settled else gone & self.going
        told = self._tell(look)
        try:
            report = self._take_in(list(ready), sorted(leave))
        except CollectionBusy as e:  # the next step tries again
            report = Report(notes={self.collection.name: (e.message,)})
            ready, leave = {}, set()
        else:
            self.seen.update(ready)
            for path in leave:
                del self.seen[path]
            self._forgive(report)
        self.waiting = {p: s for p, s in changed.items() if p not in ready}
        self.going = gone - leave
        report.notes = {**told, **report.notes}
        return report

    def _roots(self) -> Sequence[str]:
        return self.paths or self.collection.index.roots()

    def _look_at(self, root: str, look: _Look) -> None:
        try:
            found = os.stat(root)
        except OSError as e:
            if not (root in self.seen and os.path.isdir(os.path.dirname(root))):
                look.lost[root] = _why(e)
            return  # else it was a file, and was deleted
        if not stat.S_ISDIR(found.st_mode):
            look.files[root] = _stamp(found)
            return
        todo = [(root, _device(os.path.dirname(root)))]
        while todo:
            folder, above = todo.pop()
            todo += self._list(folder, above, look)
        if _is_empty(root) and any(_below(path, root) for path in self.seen):
            look.lost[root] = "is empty (`llar sync` forgets what was in it)"

    def _list(self, folder: str, above: int, look: _Look) -> list[tuple[str, int]]:
        """Note a folder's files; returns the folders in it, each with this one's device."""
        try:
            own = os.stat(folder)
            if (own.st_dev, own.st_ino) in look.walked:
                return []
            with os.scandir(folder) as entries:
                inside = [entry for entry in entries if not is_ignored(entry.name)]
                inside.sort(key=lambda entry: entry.name, reverse=True)  # popped in order
        except OSError as e:
            look.lost[folder] = _why(e)
            return []
        look.walked.add((own.st_dev, own.st_ino))
        if own.st_dev != above:
            look.mounts.add(folder)
        folders = []
        for entry in inside:
            try:
                if entry.is_dir():
                    folders.append((entry.path, own.st_dev))
                else:
                    look.files[entry.path] = _stamp(_stat(entry))
            except FileNotFoundError:  # deleted since the listing; the next look has it right
                continue
            except OSError as e:
                look.lost[entry.path] = _why(e)
        return folders

    def _gone(self, look: _Look) -> set[str]:
        """Files that were there and are not; those only out of sight are dropped from `seen`."""
        gone = set()
        for path in self.seen.keys() - look.files.keys():
            if look.hides(path):
                continue
            if os.path.lexists(path):
                del self.seen[path]
            else:
                gone.add(path)
        return gone

    def _tell(self, look: _Look) -> dict[str, tuple[str, ...]]:
        """A line for every folder that vanished or returned since the last look."""
        told: dict[str, tuple[str, ...]] = {}
        for folder, why in look.lost.items():
            if folder not in self.lost:
                told[folder] = (f"{why}; is its disk mounted? Nothing below it was removed",)
        for folder in self.lost:
            if folder not in look.lost:
                told[folder] = ("can be seen again",)
        self.lost = look.lost
        return told

    def _take_in(self, ready: Sequence[str], leave: Sequence[str]) -> Report:
        """Index what is ready, then forget what left; in this order a rename is a move."""
        index = self.collection.index
        report = Report()
        if ready:
            report = ingest.add(
                index,
                [Path(path) for path in ready],
                self.collection.embedder,
                self.collection.config,
                follow=False,
            )
        if leave:
            known = {f.path for f in index.files()}
            report.removed = [p for p in leave if p in known and not os.path.lexists(p)]
            index.remove(report.removed)
            index.note_failures({}, leave)
        return report

    def _forgive(self, report: Report) -> None:
        """A file that vanished while it was read did not fail; the next look knows more."""
        vanished = [path for path in report.failed if not os.path.lexists(path)]
        for path in vanished:
            del report.failed[path]
            self.seen[path] = _NEVER
        if vanished:
            self.collection.index.note_failures({}, vanished)


def _says_something(report: Report) -> bool:
    return bool(
        report.added
        or report.updated
        or report.moved
        or report.duplicates
        or report.removed
        or report.failed
        or report.notes
    )


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except FileNotFoundError:  # a link to nothing, which `add` reports
        return entry.stat(follow_symlinks=False)


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False  # it cannot be seen into, which was noted


def _device(folder: str) -> int:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return -1


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    return f"cannot be read ({error.strerror or error})"


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _under(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or _below(path, root) for root in roots)
