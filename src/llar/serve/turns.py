"""What a conversation is made of, as it is kept: questions with their answers and judgements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..records import Answer, Hit, Sentence, Source, to_json

State = Literal["writing", "done", "stopped", "failed"]
Verdict = Literal["up", "down"]

NEAREST = 4  # passages kept with an answer, for when it is "not found"
_SHOWN = 700  # characters of each that are shown; the document is one click away


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation of a user. `collection` is "" for a model without documents."""

    id: str
    title: str
    collection: str
    model: str
    created: str  # ISO 8601, UTC
    updated: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what came of it.

    `answer` is as `kept` makes it; while the answer is being written, it holds the sentences so
    far. `error` says why it failed.
    """

    id: int
    conversation: str
    question: str
    collection: str
    model: str
    state: State
    answer: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    created: str = ""
    verdict: Verdict | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user thought of an answer; `sources` are the spans that it cited."""

    id: int
    user: str
    collection: str
    question: str  # as it was looked up, complete without the conversation
    answer: str
    verdict: Verdict
    comment: str
    sources: tuple[dict[str, Any], ...]  # document (id), name, page, start, end, quote
    created: str


def kept(answer: Answer) -> dict[str, Any]:
    """An answer as JSON, without the prompt, the steps and where files are on the server."""
    return {
        "looked_up": answer.question,
        "text": answer.answer,
        "abstained": answer.abstained,
        "sentences": [sentence(s) for s in answer.sentences],
        "citations": [
            {
                "n": c.n,
                **_source(c.document, c.page),
                "start": c.start,
                "end": c.end,
                "quote": c.quote,
            }
            for c in answer.citations
        ],
        "nearest": [_passage(h) for h in answer.hits[:NEAREST]],
        "headings": _headings(answer),
        "model": answer.model,
        "usage": to_json(answer.usage),
        "seconds": round(sum(answer.timings.values()), 2),
        "asked_model": bool(answer.prompt),
    }


def sentence(s: Sentence) -> dict[str, Any]:
    """A sentence as JSON."""
    found: dict[str, Any] = to_json(s)
    return found


def _source(document: Source, page: int | None) -> dict[str, Any]:
    return {
        "document": document.id,
        "name": document.name,
        "format": document.format,
        "language": document.language,
        "page": page,
        "recognised": document.is_recognised(page),
    }


def _passage(hit: Hit) -> dict[str, Any]:
    text = hit.chunk.text
    return {
        **_source(hit.document, hit.chunk.first_page),
        "start": hit.chunk.start,
        "end": hit.chunk.end,
        "headings": list(hit.chunk.headings),
        "text": text[:_SHOWN] + ("…" if len(text) > _SHOWN else ""),
    }


def _headings(answer: Answer) -> list[str]:
    """The sections that passages found stand in, the best first, each once."""
    found = [h.chunk.headings[-1].strip() for h in answer.hits if h.chunk.headings]
    return list(dict.fromkeys(h for h in found if h))[:6]
