"""Questions made by rule from the sentences of a document: facts, numbers, follow-ups, sections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from random import Random

from ..chunks.sections import Section, heading_title, sections
from ..records import Document, Message
from ..text import sentences
from ..text.stopwords import stop_words
from .make_words import abouts, leaning_start, pronoun_start, wording
from .overlap import words

__all__ = [
    "GAP",
    "Candidate",
    "Quoted",
    "dialogues",
    "earlier",
    "gaps",
    "headed",
    "names_in",
    "quoted",
    "summaries",
    "swapped",
    "usable",
    "years",
]

GAP = "___"
SHORTEST, LONGEST = 6, 40  # words of a sentence worth a question
SECTION = 400  # characters from which a section is worth a summary
MOST_SECTION = 6_000

_MARKUP = re.compile(r"[`*_{}<>\\|=+×√^~\[\]]|::|https?:|www\.|→|\.\.\.|…|\S/\S+/\S")
_YEAR = re.compile(r"(?<![\w.,/-])(?:1[5-9]|20)\d\d(?![\w/-]|[.,]\d)")
_NUMBER = re.compile(
    r"(?<![\w.,/:-])\d+(?:[.,]\d+)*(?:\s?(?:%|‰|°C|€|mg/kg|mg|kg|km|cm|mm|ml|MB|GB))?(?![\w/:-]|[.,]\d)"
)
_NAME = re.compile(
    r"(?<=[^\W\d_]\s)(?:[A-ZÀ-ÖØ-ÞŐŰ][\w'’-]{2,})"
    r"(?:\s(?:de la |de |del |of the |of |van |von |i |y )?[A-ZÀ-ÖØ-ÞŐŰ][\w'’-]+)*(?![\w'’-]|\s\d)"
)
_REFERENCE = re.compile(  # a number behind one of these only says where something stands
    r"(?:sections?|chapters?|figures?|tables?|pages?|versions?|secci[oó]n?|cap[ií]tulos?|cap[ií]tol"
    r"|figuras?|figura|tablas?|taules?|taula|p[aá]ginas?|p[aà]gina|fejezet|[aá]bra|t[aá]bl[aá]zat"
    r"|oldal|versi[oó]n?|verzi[oó])\s\(?$",
    re.IGNORECASE,
)
_CAPITAL = "[A-ZÀ-ÖØ-ÞŐŰ]"
_REST = "[^;:]{12,220}"
_DEFINED = {
    "en": re.compile(
        rf"(?P<subject>(?:(?:The|A|An) )?{_CAPITAL}?[^,;:()]{{3,50}}?) (?P<verb>is|are|was|were) "
        rf"(?P<said>(?:an?|the|one of) {_REST})"
    ),
    "es": re.compile(
        rf"(?P<subject>(?:(?:El|La|Los|Las|Una?) )?{_CAPITAL}?[^,;:()]{{3,50}}?) "
        rf"(?P<verb>es|son|fue|era|fueron|eran) (?P<said>(?:una?|unos|unas|el|la|los|las) {_REST})"
    ),
    "ca": re.compile(
        rf"(?P<subject>(?:(?:El|La|Els|Les|Una?) |L['’])?{_CAPITAL}?[^,;:()]{{3,50}}?) "
        rf"(?P<verb>és|són|va ser|era|eren) (?P<said>(?:una?|uns|unes|el|la|els|les) {_REST})"
    ),
    "hu": re.compile(
        rf"(?P<subject>(?:Az? )?{_CAPITAL}?[^,;:()]{{3,50}}?) (?P<verb>)(?P<said>egy {_REST})"
    ),
}
_ARTICLE = re.compile(r"(?:The|An?|El|La|Los|Las|Els|Les|Una?|Az?) |L['’]")
_OF = frozenset(
    ("of", "the", "de", "del", "la", "el", "los", "las", "els", "les", "l", "d", "dels")
)
_WHEN = re.compile(
    r"(?P<subject>(?:The |A |An )?[A-Z][^,;:()]{2,60}?) (?P<verb>was|were) "
    r"(?P<done>[a-z]+(?:ed|en|wn|lt|ld|nt|de|ut|un|ung|nd|ght)\b[^,;:]{0,60}?)"
    r" in (?P<answer>\d{4})\.?"
)
_HOW_MANY = re.compile(
    r"(?P<subject>(?:The |A |An )?[A-Z][^,;:()\d]{2,60}?) (?P<verb>has|have|had) "
    r"(?P<answer>\d+(?:[.,]\d+)*) (?P<what>[a-z][^,;:.]{2,60})\.?"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question that may be good, with what is known of its answer.

    `spans` are (document, start, end). `otherwise` is the question worded more closely, where
    this wording turns out to fit other places as well.
    """

    kind: str
    question: str
    answers: tuple[str, ...]
    spans: tuple[tuple[int, int, int], ...]
    language: str | None
    how: str
    section: str = ""
    history: tuple[Message, ...] = ()
    label: str = ""
    otherwise: str = ""
    sentence: str = ""  # what it was made of
    about: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Quoted:
    """One sentence of a document that can stand alone in a question."""

    document: int
    start: int
    end: int
    text: str  # white space joined
    path: tuple[str, ...]  # headings
    before: Quoted | None = field(default=None, repr=False)  # the sentence before it, in its block


