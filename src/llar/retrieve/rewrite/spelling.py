"""Misspelled words of a question, mended to words that the collection has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...index.index import Index
from ...index.lexical import stands
from ...index.passages import View
from ...text.lemmas import has_table, is_word
from ...text.spelling import Near, Speller
from ...text.words import QueryWord, query_words
from ..query import Query
from .arguments import Arguments
from .language import language_of
from .vocabulary import vocabulary

if TYPE_CHECKING:
    from ..searcher import Searcher

SYNTAX = "spelling[:most mistakes in a word]"
_QUOTED = re.compile(r'"[^"]*"|“[^”]*”|„[^”“]*[”“]|«[^»]*»|‘[^’]*’|`[^`]*`')


def spelling(query: Query, searcher: Searcher, argument: str) -> Query:
    """Mend words that the collection does not have to the likeliest one it has.

    A word is left alone where it, another form of it or its unaccented spelling stands in the
    collection, where the dictionary of the question's language has it, where it has digits or
    capitals inside, and in quotes. Words of 4 to 7 letters may have one mistake (a letter left
    out, added, changed, or two swapped), longer ones two, names one; `spelling:1` allows one
    only. Of several words the nearest counts, then the commonest. Raises QueryError for another
    argument, and where a step before works on the words.
    """
    arguments = Arguments(SYNTAX, argument)
    most = arguments.whole(0, 2, most=2)
    if query.words is not None or query.vector is not None:
        raise arguments.error("it must stand before the steps that work on the words")
    language = language_of(query, searcher)
    with searcher.index.database.read(), searcher.step("words not in the collection") as about:
        index, view = searcher.index, searcher.index.passages.view()
        text, moved = query.text, 0
        for word in _unknown(query.text, index, view):
            written = query.text[word.start : word.end]
            if language and has_table(language) and is_word(word.form, language):
                about[written] = f"kept: it is a word of {language!r}"
                continue
            allowed = 1 if _name(word, query.text) else most
            mended, about[written] = _mended(
                written, _speller(index, view).near(word.form, allowed)
            )
            text = text[: word.start + moved] + mended + text[word.end + moved :]
            moved += len(mended) - len(written)
    return replace(query, text=text)


def _mended(written: str, near: Sequence[Near]) -> tuple[str, str]:
    """The word in place of one that is written wrong, and what to say about it."""
    if not near:
        return written, "kept: no word of the collection is near"
    best, *others = near
    mended = best.word[:1].upper() + best.word[1:] if written[:1].isupper() else best.word
    about = f"{mended} (mistakes: {best.distance}, written {best.times} times"
    rather = ", ".join(n.word for n in others[:3])
    return mended, about + (f"; rather than {rather})" if rather else ")")


def _unknown(text: str, index: Index, view: View) -> list[QueryWord]:
    """The words that may be misspelled."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    spoken = [language for language in view.spoken if language]
    shouted = text.isupper()
    found = []
    for word in query_words(text, spoken):
        written = text[word.start : word.end]
        odd = not written.isalpha() or (not shouted and not written[1:].islower())
        if odd or any(a <= word.start < b for a, b in quoted):
            continue
        if not _held(index, word.terms) and word.form not in _speller(index, view):
            found.append(word)
    return found


def _name(word: QueryWord, text: str) -> bool:
    """Whether a word looks like a name: a capital that does not open the question."""
    return (
        text[word.start].isupper() and not text.isupper() and text[: word.start].strip(" ¿¡") != ""
    )


def _held(index: Index, stems: tuple[str, ...]) -> bool:
    """Whether a passage has one of these stems."""
    with index.database.read() as connection:
        return any(stands(index, connection, stem) for stem in stems)


def _speller(index: Index, view: View) -> Speller:
    held = view.known.get("speller")
    if not isinstance(held, Speller):
        held = Speller(vocabulary(index, view).counts)
        view.known["speller"] = held
    return held
