"""Vectors of many dimensions on a plane: PCA, or UMAP where it is installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InsideError

__all__ = ["METHODS", "check", "pca", "umap"]

METHODS = ("pca", "umap")
Plane = NDArray[np.float64]  # shape (points, 2)

_LEAST_FOR_UMAP = 5


def check(method: str) -> None:
    """Raise InsideError where the method does not exist or is not installed."""
    if method not in METHODS:
        raise InsideError(f"there is no method {method!r}; expected one of {', '.join(METHODS)}")
    if method == "umap":
        import importlib.util

        if importlib.util.find_spec("umap") is None:
            raise InsideError("UMAP needs umap-learn, which is not installed",
                              fix="pip install umap-learn")  # fmt: skip


def pca(vectors: NDArray[np.float64]) -> tuple[Plane, tuple[float, float]]:
    """The two directions in which the vectors differ most, and the share of variance of each.

    Principal components by singular value decomposition (Pearson 1901; Jolliffe 2002). The sign
    of a direction means nothing; it is chosen so that the largest component is positive.
    """
    centred = vectors - vectors.mean(axis=0)
    plane = np.zeros((len(vectors), 2))
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    variance = np.square(strengths)
    total = float(variance.sum())
    if total < 1e-18 * max(1.0, float(np.square(vectors).sum())):  # all the same
        return plane, (0.0, 0.0)
    shares = [0.0, 0.0]
    for n in range(min(2, len(strengths))):
        if variance[n] <= 1e-15 * total:
            continue
        direction = directions[n]
        sign = np.sign(direction[np.abs(direction).argmax()])
        plane[:, n] = centred @ direction * sign
        shares[n] = float(variance[n] / total)
    return plane, (shares[0], shares[1])


def umap(vectors: NDArray[np.float64], seed: int = 0) -> Plane:
    """Neighbours kept together (McInnes, Healy and Melville 2018); distances mean little.

    The same seed gives the same plane with the same versions of its libraries. Raises
    InsideError for fewer than five points, or where umap-learn is not installed.
    """
    check("umap")
    if len(vectors) < _LEAST_FOR_UMAP:
        raise InsideError(
            f"UMAP needs {_LEAST_FOR_UMAP} points or more, here are {len(vectors)}",
            fix="--method pca",
        )
    import importlib

    with warnings.catch_warnings():  # numba and scikit-learn warn of their own old calls
        warnings.simplefilter("ignore")
        module: Any = importlib.import_module("umap")
        found = module.UMAP(
            n_neighbors=min(15, len(vectors) - 1), metric="cosine", random_state=seed, n_jobs=1,
            init="spectral" if len(vectors) > 10 else "random",
        ).fit_transform(vectors.astype(np.float32))  # fmt: skip
    return np.asarray(found, np.float64)
