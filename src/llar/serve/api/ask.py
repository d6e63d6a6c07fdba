"""Collections as models: `ask:NAME` answers from the documents of the collection NAME.

`ask:NAME@backend:model` chooses the model that writes; without it, the configured one does. The
last message is the question, earlier ones of user and assistant are the history. The answer is
text with [n] behind each sentence and a list of sources at the end. On the message (in streams:
in the last delta but one) stand

- `annotations`: a `url_citation` for each [n], with the span of the mark in the text, the address
  of the page that shows the passage, and under `llar` its n, collection, document, path, title,
  page, start, end (characters of the document's text), quote (verbatim) and recognised (its
  page was read by OCR);
- `llar`: `abstained`, the question as it was searched, the sentences left out as unsupported, and
  `ignored`, which names what of the request had no effect (system messages).

Options of the search are in the request's `llar` (openai: extra_body={"llar": {"k": 4}}).
Refused with 400, because they could have no effect on such an answer: tools, response_format,
n > 1, logprobs, stop, seed, pictures, and every field of sampling but temperature.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from pydantic import Field

from ...collection import Collection
from ...errors import BadRequest, UnknownCollection
from ...records import Answer, Citation, Message, Sentence
from ...text.language import detect_query
from ..state import State
from ..threads import in_thread, iterate
from ..who import Identity
from .body import Ask
from .models import chat_model, unknown

__all__ = [
    "AskOptions",
    "Question",
    "answers",
    "is_ask",
    "marked",
    "opened",
    "recorded",
    "sources",
    "told",
    "url_citations",
]

PREFIX = "ask:"
LONGEST = 32_000  # characters of a question; it is kept in the audit log
Steps = Annotated[str, Field(max_length=500)]  # as --query, --strategy and --post take them
HEADING = {"en": "Sources", "es": "Fuentes", "ca": "Fonts", "hu": "Források"}
PAGE = {"en": "p. {}", "es": "p. {}", "ca": "p. {}", "hu": "{}. o."}

_SOURCES = re.compile(rf"\n\n(?:{'|'.join(HEADING.values())}):\n(?:\[\d+\] .*(?:\n|$))+$")


class AskOptions(Ask):
    """How an `ask:` model searches; what is left out is as configured."""

    k: Annotated[int, Field(ge=1, le=100)] | None = None  # passages to find
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    filters: list[Steps] = Field(default=[], max_length=50)  # conditions like "year>=2023"
    query: Steps | None = None  # before the search
    strategy: Steps | None = None
    post: Steps | None = None  # after the search


@dataclass(frozen=True, slots=True)
class Question:
    """One question to a collection, as somebody asked it."""

    collection: str
    model: str | None
    text: str
    history: tuple[Message, ...]
    options: AskOptions
    max_tokens: int | None
    temperature: float | None


def is_ask(model: str) -> bool:
    """Is it a collection?"""
    return model.startswith(PREFIX)


def opened(state: State, identity: Identity, model: str) -> tuple[Collection, str | None]:
    """The collection that a model's name means, as its asker sees it, and the model that writes.

    Raises UnknownModel, in the same words where it does not exist and where one may not read it.
    """
    name, _, writer = model.removeprefix(PREFIX).partition("@")
    if writer:
        chat_model(state, identity, writer)
    try:
        if name not in state.library.names(identity):
            raise unknown(state, identity, model)
        return state.library.open(name, identity), writer or None
    except UnknownCollection:
        raise unknown(state, identity, model) from None


async def answers(
    state: State, identity: Identity, collection: Collection, question: Question
) -> AsyncGenerator[Sentence | Answer, None]:
    """As `recorded`, with the paths of documents that people are shown, without our folders."""
    check_options(question.options, state)
    shown = await in_thread(state.library.shown, question.collection)
    found = recorded(state, identity, collection, question)
    async with contextlib.aclosing(found):
        async for event in found:
            yield _as_shown(event, shown) if isinstance(event, Answer) else event


async def recorded(
    state: State, identity: Identity, collection: Collection, question: Question
) -> AsyncGenerator[Sentence | Answer, None]:
    """Each sentence that was checked, then the answer. The question is recorded in any case."""
    found: Answer | None = None
    o = question.options

    def begin() -> Iterator[Sentence | Answer]:
        return collection.ask_stream(
            question.text,
            model=question.model,
            history=question.history,
            k=o.k or 8,
            mode=o.mode,
            filters=o.filters,
            query=o.query,
            strategy=o.strategy,
            post=o.post,
            max_tokens=question.max_tokens,
            temperature=question.temperature,
        )

    stream = iterate(begin)
    try:
        async for event in stream:
            if isinstance(event, Answer):
                found = event
            else:
                yield event
    finally:
        await stream.aclose()
        await in_thread(_record, state, identity, question, found)
    if found is not None:
        yield found


def _record(state: State, identity: Identity, question: Question, answer: Answer | None) -> None:
    """Write into the audit log who asked what, and which documents answered."""
    cited = {c.document.id: c.document.path for c in answer.citations} if answer else {}
    detail = "broken off" if answer is None else "abstained" if answer.abstained else ""
    state.audit.record(
        identity, "ask", collection=question.collection, question=question.text,
        documents=list(cited.items()), detail=detail,
    )  # fmt: skip


def check_options(options: AskOptions, state: State) -> None:
    """Raises BadRequest for a step that reads a file of the server, unless it is configured."""
    for step in (options.query or "").split(","):
        if step.strip().startswith("ontology") and step.strip() not in state.config.query:
            raise BadRequest(
                "the step 'ontology' reads a file of the server; it can only be configured there",
                param="llar.query", code="unsupported_value",
            )  # fmt: skip


def earlier(text: str) -> str:
    """An answer of before, as history: without its list of sources."""
    return _SOURCES.sub("", text)


def marked(sentence: Sentence) -> str:
    """A sentence with its marks."""
    return f"{sentence.text} " + "".join(f"[{n}]" for n in sentence.citations)


def sources(answer: Answer) -> str:
    """The list of sources below an answer, in the question's language; "" where there is none."""
    if not answer.citations or answer.abstained:
        return ""
    language = detect_query(answer.question, list(HEADING)) or "en"
    lines = [f"[{c.n}] {_named(c, language)}" for c in answer.citations]
    return f"\n\n{HEADING[language]}:\n" + "\n".join(lines)


