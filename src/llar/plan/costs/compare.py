"""What a workload costs at providers, on an own machine and on a rented one, and what pays off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..amount import money
from ..figure import Figure
from ..units import count
from .money import Money
from .owning import Option
from .rates import MILLION, Price, Rates, plain
from .workload import Workload

__all__ = ["BreakEven", "Costs", "api", "break_even", "compare", "units_of"]

ANY = "any number"


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When owning costs no more than another option. Infinite: never, and `why` says so."""

    own: str
    other: str
    months: Figure  # until the machine is paid for by what the other would have cost
    tokens: Figure  # processed until then
    monthly_tokens: Figure  # from which owning is cheaper, depreciation included; 0: see `formula`
    why: tuple[str, ...] = ()  # why it never does, or too late


@dataclass(frozen=True, slots=True)
class Costs:
    """Every option, cheapest first."""

    currency: str
    workload: Workload
    options: tuple[Option, ...]
    break_even: tuple[BreakEven, ...]
    notes: tuple[str, ...] = ()


def compare(
    workload: Workload, options: Sequence[Option], money: Money, notes: Sequence[str] = ()
) -> Costs:
    """The options in order of their cost, and when what is owned pays off against each other."""
    ordered = sorted(options, key=lambda option: option.monthly)
    pairs = [
        break_even(mine, other, workload)
        for mine in ordered
        if mine.kind == "own"
        for other in ordered
        if other.kind != "own"
    ]
    return Costs(money.currency, workload, tuple(ordered), tuple(pairs), tuple(notes))


def api(price: Price, workload: Workload, money: Money) -> Option:
    """What a workload costs a month at a provider, exactly.

    Requests of different lengths are charged each by its own. Raises PlanError where the price is
    in another currency and no rate is given.
    """
    batch = price.batch or price.standard
    amount = Decimal(0)
    for use in workload.uses():
        amount += (1 - workload.batch) * price.standard.of(use)
        if workload.batch:
            amount += workload.batch * batch.of(use)
    total = money.into(amount, price.currency, f"the price of {price.name}")
    formula = _formula(price.standard, workload, 1 - workload.batch)
    if workload.batch:
        first = f"{formula} + " if formula else ""
        formula = f"{first}batch {_formula(batch, workload, workload.batch)}"
    if price.currency != money.currency:
        formula = f"({formula}) {price.currency} at {money.eur_per_usd} EUR per USD"
    month = Figure("A month", float(total), money.currency, formula, price.source)
    return Option(
        name=price.name,
        kind="api",
        monthly=total,
        figures=(month,),
        notes=tuple(_api_notes(price, workload)),
        growing=total,
    )


def _formula(rates: Rates, workload: Workload, part: Decimal) -> str:
    """ "17.6 M x 0.25 + 4.4 M out x 2 per 1M", summed over the requests by what they cost."""
    sums: dict[tuple[str, Decimal], Decimal] = {}
    for use in workload.uses():
        for tokens, rate, what in rates.terms(use):
            sums[what, rate] = sums.get((what, rate), Decimal(0)) + tokens * use.requests * part
    terms = [
        f"{count(float(tokens))}{f' {what}' if what else ''} x {plain(rate)}"
        for (what, rate), tokens in sums.items()
        if tokens
    ]
    text = f"({' + '.join(terms)}) per 1M" if terms else ""
    if rates.request and part:
        fee = f"{count(float(workload.requests * part))} x {plain(rates.request)}"
        text = f"{text} + {fee}" if text else fee
    return text


def _api_notes(price: Price, workload: Workload) -> Iterable[str]:
    yield from price.notes
    if price.deprecated:
        yield "deprecated by its provider"
    if price.context:
        long = sum((p.requests for p in workload.parts if p.input > price.context), Decimal(0))
        if long:
            yield (
                f"{long:,.0f} of {workload.requests:,.0f} {workload.what}s a month are longer than"
                f" its context of {price.context:,} tokens and would have to be split"
            )
    for what, tokens, rate in (
        ("input", workload.input, price.standard.input),
        ("output", workload.output, price.standard.output),
    ):
        if tokens and rate is None:
            yield f"no price of {what} is known: counted as free"
    if workload.batch and price.batch is None:
        yield "no batch price is known: all at the standard price"
    if workload.cached and price.standard.cache_read is None:
        yield "no price of cached input is known: counted as input"
    if workload.cached and not workload.written and price.standard.cache_write:
        stored = plain(price.standard.cache_write.base)
        yield f"storing input in the cache is not counted, at {stored} per 1M: --cache-written"


