"""Passages widened by those beside them in their document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import takewhile
from typing import Any

from ...records import Chunk, ChunkKind, Document, Hit
from ...text.words import highlight
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .scores import named

Span = tuple[int, int]


@dataclass(slots=True)
class _Run:
    """Passages of one document that follow each other, and the best hit among them."""

    hit: Hit
    chunks: list[Chunk]
    matched: list[Span]

    @property
    def span(self) -> Span:
        return min(c.start for c in self.chunks), max(c.end for c in self.chunks)

    @property
    def section(self) -> tuple[int, tuple[str, ...]]:
        return self.hit.document.id, self.hit.chunk.headings[:1]


def neighbours(hits: list[Hit], query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Widen each passage by the passages before and after it: neighbours[:n].

    By one on each side unless n says otherwise; not past a heading of the top level, and not past
    the document. Widened passages of a document that touch become one, at the place of the best
    and with its score; `matched` keeps what was found. A passage put together of parts stays as
    it is. Raises QueryError.
    """
    many = Arguments("neighbours[:n]", argument, "post").whole(0, 1, 100)
    merged: list[dict[str, Any]] = []
    runs: list[_Run] = []
    with searcher.index.database.read():
        document = cache(searcher.index.document)
        for hit in hits:
            run = _Run(hit, _beside(hit, searcher, many), list(hit.matched or hit.chunk.spans))
            for other in [r for r in runs if _touch(r, run, document)]:
                first, second = (other, run) if run.hit is hit else (run, other)
                first.chunks += second.chunks
                first.matched += second.matched
                merged.append({**named(second.hit), "into": named(first.hit)})
                if second in runs:  # the new passage closes the gap between two
                    runs.remove(second)
                run = first
            if run not in runs:
                runs.append(run)
        spoken = searcher.index.passages.view().spoken
        widened = [_widened(run, document(run.hit.document.id), query, spoken) for run in runs]
    with searcher.step("joined with another") as about:
        about["merged"] = merged
    return widened


def _beside(hit: Hit, searcher: Searcher, many: int) -> list[Chunk]:
    """The passage and those beside it in the same top section."""
    found = [hit.chunk]
    if hit.chunk.parts:
        return found
    place = (hit.document.id, hit.chunk.start, hit.chunk.end)
    for side in searcher.index.neighbours(*place, many):
        for chunk in side:  # the nearest first
            if chunk.headings[:1] != hit.chunk.headings[:1]:
                break
            found.append(chunk)
    return found


def _touch(one: _Run, other: _Run, document: Callable[[int], Document]) -> bool:
    """Do two runs of one section overlap, or follow each other with only space between them?"""
    if one.section != other.section or one.hit.chunk.parts or other.hit.chunk.parts:
        return False
    (_, end), (start, _) = sorted((one.span, other.span))
    return not document(one.hit.document.id).text[end:start].strip()


def _widened(run: _Run, document: Document, query: Query, spoken: tuple[str, ...]) -> Hit:
    """One hit for a run: the document's text from its first passage to its last."""
    if run.hit.chunk.parts:
        return run.hit
    start, end = run.span
    first = min(run.chunks, key=lambda c: c.start)
    kinds = {c.kind for c in run.chunks}
    kind: ChunkKind = "table" if "table" in kinds else "code" if kinds == {"code"} else "text"
    pages = [p.number for p in document.pages if p.start < end and p.end > start]
    chunk = replace(
        run.hit.chunk,
        text=document.text[start:end],
        start=start,
        end=end,
        kind=kind,
        prefix=first.prefix,
        headings=_common([c.headings for c in run.chunks]),
        first_page=pages[0] if pages else None,
        last_page=pages[-1] if pages else None,
        context=None,
        position=None,
    )
    marks = tuple((start + a, start + b) for a, b in highlight(chunk.text, query.text, spoken))
    matched = tuple(sorted(set(run.matched)))
    return replace(run.hit, chunk=chunk, highlights=marks, matched=matched, kept=None)


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all of the passages."""
    levels = zip(*paths, strict=False)
    return tuple(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
