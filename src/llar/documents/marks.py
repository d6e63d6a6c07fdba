"""Characters that keep a meaning which plain text would lose."""

from __future__ import annotations

_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_CAN_BE_RAISED = frozenset("0123456789+-−=()ni")


def superscript(text: str) -> str:
    """Raised text in characters of its own where they exist: 10 to the 9th is 10⁹, never 109.

    Other raised text ("th", "a") stays as it is; it cannot be mistaken for a figure.
    """
    bare = text.strip()
    return text.translate(_RAISED) if bare and set(bare) <= _CAN_BE_RAISED else text