def quoted(number: int, document: Document) -> Iterator[Quoted]:
    """The prose sentences of a document, with the headings above each."""
    for section in sections(document):
        for block in section.blocks:
            if block.kind not in ("text", "list"):
                continue
            last: Quoted | None = None
            text = document.text[block.start : block.end]
            for a, b in sentences.split(text, document.language):
                last = Quoted(
                    number, block.start + a, block.start + b, " ".join(text[a:b].split()),
                    section.path, last,
                )  # fmt: skip
                yield last


def usable(text: str) -> bool:
    """Is a sentence whole, plain and of a good length?"""
    count = len(text.split())
    return (
        SHORTEST <= count <= LONGEST
        and text[0].isupper()
        and text[-1] == "."
        and not _MARKUP.search(text)
        and text.count("“") == text.count("”")
        and text.count("(") == text.count(")")
    )


# -- facts and numbers ---------------------------------------------------------------------


def gaps(found: Sequence[Quoted], language: str | None) -> Iterator[Candidate]:
    """Facts and numbers: what a sentence defines, when, how many, and gaps to be filled."""
    for sentence in found:
        if usable(sentence.text) and not leaning_start(sentence.text, language):
            yield from _natural(sentence, language)
            yield from _masked(sentence, language)


def _natural(sentence: Quoted, language: str | None) -> Iterator[Candidate]:
    """Questions in ordinary words, for the few forms of sentence that allow it."""
    said = wording(language)
    text = sentence.text.removesuffix(".")
    defined = _DEFINED.get(language or "", _DEFINED["en"]).fullmatch(text)
    if defined and _is_thing(defined["subject"], language):
        subject = defined["subject"]
        article = _ARTICLE.match(subject)
        names = all(w[0].isupper() for w in subject.split() if len(w) > 3)
        form = said.person if names and not article else said.definition
        asked = form.format(verb=defined["verb"], subject=_inside(subject, article))
        yield _candidate("fact", asked, defined["said"], sentence, language, "definition")
    if language != "en":
        return
    if when := _WHEN.fullmatch(sentence.text):
        subject = _inside(when["subject"], _ARTICLE.match(when["subject"]))
        asked = f"When {when['verb']} {subject} {when['done'].strip()}?"
        yield _candidate("number", asked, when["answer"], sentence, language, "when")
    if many := _HOW_MANY.fullmatch(sentence.text):
        subject = _inside(many["subject"], _ARTICLE.match(many["subject"]))
        verb = {"has": "does", "have": "do", "had": "did"}[many["verb"]]
        asked = f"How many {many['what']} {verb} {subject} have?"
        yield _candidate("number", asked, many["answer"], sentence, language, "how many")


def _is_thing(subject: str, language: str | None) -> bool:
    """Is a sentence's subject a plain noun or name, without a clause or a preposition before it?"""
    bare = _ARTICLE.sub("", subject, count=1)
    small = {w for w in words(bare) if w in stop_words(language or "en")}
    return bool(bare) and len(bare.split()) <= 6 and small <= _OF


