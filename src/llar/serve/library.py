"""The collections that the server serves, opened for who is asking; what is done to them.

A collection that somebody may not read is, for them, one that does not exist. Other processes may
add, change and delete collections meanwhile: each call sees what is there now.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from .. import chunks as chunking
from ..collection import Collection
from ..config import Config
from ..errors import Conflict, Forbidden, NotThere, Overloaded, QueryError, UnknownCollection
from ..index.access import Reader, check
from ..index.database import FILE
from ..index.filters import RESERVED
from ..index.index import Index, IndexedFile, collection_names, delete_collection
from ..records import Chunk, Document, MetadataValue
from . import library_work as work
from .accounts import Accounts
from .arriving import Arriving
from .documents_of import Names, Row, Rows, chunks_of, files_of, list_documents, one_row
from .engines import Engines
from .job_records import Job, JobFile
from .jobs import Jobs, Task
from .originals import Original, Originals
from .parsing import Parsing
from .pictures_of import Box, Pictures
from .runs import Runs
from .uploads import Uploads, safe_name
from .who import Identity

_WAITING = 20_000  # files of one user that may wait to be indexed
_LINGER = 600.0  # seconds after which a file that was replaced is closed: a search may still read


@dataclass(frozen=True, slots=True)
class About:
    """A collection in a list."""

    name: str
    files: int
    documents: int
    chunks: int
    failures: int
    bytes: int
    embedder: str
    chunker: str
    languages: Mapping[str, int]  # documents by language, "" where it is not known
    may_edit: bool


@dataclass(slots=True)
class _Opened:
    collection: Collection
    inode: int
    retired: float = 0.0


class Library:
    """Collections, their documents, uploads and jobs. Safe to use from several threads."""

    def __init__(self, config: Config, engines: Engines, accounts: Accounts) -> None:
        self._config = config
        self._engines = engines
        self._accounts = accounts
        self._lock = threading.Lock()
        self._opened: dict[str, _Opened] = {}
        self._retired: list[_Opened] = []
        folder = config.home / "server"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._uploads = Uploads(folder / "uploads", upload_mb=config.upload_mb)
        self._jobs = Jobs(folder / "jobs.db")
        self._parsing = Parsing(config)
        self._pictures = Pictures(config)
        self._originals = Originals()
        self.runs = Runs(config, self._jobs, self.whole, self.open, self.check)

    def start(self) -> None:
        """Begin to work on jobs, those left from before first. Raises ServeError where another
        server works in this home."""
        self._jobs.start(
            {
                "upload": lambda task: self._indexing(task).uploads(),
                "reindex": lambda task: self._indexing(task).again(),
                "reembed": lambda task: work.reembed(task, self.whole(task.job.collection)),
                "remove": lambda task: work.remove_documents(
                    task, self.whole(task.job.collection), self._uploads
                ),
                "sync": lambda task: work.sync(
                    task,
                    self.whole(task.job.collection),
                    self._names(self.whole(task.job.collection)).shown,
                ),
                "evaluate": self.runs.work,
                "pull": lambda task: work.pull(task, self._config),
            },
            ready=lambda: self._uploads.sweep(self._jobs.staged()),
        )

    def close(self) -> None:
        """Stop working; what is not done goes on when the server starts again."""
        self._jobs.stop()
        self._parsing.close()
        self._jobs.close()
        self._pictures.close()
        with self._lock:
            for held in (*self._opened.values(), *self._retired):
                held.collection.close()
            self._opened.clear()
            self._retired.clear()

    # -- collections -----------------------------------------------------------------------

    def names(self, identity: Identity) -> list[str]:
        """The collections it may read, by name."""
        there = collection_names(self._config)
        return [name for name in there if self._accounts.may_read(identity, name)]

    def may_edit(self, identity: Identity, name: str) -> bool:
        """Whether it may add to a collection, change and remove."""
        return self._accounts.may_edit(identity, name)

    def check(self, identity: Identity, name: str, *, edit: bool = False) -> None:
        """Raises UnknownCollection where it may not read a collection, in the same words as for
        one that is not there, and Forbidden where it may not `edit` it."""
        have = self.names(identity)
        if name not in have:
            raise UnknownCollection(
                f"there is no collection {name!r} (there are: {', '.join(have) or 'none yet'})"
            )
        if edit and not self.may_edit(identity, name):
            raise Forbidden(f"{identity.user!r} may read {name!r}, but not change it")

    def open(self, name: str, identity: Identity) -> Collection:
        """The collection as this identity may see it; kept open, do not close it.

        Raises UnknownCollection as `check`.
        """
        self.check(identity, name)
        others = frozenset(self.names(identity))
        reader = Reader(
            identity.names,
            everything=identity.is_admin,
            collections=others,
            told=partial(self.shown, name),
        )
        return self.whole(name).seen_by(reader)

    def whole(self, name: str) -> Collection:
        """The collection with everything in it, for the server's own work. Do not close it."""
        file = self._config.collections_dir / name / FILE
        with self._lock:
            try:
                inode = file.stat().st_ino if name in collection_names(self._config) else 0
            except FileNotFoundError:
                inode = 0
            held = self._opened.get(name)
            if held is not None and held.inode == inode:
                return held.collection
            if held is not None:  # another process deleted or replaced it
                self._retire(name)
            if not inode:
                raise UnknownCollection(f"there is no collection {name!r}")
            collection = Collection(name, config=self._config, models=self._engines)
            self._opened[name] = _Opened(collection, inode)
            return collection

    def about(self, name: str, identity: Identity) -> About:
        """What a collection holds, as far as the identity may see it."""
        index = self.open(name, identity).index
        counts = index.counts()
        return About(
            name=name,
            embedder=index.embedder.name,
            chunker=str(index.spec),
            languages=index.languages(),
            may_edit=self.may_edit(identity, name),
            **counts,
        )

    def create(
        self, identity: Identity, name: str, *, embedder: str = "", chunker: str = ""
    ) -> None:
        """Make an empty collection, with the configured embedder and chunker if none are named.

        For admins. Raises Conflict where there is one of that name.
        """
        identity.require("admin")
        _check_key(identity, name)
        if name in collection_names(self._config):
            raise Conflict(f"there is a collection {name!r} already")
        model = self._engines.embedder(embedder or self._config.embedder)
        spec = chunking.configured(self._config, model, chunker)
        self._uploads.remove_collection(name)  # of one that was deleted by another process
        self._accounts.forget_collection(name)
        Index.create(self._config, name, model.identity, spec.as_manifest()).close()

    def delete(self, identity: Identity, name: str) -> None:
        """Delete a collection with its uploads, open jobs and grants. For admins."""
        identity.require("admin")
        self.check(identity, name)
        self._jobs.cancel_of(name)
        with self._lock:
            self._retire(name)
        delete_collection(self._config, name)
        self._uploads.remove_collection(name)
        self._accounts.forget_collection(name)
        self._drop(self._jobs.forget(collection=name))

    # -- documents -------------------------------------------------------------------------

    def documents(
        self,
        identity: Identity,
        name: str,
        *,
        text: str = "",
        form: str = "",
        order: str = "path",
        descending: bool = False,
        start: int = 0,
        limit: int = 100,
    ) -> Rows:
        """Documents of a collection; see `documents_of.list_documents`."""
        docs = self.open(name, identity)
        return list_documents(
            docs.index,
            self._names(docs),
            self._uploads.folder / name,
            text=text,
            form=form,
            order=order,
            descending=descending,
            start=start,
            limit=limit,
        )

    def row(self, identity: Identity, name: str, document_id: int) -> Row:
        """One document as in the list. Raises NotThere."""
        docs = self.open(name, identity)
        found = one_row(docs.index, self._names(docs), self._uploads.folder / name, document_id)
        if found is None:
            raise _no_document(name, document_id)
        return found

    def document(self, identity: Identity, name: str, document_id: int) -> Document:
        """A document with its whole text; `source` is its path on the server. Raises NotThere."""
        found = self.open(name, identity).index.find_document(document_id)
        if found is None:
            raise _no_document(name, document_id)
        return found

    def chunks(self, identity: Identity, name: str, document_id: int) -> list[tuple[int, Chunk]]:
        """A document's passages with their ids, in order. Raises NotThere."""
        docs = self.open(name, identity)
        found = chunks_of(docs.index, document_id)
        if not found and docs.index.find_document(document_id) is None:
            raise _no_document(name, document_id)
        return found

    def set_metadata(
        self,
        identity: Identity,
        name: str,
        document_id: int,
        metadata: Mapping[str, MetadataValue | None],
    ) -> Row:
        """Add to or change what is known of a document; None takes a key away. For editors.

        Raises QueryError for keys that the document itself tells, such as "title".
        """
        self.check(identity, name, edit=True)
        paths, _ = self._paths(identity, name, document_id)
        _check_metadata(metadata)
        index = self.whole(name).index
        for path in paths:
            index.set_metadata(path, metadata)  # type: ignore[arg-type]  # null removes
        return self.row(identity, name, document_id)

    def file(self, identity: Identity, name: str, document_id: int) -> Original:
        """The file that a document was read from, open. Close it.

        Raises NotThere where it is gone, and Conflict where it is no longer the one indexed.
        """
        row = self.row(identity, name, document_id)
        paths, sha256 = self._paths(identity, name, document_id)
        return self._originals.open(paths, sha256, row.name)

    def page_image(
        self, identity: Identity, name: str, document_id: int, page: int, dpi: int = 110
    ) -> bytes:
        """A page (from 1) of a PDF or picture as PNG. Raises as `file`, and DocumentError."""
        return self._pictures.page_image(self._on_disk(identity, name, document_id), page, dpi)

    def boxes(
        self, identity: Identity, name: str, document_id: int, start: int, end: int
    ) -> list[Box]:
        """Where a span of a document's text stands on its pages; see `Pictures.boxes`."""
        return self._pictures.boxes(self._on_disk(identity, name, document_id), start, end)

    def failures(self, identity: Identity, name: str) -> list[tuple[str, str, str]]:
        """(name, why, when) of files that could not be read on the command line, for editors."""
        self.check(identity, name, edit=True)
        docs = self.whole(name)
        names = self._names(docs)
        return [
            (names.shown(path), why.removeprefix(f"{path!r}: "), when)
            for path, why, when in docs.index.failures()
        ]

    def shown(self, name: str) -> Callable[[str], str]:
        """What turns the paths of a collection into those that people are shown."""
        return self._names(self.whole(name)).shown

    # -- uploads and other jobs ------------------------------------------------------------

    def upload(
        self,
        identity: Identity,
        name: str,
        filename: str,
        stream: BinaryIO | Iterable[bytes],
        *,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> Job:
        """Take a file and queue it; on disk, and never lost again, when this returns.

        `filename` may have folders. Raises QueryError for a name or metadata that cannot be
        used, TooLarge, Overloaded, and as `check`.
        """
        incoming = self.incoming(identity, name, filename, metadata=metadata)
        with incoming:
            incoming.take(stream)
            return incoming.finish()[0]

    def incoming(
        self,
        identity: Identity,
        name: str,
        filename: str,
        *,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> Arriving:
        """The same in pieces: `write` them, then `finish`."""
        self.check(identity, name, edit=True)
        path = safe_name(filename)
        _check_metadata(metadata or {})
        self._uploads.check_place(name, path)
        if self._jobs.waiting_files(identity.user) >= _WAITING:
            raise Overloaded(f"{_WAITING} of your files wait to be indexed", retry_after=30)
        return Arriving(self._jobs, self._uploads, identity.user, name, path, metadata or {})

    def reindex(
        self, identity: Identity, name: str, document_ids: Sequence[int] | None = None
    ) -> Job:
        """Read documents again from their files, or all; what cannot be read stays as it is."""
        self.check(identity, name, edit=True)
        docs = self.open(name, identity)
        names = self._names(docs)
        ids = document_ids
        if ids is None:
            ids = sorted({file.document_id for file in docs.index.files()})
        seen = self._files(docs, ids)
        every = files_of(self.whole(name).index, ids)  # with copies that are hidden from this one
        rows = (
            (
                names.shown(seen[i][0].path),
                _size(file.path for file in every[i]),
                every[i][0].sha256,
                {
                    "paths": [file.path for file in every[i]],
                    "metadata": {file.path: file.metadata for file in every[i]},
                },
            )
            for i in ids
            if i in every
        )
        return self._jobs.add(
            "reindex", identity.user, collection=name, title=_title(names, seen), unit="files",
            files=rows,
        )  # fmt: skip

    def remove_document(self, identity: Identity, name: str, *document_ids: int) -> Job:
        """Take documents out of a collection, and delete those that were sent to the server.

        Files that were added on the command line stay where they are."""
        self.check(identity, name, edit=True)
        docs = self.open(name, identity)
        of = self._files(docs, document_ids)
        paths = [file.path for files in of.values() for file in files]
        title = _title(self._names(docs), of)
        return self._jobs.add(
            "remove", identity.user, collection=name, title=title, options={"paths": paths}
        )

    def reembed(
        self, identity: Identity, name: str, *, embedder: str = "", chunker: str = ""
    ) -> Job:
        """Chunk and embed a whole collection anew, by the embedder and chunker it has unless
        others are named. For admins. Searches go on meanwhile."""
        identity.require("admin")
        self.check(identity, name)
        docs = self.whole(name)
        embedder = embedder or docs.index.embedder.name
        chunking.configured(self._config, self._engines.embedder(embedder), chunker)
        options = {"embedder": embedder, "chunker": chunker}
        return self._jobs.add(
            "reembed", identity.user, collection=name, title=embedder, options=options
        )

    def sync(self, identity: Identity, name: str) -> Job:
        """Follow the folders that were added on the command line: new, changed, gone files."""
        self.check(identity, name, edit=True)
        if not self.whole(name).index.roots():
            raise QueryError(f"no folder of the server was added to {name!r}; nothing to follow")
        return self._jobs.add("sync", identity.user, collection=name, unit="files")

    def pull(self, identity: Identity, what: str) -> Job:
        """Bring a model of the catalogue into the store. For admins; this reaches a network."""
        identity.require("admin")
        _check_key(identity)
        if not what.strip() or len(what) > 500:
            raise QueryError("name a model of the catalogue, or a source of one")
        return self._jobs.add(
            "pull", identity.user, title=what, unit="bytes", options={"what": what}
        )

    def jobs(
        self, identity: Identity, *, collection: str | None = None, open_only: bool = False,
        limit: int = 200,
    ) -> list[Job]:  # fmt: skip
        """Its jobs, the newest first; for an admin everybody's."""
        user = None if identity.is_admin else identity.user
        found = self._jobs.jobs(user=user, collection=collection, open_only=open_only, limit=limit)
        return [job for job in found if self._may_see(identity, job)]

    def job(self, identity: Identity, job_id: int) -> Job:
        """One of them. Raises NotThere, for those of others too."""
        job = self._jobs.job(job_id)
        if not self._may_see(identity, job):
            raise NotThere(f"there is no job {job_id}")
        return job

    def job_files(
        self, identity: Identity, job_id: int, *, after: int = 0, limit: int = 1000
    ) -> list[JobFile]:
        """The files of a job with what became of each, those with an id above `after`."""
        self.job(identity, job_id)
        return self._jobs.files(job_id, after=after, limit=limit)

    def cancel(self, identity: Identity, job_id: int) -> Job:
        """Stop a job: at once where it waits, soon where it runs. What it did stays done."""
        self.job(identity, job_id)
        return self._jobs.cancel(job_id)

    def retry(self, identity: Identity, job_id: int) -> Job:
        """Try again what failed. Raises Conflict where nothing did."""
        job = self.job(identity, job_id)
        if job.collection:
            self.check(identity, job.collection, edit=job.kind != "evaluate")
        return self._jobs.retry(job_id)

    def changes(self, since: int = -1, *, seconds: float = 0.0) -> int:
        """A number that grows with every change of any job; waits up to `seconds` for one."""
        return self._jobs.changes(since, seconds=seconds)

    def forget(self, user: str) -> None:
        """Delete a user's finished jobs, and what they sent that could not be indexed."""
        self._drop(self._jobs.forget(user=user))

    def forget_job(self, identity: Identity, job_id: int) -> None:
        """Delete a finished job, and what was sent with it that could not be indexed.

        Raises Conflict where it is not finished."""
        self.job(identity, job_id)
        self._drop(self._jobs.forget(job_id=job_id))

    def job_counts(self) -> dict[str, int]:
        """How many jobs there are of each state."""
        return self._jobs.counts()

    # -- inside ----------------------------------------------------------------------------

    def _indexing(self, task: Task) -> work.Indexing:
        return work.Indexing(task, self.whole(task.job.collection), self._parsing, self._uploads)

    def _names(self, docs: Collection) -> Names:
        """How paths of a collection are shown."""
        roots = self.whole(docs.name).index.roots()
        return Names(self._uploads.folder / docs.name, roots)

    def _drop(self, staged: Iterable[str]) -> None:
        for place in staged:
            self._uploads.drop(place)

    def _paths(self, identity: Identity, name: str, document_id: int) -> tuple[list[str], str]:
        """Where a document was indexed from, as far as the identity may see, and its SHA-256."""
        files = self._files(self.open(name, identity), [document_id])[document_id]
        return [file.path for file in files], files[0].sha256

    def _files(self, docs: Collection, ids: Sequence[int]) -> dict[int, list[IndexedFile]]:
        """The files of these documents. Raises NotThere where one of them is not there."""
        found = files_of(docs.index, ids)
        for document_id in ids:
            if document_id not in found:
                raise _no_document(docs.name, document_id)
        return found

    def _on_disk(self, identity: Identity, name: str, document_id: int) -> Document:
        """The document, its `source` a file that is still the one indexed."""
        document = self.document(identity, name, document_id)
        with self.file(identity, name, document_id) as original:
            return original.of(document)

    def _may_see(self, identity: Identity, job: Job) -> bool:
        """Its own, as long as it may read the collection: a job tells names of documents."""
        limit = identity.collections
        if limit is not None and job.collection not in limit:
            return False
        if identity.is_admin or not job.collection:
            return identity.is_admin or job.user == identity.user
        return job.user == identity.user and self._accounts.may_read(identity, job.collection)

    def _retire(self, name: str) -> None:
        """Let go of an open collection; it is closed when nobody can be reading it any more."""
        held = self._opened.pop(name, None)
        if held is not None:
            held.retired = time.monotonic()
            self._retired.append(held)
        for old in [r for r in self._retired if time.monotonic() - r.retired > _LINGER]:
            old.collection.close()
            self._retired.remove(old)


def _check_key(identity: Identity, name: str = "") -> None:
    """Raises Forbidden for a key that is limited to other collections."""
    if identity.collections is not None and name not in identity.collections:
        raise Forbidden("this key is limited to some collections")


def _size(paths: Iterable[str]) -> int:
    """Bytes of the first of these files that is there."""
    for path in sorted(paths):
        if os.path.isfile(path):
            return os.path.getsize(path)
    return 0


def _title(names: Names, of: Mapping[int, Sequence[IndexedFile]]) -> str:
    """The one document's name, or how many there are."""
    if len(of) == 1:
        return names.shown(next(iter(of.values()))[0].path)
    return f"{len(of)} documents"


def _check_metadata(metadata: Mapping[str, MetadataValue | None]) -> None:
    """Raises QueryError for keys that cannot be set, and for readers that nobody could be."""
    for key in metadata:
        if key in RESERVED or not key.strip() or len(key) > 100:
            raise QueryError(f"the key {key[:100]!r} cannot be set: the document itself tells it")
    check({k: v for k, v in metadata.items() if v is not None})


def _no_document(name: str, document_id: int) -> NotThere:
    return NotThere(f"there is no document {document_id} in {name!r}")
