"""The vectors of a collection in memory, searched exactly.

Two copies are kept: float32, and a quarter of its size in int8 with a scale for each vector. A
search multiplies the int8 ones, which is memory read at its fastest, and knows how far each
product can be from the true cosine: by the Cauchy-Schwarz inequality no further than what was
rounded off is long. Every passage that could be among the best is then scored in float32, and the
few of those that still could be with sums in float64, so the answer is that of a full search. The
int8 copy is made when a second search comes: for one search it would cost more than it saves.
"""

from __future__ import annotations

import json
import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CollectionError
from ..models.interface import Matrix
from .index import Index
from .passages import Mask, Places, Scores, View, best

_BLOCK = 512  # vectors handled together, few enough for the processor's cache
_SCORED = 64  # the same where they are copied: memory for larger blocks is taken anew each time
_EPSILON = float(np.finfo(np.float32).eps)


class _Rounded(NamedTuple):
    """Vectors as int8 times a scale each; `error` is the most that one lost, as a length."""

    rows: NDArray[np.int8]
    scales: Scores
    error: float


class _Held:
    """The vectors that were loaded, for all who search the collection."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.layout: object = None
        self.matrix: Matrix = np.empty((0, 0), np.float32)  # with room for more rows
        self.loaded = 0
        self.rounded = _Rounded(np.empty((0, 0), np.int8), np.empty(0, np.float32), 0.0)
        self.made = 0  # how many of them
        self.asked = False


class Vectors:
    """All chunk vectors of an index; loads what changed since the last search."""

    def __init__(self, index: Index, held: _Held | None = None) -> None:
        self._index = index
        self._held = held or _Held()

    def through(self, index: Index) -> Vectors:
        """The same vectors in memory for the collection as a reader sees it."""
        return Vectors(index, self._held)

    def nearest(self, view: View, query: Matrix, k: int, kept: Mask | None = None) -> Places:
        """The places of the k passages whose vectors have the highest cosine to `query`.

        `query` has shape (dimension,) and length 1. Best first, ties by place; `kept` limits the
        search. Must be called in the transaction that `view` is of.
        """
        with self._held.guard:
            matrix = self._rows(view)
            rounded = self._round(matrix) if self._held.asked else None
            self._held.asked = True
        if not len(matrix):
            return np.empty(0, np.int64)
        scores, error = _products(matrix, rounded, query)
        if not np.isfinite(scores.max()):
            raise self._damaged("some vectors hold values that are no numbers")
        if kept is not None:
            scores[~kept] = -np.inf
        if view.count < len(view.ids):
            scores[view.documents == 0] = -np.inf
        near = _hopeful(scores, k, error)
        if rounded is not None:
            near = near[_hopeful(_scored(matrix, near, query), k, _sums(query))]
        return near[best(_cosines(matrix, near, query), k)]

    def cosines(self, view: View, query: Matrix, places: Places) -> Scores:
        """The cosine of each of these passages to `query`, in the transaction of `view`."""
        with self._held.guard:
            matrix = self._rows(view)
        return _cosines(matrix, places, query)

    def of(self, view: View, places: Places) -> Matrix:
        """The vectors of these passages, one row each, in the transaction of `view`."""
        with self._held.guard:
            found: Matrix = self._rows(view)[places]
        return found

    def _rows(self, view: View) -> Matrix:
        """One row per place, the missing ones read from the collection."""
        if view.layout is not self._held.layout:
            self._held.layout = view.layout
            self._held.matrix = np.empty((0, self._index.embedder.dimension), np.float32)
            self._held.rounded = _Rounded(
                np.empty(self._held.matrix.shape, np.int8), np.empty(0, np.float32), 0.0
            )
            self._held.loaded = self._held.made = 0
            self._held.asked = False
        if self._held.loaded < len(view.ids):
            self._held.matrix = _with_room(self._held.matrix, self._held.loaded, len(view.ids))
            self._read(view)
            self._held.loaded = len(view.ids)
        return self._held.matrix[: len(view.ids)]

    def _read(self, view: View) -> None:
        which, values = "", []
        if self._held.loaded:
            missing = np.unique(view.owners[self._held.loaded :]).tolist()
            which = "WHERE document_id IN (SELECT value FROM json_each(?))"
            values = [json.dumps(missing)]
        dimension = self._held.matrix.shape[1]
        expected = int(np.count_nonzero(view.owners[self._held.loaded :]))
        with self._index.database.whole() as connection:
            for document_id, first, count, data in connection.execute(
                f"SELECT document_id, first_chunk, count, data FROM main.vectors {which}", values
            ):
                start = int(np.searchsorted(view.ids, first))
                owners = view.owners[start : start + count]
                whole = len(data) == count * dimension * 4 and len(owners) == count
                if not whole or np.any(owners != document_id):
                    raise self._damaged(
                        f"the vectors of document {document_id} are not those of its passages"
                    )
                rows = np.frombuffer(data, "<f4").reshape(count, dimension)
                self._held.matrix[start : start + count] = rows
                expected -= count
        if expected:
            raise self._damaged(f"{expected} passages have no vectors")

    def _damaged(self, why: str) -> CollectionError:
        name = self._index.name
        return CollectionError(
            f"collection {name!r} is damaged: {why}", fix=f"llar doctor -c {name} --repair"
        )

    def _round(self, matrix: Matrix) -> _Rounded:
        """The int8 copy, the missing rows made."""
        rows, scales, error = self._held.rounded
        start, size = self._held.made, len(matrix)
        if start < size:
            rows, scales = _with_room(rows, start, size), _with_room(scales, start, size)
            for a in range(start, size, _BLOCK):
                b = min(a + _BLOCK, size)
                rows[a:b], scales[a:b], off = _rounded_off(matrix[a:b])
                error = max(error, off)
            self._held.rounded, self._held.made = _Rounded(rows, scales, error), size
        return _Rounded(rows[:size], scales[:size], error)


def _rounded_off(block: Matrix) -> tuple[NDArray[np.int8], Scores, float]:
    """These vectors as int8, their scales, and the length of the most that was rounded off."""
    scales = np.abs(block).max(axis=1) / 127
    scales[scales == 0] = 1
    rounded = np.rint(block / scales[:, None])
    rest = block - rounded * scales[:, None]
    error = float(np.sqrt(np.vecdot(rest, rest).max()))
    with np.errstate(invalid="ignore"):  # values that are no numbers: `nearest` sees and says so
        return rounded.astype(np.int8), scales, error


def _hopeful(scores: Scores, k: int, error: float) -> Places:
    """The places that may be among the k best, where each score is wrong by `error` at most."""
    top = best(scores, k)
    if not len(top):
        return top
    least = scores[top[-1]] - np.float32(2 * error)
    return np.flatnonzero(scores >= least if least > -np.inf else scores > -np.inf)


def _sums(query: Matrix) -> float:
    """How far rounding can put a float32 product of vectors of length 1 from the true one."""
    return len(query) * _EPSILON


def _products(matrix: Matrix, rounded: _Rounded | None, query: Matrix) -> tuple[Scores, float]:
    """Every vector's product with `query`, and how far one can be from the true value."""
    if rounded is None:
        return matrix @ query, _sums(query)
    from simsimd import cdist

    scale = np.float32(np.abs(query).max() / 127 or 1)
    small = np.rint(query / scale)
    off = float(np.linalg.norm(query - small * scale))
    length = float(np.linalg.norm(query))
    products = cdist(small.astype(np.int8)[None], rounded.rows, metric="dot", out_dtype="float32")
    scores = np.asarray(products)[0] * rounded.scales
    scores *= scale
    # v = v' + r, q = q' + s:  q.v - q'.v' = q.r + s.v'
    error = length * rounded.error + off * (1 + rounded.error)
    return scores, error * 1.001 + _sums(query)


def _cosines(matrix: Matrix, places: Places, query: Matrix) -> Scores:
    """Each row's product by itself and summed in float64, so that equal vectors get equal cosines
    wherever they lie and whichever library adds them up."""
    return _scored(matrix, places, query.astype(np.float64))


def _scored(matrix: Matrix, places: Places, query: NDArray[Any]) -> Scores:
    """Each row's product by itself, summed in the type of `query`."""
    found = np.empty(len(places), np.float32)
    for a in range(0, len(places), _SCORED):
        rows = matrix[places[a : a + _SCORED]].astype(query.dtype, copy=False)
        found[a : a + _SCORED] = np.vecdot(rows, query)
    return found


def _with_room(array: NDArray[Any], filled: int, size: int) -> NDArray[Any]:
    """The array, or a larger copy of it, with at least `size` rows. Memory unused stays virtual."""
    if size <= len(array):
        return array
    room = size + size // 4 if filled else size
    larger = np.zeros((room, *array.shape[1:]), array.dtype)
    larger[:filled] = array[:filled]
    return larger
