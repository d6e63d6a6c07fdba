"""Does a passage say what a sentence says? Words, numbers, negation and meaning must agree.

Every content word of a sentence must stand in its evidence, those taken from the question too.
A sentence is supported by one quotable span (a sentence, two neighbouring ones, or a table row),
never by words gathered from all over a passage: that is how a dose ends up with the wrong patient.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..models.interface import Embedder
from ..text.words import query_terms, terms
from .evidence import Evidence, cells, embed_spans

MEANING = 0.5  # least cosine between sentence and evidence, where the embedder knows the language

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*|(?<=[-–—/a-zA-Z(])\d+(?:[.,]\d+)*")
_QUANTITY = re.compile(
    r"(\d+(?:[.,]\d+)*)\s*(?:[-–—]\s*\d+(?:[.,]\d+)*\s*)?"
    r"(%|‰|°\s?[CF]|€|\$|£|mg/kg|mg|mcg|µg|μg|kg|g|ml|mL|cl|dl|l|L|mm|cm|km|m|kWh|MW|kW|W|V|Hz|"
    r"GB|MB|TB|h|min|s)(?![\w])"
)
_NEGATION = {
    "en": r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot|\w+n['’]t)\b",
    "es": r"\b(?:no|nunca|jamás|ningún|ninguna|ninguno|nadie|nada|ni|sin|tampoco)\b",
    "ca": r"\b(?:no|mai|cap|ningú|res|ni|sense|tampoc)\b",
    "hu": r"\b(?:nem|ne|se|sem|soha|sohasem|senki|semmi|nincs|nincsenek|tilos|nélkül)\b",
}
_LIMITS = re.compile(  # small words that turn a statement into another one
    r"\b(?:more|less|fewer|over|under|above|below|least|most|only|before|after|until|always|every"
    r"|más|menos|sólo|solo|solamente|antes|después|hasta|siempre|cada|desde|mínimo|máximo"
    r"|més|menys|només|abans|després|fins|sempre|des|mínim|màxim"
    r"|több|kevesebb|csak|előtt|után|legalább|legfeljebb|mindig|minden|alatt|felett)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![.!?:]\s)(?<=\s)(?:[\"'«“(¿¡]*)([^\W\d_a-zà-öø-ÿ][\w'’-]+)")


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a sentence is supported, by which evidence, or why it is not."""

    evidence: tuple[Evidence, ...]
    reason: str = ""

    @property
    def supported(self) -> bool:
        """True where there is evidence."""
        return bool(self.evidence)


def support(
    sentence: str, question: str, evidence: Sequence[Evidence], embedder: Embedder
) -> Support:
    """Find the span that says what `sentence` says; without one, why the nearest does not."""
    reasons: list[tuple[float, str]] = []
    agreed: list[tuple[float, tuple[Evidence, ...]]] = []
    for window in _windows(evidence):
        covered, reason = _agrees(sentence, question, window)
        if reason:
            reasons.append((covered, reason))
        else:
            agreed.append((covered, window))
    if not agreed:
        return Support((), max(reasons)[1] if reasons else "no passage was found")
    agreed.sort(key=lambda pair: (-pair[0], len(pair[1]), -sum(e.score for e in pair[1])))
    window = agreed[0][1]
    language = window[0].hit.document.language
    known = embedder.identity.languages
    if "*" in known or language in known:
        texts = [sentence, " ".join(f"{e.header} {e.text}".strip() for e in window)]
        said, found = embed_spans(embedder, texts)
        if float(said @ found) < MEANING:
            return Support((), "the nearest passage means something else")
    return Support(window)


def _windows(evidence: Sequence[Evidence]) -> list[tuple[Evidence, ...]]:
    """Each span alone, and each pair of neighbouring sentences of one passage."""
    ordered = sorted(evidence, key=lambda e: (e.passage, e.start))
    alone: list[tuple[Evidence, ...]] = [(e,) for e in evidence]
    return alone + [
        (a, b)
        for a, b in itertools.pairwise(ordered)
        if a.passage == b.passage and not a.header and not b.header
    ]


