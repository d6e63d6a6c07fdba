"""What the jobs of a library do: index files, read them again, embed, remove, follow folders.

Each function can be stopped at any moment and begun again: what is done already is recognised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import chunks as chunking
from ..collection import Collection
from ..config import Config
from ..errors import Conflict, DocumentError, LimitExceeded, LlarError, NotThere
from ..index.access import Reader
from ..index.database import to_column
from ..index.index import Index, IndexedFile
from ..index.ingest import MOST_CHUNKS, Progress, remove
from ..models.interface import Embedder
from ..records import Chunk, Document
from .documents_of import files_of
from .job_records import JobFile
from .jobs import Jobs, Task
from .parsing import Parsing
from .uploads import Uploads

_FILES = 64  # taken from the queue at once
_BATCH = 128_000  # characters that are embedded together, about 256 passages

Pair = tuple[JobFile, Document]


class Indexing:
    """The files of one job on their way into a collection."""

    def __init__(self, task: Task, docs: Collection, parsing: Parsing, uploads: Uploads) -> None:
        self._task = task
        self._jobs: Jobs = task.jobs
        self._index: Index = docs.index
        self._sender = Reader(frozenset())  # of uploads
        self._docs = docs
        self._parsing = parsing
        self._uploads = uploads

    def uploads(self) -> Mapping[str, Any]:
        """Index what was sent, for one who sees what its sender saw then.

        Raises Paused or Cancelled."""
        options = self._task.job.options
        names = frozenset(options.get("names", ()))
        self._sender = Reader(names, everything=bool(options.get("everything")))
        return self._all(self._new, self._put)

    def again(self) -> Mapping[str, Any]:
        """Read documents that are indexed already once more, from their files."""
        return self._all(self._indexed, self._put_again)

    def _all(
        self,
        choose: Callable[[Sequence[JobFile]], dict[Path, JobFile]],
        put: Callable[[Sequence[Pair]], None],
    ) -> Mapping[str, Any]:
        job_id = self._task.job.id
        with self._parsing.parsers() as parsers:
            while files := self._jobs.files(job_id, state="queued", limit=_FILES):
                self._task.check()
                todo = choose(files)
                with closing(parsers.parse(list(todo))) as outcomes:
                    self._take(outcomes, todo, put)
        counts: dict[str, int] = {}
        for file in self._jobs.files(job_id):
            counts[file.state] = counts.get(file.state, 0) + 1
        return {"files": counts}

    def _take(
        self,
        outcomes: Iterable[tuple[Path, Document | DocumentError]],
        todo: Mapping[Path, JobFile],
        put: Callable[[Sequence[Pair]], None],
    ) -> None:
        """Note what could not be read, and store the rest in batches."""
        batch: list[Pair] = []
        for path, outcome in outcomes:
            self._task.check()  # first: where the server ends, what parses was interrupted
            file = todo[path]
            if isinstance(outcome, DocumentError):
                self._fail(file, outcome, path)
            elif file.staged and outcome.sha256 != file.sha256:
                self._fail(file, DocumentError("its bytes have changed on the disk"), path)
            else:
                batch.append((file, outcome))
            if sum(len(document.text) for _, document in batch) > _BATCH:
                put(batch)
                batch = []
        put(batch)

    def _fail(self, file: JobFile, error: LlarError, path: Path) -> None:
        """Note why a file could not be read, without the server's paths."""
        said = " ".join(error.message.split()).removeprefix(f"{str(path)!r}: ")
        self._jobs.settle(file, "failed", error=said)

    # -- uploads ---------------------------------------------------------------------------

    def _new(self, files: Sequence[JobFile]) -> dict[Path, JobFile]:
        """Those files that must be parsed, by the path of their bytes; deals with the others.

        Of several with one content or name, the first: the others come in the next round."""
        todo: dict[Path, JobFile] = {}
        seen: set[str] = set()
        for file in files:
            if file.sha256 in seen or file.name in seen:
                seen |= {file.sha256, file.name}
                continue
            seen |= {file.sha256, file.name}
            staged = self._uploads.staged_path(file.staged)
            target = self._uploads.path(self._task.job.collection, file.name)
            try:
                if staged.exists():  # else it was put in its place before the server was killed
                    check_taken(self._index, self._sender, str(target), file.name)
                if self._attached(file, str(target)):
                    continue
                self._uploads.check_place(self._task.job.collection, file.name)
            except LlarError as e:
                self._jobs.settle(file, "failed", error=e.message)
                continue
            todo[staged if staged.exists() else target] = file
        return todo

    def _attached(self, file: JobFile, target: str) -> bool:
        """Whether the sender sees the content in the collection already; then it is known by this
        name, too, with the metadata of a file that the sender sees."""
        seen = self._seen(file)
        if not seen:
            return False
        held = _held(self._index, target)
        self._uploads.settle(file.staged, self._task.job.collection, file.name)
        first, found = seen[0].path, seen[0].document_id
        if not self._index.attach(target, file.sha256, file.metadata, gone=None, like=first):
            return False  # it was removed just now
        same = held is not None and held.document_id == found
        self._jobs.settle(file, "unchanged" if same else "duplicate", document=found)
        return True

    def _seen(self, file: JobFile) -> list[IndexedFile]:
        """Those with a file's content that its sender may read, by path."""
        found = _of_content(self._index, file.sha256)
        return [f for f in found if self._sender.may_read(f.metadata)]

    def _put(self, batch: Sequence[Pair]) -> None:
        for file, document, chunks, vectors in self._embedded(batch):
            try:
                target = self._uploads.settle(file.staged, self._task.job.collection, file.name)
            except LlarError as e:
                self._jobs.settle(file, "failed", error=e.message)
                continue
            stored = replace(document, source=str(target))
            hidden = not self._seen(file)
            self._index.put(stored, chunks, vectors, file.metadata, anew=hidden)
            found = _document_of(self._index, file.sha256)
            self._jobs.settle(file, "done", document=found)

    # -- again -----------------------------------------------------------------------------

    def _indexed(self, files: Sequence[JobFile]) -> dict[Path, JobFile]:
        todo = {}
        for file in files:
            paths = [Path(p) for p in file.metadata["paths"]]
            there = next((p for p in paths if p.is_file()), None)
            if there is None:
                error = NotThere("its file is no longer where it was; what is indexed stays")
                self._fail(file, error, paths[0])
            else:
                todo[there] = file
        return todo

    def _put_again(self, batch: Sequence[Pair]) -> None:
        for file, document, chunks, vectors in self._embedded(batch):
            metadata: Mapping[str, Any] = file.metadata["metadata"]
            paths = list(metadata)
            self._index.remove(paths)
            for path in paths:
                copy = replace(document, source=path)
                self._index.put(copy, chunks, vectors, metadata[path])
            found = _document_of(self._index, document.sha256)
            self._jobs.settle(file, "done", document=found)

    # -- both ------------------------------------------------------------------------------

    def _embedded(
        self, batch: Sequence[Pair]
    ) -> Iterator[tuple[JobFile, Document, list[Chunk], Any]]:
        """The documents with their passages and vectors; those that make too many are noted."""
        embedder: Embedder = self._docs.embedder
        spec = self._index.spec
        made: list[tuple[JobFile, Document, list[Chunk]]] = []
        for file, document in batch:
            try:
                chunks = chunking.split(document, spec, embedder)
                if len(chunks) > MOST_CHUNKS:
                    raise LimitExceeded(
                        f"makes {len(chunks)} passages; at most {MOST_CHUNKS} are indexed of one"
                        " file, so split it into several"
                    )
                made.append((file, document, chunks))
            except DocumentError as e:
                self._fail(file, e, Path(document.source))
        vectors = chunking.embed([(d, c) for _, d, c in made], spec, embedder)
        for (file, document, chunks), rows in zip(made, vectors, strict=True):
            self._task.check()
            yield file, document, chunks, rows


