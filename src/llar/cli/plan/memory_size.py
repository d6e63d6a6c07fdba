"""`llar plan memory 405B`: the weights of a model of that many parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from .output import notes, show

USUAL = ("fp32", "fp16", "int8", "Q8_0", "Q5_K_M", "Q4_K_M", "nf4-dq")


class Size:
    """What the weights take in each format."""

    def __init__(self, parameters: int, formats: Sequence[str], *, imatrix: bool) -> None:
        from ...plan.memory.by_size import by_size
        from ...plan.memory.formats import parse_format

        self._parameters = parameters
        self._figures = [
            by_size(parameters, parse_format(name, imatrix=imatrix)) for name in formats or USUAL
        ]

    def json(self) -> dict[str, Any]:
        return {"parameters": self._parameters, "weights": self._figures}

    def show(self, *, sources: bool) -> None:
        show(self._figures, title=f"A model of {self._parameters:,} parameters", sources=sources)
        click.echo()
        notes(["the weights alone; KV cache, buffers, training and whether it fits need the model "
               "itself, by its name or its config.json"])  # fmt: skip
