"""`llar plan memory` of a model that runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from .output import notes, show, table

if TYPE_CHECKING:
    from ...plan.figure import Figure
    from ...plan.hardware.fit import Fit
    from ...plan.hardware.machines import Machine
    from ...plan.memory.formats import Format
    from ...plan.memory.running import Running
    from ...plan.memory.weights import Weights
    from ...plan.shape import Shape

OVERVIEW = ("fp16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
OWN = {"gpt_oss": "MXFP4_MOE"}  # architecture -> the format its makers publish it in
USUAL = 8192  # tokens of context, where the model has as many and nothing is said


class _Run:
    """One format, context and number of users."""

    def __init__(
        self, shape: Shape, fmt: Format, context: int, users: int, cache: tuple[str, str],
        machines: Sequence[Machine],
    ) -> None:  # fmt: skip
        from ...plan.hardware.fit import fit
        from ...plan.memory.running import running
        from ...plan.memory.weights import weights

        self.format = fmt.name
        self.users = users
        self.weights: Weights = weights(shape, fmt)
        self.running: Running = running(shape, fmt, context, users, k=cache[0], v=cache[1])
        self.context = self.running.context  # an encoder cuts longer texts
        self.fits: list[Fit] = [fit(shape, fmt, self.running, m) for m in machines]

    @property
    def in_int8(self) -> bool:
        """Whether the engine packs the weights itself, whatever the format."""
        return self.running.engine == "ctranslate2"

    def json(self) -> dict[str, Any]:
        about = self.weights
        return {
            "format": self.format,
            "context": self.context,
            "users": self.users,
            "weights": {
                "total": about.total,
                "bits_per_weight": about.bits_per_weight,
                "parts": dict(about.parts),
                "read_per_token": about.read_per_token,
                "notes": about.notes,
            },
            "running": self.running,
            "machines": self.fits,
        }

    def notes(self) -> Iterator[str]:
        """What its numbers leave to be known."""
        from ...plan.units import size

        yield from self.running.notes
        if self.in_int8:
            yield f"the weights take {size(self.weights.total)} {_as(self.format)}"


class Runs:
    """Every combination asked for: one is shown with its formulas, several as a table."""

    def __init__(
        self,
        ctx: click.Context,
        shape: Shape,
        formats: Sequence[str],
        contexts: Sequence[str],
        users: Sequence[str],
        cache: tuple[str, str],
        machines: Sequence[str],
        *,
        imatrix: bool,
    ) -> None:
        from ...plan.memory.formats import parse_format
        from ...plan.units import parse_context, parse_number

        kinds = [parse_format(n, imatrix=imatrix) for n in formats]
        self._impossible: list[str] = []
        if not formats:
            every = [parse_format(n, imatrix=imatrix) for n in _usual_formats(shape)]
            kinds, self._impossible = _possible(shape, every)
        most = min(USUAL, shape.context or USUAL)
        self._shape = shape
        self._machines = [machine_called(ctx, name) for name in machines or ("this",)]
        lengths = [parse_context(text, "the context") for text in contexts] or [most]
        people = [parse_number(text, "the number of users") for text in users] or [1]
        self._longest = max(lengths)
        self.runs = [
            _Run(shape, fmt, context, count, cache, self._machines)
            for fmt, context, count in product(kinds, lengths, people)
        ]

    def json(self) -> dict[str, Any]:
        return {"runs": [run.json() for run in self.runs]}

    def show(self, *, sources: bool) -> None:
        if self._shape.context and self._longest > self._shape.context:
            cut = "; longer texts are cut" if self._shape.encoder else ""
            notes([f"{self._longest:,} tokens are more than the model was made for "
                   f"({self._shape.context:,}){cut}"])  # fmt: skip
        click.echo()
        if len(self.runs) == 1:
            self._one(self.runs[0], sources=sources)
        else:
            self._several()

    def _one(self, run: _Run, *, sources: bool) -> None:
        kept = "in int8" if run.in_int8 else _as(run.format)
        show(self._figures(run), title=f"Running it {kept}, {_for_whom(run)}", sources=sources)
        notes(run.notes())
        for found in run.fits:
            click.echo()
            show(
                found.figures,
                title=f"On {place(found.machine)}: {_verdict(found, self._shape.layers)}",
                sources=sources,
            )
            notes(found.notes)

    def _figures(self, run: _Run) -> list[Figure]:
        """What it is made of; only processors reorder weights, which RSS then shows."""
        from ...plan.memory.running import RESIDENT

        processor = any(machine.kind == "cpu" for machine in self._machines)
        return [f for f in run.running.figures if f.name != RESIDENT or processor]

    def _several(self) -> None:
        head = ["format", "bits", "context", "users", "weights", "KV cache", "other", "total"]
        rows = [_row(run, self._shape.layers) for run in self.runs]
        table([*head, *(place(m.called) for m in self._machines)], rows, right=range(1, 8))
        notes([*_together(self.runs), *self._impossible])
        click.echo("formulas: give one --format, one --context and one --users", err=True)


def _usual_formats(shape: Shape) -> tuple[str, ...]:
    stored = ("stored",) if any(t.type for t in shape.tensors) else ()
    if shape.encoder and not shape.source.endswith(".gguf"):
        return stored or ("fp32",)
    own = (OWN[shape.architecture],) if shape.architecture in OWN else ()
    return (*stored, *own, *OVERVIEW)


def _possible(shape: Shape, formats: Sequence[Format]) -> tuple[list[Format], list[str]]:
    """Those of the formats that the weights can be kept in, and why not in the others.

    Raises PlanError where there is none.
    """
    from ...errors import PlanError
    from ...plan.memory.weights import weights

    good, why = [], []
    for fmt in formats:
        try:
            weights(shape, fmt)
        except PlanError as e:
            why.append(f"{fmt.name} is not possible: {e.message}")
        else:
            good.append(fmt)
    if not good:
        raise PlanError(f"the weights can be kept in none of the usual formats: {why[0]}")
    return good, why


def _row(run: _Run, layers: int) -> list[str]:
    from ...plan.units import size

    about = run.running
    other = about.total - about.weights - about.kv
    bits = about.weights * 8 / run.weights.parameters
    return [
        run.format, f"{bits:.2f}", f"{run.context:,}", f"{run.users:,}", size(about.weights),
        size(about.kv), f"~{size(other)}", f"~{size(about.total)}",
        *(_brief(found, layers) for found in run.fits),
    ]  # fmt: skip


def _together(runs: Sequence[_Run]) -> list[str]:
    """Their notes, each once, with the formats it is about where that is not all of them."""
    about: dict[str, list[str]] = {}
    for run in runs:
        for note in run.notes():
            about.setdefault(note, []).append(run.format)
    every = len({run.format for run in runs})
    named = {note: list(dict.fromkeys(formats)) for note, formats in about.items()}
    return [
        note if len(formats) == every else f"{', '.join(formats)}: {note}"
        for note, formats in named.items()
    ]


def machine_called(ctx: click.Context, name: str) -> Machine:
    """The machine of that name, or this one. Raises PlanError for an unknown name."""
    from ...plan.hardware.here import here
    from ...plan.hardware.machines import find

    if name.strip().lower() == "this":
        return here(ctx.obj).machine
    return find(ctx.obj, name)


def place(machine: str) -> str:
    """A machine's name as a sentence has it."""
    return "this machine" if machine == "this" else machine


def _as(fmt: str) -> str:
    return "as stored" if fmt == "stored" else f"in {fmt}"


def _for_whom(run: _Run) -> str:
    each = f"{run.context:,} tokens of context"
    return each if run.users == 1 else f"{each} for each of {run.users:,} users"


def _verdict(found: Fit, layers: int) -> str:
    from ...plan.units import size

    if found.how == "whole":
        return f"fits, {size(found.left)} left"
    if found.how == "partly" and found.place is not None:
        return f"does not fit whole; {_split(found, layers)}"
    return f"does not fit, {size(-found.left)} are missing"


def _brief(found: Fit, layers: int) -> str:
    if found.how == "no":
        return "no"
    rate = f", ~{found.decode:,.3g} tokens/s" if found.decode else ""
    return ("fits" if found.how == "whole" else _split(found, layers)) + rate


def _split(found: Fit, layers: int) -> str:
    from ...plan.units import size

    if found.place is None:
        return "partly"
    return f"{found.place.layers} of {layers} layers on it, {size(found.place.ram)} in RAM"
