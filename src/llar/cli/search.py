"""`llar search`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .output import clean, collection_option, filter_option, json_option, print_json, where

if TYPE_CHECKING:
    from ..records import Hit
    from ..retrieve import Mode


@click.command()
@click.argument("query")
@collection_option
@click.option(
    "-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many passages."
)
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "dense", "lexical"]),
    default="hybrid",
    show_default=True,
    help="By words and meaning, by meaning, or by words.",
)
@filter_option
@json_option
@click.pass_context
def search(
    ctx: click.Context,
    query: str,
    collection: str | None,
    k: int,
    mode: Mode,
    filters: Sequence[str],
    as_json: bool,
) -> None:
    """Find passages: document, page, headings, offsets, score and its parts."""
    from ..collection import Collection

    with Collection(collection, config=ctx.obj) as opened:
        hits = opened.search(query, k=k, mode=mode, filters=filters)
    if as_json:
        print_json(hits)
        return
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
    at = hit.chunk.start
    marked = ""
    for start, end in hit.highlights:
        marked += clean(hit.chunk.text[at - hit.chunk.start : start - hit.chunk.start], lines=True)
        marked += click.style(
            clean(hit.chunk.text[start - hit.chunk.start : end - hit.chunk.start], lines=True),
            bold=True,
            fg="yellow",
        )
        at = end
    marked += clean(hit.chunk.text[at - hit.chunk.start :], lines=True)
    for line in marked.splitlines():
        click.echo("   " + line)
    click.echo()
