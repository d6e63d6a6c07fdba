"""`llar plan machines`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..output import clean, json_option, print_json
from .output import notes, show, sources_option, table

if TYPE_CHECKING:
    from ...plan.figure import Figure
    from ...plan.hardware.here import Here
    from ...plan.hardware.machines import Machine


@click.command()
@click.argument("name", required=False)
@click.option(
    "--measure",
    is_flag=True,
    help="Measure memory bandwidth and compute of this machine (a few seconds) and keep them.",
)
@click.option(
    "--write",
    is_flag=True,
    help="Write a copy of the list to machines.toml in LLAR_HOME, to be changed there.",
)
@sources_option
@json_option
@click.pass_context
def machines(
    ctx: click.Context,
    name: str | None,
    measure: bool,
    write: bool,
    sources: bool,
    as_json: bool,
) -> None:
    """List the machines that are known; with NAME show one, "this" is this machine.

    Several of the same are "2x h100-sxm". What is in machines.toml in LLAR_HOME changes and adds
    to the list.
    """
    from ...plan.hardware.machines import defaults, find, write_copy
    from ...plan.hardware.machines import machines as known

    here = name is not None and name.strip().lower() in ("this", "this-machine", "this machine")
    if write:
        if name or measure:
            raise click.UsageError("--write takes no NAME and no --measure")
        click.echo(f"wrote {write_copy(ctx.obj)}", err=True)
        return
    if measure and name and not here:
        raise click.UsageError("only this machine can be measured: llar plan machines --measure")
    if here or measure:
        _this(ctx, measure=measure, sources=sources, as_json=as_json)
    elif name:
        machine = find(ctx.obj, name)
        if as_json:
            print_json(machine)
        else:
            show(_figures(machine), title=f"{machine.called}: {machine.title}")
            notes(machine.notes)
            _sources(machine, sources)
    elif as_json:
        print_json({"machines": known(ctx.obj), "defaults": defaults(ctx.obj)})
    else:
        _list(list(known(ctx.obj).values()))
        base = defaults(ctx.obj)
        click.echo()
        prices = [p for p in (base.electricity, base.electricity_usd) if p]
        show((*prices, base.co2, base.pue, base.utilisation, base.years), sources=sources)
        click.echo(
            "prices are of the day each machine names; yours: llar plan machines --write", err=True
        )


def _list(every: list[Machine]) -> None:
    header = ("machine", "memory", "GB/s", "TFLOP/s", "W", "price", "rent/h")
    rows = [
        (
            m.name,
            f"{m.memory / 2**30:,.0f} GiB",
            "" if m.bandwidth is None else f"{m.bandwidth / 1e9:,.4g}",
            _best(m),
            "" if m.watts is None else f"{m.watts:,.0f}",
            "" if m.price is None else f"{m.currency} {m.price:,.0f}",
            "" if m.rent_per_hour is None else f"{m.currency} {m.rent_per_hour:,.2f}",
        )
        for m in every
    ]
    table(header, rows, right=range(1, len(header)))


def _best(machine: Machine) -> str:
    for name in ("fp16", "bf16", "fp32"):
        if name in machine.flops:
            return f"{machine.flops[name] / 1e12:,.4g} {name}"
    return ""


def _figures(machine: Machine) -> Iterator[Figure]:
    """What is known of a machine, for one of it."""
    from ...plan.figure import Figure

    def row(name: str, value: float | None, unit: str, formula: str = "") -> list[Figure]:
        return [] if value is None else [Figure(name, value, unit, formula)]

    kept = machine.memory - machine.usable
    yield from row("memory", machine.memory, "bytes")
    yield from row("for a model", machine.usable, "bytes",
                   f"{kept:,} bytes kept for the system and the driver")  # fmt: skip
    if machine.bandwidth is not None:
        yield from row("memory bandwidth", machine.bandwidth / 1e9, "GB/s")
    for kind, speed in machine.flops.items():
        yield from row(f"compute, {kind}", speed / 1e12, "TFLOP/s")
    yield from row("power under load", machine.watts, "W")
    yield from row("power idle", machine.idle_watts, "W")
    yield from row("cores", machine.cores, "")
    dated = f"on {machine.dated}" if machine.dated else ""
    yield from row("price", machine.price, machine.currency, dated)
    yield from row("rent", machine.rent_per_hour, f"{machine.currency}/h", dated)
    if machine.host_memory:
        yield from row("RAM beside it", machine.host_memory, "bytes")
    if machine.count > 1:
        yield from row("for a model, all together", machine.usable_memory, "bytes",
                       f"{machine.count} x {machine.usable:,} bytes")  # fmt: skip


def _sources(machine: Machine, wanted: bool) -> None:
    """Where the numbers of a machine stand, if asked."""
    if wanted:
        for what, source in machine.sources.items():
            notes([f"{what}: {source}"], label="source")


def _this(ctx: click.Context, *, measure: bool, sources: bool, as_json: bool) -> None:
    from ...plan.hardware import here as found

    about = found.measure(ctx.obj) if measure else found.here(ctx.obj)
    if as_json:
        print_json(about)
        return
    click.secho(clean(about.machine.title), bold=True)
    for line in _lines(about):
        click.echo(clean(line))
    show(_figures(about.machine))
    notes(about.notes)
    _sources(about.machine, sources)


def _lines(about: Here) -> Iterator[str]:
    from ...plan.units import size

    yield (
        f"{about.cpu}: {about.cores} cores, {about.cores_allowed} allowed, "
        f"{about.cores_free} free now" + (f"; {', '.join(about.instructions)}" * bool(
            about.instructions))
    )  # fmt: skip
    yield f"RAM: {size(about.memory)}, {size(about.memory_free)} free now"
    for gpu in about.gpus:
        yield f"GPU: {gpu.name}, {size(gpu.memory)}, {size(gpu.free)} free now"
    if not about.gpus:
        yield "GPU: none found"
    yield f"measured: {about.measured or 'no; llar plan machines --measure'}"
