"""Options that several plan commands share: currency, electricity, CO2, and what is around them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ...config import Config
    from ...plan.costs.energy import Power
    from ...plan.costs.money import Money

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--currency", type=click.Choice(["USD", "EUR"]), default="USD", show_default=True,
        help="Of the result.",
    ),
    click.option(
        "--eur-per-usd", metavar="RATE",
        help="Euros that one dollar costs, where prices are in both; never assumed.",
    ),
    click.option(
        "--electricity", metavar="PRICE",
        help="Of one kWh, in --currency (default: a published average, which is named).",
    ),
    click.option("--co2", metavar="GRAMS", help="Of CO2 in one kWh."),
    click.option("--country", metavar="NAME", help="Take the CO2 of its electricity."),
    click.option("--pue", metavar="N", help="Power of the building over power of its machines."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """What was said of money and electricity."""

    currency: str
    eur_per_usd: str | None
    electricity: str | None
    co2: str | None
    country: str | None
    pue: str | None

    def money(self) -> Money:
        """The currency with its rate; PlanError for a rate that is none."""
        from decimal import Decimal

        from ...plan.costs.money import CURRENCIES, Money, decimal

        currency = next(c for c in CURRENCIES if c == self.currency)
        if self.eur_per_usd is None:
            return Money(currency)
        rate = decimal(self.eur_per_usd, "--eur-per-usd", least=0.01, most=Decimal(100))
        return Money(currency, rate)

    def power(self, config: Config, money: Money, *, priced: bool = True) -> Power:
        """Price and CO2 of electricity, and PUE; PlanError as `plan.energy.power`."""
        from ...plan.costs.energy import power
        from ...plan.costs.money import decimal

        def number(text: str | None, name: str) -> Any:
            return None if text is None else decimal(text, name)

        return power(
            config,
            money,
            electricity=number(self.electricity, "--electricity"),
            grams=number(self.co2, "--co2"),
            country=self.country or "",
            pue=number(self.pue, "--pue"),
            priced=priced,
        )


def grouped(
    options: Sequence[Callable[[Any], Any]], record: type[Any], parameter: str
) -> Callable[[Command], Command]:
    """A decorator that adds options to a command, which gets them together as one record.

    The record's fields are named as the options are.
    """
    names = [field.name for field in fields(record)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, **values: Any) -> Any:
            found = record(**{name: values.pop(name) for name in names})
            return command(*args, **{parameter: found}, **values)

        decorated: Any = run
        for option in reversed(options):
            decorated = option(decorated)
        result: Command = decorated
        return result

    return decorate


terms_options = grouped(_OPTIONS, Given, "given")
"""Add the options; the command gets them as its parameter `given`."""
