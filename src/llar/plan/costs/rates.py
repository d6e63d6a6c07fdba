"""Prices per token and what they make of one request."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Context, Decimal
from typing import Any

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Rate:
    """A price per million tokens.

    Of `tiers`, (above, price) in rising order, the last one whose `above` is less than the input
    of a request holds for all tokens of that request, as providers charge it.
    """

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: Decimal | int) -> Decimal:
        """The price where a request's whole input has this many tokens."""
        found = self.base
        for above, price in self.tiers:
            if input_tokens > above:
                found = price
        return found


@dataclass(frozen=True, slots=True)
class Use:
    """The tokens of requests that are alike. `cached` and `written` are parts of `input`."""

    input: Decimal  # tokens of one request, all of them
    output: Decimal
    cached: Decimal = Decimal(0)  # read from the provider's cache
    written: Decimal = Decimal(0)  # stored there for later requests
    requests: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model costs, for one way of asking. None: the table states no such price."""

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    request: Decimal = Decimal(0)  # for each request, whatever its length

    @property
    def known(self) -> bool:
        """Whether there is any price of text at all."""
        return self.input is not None or self.output is not None or self.request > 0

    def of(self, use: Use) -> Decimal:
        """The exact price of some requests; what no cache price is stated for counts as input."""
        return use.requests * (self.request + sum(n * rate for n, rate, _ in self.terms(use))
                               / MILLION)  # fmt: skip

    def terms(self, use: Use) -> list[tuple[Decimal, Decimal, str]]:
        """(tokens, price per million, of what) of one request, without what is zero."""
        read = self.cache_read or self.input
        write = self.cache_write or self.input
        plain = use.input - use.cached - use.written
        found = [
            (plain, self.input, ""),
            (use.cached, read, "cached"),
            (use.written, write, "written to the cache"),
            (use.output, self.output, "out"),
        ]
        return [
            (tokens, rate.at(use.input) if rate else Decimal(0), what)
            for tokens, rate, what in found
            if tokens
        ]


@dataclass(frozen=True, slots=True)
class Price:
    """One model at one provider."""

    provider: str
    model: str
    title: str
    standard: Rates
    batch: Rates | None = None  # requests sent together, answered within a day or so
    context: int | None = None  # longest input, in tokens
    deprecated: bool = False
    currency: str = "USD"
    other: tuple[str, ...] = ()  # priced by the provider, and not counted here: web searches ...
    dated: str = ""  # ISO 8601
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """PROVIDER:MODEL, as every command takes it."""
        return f"{self.provider}:{self.model}"

    def as_json(self) -> dict[str, Any]:
        """The price as programs get it: amounts per million tokens as numbers."""
        found: dict[str, Any] = {"name": self.name}
        found.update({f.name: getattr(self, f.name) for f in fields(self)})
        found["standard"] = _as_json(self.standard)
        found["batch"] = _as_json(self.batch) if self.batch else None
        return found


def _as_json(rates: Rates) -> dict[str, Any]:
    """Decimals as floats: they have at most 17 digits, so that the same digits are written."""
    found: dict[str, Any] = {}
    for name in ("input", "output", "cache_read", "cache_write"):
        rate: Rate | None = getattr(rates, name)
        found[name] = rate and {
            "price": float(rate.base),
            "tiers": [{"above": above, "price": float(price)} for above, price in rate.tiers],
        }
    return {**found, "request": float(rates.request)}


_SHOWN = Context(prec=12)  # some prices are 0.18000000000000002 in the table: a float's digits


def plain(number: Decimal) -> str:
    """A Decimal for people, without exponent and trailing zeros: "0.075", "1,250"."""
    text = f"{_SHOWN.plus(number):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
