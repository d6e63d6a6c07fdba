"""`llar plan verify`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import REGRESSED
from ..output import json_option, print_json
from .output import notes, table

if TYPE_CHECKING:
    from ...plan.memory.verify import Row

_HEADER = ("context", "threads", "process", "model: predicted", "measured", "error",
           "total: predicted", "measured", "error")  # fmt: skip


def _numbers(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...]:
    """ "512,8k" as whole numbers."""
    from ...plan.units import parse_context, parse_number

    read = parse_context if option.name == "contexts" else parse_number
    parts = [] if text is None else text.split(",")
    return tuple(dict.fromkeys(read(part, str(option.name)) for part in parts))


def _percent(ctx: click.Context, option: click.Parameter, value: float) -> float:
    """The tolerance; one that is no number would be within every error."""
    if math.isnan(value):
        raise click.BadParameter("nan is no percentage")
    return value


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--contexts", callback=_numbers, metavar="N,N",
    help="Contexts of a chat model in tokens, 8k is 8192 (default: 512,2k,8k as far as it goes).",
)  # fmt: skip
@click.option(
    "--threads", callback=_numbers, metavar="N,N", help="Numbers of threads (default: 1,2)."
)
@click.option(
    "--train", is_flag=True,
    help="Train a small LoRA in place of running the model; needs the extra llar[tune].",
)  # fmt: skip
@click.option(
    "--tolerance", type=click.FloatRange(min=0, max=100), default=5.0, show_default=True,
    metavar="PERCENT", callback=_percent, help="Exit with 4 where a prediction is off by more.",
)  # fmt: skip
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    models: Sequence[str],
    contexts: tuple[int, ...],
    threads: tuple[int, ...],
    train: bool,
    tolerance: float,
    as_json: bool,
) -> None:
    """Load models here and compare predicted with measured memory.

    Each MODEL (default: the configured chat model and embedder) is loaded and used in a process
    of its own. The bare process is measured; what the model adds to it is predicted.
    """
    from ...errors import PlanError
    from ...plan.memory import verify as plan

    if train:
        if contexts or threads:
            raise PlanError("--train has a batch of its own; it takes no --contexts or --threads")
        found = plan.train(ctx.obj, models)
    else:
        found = plan.run(ctx.obj, models, contexts=contexts, threads=threads or plan.THREADS)
    rows = list(_watched(found))
    off = [row for row in rows if row.worst * 100 > tolerance]
    if as_json:
        print_json({"tolerance": tolerance, "within": not off, "rows": [_fields(r) for r in rows]})
    else:
        _show(rows)
        if off:
            click.echo(f"{len(off)} of {len(rows)} are off by more than {tolerance:g} %", err=True)
    if off:
        ctx.exit(REGRESSED)


def _watched(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, with a line on a terminal for each that is there."""
    for row in rows:
        if sys.stderr.isatty():
            click.echo(f"{row.model}, {row.what}, {row.context} tokens: measured", err=True)
        yield row


def _fields(row: Row) -> dict[str, Any]:
    """A row as JSON: sizes in bytes, errors as fractions."""
    from dataclasses import asdict

    errors = {"error": row.error, "total_error": row.total_error}
    return asdict(row) | errors


def _show(rows: Sequence[Row]) -> None:
    click.echo("resident memory in MiB: the process, what the model adds to it, and the total")
    for name in dict.fromkeys(_name(row) for row in rows):
        click.secho(f"\n{name}", bold=True)
        cells = [_cells(row) for row in rows if _name(row) == name]
        table(_HEADER, cells, right=range(len(_HEADER)))
    click.echo()
    notes(dict.fromkeys(_remarks(rows)))


def _cells(row: Row) -> list[str]:
    predicted, measured = row.predicted + row.process, row.measured + row.process
    return [
        f"{row.context:,}", str(row.threads), _mib(row.process),
        _mib(row.predicted), _mib(row.measured), f"{row.error:+.1%}",
        _mib(predicted), _mib(measured), f"{row.total_error:+.1%}",
    ]  # fmt: skip


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    """What the table does not show."""
    from ...plan.units import size

    for row in rows:
        whole = row.measured + row.process
        if row.what != "run":
            yield (
                "a training's peak is measured with freed memory returned at once; otherwise "
                "glibc's malloc keeps some of it, and the process grows further"
            )
        elif row.peak > 1.01 * whole:
            yield (
                f"{_name(row)}, {row.context:,} tokens, {row.threads} threads: at its peak "
                f"{size(row.peak)}, {size(row.peak - whole)} more than afterwards"
            )
        if row.converting:
            yield (
                f"{_name(row)}: its first use, which converts the weights, took "
                f"{size(row.converting)} at its peak"
            )


def _name(row: Row) -> str:
    short = row.model.rpartition(":")[2]
    return short if row.what == "run" else f"{short}, {row.what}"


def _mib(value: float) -> str:
    return f"{value / 2**20:,.1f}"
