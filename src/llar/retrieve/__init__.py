"""A question to the passages that fit it: rewritten, retrieved, refined, each by named steps."""

from .hybrid import embed_query, embed_spans
from .options import Mode, Retrieval, options
from .query import Query, Word
from .searcher import Result, Searcher

__all__ = [
    "Mode",
    "Query",
    "Result",
    "Retrieval",
    "Searcher",
    "Word",
    "embed_query",
    "embed_spans",
    "options",
]
