"""The passages of a collection in memory, in the one order that its words and vectors share.

A search works with places: positions in arrays that hold every passage's id, document, language
and length. A passage keeps its place while others are added behind it or removed, so vectors and
words held in memory need no shuffling; only when a quarter are of removed documents is everything
laid out anew. The arrays are read from SQLite as one long string per column: a row each would
cost Python an object each.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection as SetOf
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from .database import Database

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Scores = NDArray[np.float32]

_REMOVED = 0  # in place of a document's id, which SQLite counts from 1


class Posting(NamedTuple):
    """Where one word of a query stands: places in order, and what it adds there for weight 1."""

    places: NDArray[np.int32]
    impacts: Scores
    passages: int  # how many hold the commonest of its alternatives


class Postings(dict[tuple[str, ...], Posting]):
    """Words with their alternatives -> where they stand, for those asked for lately."""

    def __init__(self, most: int = 1 << 24) -> None:
        """`most` places, 8 bytes each, are held; then it starts anew."""
        super().__init__()
        self._most = most
        self._places = 0

    def keep(self, group: tuple[str, ...], posting: Posting) -> None:
        """Remember this one."""
        self._places += len(posting.places)
        if self._places > self._most:
            self.clear()
            self._places = len(posting.places)
        self[group] = posting


@dataclass(frozen=True, slots=True, weakref_slot=True)
class View:
    """The passages of one generation. Arrays have one entry per place and are never changed."""

    state: tuple[int, int]  # epoch and generation
    layout: object  # the same one as long as places stay valid
    ids: NDArray[np.int64]  # ascending
    documents: NDArray[np.int64]  # of removed passages, and of those hidden from the reader: 0
    owners: NDArray[np.int64]  # the same with those hidden: what the vectors are read by
    languages: NDArray[np.int16]  # number of each passage's language in `names`
    lengths: NDArray[np.int32]  # in words
    names: tuple[str, ...]  # ISO 639-1, "" where the language is not known
    listed: NDArray[np.int64]  # ids of all documents, ascending, those without passages included
    count: int  # passages that are not removed
    words: int  # that they have together
    mean_length: float  # their words, at least 1
    spoken: tuple[str, ...]  # their languages
    postings: Postings = field(default_factory=Postings)
    kept: dict[object, Mask] = field(default_factory=dict)  # filters -> passages they leave
    known: dict[str, Any] = field(default_factory=dict)  # what was worked out from the passages

    def of_documents(self, documents: SetOf[int]) -> Mask:
        """Which passages are of these documents."""
        wanted = np.fromiter(documents, np.int64, len(documents))
        return np.isin(self.documents, wanted)


class Held:
    """What is kept of a collection's passages for all who look at it."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.view: View | None = None
        # What readers see who may not see everything: the view by what is hidden from them.
        self.shown: WeakValueDictionary[Any, View] = WeakValueDictionary()


class Passages:
    """Gives each search the view that fits the moment it reads the collection at."""

    def __init__(self, database: Database, held: Held | None = None) -> None:
        """`held` is that of another one for the same collection."""
        self._database = database
        self._held = held or Held()
        self._local = threading.local()

    @property
    def held(self) -> Held:
        """What is kept, for another one to share."""
        return self._held

    def view(self) -> View:
        """The passages as this thread's transaction sees them, the same ones each time.

        What is loaded with a view later must be read in the same transaction.
        """
        with self._database.read():
            turn = self._database.turn
            last: tuple[object, ReferenceType[View]] | None = getattr(self._local, "last", None)
            view = last[1]() if last is not None and turn and last[0] is turn else None
            if view is None:
                view = self._find()
                self._local.last = (turn, ReferenceType(view))
            return view

    def _find(self) -> View:
        """The view that is kept, brought to this moment; one of its own for an older moment.

        Another thread may go ahead at any time, and places may then mean other passages.
        """
        with self._held.guard, self._database.whole() as connection:
            epoch, generation, words = _manifest(connection)
            state = (epoch, generation)
            held = self._held.view
            if held is not None and held.state == state:
                return held
            if held is not None and held.state[0] == epoch and held.state[1] > generation:
                return _read(connection, state, words)  # an older moment, once: not worth keeping
            if held is not None and held.state[0] == epoch:
                held = _follow(connection, held, state, words)
            else:
                held = _read(connection, state, words)
            self._held.view = held
            return held


