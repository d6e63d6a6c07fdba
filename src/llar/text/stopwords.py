"""Function words of the languages llar knows best, one file each in `stop_words/`."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

LANGUAGES = ("ca", "de", "en", "es", "fr", "hu", "it", "pt")


@cache
def stop_words(language: str | None) -> frozenset[str]:
    """Function words of a language (ISO 639-1), lower case, with and without their accents.

    Empty for a language that has no list.
    """
    if language not in LANGUAGES:
        return frozenset()
    listed = (files(__package__) / "stop_words" / f"{language}.txt").read_text("utf-8").split()
    return frozenset(listed) | {_unaccented(word) for word in listed}


def _unaccented(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
