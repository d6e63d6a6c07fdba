"""Groups of unit vectors: found by k-means, judged by cosine.

k-means with the first centres of Arthur and Vassilvitskii 2007, "k-means++"; the number of groups
is the one with the best silhouette (Rousseeuw 1987) by cosine distance. For unit vectors the mean
cosine to a group is the product with the group's sum, so that no pair has to be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cosines", "clustered", "cosines", "kmeans", "silhouette"]

Vectors = NDArray[np.float64]
Labels = NDArray[np.int64]

_MOST_GROUPS = 10
_ROUNDS = 100
_STARTS = ((100, 50), (1000, 10))  # up to so many vectors, so many runs from other centres


class Cosines(NamedTuple):
    """Mean cosine of two different vectors of one group, and of two of different groups."""

    within: float | None  # None where no group has two
    between: float | None  # None where there is one group


def clustered(vectors: Vectors, groups: int | None, seed: int = 0) -> tuple[Labels, float | None]:
    """A group for each unit vector, from 0, and the silhouette, None where it has no meaning.

    `groups` None takes from 2 to 10 what has the best silhouette, 1 where none is above 0.
    """
    many = len(vectors)
    one = np.zeros(many, np.int64)
    different = len(np.unique(vectors.round(6), axis=0))
    if groups is not None:
        labels = kmeans(vectors, min(groups, different), seed)
        return labels, silhouette(vectors, labels)
    best, found = one, None
    for k in range(2, min(_MOST_GROUPS, different, many - 1) + 1):
        labels = kmeans(vectors, k, seed)
        score = silhouette(vectors, labels)
        if score is not None and score > (found or 0):
            best, found = labels, score
    return best, found


def kmeans(vectors: Vectors, k: int, seed: int = 0) -> Labels:
    """The best of several runs of k-means, groups numbered by size, the largest 0."""
    generator = np.random.default_rng(seed)
    best, least = np.zeros(len(vectors), np.int64), np.inf
    for _ in range(next((runs for most, runs in _STARTS if len(vectors) <= most), 3)):
        labels, spread = _run(vectors, k, generator)
        if spread < least - 1e-9:
            best, least = labels, spread
    sizes = np.bincount(best, minlength=k)
    first = [int(np.flatnonzero(best == g)[0]) if sizes[g] else len(best) for g in range(k)]
    order = sorted(range(k), key=lambda g: (-sizes[g], first[g]))
    rank = np.empty(k, np.int64)
    rank[order] = np.arange(k)
    return rank[best]


def _run(vectors: Vectors, k: int, generator: np.random.Generator) -> tuple[Labels, float]:
    centres = _first_centres(vectors, k, generator)
    labels = np.full(len(vectors), -1, np.int64)
    for _ in range(_ROUNDS):
        distances = _distances(vectors, centres)
        nearest = distances.argmin(axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        for g in range(k):
            own = vectors[labels == g]
            # An empty group begins anew at the vector that is worst off.
            centres[g] = own.mean(axis=0) if len(own) else vectors[distances.min(axis=1).argmax()]
    return labels, float(_distances(vectors, centres).min(axis=1).sum())


def _first_centres(vectors: Vectors, k: int, generator: np.random.Generator) -> Vectors:
    centres = [vectors[generator.integers(len(vectors))]]
    for _ in range(k - 1):
        away = _distances(vectors, np.array(centres)).min(axis=1)
        total = away.sum()
        chance = away / total if total > 0 else np.full(len(vectors), 1 / len(vectors))
        centres.append(vectors[generator.choice(len(vectors), p=chance)])
    return np.array(centres)


def _distances(vectors: Vectors, centres: Vectors) -> Vectors:
    """Squared distances, shape (vectors, centres)."""
    lengths = np.vecdot(vectors, vectors)[:, None] + np.vecdot(centres, centres)[None]
    found: Vectors = np.maximum(lengths - 2 * vectors @ centres.T, 0)
    return found


def silhouette(vectors: Vectors, labels: Labels) -> float | None:
    """Mean over all of (b - a) / max(a, b): a is the mean cosine distance to the own group, b to
    the nearest other; 0 for a vector alone in its group. None for a single group."""
    names, places = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        return None
    sizes = np.bincount(places)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, places, vectors)
    products = vectors @ sums.T
    rows = np.arange(len(vectors))
    own = sizes[places]
    mine = products[rows, places] - np.vecdot(vectors, vectors)
    a = 1 - mine / np.maximum(own - 1, 1)
    others = 1 - products / sizes
    others[rows, places] = np.inf
    b = others.min(axis=1)
    larger = np.maximum(a, b)
    score = np.divide(b - a, larger, out=np.zeros_like(a), where=larger > 1e-12)
    return float(np.where(own > 1, score, 0).mean())


def cosines(vectors: Vectors, labels: Sequence[int] | Labels) -> Cosines:
    """The mean cosine within groups and between them, over all pairs of unit vectors."""
    places = np.unique(np.asarray(labels), return_inverse=True)[1]
    sums = np.zeros((int(places.max(initial=0)) + 1, vectors.shape[1]))
    np.add.at(sums, places, vectors)
    sizes = np.bincount(places)
    lengths = float(np.vecdot(vectors, vectors).sum())
    inside = float(np.vecdot(sums, sums).sum())
    every = float(np.dot(sums.sum(axis=0), sums.sum(axis=0)))
    pairs = int((sizes * (sizes - 1)).sum())
    apart = len(vectors) ** 2 - int((sizes * sizes).sum())
    return Cosines(
        (inside - lengths) / pairs if pairs else None, (every - inside) / apart if apart else None
    )
