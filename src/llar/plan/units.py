"""Quantities as people write and read them: "4k", "15.6T", "8 GiB", "13.49 GiB"."""

from __future__ import annotations

import math
import re

from ..errors import PlanError

__all__ = ["count", "parse_bytes", "parse_context", "parse_count", "parse_number", "size"]

_NUMBER = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", re.I)
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_LENGTHS = {"": 1, "k": 2**10, "m": 2**20}
_BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_LARGEST = 10**30  # beyond any count or size of bytes that anything here can have


def parse_count(text: str, what: str) -> int:
    """A whole number as people write it: 4096, 4k (4,000), 15.6T, 405B, 1e12.

    Raises PlanError for what is no number, negative, no whole number or absurdly large.
    """
    return _whole(text, what, _COUNTS, "4096, 4k, 8B or 15.6T")


def _whole(text: str, what: str, units: dict[str, int], wanted: str) -> int:
    number, unit = _split(text, what, units, wanted)
    value = number * units[unit]
    if not math.isclose(value, round(value), rel_tol=1e-12):
        raise PlanError(f"{what} {text!r} is no whole number")
    return round(value)


def parse_context(text: str, what: str) -> int:
    """A length of texts in tokens, at least 1: 8k is 8,192 here and 1M 1,048,576.

    Lengths are powers of two, which people shorten so. Raises PlanError as `parse_count`.
    """
    return _at_least_1(_whole(text, what, _LENGTHS, "4096, 8k or 1M"), what)


def parse_number(text: str, what: str) -> int:
    """A whole number of at least 1. Raises PlanError as `parse_count`."""
    return _at_least_1(parse_count(text, what), what)


def _at_least_1(number: int, what: str) -> int:
    if not number:
        raise PlanError(f"{what} is 0; expected a whole number of 1 or more")
    return number


def parse_bytes(text: str, what: str) -> int:
    """A size with its unit: 24GB, 24 GiB, 512 MiB. Raises PlanError, also without a unit."""
    number, unit = _split(text, what, _BYTES, "24GB or 24GiB, with its unit")
    return round(number * _BYTES[unit])


def _split(text: str, what: str, units: dict[str, int], wanted: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    if text.strip().startswith("-"):
        raise PlanError(f"{what} {text!r} is negative; expected a number like {wanted}")
    if found is None or found[2].lower() not in units:
        raise PlanError(f"{what} {text!r} cannot be understood; expected a number like {wanted}")
    number = float(found[1].replace("_", "").replace(",", ""))
    unit = found[2].lower()
    if not number * units[unit] < _LARGEST:
        raise PlanError(f"{what} {text!r} is larger than anything that could be planned")
    return number, unit


def size(value: float) -> str:
    """Bytes for people, base 1024, two decimals: "13.49 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024
    return f"{value:,.2f} TiB"


def count(value: float) -> str:
    """A count for people, base 1000: "134.5 M", "8.03 B", "15.6 T", "3.8e25"; small ones whole."""
    if abs(value) < 10_000:
        return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
    if abs(value) >= 1e16:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    for unit in ("k", "M", "B", "T"):
        value /= 1000
        if abs(value) < 1000 or unit == "T":
            break
    return f"{value:,.4g} {unit}"
