"""What the page says, in four languages: one TOML file per screen, `[key]` with en, es, ca, hu.

`{name}` in a text is filled in by the call.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "es": "Español", "ca": "Català", "hu": "Magyar"}

Say = Callable[..., str]


@cache
def texts(screen: str) -> dict[str, dict[str, str]]:
    """Every text of a screen: key -> language -> text."""
    file = Path(__file__).with_name(f"{screen}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def words(screen: str, language: str) -> Say:
    """What says a screen's texts in a language: `say("send")`, `say("hits", count=3)`.

    Raises KeyError for a key or language that is not there: all must be.
    """

    def say(key: str, **values: Any) -> str:
        text = texts(screen)[key][language]
        return text.format(**values) if values else text

    return say