def url_citations(answer: Answer, collection: str, base: str) -> list[dict[str, Any]]:
    """A url_citation for each mark of the answer's text; `base` is the server's address."""
    by_number = {c.n: c for c in answer.citations}
    found, at = [], 0
    for sentence in answer.sentences:
        if not sentence.supported:
            continue
        at += len(sentence.text) + 1
        for n in sentence.citations:
            end = at + len(f"[{n}]")
            found.append(_annotation(by_number[n], at, end, collection, base))
            at = end
        at += 1  # the space before the next sentence
    return found


def told(answer: Answer, ignored: list[str]) -> dict[str, Any]:
    """What programs want to know of an answer besides its text."""
    return {
        "abstained": answer.abstained,
        "question": answer.question,
        "model": answer.model,
        "unsupported": [
            {"text": s.text, "reason": s.reason} for s in answer.sentences if not s.supported
        ],
        "timings": dict(answer.timings),
        "ignored": ignored,
    }


def _as_shown(answer: Answer, shown: Callable[[str], str]) -> Answer:
    cited = (
        replace(c, document=replace(c.document, path=shown(c.document.path)))
        for c in answer.citations
    )
    return replace(answer, citations=tuple(cited))


def _named(citation: Citation, language: str) -> str:
    name = " ".join(citation.document.name.split())
    return name if citation.page is None else f"{name}, {PAGE[language].format(citation.page)}"


def _annotation(c: Citation, start: int, end: int, collection: str, base: str) -> dict[str, Any]:
    place = f"{base}/document/{quote(collection, safe='')}/{c.document.id}"
    marked = {"start": c.start, "end": c.end} | ({} if c.page is None else {"page": c.page})
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": start,
            "end_index": end,
            "url": f"{place}?{urlencode(marked)}",
            "title": c.document.name,
        },
        "llar": {
            "n": c.n,
            "collection": collection,
            "document": c.document.id,
            "path": c.document.path,
            "title": c.document.title,
            "page": c.page,
            "start": c.start,
            "end": c.end,
            "quote": c.quote,
            "recognised": c.document.is_recognised(c.page),
        },
    }
