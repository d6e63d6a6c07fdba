"""A number with its unit as people read it, in tables and reports."""

from __future__ import annotations

import math

from .figure import Figure
from .units import count, size

__all__ = ["amount", "brief", "money", "shown"]

CURRENCIES = ("USD", "EUR")
_SCALED = ("parameters", "tokens", "tokens/s", "requests", "documents")  # with k, M, B, T
_LARGER = {
    "kWh": (("GWh", 1e6, 1e7), ("MWh", 1e3, 1e4)),
    "kg CO2": (("t CO2", 1e3, 1e4),),
}  # unit -> (larger unit, how many it holds, from how many on)


def shown(figure: Figure) -> str:
    """The value of a figure; an estimate with a ~ before it."""
    text = amount(figure.value, figure.unit)
    return text if figure.exact or text == "never" else f"~{text}"


def amount(value: float, unit: str) -> str:
    """A value with its unit: "13.49 GiB", "USD 0.00012", "30.84 M GPU h"; a little is never 0."""
    if not math.isfinite(value):
        return "never" if unit in ("months", "tokens") and value > 0 else f"{value} {unit}".strip()
    if unit == "bytes":
        return size(value)
    if unit.partition("/")[0] in CURRENCIES:
        currency, _, per = unit.partition("/")
        return f"{currency} {money(value)}" + (f"/{per}" if per else "")
    if unit == "FLOPs":
        return f"{value:.4g} FLOPs"
    for larger, factor, least in _LARGER.get(unit, ()):
        if abs(value) >= least:
            return f"{value / factor:,.4g} {larger}"
    if unit == "tokens" and value < 1e6 and value == round(value):
        text = f"{value:,.0f}"  # a context is known by its digits: 131,072
    elif unit in _SCALED and value >= 1000:
        text = count(round(value) if unit == "tokens/s" else value)
    else:
        text = _number(value)
    return f"{text} {unit}".strip()


def money(value: float) -> str:
    """An amount of money: millions with a letter, else cents; below ten cents three digits."""
    if abs(value) >= 1e6:
        return count(value)
    if value == 0 or abs(value) >= 0.1:
        return f"{value:,.2f}"
    return _three_digits(value)


def _number(value: float) -> str:
    """A plain number: whole as it is, large ones with a letter, small ones with three digits."""
    if abs(value) >= 1e6:
        return count(value)
    if value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.1f}"
    if abs(value) >= 0.1:
        return f"{value:.3g}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    """A number below 1 to three digits, without an exponent."""
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits}f}".rstrip("0")


def brief(value: float) -> str:
    """A number in a formula: up to six digits, large ones with a letter: "26.62 M", "1,624.6"."""
    if abs(value) >= 1e6:
        return count(value)
    return f"{value:,.6g}" if abs(value) >= 1e-3 or value == 0 else _number(value)
