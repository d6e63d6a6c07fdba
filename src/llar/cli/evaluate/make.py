"""`llar evaluate make`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import EvaluationError
from ..output import collection_option, counted, json_option, print_json
from .shared import Count

if TYPE_CHECKING:
    from ...evaluate.make import Made


@click.command()
@collection_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the questions, as JSON lines.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="fact, number, table, multi-passage, unanswerable, dialogue, code, summary or "
    "classification. Repeatable.  [default: all]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many questions, shared out among the kinds.",
)
@click.option(
    "--model", metavar="BACKEND:NAME", help="Model that words questions.  [default: rules alone]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws documents and places.")
@click.option("--force", is_flag=True, help="Write over FILE where it exists.")
@click.option(
    "--review",
    is_flag=True,
    help="Go through the questions in $VISUAL or $EDITOR; with a FILE that exists, through those.",
)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_context
def make(
    ctx: click.Context,
    collection: str | None,
    output: Path | None,
    kinds: Sequence[str],
    count: int,
    model: str | None,
    seed: int,
    force: bool,
    review: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Make a question set from a collection's own documents.

    Each question comes with its answers and the exact place that holds them. It was looked up,
    and no other passage seems to answer it. What was not good enough is counted by the reason.

    With --review FILE no questions are made: those of FILE are gone through.
    """
    from ...evaluate import questions as sets

    if file is not None:
        if not review or output is not None:
            raise click.UsageError("FILE is the set to go through, with --review and without -o")
        _review(file)
        return
    if output is None:
        raise click.UsageError("Missing option '-o': where to write the questions")
    if output.exists() and not force:
        raise EvaluationError(
            f"{str(output)!r} exists already", fix=f"llar evaluate make -o {output} --force ..."
        )
    made = _made(ctx, collection, tuple(kinds) or sets.KINDS, count, model, seed)
    from ...evaluate.make_review import save

    save(output, made.questions)
    if as_json:
        print_json(_as_json(made, output))
    else:
        _show(made, output)
    if review:
        _review(output)


def _made(
    ctx: click.Context,
    collection: str | None,
    kinds: Sequence[str],
    count: int,
    model: str | None,
    seed: int,
) -> Made:
    from ...collection import Collection
    from ...evaluate.make import make

    done = Count()
    with Collection(collection, config=ctx.obj) as docs:
        try:
            chat = docs.chat_model(model) if model else None
            return make(docs, kinds=kinds, count=count, chat=chat, seed=seed, told=done)
        finally:
            done.close()


def _review(file: Path) -> None:
    from ...evaluate.make_review import review

    found = review(file)
    click.echo(
        f"{file}: {found.kept} kept, {found.dropped} dropped, {found.later} left for later",
        err=True,
    )


def _as_json(made: Made, output: Path) -> dict[str, object]:
    rejected: dict[str, dict[str, dict[str, int]]] = {}
    for (kind, by), reasons in made.rejected.items():
        rejected.setdefault(kind, {})[by] = dict(reasons)
    return {
        "file": str(output),
        "questions": len(made.questions),
        "kinds": dict(made.counts),
        "rejected": rejected,
        "notes": made.notes,
    }


def _show(made: Made, output: Path) -> None:
    click.secho(f"{counted(len(made.questions), 'question')} in {output}", bold=True)
    for kind, number in made.counts.items():
        click.echo(f"  {kind:16}{number}")
    for (kind, by), reasons in made.rejected.items():
        total = reasons.total()
        click.echo(f"not kept, {kind} by {by}: {total}")
        for why, number in reasons.most_common():
            click.echo(f"  {number:5}  {why}")
    for note in made.notes:
        click.echo(f"note: {note}")
