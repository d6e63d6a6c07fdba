"""Electricity and CO2: how much, at what price, with how much CO2, each with its source."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from ...config import Config
from ...errors import PlanError
from ..amount import brief
from ..figure import Figure
from ..hardware import machines
from .money import Money, decimal

__all__ = ["Power", "assumed", "consumption", "emission", "grids", "power"]


@dataclass(frozen=True, slots=True)
class Power:
    """What a kilowatt-hour costs and emits, and what a building adds to a machine's own."""

    price: Figure | None  # per kWh, in the currency of the result; None: not in that currency
    co2: Figure  # kg CO2/kWh
    pue: Figure  # power of the building over power of its machines


def power(
    config: Config,
    money: Money,
    *,
    electricity: Decimal | None = None,
    grams: Decimal | None = None,
    country: str = "",
    pue: Decimal | None = None,
    priced: bool = True,
) -> Power:
    """The defaults of machines.toml, with what is given in their place.

    `electricity` is per kWh in the currency of the result, `grams` are of CO2 per kWh, `country`
    takes them from grids.toml. Without a price, results in dollars take the default in dollars, or
    the one in euros where a rate is given. Raises PlanError for an unknown country, values out of
    range, and a price whose currency needs a rate; where it need not be `priced`, that is None.
    """
    known = machines.defaults(config)
    price = _price(known, money, electricity, priced)
    if grams is not None and country:
        raise PlanError("CO2 per kWh is given twice: as grams and by its country")
    co2 = grids(country) if country else known.co2
    if grams is not None:
        most = Decimal(5000)
        kilos = decimal(grams, "CO2 per kWh", most=most) / 1000
        co2 = Figure("CO2 of electricity", float(kilos), "kg CO2/kWh", "given")
    if pue is None:
        return Power(price, co2, known.pue)
    checked = decimal(pue, "PUE", least=1, most=Decimal(10))
    return Power(price, co2, Figure("power usage effectiveness", float(checked), "", "given"))


def assumed(price: Figure | None) -> list[str]:
    """That a price of electricity is none of the user's own, in words; nothing where it is."""
    if price is None or price.exact:
        return []
    return [
        f"electricity is taken at {price.value:.4g} {price.unit}, by"
        f" {price.source.partition(':')[0]}; yours: --electricity PRICE"
    ]


def _price(
    defaults: machines.Defaults, money: Money, given: Decimal | None, priced: bool
) -> Figure | None:
    if given is not None:
        rate = decimal(given, "the price of electricity", most=Decimal(100))
        return Figure("price of electricity", float(rate), f"{money.currency}/kWh", "given")
    known = defaults.electricity
    currency = known.unit.partition("/")[0]
    if currency != money.currency == "USD" and money.eur_per_usd is None:
        known = defaults.electricity_usd or known
        currency = known.unit.partition("/")[0]
    if not priced and currency != money.currency and money.eur_per_usd is None:
        return None
    default = decimal(known.value, "the price of electricity")
    what, other = "the default price of electricity", f"; or --electricity, in {money.currency}"
    rate = money.into(default, currency, what, instead=other)
    return replace(
        known,
        value=float(rate),
        unit=f"{money.currency}/kWh",
        formula="" if currency == money.currency else f"from {default} {currency}/kWh",
    )


def consumption(watts: Figure, hours: Figure, pue: Figure, *, name: str = "Energy") -> Figure:
    """Energy in kWh: W x h / 1000 x PUE."""
    return Figure(
        name,
        watts.value * hours.value / 1000 * pue.value,
        "kWh",
        f"{brief(watts.value)} W x {brief(hours.value)} h / 1000 x PUE {pue.value:g}",
        pue.source,
        exact=watts.exact and hours.exact and pue.exact,
    )


def emission(energy: Figure, co2: Figure, *, name: str = "CO2") -> Figure:
    """CO2 in kg of so many kWh."""
    return Figure(
        name,
        energy.value * co2.value,
        "kg CO2",
        f"{brief(energy.value)} kWh x {co2.value:g} kg/kWh",
        co2.source,
        exact=False,
    )


def grids(country: str) -> Figure:
    """The CO2 of a country's electricity, by its name or two letters; PlanError for an unknown."""
    wanted = country.strip().lower()
    table = _grids()
    names = {row["title"].lower(): code for code, row in table.items()}
    code = wanted if wanted in table else names.get(wanted)
    if code is None:
        near = difflib.get_close_matches(wanted, [*table, *names], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(table)}"
        raise PlanError(
            f"the CO2 of electricity in {country!r} is not known{hint}",
            fix="--co2 GRAMS, as your supplier or grid operator states it per kWh",
        )
    row = table[code]
    return Figure(
        "CO2 of electricity",
        float(row["grams"]) / 1000,
        "kg CO2/kWh",
        f"{row['title']} {row['year']}, {row['kind']}",
        row["source"],
        exact=False,
    )


@cache
def _grids() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("grids.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
