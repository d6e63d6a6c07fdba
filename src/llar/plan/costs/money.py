"""Amounts of money in one currency. An exchange rate is always given, never assumed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

from ...errors import PlanError

__all__ = ["CURRENCIES", "Currency", "Money", "decimal", "share"]

Currency = Literal["USD", "EUR"]
CURRENCIES: tuple[Currency, ...] = get_args(Currency)
_LARGEST = Decimal(10) ** 15  # more than all the money there is


@dataclass(frozen=True, slots=True)
class Money:
    """The currency of a result, and the rate that turns the other one into it."""

    currency: Currency = "USD"
    eur_per_usd: Decimal | None = None  # how many euros one dollar costs

    def into(self, amount: Decimal, currency: str, what: str, *, instead: str = "") -> Decimal:
        """An amount in this currency. Raises PlanError where that takes a rate that is not given.

        `what` names the amount in the error, "the price of h100-sxm", and `instead` what else
        could be given.
        """
        if currency == self.currency:
            return amount
        if currency not in CURRENCIES:
            raise PlanError(f"{what} is in {currency!r}; expected USD or EUR")
        if self.eur_per_usd is None:
            raise PlanError(
                f"{what} is in {currency} and the result in {self.currency}; an exchange rate is"
                " never assumed",
                fix=f"--eur-per-usd RATE, the euros that one dollar costs today{instead}",
            )
        return amount * self.eur_per_usd if currency == "USD" else amount / self.eur_per_usd


def decimal(
    value: str | float | Decimal, what: str, *, least: float = 0, most: Decimal = _LARGEST
) -> Decimal:
    """A number as it is written, exactly. Raises PlanError for none, NaN, or one out of range."""
    try:
        number = Decimal(str(value).strip().replace("_", "").replace(",", ""))
    except InvalidOperation:
        raise PlanError(f"{what} {str(value)!r} is no number") from None
    if not number.is_finite() or not Decimal(str(least)) <= number <= most:
        raise PlanError(f"{what} {str(value)!r}: expected {least:g} to {most:g}")
    return number


def share(value: str | float | Decimal, what: str) -> Decimal:
    """A share as 0.4 or 40%. Raises PlanError outside of 0 to 1."""
    text = str(value).strip()
    number = decimal(text.removesuffix("%"), what, most=Decimal(100))
    number = number / 100 if text.endswith("%") else number
    if number > 1:
        raise PlanError(f"{what} {text!r}: expected 0 to 1, or 0% to 100%")
    return number
