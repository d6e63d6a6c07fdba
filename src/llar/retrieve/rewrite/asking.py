"""What the chat model makes of a question, looked at before it is used.

A small model repeats itself, answers instead of asking, falls back on the examples of its prompt
or changes the language. Every line it writes is kept or refused for a reason; the reply, what was
refused and why are on record, and where nothing is left the question goes on as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...models.interface import Options
from ...prompts import render
from ...records import Completion
from ...text.language import detect_query
from ...text.words import query_words
from ..query import Query
from .language import LANGUAGES, language_of

if TYPE_CHECKING:
    from ..searcher import Searcher

_MARK = re.compile(r"^\s*(?:\(?\d{1,2}[.)]|[-*•])\s*")
_QUOTES = "\"'“”«»`* "
LONGEST_LINE = 60  # tokens of a question that the model writes

Refusal = Callable[[frozenset[str], frozenset[str]], str]  # words of the line, of the question


def reply(
    searcher: Searcher,
    prompt: str,
    about: dict[str, Any],
    options: Options,
    values: Mapping[str, str],
) -> Completion:
    """What the model answers to a prompt, put on record as it is."""
    written = searcher.chat().chat(render(searcher.config, prompt, **values), options)
    about["reply"] = written.text
    return written


def lines(written: Completion) -> list[str]:
    """The lines of a reply without their numbers and quotes; one that was cut off is left out."""
    found = written.text.splitlines()
    if written.finish_reason == "length":
        found = found[:-1]
    bare = (_MARK.sub("", line).strip(_QUOTES) for line in found)
    return [line for line in bare if line]


def sift(
    found: list[str], query: Query, searcher: Searcher, about: dict[str, Any], refuse: Refusal
) -> list[str]:
    """The lines that can be used; `about` tells why the others cannot.

    Refused are lines that say the same as the question or as a line before, have none of its
    words or are in another language, and those that `refuse` names a reason for.
    """
    language = language_of(query, searcher) or "en"
    asked = content(query.text, language)
    seen = {asked}
    kept: list[str] = []
    refused: list[tuple[str, str]] = []
    for line in found:
        words = content(line, language)
        other = detect_query(line, [language, *LANGUAGES])
        if not words:
            reason = "it has no words"
        elif words == asked:
            reason = "it says the same as the question"
        elif words in seen:
            reason = "it says the same as a line before"
        elif not words & asked:
            reason = "it has no word of the question"
        elif other != language:
            reason = f"it is in {other!r}, the question in {language!r}"
        else:
            reason = refuse(words, asked)
        if reason:
            refused.append((line, reason))
        else:
            kept.append(line)
        seen.add(words)
    about["kept"] = kept
    if refused:
        about["refused"] = [f"{line} ({reason})" for line, reason in dict.fromkeys(refused)]
    return kept


def content(text: str, language: str) -> frozenset[str]:
    """The stems of a text's words, stop words left out."""
    return frozenset(word.terms[0] for word in query_words(text, [language]))
