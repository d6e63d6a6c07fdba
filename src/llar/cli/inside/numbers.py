"""`llar numbers`: how numbers are stored, added and quantised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import clean, json_option, print_json
from .quantise import quantise
from .shared import NUMBERS, no_typos, plot_option, theme_option, wrote

if TYPE_CHECKING:
    from ...inside.numbers import FloatFormat
    from ...inside.stored import Int8, Stored, Sum

_LONG = 60  # digits of a value on a terminal; --json has all
_NAMES = "fp64, fp32, fp16, bf16, fp8-e4m3, fp8-e5m2, int8"


@click.group()
def numbers() -> None:
    """Show how numbers are stored, added and quantised, with the exact error."""


numbers.add_command(quantise)

_formats = click.option(
    "--format", "formats", multiple=True, metavar="NAME",
    help=f"Only this format: {_NAMES}. Repeatable.",
)  # fmt: skip
_scale = click.option(
    "--scale", metavar="NUMBER",
    help="What int8 multiplies a number with (default: 127 / the largest number).",
)  # fmt: skip


@numbers.command(context_settings=NUMBERS)
@click.argument("values", nargs=-1, required=True, metavar="NUMBER...")
@_formats
@_scale
@plot_option
@theme_option
@json_option
@click.pass_context
def bits(
    ctx: click.Context,
    values: Sequence[str],
    formats: Sequence[str],
    scale: str | None,
    plot: Path | None,
    theme: str,
    as_json: bool,
) -> None:
    """Show the bits of numbers in each format, what is really kept, and the error.

    Numbers are decimals (0.1, -4.3, 6e-8), inf or nan. Example: llar numbers bits 0.1
    """
    from ...inside.stored import store
    from ...pictures import style

    no_typos(ctx, values)
    chosen = _chosen(values, formats, scale)
    if plot:
        style.check(plot)
    stored = [store(value, kept) for value in values for kept in chosen]
    if plot:  # first: a reader of the text may stop listening
        from ...inside.number_pictures import draw_bits

        draw_bits(plot, stored, theme)
        wrote(plot)
    if as_json:
        print_json(stored)
    else:
        for n, value in enumerate(values):
            rows = stored[n * len(chosen) : (n + 1) * len(chosen)]
            click.secho(("\n" if n else "") + clean(value), bold=True)
            for row in rows:
                _show(row)


@numbers.command(context_settings=NUMBERS)
@click.argument("values", nargs=-1, required=True, metavar="NUMBER...")
@_formats
@_scale
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    values: Sequence[str],
    formats: Sequence[str],
    scale: str | None,
    as_json: bool,
) -> None:
    """Add numbers in each format: what comes out, what is printed, and why.

    Example: llar numbers add 0.1 0.2
    """
    from ...inside.stored import add as added

    no_typos(ctx, values)
    sums = [added(values, kept) for kept in _chosen(values, formats, scale)]
    if as_json:
        print_json(sums)
        return
    click.secho(clean(" + ".join(values)), bold=True)
    for total in sums:
        _show_sum(total)


def _chosen(
    values: Sequence[str], formats: Sequence[str], scale: str | None
) -> list[FloatFormat | Int8]:
    """The formats asked for, or all; int8 is left out of all where a number is not finite."""
    from ...errors import InsideError
    from ...inside.numbers import FORMATS, parse_number
    from ...inside.stored import absmax_scale, format_of

    given = [parse_number(value) for value in values]
    factor = absmax_scale(given)
    if scale is not None:
        number = parse_number(scale)
        if number.kind != "finite" or number.value <= 0:
            raise InsideError(f"--scale {scale!r}: expected a number above 0, such as 23.5")
        if formats and "int8" not in formats:
            raise InsideError("--scale is for int8, which --format leaves out")
        factor = number.value
    if formats:
        return [format_of(name, factor) for name in dict.fromkeys(formats)]
    finite = all(number.kind == "finite" for number in given)
    every: list[FloatFormat | Int8] = [*FORMATS.values()]
    return [*every, format_of("int8", factor)] if finite else every


def _show(row: Stored) -> None:
    parts = " ".join(part for part in (row.sign, row.exponent, row.mantissa) if part)
    click.echo(f"  {row.format:<9} {parts}")
    if row.exact:
        click.echo(f"            = {_cut(row.exact)}   prints {row.printed}")
    if row.error not in ("", "0"):
        relative = f" ({row.relative:.2g} of it)" if row.relative is not None else ""
        click.echo(f"            error {_cut(row.error)}{relative}, step {_cut(row.ulp)}")
    click.echo(f"            {row.note}")


def _show_sum(total: Sum) -> None:
    mark = "it is" if total.equal else "it is not"
    said = f"a program says {mark} {_cut(total.direct.given)}"
    click.echo(f"  {total.format:<9} {total.result.printed}   ({said})")
    click.echo(f"            keeps {_cut(total.result.exact)}")
    click.echo(f"            {total.why}")


def _cut(text: str) -> str:
    """A long row of digits by its beginning, with how many there are."""
    from ...inside.numbers import shortened

    if len(text) <= _LONG:
        return text
    digits = sum(c.isdigit() for c in text.partition("e")[0])
    return f"{shortened(text, _LONG - 15)} ({digits} digits)"
