"""`llar plan memory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

from ..output import json_option, print_json
from .output import notes, sources_option

if TYPE_CHECKING:
    from ...plan.shape import Shape


_RUNNING = ("contexts", "users", "cache", "cache_k", "cache_v", "imatrix")
_ADAPTERS = ("rank", "targets")
_TRAINING = ("batch", "sequence", "checkpointing", "optimiser", "recipe", *_ADAPTERS)


@click.command()
@click.argument("model")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME",
    help="Of the weights: fp32, fp16, bf16, int8, int4, nf4, nf4-dq, a GGUF type or mixture such as"
    " Q4_K_M, or stored. Repeatable; without it, the usual ones beside each other.",
)
@click.option(
    "--context",
    "contexts",
    multiple=True,
    metavar="TOKENS",
    help="Context of each user; 8k is 8192. Repeatable.",
)
@click.option("--users", "users", multiple=True, metavar="N", help="Users at once. Repeatable.")
@click.option("--cache", metavar="TYPE", help="Of K and V: f16, q8_0, q4_0 ... [default: f16]")
@click.option("--cache-k", metavar="TYPE", help="Of K alone.")
@click.option("--cache-v", metavar="TYPE", help="Of V alone.")
@click.option(
    "--machine",
    "machines",
    multiple=True,
    metavar="NAME",
    help="Say whether it fits: this, or one of `llar plan machines`. Repeatable. [default: this]",
)
@click.option("--imatrix", is_flag=True, help="Quantised with an importance matrix.")
@click.option(
    "--train",
    "method",
    type=click.Choice(["full", "lora", "qlora"]),
    help="The memory of training it so, instead.",
)
@click.option("--batch", metavar="N", help="Sequences in a step of training. [default: 1]")
@click.option("--sequence", metavar="TOKENS", help="Length of each; 2k is 2048. [default: 2048]")
@click.option("--checkpointing", is_flag=True, help="With gradient checkpointing.")
@click.option(
    "--optimiser",
    metavar="NAME",
    help="adam (AdamW too), adam8bit, adafactor, sgd or momentum. [default: adam]",
)
@click.option("--rank", metavar="N", help="Of LoRA's adapters. [default: 8]")
@click.option(
    "--targets",
    metavar="NAMES",
    help="What LoRA adapts: all, attention or names such as attn_q,attn_v. [default: all]",
)
@click.option("--recipe", metavar="NAME", help="Number types of training: mixed, pure or autocast.")
@click.option(
    "--compat",
    type=click.Choice(["hf-calculator"]),
    help="Print Hugging Face's calculator's table, which leaves out the output head.",
)
@sources_option
@json_option
@click.pass_context
def memory(
    ctx: click.Context,
    model: str,
    formats: Sequence[str],
    contexts: Sequence[str],
    users: Sequence[str],
    cache: str | None,
    cache_k: str | None,
    cache_v: str | None,
    machines: Sequence[str],
    imatrix: bool,
    method: str | None,
    batch: str | None,
    sequence: str | None,
    checkpointing: bool,
    optimiser: str | None,
    rank: str | None,
    targets: str | None,
    recipe: str | None,
    compat: str | None,
    sources: bool,
    as_json: bool,
) -> None:
    """Tell the memory a model takes, to run it or to train it, and whether it fits.

    MODEL is a name, a GGUF or safetensors file, a model's folder, a config.json, or numbers:
    layers=32,hidden=4096,heads=32,kv_heads=8,ffn=14336,vocabulary=128256. A size alone, 405B,
    tells the weights. Nothing is downloaded and no model needs to be installed.
    """
    _check(ctx)
    parameters = _size(ctx, model)
    if parameters:
        from .memory_size import Size

        _print(Size(parameters, formats, imatrix=imatrix), None, sources, as_json)
        return
    from ...plan.shapes.resolve import resolve

    shape = resolve(ctx.obj, model)
    if compat:
        from .memory_compat import Calculator

        answer: _Answer = Calculator(shape)
    elif method:
        from .memory_train import Training

        numbers = {"batch": batch, "sequence": sequence, "rank": rank}
        names = {"optimiser": optimiser, "targets": targets, "recipe": recipe}
        given = _numbers(numbers) | {k: v.lower() for k, v in names.items() if v is not None}
        answer = Training(ctx, shape, method, formats, machines, checkpointing, given)
    else:
        from .memory_run import Runs

        both = "f16" if cache is None else cache
        types = (both if cache_k is None else cache_k, both if cache_v is None else cache_v)
        answer = Runs(ctx, shape, formats, contexts, users, types, machines, imatrix=imatrix)
    _print(answer, shape, sources, as_json)


class _Answer(Protocol):
    """What a question gives: something to print and something for programs."""

    def json(self) -> dict[str, Any]: ...

    def show(self, *, sources: bool) -> None: ...


def _print(answer: _Answer, shape: Shape | None, sources: bool, as_json: bool) -> None:
    """The answer, below what was understood of the model."""
    if as_json:
        print_json({**({"model": _summary(shape)} if shape else {}), **answer.json()})
        return
    if shape:
        click.secho(_headline(shape), bold=True)
        notes(shape.assumed, label="assumed")
    answer.show(sources=sources)


def _size(ctx: click.Context, model: str) -> int:
    """The parameters of a model that is named by its size alone, "405B"; 0 for another name."""
    from ...plan.memory.by_size import size_of

    parameters = size_of(model)
    if parameters:
        others = ("method", "compat", "machines", *_RUNNING, *_TRAINING)
        names = tuple(n for n in others if n != "imatrix")
        _refuse(ctx, names, f"needs the model itself; {model.strip()} tells its weights only")
    return parameters


def _check(ctx: click.Context) -> None:
    """Refuse options that would have no effect."""
    asked = ctx.params
    if asked["compat"]:
        others = ("method", "formats", "machines", *_RUNNING, *_TRAINING)
        _refuse(ctx, others, "is nothing the calculator knows")
    if asked["method"]:
        _refuse(ctx, _RUNNING, "is of running a model, not of --train")
        if asked["method"] == "full":
            _refuse(ctx, _ADAPTERS, "is of adapters, not of --train full")
    else:
        _refuse(ctx, _TRAINING, "needs --train")


def _refuse(ctx: click.Context, names: Sequence[str], why: str) -> None:
    for option in ctx.command.params:
        if option.name in names and ctx.params[option.name] not in (None, False, ()):
            raise click.UsageError(f"{option.opts[0]} {why}")


def _numbers(texts: dict[str, str | None]) -> dict[str, Any]:
    """Those that are given, as numbers; a sequence has the length of a context."""
    from ...plan.units import parse_context, parse_number

    return {
        name: (parse_context if name == "sequence" else parse_number)(text, f"the {name}")
        for name, text in texts.items()
        if text is not None
    }


def _summary(shape: Shape) -> dict[str, Any]:
    from ...plan.shapes.resolve import dimensions

    return {
        "name": shape.name,
        "architecture": shape.architecture,
        "source": shape.source,
        "assumed": shape.assumed,
        "dimensions": dimensions(shape),
    }


def _headline(shape: Shape) -> str:
    from ...plan.amount import amount

    active = ""
    if shape.experts:
        active = f", {amount(shape.active_parameters, '')} of them used for a token"
    heads = f"{shape.heads} heads"
    if shape.kv_heads and shape.kv_heads != shape.heads:
        heads += f" over {shape.kv_heads} of keys and values"
    return (
        f"{shape.name} ({shape.architecture}): {shape.parameters:,} parameters{active}; "
        f"{shape.layers} layers, {shape.hidden:,} wide, {heads}, vocabulary {shape.vocabulary:,}"
    )
