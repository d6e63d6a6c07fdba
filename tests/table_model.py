"""A language model small enough to work out by hand: what comes next depends on the last token."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llar.inside.generation import Distribution

SIZE = 12  # tokens; 0 ends a text


class TableModel:
    """As generation.Model says. Texts are letters: a is token 0."""

    name = "table"
    context = 50
    complete = True
    hidden = True

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self.rows = np.asarray(rows, np.float64)
        self.asked: list[list[tuple[int, ...]]] = []

    def tokens(self, text: str) -> list[int]:
        return [ord(letter) - ord("a") for letter in text]

    def piece(self, token: int) -> bytes:
        return bytes([ord("a") + token])

    def ends(self, token: int) -> bool:
        return token == 0

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        self.asked.append([tuple(ids) for ids in beginnings])
        return [
            Distribution(self.rows[ids[-1]], state=self.state(ids[-1]) if states else None)
            for ids in beginnings
        ]

    def state(self, token: int) -> NDArray[np.float64]:
        """On a quarter circle, so that near tokens are alike."""
        angle = token * np.pi / 2 / (SIZE - 1)
        return np.array([np.cos(angle), np.sin(angle)])

    def states(self, ids: Sequence[int]) -> NDArray[np.float64]:
        return np.stack([self.state(n) for n in ids])

    def close(self) -> None:
        pass


def formula(seed: int) -> list[list[float]]:
    """Logits without ties that a second implementation can make, too."""
    return [
        [4 * math.sin((i * SIZE + j + 1) * (seed + 1) * 1.7) for j in range(SIZE)]
        for i in range(SIZE)
    ]
