"""The dictionary form of a word, and whether a word is in the dictionary at all.

From simplemma's tables (MIT; made from Wiktionary and other free sources) for some fifty
languages, English, Spanish, Catalan and Hungarian among them: one table of forms for each, and
rules for what is not in it. A table takes 30 to 50 MB of memory and up to a second to load, and
is loaded at first need.
"""

from __future__ import annotations

__all__ = ["has_table", "is_word", "lemma"]


def has_table(language: str | None) -> bool:
    """Whether there is a table for a language (ISO 639-1)."""
    if language is None:
        return False
    from simplemma import is_known

    try:
        is_known("a", lang=language, low_memory=True)
    except ValueError:
        return False
    return True


def lemma(word: str, language: str) -> str:
    """The dictionary form of a word, in lower case; a word that is not known stays as it is."""
    from simplemma import lemmatize

    return lemmatize(word, lang=language, low_memory=True).lower()


def is_word(word: str, language: str) -> bool:
    """Whether the table of a language has this form of a word; names may stand in capitals."""
    from simplemma import is_known

    return any(is_known(form, lang=language, low_memory=True) for form in (word, word.title()))
