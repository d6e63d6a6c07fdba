"""`llar evaluate robustness`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..output import clean, json_option, print_json
from .shared import Count, flags, opened, read_set, table, told_form

if TYPE_CHECKING:
    from ...evaluate.robustness import Robustness


@click.command()
@click.option(
    "--questions",
    "questions_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Questions: JSON lines (see docs/evaluation.md) or SQuAD.",
)
@click.option(
    "-c",
    "--collection",
    metavar="NAME",
    help="Collection to ask; documents that come with the questions are indexed by themselves.",
)
@click.option("--model", metavar="BACKEND:NAME", help="Model that writes the answers.")
@click.option(
    "--tests",
    metavar="NAME,...",
    help="noise, rejection, integration, false, both.  [default: all]",
)
@click.option(
    "--noise",
    "levels",
    metavar="SHARE,...",
    default="0,0.2,0.4,0.6,0.8",
    show_default=True,
    help="Shares of distracting passages among those shown.",
)
@click.option(
    "--shown", type=click.IntRange(min=2), default=5, show_default=True, help="Passages shown."
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take N questions, drawn by the seed.  [default: all]",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Draws questions and passages."
)
@click.option("--save", metavar="NAME", help="What to call the run.")
@click.option("--fresh", is_flag=True, help="Take nothing from earlier runs.")
@click.option("--examples", is_flag=True, help="Print every answer that was not as it should be.")
@json_option
@click.pass_context
def robustness(
    ctx: click.Context,
    questions_file: Path,
    collection: str | None,
    model: str | None,
    tests: str | None,
    levels: str,
    shown: int,
    count: int | None,
    seed: int,
    save: str | None,
    fresh: bool,
    examples: bool,
    as_json: bool,
) -> None:
    """Measure answers among noise, without evidence, and against false passages.

    As in the RGB benchmark: the passage of the answer among distracting ones, distracting ones
    alone, answers that need several passages, and passages whose answer was replaced by another.
    """
    from dataclasses import replace

    from ...evaluate.clock import Clock
    from ...evaluate.robustness import TESTS, measure_robustness

    config = replace(ctx.obj, chat_model=model) if model else ctx.obj
    found = read_set(questions_file, None, None)
    told_form(found)
    chosen: Any = [t.strip() for t in tests.split(",") if t.strip()] if tests else TESTS
    done = Count("answers")
    with opened(config, found, collection, Clock(), keep=True) as docs:
        try:
            made = measure_robustness(
                docs,
                found,
                tests=chosen,
                levels=_shares(levels),
                shown=shown,
                count=count,
                name=save,
                fresh=fresh,
                flags=flags(ctx),
                seed=seed,
                told=done,
            )
        finally:
            done.close()
    if as_json:
        print_json(_as_json(made))
        return
    _show(made)
    if examples:
        _show_examples(made)
    click.echo(f"run {made.run.id}", err=True)


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: expected shares such as 0,0.4,0.8", param_hint="--noise"
        ) from None


def _as_json(made: Robustness) -> dict[str, Any]:
    return {
        "run": made.run.id,
        "rates": {
            row: {
                name: {"share": i.mean, "low": i.low, "high": i.high, "yes": yes, "of": of}
                for name, (i, yes, of) in rates.items()
            }
            for row, rates in made.rates.items()
        },
        "invalid": made.invalid,
        "notes": made.notes,
        "outcomes": [
            {
                "case": o.case.id,
                "question": o.case.asked,
                "golds": o.case.golds,
                "false": o.case.false,
                "answer": o.answer,
                "abstained": o.abstained,
                "right": o.right,
                "follows": o.follows,
                "cited": o.cited,
            }
            for o in made.outcomes
        ],
    }


def _show(made: Robustness) -> None:
    rows = [
        [row if not n else "", name, f"{at.mean:.3f}", f"{at.low:.3f} to {at.high:.3f}",
         f"{yes}/{of}"]
        for row, rates in made.rates.items()
        for n, (name, (at, yes, of)) in enumerate(rates.items())
    ]  # fmt: skip
    click.echo(table(["", "", "share", "95 % interval", "answers"], rows))
    for row, reasons in made.invalid.items():
        for why, count in reasons.items():
            click.echo(f"{row}: {count} not measured, as {why}")
    for note in made.notes:
        click.echo(f"note: {clean(note)}")


def _show_examples(made: Robustness) -> None:
    for o in made.outcomes:
        meant = {"rejection": o.abstained, "false": o.follows, "both": o.right and o.follows}
        if not meant.get(o.case.test, o.right):
            click.secho(o.case.id, bold=True)
            click.echo(f"  asked: {clean(o.case.asked)}")
            wanted = " and ".join(group[0] for group in o.case.golds)
            false = f"; false: {clean(o.case.false)}" if o.case.false else ""
            click.echo(f"  right: {clean(wanted)}{false}")
            click.echo(f"  said: {clean(o.answer) or 'nothing'}")
