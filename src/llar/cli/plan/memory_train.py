"""`llar plan memory --train`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .memory_run import machine_called, place
from .output import notes, show

if TYPE_CHECKING:
    from ...plan.shape import Shape


class Training:
    """What training takes, and where that fits."""

    def __init__(
        self,
        ctx: click.Context,
        shape: Shape,
        method: str,
        formats: Sequence[str],
        machines: Sequence[str],
        checkpointing: bool,
        given: Mapping[str, Any],
    ) -> None:
        from ...plan.memory.formats import parse_format
        from ...plan.memory.training import training

        if len(formats) > 1:
            raise click.UsageError("--train takes one --format")
        fmt = parse_format(formats[0]) if formats else None
        self._machines = [machine_called(ctx, name) for name in machines or ("this",)]
        self._found = training(shape, method, fmt, checkpointing=checkpointing, **given)

    def _fits(self) -> Iterator[tuple[str, int, float]]:
        """Each machine, how many of it there are, and the bytes left on it."""
        for machine in self._machines:
            yield machine.called, machine.count, machine.usable_memory - self._found.peak.value

    def json(self) -> dict[str, Any]:
        fits = [{"machine": n, "fits": left >= 0, "left": left} for n, _, left in self._fits()]
        return {"training": self._found, "machines": fits}

    def show(self, *, sources: bool) -> None:
        about = self._found
        how = f"{about.method}, {about.optimiser}, weights in {about.format.name}, {about.recipe}"
        title = f"Training it ({how}): {about.parameters:,} parameters trained"
        click.echo()
        show(about.things, title=title, sources=sources)
        click.echo()
        show((*about.stages, about.peak), title="By stage", sources=sources)
        notes(about.notes)
        click.echo()
        for name, number, left in self._fits():
            click.echo(f"On {place(name)}: {_verdict(number, left)}")


def _verdict(number: int, left: float) -> str:
    from ...plan.units import size

    if left < 0:
        return f"does not fit, {size(-left)} are missing"
    split = f" if all is split evenly over the {number} (FSDP, ZeRO-3)" if number > 1 else ""
    return f"fits{split}, {size(left)} left"
