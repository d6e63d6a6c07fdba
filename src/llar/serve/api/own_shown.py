"""Records of the library as llar's own endpoints give them: no paths of the server in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...records import Answer, Citation, Computed, Hit, Source, Step, to_json
from ...retrieve import Result
from ..job_records import Job
from .own_models import (
    AnswerShown,
    CitationShown,
    ComputedShown,
    Found,
    HitShown,
    JobShown,
    SearchResult,
    Sent,
    SentenceShown,
    StepShown,
    Tokens,
)

Names = Callable[[str], str]


def job(found: Job) -> JobShown:
    """A job."""
    return JobShown.model_validate(found)


def source(document: Source, names: Names) -> Found:
    """A document that a hit or citation is from."""
    path = names(document.path)
    return Found(
        id=document.id,
        path=path,
        name=document.title or path.rsplit("/", 1)[-1],
        title=document.title,
        format=document.format,
        language=document.language,
        date=document.date,
    )


def hit(found: Hit, names: Names) -> HitShown:
    """A passage that was found."""
    chunk = found.chunk
    return HitShown(
        document=source(found.document, names),
        page=chunk.first_page,
        last_page=chunk.last_page,
        headings=list(chunk.headings),
        kind=chunk.kind,
        start=chunk.start,
        end=chunk.end,
        spans=list(chunk.spans),
        prefix=chunk.prefix,
        text=chunk.text,
        highlights=list(found.highlights),
        score=_finite(found.score),
        parts={name: _finite(value) for name, value in found.parts.items()},
        chunk_id=found.chunk_id,
    )


def search(result: Result, names: Names, *, explain: bool) -> SearchResult:
    """What a search found."""
    return SearchResult(
        hits=[hit(h, names) for h in result.hits],
        query=result.query.text,
        computed=[_computed(c) for c in result.computed],
        steps=steps(result.steps) if explain else None,
    )


def answer(found: Answer, names: Names, *, explain: bool) -> AnswerShown:
    """An answer."""
    return AnswerShown(
        question=found.question,
        answer=found.answer,
        abstained=found.abstained,
        sentences=[SentenceShown.model_validate(s) for s in found.sentences],
        citations=[_citation(c, names) for c in found.citations],
        hits=[hit(h, names) for h in found.hits],
        model=found.model,
        usage=Tokens.model_validate(found.usage),
        timings=dict(found.timings),
        steps=steps(found.steps) if explain else None,
        prompt=[Sent.model_validate(m) for m in found.prompt] if explain else None,
    )


def steps(found: Sequence[Step]) -> list[StepShown]:
    """The steps of a search; numbers that JSON cannot say are null."""
    return [StepShown(name=s.name, seconds=s.seconds, about=_plain(s.about)) for s in found]


def _citation(c: Citation, names: Names) -> CitationShown:
    return CitationShown(
        n=c.n,
        document=source(c.document, names),
        page=c.page,
        start=c.start,
        end=c.end,
        quote=c.quote,
    )


def _computed(c: Computed) -> ComputedShown:
    return ComputedShown(text=c.text, value=c.value, how=c.how)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """As JSON: plain dicts and lists, and null for what is no finite number."""
    value = to_json(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, str | int | bool) or value is None:
        return value
    return str(value)
