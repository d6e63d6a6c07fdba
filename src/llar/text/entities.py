"""Things that a text speaks of: names, acronyms, code, dates, amounts, and its own terms.

No language model: names are told by their capitals, terms by how often a document puts the same
words behind an article, the rest by their form. For English, Spanish, Catalan and Hungarian, and
for other languages as far as capitals go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from . import sentences
from .stopwords import stop_words
from .words import terms

__all__ = ["Mention", "Reading", "key_of", "read"]

EntityKind = Literal["name", "acronym", "code", "date", "amount", "term", "heading"]

LONGEST_NAME = 7  # words
LONGEST_TERM = 3
LONGEST_CODE = 3
LEAST_SEEN = 2  # times that a document must put a term behind an article
LEAST_ALONE = 4  # the same for a term of one word
SHARE = 0.6  # of its occurrences in which a shorter term goes on to be a longer one
LONGEST_HEADING = 8  # words
LONGEST_SENTENCE = 2_000  # characters; what is longer is no sentence but a listing

_CONNECTORS = {
    "en": "of the for", "es": "de del la las los el", "ca": "de del la les els el d' l'", "hu": "",
}  # fmt: skip
_ARTICLES = {
    "en": "the a an this that these those its their your our each every any",
    "es": "el la los las un una unos unas este esta estos estas su sus cada",
    "ca": "el la els les un una uns unes l' aquest aquesta aquests aquestes cada",
    "hu": "a az egy ez ezek",
}
_OTHER = "en"

_MONTH = (
    r"(?:jan(?:uary|uár)?|feb(?:ruary|ruár)?|mar(?:ch)?|márc(?:ius)?|apr(?:il)?|ápr(?:ilis)?|may"
    r"|máj(?:us)?|june?|jún(?:ius)?|july?|júl(?:ius)?|aug(?:ust|usztus)?|sep(?:t(?:ember)?)?"
    r"|szept(?:ember)?|oct(?:ober)?|okt(?:óber)?|nov(?:ember)?|dec(?:ember)?"
    r"|enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|diciembre"
    r"|gener|febrer|març|maig|juny|juliol|agost|setembre|octubre|novembre|desembre)"
)
_FORMS: tuple[tuple[EntityKind, re.Pattern[str]], ...] = (
    ("code", re.compile(
        r":[\w:+-]+:`(?P<role>[^`]+)`|(?<!!)\[(?P<link>[^\[\]]{2,60})\]\([^()\s]+\)|``(?P<double>[^`]{1,80}?)``|`(?P<single>[^`\s][^`]{0,80}?)`_{0,2}"
    )),
    ("date", re.compile(
        rf"\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}\.?\s(?:de\s|d['’])?{_MONTH}\.?(?:\s(?:de\s|del\s)?\d{{4}})?\b"
        rf"|\b{_MONTH}\s\d{{1,2}},\s\d{{4}}\b|\b\d{{4}}\.\s{_MONTH}(?:\s\d{{1,2}}\.)?"
        rf"|\b{_MONTH}\s(?:de\s|del\s)?\d{{4}}\b|\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{4}}\b",
        re.IGNORECASE,
    )),
    ("amount", re.compile(
        r"(?<![\w.,])[$€£]\s?\d+(?:[.,\u00a0\u202f]\d+)*(?:\s(?:million|billion|bn|m)\b)?"
        r"|(?<![\w.,-])\d+(?:[.,\u00a0\u202f]\d+)*\s?(?:%|‰|€|\$|£|EUR|USD|GBP|HUF|Ft|euros?|forint\w*"
        r"|million|billion|millones|milions|millió|mg|µg|kg|km|cm|mm|ml|kWh|MW|GB|MB|TB|°C)(?!\w)"
    )),
    ("code", re.compile(
        r"(?<![\w.])(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:\(\))?|[A-Za-z_]\w*_\w+(?:\(\))?"
        r"|[a-z]+[A-Z]\w+|[A-Z][a-z\d]+[A-Z]\w*|[A-Z]{1,5}-\d+[\w-]*|[A-Z]{2,}\s?\d{3,}[\w:-]*)(?!\w)"
    )),
)  # fmt: skip
_WORD = re.compile(r"\w+(?:['’·]\w+)*")
_NO_NAMES = frozenset(
    ("e.g", "i.e", "etc", "p.ex", "p.e", "pl", "cf", "vs", "a.k.a", "none", "true", "false", "null")
)
_ROLE_TARGET = re.compile(r"\s*<[^<>]*>\s*$")
_TOKEN = re.compile(r"[^\W_][\w'’·-]*(?:\.[^\W\d_](?=\W|$))*")
_HEADING_MARKS = re.compile(r"^[#=\-~*^\"'`:.+\s]+|[#=\-~*^\"'`:.+\s]+$")
_ACRONYM = re.compile(r"[A-Z][A-Z\d]{1,9}s?")


@dataclass(frozen=True, slots=True)
class Mention:
    """One place where an entity stands. `key` is the same for all its forms."""

    key: str
    name: str
    kind: EntityKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in one document, in the order of its text.

    `sentences` are spans with the numbers of the mentions in them; `sections` say which heading's
    entity each stretch stands under; `same` are keys that an acronym and its long form share.
    """

    mentions: tuple[Mention, ...]
    sentences: tuple[tuple[int, int, tuple[int, ...]], ...]
    sections: tuple[tuple[int, int, str], ...]
    same: tuple[tuple[str, str, int, int], ...]


