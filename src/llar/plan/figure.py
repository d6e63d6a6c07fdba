"""One number with its unit, the formula it came from and where that formula is published."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that can be checked by hand.

    `unit` is one of: bytes, parameters, tokens, tokens/s, FLOPs, h, GPU h, W, kWh, kg CO2,
    a currency (USD, EUR), months, or "" for a plain number.
    """

    name: str  # what a table calls it: "KV cache"
    value: float
    unit: str = "bytes"
    formula: str = ""  # with the numbers filled in: "2 x 30 layers x 192 x 2 bytes x 4096 tokens"
    source: str = ""  # a paper, a specification, a file of a project; "measured" with what on
    exact: bool = True  # False for an estimate, which is shown with a ~
