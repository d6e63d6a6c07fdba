"""`llar sample`: one prompt continued by every decoding method, side by side."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..output import clean, json_option, print_json
from .shared import plot_option, theme_option, wrote

if TYPE_CHECKING:
    from ...inside.generation import Candidate, Step
    from ...inside.methods import Continuation

Command = TypeVar("Command", bound=Callable[..., Any])

# name, default (a test compares it with methods.Options, which would need numpy here), help
OPTIONS: tuple[tuple[str, float, str], ...] = (
    ("temperature", 0.7, "Divide logits by it: below 1 sharpens, above flattens, 0 is greedy."),
    ("top-k", 50, "Draw among the k likeliest."),
    ("top-p", 0.9, "Draw among the fewest that sum to p."),
    ("min-p", 0.1, "Draw among those at least this share as likely as the likeliest."),
    ("typical", 0.2, "Draw among the least surprising and least dull that sum to this."),
    ("beams", 4, "Beginnings that beam search keeps."),
    ("length-penalty", 1.0, "Beam search divides a text's logprob by its length ^ this."),
    ("no-repeat-ngram", 2, "Length of the n-grams that may not come twice."),
    ("alpha", 0.6, "Contrastive search: weight of being unlike what was said."),
    ("candidates", 4, "Contrastive search: how many of the likeliest it compares."),
    ("repetition-penalty", 1.2, "Divide the logits of what was there by it."),
)


def _numbers(command: Command) -> Command:
    """The options of the methods."""
    for name, default, about in reversed(OPTIONS):
        command = click.option(
            f"--{name}", type=type(default), metavar="N", help=f"{about}  [default: {default:g}]"
        )(command)
    return command


@click.command()
@click.argument("prompt")
@click.option("--model", metavar="BACKEND:NAME", help="Model to use (default: the configured one).")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="Only this method; combined takes all filters that are given. Repeatable.",
)
@click.option(
    "--tokens",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many tokens to write.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The same seed draws the same texts.",
)
@_numbers
@click.option("--steps", is_flag=True, help="Show the candidates of each step.")
@click.option(
    "--candidates-shown",
    "shown",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How many candidates of a step to show.",
)
@plot_option
@theme_option
@json_option
@click.pass_context
def sample(
    ctx: click.Context,
    prompt: str,
    model: str | None,
    methods: Sequence[str],
    tokens: int,
    seed: int,
    steps: bool,
    shown: int,
    plot: Path | None,
    theme: str,
    as_json: bool,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    typical: float | None,
    beams: int | None,
    length_penalty: float | None,
    no_repeat_ngram: int | None,
    alpha: float | None,
    candidates: int | None,
    repetition_penalty: float | None,
) -> None:
    """Continue one prompt by every decoding method, side by side.

    The prompt is raw text: no chat template is put around it, and special tokens spelled out in
    it count. All methods draw with the same random numbers. Example:

    llar sample "Once upon a time" --method top-p --top-p 0.8 --steps
    """
    from ...inside.generation import open_model
    from ...inside.methods import DEFAULT
    from ...inside.sample import sample as continued
    from ...pictures import style

    numbers: dict[str, float | None] = {
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
        "typical": typical, "beams": beams, "length_penalty": length_penalty,
        "no_repeat_ngram": no_repeat_ngram, "alpha": alpha, "candidates": candidates,
        "repetition_penalty": repetition_penalty,
    }  # fmt: skip
    given = {name: value for name, value in numbers.items() if value is not None}
    chosen = tuple(dict.fromkeys(methods)) or DEFAULT
    _check_options(chosen, given)
    if plot:
        style.check(plot)
    opened = open_model(ctx.obj, model)
    try:
        found = continued(
            opened, prompt, chosen, given=given, tokens=tokens, seed=seed, shown=shown
        )
        name = opened.name
    finally:
        opened.close()
    if plot:  # first: a reader of the text may stop listening
        _draw(plot, prompt, found, theme)
    if as_json:
        print_json({"model": name, "prompt": prompt, "seed": seed, "methods": found})
    else:
        _show(found, prompt, steps=steps)


def _check_options(methods: Sequence[str], given: dict[str, float]) -> None:
    """Refuse unknown methods, and options that none of the methods would use."""
    from ...inside.sample import useless

    for name in useless(methods, given):
        option = "--" + name.replace("_", "-")
        raise click.UsageError(
            f"{option} is of no use to {', '.join(methods)}; --method combined takes all filters"
        )


def _show(found: Sequence[Continuation], prompt: str, *, steps: bool) -> None:
    width = shutil.get_terminal_size().columns
    column = max(len(c.method) for c in found) + 2
    click.echo(clean(prompt, lines=True), nl=True)
    for each in found:
        if steps:
            click.echo()
        settings = ", ".join(f"{k.replace('_', '-')} {v:g}" for k, v in each.settings.items())
        head = click.style(each.method.ljust(column), bold=True)
        if each.refused:
            click.echo(head + f"not possible here: {clean(each.refused)}")
            if not each.ids:
                continue
            head = " " * column
        text = clean(each.text, lines=True)
        lines = textwrap.wrap(
            text, max(20, width - column), break_on_hyphens=False, drop_whitespace=True
        ) or ["(nothing)"]
        click.echo(head + ("\n" + " " * column).join(lines))
        ending = "done" if each.finish == "stop" else each.finish
        about = [f"logprob {each.logprob:.2f} in {len(each.ids)} tokens", ending, settings]
        click.secho(" " * column + "; ".join(a for a in about if a), dim=True)
        if steps:
            for step in each.steps:
                _show_step(step)


def _show_step(step: Step) -> None:
    from ..evaluate.shared import table

    facts = [f"keeps {step.kept:,} of {step.of:,}"]
    if step.entropy is not None:
        facts.append(f"{step.entropy:.2f} bits")
    if step.tail:
        facts.append(f"{step.tail:.4f} of the probability is not told")
    if step.chance is not None:
        facts.append(f"drawn with {step.chance:.4f}")
    click.echo(f"\n  step {step.place + 1}: {', '.join(facts)}")
    head = ["", "token", "id", "before", "after"]
    scored = any(c.score is not None for c in step.candidates)
    like = any(c.likeness is not None for c in step.candidates)
    if any(c.beam is not None for c in step.candidates):
        head.append("beam")
    head += ["score"] if scored else []
    head += ["cosine"] if like else []
    rows = [_cells(c, head) for c in step.candidates]
    click.echo(textwrap.indent(table(head, rows), "  "))


def _cells(candidate: Candidate, head: Sequence[str]) -> list[str]:
    mark = ">" if candidate.chosen else "+" if candidate.kept else ""
    after = f"{candidate.after:.4f}" if candidate.kept else "-"
    cells = [mark, repr(candidate.text), str(candidate.id), f"{candidate.before:.4f}", after]
    if "beam" in head:
        cells.append("" if candidate.beam is None else str(candidate.beam + 1))
    if "score" in head:
        cells.append("" if candidate.score is None else f"{candidate.score:.4f}")
    if "cosine" in head:
        cells.append("" if candidate.likeness is None else f"{candidate.likeness:.4f}")
    return cells


def _draw(file: Path, prompt: str, found: Sequence[Continuation], theme: str) -> None:
    from ...inside.sample_plot import draw

    drawn = draw(file, prompt, found, theme)
    wrote(file)
    if len(found) > 1:
        click.echo("the picture shows the first step of each method; --method NAME shows a"
                   " method's steps", err=True)  # fmt: skip
    elif drawn < len(found[0].steps):
        click.echo(f"the picture shows the first {drawn} of {len(found[0].steps)} steps", err=True)
