"""`llar plan advise`."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import clean, json_option, print_json
from .output import notes, show, sources_option, width

if TYPE_CHECKING:
    from ...config import Config
    from ...plan.advice.records import Advice
    from ...plan.advice.situation import Question


@click.command()
@click.option("--data", metavar="KIND", help="How sensitive: public, internal, personal, secret.")
@click.option("--users", metavar="N", help="People who will use it.")
@click.option("--task", metavar="KIND", help="questions, chat, classify, extract, write or sql.")
@click.option("--documents", metavar="N", help="How many there are.")
@click.option("--pages", metavar="N", help="Of one document, on average.")
@click.option("--languages", metavar="CODES", help="Of the documents, by commas: en,es,ca,hu.")
@click.option("--latency", metavar="SECONDS", help="That may pass before an answer begins.")
@click.option("--once", metavar="MONEY", help="That may be spent once; 0, or any.")
@click.option("--monthly", metavar="MONEY", help="That may be spent a month; 0, or any.")
@click.option(
    "--hardware", metavar="NAMES", help='Machines at hand, by commas: "this", or their names.'
)
@click.option("--examples", metavar="N", help="Of good results, to learn from.")
@click.option("--open-licence", is_flag=True, help="Only models with an open source licence.")
@click.option(
    "--questions-a-day", metavar="N", default="10", show_default=True, help="Of each user."
)
@click.option(
    "--currency", type=click.Choice(["USD", "EUR"]), default="USD", show_default=True,
    help="Of the budget and the result.",
)  # fmt: skip
@click.option(
    "--eur-per-usd", metavar="RATE", help="Euros that one dollar costs; prices are in dollars."
)
@click.option(
    "--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Also write a report."
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@sources_option
@json_option
@click.pass_context
def advise(
    ctx: click.Context,
    data: str | None,
    users: str | None,
    task: str | None,
    documents: str | None,
    pages: str | None,
    languages: str | None,
    latency: str | None,
    once: str | None,
    monthly: str | None,
    hardware: str | None,
    examples: str | None,
    open_licence: bool,
    questions_a_day: str,
    currency: str,
    eur_per_usd: str | None,
    markdown: Path | None,
    force: bool,
    sources: bool,
    as_json: bool,
) -> None:
    """Recommend a model, hardware and a way of working, with reasons and what would change them.

    Asks what is not given, on a terminal where nothing is given. Needs no network and no model.
    """
    from ...plan.advice.advise import advise as recommend
    from ...plan.advice.situation import QUESTIONS, situation

    answers = {
        "data": data, "users": users, "task": task, "documents": documents, "pages": pages,
        "languages": languages, "latency": latency, "once": once, "monthly": monthly,
        "hardware": hardware, "examples": examples,
    }  # fmt: skip
    if not any(answers.values()) and sys.stdin.isatty() and not as_json:
        click.echo(
            f"{len(QUESTIONS)} questions; Enter takes what stands in brackets, Ctrl-C stops. "
            f"Amounts are in {currency}.",
            err=True,
        )
        answers = {q.key: _ask(ctx.obj, q) for q in QUESTIONS}
        if currency == "EUR" and eur_per_usd is None:
            eur_per_usd = _rate()
    said = situation(
        answers,
        open_licence=open_licence,
        questions_a_day=questions_a_day,
        currency="EUR" if currency == "EUR" else "USD",
        eur_per_usd=eur_per_usd,
    )
    found = recommend(ctx.obj, said)
    if markdown:
        _write(markdown, found, force=force)
    if as_json:
        print_json(found)
    else:
        _show(found, sources=sources)


def _ask(config: Config, question: Question) -> str:
    """One question of the interview, until its answer makes sense.

    All on stderr, so that stdout holds the advice alone.
    """
    from ...errors import PlanError
    from ...plan.advice.situation import checked
    from ...plan.hardware import machines

    click.secho(f"\n{question.text}", bold=True, err=True)
    for answer, about in question.choices:
        click.echo(f"  {answer:<10} {about}", err=True)
    if question.about:
        click.echo(f"  {question.about}", err=True)
    while True:
        said: str = click.prompt(
            ">", default=question.default or None, prompt_suffix=" ", err=True,
            show_default=bool(question.default),
        )  # fmt: skip
        try:
            answer = checked(question, said)
            if question.key == "hardware":
                for name in answer:
                    machines.find(config, name)
        except PlanError as e:
            click.echo(clean(f"  {e.message}"), err=True)
        else:
            return said


def _rate() -> str:
    """The rate of exchange, asked for at last: prices are in dollars, and none is assumed."""
    click.secho("\nHow many euros does one dollar cost today?", bold=True, err=True)
    rate = click.prompt(">", type=click.FloatRange(0.01, 100), prompt_suffix=" ", err=True)
    return str(rate)


def _show(advice: Advice, *, sources: bool) -> None:
    from ...plan.advice.report import answers

    click.secho(clean(advice.headline), bold=True)
    if advice.embedder:
        click.echo(clean(f"embedding model of the search: {advice.embedder}"))
    for title, lines in (
        ("Why", [f"{r.about}: {r.text}" for r in advice.reasons]),
        ("Mind", list(advice.warnings)),
        ("What would change it", list(advice.changes)),
        ("What else was considered", [f"{a.name}: {a.why_not}" for a in advice.alternatives]),
    ):
        if lines:
            click.secho(f"\n{title}", bold=True)
            for line in lines:
                click.echo(textwrap.fill(
                    clean(line), width(), initial_indent="- ", subsequent_indent="  ",
                    break_on_hyphens=False,
                ))  # fmt: skip
    click.echo()
    show(advice.figures, title="Figures", sources=sources)
    said = "; ".join(f"{what.lower()}: {answer}" for what, answer in answers(advice))
    click.echo()
    notes([said], label="asked for")
    if sources:
        for assumption in advice.assumptions:
            notes([assumption], label="assumed")


def _write(file: Path, advice: Advice, *, force: bool) -> None:
    from ...errors import PlanError
    from ...plan.advice.report import markdown

    if file.exists() and not force:
        raise PlanError(f"{str(file)!r} is there already", fix=f"--force, or another FILE: {file}")
    try:
        file.write_text(markdown(advice), encoding="utf-8")
    except OSError as e:
        raise PlanError(f"{str(file)!r} cannot be written: {e.strerror or e}") from e
    click.echo(f"wrote {file}", err=True)
