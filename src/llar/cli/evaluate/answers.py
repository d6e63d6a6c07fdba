"""`llar evaluate answers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import clean, json_option, print_json
from .shared import (
    Count,
    configured,
    flags,
    foot,
    kinds,
    opened,
    read_set,
    run_options,
    set_options,
    table,
    told_form,
    told_run,
)

if TYPE_CHECKING:
    from ...evaluate.answers import Measured
    from ...evaluate.report import Report

NAMES = {
    "exact_match": "exact match",
    "f1": "F1",
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
    "meteor": "METEOR",
    "semscore": "SemScore",
}


def _list_measures(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from ...evaluate.answers import CHEAP, MEASURES

    formatter = ctx.make_formatter()
    formatter.write_dl(
        [(name + (" *" if name in CHEAP else ""), said) for name, said in MEASURES.items()]
    )
    click.echo(f"{formatter.getvalue()}* measured unless --measures says otherwise")
    ctx.exit()


def measured(
    measures: str | None, judge: str | None, rubrics: Sequence[str], prices: str | None
) -> Measured:
    """What the options ask to be measured."""
    from ...evaluate.answers import CHEAP, MEASURES, Measured
    from ...evaluate.verdicts import JUDGED

    names = [m.strip() for m in (measures or "").split(",") if m.strip()] or list(CHEAP)
    if names == ["all"]:
        names = [m for m in MEASURES if judge or m not in JUDGED]
    if rubrics or (judge and not measures):
        names.append("rubrics")
    return Measured(
        tuple(dict.fromkeys(names)),
        judge or "",
        tuple(rubrics),
        _prices(prices) if prices else None,
    )


def _prices(text: str) -> tuple[float, float]:
    read, _, written = text.partition(":")
    try:
        found = float(read), float(written)
    except ValueError:
        found = -1.0, -1.0
    if not 0 <= min(found) <= max(found) < float("inf"):
        raise click.BadParameter(
            f"{text!r}: expected READ:WRITTEN, as 0.15:0.60", param_hint="--prices"
        )
    return found


@click.command()
@set_options
@run_options
@click.option(
    "-k", type=click.IntRange(min=1), default=8, show_default=True, help="Passages to look at."
)
@click.option("--measures", metavar="NAME,...", help="What to measure, or all: see --list.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_measures,
    help="List the measures.",
)
@click.option("--judge", metavar="BACKEND:NAME", help="Model that judges answers (G-Eval).")
@click.option(
    "--rubric",
    "rubrics",
    multiple=True,
    metavar="NAME|FILE",
    help="What to judge: coherence, consistency, fluency, relevance or a text file. Repeatable."
    "  [default: those four]",
)
@click.option(
    "--prices", metavar="READ:WRITTEN", help="Prices of a million tokens, to count the cost."
)
@json_option
@click.pass_context
def answers(
    ctx: click.Context,
    questions_file: Path | None,
    data: Path | None,
    qrels: str | None,
    collection: str | None,
    mode: str | None,
    query: Sequence[str],
    strategy: str | None,
    post: Sequence[str],
    model: str | None,
    save: str | None,
    fresh: bool,
    keep: bool,
    k: int,
    measures: str | None,
    judge: str | None,
    rubrics: Sequence[str],
    prices: str | None,
    as_json: bool,
) -> None:
    """Measure answers: right, backed by the documents, silent where they must be.

    Each question is asked and its answer kept, so that other measures of the same answers cost
    only themselves. Replies of a judge that are no verdict are counted and in no mean.
    """
    from ...evaluate.answers import evaluate_answers
    from ...evaluate.clock import Clock

    clock = Clock()
    wanted = measured(measures, judge, rubrics, prices)
    config = configured(ctx.obj, mode, query, strategy, post, model)
    found = read_set(questions_file, data, qrels)
    told_form(found)
    count = Count()
    with opened(config, found, collection, clock, keep=keep) as docs:
        try:
            report = evaluate_answers(
                docs,
                found,
                wanted,
                k=k,
                name=save,
                fresh=fresh,
                flags=flags(ctx),
                clock=clock,
                told=count,
            )
        finally:
            count.close()
    told_run(report)
    if as_json:
        print_json(report.as_json())
        return
    click.echo(shown(report))


def shown(report: Report) -> str:
    """The figures as a table, and what is of the whole set."""
    sizes = {name: sum(name in r.measures for r in report.results) for name in report.measures}
    rows = [
        [
            NAMES.get(name, name.replace("_", " ").replace("rubric ", "rubric: ")),
            f"{at.mean:.4f}",
            f"{at.low:.4f} to {at.high:.4f}",
            str(sizes[name]),
        ]
        for name, at in report.measures.items()
    ]
    lines = [table(["", "mean", "95 % interval", "questions"], rows)]
    lines += kinds(report, "f1", "semscore", "answered", "abstention_recall")
    whole = []
    for name in ("abstention_f1", "corpus_bleu", "corpus_chrf"):
        if report.shown.get(name) is not None:
            label = name.replace("_", " ").replace("bleu", "BLEU").replace("chrf", "chrF")
            whole.append(f"{label} {report.shown[name]:.4f}")
    if whole:
        lines.append(", ".join(whole))
    if report.shown.get("invalid"):
        lines.append(_invalid(report))
    if "cost" in report.shown:
        lines.append(f"cost {report.shown['cost']:.4f} at the prices given")
    return "\n\n".join([*lines, foot(report)])


def _invalid(report: Report) -> str:
    lines = []
    for name, count in report.shown["invalid"].items():
        of = next(r for r in report.results if name in r.about.get("invalid", {}))
        reply = clean(str(of.about["invalid"][name]["reply"]))[:100]
        lines.append(f"{name}: {count} replies of the judge were no verdict, such as {reply}")
    return "\n".join(lines)
