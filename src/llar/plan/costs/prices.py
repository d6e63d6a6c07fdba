"""What providers ask for the use of their models: from genai-prices, and the user's own contracts.

Every amount is an exact Decimal. Nothing here reaches a network; `Price.source` says how old the
prices are.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ...config import Config
from ...errors import PlanError
from . import own_prices
from .price_table import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
    also_called,
    table,
)
from .rates import Price, Rate, Rates, Use

__all__ = ["DEFAULT", "Price", "Rate", "Rates", "Seller", "Use", "find", "search", "sellers"]

# What `llar plan cost` compares where no --api is given: one small and one large model of the
# makers most asked about, and an open model at two hosts, which is what owning compares with.
DEFAULT = (
    "openai:gpt-5-mini",
    "openai:gpt-5.4",
    "anthropic:claude-haiku-4-5",
    "anthropic:claude-sonnet-5",
    "google:gemini-2.5-flash",
    "mistral:mistral-small-2603",
    "groq:llama-3.3-70b-versatile",
    "together:meta-llama/Llama-3.3-70B-Instruct-Turbo",
)
_KEYS = {  # genai-prices' names of what a text costs
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
}
_BATCH = {"processing": "batch"}


@dataclass(frozen=True, slots=True)
class Seller:
    """A provider: how many models it has prices for, and where it publishes them."""

    id: str
    name: str
    models: int
    urls: tuple[str, ...] = ()
    comments: str = ""


def sellers(config: Config) -> list[Seller]:
    """Every provider, the user's own first."""
    own: dict[str, int] = {}
    for price in own_prices.read(config):
        own[price.provider] = own.get(price.provider, 0) + 1
    known = [
        Seller(p.id, p.name, len(p.models), tuple(p.pricing_urls or ()), p.price_comments or "")
        for p in table().providers
    ]
    file = str(own_prices.file(config))
    return [Seller(name, name, count, (file,)) for name, count in own.items()] + known


def search(config: Config, query: str = "", *, on: datetime.date | None = None) -> list[Price]:
    """Prices whose provider, model or title has every word of the query, the user's own first.

    Empty where nothing has them; `on` is the day of the prices, today where it is not given.
    """
    words = query.lower().replace(":", " ").split()
    own = own_prices.read(config)
    mine = {price.name.lower() for price in own}
    found = [p for p in own if _has(words, p.provider, p.model, p.title)]
    for seller, model in _models():
        if f"{seller.id}:{model.id}".lower() in mine:
            continue
        if _has(words, seller.id, seller.name, model.id, model.name or ""):
            found.append(_priced(seller, model, on))
    return found


def _has(words: list[str], *texts: str) -> bool:
    joined = " ".join(texts).lower()
    return all(word in joined for word in words)


def find(config: Config, name: str, *, on: datetime.date | None = None) -> Price:
    """The price of PROVIDER:MODEL, or of MODEL where one provider alone sells it.

    Raises PlanError for an unknown name, one of several providers, and a model without a price.
    """
    wanted = name.strip().lower()
    if not wanted:
        raise PlanError("the name of a provider's model is empty", fix="llar plan prices QUERY")
    mine = own_prices.read(config)
    own = [p for p in mine if wanted in (p.name.lower(), p.model.lower())]
    replaced = {p.name.lower() for p in own}
    seller = _seller(wanted)
    known = [
        (of, model)
        for of, model in _models()
        if f"{of.id}:{model.id}".lower() not in replaced
        and _called(model, wanted.removeprefix(f"{of.id.lower()}:") if of is seller else wanted)
        and (seller is None or of is seller)
    ]
    exact = [p for p in own if p.name.lower() == wanted]
    if exact:
        return _usable(exact[0])
    if seller is not None and not known:
        return _usable(_elsewhere(seller, wanted.split(":", 1)[1], name, on))
    found = own + [_priced(of, model, on) for of, model in known]
    if not found:
        raise _unknown(name, wanted, mine)
    names = [p.name for p in found if p.standard.known]
    if len(names) > 1:
        raise PlanError(
            f"{name!r} is sold by several providers: {', '.join(names)}",
            fix=f"name one of them, such as {names[0]}",
        )
    return _usable(next((p for p in found if p.standard.known), found[0]))


def _models() -> Iterator[tuple[Provider, ModelInfo]]:
    for seller in table().providers:
        for model in seller.models:
            yield seller, model


def _seller(wanted: str) -> Provider | None:
    """The provider that a name begins with; a model's own name may have a colon, too."""
    start, colon, _ = wanted.partition(":")
    return next((p for p in table().providers if colon and p.id.lower() == start), None)


def _called(model: ModelInfo, wanted: str) -> bool:
    return model.id.lower() == wanted or wanted in (x.lower() for x in also_called(model.match))


def _elsewhere(seller: Provider, wanted: str, name: str, on: datetime.date | None) -> Price:
    """A model that a provider sells at the price of its maker, as the table says."""
    for other in seller.fallback_model_providers or ():
        for of, model in _models():
            if of.id == other and _called(model, wanted):
                note = f"at the price of {of.id}, which genai-prices takes for {seller.id}"
                return _priced(seller, model, on, note)
    near = difflib.get_close_matches(wanted, [m.id.lower() for m in seller.models], n=3)
    hint = f"; did you mean {', '.join(f'{seller.id}:{x}' for x in near)}?" if near else ""
    raise PlanError(
        f"{seller.id} has no price for {name.split(':', 1)[1]!r}{hint}",
        fix=f"llar plan prices {seller.id}",
    )


