"""Which candidates are good questions: findable, answered in one place, and like no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..collection import Collection
from ..models.interface import Matrix
from ..records import Document, Hit
from ..retrieve import embed_query
from ..text import sentences
from ..text.language import detect, detect_query
from ..text.words import query_terms, terms
from .counterfactual import says
from .make_text import GAP, Candidate
from .make_words import LANGUAGES, telling
from .overlap import token_f1, words

__all__ = ["Checks"]

TOP = 10  # ranks in which a question must find its own passage
FREQUENT = 8  # times a name may stand in its document: more often, it is no answer but the subject
SAME_WORDS = 0.8  # share of words in common from which two questions are the same
SAME_MEANING = 0.95  # cosine from which they are
COPIED = 0.85  # F1 with its sentence from which a model's question is that sentence
ELSEWHERE = 0.9  # share of a question's words in another sentence from which that answers it, too
FEWEST = 3  # content words of a question that stands alone
LANGUAGE_WORDS = 6
OPENING = 20  # characters that two definitions of the same thing have in common
FROM_SENTENCES = ("rule: gap", "rule: how many", "rule: when", "rule: another name")
DEEP = 20  # ranks in which an answer to an unanswerable question is looked for
MOSTLY = 0.6

_LEANS = re.compile(  # a question about somebody or something named elsewhere
    r"^(?:what|who|when|where|which|why|how)\s+(?:\w+\s+)?(?:is|are|was|were|do|does|did|has|have|had"
    r"|can|could|will|would|should|must)\s+(?:it|he|she|they|this|that|these|those)\b"
    r"|\b(?:this|that|these|those)\s+(?:\w+\s*)?\?$",
    re.IGNORECASE,
)


class Checks:
    """Keeps what was accepted, to tell near-duplicates."""

    def __init__(self, docs: Collection) -> None:
        self._docs = docs
        self._kept: list[tuple[frozenset[str], Matrix]] = []
        self._asked: set[str] = set()

    def passed(self, candidate: Candidate, document: Document) -> Candidate | str:
        """The candidate as it can be used, perhaps worded more closely; or why it cannot."""
        why = self._formal(candidate, document)
        if why:
            return why
        found = candidate
        if found.kind != "classification":
            checked = self._findable(found, document)
            if isinstance(checked, str):
                return checked
            found = checked
        return self.fresh(found) or found

    def fresh(self, candidate: Candidate) -> str:
        """Why a question is too near to one that was kept, or ""; remembers one that is not.

        A gap is told by its sentence, so that one sentence gives one question of a kind.
        """
        asked = " ".join([*(m.content for m in candidate.history), candidate.question])
        known = frozenset(words(f"{candidate.sentence} {asked}".replace(GAP, " ")))
        if asked in self._asked:
            return "it is the same as another question"
        if any(len(known & other) >= SAME_WORDS * len(known | other) for other, _ in self._kept):
            return "it is nearly the same as another question"
        vector = embed_query(self._docs.embedder, asked)
        if self._kept and candidate.kind != "table":  # cells differ by a word
            nearest = float(max(np.stack([v for _, v in self._kept]) @ vector))
            if nearest >= SAME_MEANING:
                return "it means nearly the same as another question"
        self._kept.append((known, vector))
        self._asked.add(asked)
        return ""

    # -- by itself -------------------------------------------------------------------------

    def _formal(self, candidate: Candidate, document: Document) -> str:
        """What is wrong with the wording, or ""."""
        question, language = candidate.question, candidate.language
        by_model = candidate.how.startswith("model")
        known = candidate.how == "rule: definition" or candidate.kind == "summary"
        fewest = 1 if known else 2 if candidate.kind == "table" else FEWEST
        alone = candidate.kind not in ("dialogue", "multi-passage")
        wrong = {
            'it speaks of "the text" or "the passage"': by_model and telling(question, language),
            "its subject is only a pronoun": by_model and _LEANS.search(question),
            "it has too few words to stand alone": (
                alone and len(_content(_core(candidate), language)) < fewest
            ),
            "it is the passage's own sentence": by_model and _copies(candidate),
            "the answer stands in the question": alone and says(question, candidate.answers),
            "the answer does not stand in its span": not _holds(candidate, document),
            "its answer stands all over the document": _is_frequent(candidate, document),
        }
        first = next((why for why, so in wrong.items() if so), "")
        return first or self._in_language(candidate, question if by_model else candidate.sentence)

    def _in_language(self, candidate: Candidate, text: str) -> str:
        """Whether a question, or what it was made of, is in the document's language."""
        language = candidate.language
        if language is None or len(text.split()) < LANGUAGE_WORDS or candidate.kind in (
            "table", "code", "multi-passage",
        ):  # fmt: skip
            return ""
        others = [language, *(x for x in LANGUAGES if x != language)]
        found = detect_query(text, others)
        if found != language or detect(text) not in (language, None):
            return f"it is not in the document's language ({language})"
        return ""

    # -- among the documents ---------------------------------------------------------------

    def _findable(self, candidate: Candidate, document: Document) -> Candidate | str:
        """The round trip: the question must find its own passage, and no other may answer it."""
        before = " ".join(m.content for m in candidate.history if m.role == "user")
        hits = self._docs.search(f"{before} {candidate.question}".strip(), k=TOP)
        if len(candidate.spans) > 1 and any(_all_over([hit], candidate.spans) for hit in hits):
            return "one passage holds all of it"
        found = _all_over(hits, candidate.spans)
        if found and not self._elsewhere(candidate, hits):
            return candidate
        if candidate.otherwise:
            closer = replace(candidate, question=candidate.otherwise, otherwise="")
            return self._findable(closer, document)
        if not found:
            return f"its passage is not among the first {TOP} found"
        return "another passage answers it as well"

    def _elsewhere(self, candidate: Candidate, hits: Sequence[Hit]) -> bool:
        """Does a sentence or table row elsewhere hold nearly every word of the question?"""
        if candidate.kind in ("summary", "code", "multi-passage", "dialogue"):
            return False
        own = _content(_core(candidate), candidate.language)
        opening = candidate.sentence[:OPENING]
        for hit in hits:
            for text, there, start, end in said_in(hit):
                if any(hit.document.id == d and start < y and x < end
                       for d, x, y in candidate.spans):  # fmt: skip
                    continue
                if candidate.how == "rule: definition" and not text.startswith(opening):
                    continue
                if sum(not g.isdisjoint(there) for g in own) >= ELSEWHERE * len(own):
                    return True
        return False

    def unanswered(self, candidate: Candidate, added: str) -> str:
        """Whether a passage seems to answer a question that none should, or "".

        Looked at is what the question and its core find by words and by meaning. A sentence or row
        that holds nearly all of the question's words answers it, and a passage does that holds
        what was put into the question together with most of the rest.
        """
        own = _content(_core(candidate), candidate.language)
        queries = {candidate.question, _core(candidate)}
        found: dict[int, Hit] = {}
        for query in queries:
            for mode in ("lexical", "dense"):
                found |= {h.chunk_id: h for h in self._docs.search(query, k=DEEP, mode=mode)}
        for hit in found.values():
            passage = set(terms(f"{hit.document.title or ''} {hit.content}", hit.document.language))
            held = sum(not g.isdisjoint(passage) for g in own) / max(len(own), 1)
            if says(hit.content, [added]) and held >= MOSTLY:
                return "a passage may answer it after all"
            for _, there, _, _ in said_in(hit):
                if sum(not g.isdisjoint(there) for g in own) >= ELSEWHERE * len(own):
                    return "a passage may answer it after all"
        return ""


