"""Hypothetical passages: what an answer could look like is nearer to it than the question.

Gao et al., "Precise Zero-Shot Dense Retrieval without Relevance Labels" (2023): the vector that
is searched with is the mean of the question's and those of passages that the model made up. Their
facts may be wrong; only passages of the collection are ever shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.interface import Embedder, Matrix, Options
from ..query import Query
from .arguments import Arguments
from .asking import reply, sift
from .variants import NOTHING

if TYPE_CHECKING:
    from ..searcher import Searcher

TOKENS = 100  # of a passage
FEWEST = 4  # words of a passage that the question does not have
TEMPERATURE = 0.7  # of all passages but the first


def hyde(query: Query, searcher: Searcher, argument: str) -> Query:
    """Search by the mean of the question's vector and those of passages that the model makes up.

    `hyde:4` has it write four; the default is one. A passage that says nothing new, has no word
    of the question or is in another language is refused, on record; where none is left, and in
    a search by words only, the query stays as it is. Raises QueryError for another argument.
    """
    from ..hybrid import vector_of

    count = Arguments("hyde[:passages]", argument).whole(0, 1, most=50)
    if searcher.options.mode == "lexical":
        with searcher.step("the model's passages") as about:
            about["skipped"] = "the search is by words only"
        return query
    kept: list[str] = []
    for number in range(count):
        with searcher.step(f"the model's passage {number + 1}") as about:
            kept += _passage(query, searcher, number, about)
    if not kept:
        return query
    embedder = searcher.embedder()
    vectors = [vector_of(query, embedder), *(_embedded(embedder, text) for text in kept)]
    mean: Matrix = np.mean(vectors, axis=0, dtype=np.float32)
    length = np.float32(np.linalg.norm(mean))
    return replace(query, vector=mean / length) if length else query


def _passage(query: Query, searcher: Searcher, number: int, about: dict[str, Any]) -> list[str]:
    """One passage, or none where it cannot be used."""

    def refuse(words: frozenset[str], asked: frozenset[str]) -> str:
        return "" if len(words - asked) >= FEWEST else "it says nothing that was not asked"

    options = Options(
        max_tokens=TOKENS, temperature=TEMPERATURE if number else 0.0, seed=number or None
    )
    written = reply(searcher, "hyde", about, options, {"question": query.text})
    text = " ".join(written.text.split())
    kept = sift([text] if text else [], query, searcher, about, refuse)
    if not kept:
        about["result"] = NOTHING
    return kept


def _embedded(embedder: Embedder, text: str) -> Matrix:
    """The vector of a passage; one too long for the embedder is the mean of its halves."""
    if embedder.count_tokens(text) <= embedder.max_tokens:
        found: Matrix = embedder.embed_documents([text])[0]
        return found
    middle = text.find(" ", len(text) // 2)
    middle = middle if middle > 0 else len(text) // 2
    vector = _embedded(embedder, text[:middle]) + _embedded(embedder, text[middle:])
    return vector / np.float32(np.linalg.norm(vector) or 1.0)
