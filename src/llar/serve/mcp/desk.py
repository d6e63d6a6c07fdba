"""Where a tool gets its collections from, and who hears of it: for one user of one server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from ...config import Config
from ...errors import UnknownCollection

if TYPE_CHECKING:
    from ...collection import Collection
    from ...index.access import Reader
    from ..state import State
    from ..who import Identity


class Desk(Protocol):
    """What the tools need. Safe to use from several threads."""

    def names(self) -> list[str]:
        """The collections that may be read, by name."""
        ...

    def open(self, name: str) -> Collection:
        """The collection as the user may see it; not to be closed. Raises UnknownCollection."""
        ...

    def shown(self, name: str) -> Callable[[str], str]:
        """What turns the paths of a collection into those that may be shown."""
        ...

    def record(
        self, action: str, name: str, question: str, documents: Iterable[tuple[int, str]],
        detail: str = "",
    ) -> None:  # fmt: skip
        """Write down what was done. Raises ServeError where that fails."""
        ...

    @property
    def tells_fixes(self) -> bool:
        """May the user be told the commands that mend what is wrong here?"""
        ...


class LocalDesk:
    """All collections of this machine for the user who runs the command, as `reader` sees them.

    As with `llar ask`, whose files these are is the operating system's to say, and nothing is
    written into the server's audit log.
    """

    tells_fixes = True

    def __init__(self, config: Config, reader: Reader | None = None) -> None:
        self._config = config
        self._reader = reader
        self._opened: dict[str, Collection] = {}
        self._guard = threading.Lock()

    def names(self) -> list[str]:
        """Every collection there is."""
        from ...index.index import collection_names

        return collection_names(self._config)

    def open(self, name: str) -> Collection:
        """The collection, its models loaded on first use."""
        from ...collection import Collection

        have = self.names()
        if name not in have:
            raise UnknownCollection(
                f"there is no collection {name!r} (there are: {', '.join(have) or 'none yet'})"
            )
        with self._guard:
            if name not in self._opened:
                self._opened[name] = Collection(name, config=self._config)
            opened = self._opened[name]
        return opened.seen_by(self._reader) if self._reader else opened

    def shown(self, name: str) -> Callable[[str], str]:
        """Paths as they are."""
        return str

    def record(
        self, action: str, name: str, question: str, documents: Iterable[tuple[int, str]],
        detail: str = "",
    ) -> None:  # fmt: skip
        """Nothing."""

    def close(self) -> None:
        """Close the collections and their models."""
        with self._guard:
            for opened in self._opened.values():
                opened.close()
            self._opened.clear()


class ServerDesk:
    """The collections of the running server for one identity; what is done is audited."""

    def __init__(self, state: State, identity: Identity) -> None:
        self._state = state
        self._identity = identity

    def names(self) -> list[str]:
        """Those it may read."""
        return self._state.library.names(self._identity)

    def open(self, name: str) -> Collection:
        """As the identity may see it."""
        return self._state.library.open(name, self._identity)

    def shown(self, name: str) -> Callable[[str], str]:
        """Paths without the folders of the server."""
        return self._state.library.shown(name)

    def record(
        self, action: str, name: str, question: str, documents: Iterable[tuple[int, str]],
        detail: str = "",
    ) -> None:  # fmt: skip
        """Into the audit log."""
        self._state.audit.record(
            self._identity, action, collection=name, question=question, documents=list(documents),
            detail=", ".join(part for part in ("mcp", detail) if part),
        )  # fmt: skip

    @property
    def tells_fixes(self) -> bool:
        """To admins only."""
        return self._identity.is_admin
