"""`llar numbers quantise`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..output import clean, json_option, print_json
from .shared import NUMBERS, no_typos, plot_option, theme_option, wrote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...config import Config
    from ...inside.quantise import Quantised

_SHOWN = 32  # numbers in the table on a terminal; --json has all
_ALL = ("absmax", "zero-point", "outlier", "nf4", "nf4-double", "q8_0", "q4_0")


@click.command(context_settings=NUMBERS)
@click.argument("values", nargs=-1, metavar="[NUMBER]...")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read the numbers from a file, or - for stdin; lines are rows of a matrix.",
)
@click.option("--model", metavar="NAME", help="Take a tensor of this model, GGUF or safetensors.")
@click.option("--tensor", metavar="NAME", help="Which, such as blk.0.attn_q.weight.")
@click.option("--tensors", is_flag=True, help="List the model's tensors.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(_ALL)} (default: all). Repeatable.",
)
@click.option("--block", type=int, metavar="N", help="Numbers in a block of nf4 (64).")
@click.option("--threshold", type=float, metavar="X", help="Where outliers begin (6).")
@plot_option
@theme_option
@json_option
@click.pass_context
def quantise(
    ctx: click.Context,
    values: Sequence[str],
    file: Path | None,
    model: str | None,
    tensor: str | None,
    tensors: bool,
    methods: Sequence[str],
    block: int | None,
    threshold: float | None,
    plot: Path | None,
    theme: str,
    as_json: bool,
) -> None:
    """Keep numbers, or a model's tensor, in 8 or 4 bits and show the error.

    \b
    llar numbers quantise 1.2 -0.5 -4.3 1.2 -3.1 0.8 2.4 5.4 --method absmax
    llar numbers quantise --model smollm2-135m-instruct --tensor blk.0.attn_q.weight
    """  # fmt: skip
    from ...errors import InsideError
    from ...pictures import style

    no_typos(ctx, values)
    if tensors:
        _list(ctx.obj, model, as_json)
        return
    if plot:
        style.check(plot)
        if len(methods) != 1:
            raise InsideError(
                "a picture shows one method", fix=f"--method {methods[0] if methods else 'absmax'}"
            )
    given, title, notes = _given(ctx.obj, values, file, model, tensor)
    found = _quantised(given, methods, block, threshold)
    if plot:  # first: a reader of the text may stop listening
        from ...inside.number_pictures import draw_quantised

        draw_quantised(plot, found[0], title, theme)
        wrote(plot)
    if as_json:
        print_json({"title": title, "notes": notes, "shape": list(given.shape),
                    "methods": [_as_json(q) for q in found]})  # fmt: skip
    else:
        click.secho(clean(title), bold=True)
        for note in notes:
            click.echo(clean(note))
        _compare(found)
        if given.size <= _SHOWN:
            for q in found:
                _table(q)
        else:
            for q in found:
                click.echo(f"{q.method}: {q.formula}")
            click.echo(f"the {given.size:,} numbers themselves: --json", err=True)


def _quantised(
    given: NDArray[np.float64],
    methods: Sequence[str],
    block: int | None,
    threshold: float | None,
) -> list[Quantised]:
    """By each method asked for, or by all; an option goes to the methods that have it."""
    from ...inside.quantise import quantise as by

    found = []
    for method in dict.fromkeys(methods or _ALL):
        alone = len(methods) == 1
        found.append(by(
            given, method,
            block=block if alone or method.startswith("nf4") else None,
            threshold=threshold if alone or method == "outlier" else None,
        ))  # fmt: skip
    return found


def _given(
    config: Config, values: Sequence[str], file: Path | None, model: str | None, tensor: str | None
) -> tuple[NDArray[np.float64], str, list[str]]:
    """The numbers, what to call them, and what to know of them."""
    import numpy as np

    from ...errors import InsideError

    ways = [bool(values), file is not None, model is not None]
    if sum(ways) != 1:
        raise InsideError(
            "expected numbers, or --file, or --model with --tensor"
            + ("; only one of them" if sum(ways) else ""),
            fix="llar numbers quantise 1.2 -0.5 -4.3 1.2 -3.1 0.8 2.4 5.4",
        )
    if model is not None:
        from ...inside.tensors import read

        if tensor is None:
            raise InsideError("which tensor of the model?",
                              fix=f"llar numbers quantise --model {model} --tensors")  # fmt: skip
        place, held = read(config, model, tensor)
        shape = " x ".join(map(str, place.shape))
        notes = [f"{shape} = {held.size:,} numbers, stored as {place.type}"]
        if place.type not in ("f32", "f64"):
            notes.append(f"errors are against what {place.type} restores, not the trained weights")
        return held.astype(np.float64), f"{model}: {tensor}", notes
    if tensor is not None:
        raise InsideError("--tensor is of a model", fix="add --model NAME")
    rows = [list(values)] if file is None else _rows(file)
    return _matrix(rows, str(file or "")), _counted(sum(map(len, rows))), []


def _rows(file: Path) -> list[list[str]]:
    from ...errors import InsideError

    try:
        if str(file) == "-":
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        else:
            text = file.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise InsideError(f"{str(file)!r} cannot be read: {e.strerror or e}") from e
    except UnicodeDecodeError as e:
        raise InsideError(f"{str(file)!r} is no text; expected numbers, one row a line") from e
    if ";" in text and "," in text:
        raise InsideError(f"{str(file)!r} has both ';' and ','; write the decimal point as '.'")
    lines = (line.replace(",", " ").replace(";", " ").split() for line in text.splitlines())
    return [line for line in lines if line]


def _matrix(rows: list[list[str]], where: str) -> NDArray[np.float64]:
    """Rows of one length as a matrix; one row, or one column, as a list."""
    import numpy as np

    from ...errors import InsideError

    widths = {len(row) for row in rows}
    if len(widths) > 1:
        odd = next(n for n, row in enumerate(rows, 1) if len(row) != len(rows[0]))
        raise InsideError(
            f"{where!r}: row 1 has {len(rows[0])} numbers, row {odd} has {len(rows[odd - 1])}; "
            "expected rows of one length, or one number a line"
        )
    found = []
    for n, row in enumerate(rows, 1):
        try:
            found.append([float(value) for value in row])
        except ValueError:
            bad = next(value for value in row if not _is_number(value))
            place = f" in row {n} of {where!r}" if where else ""
            raise InsideError(
                f"{bad!r}{place} is no number; expected one like 0.1 or -4.3"
            ) from None
    matrix = np.array(found, np.float64)
    return matrix.ravel() if 1 in matrix.shape else matrix


def _counted(count: int) -> str:
    return f"{count:,} number{'s' if count != 1 else ''}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _list(config: Config, model: str | None, as_json: bool) -> None:
    from ...errors import InsideError
    from ...inside.tensors import tensors as every

    if model is None:
        raise InsideError("--tensors lists those of a model", fix="add --model NAME")
    found = every(config, model)
    if as_json:
        print_json([{"name": t.name, "shape": list(t.shape), "type": t.type,
                     "readable": t.readable} for t in found])  # fmt: skip
        return
    names = [clean(t.name) for t in found]
    wide = max(map(len, names), default=0)
    for name, t in zip(names, found, strict=True):
        shape = " x ".join(map(str, t.shape))
        click.echo(f"{name:<{wide}} {shape:>16}  {t.type}"
                   + ("" if t.readable else "  (cannot be read)"))  # fmt: skip


def _compare(found: Sequence[Quantised]) -> None:
    click.secho(f"\n{'method':<11} {'bits':>7} {'largest error':>14} {'mean error':>11} "
                f"{'RMSE':>10} {'SNR':>9}", bold=True)  # fmt: skip
    for q in found:
        e = q.errors
        snr = "no error" if e.snr is None else f"{e.snr:.1f} dB"
        click.echo(f"{q.method:<11} {q.bits:>7.3f} {e.largest:>14.4g} {e.mean:>11.4g} "
                   f"{e.rmse:>10.4g} {snr:>9}")  # fmt: skip


def _table(q: Quantised) -> None:
    click.secho(f"\n{q.method}", bold=True, nl=False)
    click.echo(f"   {q.formula}")
    for note in q.notes:
        click.echo(f"  {note}")
    click.echo(f"  {'number':>12} {'code':>7} {'restored':>12} {'error':>12}")
    rows = zip(q.values.ravel(), q.codes.ravel(), q.restored.ravel(), strict=True)
    for n, (value, code, restored) in enumerate(rows):
        shown = "16 bit" if q.kept is not None and q.kept.ravel()[n] else str(code)
        click.echo(f"  {value:>12.6g} {shown:>7} {restored:>12.6g} {restored - value:>12.3g}")


def _as_json(q: Quantised) -> dict[str, Any]:
    return {
        "method": q.method,
        "formula": q.formula,
        "bits_per_number": q.bits,
        "scales": q.scales,
        "errors": q.errors,
        "notes": q.notes,
        "codes": q.codes.tolist(),
        "restored": q.restored.tolist(),
        "kept_in_16_bits": None if q.kept is None else q.kept.tolist(),
    }
