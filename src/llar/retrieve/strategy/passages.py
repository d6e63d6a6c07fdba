"""Passages by id and by place, for the strategies that reach them in other ways than by words."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ...index.index import Index
from ...index.passages import Mask, View


def mask_of(view: View, chunks: Collection[int]) -> Mask:
    """These passages, by id, as a mask over the view's places."""
    return np.isin(view.ids, np.fromiter(chunks, np.int64, len(chunks)))


def passage_at(index: Index, document_id: int, place: int) -> int | None:
    """The passage that holds a place of a document, or the next one; None behind the last."""
    row = index.database.connection.execute(
        "SELECT id FROM chunks WHERE document_id = ? AND end > ? ORDER BY start, id LIMIT 1",
        (document_id, place),
    ).fetchone()
    return int(row[0]) if row else None
