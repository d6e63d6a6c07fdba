"""Sentences with exact offsets, for Markdown and plain text.

Lines decide first: a heading, a table row, a list item, a line of code and a paragraph never share
a sentence. Inside a paragraph a full stop ends a sentence unless what stands before it is a known
abbreviation, an initial or an ordinal, judged together with the word that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from .stopwords import stop_words

__all__ = ["split"]

LANGUAGES = ("ca", "de", "en", "es", "fr", "hu", "it", "pt")

_FENCE = re.compile(r"[ \t]*(```|~~~)")
_LINE = re.compile(
    r"[ \t>]*(?:"
    r"(?P<rule>[-=*_~^+:|.# \t\r\f\v]*$)"
    r"|(?P<heading>\#{1,6}[ \t]+)"
    r"|(?P<row>\|)"
    r"|(?P<bullet>[-*+•▪◦‣·–—][ \t]+)"
    r"|(?P<number>\(?(?:\d{1,3}|[A-Za-z])[.)][ \t]+)"
    r")?"
)
_FIRST = re.compile(r"[ \t>]*\(?[1aA][.)]")
_STOP = re.compile(  # western stops count before white space, the others anywhere
    r"(?<![.!?…])(?:\.(?: \.){2,}|[.!?…]+|[؟۔।॥]+)"
    r"(?P<close>[\"'”’»)\]*_]*(?:\[\d+\])*)(?P<space>\s+)"
    r"|[。！？｡]+[」』”’）\"]*"
)
_BEFORE = re.compile(r"[^\s(\[{<>\"“”«»„|/—–]+\Z")  # what stands right before the stop
# The word that follows; an initial keeps its stop, so that it is not taken for a word like "A".
_AFTER = re.compile(r"[\"'“”‘«»„(\[{*_¿¡—–\- ]*([^\W\d_]\.|[^\W_]*)")
_DOUBLED = re.compile(r"([A-Z])\1")
_CLITIC = re.compile(r"[dlnsm]['’]", re.IGNORECASE)
_ROMAN = re.compile(r"[IVXLCDM]+")
_GERMAN_MONTHS = frozenset(
    [
        *("Januar", "Februar", "März", "April", "Mai", "Juni"),
        *("Juli", "August", "September", "Oktober", "November", "Dezember"),
    ]
)


class _Unit(NamedTuple):
    """A stretch of text no sentence leaves; `whole` ones are a sentence as they are."""

    start: int
    end: int
    whole: bool = False


class _Abbreviations(NamedTuple):
    """Lower case, without the last stop: see the data files for what the groups mean."""

    before: frozenset[str]
    number: frozenset[str]
    ending: frozenset[str]


def split(text: str, language: str | None) -> list[tuple[int, int]]:
    """Offsets of the sentences of `text`, in order, without white space at their ends.

    `language` (ISO 639-1) chooses abbreviations; None or an unlisted one takes English's. Markup
    that says nothing (rules, underlines, delimiter rows, fences, bullets, `#`) is in no sentence.
    """
    chosen = language if language in LANGUAGES else "en"
    spans: list[tuple[int, int]] = []
    for start, end, whole in _units(text):
        spans.extend([(start, end)] if whole else _sentences(text, start, end, chosen))
    stripped = (_stripped(text, start, end) for start, end in spans)
    return [(start, end) for start, end in stripped if start < end]


def _units(text: str) -> Iterator[_Unit]:
    """Paragraphs, list items, headings, table rows and lines of code."""
    opened: int | None = None  # start of the paragraph or item that is still growing
    position, fence, listed = 0, "", False
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line)
        mark = _FENCE.match(line)
        found = None if fence or mark else _LINE.match(line)
        kind = found.lastgroup if found else "code"
        after = start + found.end() if found else start
        if kind is None and opened is not None:
            continue
        if kind == "number" and opened is not None and not (listed or _FIRST.match(line)):
            continue  # a wrapped line that happens to begin with a number
        listed = kind in ("number", "bullet")
        if opened is not None:
            yield _Unit(opened, start)
            opened = None
        if mark and fence in ("", mark.group(1)):
            fence = "" if fence else mark.group(1)
        elif kind in ("code", "row"):
            yield _Unit(start, position, whole=True)
        elif kind == "heading":
            yield _Unit(after, position)
        elif kind == "number":
            opened = start
        elif kind != "rule":
            opened = after
    if opened is not None:
        yield _Unit(opened, position)


def _sentences(text: str, start: int, end: int, language: str) -> list[tuple[int, int]]:
    spans = []
    here = start
    for stop in _STOP.finditer(text, start, end):
        if stop.group("space") is None:  # a stop that needs no space after it
            cut = stop.end()
        elif stop.end() < end and _ends(text, here, stop, end, language):
            cut = stop.start("space")
        else:
            continue
        spans.append((here, cut))
        here = stop.end()
    spans.append((here, end))
    return spans


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _ends(text: str, start: int, stop: re.Match[str], end: int, language: str) -> bool:
    """Whether the stop ends the sentence that begins at `start`."""
    after = _AFTER.match(text, stop.end(), end)
    following = after.group(1) if after else ""
    if following[:1].islower():
        return False
    mark = stop.group()[: stop.start("close") - stop.start()]
    if mark != ".":
        return True
    found = _BEFORE.search(text, max(start, stop.start() - 40), stop.start())
    if found is None:
        return True
    word = _CLITIC.sub("", found.group().lstrip("'’¿¡*_"), count=1)
    opening = found.start() <= start and text[start : found.start()].strip() == ""
    return _period_ends(word, following, language, opening=opening, text_after=text[stop.end()])


def _period_ends(
    word: str, following: str, language: str, *, opening: bool, text_after: str
) -> bool:
    """Whether `word` and its full stop end a sentence that `following` would come after.

    `opening`: the word is the first of its sentence; `text_after` is the character after the space.
    """
    known = _abbreviations(language)
    lower = word.lower()
    starter = text_after in "¿¡" or following.lower() in stop_words(language)
    numeric = following[:1].isdigit() or bool(_ROMAN.fullmatch(following)) or text_after == "§"
    joined = (
        lower in known.before
        or (lower in known.number and numeric)
        or (lower in known.ending and text_after == "(")
        or (_DOUBLED.fullmatch(word) and _DOUBLED.fullmatch(following))  # EE. UU., CC. OO.
    )
    if joined:
        return False
    if lower in known.ending:  # names come behind those in capitals: U.S. Senate
        return starter or not (word.isupper() and len(word) > 1)
    if word.isdigit():
        month = language == "de" and following in _GERMAN_MONTHS
        return not (opening or month or text_after == "§")
    if len(word) == 1 and word.isalpha():
        return starter and not opening
    roman = language == "hu" and _ROMAN.fullmatch(word)
    dotted = "." in word and all(0 < len(part) <= 2 for part in word.split("."))
    return starter or not (roman or dotted)


@cache
def _abbreviations(language: str) -> _Abbreviations:
    groups: dict[str, set[str]] = {"before": set(), "number": set(), "ending": set()}
    file = files(__package__) / "abbreviations" / f"{language}.txt"
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, words = line.split(": ", 1)
            groups[name].update(words.split())
    return _Abbreviations(*(frozenset(groups[name]) for name in _Abbreviations._fields))
