"""`llar plan memory`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from ..output import json_option, print_json
from .output import notes, show, sources_option, table

if TYPE_CHECKING:
    from ...plan.hardware.fit import Fit
    from ...plan.hardware.machines import Machine
    from ...plan.memory.formats import Format
    from ...plan.memory.running import Running
    from ...plan.memory.weights import Weights
    from ...plan.shape import Shape

OVERVIEW = ("fp16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
USUAL = 8192  # tokens of context, where the model has as many and nothing is said
K = 1024  # what "k" means in a number of tokens of context


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
@click.option("--sequence", metavar="TOKENS", help="Length of each. [default: 2048]")
@click.option("--checkpointing", is_flag=True, help="With gradient checkpointing.")
@click.option(
    "--optimiser",
    metavar="NAME",
    help="adam, adam8bit, adafactor, sgd or momentum. [default: adam]",
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
    layers=32,hidden=4096,heads=32,kv_heads=8,ffn=14336,vocabulary=128256. Nothing is downloaded
    and no model needs to be installed.
    """
    from ...plan.shapes.resolve import resolve

    running = {
        "--context": contexts,
        "--users": users,
        "--cache": cache,
        "--cache-k": cache_k,
        "--cache-v": cache_v,
        "--imatrix": imatrix,
    }
    adapters = {"--rank": rank, "--targets": targets}
    training = {
        "--batch": batch,
        "--sequence": sequence,
        "--checkpointing": checkpointing,
        "--optimiser": optimiser,
        "--recipe": recipe,
        **adapters,
    }
    if compat:
        others = {"--train": method, "--format": formats, "--machine": machines}
        _refuse({**others, **running, **training}, "is nothing the calculator knows")
    if method:
        _refuse(running, "is of running a model, not of --train")
        _refuse(adapters if method == "full" else {}, "is of adapters, not of --train full")
    else:
        _refuse(training, "needs --train")
    shape = resolve(ctx.obj, model)
    if compat:
        answer: _Answer = _Calculator(shape)
    elif method:
        chosen = {"optimiser": optimiser, "targets": targets, "recipe": recipe}
        numbers = {"batch": batch, "sequence": sequence, "rank": rank}
        answer = _Training(ctx, shape, method, formats, machines, checkpointing, chosen, numbers)
    else:
        types = (cache_k or cache or "f16", cache_v or cache or "f16")
        answer = _Runs(ctx, shape, formats, contexts, users, types, machines, imatrix=imatrix)
    if as_json:
        print_json({"model": _summary(shape), **answer.json()})
        return
    click.secho(_headline(shape), bold=True)
    notes(shape.assumed, label="assumed")
    answer.show(sources=sources)


def _refuse(options: dict[str, Any], why: str) -> None:
    """Refuse options that would have no effect."""
    for name, value in options.items():
        if value:
            raise click.UsageError(f"{name} {why}")


def _tokens(text: str, what: str) -> int:
    from ...errors import PlanError
    from ...plan.units import parse_count

    number, thousands = (text[:-1], K) if text[-1:] in ("k", "K") else (text, 1)
    found = parse_count(number, what) * thousands
    if not found:
        raise PlanError(f"{what} is 0; expected a whole number of 1 or more")
    return found


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


class _Answer:
    """What one of the three questions gives: something to print and something for programs."""

    def json(self) -> dict[str, Any]:
        raise NotImplementedError

    def show(self, *, sources: bool) -> None:
        raise NotImplementedError


class _Calculator(_Answer):
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
        click.echo("\nWhat the weights really take, with the output head:")
        show([w.figures[0] for w in self._truth.values()], sources=sources)


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
        self.context = context
        self.users = users
        self.weights: Weights = weights(shape, fmt)
        self.running: Running = running(shape, fmt, context, users, k=cache[0], v=cache[1])
        self.fits: list[Fit] = [fit(shape, fmt, self.running, m) for m in machines]

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


