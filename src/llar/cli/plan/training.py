"""`llar plan training`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import json_option, print_json
from .output import notes, show, sources_option
from .terms import Given, terms_options

if TYPE_CHECKING:
    from ...config import Config
    from ...plan.costs.counting import Count
    from ...plan.costs.pretraining import Training
    from ...plan.hardware.machines import Machine
    from ...plan.shape import Shape


@click.command()
@click.argument("model", required=False)
@click.option("--tokens", metavar="N", help="Tokens to train on: 15.6T, 2B, 500k.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Count the tokens of a .jsonl file of examples, or of documents. Repeatable.",
)
@click.option("--epochs", metavar="N", default="1", show_default=True, help="Times over the data.")
@click.option(
    "--method",
    type=click.Choice(["full", "lora", "qlora"]),
    default="full",
    show_default=True,
    help="Train all parameters, or adapters beside frozen ones.",
)
@click.option(
    "--rank", type=click.IntRange(min=1), default=16, show_default=True, help="Of LoRA's adapters."
)
@click.option("--sequence", metavar="N", help="Tokens of an example: counts attention, too.")
@click.option("--machine", metavar="NAME", default="h100-sxm", show_default=True, help="What on.")
@click.option("--count", metavar="N", help="How many of it (default: 1, or as in 4x h100-sxm).")
@click.option("--mfu", metavar="SHARE", help="Share of the peak that is used (default: 0.4).")
@click.option("--hours", metavar="N", help="GPU hours it took, instead of --mfu: 30.84M.")
@click.option("--type", "number_type", metavar="TYPE", default="", help="bf16, fp16, fp32, fp8 ...")
@click.option("--tokenizer", metavar="MODEL", help="Installed model that counts --dataset.")
@click.option("--published", is_flag=True, help="Recompute trainings whose makers published them.")
@terms_options
@sources_option
@json_option
@click.pass_context
def training(
    ctx: click.Context,
    model: str | None,
    tokens: str | None,
    datasets: tuple[Path, ...],
    epochs: str,
    method: str,
    rank: int,
    sequence: str | None,
    machine: str,
    count: str | None,
    mfu: str | None,
    hours: str | None,
    number_type: str,
    tokenizer: str | None,
    published: bool,
    given: Given,
    sources: bool,
    as_json: bool,
) -> int | None:
    """Tell the FLOPs, GPU hours, days, money, energy and CO2 of a training.

    MODEL is a name, a file or a folder as for `llar plan memory`, or a number of parameters (70B).
    """
    from ...plan.costs import pretraining
    from ...plan.costs.money import decimal, share
    from ...plan.costs.training_memory import memory
    from ...plan.hardware import machines

    if published:
        _published(sources, as_json)
        return None
    if model is None:
        raise click.UsageError("name a MODEL, such as llama-3.1-8b or 70B; or --published")
    config: Config = ctx.obj
    how = next(m for m in pretraining.METHODS if m == method)
    counted, trained = _tokens(config, tokens, datasets, epochs, tokenizer)
    shape, parameters, name = _model(config, model)
    adapter = pretraining.adapters(shape, rank, used=True) if shape and how != "full" else 0
    length = _length(sequence)
    operations = pretraining.flops(
        parameters,
        trained,
        method=how,
        adapter=adapter,
        shape=shape,
        sequence=length,
    )
    money = given.money()
    on = _machines(config, machine, count)
    found = pretraining.train(
        f"{name}, {how}, {on.called}",
        operations,
        on,
        given.power(config, money, priced=False),
        money,
        mfu=float(share(mfu, "--mfu")) if mfu else None,
        gpu_hours=float(decimal(_plain(hours), "--hours")) if hours else None,
        number_type=number_type,
        years=machines.defaults(config).years,
    )
    hint, fits = memory(shape, parameters, on, method=how, rank=rank, sequence=length)
    found = replace(found, notes=(*fits, *found.notes))
    hint += [pretraining.optimal(parameters, trained)] if how == "full" else []
    return _print(found, hint, counted, shape, sources, as_json, adapter=how != "full")


def _length(sequence: str | None) -> int:
    """Tokens of an example; 0 where nothing says."""
    from ...errors import PlanError
    from ...plan.units import parse_count

    length = parse_count(sequence, "--sequence") if sequence else 0
    if sequence and not length:
        raise PlanError(f"--sequence {sequence!r}: an example has at least one token")
    return length


def _machines(config: Config, name: str, count: str | None) -> Machine:
    """What it is trained on, and how many of it, said in one way."""
    from ...plan.hardware import machines
    from ...plan.units import parse_count

    on = machines.find(config, name)
    if count is None:
        return on
    if on.count != 1:
        raise click.UsageError(f"--count and {name!r} both say how many")
    return on.together(parse_count(count, "--count"))


def _plain(hours: str) -> str:
    """30.84M as a plain number; a small one as it is, since hours need not be whole."""
    from ...plan.units import parse_count

    return str(parse_count(hours, "--hours")) if hours[-1:].isalpha() else hours


def _model(config: Config, model: str) -> tuple[Shape | None, float, str]:
    """The shape of a model with its parameters, or a bare number of parameters."""
    from ...plan.units import parse_count

    if re.fullmatch(r"[\d.,_]+(e\+?\d+)?\s*[kmbgt]?", model, re.I) and not Path(model).exists():
        return None, float(parse_count(model, "the number of parameters")), f"{model} parameters"
    from ...plan.shapes.resolve import resolve

    shape = resolve(config, model)
    active = shape.active_parameters if shape.experts else shape.parameters
    return shape, float(active), shape.name


def _tokens(
    config: Config,
    tokens: str | None,
    datasets: tuple[Path, ...],
    epochs: str,
    tokenizer: str | None,
) -> tuple[Count | None, float]:
    """The tokens trained on, with how they were counted."""
    from ...plan.costs import counting
    from ...plan.costs.money import decimal
    from ...plan.units import parse_count

    times = float(decimal(epochs, "--epochs", least=0.0001))
    if bool(tokens) == bool(datasets):
        raise click.UsageError("give either --tokens or --dataset")
    if tokens:
        return None, parse_count(tokens, "--tokens") * times
    by = counting.counter(config, tokenizer)
    lines = [path for path in datasets if path.suffix.lower() == ".jsonl"]
    others = [path for path in datasets if path not in lines]
    parts = [counting.texts(list(counting.examples(path)), by) for path in lines]
    if others:
        parts.append(counting.files(config, others, by))
    found = counting.together(parts)
    return found, found.tokens * times


def _print(
    found: Training,
    hint: list,  # type: ignore[type-arg]
    counted: Count | None,
    shape: Shape | None,
    sources: bool,
    as_json: bool,
    *,
    adapter: bool,
) -> int | None:
    from ...plan.costs.counting import NO_TOKENIZER, OTHERS
    from .. import PARTLY

    said = list(found.notes)
    if shape is not None:
        said += shape.assumed
    elif adapter:
        said.append("of a bare number of parameters the adapters' own are not known, nor counted")
    if counted is not None:
        said.append(OTHERS if counted.exact else NO_TOKENIZER)
        said.append("what a chat template adds to each example is not counted")
    failed = counted.failed if counted else ()
    if as_json:
        dataset = {"dataset": counted.figures(), "failed": failed} if counted else {}
        print_json(
            {"title": found.title, **dataset, "figures": [*found.figures, *hint], "notes": said}
        )
        return PARTLY if failed else None
    if counted:
        show(counted.figures(), title="Dataset", sources=sources)
        click.echo()
    show([*found.figures, *hint], title=found.title, sources=sources)
    click.echo()
    notes(said)
    for line in failed:
        click.echo(f"error: {line}", err=True)
    return PARTLY if failed else None


def _published(sources: bool, as_json: bool) -> None:
    from ...plan.costs import pretraining

    runs = pretraining.published()
    if as_json:
        print_json({"runs": [{"run": run, "figures": run.figures()} for run in runs.values()]})
        return
    for run in runs.values():
        show(run.figures(), title=f"{run.title}, {run.gpu}", sources=sources)
        click.echo()
    notes(
        [
            "MFU is the share of the peak that 6ND makes of the published hours; hours that also"
            " hold restarts and other stages make it smaller"
        ]
    )
