"""One retrieval, the default."""

from __future__ import annotations

from ...records import Hit
from ..query import Query
from ..searcher import Searcher


def single(query: Query, searcher: Searcher, _argument: str) -> list[Hit]:
    """The best passages for the query."""
    return searcher.find(query)
