"""Does a passage say what a sentence says? Words, numbers, negation and meaning must agree.

Every content word of a sentence must stand in its evidence, those taken from the question too.
A sentence is supported by one quotable span (a sentence or a table row), never by words gathered
from several: that is how a dose ends up with the wrong patient. Its words must come in much the
same order: "the nurse calls the doctor" has the words of "the doctor calls the nurse".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..models.interface import Embedder
from ..retrieve import embed_spans
from ..text.words import query_terms, terms
from .evidence import Evidence, cells

COPY = 0.6  # share of the evidence's content words from which a sentence is a copy of it
ORDER = 0.75  # share of a sentence's words that must come in the order of the evidence
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
_POSSIBLE = re.compile(  # what may be is not what is
    r"\b(?:may|might|can|could|possibly|perhaps|puede|pueden|podría|podrían|quizás?|pot|poden"
    r"|podria|podrien|potser|lehet|lehetséges|talán)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![.!?:]\s)(?<=\s)(?:[\"'«“(¿¡]*)([^\W\d_a-zà-öø-ÿ][\w'’-]+)")


@dataclass(frozen=True, slots=True)
class Support:
    """The evidence of a sentence, or why there is none."""

    evidence: Evidence | None
    reason: str = ""


def support(
    sentence: str, question: str, evidence: Sequence[Evidence], embedder: Embedder
) -> Support:
    """Find the span that says what `sentence` says; without one, why the nearest does not."""
    reasons: list[tuple[float, str]] = []
    agreed: list[tuple[float, float, Evidence]] = []
    for e in evidence:
        covered, reason = _agrees(sentence, question, e)
        if reason:
            reasons.append((covered, reason))
        else:
            agreed.append((covered, e.score, e))
    if not agreed:
        return Support(None, max(reasons)[1] if reasons else "no passage was found")
    best = max(agreed, key=lambda found: found[:2])[2]
    known = embedder.identity.languages
    if "*" in known or best.hit.document.language in known:
        said, found = embed_spans(embedder, [sentence, f"{best.header} {best.text}".strip()])
        if float(said @ found) < MEANING:
            return Support(None, "the nearest passage means something else")
    return Support(best)


def is_copy(sentence: str, e: Evidence) -> bool:
    """Is a sentence the evidence itself, a little changed? Then its own words are the truer ones:
    a copy that leaves out "full-time", "may" or the end of a sentence says something else."""
    language = e.hit.document.language
    said = frozenset(terms(sentence, language))
    groups = query_terms(e.text, [language] if language else [])
    return not e.header and sum(not said.isdisjoint(g) for g in groups) >= COPY * len(groups)


def _agrees(sentence: str, question: str, e: Evidence) -> tuple[float, str]:
    """(share of content words found, why the span does not support the sentence or "")."""
    language = e.hit.document.language
    known = e.words | frozenset(terms(e.context, language))
    asked = frozenset(terms(question, language))
    groups = [frozenset(g) for g in query_terms(sentence, [language] if language else [])]
    own = [g for g in groups if not g & asked]  # what the sentence adds to the question
    missing = [g for g in groups if not g & known]
    covered = 1 - len(missing) / len(groups) if groups else 0.0
    if e.header and _label(e) & frozenset(terms(sentence, language)):
        missing = [g for g in missing if not g & asked]  # the row's label says what it is about
    header = frozenset(terms(e.header, language))
    if not groups or sentence.strip()[0] == "|" or sentence.strip()[-1] == "?":
        return covered, "it says nothing"
    if _stutters(sentence):
        return covered, "it says nothing"
    names = (n for n in _NAME.findall(sentence) if not known & set(terms(n, language)))
    if unknown := _missing_number(sentence, e.text, e.context) or next(names, ""):
        reason = f"{unknown!r} does not stand there in the passage"
    elif not own:
        reason = "it only repeats the question"
    elif missing or not any(g & e.words - header for g in own):
        reason = "the passages do not say it"
    elif limit := _limits(sentence) - _limits(f"{e.text} {e.context}"):
        reason = f"{min(limit)!r} does not stand there in the passage"
    elif _negated(sentence, language) != _negated(e.text, language):
        reason = "one of sentence and passage is negated"
    elif not e.header:
        reason = _wording(sentence, groups, e)
    elif _wrong_row(sentence, question, e):
        reason = "the value stands in another row of the table"
    elif _wrong_column(sentence, question, e):
        reason = "the value stands in another column of the table"
    else:
        reason = ""
    return covered, reason


def _wording(sentence: str, groups: Sequence[frozenset[str]], e: Evidence) -> str:
    """How a sentence with the right words says something else than the prose, or ""."""
    if _POSSIBLE.search(sentence) and not _POSSIBLE.search(e.text):
        return "the passage says that it is, not that it may be"
    if not _in_order(groups, terms(e.text, e.hit.document.language)):
        return "the passage puts the words in another order"
    return ""


def _limits(text: str) -> set[str]:
    return {word.casefold() for word in _LIMITS.findall(text)}


def _stutters(sentence: str) -> bool:
    """Does it say the same words over and over, as a model does that has lost its way?"""
    words = re.findall(r"\w+", sentence.casefold())
    return len(words) > 8 and len(set(words)) < len(words) / 2


def _in_order(said: Sequence[frozenset[str]], there: Sequence[str]) -> bool:
    """Do enough of a sentence's words stand in the evidence one after the other?

    Counted is the longest common subsequence; words from headings alone are not.
    """
    held = frozenset(there)
    said = [g for g in said if g & held]
    longest = [0] * (len(there) + 1)  # with the words of `said` so far, up to each place
    for group in said:
        before = 0
        for i, term in enumerate(there):
            above = longest[i + 1]
            longest[i + 1] = before + 1 if term in group else max(above, longest[i])
            before = above
    return longest[-1] >= ORDER * len(said)


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
