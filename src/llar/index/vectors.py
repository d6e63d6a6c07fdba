"""The exact vector matrix of a collection, in memory, kept up to date by its generation."""

from __future__ import annotations

import threading
from collections.abc import Collection as SetOf

import numpy as np
from numpy.typing import NDArray

from ..models.interface import Matrix
from .index import Index


class Vectors:
    """All chunk vectors of an index as one matrix; loads what changed since the last search."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._guard = threading.Lock()
        self._state = (-1, -1)  # epoch and generation of what is in memory
        self._matrix: Matrix = np.empty((0, 0), np.float32)
        self._chunks: NDArray[np.int64] = np.empty(0, np.int64)
        self._documents: NDArray[np.int64] = np.empty(0, np.int64)

    def nearest(
        self, query: Matrix, k: int, documents: SetOf[int] | None = None
    ) -> list[tuple[int, float]]:
        """The k chunks whose vectors have the highest cosine to `query` (shape (dimension,)).

        Returns (chunk id, cosine), best first, ties by id. `documents` limits the search.
        """
        matrix, chunks, owners = self._current()
        if documents is not None:
            kept = np.isin(owners, np.fromiter(documents, np.int64, len(documents)))
            matrix, chunks = matrix[kept], chunks[kept]
        if not len(chunks):
            return []
        scores = matrix @ query
        k = min(k, len(scores))
        top = np.argpartition(-scores, k - 1)[:k]
        top = top[np.lexsort((chunks[top], -scores[top]))]
        return [(int(chunks[i]), float(scores[i])) for i in top]

    def cosines(self, query: Matrix, chunk_ids: list[int]) -> dict[int, float]:
        """The cosine of each of these chunks to `query`; ids that are gone are left out."""
        matrix, chunks, _ = self._current()
        wanted = np.asarray(chunk_ids, np.int64)
        places = np.searchsorted(chunks, wanted)
        return {
            int(i): float(matrix[p] @ query)
            for i, p in zip(wanted, places, strict=True)
            if p < len(chunks) and chunks[p] == i
        }

    def _current(self) -> tuple[Matrix, NDArray[np.int64], NDArray[np.int64]]:
        with self._guard, self._index.database.read() as connection:
            manifest = self._index.database.manifest
            state = (manifest("epoch"), manifest("generation"))
            if state[0] != self._state[0]:  # re-embedded: nothing in memory is of use
                self._matrix = np.empty((0, self._index.embedder.dimension), np.float32)
                self._chunks = self._documents = np.empty(0, np.int64)
            if state != self._state:
                self._reload([r[0] for r in connection.execute("SELECT document_id FROM vectors")])
                self._state = state
            return self._matrix, self._chunks, self._documents

    def _reload(self, present: list[int]) -> None:
        """Drop the documents that are gone and append the new ones, in the order of chunk ids."""
        kept = np.isin(self._documents, np.asarray(present, np.int64))
        known = set(np.unique(self._documents).tolist())
        connection = self._index.database.connection
        matrices, chunks, owners = (
            [self._matrix if kept.all() else self._matrix[kept]],
            [self._chunks[kept]],
            [self._documents[kept]],
        )
        for document_id in (d for d in present if d not in known):
            first, count, data = connection.execute(
                "SELECT first_chunk, count, data FROM vectors WHERE document_id = ?", (document_id,)
            ).fetchone()
            matrices.append(np.frombuffer(data, "<f4").reshape(count, -1))
            chunks.append(np.arange(first, first + count))
            owners.append(np.full(count, document_id))
        if len(matrices) == 1:
            self._matrix, self._chunks, self._documents = matrices[0], chunks[0], owners[0]
            return
        self._chunks = np.concatenate(chunks)
        self._documents = np.concatenate(owners)
        self._matrix = np.concatenate(matrices)
        if np.any(np.diff(self._chunks) < 0):
            order = np.argsort(self._chunks)
            self._chunks, self._documents = self._chunks[order], self._documents[order]
            self._matrix = self._matrix[order]
