"""`llar plan cost`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..output import clean, json_option, print_json
from .hardware import Hardware, hardware_options
from .output import notes, show, sources_option, table
from .terms import Given, terms_options
from .workload import Asked, workload_options

if TYPE_CHECKING:
    from ...plan.costs.compare import BreakEven, Costs
    from ...plan.costs.counting import Count

NAME = 36  # columns of an option's name; a longer one stands on a line of its own


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@workload_options
@click.option(
    "--api",
    "apis",
    multiple=True,
    metavar="NAME",
    help="A provider's model, PROVIDER:MODEL (default: eight well-known ones). Repeatable.",
)
@click.option("--no-api", is_flag=True, help="Compare machines only.")
@hardware_options
@terms_options
@sources_option
@json_option
@click.pass_context
def cost(
    ctx: click.Context,
    paths: tuple[Path, ...],
    asked: Asked,
    apis: tuple[str, ...],
    no_api: bool,
    hardware: Hardware,
    given: Given,
    sources: bool,
    as_json: bool,
) -> int | None:
    """Compare what providers charge for a workload with owning or renting a machine.

    Say what is asked with --users and --questions-per-day, with --requests, or by PATHS of
    documents that are to be processed. Amounts are a month's.
    """
    from ...errors import PlanError
    from ...plan.costs import compare as costs
    from ...plan.costs import prices
    from .. import PARTLY

    if no_api and apis:
        raise click.UsageError("--api and --no-api contradict each other")
    money = given.money()
    # Names before documents: a wrong one must not cost the minutes of reading them.
    sold = [] if no_api else [prices.find(ctx.obj, name) for name in apis or prices.DEFAULT]
    work, counted = asked.workload(ctx.obj, paths, _progress())
    options, said = hardware.options(ctx.obj, work, given, money)
    options += [costs.api(price, work, money) for price in sold]
    if not options:
        raise PlanError("there is nothing to compare", fix="--api NAME or --machine NAME")
    found = costs.compare(work, options, money, said)
    if as_json:
        print_json(_as_json(found, counted))
    else:
        _show(found, counted, sources)
    for line in counted.failed if counted else ():
        click.echo(f"error: {clean(line)}", err=True)
    return PARTLY if counted and counted.failed else None


def _progress() -> Callable[[int, int], None] | None:
    """Counting on a terminal's last line; nothing where stderr is none."""
    if not sys.stderr.isatty():
        return None

    def tell(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        click.echo(f"\rcounted {done} of {total} files{end}", nl=False, err=True)

    return tell


def _show(found: Costs, counted: Count | None, sources: bool) -> None:
    work = found.workload
    if counted:
        show(counted.figures(), title="Documents", sources=sources)
        click.echo()
    show(work.figures, title="Workload", sources=sources)
    click.echo()
    _table(found)
    if found.break_even:
        click.echo()
        _break_even(found.break_even)
    sold = [o for o in found.options if o.kind == "api"]
    if sold:
        click.echo()
        rows = [replace(o.figures[0], name=o.name) for o in sold]
        show(rows, title=f"Providers, {found.currency} a month", sources=sources)
    for option in found.options:
        if option.kind != "api":
            click.echo()
            title = option.name[0].upper() + option.name[1:]
            show(option.figures, title=title, sources=sources)
    click.echo()
    notes(_said(found, counted))


def _table(found: Costs) -> None:
    """The options side by side, cheapest first."""
    from ...plan.amount import money
    from ...plan.costs.compare import units_of

    work = found.workload
    header = ["", "a month", "per 1M tokens", f"per 1,000 {work.what}s"]
    header += ["per user"] if work.users else []
    rows = []
    for option in found.options:
        mark = "" if option.kind == "api" else "~"
        each = units_of(option, work, found.currency).values()
        cells = [float(option.monthly), *(figure.value for figure in each)]
        rows.append([option.name, *(f"{mark}{money(cell)}" for cell in cells)])
    click.secho(f"What it costs, in {found.currency}", bold=True)
    table(header, rows, right=range(1, len(header)), first=NAME)


def _break_even(pairs: tuple[BreakEven, ...]) -> None:
    """When what is owned pays off, against each other option."""
    from ...plan.amount import shown

    for own in dict.fromkeys(pair.own for pair in pairs):
        rows = []
        whys: dict[str, list[str]] = {}
        for pair in pairs:
            if pair.own != own:
                continue
            cells = [shown(f) for f in (pair.months, pair.tokens, pair.monthly_tokens)]
            if pair.monthly_tokens.value == 0:
                cells[2] = pair.monthly_tokens.formula
            rows.append((pair.other, *cells))
            for why in pair.why:
                whys.setdefault(why, []).append(pair.other)
        click.secho(f"When {own} pays off", bold=True)
        header = ("against", "paid off after", "tokens until then", "cheaper from, a month")
        table(header, rows, right=(1, 2, 3), first=NAME)
        click.echo()
        notes([f"{text} (against {', '.join(others)})" for text, others in whys.items()])


def _said(found: Costs, counted: Count | None) -> list[str]:
    """Every note, each once, with whom it is about."""
    from ...plan.costs.counting import NO_TOKENIZER, OTHERS

    said: dict[str, list[str]] = {}
    for option in found.options:
        for note in option.notes:
            said.setdefault(note, []).append(option.name)
    lines = list(found.notes)
    if any(option.kind != "api" for option in found.options):
        lines.append("providers publish no energy per token, so that they are without")
    if counted:
        lines += [OTHERS if counted.exact else NO_TOKENIZER, *counted.notes]
    return lines + [f"{', '.join(names)}: {note}" for note, names in said.items()]


def _as_json(found: Costs, counted: Count | None) -> dict[str, Any]:
    """Everything that is shown; "never" is null."""
    from ...plan.costs.compare import units_of

    work = found.workload
    return {
        "currency": found.currency,
        "documents": counted,
        "workload": {
            "requests": float(work.requests),
            "input_tokens": float(work.input),
            "output_tokens": float(work.output),
            "figures": work.figures,
        },
        "options": [
            {
                "name": o.name,
                "kind": o.kind,
                "a_month": float(o.monthly),
                "units": units_of(o, work, found.currency),
                "figures": o.figures,
                "notes": o.notes,
            }
            for o in found.options
        ],
        "break_even": [_pair(pair) for pair in found.break_even],
        "notes": found.notes,
    }


def _pair(pair: BreakEven) -> dict[str, Any]:
    from ...records import to_json

    found: dict[str, Any] = to_json(pair)
    for name in ("months", "tokens", "monthly_tokens"):
        if found[name]["value"] == float("inf"):
            found[name]["value"] = None
    return found
