"""Which words of a question are looked for, and what else counts as the same word.

The index holds Snowball stems. Any other notion of "the same word" divides the words that are
written in the collection into groups, so it is searched exactly all the same: the stems of a
group find the passages it may stand in, and of those only the ones count in which a word of the
group is written.

- `porter`: M. F. Porter, "An algorithm for suffix stripping" (1980), for English
- `lemma`: words of one dictionary entry, "went" and "gone", from simplemma's tables
- `none`: the word itself, in any case and with or without its accents
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

import Stemmer

from ...index.index import Index
from ...index.passages import View
from ...text.lemmas import has_table, lemma
from ...text.words import QueryWord, fold, query_words, terms
from ..query import Analysis, Query, Stemming, Word
from .arguments import Arguments
from .language import language_of, may_be
from .vocabulary import vocabulary

if TYPE_CHECKING:
    from ..searcher import Searcher


SYNTAX = "words[:snowball|porter|lemma|none][:stops]"


def words(query: Query, searcher: Searcher, argument: str) -> Query:
    """Choose what counts as the same word, and whether stop words are looked for.

    `words:snowball`, the default, `words:porter`, `words:lemma` or `words:none`; a further
    `:stops` looks for "the" and "of" as well: `words:stops`, `words:lemma:stops`. Porter's
    stemmer is for English: a question in another language stays as it is, on record.
    Raises QueryError for anything else, and where a step before has chosen the words.
    """
    arguments = Arguments(SYNTAX, argument)
    given = arguments.texts()
    stops = "stops" in given
    names = [name for name in given if name != "stops"]
    wrong = [name for name in names if name not in get_args(Stemming)]
    if wrong or len(names) > 1:
        raise arguments.error(f"{':'.join(wrong or names)!r} is no way to compare words")
    if query.words is not None:
        raise arguments.error("a step before it has chosen the words, so it must stand first")
    stemming: Stemming = names[0] if names else "snowball"  # type: ignore[assignment]
    english = stemming == "porter" and may_be("en", query, searcher)
    language = "en" if english else language_of(query, searcher)
    with searcher.step("the question's words") as about:
        about["language"] = language or "unknown"
        missing = _missing(stemming, language)
        if missing:
            about["skipped"] = missing
            stemming = "snowball"
        wanted = language if stemming in ("porter", "lemma") else query.analysis.language
        analysis = Analysis(wanted, stemming, stops)
        changed = replace(query, analysis=analysis)
        with searcher.index.database.read():
            found = words_of(changed, searcher.index, searcher.index.passages.view())
        about["words"] = [_shown(word) for word in found]
    return changed


def _missing(stemming: Stemming, language: str | None) -> str:
    """What stands in the way of comparing words of a language so, "" for nothing."""
    if stemming == "porter" and language != "en":
        return f"Porter's stemmer is for English, the question is in {language!r}"
    if stemming == "lemma" and not has_table(language):
        return f"there is no table of dictionary forms for {language!r}"
    return ""


def _shown(word: Word) -> str:
    return "|".join(word.stems) + (f" as {', '.join(word.forms)}" if word.forms else "")


def words_of(query: Query, index: Index, view: View) -> tuple[Word, ...]:
    """The words that a query searches for, in the transaction of `view`.

    Stemmed in the question's language where it is set, else in those of the collection.
    """
    if query.words is not None:
        return query.words
    analysis = query.analysis
    spoken = [language for language in view.spoken if language]
    languages = [analysis.language] if analysis.language else spoken
    asked = query_words(query.text, languages, stop_words_too=analysis.stop_words)
    if analysis.stemming == "snowball":
        return tuple(Word(word.terms) for word in asked)
    return tuple(_grouped(word, analysis, index, view, spoken) for word in asked)


def _grouped(
    word: QueryWord, analysis: Analysis, index: Index, view: View, spoken: list[str]
) -> Word:
    """A word with all that counts as the same one."""
    if not word.form:
        return Word(word.terms)
    known = vocabulary(index, view)
    alike = [word.form, *known.folded.get(fold(word.form), ())]  # typed without its accents
    forms = set(alike)
    if analysis.stemming != "none":
        key = _porter if analysis.stemming == "porter" else _lemma(analysis.language or "")
        groups = known.groups(f"{analysis.stemming} {analysis.language}", key)
        forms.update(form for each in alike for form in groups.get(key(each), ()))
    languages: list[str | None] = [*spoken] or [None]
    stems = {stem for form in forms for language in languages for stem in terms(form, language)}
    return Word(tuple(sorted(stems)), forms=tuple(sorted(set(map(fold, forms)))))


def _porter(word: str) -> str:
    stemmer, lock = _stemmer()
    with lock:
        found: str = stemmer.stemWord(fold(word))
    return found


@cache
def _stemmer() -> tuple[Any, threading.Lock]:
    return Stemmer.Stemmer("porter", 0), threading.Lock()  # it is not safe to share


def _lemma(language: str) -> Callable[[str], str]:
    return lambda word: fold(lemma(word, language))
