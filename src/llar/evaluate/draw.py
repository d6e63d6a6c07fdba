"""Random choices that come out the same for the same seed."""

from __future__ import annotations

import random

__all__ = ["drawn"]


def drawn(*seed: object) -> random.Random:
    """A source of random choices of its own, told by `seed` alone."""
    return random.Random("/".join(map(str, seed)))  # noqa: S311 - a sample is no secret