def _agrees(sentence: str, question: str, window: tuple[Evidence, ...]) -> tuple[float, str]:
    """(share of content words found, why the window does not support the sentence or "")."""
    language = window[0].hit.document.language
    text = " ".join(e.text for e in window)
    around = " ".join({e.context for e in window})
    words = frozenset().union(*(e.words for e in window))
    known = words | frozenset(terms(around, language))
    asked = frozenset(terms(question, language))
    groups = [frozenset(g) for g in query_terms(sentence, [language] if language else [])]
    own = [g for g in groups if not g & asked]  # what the sentence adds to the question
    missing = [g for g in groups if not g & known]
    covered = 1 - len(missing) / len(groups) if groups else 0.0
    if window[0].header and _label(window[0]) & frozenset(terms(sentence, language)):
        missing = [g for g in missing if not g & asked]  # the row's label says what it is about
    header = frozenset(terms(window[0].header, language))
    if not groups or sentence.strip()[0] == "|" or sentence.strip()[-1] == "?":
        return covered, "it says nothing"
    if _stutters(sentence):
        return covered, "it says nothing"
    names = (n for n in _NAME.findall(sentence) if not known & set(terms(n, language)))
    if unknown := _missing_number(sentence, text, around) or next(names, ""):
        reason = f"{unknown!r} does not stand there in the passage"
    elif not own:
        reason = "it only repeats the question"
    elif missing or not any(g & words - header for g in own):
        reason = "the passages do not say it"
    elif limit := _limits(sentence) - _limits(f"{text} {around}"):
        reason = f"{min(limit)!r} does not stand there in the passage"
    elif _negation_differs(sentence, window, language):
        reason = "one of sentence and passage is negated"
    elif window[0].header and _wrong_row(sentence, question, window[0]):
        reason = "the value stands in another row of the table"
    elif window[0].header and _wrong_column(sentence, question, window[0]):
        reason = "the value stands in another column of the table"
    else:
        reason = ""
    return covered, reason


def _limits(text: str) -> set[str]:
    return {word.casefold() for word in _LIMITS.findall(text)}


def _stutters(sentence: str) -> bool:
    """Does it say the same words over and over, as a model does that has lost its way?"""
    words = re.findall(r"\w+", sentence.casefold())
    return len(words) > 8 and len(set(words)) < len(words) / 2


def _negation_differs(sentence: str, window: tuple[Evidence, ...], language: str | None) -> bool:
    """Negation must agree; two passage sentences with one among them prove nothing."""
    found = [_negated(e.text, language) for e in window]
    said = _negated(sentence, language)
    return said != found[0] if len(found) == 1 else said or any(found)


def _missing_number(sentence: str, text: str, around: str) -> str:
    """The first number (with its unit) of the sentence that the text does not hold, or ""."""
    there = {_reading(n) for n in _NUMBER.findall(text)}
    near = there | {_reading(n) for n in _NUMBER.findall(around)}
    units: dict[str, set[str]] = {}
    for number, unit in _all_quantities(text):
        units.setdefault(_reading(number), set()).add(unit)
    for number, unit in _all_quantities(sentence):
        if _reading(number) in units and unit not in units[_reading(number)]:
            return f"{number} {unit}"
    return next((n for n in _NUMBER.findall(sentence) if _reading(n) not in near), "")


def _all_quantities(text: str) -> list[tuple[str, str]]:
    """(number, unit) pairs; both ends of a range such as 325-650mg have its unit."""
    found = []
    for match in _QUANTITY.finditer(text):
        unit = match[2].replace(" ", "").replace("µ", "μ")
        found += [
            (n, unit)
            for n in re.findall(r"\d+(?:[.,]\d+)*", match[0][: match.start(2) - match.start()])
        ]
    return found


def _reading(number: str) -> str:
    """One spelling: 1,000 and 1.000 as 1000, 4,5 as 4.5."""
    if re.fullmatch(r"[1-9]\d{0,2}(?:[.,]\d{3})+", number):
        return re.sub(r"[.,]", "", number)
    return number.replace(",", ".")


def _negated(text: str, language: str | None) -> bool:
    pattern = _NEGATION.get(language or "", "")
    return bool(pattern and re.search(pattern, text, re.IGNORECASE))


def _label(row: Evidence) -> frozenset[str]:
    return frozenset(terms(cells(row.text)[0], row.hit.document.language))


def _wrong_row(sentence: str, question: str, row: Evidence) -> bool:
    """Does the sentence (or else the question) name another row than this one?"""
    language = row.hit.document.language
    label = _label(row)
    others: frozenset[str] = frozenset()
    for line in row.hit.chunk.text.splitlines():
        if line.strip().startswith("|") and line not in (row.text, row.header):
            others |= frozenset(terms(cells(line)[0], language))
    said = frozenset(terms(sentence, language))
    if (said | frozenset(terms(question, language))) & label:
        return bool(said & (others - label)) and not said & label
    return bool((said | frozenset(terms(question, language))) & (others - label))


def _wrong_column(sentence: str, question: str, row: Evidence) -> bool:
    """Does the sentence name one column and give a number that stands only in another?"""
    language = row.hit.document.language
    header, values = cells(row.header), cells(row.text)
    if len(header) != len(values):
        return False
    names = [frozenset(terms(h, language)) for h in header]
    said = frozenset(terms(sentence, language)) | frozenset(terms(question, language))
    named = []
    for i, name in enumerate(names):
        shared = frozenset().union(*(m for j, m in enumerate(names) if j != i))
        if i and (name - shared) & said:
            named.append(i)
    if not named:
        return False
    allowed = {_reading(n) for i in (0, *named) for n in _NUMBER.findall(values[i])}
    return any(_reading(n) not in allowed for n in _NUMBER.findall(sentence))