def _unknown(name: str, wanted: str, own: tuple[Price, ...]) -> PlanError:
    """What to say of a name that nobody sells, with the nearest that somebody does."""
    mine = {p.provider.lower(): p.provider for p in own}
    ids = [*mine, *(p.id.lower() for p in table().providers)]
    start, colon, rest = wanted.partition(":")
    near_sellers = difflib.get_close_matches(start, ids, n=1) if colon else []
    if near_sellers and near_sellers[0] == start:  # one of the user's own
        names = ", ".join(p.name for p in own if p.provider.lower() == start)
        return PlanError(f"{mine[start]} has no price for {rest!r}; it has {names}",
                         fix=f"write it into {own_prices.FILE} in the home folder")  # fmt: skip
    if near_sellers:
        return PlanError(
            f"there is no provider {start!r}; did you mean {near_sellers[0]}:{rest}?",
            fix="llar plan prices",
        )
    known = {model.id.lower(): f"{of.id}:{model.id}" for of, model in _models()}
    known.update({p.model.lower(): p.name for p in own})
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    hint = f"; did you mean {', '.join(known[x] for x in near)}?" if near else ""
    return PlanError(f"no provider has a price for {name!r}{hint}", fix="llar plan prices QUERY")


def _usable(price: Price) -> Price:
    if not price.standard.known:
        raise PlanError(
            f"{price.name} has no price per token in {price.source}: it is free, included in a"
            " subscription, or charged in another way",
            fix=f"write its price into {own_prices.FILE} in the home folder",
        )
    return price


def _priced(seller: Provider, model: ModelInfo, on: datetime.date | None, note: str = "") -> Price:
    """A row of the table as a price, on one day."""
    day = on or datetime.datetime.now(datetime.UTC).date()
    prices, notes = _of_day(model, day)
    batch = _batch(model, prices, day)
    if note:
        notes = (*notes, note)
    if model.price_comments and "deprecat" in model.price_comments.lower():
        notes = (*notes, model.price_comments)
    other = [key for key in prices if key not in _KEYS and key != "requests_kcount"]
    ways = {f"{k}={v}" for x in model.price_variants or () for k, v in x.when.items()}
    return Price(
        provider=seller.id,
        model=model.id,
        title=model.name or model.id,
        standard=_rates(prices),
        batch=_rates(batch) if batch else None,
        context=model.context_window,
        deprecated=bool(model.deprecated),
        other=tuple(other + sorted(ways - {"processing=batch"})),
        dated=table().newest.isoformat(),
        source=table().source,
        notes=notes,
    )


Prices = Mapping[str, Decimal | TieredPrices]


def _of_day(model: ModelInfo, day: datetime.date) -> tuple[Prices, tuple[str, ...]]:
    """The prices that hold on a day; of those that change with the hour, the dearest."""
    if isinstance(model.prices, ModelPrice):
        return model.prices.prices, ()
    parts = [p for p in model.prices if _from(p, day)]
    steady = [p for p in parts if not isinstance(p.constraint, TimeOfDateConstraint)]
    hourly = [p for p in parts if isinstance(p.constraint, TimeOfDateConstraint)]
    # genai-prices takes the last that holds, and the first row where none does
    now = steady[-1] if steady else model.prices[0]
    if not hourly:
        return now.prices.prices, ()
    dearest = max([now, *hourly], key=lambda part: _base(part.prices.prices.get("input_mtok")))
    cheapest = min([now, *hourly], key=lambda part: _base(part.prices.prices.get("input_mtok")))
    note = (
        "its price depends on the hour: this is the dearest;"
        f" at other hours input is {_base(cheapest.prices.prices.get('input_mtok'))} USD per 1M"
    )
    return dearest.prices.prices, (note,)


def _from(part: ConditionalPrice, day: datetime.date) -> bool:
    start = part.constraint
    return not isinstance(start, StartDateConstraint) or start.start_date <= day


def _batch(model: ModelInfo, standard: Prices, day: datetime.date) -> Prices | None:
    """The prices of requests sent as a batch; what has none of its own keeps the standard one."""
    found: dict[str, Decimal | TieredPrices] = {}
    for variant in model.price_variants or ():
        start = variant.constraint
        if variant.when == _BATCH and (
            not isinstance(start, StartDateConstraint) or start.start_date <= day
        ):
            for key, price in variant.prices.prices.items():
                found.setdefault(key, price)
    return {**standard, **found} if found else None


def _rates(prices: Prices) -> Rates:
    given: dict[str, Any] = {
        name: _rate(prices[key]) for key, name in _KEYS.items() if key in prices
    }
    return Rates(**given, request=_base(prices.get("requests_kcount")) / 1000)


def _rate(price: Decimal | TieredPrices) -> Rate:
    if isinstance(price, TieredPrices):
        steps = sorted((tier.start, tier.price) for tier in price.tiers)
        return Rate(price.base, tuple(steps))
    return Rate(price)


def _base(price: Decimal | TieredPrices | None) -> Decimal:
    if price is None:
        return Decimal(0)
    return price.base if isinstance(price, TieredPrices) else price