def remove_documents(task: Task, docs: Collection, uploads: Uploads) -> Mapping[str, Any]:
    """Forget files, and delete those that were sent to the server."""
    paths: list[str] = task.job.options["paths"]
    there = {f.path for f in docs.index.files()} | {p for p, _, _ in docs.index.failures()}
    gone = remove(docs.index, [Path(p) for p in paths if p in there])
    for path in paths:
        uploads.remove(path)
    return {"removed": len(gone)}


def reembed(task: Task, docs: Collection) -> Mapping[str, Any]:
    """Another embedder or chunker for a collection; it can be searched meanwhile."""
    options = task.job.options
    chunks = docs.reembed(
        options["embedder"], chunker=options["chunker"] or None, progress=_counted(task)
    )
    return {"chunks": chunks}


def sync(task: Task, docs: Collection, shown: Callable[[str], str]) -> Mapping[str, Any]:
    """Make a collection match the folders that were added to it on the command line."""
    report = docs.sync(progress=_counted(task))
    failed = {}
    for path, why in report.failed.items():
        failed[shown(path)] = why.removeprefix(f"{path!r}: ")
    return {
        "added": len(report.added),
        "updated": len(report.updated),
        "unchanged": len(report.unchanged),
        "moved": len(report.moved),
        "duplicates": len(report.duplicates),
        "removed": len(report.removed),
        "failed": failed,
    }


def pull(task: Task, config: Config) -> Mapping[str, Any]:
    """Bring a model into the store: the only job that reaches a network."""
    from ..models.progress import Progress as Pulled
    from ..models.pull import pull as pull_model

    notes: list[str] = []

    def told(step: Pulled) -> None:
        if step.note:
            notes.append(step.note)
        task.progress(step.done, step.total or 0, step.done, step.total or 0)

    model = pull_model(task.job.options["what"], config, progress=told)
    return {"model": model.full_name, "size": model.size, "notes": notes}


def _counted(task: Task) -> Callable[[Progress], None]:
    def told(step: Progress) -> None:
        task.progress(step.done, step.total, step.done_bytes, step.total_bytes)

    return told


def check_taken(index: Index, sender: Reader, path: str, name: str) -> None:
    """Raises Conflict where a file that the sender may not read stands under a path.

    It must neither be replaced nor told more of than that."""
    held = _held(index, path)
    if held is not None and not sender.may_read(held.metadata):
        raise Conflict(f"the name {name!r} is taken; send the file under another one")


def _document_of(index: Index, sha256: str) -> int | None:
    with index.database.read() as connection:
        row = connection.execute("SELECT id FROM documents WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else int(row[0])


def _of_content(index: Index, sha256: str) -> list[IndexedFile]:
    """Every file of a content, by path."""
    found = _document_of(index, sha256)
    return [] if found is None else files_of(index, [found]).get(found, [])


def _held(index: Index, path: str) -> IndexedFile | None:
    """The file that stands under a path."""
    with index.database.read() as connection:
        row = connection.execute(
            "SELECT document_id, sha256, metadata FROM files"
            " JOIN documents ON documents.id = document_id WHERE path = ?",
            (to_column(path),),
        ).fetchone()
    return None if row is None else IndexedFile(path, row[0], row[1], json.loads(row[2]))
