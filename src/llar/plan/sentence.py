"""Sentences of the planner that can be said in another language, and amounts within them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .amount import amount

__all__ = ["Quantity", "Sentence", "english"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with its unit, as people read it: "14.00 GiB", "USD 1,600.00"."""

    value: float
    unit: str  # as of a Figure

    def __str__(self) -> str:
        return amount(self.value, self.unit)


class Sentence(str):
    """English, with what it is made of: `key` of sentences.toml and the values filled in.

    Values are numbers, names, quantities and other sentences, so that whoever has the sentence of
    that key in another language can say it with them. Raises KeyError for a key or value that is
    not there.
    """

    key: str
    values: Mapping[str, Any]

    def __new__(cls, key: str, **values: Any) -> Sentence:
        text = english()[key]
        found = super().__new__(cls, text.format(**values) if values else text)
        found.key, found.values = key, values
        return found

    def __deepcopy__(self, memo: object) -> Sentence:
        return self  # as other texts: it never changes


@cache
def english() -> dict[str, str]:
    """Every sentence in English by its key, as a format string."""
    file = Path(__file__).with_name("sentences.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