def said_in(hit: Hit) -> Iterator[tuple[str, set[str], int, int]]:
    """(text, its terms, start, end) of every sentence and row of a passage.

    A table row says what its header, caption and headings say as well.
    """
    language = hit.document.language
    around = " ".join((hit.chunk.prefix, *hit.chunk.headings, hit.document.title or ""))
    context = set(terms(around, language)) if hit.chunk.kind == "table" else set()
    text = hit.chunk.text
    for a, b in sentences.split(text, language):
        there = set(terms(text[a:b], language)) | context
        yield text[a:b], there, hit.chunk.place(a), hit.chunk.place(b)


def _all_over(hits: Sequence[Hit], spans: Sequence[tuple[int, int, int]]) -> bool:
    return all(any(_over(hit, span) for hit in hits) for span in spans)


def _over(hit: Hit, span: tuple[int, int, int]) -> bool:
    document, start, end = span
    return hit.document.id == document and any(a < end and start < b for a, b in hit.chunk.spans)


def _holds(candidate: Candidate, document: Document) -> bool:
    """Do the spans hold the answers? Those of other documents were checked when they were made."""
    texts = [document.text[a:b] for _, a, b in candidate.spans[:1]]
    held = " ".join(" ".join(texts).replace(r"\|", "|").replace("`", "").split())
    return candidate.kind == "multi-passage" or all(a in held for a in candidate.answers)


def _core(candidate: Candidate) -> str:
    """What a question is about: of one made from a sentence, all of it but the answer."""
    if candidate.how not in FROM_SENTENCES or not candidate.sentence:
        return candidate.question
    text = candidate.sentence
    for answer in candidate.answers:
        text = text.replace(answer, " ", 1)
    return text.replace(GAP, " ")


def _copies(candidate: Candidate) -> bool:
    """Is a question the sentence it was made of, with a question mark?"""
    if not candidate.sentence:
        return False
    return token_f1(candidate.question, [candidate.sentence], language="en") >= COPIED


def _is_frequent(candidate: Candidate, document: Document) -> bool:
    """Is a name that was left out the subject of the whole document?"""
    if candidate.how != "rule: gap" or any(c.isdigit() for c in candidate.answers[0]):
        return False
    return document.text.count(candidate.answers[0]) > FREQUENT


def _content(text: str, language: str | None) -> list[frozenset[str]]:
    known = [language] if language else []
    return [frozenset(g) for g in query_terms(text.replace(GAP, " "), known) if g]
