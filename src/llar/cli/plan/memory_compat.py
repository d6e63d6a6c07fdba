"""`llar plan memory --compat hf-calculator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .output import show, table

if TYPE_CHECKING:
    from ...plan.shape import Shape


class Calculator:
    """Hugging Face's calculator's table, and the truth below it."""

    def __init__(self, shape: Shape) -> None:
        from ...plan.memory.formats import parse_format
        from ...plan.memory.hf_calculator import table as calculate
        from ...plan.memory.weights import weights

        self._table = calculate(shape)
        self._truth = {n: weights(shape, parse_format(n)) for n in ("fp32", "fp16")}

    def json(self) -> dict[str, Any]:
        return {"hf_calculator": self._table, "truth": {n: w.total for n, w in self._truth.items()}}

    def show(self, *, sources: bool) -> None:
        from ...plan.memory.hf_calculator import printed

        click.echo()
        head = ("dtype", "largest layer", "total size", "training with Adam")
        table(head, [row.printed() for row in self._table.rows], right=(1, 2, 3))
        click.echo()
        stages = [
            (row.dtype, *(printed(size) for size in (
                row.stages.model, row.stages.gradients, row.stages.backward, row.stages.step)))
            for row in self._table.rows if row.stages
        ]  # fmt: skip
        table(("dtype", "model", "gradients", "backward", "optimiser step"), stages,
              right=(1, 2, 3, 4))  # fmt: skip
        click.echo()
        show(self._table.figures, sources=sources)
        click.echo("\nWhat the weights really take, with the output head (its MB and GB are MiB and"
                   " GiB):")  # fmt: skip
        show([w.figures[0] for w in self._truth.values()], sources=sources)
