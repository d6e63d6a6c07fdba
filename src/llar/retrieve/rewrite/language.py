"""The language of a question, and the stemming of that language alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...text.language import detect, detect_query
from ...text.words import STEMMED
from ..query import Query
from .arguments import Arguments

if TYPE_CHECKING:
    from ..searcher import Searcher

SYNTAX = "language[:two letters]"
LANGUAGES = ("en", "es", "ca", "hu")  # a question may be in, beside those of the collection


def language(query: Query, searcher: Searcher, argument: str) -> Query:
    """Look for the question's words as they are stemmed in its own language only.

    The language is detected among those of the collection and, for questions long enough to be
    sure, en, es, ca and hu; `language:es` says which it is (ISO 639-1). Without this step a word
    is stemmed in every language of the collection. Raises QueryError for a language that has no
    stemmer, and where a step before has chosen the words.
    """
    arguments = Arguments(SYNTAX, argument)
    given = arguments.text(0).lower()
    if given and given not in STEMMED:
        raise arguments.error(f"there is no stemmer for {given!r}, only for {', '.join(STEMMED)}")
    if query.words is not None:
        raise arguments.error("a step before it has chosen the words, so it must stand first")
    analysis = replace(query.analysis, language=given or language_of(query, searcher))
    return replace(query, analysis=analysis)


FEW = 3  # words from which a question shows its language


def may_be(language: str, query: Query, searcher: Searcher) -> bool:
    """Whether a question is in a language, or too short to tell and the collection has it."""
    if query.analysis.language or language_of(query, searcher) == language:
        return query.analysis.language in (None, language)
    with searcher.index.database.read():
        spoken = searcher.index.passages.view().spoken
    return language in spoken and len(query.text.split()) < FEW


def language_of(query: Query, searcher: Searcher) -> str | None:
    """The language of a question; None where it has no letters.

    One that the collection does not have needs a question long enough to be sure.
    """
    if query.analysis.language:
        return query.analysis.language
    with searcher.index.database.read():
        spoken = [x for x in searcher.index.passages.view().spoken if x]
    found = detect_query(query.text, list(dict.fromkeys((*spoken, *LANGUAGES))))
    if found is None or found in spoken or detect(query.text) == found:
        return found
    return detect_query(query.text, spoken or LANGUAGES)
