"""`llar evaluate retrieval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import json_option, print_json
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
    from ...evaluate.report import Report

NAMES = {
    "ndcg": "nDCG",
    "hit": "hit rate",
    "precision": "precision",
    "recall": "recall",
    "mrr": "MRR",
    "map": "MAP",
}


@click.command()
@set_options
@run_options
@click.option(
    "-k",
    "ks",
    type=click.IntRange(1, 1000),
    multiple=True,
    help="Ranks to measure at. Repeatable.  [default: 1, 3, 5, 10, 20, 100]",
)
@json_option
@click.pass_context
def retrieval(
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
    ks: Sequence[int],
    as_json: bool,
) -> None:
    """Measure how well passages are found.

    With --questions, a passage is right where it overlaps a span that holds the answer; with
    --data, and where only documents are known, a document is found at the rank of its best
    passage. Questions for which nothing is right are in no mean; their number is told.
    """
    from ...evaluate.clock import Clock
    from ...evaluate.ranking import KS
    from ...evaluate.retrieval import evaluate_retrieval

    clock = Clock()
    config = configured(ctx.obj, mode, query, strategy, post, model)
    found = read_set(questions_file, data, qrels)
    told_form(found)
    count = Count()
    with opened(config, found, collection, clock, keep=keep) as docs:
        try:
            report = evaluate_retrieval(
                docs,
                found,
                ks=tuple(ks) or KS,
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
    """The figures as two tables: those at one rank with intervals, and all means."""
    ks = report.shown["k"]
    main = max([k for k in ks if k <= 10], default=ks[0])
    first = []
    for name, label in NAMES.items():
        at = report.measures[f"{name}@{main}"]
        first.append([f"{label}@{main}", f"{at.mean:.4f}", f"{at.low:.4f} to {at.high:.4f}"])
    for name in ("mrr", "map"):
        at = report.measures[name]
        first.append([NAMES[name], f"{at.mean:.4f}", f"{at.low:.4f} to {at.high:.4f}"])
    parts = [table(["", "mean", "95 % interval"], first)]
    if len(ks) > 1:
        rows = [
            [label, *(f"{report.measures[f'{name}@{k}'].mean:.4f}" for k in ks)]
            for name, label in NAMES.items()
        ]
        parts.append(table(["at", *map(str, ks)], rows))
    parts += kinds(report, f"ndcg@{main}", f"recall@{main}")
    return "\n\n".join([*parts, foot(report)])
