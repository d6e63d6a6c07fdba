"""The files that documents were read from, as long as they are the very ones that were indexed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ..documents.folders import open_file
from ..errors import Conflict, NotThere
from ..records import Document

_REMEMBERED = 10_000  # files whose hash is known
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Original:
    """An open file with a document's original bytes; close it, or use it in a `with` block."""

    name: str  # without folders
    path: Path
    size: int
    sha256: str
    stream: BinaryIO

    def __enter__(self) -> Original:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def of(self, document: Document) -> Document:
        """The document as read from this file, of several of the same content."""
        return replace(document, source=str(self.path))


class Originals:
    """Opens files by the paths that an index knows, and by no others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, ...], str] = OrderedDict()

    def open(self, paths: Sequence[str], sha256: str, name: str) -> Original:
        """The first of these files whose bytes have this SHA-256.

        Raises NotThere where none is there, and Conflict where one is that has changed.
        """
        changed = False
        for path in map(Path, paths):
            try:
                stream = open_file(path)
            except OSError:
                continue
            try:
                if self._hash(stream) == sha256:
                    size = os.fstat(stream.fileno()).st_size
                    return Original(name, path, size, sha256, stream)
                changed = True
            except OSError:
                pass  # a folder, or a disk that fails: as good as gone
            stream.close()
        if changed:
            raise Conflict(
                f"the file of {name!r} has changed since it was indexed; index it again to see it"
            )
        raise NotThere(f"the file of {name!r} is no longer where it was indexed from")

    def _hash(self, stream: BinaryIO) -> str:
        """The file's SHA-256, worked out once as long as the system says it is the same."""
        found = os.fstat(stream.fileno())
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        with self._lock:
            if key in self._known:
                return self._known[key]
        digest = hashlib.sha256()
        while piece := stream.read(_PIECE):
            digest.update(piece)
        stream.seek(0)
        with self._lock:
            self._known[key] = digest.hexdigest()
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return digest.hexdigest()
