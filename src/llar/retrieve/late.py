"""Late interaction: how close the tokens of a passage come to those of a question."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..models.interface import Matrix, TokenEmbedder
from ..models.threads import free_cores

__all__ = ["closeness", "closenesses"]


def closeness(embedder: TokenEmbedder, question: str, passage: str) -> float:
    """How close the tokens of a passage come to those of a question, 0 (chance) to 1 (the same).

    Late interaction (Khattab and Zaharia, "ColBERT", 2020): the mean over the question's tokens
    of the highest cosine to a token of the passage; less the mean cosine of all pairs, which in
    some models is high for any two texts.
    """
    return closenesses(embedder, question, [passage])[0]


def closenesses(embedder: TokenEmbedder, question: str, passages: Sequence[str]) -> list[float]:
    """The closeness of each passage, in their order; several are read at once."""
    asked = _tokens(embedder, question)
    with ThreadPoolExecutor(min(free_cores(), len(passages) or 1)) as pool:
        return list(pool.map(lambda p: _closeness(asked, _tokens(embedder, p)), passages))


def _closeness(asked: Matrix, said: Matrix) -> float:
    if not len(asked) or not len(said):
        return 0.0
    cosines = asked @ said.T
    chance = float(cosines.mean())
    return (float(cosines.max(axis=1).mean()) - chance) / max(1 - chance, 1e-6)


def _tokens(embedder: TokenEmbedder, text: str) -> Matrix:
    """The token vectors of a text; of its halves where it is too long for the embedder."""
    if embedder.count_tokens(text) <= embedder.max_tokens:
        return embedder.embed_tokens(text)[0]
    middle = text.find(" ", len(text) // 2)
    middle = middle if middle > 0 else len(text) // 2
    return np.concatenate([_tokens(embedder, text[:middle]), _tokens(embedder, text[middle:])])
