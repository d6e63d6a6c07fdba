"""`llar search`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .output import (
    as_option,
    as_seen,
    clean,
    collection_option,
    filter_option,
    json_option,
    print_json,
    where,
)
from .retrieval import retrieval_options, show_steps, steps_of

if TYPE_CHECKING:
    from ..records import Hit


def _list_steps(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from ..retrieve.steps import STEPS, StepName

    for kind, names in STEPS.items():
        click.secho(f"--{kind}", bold=True)
        rows = [(name, StepName(kind, name).about()) for name in names]
        formatter = ctx.make_formatter()
        formatter.write_dl(rows)
        click.echo(formatter.getvalue())
    ctx.exit()


@click.command()
@click.argument("question")
@collection_option
@click.option(
    "-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many passages."
)
@retrieval_options
@filter_option
@click.option("--model", metavar="BACKEND:NAME", help="Model for the steps that ask one.")
@as_option
@click.option("--explain", is_flag=True, help="Show every step: what it did and how long it took.")
@click.option(
    "--steps",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_steps,
    help="List the steps that --query, --strategy and --post take.",
)
@json_option
@click.pass_context
def search(
    ctx: click.Context,
    question: str,
    collection: str | None,
    k: int,
    mode: str | None,
    query: Sequence[str],
    strategy: str | None,
    post: Sequence[str],
    filters: Sequence[str],
    model: str | None,
    seen_as: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Find passages: document, page, headings, offsets, score and its parts."""
    from ..collection import Collection

    with Collection(collection, config=ctx.obj) as opened:
        found = as_seen(opened, seen_as).explain(
            question,
            k=k,
            mode=mode,
            filters=filters,
            query=steps_of(query),
            strategy=strategy,
            post=steps_of(post),
            model=model,
        )
    hits = found.hits
    if as_json:
        more = {"steps": found.steps, "computed": found.computed}
        print_json({**more, "hits": hits} if explain else hits)
        return
    if explain:
        show_steps(found.steps)
    for computed in found.computed:
        click.echo(clean(computed.text) + "\n")
    for n, hit in enumerate(hits, 1):
        _show(n, hit)
    if not hits:
        click.echo("nothing found", err=True)


def _show(n: int, hit: Hit) -> None:
    parts = ", ".join(f"{name} {value:.3f}" for name, value in hit.parts.items())
    place = where(hit.document, hit.chunk.first_page, hit.chunk.last_page)
    click.secho(f"{n}. {place}", bold=True, nl=False)
    click.echo(f"  {hit.score:.3f} ({parts}), characters {hit.chunk.start}-{hit.chunk.end}")
    if hit.chunk.headings:
        click.echo("   " + clean(" > ".join(hit.chunk.headings)))
    for line in hit.chunk.prefix.splitlines() if hit.chunk.prefix else []:
        click.echo("   " + clean(line))
    at = 0
    marked = ""
    for span in hit.highlights:
        start, end = map(hit.chunk.local, span)
        marked += clean(hit.chunk.text[at:start], lines=True)
        marked += click.style(clean(hit.chunk.text[start:end], lines=True), bold=True, fg="yellow")
        at = end
    marked += clean(hit.chunk.text[at:], lines=True)
    for line in marked.splitlines():
        click.echo("   " + line)
    if hit.kept is not None:
        click.echo("   shown to a model:")
        for line in clean(hit.content, lines=True).splitlines():
            click.echo("     " + line)
    click.echo()
