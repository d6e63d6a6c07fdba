"""The collections that the server serves, opened for who is asking.

A collection that somebody may not read is, for them, one that does not exist. Other processes may
add, change and delete collections meanwhile: each call sees what is there now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ..collection import Collection
from ..config import Config
from ..errors import Forbidden, UnknownCollection
from ..index.access import Reader
from ..index.database import FILE
from ..index.index import collection_names
from .accounts import Accounts
from .documents_of import Names
from .engines import Engines
from .uploads import Uploads
from .who import Identity

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


class Collections:
    """Every collection, as those see it who may read it. Safe to use from several threads."""

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

    def close(self) -> None:
        """Let go of every collection."""
        with self._lock:
            for held in (*self._opened.values(), *self._retired):
                held.collection.close()
            self._opened.clear()
            self._retired.clear()

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

    def shown(self, name: str) -> Callable[[str], str]:
        """What turns the paths of a collection into those that people are shown."""
        return self._names(self.whole(name)).shown

    def _names(self, docs: Collection) -> Names:
        """How paths of a collection are shown."""
        roots = self.whole(docs.name).index.roots()
        return Names(self._uploads.folder / docs.name, roots)

    def _retire(self, name: str) -> None:
        """Let go of an open collection; it is closed when nobody can be reading it any more."""
        held = self._opened.pop(name, None)
        if held is not None:
            held.retired = time.monotonic()
            self._retired.append(held)
        for old in [r for r in self._retired if time.monotonic() - r.retired > _LINGER]:
            old.collection.close()
            self._retired.remove(old)
