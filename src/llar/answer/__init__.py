"""A question to an answer with true citations, or an honest "not in these documents".

search -> evidence (sentences and rows, ranked) -> prompt -> model -> check, sentence by sentence.
Only checked sentences are shown; where none survives, the best quotes are the answer, and where
there is no evidence there is none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from ..config import Config
from ..index.index import Index
from ..index.lexical import Lexical
from ..models.interface import ChatModel, Embedder, Options
from ..records import Answer, Citation, Computed, Hit, Message, Piece, Sentence, Step, Usage
from ..retrieve import Result
from ..retrieve.post.order import unmoved
from ..text import sentences
from ..text.language import detect_query
from . import evidence as evidences
from .check import is_copy, support
from .evidence import Evidence, cells
from .followup import Reading, leans, read
from .prompt import Prompt, build

ASKED = 0.6  # weight of a leaning question by itself, beside it with the one before
NEARLY = 0.9  # share of the best quote's score that lets a second quote stand beside it
ASTRAY = 2  # unsupported sentences in a row after which the model is stopped
RELEVANT = 0.8  # a sentence's evidence must score at least this share of the best

NOT_FOUND = {
    "en": "Not found in these documents.",
    "es": "No se encuentra en estos documentos.",
    "ca": "No es troba en aquests documents.",
    "hu": "Ezekben a dokumentumokban nem található.",
}

Search = Callable[[str], Result]

_MARKER = re.compile(r"^(?:[-*+•▪‣◦–]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+(?=\S)")
_ROLE = re.compile(r":[a-z][\w:+.-]*:`~?([^`<>]+?)(?:\s*<[^`<>]*>)?`")


@dataclass(slots=True)
class _Draft:
    """An answer in the making."""

    sentences: list[Sentence] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    prompt: tuple[Message, ...] = ()
    steps: list[Step] = field(default_factory=list)
    computed: tuple[Computed, ...] = ()  # by the latest search

    def looked_up(self, found: Result) -> list[Hit]:
        """The hits of a search, whose steps are kept, and what it computed."""
        self.steps += found.steps
        self.computed = found.computed
        return found.hits

    def cites(self, e: Evidence) -> bool:
        """Is this span among the citations?"""
        return any(
            (c.document, c.start, c.end) == (e.hit.document, e.start, e.end) for c in self.citations
        )

    def cite(self, found: Sequence[Evidence]) -> tuple[int, ...]:
        """The numbers of the citations for these spans, made where they are new."""
        return tuple(
            self._number(Citation(0, e.hit.document, e.page, e.start, e.end, e.text)) for e in found
        )

    def cite_whole(self, hits: Sequence[Hit]) -> tuple[int, ...]:
        """The same for passages as they are."""
        return tuple(
            self._number(Citation(0, h.document, c.first_page, c.start, c.end, c.text))
            for h in hits
            for c in [h.chunk]
        )

    def _number(self, new: Citation) -> int:
        """The number of a citation; the one it has where the same span is cited already."""
        for c in self.citations:
            if (c.document, c.start, c.end) == (new.document, new.start, new.end):
                return c.n
        self.citations.append(replace(new, n=len(self.citations) + 1))
        return len(self.citations)


def stream(
    question: str,
    *,
    search: Search,
    index: Index,
    chat: ChatModel,
    embedder: Embedder,
    config: Config,
    history: Sequence[Message] = (),
) -> Iterator[Sentence | Answer]:
    """Each sentence as soon as it is written and checked, then the whole Answer."""
    draft = _Draft()

    reading = Reading(question, question)
    with _timed(draft, "search"):
        hits, ranked, answerable = _looked_up(reading, search, index, embedder, draft)
    if history and (leans(question) or not (answerable or draft.computed)):
        with _timed(draft, "rewrite"):
            reading = read(question, history, chat, config)
        with _timed(draft, "search"):
            hits, ranked, answerable = _looked_up(reading, search, index, embedder, draft)
    question = reading.whole
    if draft.computed and not reading.leans:
        yield from _computed(draft)
    elif answerable:
        yield from _written(question, hits, ranked, draft, chat, embedder, config)
        if not any(s.supported for s in draft.sentences):
            yield from _quoted(ranked[:2], draft)
        elif not draft.cites(ranked[0]):  # what the model chose must not hide the best evidence
            yield from _quoted(ranked[:1], draft)
    yield _finish(question, hits, draft, chat, index)


def _looked_up(
    reading: Reading, search: Search, index: Index, embedder: Embedder, draft: _Draft
) -> tuple[list[Hit], list[Evidence], bool]:
    """The passages for a question, their evidence, best first, and whether it answers."""

    def ranked(question: str, hits: list[Hit]) -> list[Evidence]:
        lexical = Lexical(index, evidences.question_groups(question, hits))
        return evidences.rank(question, evidences.collect(hits), lexical, embedder)

    def answers(hits: list[Hit], found: list[Evidence]) -> bool:
        lexical = Lexical(index, evidences.question_groups(reading.whole, hits))
        return evidences.answerable(reading.whole, found, lexical, embedder)

    hits = draft.looked_up(search(reading.whole))
    if not reading.leans:
        found = ranked(reading.whole, hits)
        return hits, found, answers(hits, found)
    hits = unmoved(hits)  # two searches become one ranking, which is the order to read in
    known = {h.chunk_id for h in hits}
    asked = unmoved(draft.looked_up(search(reading.asked)))
    hits += [h for h in asked if h.chunk_id not in known]
    whole = {(e.passage, e.start): e for e in ranked(reading.whole, hits)}
    mixed = [_mixed(e, whole[e.passage, e.start]) for e in ranked(reading.asked, hits)
             if (e.passage, e.start) in whole]  # fmt: skip
    mixed.sort(key=lambda e: -e.score)
    order = {e.passage: i for i, e in reversed(list(enumerate(mixed)))}  # passage -> best place
    numbers = sorted(order, key=lambda n: order[n])
    place = {n: i + 1 for i, n in enumerate(numbers)}
    rest = [h for n, h in enumerate(hits, 1) if n not in place]
    hits = [hits[n - 1] for n in numbers] + rest
    mixed = [replace(e, passage=place[e.passage]) for e in mixed]
    return hits, mixed, answers(hits, mixed)


def _mixed(asked: Evidence, whole: Evidence) -> Evidence:
    """A span scored for a leaning question by itself and with the one before."""
    score = ASKED * asked.score + (1 - ASKED) * whole.score
    covered = ASKED * asked.covered + (1 - ASKED) * whole.covered
    return replace(asked, score=score, covered=covered)


def _written(
    question: str,
    hits: Sequence[Hit],
    ranked: Sequence[Evidence],
    draft: _Draft,
    chat: ChatModel,
    embedder: Embedder,
    config: Config,
) -> Iterator[Sentence]:
    """What the model writes, checked sentence by sentence."""
    prompt = build(question, hits, chat, config)
    draft.prompt = prompt.messages
    usable = [e for e in ranked if e.passage in prompt.numbers and e.shown]
    options = Options(max_tokens=config.max_answer_tokens, temperature=config.temperature)
    said: set[str] = set()
    language = hits[0].document.language
    with _timed(draft, "generate"), closing(chat.stream(prompt.messages, options)) as pieces:
        for text in _whole_sentences(pieces, prompt, draft, chat, language):
            yield from _checked(text, question, usable, draft, embedder, said)
            if _astray(draft.sentences):
                break


def _whole_sentences(
    pieces: Iterator[Piece], prompt: Prompt, draft: _Draft, chat: ChatModel, language: str | None
) -> Iterator[str]:
    """Each sentence as soon as the next one begins; counts what was used, stopped early or not."""
    text = written = ""
    try:
        for piece in pieces:
            text, written = text + piece.text, written + piece.text
            draft.usage = piece.usage or draft.usage
            spans = sentences.split(text, language)
            for start, end in spans[:-1]:
                yield text[start:end].strip()
            text = text[spans[-1][0] :] if spans else text
        if text.strip():
            yield text.strip()
    finally:
        if not draft.usage.prompt_tokens:
            draft.usage = Usage(prompt.tokens, chat.count_tokens(written))


def _astray(sentences: Sequence[Sentence]) -> bool:
    """Is the model no longer saying what the passages say? Then waiting for more is in vain."""
    last = [s.supported for s in sentences[-ASTRAY:]]
    return len(last) == ASTRAY and not any(last)


def _checked(
    text: str,
    question: str,
    ranked: Sequence[Evidence],
    draft: _Draft,
    embedder: Embedder,
    said: set[str],
) -> Iterator[Sentence]:
    if not text or "NOT FOUND" in text:
        return
    found = support(text, question, ranked, embedder)
    evidence = found.evidence
    if evidence and is_copy(text, evidence):
        text = readable(evidence)
    if text.casefold() in said:
        sentence = Sentence(text, False, (), "it was said before")
    elif not evidence:
        sentence = Sentence(text, False, (), found.reason)
    elif evidence.score < ranked[0].score * RELEVANT:
        sentence = Sentence(text, False, (), "it is beside the question")
    else:
        sentence = Sentence(text, True, draft.cite([evidence]))
    said.add(text.casefold())
    draft.sentences.append(sentence)
    yield sentence


def _computed(draft: _Draft) -> Iterator[Sentence]:
    """What the search worked out, cited by all that went in; the model has no part in it."""
    for found in draft.computed:
        sentence = Sentence(found.text, True, draft.cite_whole(found.hits), computed=True)
        draft.sentences.append(sentence)
        yield sentence


def _quoted(ranked: Sequence[Evidence], draft: _Draft) -> Iterator[Sentence]:
    """These spans as sentences of the answer, where they are nearly as good as the first."""
    for e in ranked:
        if e.score >= NEARLY * ranked[0].score:
            sentence = Sentence(readable(e), True, draft.cite([e]))
            draft.sentences.append(sentence)
            yield sentence


def readable(e: Evidence) -> str:
    """A quote for reading: prose without marks of lists and of reStructuredText's roles, a table
    row with the names of its columns."""
    if not e.header:
        return _ROLE.sub(r"\1", _MARKER.sub("", " ".join(e.text.split())))
    header, values = cells(e.header), cells(e.text)
    named = zip(header[1:], values[1:], strict=False)
    return f"{values[0]}: " + "; ".join(f"{h}: {c}" if h else c for h, c in named if c)


def _finish(
    question: str, hits: Sequence[Hit], draft: _Draft, chat: ChatModel, index: Index
) -> Answer:
    kept = [s for s in draft.sentences if s.supported]
    marks = [f"{s.text} " + "".join(f"[{n}]" for n in s.citations) for s in kept]
    answer = " ".join(marks)
    if not kept:
        answer = NOT_FOUND.get(detect_query(question, list(NOT_FOUND)) or "en", NOT_FOUND["en"])
    return Answer(
        question=question,
        answer=answer,
        abstained=not kept,
        sentences=tuple(draft.sentences),
        citations=tuple(_on_its_page(c, index) for c in draft.citations),
        hits=tuple(hits),
        model=chat.name,
        usage=draft.usage,
        timings=draft.timings,
        prompt=draft.prompt,
        steps=tuple(draft.steps),
    )


def _on_its_page(citation: Citation, index: Index) -> Citation:
    """The citation with the page that its quote begins on: a passage may begin on one before."""
    if citation.page is None:
        return citation
    page = index.page_at(citation.document.id, citation.start)
    return replace(citation, page=page or citation.page)


@contextmanager
def _timed(draft: _Draft, step: str) -> Iterator[None]:
    """Adds the seconds of a with-block to a draft's timings."""
    start = time.perf_counter()
    try:
        yield
    finally:
        spent = time.perf_counter() - start
        draft.timings[step] = round(draft.timings.get(step, 0.0) + spent, 4)
