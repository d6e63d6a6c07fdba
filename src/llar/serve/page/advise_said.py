"""What the advice says, in the reader's language."""

from __future__ import annotations

import string
from decimal import Decimal
from functools import cache
from typing import Any

from ...plan.figure import Figure
from ...plan.sentence import Quantity, Sentence
from .library_parts import localised
from .words import texts

__all__ = ["quantity", "said", "titles", "value"]

UNITS = {"tokens": "unit_tokens", "tokens/s": "unit_rate", "days": "unit_days"}


def said(text: str, language: str) -> str:
    """A sentence of the planner in a language; a name as it is, but for a machine's title."""
    if isinstance(text, Sentence):
        return _Written(language).format(texts("advise_said")[text.key][language], **text.values)
    return titles(language).get(text, text)


def quantity(held: Quantity, language: str) -> str:
    """A value with its unit: "14,00 GiB" in Spanish."""
    text = localised(str(held), language)
    word = UNITS.get(held.unit)
    return text.replace(held.unit, texts("advise")[word][language]) if word else text


def value(figure: Figure, language: str) -> str:
    """The value of a figure; an estimate with a ~ before it."""
    return ("" if figure.exact else "~") + quantity(Quantity(figure.value, figure.unit), language)


@cache
def titles(language: str) -> dict[str, str]:
    """Machines' English titles that are no proper names, and what they are in a language."""
    known = texts("advise")
    return {t["en"]: t[language] for key, t in known.items() if key.startswith("title_")}


class _Written(string.Formatter):
    """Fills in a sentence as the language writes numbers, with sentences in it said as well."""

    def __init__(self, language: str) -> None:
        self._language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, str):
            return said(value, self._language)
        if isinstance(value, Quantity):
            return quantity(value, self._language)
        if not isinstance(value, int | float | Decimal):
            raise TypeError(f"{value!r} cannot be said; expected a number, text or quantity")
        text = localised(format(value, format_spec), self._language)
        return text.replace("%", "\u00a0%") if self._language in ("es", "ca") else text
