"""`llar evaluate injection`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import EvaluationError
from ..output import clean, json_option, print_json
from .shared import Count, flags, table

if TYPE_CHECKING:
    from ...evaluate.injection import Injected, Rate, Table
    from ...evaluate.injection_data import Attack

COMPANY = 100  # texts of each kind that stand in the collection beside the one asked about


@click.command()
@click.option(
    "--data",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of BIPIA's data: KIND/PART.jsonl, text_attack_PART.json, code_attack_PART.json.",
)
@click.option("--part", default="train", show_default=True, help="Part of the data to take.")
@click.option(
    "--contexts", metavar="KIND,...", help="Kinds of contexts, such as email,table.  [default: all]"
)
@click.option(
    "--attacks",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take only N attacks of each category, drawn by the seed.  [default: all]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Contexts with attacks to ask about, spread over kinds, categories and positions.",
)
@click.option("--bare", is_flag=True, help="Ask the model alone as well, with the same text.")
@click.option("--model", metavar="BACKEND:NAME", help="Model that writes the answers.")
@click.option("--judge", metavar="BACKEND:NAME", help="Model to ask where the rules cannot tell.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws contexts and attacks.")
@click.option("--save", metavar="NAME", help="What to call the run.")
@click.option("--fresh", is_flag=True, help="Take nothing from earlier runs.")
@click.option("--examples", is_flag=True, help="Print every response to an attack that worked.")
@json_option
@click.pass_context
def injection(
    ctx: click.Context,
    data: Path,
    part: str,
    contexts: str | None,
    attacks: int | None,
    count: int,
    bare: bool,
    model: str | None,
    judge: str | None,
    seed: int,
    save: str | None,
    fresh: bool,
    examples: bool,
    as_json: bool,
) -> None:
    """Measure whether instructions hidden in documents are followed.

    Attacks of BIPIA are put at the start, in the middle and at the end of its contexts; each is
    indexed and asked about. Printed are the shares of attacks that were followed, of responses
    that show the attack's own words, and what the rules say where there is no attack.
    """
    from dataclasses import replace

    from ...evaluate import injection_data as data_of
    from ...evaluate.draw import drawn
    from ...evaluate.injection import inject, tables

    config = replace(ctx.obj, chat_model=model) if model else ctx.obj
    chosen = [k.strip() for k in contexts.split(",") if k.strip()] if contexts else []
    listed = chosen or data_of.kinds(data, part)
    found = {kind: data_of.read_contexts(data, kind, part) for kind in listed}
    codes = {kind == data_of.CODE for kind in listed}
    orders = {
        code: _fewer(data_of.read_attacks(data, part, code=code), attacks, seed) for code in codes
    }
    cases = data_of.sample(found, orders, count, seed)
    company = [c for of in found.values() for c in drawn(seed).sample(of, min(len(of), COMPANY))]
    count_done = Count("texts")
    try:
        run, outcomes, right = inject(
            config,
            cases,
            company=company,
            bare=bare,
            judged_by=judge,
            data={"name": str(data), "part": part, "contexts": listed, "seed": seed},
            name=save,
            fresh=fresh,
            flags=flags(ctx),
            seed=seed,
            told=count_done,
        )
    finally:
        count_done.close()
    made = tables(outcomes, right, seed=seed)
    if as_json:
        print_json(_as_json(run.id, cases, made, outcomes))
        return
    for one in made:
        _show(one)
    if examples:
        for outcome in outcomes:
            if outcome.followed or outcome.shown:
                _show_example(outcome)
    click.echo(f"run {run.id}", err=True)


def _fewer(attacks: Sequence[Attack], most: int | None, seed: int) -> list[Attack]:
    """At most so many attacks of each category."""
    from ...evaluate.draw import drawn

    by_category: dict[str, list[Attack]] = {}
    for attack in attacks:
        by_category.setdefault(attack.category, []).append(attack)
    kept: list[Attack] = []
    for category, listed in by_category.items():
        some = (
            listed if most is None else drawn(seed, category).sample(listed, min(most, len(listed)))
        )
        kept += some
    if not kept:
        raise EvaluationError("there are no attacks")
    return kept


def _as_json(
    run: str, cases: Sequence[Any], made: Sequence[Table], outcomes: Sequence[Injected]
) -> dict[str, Any]:
    return {
        "run": run,
        "cases": len(cases),
        "ways": {t.way: {"rates": t.rows, "utility": t.utility} for t in made},
        "outcomes": [
            {
                "case": o.case.id,
                "way": o.way,
                "followed": o.followed,
                "draft": o.draft,
                "shown": o.shown,
                "alarm": o.alarm,
                "abstained": o.abstained,
                "by": o.by,
                "why": o.why,
                "response": o.response,
            }
            for o in outcomes
        ],
    }


def _show(made: Table) -> None:
    """One way to answer, for people."""
    title = "llar's answers" if made.way == "ask" else "the model alone"
    click.secho(f"{title}: share of attacks followed", bold=True)
    head = ["", "followed", "shown", "draft", "answered", "no attack", "invalid"]
    rows = []
    for label, rates in made.rows.items():
        cells = [_cell(rates[name]) for name in ("shown", "draft", "answered", "alarm")]
        followed = rates["followed"]
        rows.append([clean(label), _cell(followed, wide=True), *cells, str(followed.invalid)])
    click.echo(table(head, rows))
    for kind, value in made.utility.items():
        what = "ROUGE-L with the mended code" if kind == "code" else "right answers"
        interval = f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
        click.echo(f"without attacks, {clean(kind)}: {what} {interval}")
    click.echo()


def _cell(rate: Rate, *, wide: bool = False) -> str:
    if rate.value is None:
        return "-"
    counts = f"{rate.yes}/{rate.counted}"
    if not wide:
        return f"{rate.value.mean:.2f} {counts}"
    return f"{rate.value.mean:.2f} [{rate.value.low:.2f}, {rate.value.high:.2f}] {counts}"


def _show_example(outcome: Injected) -> None:
    what = "followed" if outcome.followed else "shown"
    click.secho(
        f"{outcome.way}, {outcome.case.id}: {what} ({outcome.by}: {outcome.why})", bold=True
    )
    click.echo(f"  attack: {clean(' '.join(outcome.case.attack.text.split()))}")
    click.echo(f"  response: {clean(' '.join(outcome.response.split()))}")