def _inside(subject: str, article: re.Match[str] | None) -> str:
    """A subject as it stands in the middle of a question: "The alarm" as "the alarm"."""
    return subject[0].lower() + subject[1:] if article else subject


def _masked(sentence: Quoted, language: str | None) -> Iterator[Candidate]:
    """The sentence with a number, year, date or name left out."""
    said, text = wording(language), sentence.text
    taken: list[tuple[int, int]] = []
    for kind, form, pattern in (
        ("fact", said.date, abouts(language)),
        ("number", said.year, _YEAR),
        ("number", said.number, _NUMBER),
        ("fact", said.name, _NAME),
    ):
        for match in pattern.finditer(text):
            start, end = match.span()
            answer = _bare(match[0])
            if any(a < end and start < b for a, b in taken) or text.count(answer) != 1:
                continue
            if pattern is _YEAR and not _is_dated(text[end:], language):
                continue  # two thousand people are no year
            if pattern in (_YEAR, _NUMBER) and _REFERENCE.search(text[:start]):
                continue
            if pattern is _NAME and not _is_whole(text, start):
                continue
            taken.append((start, end))
            gap = f"{text[:start]}{GAP}{text[start + len(answer) :]}".removesuffix(".")
            yield _candidate(kind, form.format(gap=gap), answer, sentence, language, "gap")


def _is_dated(rest: str, language: str | None) -> bool:
    """Can a number of four digits be a year, by what follows it?"""
    following = re.match(r"[-–\s]*([^\W\d_]+)", rest)
    return following is None or following[1].lower() in stop_words(language or "en")


def _candidate(
    kind: str, question: str, answer: str, sentence: Quoted, language: str | None, how: str
) -> Candidate:
    place = (sentence.document, sentence.start, sentence.end)
    return Candidate(
        kind, question, (answer,), (place,), language, f"rule: {how}",
        section=" > ".join(sentence.path), sentence=sentence.text,
    )  # fmt: skip


# -- follow-ups ----------------------------------------------------------------------------


def dialogues(found: Sequence[Quoted], language: str | None) -> Iterator[Candidate]:
    """A gap in a sentence that begins with a pronoun, after a question about the one before."""
    for sentence in found:
        before = sentence.before
        if before is None or not pronoun_start(sentence.text, language):
            continue
        if not usable(sentence.text) or not usable(before.text):
            continue
        if leaning_start(before.text, language):
            continue
        first = [*_natural(before, language), *_masked(before, language)]
        for candidate in _masked(sentence, language):
            if first:
                opener = first[0]
                history = (
                    Message("user", opener.question),
                    Message("assistant", opener.answers[0]),
                )
                yield Candidate(
                    "dialogue", candidate.question, candidate.answers, candidate.spans, language,
                    "rule: follow-up", candidate.section, history, sentence=sentence.text,
                )  # fmt: skip


# -- several passages, and none --------------------------------------------------------------


def names_in(text: str) -> list[str]:
    """The whole names in a sentence, but for its first word."""
    return [_bare(m[0]) for m in _NAME.finditer(text) if _is_whole(text, m.start())]


def _bare(name: str) -> str:
    """A name without the ending of a genitive."""
    return re.sub(r"['’]s?$|-+$", "", name)


def _is_whole(text: str, start: int) -> bool:
    """Does a name begin here, and not with a word before?"""
    before = text[:start].split()
    return not before or not re.sub(r"^\W+", "", before[-1])[:1].isupper()


def years(found: Sequence[Candidate]) -> list[Candidate]:
    """Those of the candidates that leave out a year."""
    return [c for c in found if c.how == "rule: gap" and _YEAR.fullmatch(c.answers[0])]


