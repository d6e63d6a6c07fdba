"""How the entities of a text hang together: what is said between two in one sentence.

A relation keeps the stretch of text that it is read from, from the first entity to the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .entities import Mention, Reading, key_of
from .stopwords import stop_words

__all__ = ["WEIGHTS", "Relation", "relations"]

RelationKind = Literal["is", "does", "with", "under", "same"]

# What one relation of a kind counts beside others.
WEIGHTS: dict[str, float] = {"is": 3.0, "does": 2.0, "with": 1.0, "under": 0.5, "same": 3.0}
WINDOW = 3  # further entities of its sentence that an entity is taken together with
LONGEST_VERB = 7  # words between two entities that say what one does to the other
LONGEST_CLASS = 4  # words of what something is said to be

_BROKEN = re.compile(r"[.;:!?()|\[\]{}]|\s-{1,2}\s|\s[–—]\s")
_IS = re.compile(
    r"\s+(?:is|are|was|were)\s+(?:(?:an?|the|one of the|another)\s+)?"
    r"|\s+(?:es|son|era|eran|fue)\s+(?:(?:una?|el|la|los|las|uno de los|una de las)\s+)?"
    r"|\s+(?:és|són|era|eren|fou)\s+(?:(?:una?|el|la|els|les|l['’]|un dels|una de les)\s*)?"
    r"|,?\s+(?:az? egyik|egy)\s+",
    re.IGNORECASE,
)
_IS_A = re.compile(
    r"\s+(?:is|are|was|were)\s+(?:an?|the|one of the)\s+|\s+(?:es|son|era|fue)\s+(?:una?|el|la)\s+"
    r"|\s+(?:és|són|era|fou)\s+(?:una?|el|la|l['’])\s*|\s+egy\s+",
    re.IGNORECASE,
)
_JOINING = frozenset(("and", "or", "y", "e", "o", "u", "i", "és", "vagy", "etc", "e.g", "i.e"))
_CLASS = re.compile(r"[^\W\d_][\w-]*(?:\s[^\W\d_][\w-]*){0,3}")


@dataclass(frozen=True, slots=True)
class Relation:
    """`subject` and `object` are keys of entities; `label` are the words between them.

    `object_name` is what the object is called where it is no entity by itself.
    """

    subject: str
    object: str
    kind: RelationKind
    label: str
    start: int
    end: int
    object_name: str = ""


def relations(text: str, reading: Reading, language: str | None) -> list[Relation]:
    """Every relation in a document, in the order of its sentences."""
    stops = stop_words(language if language in ("en", "es", "ca", "hu") else "en")
    found: list[Relation] = []
    for _, end, numbers in reading.sentences:
        held = [reading.mentions[n] for n in numbers]
        found += _in_sentence(text, held, end, stops, language)
    for start, stop, heading in reading.sections:
        found += _under(reading, start, stop, heading)
    for short, long, start, end in reading.same:
        found.append(Relation(short, long, "same", "", start, end))
    return found


def _in_sentence(
    text: str, held: list[Mention], end: int, stops: frozenset[str], language: str | None
) -> Iterator[Relation]:
    for n, first in enumerate(held):
        after = held[n + 1].start if n + 1 < len(held) else end
        defined = _class(text, first, after, stops, language)
        if defined is not None:
            yield defined
        for m, second in enumerate(held[n + 1 : n + 1 + WINDOW]):
            if first.key == second.key or second.start < first.end:
                continue
            between = text[first.end : second.start]
            kind, label = _said(between, stops) if m == 0 else ("with", "")
            yield Relation(first.key, second.key, kind, label, first.start, second.end)


def _said(between: str, stops: frozenset[str]) -> tuple[RelationKind, str]:
    """What the words between two entities make of them."""
    if _IS.fullmatch(between):
        return "is", " ".join(between.split())
    words = between.split()
    if 0 < len(words) <= LONGEST_VERB and not _BROKEN.search(between):
        bare = (w.strip(",'’\"“”").casefold() for w in words)
        telling = [w for w in bare if w[:1].isalpha() and w not in stops and w not in _JOINING]
        if telling:
            return "does", " ".join(words).strip(" ,").replace("*", "")
    return "with", ""


def _class(
    text: str, first: Mention, after: int, stops: frozenset[str], language: str | None
) -> Relation | None:
    """ "X is a Y" where Y is no entity: the words behind the article up to the next small word."""
    match = _IS_A.match(text, first.end, after)
    if match is None or match.end() >= after:
        return None
    words: list[re.Match[str]] = []
    said = _CLASS.match(text, match.end(), after)
    for word in re.finditer(r"\S+", said[0]) if said else ():
        if word[0].casefold() in stops or len(words) == LONGEST_CLASS:
            break
        words.append(word)
    if not words:
        return None
    stop = match.end() + words[-1].end()
    name = " ".join(w[0] for w in words)
    key = key_of(name, language)
    label = " ".join(match.group().split())
    if not key or key == first.key:
        return None
    return Relation(first.key, key, "is", label, first.start, stop, name)


def _under(reading: Reading, start: int, stop: int, heading: str) -> Iterator[Relation]:
    """What a section speaks of belongs to what its heading names, once for each."""
    seen = {heading}
    for mention in reading.mentions:
        if start <= mention.start < stop and mention.key not in seen and mention.kind != "heading":
            seen.add(mention.key)
            yield Relation(mention.key, heading, "under", "", mention.start, mention.end)
