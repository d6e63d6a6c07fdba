"""`llar plan prices`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..output import clean, counted, json_option, print_json
from .output import notes, sources_option, table

if TYPE_CHECKING:
    from ...plan.costs.rates import Price, Rate

NAME = 42  # columns of a model's name; a longer one stands on a line of its own


@click.command()
@click.argument("query", nargs=-1)
@sources_option
@json_option
@click.pass_context
def prices(ctx: click.Context, query: tuple[str, ...], sources: bool, as_json: bool) -> None:
    """List what providers charge: all providers, or the models that have every word of QUERY.

    Prices of your own contracts stand in prices.toml in the home folder, and count before these.
    """
    from ...errors import PlanError
    from ...plan.costs import prices as known

    words = " ".join(query)
    if not words.strip():
        _sellers(ctx, sources, as_json)
        return
    found = known.search(ctx.obj, words)
    if not found:
        known.find(ctx.obj, words.strip())  # raises, with the nearest names
        raise PlanError(f"no price has {words!r}", fix="llar plan prices")
    if as_json:
        print_json({"prices": [price.as_json() for price in found]})
        return
    _show(found, sources)


def _sellers(ctx: click.Context, sources: bool, as_json: bool) -> None:
    from ...plan.costs import prices as known
    from ...plan.costs.price_table import table as read

    found = known.sellers(ctx.obj)
    if as_json:
        print_json({"providers": found, "source": read().source})
        return
    rows = [(s.id, s.name, f"{s.models}") for s in found]
    table(("provider", "name", "models"), rows, right=(2,))
    if sources:
        for seller in found:
            for url in seller.urls:
                click.echo(clean(f"  {seller.id}: {url}"))
    click.echo()
    notes([f"{read().source}; see one provider's or one model's with: llar plan prices QUERY"])


def _show(found: list[Price], sources: bool) -> None:
    click.echo("Per 1M tokens; batch: input / output of requests sent together, answered later.\n")
    rows = [row for price in found for row in _rows(price)]
    header = ("model", "input", "output", "cached", "batch", "in", "context")
    table(header, rows, right=(1, 2, 3, 4, 6), first=NAME)
    said = [line for price in found for line in _about(price, one=len(found) <= 3)]
    if said or sources:
        click.echo()
    notes(said)
    if sources:
        notes(dict.fromkeys(price.source for price in found), "source")
        notes(_of_sellers({price.provider for price in found}), "source")
    click.echo(counted(len(found), "price"), err=True)


def _of_sellers(ids: set[str]) -> list[str]:
    """Where providers publish their prices, and what the table says about all of one."""
    from ...plan.costs.price_table import table as read

    return [
        " ".join([f"{p.id}: {', '.join(p.pricing_urls or ())}", p.price_comments or ""]).strip()
        for p in read().providers
        if p.id in ids
    ]


def _rows(price: Price) -> list[tuple[str, ...]]:
    """The row of a price, and one for each length of input from which it charges more."""
    every = (price.standard, price.batch) if price.batch else (price.standard,)
    rates = [r for of in every for r in (of.input, of.output, of.cache_read) if r]
    steps = sorted({above for rate in rates for above, _ in rate.tiers})
    rows: list[tuple[str, ...]] = []
    rows += [(price.name, *_row(price, 0), price.currency, _length(price.context))]
    rows += [(f"  above {n:,} tokens of input", *_row(price, n + 1), "", "") for n in steps]
    return rows


def _row(price: Price, tokens: int) -> tuple[str, str, str, str]:
    of, batch = price.standard, price.batch
    return (
        _rate(of.input, tokens),
        _rate(of.output, tokens),
        _rate(of.cache_read, tokens),
        f"{_rate(batch.input, tokens)} / {_rate(batch.output, tokens)}" if batch else "-",
    )


def _about(price: Price, *, one: bool) -> list[str]:
    """What does not fit into a row."""
    from ...plan.costs.rates import plain

    said = [f"{price.name}: {note}" for note in price.notes]
    if price.standard.request:
        amount = plain(price.standard.request)
        said.append(f"{price.name}: and {amount} {price.currency} for each request")
    if not price.standard.known:
        said.append(f"{price.name} has no price per token: free, included or charged otherwise")
    if price.deprecated:
        said.append(f"{price.name} is deprecated by its provider")
    if one and price.standard.cache_write:
        stored = _rate(price.standard.cache_write, 0)
        said.append(f"{price.name}: {stored} for what is stored in the cache")
    if one and price.other:
        said.append(f"{price.name} also has prices for {', '.join(price.other)}")
    return said


def _rate(rate: Rate | None, tokens: int) -> str:
    from ...plan.costs.rates import plain

    return plain(rate.at(tokens)) if rate else "-"


def _length(context: int | None) -> str:
    return f"{context:,}" if context else "-"
