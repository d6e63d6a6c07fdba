"""How near an answer comes to a gold answer in meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import EvaluationError
from ..models.interface import Embedder, Matrix

__all__ = ["embed_texts", "semscore"]

BATCH = 512  # texts handed to the embedder at once


def semscore(
    embedder: Embedder, answers: Sequence[str], golds: Sequence[Sequence[str]]
) -> list[float]:
    """For each answer the cosine to its nearest gold (SemScore, Aynetdinov and Akbik 2024).

    Values lie between -1 and 1; texts of the same meaning come near 1, and unrelated ones near 0
    with most embedders. A blank answer has no meaning and scores 0.0. A text too long for the
    embedder is the mean of its parts; nothing is cut off. What the figures are worth depends on
    the embedder knowing the language: report its name beside them.

    Raises EvaluationError where the numbers differ or an answer has no gold but blank ones.
    """
    if len(answers) != len(golds):
        raise EvaluationError(f"{len(answers)} answers, but golds for {len(golds)}")
    kept = [[gold for gold in of if gold.strip()] for of in golds]
    for i, of in enumerate(kept):
        if not of:
            raise EvaluationError(f"answer {i}, {answers[i][:60]!r}, has no gold to compare with")
    said = [answer for answer in answers if answer.strip()]
    texts = list(dict.fromkeys(said + [gold for of in kept for gold in of]))
    vectors = dict(zip(texts, embed_texts(embedder, texts), strict=True))
    return [
        max(float(vectors[answer] @ vectors[gold]) for gold in of) if answer.strip() else 0.0
        for answer, of in zip(answers, kept, strict=True)
    ]


def embed_texts(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    """Unit vectors of texts of any length, shape (len(texts), dimension), float32.

    All are embedded as documents, so that two of them can be compared; one too long for the
    embedder is the mean of its parts.
    """
    parts: list[str] = []
    spans = []
    for text in texts:
        pieces = _fitting(embedder, text)
        spans.append((len(parts), len(parts) + len(pieces)))
        parts += pieces
    vectors = np.empty((len(parts), embedder.identity.dimension), np.float32)
    for start in range(0, len(parts), BATCH):
        vectors[start : start + BATCH] = embedder.embed_documents(parts[start : start + BATCH])
    means = [vectors[a:b].sum(axis=0) if b - a > 1 else vectors[a] for a, b in spans]
    if not means:
        return np.empty((0, embedder.identity.dimension), np.float32)
    rows = np.stack(means)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)


def _fitting(embedder: Embedder, text: str) -> list[str]:
    """A text, or its halves where it is too long, and theirs."""
    if embedder.count_tokens(text) <= embedder.max_tokens or len(text) < 2:
        return [text]
    middle = text.find(" ", len(text) // 2)
    middle = middle if middle > 0 else len(text) // 2
    return _fitting(embedder, text[:middle]) + _fitting(embedder, text[middle:])
