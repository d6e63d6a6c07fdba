"""`llar evaluate tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..output import Bar, clean, json_option, print_json
from .shared import flags, read_set, set_options, table, told_form

if TYPE_CHECKING:
    from ...evaluate.questions import QuestionSet
    from ...evaluate.report import Report
    from ...evaluate.tune import Tuned


@click.command()
@set_options
@click.option(
    "--budget",
    type=click.FloatRange(min=0.01),
    default=10.0,
    show_default=True,
    metavar="MINUTES",
    help="How long to search.",
)
@click.option(
    "--measure",
    "measure_name",
    default="ndcg@10",
    show_default=True,
    metavar="NAME",
    help="What to make better: one of retrieval or of answers.",
)
@click.option(
    "--options",
    "options_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="What to try: lines of setting = [value, ...], in the order to try them.",
)
@click.option(
    "--held-out",
    type=click.FloatRange(0.1, 0.9),
    default=0.5,
    show_default=True,
    help="Share of the questions to report on.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the two parts.")
@json_option
@click.pass_context
def tune(
    ctx: click.Context,
    questions_file: Path | None,
    data: Path | None,
    qrels: str | None,
    collection: str | None,
    budget: float,
    measure_name: str,
    options_file: Path | None,
    held_out: float,
    seed: int,
    as_json: bool,
) -> None:
    """Search the options that are best for a collection's questions.

    Options are chosen by one part of the questions and reported on the other; questions answered
    by the same document stay together. Running it again with the same seed goes on from what was
    found. Where the gain is within noise, the settings in force are recommended.
    """
    from ...evaluate import answers as of_answers
    from ...evaluate import tune as tuning

    found = read_set(questions_file, data, qrels)
    told_form(found)
    asks = measure_name in of_answers.ORDER
    options: dict[str, Any] = dict(tuning.OPTIONS)
    if asks:
        options |= tuning.OF_ANSWERS
    if options_file:
        options = tuning.read_options(options_file, ctx.obj)

    def measure(settings: dict[str, Any], asked: QuestionSet) -> Report:
        return _measured(ctx, settings, asked, collection, asks)

    result = tuning.tune(
        ctx.obj,
        found,
        measure,
        name=measure_name,
        options=options,
        minutes=budget,
        held_out=held_out,
        seed=seed,
        told=lambda line: click.echo(clean(line), err=True),
    )
    if as_json:
        print_json(result.as_json())
        return
    click.echo(shown(result))


def _measured(
    ctx: click.Context,
    settings: dict[str, Any],
    asked: QuestionSet,
    collection: str | None,
    asks: bool,
) -> Report:
    from ...evaluate.answers import evaluate_answers
    from ...evaluate.clock import Clock
    from ...evaluate.compare import opened
    from ...evaluate.indexed import cache
    from ...evaluate.retrieval import evaluate_retrieval

    clock, bar = Clock(), Bar(quiet=False)
    folder = cache(ctx.obj) / "runs"
    try:
        with opened(ctx.obj, settings, asked, collection, clock, progress=bar) as docs:
            bar.close()
            if asks:
                return evaluate_answers(docs, asked, flags=flags(ctx), clock=clock, folder=folder)
            return evaluate_retrieval(docs, asked, flags=flags(ctx), clock=clock, folder=folder)
    finally:
        bar.close()


def shown(result: Tuned) -> str:
    """What was tried, what was chosen, and whether to adopt it."""
    from ...evaluate.tune import toml_lines

    rows = [
        [t.setting, repr(t.value), str(t.questions), f"{t.mean:.4f}", "chosen" if t.kept else ""]
        for t in result.tried
    ]
    parts = [table(["tried", "value", "questions", result.measure, ""], rows)]
    if result.left:
        parts.append("\n".join(f"not tried: {what}: {why}" for what, why in result.left.items()))
    rows = [
        [name, f"{at.mean:{sign}.4f}", f"{at.low:{sign}.4f} to {at.high:{sign}.4f}"]
        for name, at, sign in (
            ("as configured", result.before, ""),
            ("tuned", result.after, ""),
            ("difference", result.difference, "+"),
        )
        if at is not None
    ]
    held = len(result.parts.held_out)
    parts.append(table([f"{result.measure} of {held} held out", "mean", "95 % interval"], rows))
    if result.parts.shared:
        parts.append(
            f"note: {result.parts.shared} documents are right for questions of both parts, which"
            " could not be kept apart; the figure may be a little too good"
        )
    parts.append(_advice(result, list(toml_lines(result.chosen))))
    return "\n\n".join(parts)


def _advice(result: Tuned, lines: list[str]) -> str:
    if not result.chosen:
        return "Nothing that was tried is better on the training part: keep the settings in force."
    if not result.settings:
        said = ", ".join(lines)
        return (
            f"Keep the settings in force: what {said} gained in training is within noise on the"
            " part held out (the interval of the difference reaches 0)."
        )
    index = any(name in result.chosen for name in ("chunker", "chunk_tokens", "embedder"))
    note = "\n\nThen: llar reembed -c NAME   (collections keep what they were made with)"
    return "Put into llar.toml:\n\n" + "\n".join(lines) + (note if index else "")
