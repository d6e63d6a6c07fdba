"""What is done to the collections that the server serves: made, filled, read again, deleted.

What takes longer than a request is a job; whose it is, only they and admins see.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from .. import chunks as chunking
from ..config import Config
from ..errors import Conflict, Forbidden, NotThere, Overloaded, QueryError
from ..index.access import Reader
from ..index.index import Index, IndexedFile, collection_names, delete_collection
from ..records import MetadataValue
from . import library_work as work
from .accounts import Accounts
from .arriving import Arriving
from .documents import Documents, check_metadata
from .documents_of import Names, files_of
from .engines import Engines
from .job_records import EVALUATION, Job, JobFile
from .jobs import Jobs, Task
from .parsing import Parsing
from .question_sets import QuestionSets
from .runs import Runs
from .uploads import safe_name
from .who import Identity

_WAITING = 20_000  # files of one user that may wait to be indexed


class Library(Documents):
    """Collections, their documents, uploads and jobs. Safe to use from several threads."""

    def __init__(self, config: Config, engines: Engines, accounts: Accounts) -> None:
        super().__init__(config, engines, accounts)
        self._jobs = Jobs(config.home / "server" / "jobs.db")
        self._parsing = Parsing(config)
        self.sets = QuestionSets(config, self._jobs, self.whole, self.open, self.check)
        self.runs = Runs(config, self._jobs, self.whole, self.sets)

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
                "make": self.sets.work,
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
        super().close()

    # -- collections -----------------------------------------------------------------------

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
        """Delete a collection with its uploads, jobs, grants, question sets and evaluation runs.

        What quotes its documents must not show up in the next collection of that name. For admins.
        """
        identity.require("admin")
        self.check(identity, name)
        self._jobs.cancel_of(name)
        with self._lock:
            self._retire(name)
        delete_collection(self._config, name)
        self._uploads.remove_collection(name)
        self.runs.forget(name)
        self.sets.forget(name)
        self._accounts.forget_collection(name)
        self._drop(self._jobs.forget(collection=name))

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
        used, Conflict where the name is that of something else, or of a document that is hidden
        from them, TooLarge, Overloaded, and as `check`.
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
        check_metadata(metadata or {})
        self._uploads.check_place(name, path)
        target = str(self._uploads.path(name, path))
        sender = Reader(identity.names, everything=identity.is_admin)
        work.check_taken(self.whole(name).index, sender, target, path)
        if self._jobs.waiting_files(identity.user) >= _WAITING:
            raise Overloaded(f"{_WAITING} of your files wait to be indexed", retry_after=30)
        return Arriving(self._jobs, self._uploads, identity, name, path, metadata or {})

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
        if job.kind in EVALUATION:
            self.sets.check(identity, job.collection)
        elif job.collection:
            self.check(identity, job.collection, edit=True)
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

    def _drop(self, staged: Iterable[str]) -> None:
        for place in staged:
            self._uploads.drop(place)

    def _may_see(self, identity: Identity, job: Job) -> bool:
        """Its own, as long as it may read the collection: a job tells names of documents."""
        limit = identity.collections
        if limit is not None and job.collection not in limit:
            return False
        if identity.is_admin or not job.collection:
            return identity.is_admin or job.user == identity.user
        return job.user == identity.user and self._accounts.may_read(identity, job.collection)


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
