"""`llar evaluate compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import REGRESSED
from ..inside.shared import theme_option
from ..output import Bar, clean, json_option, print_json
from .shared import Count, flags, read_set, set_options, table, told_form, told_run

if TYPE_CHECKING:
    from ...evaluate.compare import Comparison, Variant
    from ...evaluate.questions import QuestionSet
    from ...evaluate.report import Report


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.toml...",
)
@set_options
@click.option("--answers", "of_answers", is_flag=True, help="Compare answers, not only retrieval.")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME",
    help="Measure to show, the main one first. Repeatable.",
)
@click.option(
    "--differences",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Show the N questions that differ most from the first variant.",
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw the intervals (needs the extra: plot).",
)
@click.option(
    "--fail-below",
    multiple=True,
    metavar="MEASURE=VALUE",
    help="Exit with 4 where a variant's mean is below. Repeatable.",
)
@click.option(
    "--fail-drop",
    multiple=True,
    metavar="MEASURE=VALUE",
    help="Exit with 4 where it is lower than the first variant's by more. Repeatable.",
)
@theme_option
@click.option("--fresh", is_flag=True, help="Take nothing from earlier runs.")
@json_option
@click.pass_context
def compare(
    ctx: click.Context,
    files: Sequence[Path],
    questions_file: Path | None,
    data: Path | None,
    qrels: str | None,
    collection: str | None,
    of_answers: bool,
    measures: Sequence[str],
    differences: int,
    picture: Path | None,
    theme: str,
    fail_below: Sequence[str],
    fail_drop: Sequence[str],
    fresh: bool,
    as_json: bool,
) -> int:
    """Run variants on the same questions and tell which differ.

    Each FILE.toml holds settings, as llar.toml does: mode, fusion, query, post, chunker,
    chunk_tokens, embedder, chat_model and all others. The first is what the others are compared
    with, question by question; p-values allow for the number of variants (Holm).
    """
    from ...evaluate import compare as comparing
    from ...evaluate.plot import plot
    from ...pictures import style

    if picture:
        style.check(picture)
    gates = [comparing.read_gate(g, drop=False) for g in fail_below]
    gates += [comparing.read_gate(g, drop=True) for g in fail_drop]
    variants = [comparing.read_variant(file, ctx.obj) for file in files]
    found = read_set(questions_file, data, qrels)
    told_form(found)

    def measure(variant: Variant) -> Report:
        return _measured(ctx, variant, found, collection, of_answers, fresh)

    usual = comparing.ANSWERS if of_answers else comparing.RETRIEVAL
    result = comparing.compare(
        variants, measure, measures, usual=usual, gates=gates, most=max(differences, 10)
    )
    if picture:
        names = [v.name for v in variants]
        plot(picture, names, result.measures, [r.measures for r in result.reports], theme)
    broken = [said for gate in gates for said in gate.broken(result)]
    if as_json:
        print_json({**result.as_json(), "failed": broken})
    else:
        click.echo(shown(result, differences))
    for said in broken:
        click.echo(f"failed: {clean(said)}", err=True)
    return REGRESSED if broken else 0


def _measured(
    ctx: click.Context,
    variant: Variant,
    found: QuestionSet,
    collection: str | None,
    of_answers: bool,
    fresh: bool,
) -> Report:
    """One variant's figures, from an earlier run where nothing has changed since."""
    from ...evaluate.answers import evaluate_answers
    from ...evaluate.clock import Clock
    from ...evaluate.compare import opened
    from ...evaluate.retrieval import evaluate_retrieval

    click.echo(f"-- {variant.name}", err=True)
    clock, bar, count = Clock(), Bar(quiet=False), Count()
    evaluate = evaluate_answers if of_answers else evaluate_retrieval
    try:
        with opened(ctx.obj, variant.settings, found, collection, clock, progress=bar) as docs:
            bar.close()
            report = evaluate(docs, found, fresh=fresh, flags=flags(ctx), clock=clock, told=count)
    finally:
        bar.close()
        count.close()
    told_run(report)
    return report


def shown(result: Comparison, differences: int) -> str:
    """The variants as a table, how each differs from the first, and where most."""
    rows = []
    for variant, report in zip(result.variants, result.reports, strict=True):
        cells = [variant.name]
        for name in result.measures:
            at = report.measures[name]
            cells.append(f"{at.mean:.4f} ({at.low:.3f} to {at.high:.3f})")
        count = max(len(report.results), 1)
        cells.append(f"{1000 * report.seconds / count:.1f}")
        cells.append(f"{sum(report.tokens) / count:.0f}")
        rows.append(cells)
    parts = [table(["", *result.measures, "ms each", "tokens"], rows)]
    first = result.variants[0].name
    lines = []
    for n, variant in enumerate(result.variants[1:], 1):
        for name in result.measures:
            d = result.differences[n][name]
            lines.append(
                [variant.name, name, f"{d.mean:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}",
                 f"{result.p[n][name]:.4f}"]
            )  # fmt: skip
    if lines:
        head = [f"against {first}", "measure", "difference", "95 % interval", "p (Holm)"]
        parts.append(table(head, lines))
    for n, variant in enumerate(result.variants[1:], 1):
        moved = result.moved[n][:differences]
        if moved:
            said = [f"{result.measures[0]} of {variant.name} differs most from {first} at:"]
            said += [
                f"  {m.before:.4f} -> {m.after:.4f}  {clean(m.id)}  {clean(m.question)}"
                for m in moved
            ]
            parts.append("\n".join(said))
    return "\n\n".join(parts)
