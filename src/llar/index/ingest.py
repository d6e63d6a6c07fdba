"""Files into a collection: what is new or changed is parsed, chunked, embedded and stored.

Each document is one transaction. What is unchanged, moved or a copy is recognised by the SHA-256
of its bytes and costs one read.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import chunks as chunking
from ..config import Config
from ..documents import Parsers, about, find_files, hash_file
from ..errors import CollectionError, DocumentError, EmbedderMismatch, LimitExceeded, QueryError
from ..models.interface import Embedder
from ..records import Chunk, Document
from .access import given
from .index import Index, Metadata

BATCH_CHUNKS = 256  # chunks embedded together, across documents, sorted by length inside
# Vectors of one document are one row of the file, so all of them are in memory at once. A book of
# 1,600 pages makes 7,000.
MOST_CHUNKS = 200_000


@dataclass(slots=True)
class Report:
    """What an add or sync did. Paths are absolute."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)  # from, to
    duplicates: list[str] = field(default_factory=list)  # same content as another file
    removed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # path -> why, in one line
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # path -> what was not read
    chunks: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an add has come; `done` and `total` count files, bytes are those of files."""

    done: int
    total: int
    done_bytes: int
    total_bytes: int
    chunks: int
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """From the bytes done so far; None before the first."""
        if not self.done_bytes:
            return None
        return self.seconds * (self.total_bytes - self.done_bytes) / self.done_bytes


@dataclass(slots=True)
class _Run:
    """The state of one add."""

    index: Index
    embedder: Embedder
    spec: chunking.Spec
    metadata: Metadata
    progress: Callable[[Progress], None] | None
    report: Report = field(default_factory=Report)
    sizes: dict[str, int] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # path -> sha256, as in the collection
    holders: dict[str, set[str]] = field(default_factory=dict)  # sha256 -> paths
    missing: dict[str, list[str]] = field(default_factory=dict)  # sha256 -> holders that are gone
    twins: dict[str, list[Path]] = field(default_factory=dict)  # sha256 -> files of this run
    started: float = field(default_factory=time.monotonic)
    total_bytes: int = 0
    done: int = 0
    done_bytes: int = 0

    def hold(self, path: str, sha256: str) -> None:
        """Note that `path` now stands in the collection with this content."""
        self.release(path)
        self.known[path] = sha256
        self.holders.setdefault(sha256, set()).add(path)

    def release(self, path: str) -> None:
        """Note that `path` no longer stands in the collection."""
        if path in self.known:
            self.holders[self.known.pop(path)].discard(path)

    def finish(self, path: str) -> None:
        """Count a file as dealt with and tell the caller."""
        self.done += 1
        self.done_bytes += self.sizes.get(path, 0)
        if self.progress:
            seconds = time.monotonic() - self.started
            counts = (self.done, len(self.sizes), self.done_bytes, self.total_bytes)
            self.progress(Progress(*counts, self.report.chunks, seconds))


def check_embedder(index: Index, embedder: Embedder) -> None:
    """Raise EmbedderMismatch where `embedder` is not the one the collection was built with."""
    have, want = embedder.identity, index.embedder
    if have != want:
        raise EmbedderMismatch(
            f"collection {index.name!r} holds vectors of {want.name} ({want.sha256[:12]}), "
            f"not of {have.name} ({have.sha256[:12]}); vectors of two models cannot be compared",
            fix=f"llar reembed -c {index.name} --embedder {have.name}",
        )


def add(
    index: Index,
    paths: Sequence[Path],
    embedder: Embedder,
    config: Config,
    *,
    metadata: Metadata | None = None,
    progress: Callable[[Progress], None] | None = None,
    follow: bool = True,
    password: str | None = None,
) -> Report:
    """Index files and folders. A file that cannot be read is in `failed`; the others go on.

    With `follow`, the paths become some of those that `sync` follows. `password` is tried on
    locked files and kept nowhere.
    """
    check_embedder(index, embedder)
    run = _Run(index, embedder, index.spec, metadata or {}, progress)
    files = _collect(run, paths)
    for file in index.files():
        run.hold(file.path, file.sha256)
    if follow:
        roots = (Path(os.path.abspath(p)) for p in paths)
        index.add_roots([str(root) for root in roots if root.exists()])
    batch: list[tuple[Document, list[Chunk]]] = []
    with Parsers(config, password=password) as parsers:
        for path, parsed in parsers.parse(_changed(run, files, config.max_file_mb << 20)):
            if isinstance(parsed, DocumentError):
                _fail(run, str(path), parsed)
                continue
            try:
                batch.append((parsed, _split(run, parsed)))
            except DocumentError as e:
                _fail(run, str(path), about(path, e))
                continue
            if sum(max(1, len(chunks)) for _, chunks in batch) >= BATCH_CHUNKS:
                _store(run, batch)
                batch = []
    _store(run, batch)
    _settle_twins(run)
    dealt = [*run.report.added, *run.report.updated, *run.report.unchanged]
    if run.report.failed or index.counts()["failures"]:
        index.note_failures(run.report.failed, dealt)
    run.report.seconds = time.monotonic() - run.started
    return run.report


def add_documents(
    index: Index,
    documents: Iterable[Document],
    embedder: Embedder,
    *,
    total: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Index documents that are parsed already, each under its `source`.

    Those that stand there with the same content are left as they are. `total` is how many come,
    for `progress`. Raises DocumentError for one that makes too many passages; those before it are
    indexed then.
    """
    check_embedder(index, embedder)
    run = _Run(index, embedder, index.spec, {}, None)
    for file in index.files():
        run.hold(file.path, file.sha256)
    batch: list[tuple[Document, list[Chunk]]] = []

    def store() -> None:
        _store(run, batch)
        batch.clear()
        if progress:
            seconds = time.monotonic() - run.started
            progress(Progress(run.done, total, 0, 0, run.report.chunks, seconds))

    for document in documents:
        if run.known.get(document.source) == document.sha256:
            run.report.unchanged.append(document.source)
            run.finish(document.source)
            continue
        batch.append((document, _split(run, document)))
        if sum(max(1, len(chunks)) for _, chunks in batch) >= BATCH_CHUNKS:
            store()
    store()
    run.report.seconds = time.monotonic() - run.started
    return run.report