class _Runs(_Answer):
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

        stored = ("stored",) if any(t.type for t in shape.tensors) else ()
        names = formats or (*stored, *OVERVIEW)
        kinds = [parse_format(name, imatrix=imatrix) for name in names]
        most = min(USUAL, shape.context or USUAL)
        self._shape = shape
        self._machines = [_machine(ctx, name) for name in machines or ("this",)]
        lengths = [_tokens(text, "the context") for text in contexts] or [most]
        people = [_tokens(text, "the number of users") for text in users] or [1]
        self.runs = [
            _Run(shape, fmt, context, count, cache, self._machines)
            for fmt, context, count in product(kinds, lengths, people)
        ]

    def json(self) -> dict[str, Any]:
        return {"runs": [run.json() for run in self.runs]}

    def show(self, *, sources: bool) -> None:
        longest = max(run.context for run in self.runs)
        if self._shape.context and longest > self._shape.context:
            notes([f"{longest:,} tokens are more than the model was made for "
                   f"({self._shape.context:,})"])  # fmt: skip
        if len(self.runs) == 1:
            self._one(self.runs[0], sources=sources)
        else:
            self._several()

    def _one(self, run: _Run, *, sources: bool) -> None:
        click.echo()
        show(run.running.figures, title=f"Running it in {run.format}, {_for_whom(run)}",
             sources=sources)  # fmt: skip
        notes((*run.weights.notes, *run.running.notes))
        for found in run.fits:
            click.echo()
            show(
                found.figures,
                title=f"On {found.machine}: {_verdict(found, self._shape.layers)}",
                sources=sources,
            )
            notes(found.notes)

    def _several(self) -> None:
        from ...plan.units import size

        click.echo()
        head = ["format", "bits", "context", "users", "weights", "KV cache", "other", "total"]
        rows = []
        for run in self.runs:
            r = run.running
            other = r.total - run.weights.total - r.kv
            cells = [run.format, f"{run.weights.bits_per_weight:.2f}", f"{run.context:,}",
                     f"{run.users:,}", size(run.weights.total), size(r.kv), f"~{size(other)}",
                     f"~{size(r.total)}"]  # fmt: skip
            rows.append(cells + [_brief(found, self._shape.layers) for found in run.fits])
        table([*head, *(m.called for m in self._machines)], rows, right=range(1, 8))
        notes(dict.fromkeys(n for run in self.runs for n in run.weights.notes))
        click.echo("formulas: give one --format, one --context and one --users", err=True)


class _Training(_Answer):
    """What training takes, and where that fits."""

    def __init__(
        self,
        ctx: click.Context,
        shape: Shape,
        method: str,
        formats: Sequence[str],
        machines: Sequence[str],
        checkpointing: bool,
        chosen: dict[str, str | None],
        numbers: dict[str, str | None],
    ) -> None:
        from ...plan.memory.formats import parse_format
        from ...plan.memory.training import training

        if len(formats) > 1:
            raise click.UsageError("--train takes one --format")
        given: dict[str, Any] = {name: value for name, value in chosen.items() if value}
        for name, text in numbers.items():
            if text:
                given[name] = _tokens(text, f"the {name}")
        fmt = parse_format(formats[0]) if formats else None
        self._machines = [_machine(ctx, name) for name in machines or ("this",)]
        self._found = training(shape, method, fmt, checkpointing=checkpointing, **given)

    def _fits(self) -> Iterator[tuple[str, bool, float]]:
        for machine in self._machines:
            left = machine.usable_memory - self._found.peak.value
            yield machine.called, left >= 0, left

    def json(self) -> dict[str, Any]:
        fits = [{"machine": n, "fits": f, "left": left} for n, f, left in self._fits()]
        return {"training": self._found, "machines": fits}

    def show(self, *, sources: bool) -> None:
        from ...plan.units import size

        about = self._found
        how = f"{about.method}, {about.optimiser}, weights in {about.format.name}, {about.recipe}"
        title = f"Training it ({how}): {about.parameters:,} parameters trained"
        click.echo()
        show(about.things, title=title, sources=sources)
        click.echo()
        show((*about.stages, about.peak), title="By stage", sources=sources)
        notes(about.notes)
        click.echo()
        for name, fits, left in self._fits():
            what = (
                f"fits, {size(left)} left" if fits else f"does not fit, {size(-left)} are missing"
            )
            click.echo(f"On {name}: {what}")


def _machine(ctx: click.Context, name: str) -> Machine:
    from ...plan.hardware.here import here
    from ...plan.hardware.machines import find

    if name.strip().lower() == "this":
        return here(ctx.obj).machine
    return find(ctx.obj, name)


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
