"""A file on its way into a collection: its bytes, then the job that indexes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO

from ..records import MetadataValue
from .job_records import Job, JobFile
from .jobs import Jobs
from .uploads import Incoming, Uploads, pieces
from .who import Identity


class Arriving:
    """A file on its way in. As a context manager it is discarded unless `finish` was reached."""

    def __init__(
        self,
        jobs: Jobs,
        uploads: Uploads,
        identity: Identity,
        collection: str,
        path: str,
        metadata: Mapping[str, MetadataValue],
    ) -> None:
        self._add = jobs.add_file
        self._user, self._collection, self._path = identity.user, collection, path
        self._sender = {"names": sorted(identity.names), "everything": identity.is_admin}
        self._metadata = metadata
        self._incoming: Incoming = uploads.incoming(path)
        self._done = False

    def __enter__(self) -> Arriving:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def discard(self) -> None:
        """Forget what came, unless it was finished."""
        if not self._done:
            self._incoming.discard()

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self._incoming.write(data)

    def take(self, stream: BinaryIO | Iterable[bytes]) -> None:
        """All bytes of something that can be read, or of pieces."""
        for piece in pieces(stream):
            self._incoming.write(piece)

    def finish(self) -> tuple[Job, JobFile]:
        """All came. On disk, with the job that indexes it, when this returns."""
        staged = self._incoming.finish()
        added = self._add(
            self._user,
            self._collection,
            self._path,
            staged=staged.place,
            size=staged.size,
            sha256=staged.sha256,
            metadata=self._metadata,
            options=self._sender,
        )
        self._done = True
        return added