def units_of(option: Option, workload: Workload, currency: str) -> dict[str, Figure]:
    """The monthly cost per 1M tokens, per 1,000 requests, and per user."""
    month = float(option.monthly)

    def per(name: str, parts: Decimal, what: str) -> Figure:
        formula = f"{month:,.6g} / {float(parts):,.6g} {what}"
        return Figure(name, month / float(parts), currency, formula, exact=option.kind == "api")

    found = {
        "tokens": per("Per 1M tokens", workload.tokens / MILLION, "million tokens"),
        "requests": per(
            f"Per 1,000 {workload.what}s", workload.requests / 1000, f"thousand {workload.what}s"
        ),
    }
    if workload.users:
        found["user"] = per("Per user and month", Decimal(workload.users), "users")
    return found


def break_even(mine: Option, other: Option, workload: Workload) -> BreakEven:
    """When owning pays off against another option.

    Months: investment / (cost of the other - running cost of owning). Tokens a month: the fixed
    part of owning, depreciation with it, over what the other costs more per token.
    """
    running = mine.monthly - mine.depreciation
    saved = other.monthly - running
    never = float("inf")
    why = []
    if saved > 0:
        months = float(mine.investment / saved)
        how = f"{mine.investment:,.2f} / ({other.monthly:,.2f} - {running:,.2f} a month)"
        life = float(mine.investment / mine.depreciation) if mine.depreciation else never
        if months > life:
            why = [f"longer than the {life:,.3g} months over which the machine is written off"]
    else:
        months = never
        how = (
            f"never: running it costs {money(float(running))} a month, the other "
            f"{money(float(other.monthly))}"
        )
        why = [how]
    total = months * float(workload.tokens)
    level, level_how, level_why = _level(mine, other, workload)
    return BreakEven(
        mine.name,
        other.name,
        Figure("Paid off after", months, "months", how, exact=False),
        Figure("Tokens until then", total, "tokens",
               f"{months:,.4g} months x {count(float(workload.tokens))}" if saved > 0 else how,
               exact=False),
        Figure("Cheaper from, a month", level, "tokens", level_how, exact=False),
        tuple(why + ([level_why] if level_why else [])),
    )  # fmt: skip


def _level(mine: Option, other: Option, workload: Workload) -> tuple[float, str, str]:
    """The tokens a month from which owning is cheaper, with its formula and why it never is."""
    fixed = mine.monthly - mine.growing
    gained = other.growing - mine.growing
    flat = other.monthly - other.growing
    if flat > fixed:
        return _up_to(mine, workload, flat - fixed, gained)
    if gained <= 0:
        why = "never cheaper a month: a token costs it as much as the other, or more"
        if not other.growing:
            why = f"not cheaper a month: {mine.monthly:,.2f}, the other always {flat:,.2f}"
        return float("inf"), why, why
    scale = (fixed - flat) / gained
    tokens = scale * workload.tokens
    how = f"{fixed - flat:,.2f} / {float(gained / workload.tokens * MILLION):.4g} per 1M tokens"
    if mine.capacity is not None and tokens > mine.capacity:
        why = (
            f"never cheaper a month: that would take {count(float(tokens))} tokens, and it delivers"
            f" {count(float(mine.capacity))}"
        )
        return float("inf"), why, why
    return float(tokens), how, ""


def _up_to(
    mine: Option, workload: Workload, ahead: Decimal, gained: Decimal
) -> tuple[float, str, str]:
    """The same where owning is `ahead` with no tokens at all, and may lose that with more."""
    if gained >= 0:
        return 0.0, ANY, ""
    most = ahead / -gained * workload.tokens
    if mine.capacity is not None and most >= mine.capacity:
        return 0.0, ANY, ""
    if most >= workload.tokens:
        return 0.0, f"up to {count(float(most))} tokens", ""
    why = f"cheaper a month only up to {count(float(most))} tokens"
    return float("inf"), why, why
