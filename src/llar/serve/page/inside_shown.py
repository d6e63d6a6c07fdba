"""Tokens as people see them: spaces and line ends have a sign, half characters are bytes."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from nicegui.element import Element

from ...inside.generation import Candidate
from .library_parts import number
from .words import Say

Chip = tuple[str, int, str, str]  # shown, id, bytes in hex, what is odd about it
SIGNS = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}


class Tokens(Element, component="inside_tokens.js"):
    """A text's tokens as chips."""

    def __init__(self, label: str, names: dict[str, str], below: str = "ids") -> None:
        super().__init__()
        self._props["label"] = label
        self._props["names"] = names
        self._props["below"] = below
        self._props["tokens"] = []

    def show(self, tokens: Sequence[Chip]) -> None:
        """Show these."""
        self._props["tokens"] = [list(token) for token in tokens]
        self.update()


class Choice(Element, component="inside_choice.js"):
    """What may come next, as a table with bars."""

    def __init__(self, names: dict[str, str], locale: str, *, picks: bool = False) -> None:
        super().__init__()
        self._props["names"] = names
        self._props["locale"] = locale
        self._props["picks"] = picks
        self._props["rows"] = []

    def show(self, candidates: Sequence[Candidate]) -> None:
        """Show these tokens, in this order."""
        self._props["rows"] = [row(c) for c in candidates]
        self.update()


def token_names(say: Say) -> dict[str, str]:
    """What inside_tokens.js says."""
    keys = ("id", "bytes", "special", "unknown", "part")
    return {key: say(f"token_{key}") for key in keys}


def row(candidate: Candidate) -> dict[str, Any]:
    """A candidate as inside_choice.js takes it."""
    return {
        "id": candidate.id,
        "shown": visible(candidate.text),
        "before": candidate.before,
        "after": candidate.after,
        "kept": candidate.kept,
        "chosen": candidate.chosen,
    }


def visible(text: str) -> str:
    """A token's text with a sign for every space, line end and tab; "∅" for one without text."""
    return "".join(SIGNS.get(c) or _seen(c) for c in text) or "∅"


def _seen(character: str) -> str:
    """A character, or its number where nothing would be seen of it."""
    unseen = "\ufe00" <= character <= "\ufe0f"  # they only choose how the one before looks
    if unseen or not character.isprintable():
        return f"\\u{ord(character):04x}"
    return f"◌{character}" if unicodedata.combining(character) else character


def percent(share: float, language: str) -> str:
    """0.1234 as "12.3%", as the language writes it; very small ones with two digits."""
    digits = 1 if share >= 0.001 or share == 0 else 2 - math.floor(math.log10(100 * share))
    return number(100 * share, language, digits) + ("\u00a0%" if language in ("es", "ca") else "%")