@dataclass(slots=True)
class _Token:
    text: str
    low: str
    start: int
    end: int
    first: bool  # begins its sentence


def key_of(name: str, language: str | None) -> str:
    """What forms of one name have in common: its words folded and stemmed."""
    return _key(" ".join(name.split()), language)


@lru_cache(maxsize=1 << 16)
def _key(name: str, language: str | None) -> str:
    words = (terms(word, language) for word in _WORD.findall(name))
    return " ".join(found[0] for found in words if found)


def read(
    text: str,
    prose: Sequence[tuple[int, int]],
    headings: Sequence[tuple[int, int]],
    language: str | None,
) -> Reading:
    """The entities of a document; `prose` are the stretches that are sentences, no code."""
    return _Reader(text, language).read(prose, headings)


class _Reader:
    """One document being read."""

    def __init__(self, text: str, language: str | None) -> None:
        self.text = text
        self.language = language
        known = language if language in _ARTICLES else _OTHER
        self.stops = stop_words(language if language in _ARTICLES else "en")
        self.articles = frozenset(_ARTICLES[known].split())
        self.connectors = frozenset(_CONNECTORS[known].split())
        self.small: Counter[str] = Counter()  # words written small
        self.inside: Counter[str] = Counter()  # words with a capital inside a sentence
        self.known_terms: frozenset[tuple[str, ...]] = frozenset()

    def read(
        self, prose: Sequence[tuple[int, int]], headings: Sequence[tuple[int, int]]
    ) -> Reading:
        spans = [
            (start + a, start + b)
            for start, end in prose
            for a, b in sentences.split(self.text[start:end], self.language)
            if b - a <= LONGEST_SENTENCE
        ]
        tokens = [self._tokens(*span) for span in spans]
        self._count(tokens)
        self.known_terms = self._terms(tokens)
        mentions: list[Mention] = []
        kept: list[tuple[int, int, tuple[int, ...]]] = []
        for span, words in zip(spans, tokens, strict=True):
            found = sorted(self._mentions(*span, words), key=lambda m: m.start)
            kept.append((*span, tuple(range(len(mentions), len(mentions) + len(found)))))
            mentions += found
        mentions = self._shortened(kept, mentions)
        sections = []
        for n, (start, end) in enumerate(headings):
            stop = headings[n + 1][0] if n + 1 < len(headings) else len(self.text)
            heading = self._heading(start, end)
            if heading is not None:
                mentions.append(heading)
                sections.append((start, stop, heading.key))
        same = tuple(self._defined(kept, mentions))
        return Reading(tuple(mentions), tuple(kept), tuple(sections), same)

    def _shortened(
        self, kept: Sequence[tuple[int, int, tuple[int, ...]]], mentions: Sequence[Mention]
    ) -> list[Mention]:
        """The mentions, without a first word that has its capital from the sentence alone.

        "Yesterday Anna Kovács" is Anna Kovács where the document names her elsewhere.
        """
        known = {m.key for m in mentions}
        done = list(mentions)
        for start, _, numbers in kept:
            first = mentions[numbers[0]] if numbers else None
            if first is None or first.kind != "name" or first.start != start:
                continue
            word, _, rest = first.name.partition(" ")
            key = _key(rest, self.language)
            if rest and not self.inside[word.casefold()] and key in known:
                begin = self.text.index(rest.split()[0], first.start + len(word))
                done[numbers[0]] = Mention(key, rest, "name", begin, first.end)
        return done

    # -- words -----------------------------------------------------------------------------

    def _tokens(self, start: int, end: int) -> list[_Token]:
        found: list[_Token] = []
        for match in _TOKEN.finditer(self.text, start, end):
            word = match.group().rstrip("-'’·")
            begin = match.start()
            found.append(_Token(word, word.casefold(), begin, begin + len(word), not found))
        return found

    def _count(self, tokens: Sequence[Sequence[_Token]]) -> None:
        for words in tokens:
            for token in words:
                if not token.text[0].isupper():
                    self.small[token.low] += 1
                elif not token.first:
                    self.inside[token.low] += 1

    def _terms(self, tokens: Sequence[Sequence[_Token]]) -> frozenset[tuple[str, ...]]:
        """Runs of words that the document puts behind an article again and again.

        A longer run is taken where the shorter mostly goes on like that.
        """
        counts: Counter[tuple[str, ...]] = Counter()
        for words in tokens:
            for i, token in enumerate(words[:-1]):
                if token.low in self.articles:
                    for n in range(1, LONGEST_TERM + 1):
                        run = words[i + 1 : i + 1 + n]
                        if len(run) < n or not self._is_run(run):
                            break
                        counts[tuple(self._stem(t) for t in run)] += 1
        most: Counter[tuple[str, ...]] = Counter()  # of the longer runs that begin like each
        for stems, count in counts.items():
            most[stems[:-1]] = max(most[stems[:-1]], count)
        taken = set()
        for stems, count in counts.items():
            alone = len(stems) == 1
            goes_on = most[stems] >= max(LEAST_SEEN, SHARE * count)
            whole = alone or count >= SHARE * counts[stems[:-1]] or count >= 2 * LEAST_SEEN
            often = count >= (LEAST_ALONE if alone else LEAST_SEEN)
            if often and not goes_on and whole and len("".join(stems)) >= 4:
                taken.add(stems)
        return frozenset(taken)

    def _is_run(self, run: Sequence[_Token]) -> bool:
        """Words side by side, none a function word, a number or a name."""
        for before, token in pairwise(run):
            if self.text[before.end : token.start] not in (" ", "\n", "-"):
                return False
        last = run[-1]
        return last.low not in self.stops and last.text[0].islower() and last.text.isalpha()

    def _stem(self, token: _Token) -> str:
        return _key(token.low, self.language)

    # -- mentions --------------------------------------------------------------------------

    def _mentions(self, start: int, end: int, words: Sequence[_Token]) -> list[Mention]:
        taken: list[tuple[int, int]] = []
        found = []
        for kind, pattern in _FORMS:
            for match in pattern.finditer(self.text, start, end):
                name = self._formed(match, kind)
                if name and not _overlaps(match.span(), taken):
                    taken.append(match.span())
                    found.append(self._mention(name, kind, *match.span()))
        free = [t for t in words if not _overlaps((t.start, t.end), taken)]
        for first, last in [*self._names(free), *self._known(free)]:
            span = (free[first].start, free[last].end)
            if not _overlaps(span, taken):
                taken.append(span)
                name = " ".join(self.text[slice(*span)].split())
                named: EntityKind = "acronym" if _ACRONYM.fullmatch(name) else "name"
                found.append(self._mention(name, named if name[0].isupper() else "term", *span))
        return [m for m in found if m.key]

    def _mention(self, name: str, kind: EntityKind, start: int, end: int) -> Mention:
        if kind == "acronym" and name.endswith("s") and name[:-1].isupper():
            name = name[:-1]
        return Mention(_key(name, self.language), name, kind, start, end)

    def _formed(self, match: re.Match[str], kind: EntityKind) -> str:
        """The name in a match of one of the forms, "" for none worth keeping."""
        held = match.groupdict()
        name = next((v for v in held.values() if v), None) if held else match.group()
        if name is None:
            return ""
        if kind == "code" and held.get("role"):
            name = _ROLE_TARGET.sub("", name)
            dotted = re.fullmatch(r"[~!]?[\w.]+(?:\(\))?", name)
            name = name.rpartition(".")[2] if dotted and "." in name else name
            name = name.lstrip("~!")
        name = " ".join(name.split()).removesuffix("()").strip("`*_ ")
        if name.casefold() in _NO_NAMES or (kind == "code" and len(name.split()) > LONGEST_CODE):
            return ""
        return name if re.search(r"[^\W\d_]|\d\s?\W|\W\s?\d", name) else ""

    def _names(self, words: Sequence[_Token]) -> Iterator[tuple[int, int]]:
        """(first, last) of runs of words with capitals, connectors between them included."""
        at = 0
        while at < len(words):
            if not self._is_capital(words[at]):
                at += 1
                continue
            last = at
            look = at + 1
            while look < len(words) and look - at < LONGEST_NAME and self._beside(words, look):
                if self._is_capital(words[look], inside=True):
                    last = look
                elif words[look].low not in self.connectors:
                    break
                look += 1
            if self._is_name(words, at, last):
                yield at, last
            at = last + 1

    def _is_capital(self, token: _Token, *, inside: bool = False) -> bool:
        """May a token be part of a name? A function word only inside one."""
        if not token.text[0].isupper():
            return False
        if inside or token.low not in self.stops:
            return True
        small = token.low in self.articles or token.low in self.connectors
        return token.text.isupper() and len(token.text) > 2 and not small

    def _beside(self, words: Sequence[_Token], at: int) -> bool:
        return self.text[words[at - 1].end : words[at].start] in (" ", "\n", "-", " & ")

    def _is_name(self, words: Sequence[_Token], first: int, last: int) -> bool:
        token = words[first]
        if last > first:
            return True
        if len(token.text) < 2 or token.low in _NO_NAMES:
            return False
        if token.text.isupper():
            return True
        often = self.inside[token.low]
        return (often > 0 if token.first else True) and often >= self.small[token.low]

    def _known(self, words: Sequence[_Token]) -> Iterator[tuple[int, int]]:
        """(first, last) of the document's terms, the longest at each place."""
        if not self.known_terms:
            return
        stems = [self._stem(t) for t in words]
        at = 0
        while at < len(words):
            for n in range(LONGEST_TERM, 0, -1):
                run = words[at : at + n]
                beside = all(self._beside(words, i) for i in range(at + 1, at + len(run)))
                if len(run) == n and beside and tuple(stems[at : at + n]) in self.known_terms:
                    yield at, at + n - 1
                    at += n - 1
                    break
            at += 1

    def _heading(self, start: int, end: int) -> Mention | None:
        """What a heading names, without numbers and marks."""
        line = self.text[start:end].strip("\n").partition("\n")[0]
        if re.fullmatch(r"([=\-~^\"'`*+#:.])\1*\s*", line):  # a rule above the heading
            line = self.text[start:end].strip("\n").split("\n")[1]
        name = _HEADING_MARKS.sub("", re.sub(r"[`*]+", "", line))
        name = re.sub(r"^(?:\d+\.)*\d*\s+", "", name)
        if not 0 < len(name.split()) <= LONGEST_HEADING or not re.search(r"[^\W\d_]", name):
            return None
        return Mention(_key(name, self.language), name, "heading", start, end)

    # -- acronyms --------------------------------------------------------------------------

    def _defined(
        self, spans: Sequence[tuple[int, int, tuple[int, ...]]], mentions: Sequence[Mention]
    ) -> Iterator[tuple[str, str, int, int]]:
        """Acronyms with their long forms: (key, key of the long form, start, end).

        The letters of "Content Management System (CMS)" are found from the right, as in Schwartz
        and Hearst, "A Simple Algorithm for Identifying Abbreviation Definitions" (2003).
        """
        for start, end, _ in spans:
            for match in re.finditer(r"\(([A-Z][A-Z\d]{1,9})s?\)", self.text[start:end]):
                short = match[1]
                before = self.text[start : start + match.start()].rstrip()
                most = min(len(short) + 5, 2 * len(short))
                words = list(re.finditer(r"[\w'’-]+", before))[-most:]
                first = _long_form(short, before, words)
                if first is not None:
                    long = " ".join(before[first:].split())
                    yield (_key(short, self.language), _key(long, self.language),
                           start + first, start + match.end())  # fmt: skip


def _long_form(short: str, before: str, words: Sequence[re.Match[str]]) -> int | None:
    """Where the long form of an acronym begins in the text before it."""
    if not words:
        return None
    at, left = len(before), len(short)
    floor = words[0].start()
    while left:
        left -= 1
        letter = short[left].casefold()
        at -= 1
        while at >= floor and (
            before[at].casefold() != letter or (left == 0 and at > 0 and (before[at - 1].isalnum()))
        ):
            at -= 1
        if at < floor:
            return None
    return at if before[at:].count(" ") >= 1 else None


def _overlaps(span: tuple[int, int], taken: Sequence[tuple[int, int]]) -> bool:
    return any(a < span[1] and span[0] < b for a, b in taken)
