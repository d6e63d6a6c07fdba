"""Does an answer rest on the documents, and on the right places in them?

Two kinds of checker stand beside each other: llar's own (words, numbers, negation and meaning; no
model that writes is asked) and a model as the judge. A reply of the judge that is not understood
counts as invalid: its item stays in the figure, with no value and the reply as the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..answer import evidence as evidences
from ..answer.check import support
from ..answer.prompt import passages
from ..config import Config
from ..errors import ContextTooLong, EvaluationError
from ..models.interface import ChatModel, Embedder, Options
from ..prompts import harmless, render
from ..records import Answer, Hit, Source
from ..retrieve import embed_query
from ..text import sentences
from .judge import ask
from .semantic import embed_texts

__all__ = [
    "Figure",
    "Gold",
    "Item",
    "Quality",
    "abstention",
    "answer_relevance",
    "citations",
    "context_precision",
    "context_recall",
    "context_relevance",
    "faithfulness",
    "judged_context_relevance",
    "judged_faithfulness",
    "statements",
]

MATTERS = 0.55  # cosine to the question from which a sentence matters
QUESTION_TOKENS = 60
LIST_TOKENS = 80

_MARK = r"\[\d+(?:\s*[,;]\s*\d+)*\]"
_MARKS = re.compile(rf"(?:^|\s+|(?<=[.!?,;:)\]])){_MARK}(?:\s*{_MARK})*")
_NUMBERS = re.compile(r"\W*\d+(?:(?:\s*[,;.]\s*|\s+(?:and\s+)?)\d+)*\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Gold:
    """Where the answer to a question stands: a document, and a span of its text where known."""

    document: str
    start: int | None = None
    end: int | None = None

    def __post_init__(self) -> None:
        if self.start is None and self.end is None:
            return
        if self.start is None or self.end is None or not 0 <= self.start < self.end:
            raise EvaluationError(
                f"the gold span of {self.document!r} must have a start and an end behind it, got "
                f"{self.start!r} and {self.end!r}"
            )


@dataclass(frozen=True, slots=True)
class Quality:
    """Precision, recall and their harmonic mean; None where there was nothing to measure."""

    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was looked at: its value from 0 to 1, None where the judge was not
    understood, and why."""

    text: str
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean of the items that have a value (None without any), and how many have none."""

    value: float | None
    counted: int
    invalid: int
    items: tuple[Item, ...] = ()


Name = Callable[[Source], str]


def _path(source: Source) -> str:
    return source.path


# --- without a judge


def abstention(outcomes: Iterable[tuple[bool, bool]]) -> Quality:
    """How well a system knows what it cannot answer.

    `outcomes` are (did it abstain, is there no answer) for each question. Precision: how many of
    the abstentions were right; recall: how many of the unanswerable questions were declined.
    Recall is None without unanswerable questions, precision only without abstentions as well.
    """
    pairs = list(outcomes)
    right = sum(said and none for said, none in pairs)
    declined, unanswerable = sum(said for said, _ in pairs), sum(none for _, none in pairs)
    return _quality(right, declined, right, unanswerable)


def citations(answer: Answer, golds: Sequence[Gold], *, name: Name = _path) -> Quality:
    """How many of an answer's citations are right, and how many of the gold places they cover.

    A citation is right where it overlaps a gold span of the same document, or is of the gold
    document where no span is known. `name` tells what the golds call a document, its path if not
    given. An answer that cites nothing has a precision of 0; without golds all is None.
    """
    cited = [_Place(name(c.document), ((c.start, c.end),)) for c in answer.citations]
    right = sum(any(_meets(c, g) for g in golds) for c in cited)
    covered = sum(any(_meets(c, g) for c in cited) for g in golds)
    return _quality(right, len(cited), covered, len(golds)) if golds else _NOTHING


def context_recall(
    hits: Sequence[Hit], golds: Sequence[Gold], *, name: Name = _path
) -> float | None:
    """The share of the gold places that the passages hold, None without golds.

    A gold span counts by the share of its characters that stand in the passages as a model is
    shown them, a gold document wholly or not at all.
    """
    if not golds:
        return None
    shown = [_Place(name(h.document), _spans(h)) for h in hits]
    return sum(_held(shown, gold) for gold in golds) / len(golds)


def context_precision(
    hits: Sequence[Hit], golds: Sequence[Gold], *, name: Name = _path
) -> float | None:
    """The share of the passages that hold something of a gold place, None without golds.

    No passages at all give 0.
    """
    if not golds:
        return None
    shown = [_Place(name(h.document), _spans(h)) for h in hits]
    return sum(any(_meets(s, g) for g in golds) for s in shown) / len(shown) if shown else 0.0


def statements(
    answer: Answer | str, *, removed: bool = False, language: str | None = None
) -> list[str]:
    """The sentences of an answer, without citation marks.

    Of an Answer those shown, with `removed` also those that llar itself took out; `language`
    (ISO 639-1) helps to split a text.
    """
    if isinstance(answer, Answer):
        return [s.text for s in answer.sentences if s.supported or removed]
    text = _MARKS.sub("", answer)
    return [text[start:end].strip() for start, end in sentences.split(text, language)]


def faithfulness(
    said: Sequence[str], hits: Sequence[Hit], embedder: Embedder, *, question: str = ""
) -> Figure:
    """The share of the sentences `said` that a passage supports, by llar's own check.

    The check is the one that `ask` shows sentences by (llar.answer.check), so what it showed
    scores 1 by construction: measure with `statements(answer, removed=True)` what the model
    wrote, or another system's answers, or take `judged_faithfulness`.
    """
    found = evidences.collect(hits)
    items = []
    for sentence in said:
        checked = support(sentence, question, found, embedder)
        items.append(Item(sentence, float(checked.evidence is not None), checked.reason))
    return _figure(items)


def context_relevance(
    question: str, hits: Sequence[Hit], embedder: Embedder, *, least: float = MATTERS
) -> Figure:
    """The share of the passages' sentences and rows that come near the question in meaning.

    A sentence matters whose cosine to the question is at least `least`. The default parts
    sentences that hold the answer from their neighbours best with all-MiniLM-L6-v2 (XQuAD:
    balanced accuracy 0.78 in English, 0.70 in Spanish; bench/metrics.py); another embedder has
    another scale of cosines.
    """
    found = evidences.collect(hits)
    if not found:
        return _figure([])
    cosines = embed_texts(embedder, [e.text for e in found]) @ embed_query(embedder, question)
    return _figure(
        [
            Item(e.text, float(cosine >= least), f"cosine {cosine:.2f}")
            for e, cosine in zip(found, cosines.tolist(), strict=True)
        ]
    )


# --- with a judge


def judged_faithfulness(
    said: Sequence[str], hits: Sequence[Hit], chat: ChatModel, config: Config
) -> Figure:
    """The share of the sentences `said` that the passages support, by a judge's yes or no.

    One question to the judge for each sentence (faithfulness of RAGAS, Es et al. 2023). Passages
    that do not fit the judge's context make the item invalid; nothing is cut.
    """
    shown = passages(hits)
    items = []
    for sentence in said:
        messages = render(config, "judge-support", passages=shown, statement=harmless(sentence))
        try:
            verdict, reply = ask(chat, messages)
        except ContextTooLong as e:
            verdict, reply = None, e.message
        items.append(Item(sentence, None if verdict is None else float(verdict), reply))
    return _figure(items)


def judged_context_relevance(
    question: str, hits: Sequence[Hit], chat: ChatModel, config: Config
) -> Figure:
    """The share of the passages' sentences that a judge chose as helping to answer the question.

    One question to the judge for each passage (context relevance of RAGAS, Es et al. 2023).
    Where it names none or any sentence that is not there, or writes something else, all of the
    passage's sentences are invalid.
    """
    items = []
    for hit in hits:
        found = [" ".join(e.text.split()) for e in evidences.collect([hit])]
        if found:
            chosen, reply = _chosen(question, found, chat, config)
            for n, text in enumerate(found, 1):
                items.append(Item(text, None if chosen is None else float(n in chosen), reply))
    return _figure(items)


def _chosen(
    question: str, found: Sequence[str], chat: ChatModel, config: Config
) -> tuple[set[int] | None, str]:
    """The numbers of the sentences that the judge chose, None where that is not clear."""
    listed = harmless("\n".join(f"{n}. {text}" for n, text in enumerate(found, 1)))
    messages = render(config, "judge-relevant", question=harmless(question), sentences=listed)
    try:
        reply = chat.chat(messages, Options(max_tokens=LIST_TOKENS)).text
    except ContextTooLong as e:
        return None, e.message
    if re.fullmatch(r"\W*none\W*", reply, re.IGNORECASE):
        return set(), reply
    numbers = {int(n) for n in re.findall(r"\d+", reply)} if _NUMBERS.fullmatch(reply) else set()
    there = numbers and numbers <= set(range(1, len(found) + 1))
    return (numbers if there else None), reply


def answer_relevance(
    question: str,
    answer: str,
    chat: ChatModel,
    embedder: Embedder,
    config: Config,
    *,
    count: int = 3,
    seed: int = 0,
) -> Figure:
    """How well the question can be told from the answer (RAGAS, Es et al. 2023).

    The model writes `count` questions that the answer answers, at temperature 0.7; the figure is
    their mean cosine to the question, cosines below 0 as 0. A reply without a question in it is
    invalid. A blank answer counts 0 without asking.
    """
    text = _MARKS.sub("", answer).strip()
    if not text:
        return _figure([Item("", 0.0, "there is no answer")])
    asked: list[tuple[str, str]] = []
    for i in range(count):
        messages = render(config, "judge-question", answer=harmless(text))
        options = Options(max_tokens=QUESTION_TOKENS, temperature=0.7, seed=seed + i)
        try:
            reply = chat.chat(messages, options).text
        except ContextTooLong as e:
            asked.append(("", e.message))
            continue
        lines = (line.strip() for line in reply.splitlines())
        asked.append((next((line for line in lines if "?" in line or "？" in line), ""), reply))
    vectors = embed_texts(embedder, [question, *(q for q, _ in asked if q)])
    cosines = iter((vectors[1:] @ vectors[0]).tolist())
    return _figure([Item(q, min(1.0, max(0.0, next(cosines))) if q else None, reply)
                    for q, reply in asked])  # fmt: skip


# --- places


@dataclass(frozen=True, slots=True)
class _Place:
    """Spans of a document."""

    document: str
    spans: tuple[tuple[int, int], ...]


def _spans(hit: Hit) -> tuple[tuple[int, int], ...]:
    """What of its document a model is shown of a hit."""
    return hit.chunk.spans if hit.kept is None else hit.kept


def _meets(place: _Place, gold: Gold) -> bool:
    if place.document != gold.document:
        return False
    if gold.start is None or gold.end is None:
        return True
    return any(a < gold.end and gold.start < b for a, b in place.spans)


def _held(shown: Sequence[_Place], gold: Gold) -> float:
    """The share of a gold place that is shown."""
    of_document = [place for place in shown if place.document == gold.document]
    if gold.start is None or gold.end is None:
        return float(any(_meets(place, gold) for place in of_document))
    covered, upto = 0, gold.start
    for a, b in sorted(span for place in of_document for span in place.spans):
        first, last = max(a, upto), min(b, gold.end)
        if first < last:
            covered, upto = covered + last - first, last
    return covered / (gold.end - gold.start)


_NOTHING = Quality(None, None, None)


def _quality(right: int, said: int, found: int, wanted: int) -> Quality:
    if not said and not wanted:
        return _NOTHING
    precision = right / said if said else 0.0
    if not wanted:
        return Quality(precision, None, None)
    recall = found / wanted
    both = precision + recall
    return Quality(precision, recall, 2 * precision * recall / both if both else 0.0)


def _figure(items: Sequence[Item]) -> Figure:
    values = [item.value for item in items if item.value is not None]
    value = sum(values) / len(values) if values else None
    return Figure(value, len(values), len(items) - len(values), tuple(items))