def earlier(found: Sequence[Candidate], chance: Random) -> Iterator[Candidate]:
    """Which year is the earlier one: two sentences about the same name, in different sections."""
    by_name: dict[str, list[Candidate]] = {}
    for candidate in found:
        for name in names_in(candidate.sentence):
            by_name.setdefault(name, []).append(candidate)
    used: set[str] = set()
    for name in sorted(by_name, key=lambda n: (len(by_name[n]), n)):
        pairs = list(combinations(by_name[name], 2))
        chance.shuffle(pairs)
        for first, second in pairs[:10]:
            a, b = first.answers[0], second.answers[0]
            apart = (first.spans[0][0], first.section) != (second.spans[0][0], second.section)
            if a == b or not apart or first.language != second.language:
                continue
            if not used.isdisjoint((first.sentence, second.sentence)):
                continue
            used |= {first.sentence, second.sentence}
            one, two = (c.sentence.replace(c.answers[0], GAP).removesuffix(".")
                        for c in (first, second))  # fmt: skip
            yield Candidate(
                "multi-passage", wording(first.language).earlier.format(first=one, second=two),
                (min(a, b),), (first.spans[0], second.spans[0]), first.language,
                "rule: the earlier year", first.section, about=(("shared", name),),
                sentence=f"{first.sentence}\n{second.sentence}",
            )  # fmt: skip


def swapped(
    found: Sequence[Candidate],
    names: Mapping[str | None, Sequence[str]],
    texts: Mapping[int, str],
    chance: Random,
) -> Iterator[tuple[Candidate, str]]:
    """Gaps of sentences in which a name was replaced by one that its document never mentions.

    `names` are those of all documents by language, `texts` the documents' texts. With each comes
    the name that was put in.
    """
    for candidate in found:
        gap = candidate.sentence.replace(candidate.answers[0], GAP).removesuffix(".")
        known = names.get(candidate.language, ())
        own = [n for n in names_in(gap) if n in known and gap.count(n) == 1]
        if candidate.how != "rule: gap" or not own:
            continue
        taken = chance.choice(own)
        size, text = len(taken.split()), texts[candidate.spans[0][0]]
        alike = [n for n in known if len(n.split()) == size and n not in text]
        if alike:
            other = chance.choice(alike)
            yield Candidate(
                "unanswerable", candidate.question.replace(taken, other), (), (),
                candidate.language, "rule: another name", candidate.section,
                sentence=gap.replace(taken, other), about=(("instead of", taken),),
            ), other  # fmt: skip


# -- sections ------------------------------------------------------------------------------


def summaries(number: int, document: Document) -> Iterator[Candidate]:
    """What a section says: to be summed up, or told on its subject."""
    said = wording(document.language)
    for section, start, end in _with_text(document):
        heading = section.path[-1].replace("`", "")
        if not SECTION <= end - start <= MOST_SECTION:
            continue
        for form, how in ((said.summary, "summary"), (said.section, "topic")):
            question = form.format(heading=heading)
            place = " > ".join(section.path[:-1]) or document.title or ""
            yield Candidate(
                "summary", question, (), ((number, start, end),), document.language, f"rule: {how}",
                section=" > ".join(section.path),
                otherwise=said.where.format(question=question, place=place) if place else "",
            )  # fmt: skip


def headed(number: int, document: Document) -> Iterator[Candidate]:
    """Sentences to be put under one of the document's headings."""
    said = wording(document.language)
    found = list(_with_text(document))
    labels = {section.path[-1] for section, _, _ in found}
    if len(labels) < 2:
        return
    for sentence in quoted(number, document):
        if sentence.path and sentence.path[-1] in labels and usable(sentence.text):
            yield Candidate(
                "classification", said.heading.format(text=sentence.text.removesuffix(".")),
                (), ((number, sentence.start, sentence.end),), document.language,
                "rule: heading", section=" > ".join(sentence.path), label=sentence.path[-1],
                about=(("labels", "headings of its document"),),
            )  # fmt: skip


def _with_text(document: Document) -> Iterator[tuple[Section, int, int]]:
    """Sections with a heading and text, and where the text stands."""
    for section in sections(document):
        if section.path and section.blocks and section.heading:
            block = section.heading
            title = heading_title(document.text[block.start : block.end])
            start, end = section.blocks[0].start, section.blocks[-1].end
            stripped = document.text[start:end].rstrip()
            if title and any(b.kind in ("text", "list") for b in section.blocks):
                yield section, start, start + len(stripped)