def _manifest(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Epoch, generation and how many words there are."""
    values = dict(
        connection.execute(
            "SELECT key, value FROM main.manifest WHERE key IN ('epoch', 'generation', 'tokens')"
        )
    )
    return int(values["epoch"]), int(values["generation"]), int(values["tokens"])


def best(scores: Scores, k: int, above: float = -np.inf) -> Places:
    """The places of the k highest scores over `above`, best first, ties by place.

    A sample tells a score that at least k reach, which leaves few to sort.
    """
    least = np.float32(above)
    sample = scores[:: max(1, min(16, len(scores) // (8 * k)))]
    if len(sample) >= k:
        least = max(least, np.partition(sample, len(sample) - k)[len(sample) - k])
    found = np.flatnonzero(scores >= least if least > above else scores > above)
    if len(found) > 4 * k:
        of_found = scores[found]
        found = found[of_found >= np.partition(of_found, len(found) - k)[len(found) - k]]
    top: Places = found[np.lexsort((found, -scores[found]))][:k]
    return top


def find(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[Places, Mask]:
    """Where `wanted` are in the ascending `ids`, and which of them are there at all."""
    if not len(ids):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    if ids[-1] - ids[0] == len(ids) - 1:  # no gaps
        places = np.clip(wanted - ids[0], 0, len(ids) - 1)
    else:
        places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return places, ids[places] == wanted


def numbers(text: str | None) -> NDArray[np.int64]:
    """The integers of a group_concat."""
    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)


def _follow(connection: sqlite3.Connection, old: View, state: tuple[int, int], words: int) -> View:
    """The view after documents were added and removed."""
    listed = _documents(connection)
    added = np.setdiff1d(listed, old.listed, assume_unique=True)
    gone = np.setdiff1d(old.listed, listed, assume_unique=True)
    documents = old.documents
    if len(gone):
        documents = np.where(np.isin(documents, gone), _REMOVED, documents)
    new = _Columns(connection, old.names, added)
    out_of_order = len(new.ids) and len(old.ids) and new.ids[0] < old.ids[-1]
    if out_of_order or np.count_nonzero(documents) * 4 < len(documents) * 3:
        return _read(connection, state, words)
    new.ids = np.concatenate([old.ids, new.ids])
    new.documents = np.concatenate([documents, new.documents])
    new.languages = np.concatenate([old.languages, new.languages])
    new.lengths = np.concatenate([old.lengths, new.lengths])
    return _view(new, listed, state, words, old.layout)


def _read(connection: sqlite3.Connection, state: tuple[int, int], words: int) -> View:
    """The view of everything, laid out anew."""
    new = _Columns(connection, ("",), None)
    return _view(new, _documents(connection), state, words, object())


def _view(
    columns: _Columns,
    listed: NDArray[np.int64],
    state: tuple[int, int],
    words: int,
    layout: object,
) -> View:
    here = columns.documents != _REMOVED
    count = int(np.count_nonzero(here))
    spoken = np.flatnonzero(np.bincount(columns.languages[here]))
    return View(
        state=state,
        layout=layout,
        ids=columns.ids,
        documents=columns.documents,
        owners=columns.documents,
        languages=columns.languages,
        lengths=columns.lengths,
        names=columns.names,
        listed=listed,
        count=count,
        words=words,
        mean_length=max(words / max(count, 1), 1.0),
        spoken=tuple(sorted(columns.names[i] for i in spoken)),
    )


class _Columns:
    """What a view holds of the passages of some documents, or of all, by id."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: tuple[str, ...],
        documents: NDArray[np.int64] | None,
    ) -> None:
        which, values = "", []
        if documents is not None:
            which = "WHERE {} IN (SELECT value FROM json_each(?))"
            values = [json.dumps(documents.tolist())]
        ids, owners = connection.execute(
            "SELECT group_concat(id), group_concat(document_id) FROM main.chunks"
            f" {which.format('document_id')}",
            values,
        ).fetchone()
        found = numbers(ids)
        order = np.argsort(found)
        self.ids = found[order]
        self.documents = numbers(owners)[order]
        languages: dict[int, str | None] = dict(
            connection.execute(
                f"SELECT id, language FROM main.documents {which.format('id')}", values
            )
        )
        self.names = tuple(dict.fromkeys([*names, *(x or "" for x in languages.values())]))
        number = {name: i for i, name in enumerate(self.names)}
        distinct, place = np.unique(self.documents, return_inverse=True)
        codes = [number[languages.get(d) or ""] for d in distinct.tolist()]
        self.languages = np.array(codes, np.int16)[place]
        self.lengths = _lengths(connection, self.ids)


def _documents(connection: sqlite3.Connection) -> NDArray[np.int64]:
    return np.sort(
        numbers(connection.execute("SELECT group_concat(id) FROM main.documents").fetchone()[0])
    )


def _lengths(connection: sqlite3.Connection, ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """How many words each passage has, as FTS5 counted them when it stored them.

    https://www.sqlite.org/fts5.html#the_docsize_table: a variable-length integer per row.
    """
    lengths = np.zeros(len(ids), np.int32)
    if len(ids):
        rows, sizes = connection.execute(
            "SELECT group_concat(id), group_concat(hex(sz), '') FROM main.words_docsize"
            " WHERE id BETWEEN ? AND ?",
            (int(ids[0]), int(ids[-1])),
        ).fetchone()
        places, here = find(ids, numbers(rows))
        lengths[places[here]] = _varints(bytes.fromhex(sizes or ""))[here]
    return lengths


def _varints(data: bytes) -> NDArray[np.int64]:
    """SQLite's variable-length integers: seven bits a byte, the highest first, the last below 128.

    https://www.sqlite.org/fileformat2.html#varint, for values that take up to eight bytes.
    """
    read = np.frombuffer(data, np.uint8).astype(np.int64)
    ends = np.flatnonzero(read < 128)
    sizes = np.diff(ends, prepend=-1)
    values = read[ends]
    for back in range(1, int(sizes.max(initial=1))):
        more = sizes > back
        values[more] += (read[ends[more] - back] & 127) << (7 * back)
    return values
