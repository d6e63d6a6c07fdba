"""Weights of a model of which only the number of parameters is known: "a 70B model in Q5_K_M"."""

from __future__ import annotations

import math
import re

from ..figure import Figure
from ..shapes import known
from ..units import count, parse_number
from .formats import Format
from .weights import weights

__all__ = ["by_size", "size_of"]

_SIZE = re.compile(r"\d[\d.,_]*\s*[mMbBtT]")
_LIKE = ("smollm2-135m", "llama-3.2-1b", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b")


def size_of(text: str) -> int:
    """The parameters that "405B" or "360M" say, 0 where it is no such text. Raises PlanError."""
    return parse_number(text, "the size") if _SIZE.fullmatch(text.strip()) else 0


def by_size(parameters: int, fmt: Format) -> Figure:
    """About what the weights take: with the bits per weight of the nearest Llama of that format.

    Raises PlanError as `weights`.
    """
    name = min(_LIKE, key=lambda n: abs(math.log(parameters / known.models()[n].parameters)))
    bits = weights(known.models()[name].shape(), fmt).bits_per_weight
    total = parameters * bits / 8
    text = f"{count(parameters)} parameters x {bits:.4g} bits / 8 = {total / 1e9:,.4g} GB"
    source = "as many bytes in each" if fmt.kind == "plain" else f"bits per weight of {name}"
    return Figure(f"weights in {fmt.name}", total, "bytes", text, source, exact=False)
