"""The user's own prices, for contracts that no public list holds: prices.toml in the home folder.

[[price]]
provider = "our-contract"        # with the name of a known provider: in place of its price
model = "gpt-5"
input = 1.00                     # per million tokens
output = 8.00
cache_read = 0.10                # optional, like all that follows
cache_write = 1.25
request = 0.005                  # for each request
tiers = [{ above = 200_000, input = 2.00, output = 12.00 }]
batch = { input = 0.50, output = 4.00 }
currency = "USD"                 # or "EUR"
context = 400_000
dated = 2026-11-01
source = "contract 2026/17"
"""

from __future__ import annotations

import datetime
import difflib
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ...config import Config
from ...errors import PlanError
from .rates import Price, Rate, Rates

FILE = "prices.toml"
_RATES = ("input", "output", "cache_read", "cache_write")
_KEYS = (
    "provider", "model", "title", *_RATES, "request", "tiers", "batch", "currency", "context",
    "dated", "source",
)  # fmt: skip
_LARGEST = Decimal(1_000_000)  # USD per million tokens: a dollar for one token


def file(config: Config) -> Path:
    """Where the file is, or would be."""
    return config.home / FILE


def read(config: Config) -> tuple[Price, ...]:
    """The prices of the file; none without one. Raises PlanError naming file, row and key."""
    path = file(config)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as e:
        raise PlanError(f"{path} cannot be read: {e}") from e
    try:
        found = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, InvalidOperation) as e:
        raise PlanError(f"{path} is not valid TOML: {e}") from e
    unknown = found.keys() - {"price"}
    if unknown:
        raise PlanError(f"{path}: there is no table {sorted(unknown)[0]!r}; expected [[price]]")
    rows = found.get("price", [])
    if not isinstance(rows, list):
        raise PlanError(f"{path}: expected [[price]] with two brackets, one for each price")
    prices = tuple(_price(row, f"{path}, price {n}") for n, row in enumerate(rows, 1))
    names: dict[str, int] = {}
    for n, price in enumerate(prices, 1):
        first = names.setdefault(price.name.lower(), n)
        if first != n:
            raise PlanError(f"{path}, price {n}: {price.name!r} stands in price {first} already")
    return prices


def _price(row: Any, where: str) -> Price:
    if not isinstance(row, dict):
        raise PlanError(f"{where}: expected keys with values, got {row!r}")
    _check(row, _KEYS, where)
    for key in ("provider", "model"):
        if key not in row:
            raise PlanError(f"{where}: {key!r} is missing")
    currency = _text(row, "currency", where) or "USD"
    if currency not in ("USD", "EUR"):
        raise PlanError(f"{where}: currency {currency!r} is not known; expected USD or EUR")
    standard = _rates(row, row.get("tiers", []), where)
    if not standard.known:
        raise PlanError(f"{where}: no price; expected input, output or request")
    batch = None
    if "batch" in row:
        if not isinstance(row["batch"], dict):
            raise PlanError(f"{where}: batch {row['batch']!r}: expected {{ input = ... }}")
        _check(row["batch"], (*_RATES, "request"), f"{where}, batch")
        given = _rates(row["batch"], [], f"{where}, batch")
        batch = Rates(
            **{name: getattr(given, name) or getattr(standard, name) for name in _RATES},
            request=given.request if "request" in row["batch"] else standard.request,
        )
    context = row.get("context")
    if context is not None and (type(context) is not int or context < 1):
        raise PlanError(f"{where}: context {context!r}: expected a number of tokens")
    model = _text(row, "model", where)
    dated = row.get("dated", "")
    if isinstance(dated, datetime.date):
        dated = dated.isoformat()
    source = _text(row, "source", where) or FILE
    if not isinstance(dated, str):
        raise PlanError(f"{where}: dated {dated!r}: expected a date like 2026-11-01")
    return Price(
        provider=_text(row, "provider", where),
        model=model,
        title=_text(row, "title", where) or model,
        standard=standard,
        batch=batch,
        context=context,
        currency=currency,
        dated=dated,
        source=f"{source}, {dated}" if dated else source,
    )


def _check(row: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in row:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; expected {', '.join(known)}"
            raise PlanError(f"{where}: there is no key {key!r}{hint}")


def _text(row: dict[str, Any], key: str, where: str) -> str:
    value = row.get(key, "")
    if not isinstance(value, str) or (key in row and not value.strip()):
        raise PlanError(f"{where}: {key} {value!r}: expected a text")
    return value.strip()


def _rates(row: dict[str, Any], tiers: Any, where: str) -> Rates:
    steps: dict[str, list[tuple[int, Decimal]]] = {name: [] for name in _RATES}
    if not isinstance(tiers, list):
        raise PlanError(f"{where}: tiers {tiers!r}: expected [{{ above = 200_000, input = ... }}]")
    for n, tier in enumerate(tiers, 1):
        there = f"{where}, tier {n}"
        if not isinstance(tier, dict):
            raise PlanError(f"{there}: expected {{ above = 200_000, input = ... }}")
        _check(tier, ("above", *_RATES), there)
        above = tier.get("above")
        if type(above) is not int or above < 1:
            raise PlanError(f"{there}: above {above!r}: expected a number of input tokens")
        for name in _RATES:
            if name in tier and name not in row:
                raise PlanError(f"{there}: {name!r} has no price below {above:,} tokens")
            if name in tier:
                steps[name].append((above, _amount(tier[name], f"{there}: {name}")))
    given: dict[str, Any] = {
        name: Rate(_amount(row[name], f"{where}: {name}"), tuple(sorted(steps[name])))
        for name in _RATES
        if name in row
    }
    request = _amount(row["request"], f"{where}: request") if "request" in row else Decimal(0)
    return Rates(**given, request=request)


def _amount(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PlanError(f"{where} {value!r}: expected a number")
    amount = Decimal(value)
    if not amount.is_finite() or not 0 <= amount <= _LARGEST:
        raise PlanError(f"{where} {str(value)!r}: expected 0 to {_LARGEST:,}")
    return amount
