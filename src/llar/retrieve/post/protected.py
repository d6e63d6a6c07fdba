"""Words that a shorter text may not lose: numbers, negations, names, and what they hang on.

A word here is a run of characters without white space, with its punctuation.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from ...text import sentences
from ...text.stopwords import stop_words
from ...text.words import terms

__all__ = ["decisive", "protected", "words"]

Span = tuple[int, int]

_NEGATION = {
    "en": "no not never none nobody nothing neither nor without cannot except unless hardly",
    "es": "no nunca jamás ningún ninguna ninguno ningunos ningunas nadie nada ni sin tampoco salvo"
    " excepto apenas",
    "ca": "no mai cap ningú res ni sense tampoc llevat excepte tret gens amb prou",
    "hu": "nem ne se sem soha sohasem senki semmi semmilyen nincs nincsen nincsenek sincs tilos"
    " nélkül kivéve kivétel tilalom",
}
_NEGATIVE = {  # words that are negations by how they are formed
    "en": r"\w+n['’]t",
    "hu": r"\w{2,}(?:talan|telen|atlan|etlen|tlan|tlen)(?:ul|ül|ok|ek)?|\w+mentes\w*",
}
_LIMIT = {  # small words that turn a statement into another one
    "en": "more less fewer over under above below least most only before after until always every"
    " must may might can could should shall if all any both each minimum maximum",
    "es": "más menos sólo solo solamente antes después hasta siempre cada desde mínimo máximo todo"
    " toda todos todas debe deben puede pueden podrá podrán si ambos ambas",
    "ca": "més menys només abans després fins sempre cada des mínim màxim tot tota tots totes"
    " pot poden cal si ambdós ambdues",
    "hu": "több kevesebb csak előtt után legalább legfeljebb mindig minden alatt felett kell lehet"
    " szabad ha mindkét mindkettő",
}
_NUMERAL = {
    "en": "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
    " hundred thousand million billion half third quarter double twice once first second",
    "es": "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince"
    " dieciséis diecisiete dieciocho diecinueve veinte treinta cuarenta cincuenta sesenta setenta"
    " ochenta noventa cien ciento mil millón millones medio media tercio cuarto doble primero"
    " primera segundo segunda",
    "ca": "dos dues tres quatre cinc sis set vuit nou deu onze dotze tretze catorze quinze setze"
    " disset divuit dinou vint trenta quaranta cinquanta seixanta setanta vuitanta noranta cent"
    " mil milió milions mig mitja terç quart doble primer primera segon segona",
    "hu": "két kettő három négy öt hat hét nyolc kilenc tíz tizenegy tizenkét tizenkettő tizenhárom"
    " tizennégy tizenöt húsz harminc negyven ötven hatvan hetven nyolcvan kilencven száz ezer"
    " millió milliárd fél harmad negyed dupla kétszer háromszor első második",
}
LANGUAGES = tuple(_NEGATION)
DENIED = 3  # most words behind a negation that stay with it
JOINING = 2  # most small words inside a name
_JOINING = frozenset(
    [
        "of",
        "the",
        "de",
        "del",
        "la",
        "las",
        "los",
        "el",
        "els",
        "les",
        "d'",
        "von",
        "van",
        "der",
        "den",
        "és",
        "y",
        "i",
    ]
)

_AFTER = frozenset(["nélkül", "kivételével"])  # negations that stand behind what they deny

_WORD = re.compile(r"\S+")
_BARE = re.compile(r"^\W+|\W+$")
_ENDS = re.compile(r"[.!?:;…]['\"”’»)\]]*$|^[-*•|#]+$")


def words(text: str) -> list[Span]:
    """The words of a text, in order."""
    return [m.span() for m in _WORD.finditer(text)]


def protected(text: str, spans: Sequence[Span], language: str | None) -> set[int]:
    """Which of the words of a text must stay, by their places in `spans`.

    Numbers in digits and letters with the word behind them (their unit), unless that is a function
    word; negations with what they deny, which is the words up to the next content word; limits
    such as "only" or "until"; and names: words with a capital where no sentence begins, or that
    have one elsewhere in the text, and words of capitals, with the "of" or "de la" between two of
    them. For a language without lists those of English, Spanish, Catalan and Hungarian are taken
    together.
    """
    negations, negative = _listed(_NEGATION, language), _formed(language)
    limits, numerals = _listed(_LIMIT, language), _listed(_NUMERAL, language)
    bare = [_BARE.sub("", text[start:end]) for start, end in spans]
    stops = stop_words(language or "en")
    starts = [start for start, _ in sentences.split(text, language)]
    opening = [_begins(span, starts) for span in spans]
    kept = _names(bare, opening, language)

    def behind(place: int) -> bool:  # is there a word behind this one in its sentence?
        return place + 1 < len(bare) and not opening[place + 1]

    for i, word in enumerate(bare):
        form = word.casefold()
        number = any(c.isdigit() for c in word) or form in numerals
        negates = form in negations or bool(negative.fullmatch(form))
        if number or negates or form in limits:
            kept.add(i)
        if form in _AFTER:
            kept.add(i - 1)
        elif number and behind(i) and bare[i + 1].casefold() not in stops:
            kept.add(i + 1)
        elif negates:
            for j in range(i + 1, i + 1 + DENIED):
                if not behind(j - 1):
                    break
                kept.add(j)
                if bare[j].casefold() not in stops | limits:
                    break
    return kept


def decisive(text: str, language: str | None) -> frozenset[str]:
    """The numbers, numerals and negations of a text, each in one spelling."""
    listed = _listed(_NEGATION, language) | _listed(_NUMERAL, language)
    negative = _formed(language)
    found: set[str] = set()
    for start, end in words(text):
        form = _BARE.sub("", text[start:end]).casefold()
        if any(c.isdigit() for c in form):
            found.update(t for t in terms(form, language) if any(c.isdigit() for c in t))
        elif form in listed or negative.fullmatch(form):
            found.add(form)
    return frozenset(found)


def _begins(span: Span, starts: Sequence[int]) -> bool:
    """Does a sentence begin in this word?"""
    at = bisect_left(starts, span[0])
    return at < len(starts) and starts[at] < span[1]


def _names(bare: Sequence[str], opening: Sequence[bool], language: str | None) -> set[int]:
    """The places of the names; `opening` words begin a sentence."""
    inside = {w for w, first in zip(bare, opening, strict=True) if w[:1].isupper() and not first}
    small = {w for w in bare if w[:1].islower()}
    stops = stop_words(language or "en")
    names = set()
    for i, word in enumerate(bare):
        if not word[:1].isupper() or word.casefold() in stops:
            continue
        follows = i + 1 < len(bare) and bare[i + 1][:1].isupper() and not opening[i + 1]
        capitals = sum(c.isupper() for c in word) > 1
        if capitals or word in inside or (follows and word.lower() not in small):
            names.add(i)
    for i in [i for i in names if i + 1 not in names]:
        for end in range(i + 2, min(i + 2 + JOINING, len(bare))):  # University of the Basque ...
            between = range(i + 1, end)
            if end in names and all(bare[j] in _JOINING and not opening[j] for j in between):
                names.update(between)
    return names


def _listed(lists: dict[str, str], language: str | None) -> frozenset[str]:
    chosen = [language] if language in lists else list(lists)
    return frozenset(word for name in chosen for word in lists[str(name)].split())


def _formed(language: str | None) -> re.Pattern[str]:
    chosen = [language] if language in LANGUAGES else list(_NEGATIVE)
    return re.compile("|".join(_NEGATIVE[str(x)] for x in chosen if x in _NEGATIVE) or r"(?!)")