def sync(
    index: Index,
    paths: Sequence[Path],
    embedder: Embedder,
    config: Config,
    *,
    progress: Callable[[Progress], None] | None = None,
    password: str | None = None,
) -> Report:
    """Make the collection match its folders: add, replace, and remove what is no longer there.

    Without `paths`, every folder and file that was ever added. Raises CollectionError where one
    of them is not there at all: an unmounted disk must not empty a collection.
    """
    roots = [Path(os.path.abspath(p)) for p in paths] or [Path(p) for p in index.roots()]
    if not roots:
        raise CollectionError(f"nothing was ever added to {index.name!r}", fix="llar add PATH")
    for root in roots:
        if not root.exists() and not (root.parent.is_dir() and _was_file(index, root)):
            raise CollectionError(
                f"{str(root)!r} is not there; is its disk mounted? Nothing was changed",
                fix=f"llar remove -c {index.name} {root}   (if it really is gone)",
            )
    there = [r for r in roots if r.exists()]
    report = add(index, there, embedder, config, progress=progress, password=password)
    gone = [
        f.path
        for f in index.files()
        if any(Path(f.path).is_relative_to(root) for root in roots) and not Path(f.path).exists()
    ]
    if gone:
        index.remove(gone)
        report.removed = gone
    return report


def remove(index: Index, paths: Sequence[Path]) -> list[str]:
    """Forget files, and folders with every file below them; returns the paths forgotten.

    Raises QueryError where a path is not in the collection; then nothing is removed.
    """
    wanted = [Path(os.path.abspath(p)) for p in paths]
    doomed: list[str] = []
    files = [f.path for f in index.files()]
    failed = [path for path, _, _ in index.failures()]
    for path in wanted:
        below = [f for f in files if Path(f).is_relative_to(path)]
        if not below and not any(Path(f).is_relative_to(path) for f in failed):
            near = difflib.get_close_matches(str(path), files, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise QueryError(f"{str(path)!r} is not in collection {index.name!r}{hint}")
        doomed += below
    index.remove(sorted(set(doomed)))
    followed = [r for r in index.roots() if any(Path(r).is_relative_to(p) for p in wanted)]
    index.remove_roots(followed)
    gone = [f for f in failed if any(Path(f).is_relative_to(path) for path in wanted)]
    index.note_failures({}, gone)
    return sorted(set(doomed))


def _was_file(index: Index, root: Path) -> bool:
    return any(f.path == str(root) for f in index.files())


def _collect(run: _Run, paths: Sequence[Path]) -> list[Path]:
    def refuse(path: Path, error: DocumentError) -> None:
        run.report.failed[str(path)] = error.message

    files = list(find_files(paths, report=refuse))
    for path in files:
        try:
            run.sizes[str(path)] = path.stat().st_size
        except OSError:
            run.sizes[str(path)] = 0  # hashing it says what is wrong
        run.total_bytes += run.sizes[str(path)]
    return files


def _changed(run: _Run, files: Iterable[Path], most: int) -> Iterator[Path]:
    """Those files that must be parsed; deals with the others, and those over `most` bytes."""
    for path in files:
        name = str(path)
        try:
            sha256 = hash_file(path, most)
        except DocumentError as e:
            _fail(run, name, e)
            continue
        if run.known.get(name) == sha256:
            if run.metadata:
                run.index.set_metadata(name, run.metadata)
            run.report.unchanged.append(name)
            run.finish(name)
        elif sha256 in run.twins:
            run.twins[sha256].append(path)
        elif run.holders.get(sha256) and not _for_others(run, sha256):
            _attach(run, path, sha256)
        else:
            run.twins[sha256] = [path]
            yield path


def _for_others(run: _Run, sha256: str) -> bool:
    """Is a file a copy that is given readers of its own? Then it takes nothing over from the file
    that holds its content, whose metadata those readers may not see."""
    return given(run.metadata) and all(Path(p).exists() for p in run.holders[sha256])


def _attach(run: _Run, path: Path, sha256: str) -> None:
    """Record a file whose content is indexed already: it moved, or it is a copy."""
    name = str(path)
    if sha256 not in run.missing:  # looked up once: there may be thousands of copies
        holders = sorted(run.holders[sha256], reverse=True)
        run.missing[sha256] = [p for p in holders if not Path(p).exists()]
    gone = run.missing[sha256].pop() if run.missing[sha256] else None
    if not run.index.attach(name, sha256, run.metadata, gone=gone):
        raise CollectionError(
            f"{run.index.name!r} changed while {name!r} was added", fix="run the same command again"
        )
    if gone:
        run.report.moved.append((gone, name))
        run.release(gone)
    else:
        run.report.duplicates.append(name)
    run.hold(name, sha256)
    run.finish(name)


def _settle_twins(run: _Run) -> None:
    """Deal with files whose twin was parsed in this same run; the twin's error is theirs, too."""
    for sha256, copies in run.twins.items():
        for path in copies[1:]:
            if run.holders.get(sha256):
                _attach(run, path, sha256)
            else:
                first = str(copies[0])
                said = run.report.failed[first].replace(repr(first), repr(str(path)), 1)
                _fail(run, str(path), DocumentError(said))


def _split(run: _Run, document: Document) -> list[Chunk]:
    chunks = chunking.split(document, run.spec, run.embedder)
    if len(chunks) > MOST_CHUNKS:
        raise LimitExceeded(
            f"makes {len(chunks)} passages; at most {MOST_CHUNKS} are indexed of one file, so "
            "split it into several"
        )
    return chunks


def _store(run: _Run, batch: Sequence[tuple[Document, list[Chunk]]]) -> None:
    vectors = chunking.embed(batch, run.spec, run.embedder)
    for (document, chunks), rows in zip(batch, vectors, strict=True):
        name = document.source
        placed = run.index.put(document, chunks, rows, run.metadata)
        if name in run.known:
            run.report.updated.append(name)
        else:
            kinds = {"new": run.report.added, "copy": run.report.duplicates}
            kinds.get(placed, run.report.unchanged).append(name)
        run.hold(name, document.sha256)
        run.report.chunks += len(chunks) if placed == "new" else 0
        if document.notes:
            run.report.notes[name] = document.notes
        run.finish(name)


def _fail(run: _Run, name: str, error: DocumentError) -> None:
    message = " ".join(error.message.split())
    if name in run.known:
        message += " (the version indexed before is kept)"
    run.report.failed[name] = message
    run.finish(name)
