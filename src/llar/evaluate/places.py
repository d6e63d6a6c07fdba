"""Where the spans of questions stand in a collection now: checked, or found where they moved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..index.index import Index
from .questions import Question, Span

__all__ = ["Place", "Places", "locate"]


@dataclass(frozen=True, slots=True)
class Place:
    """A span that stands in the collection: characters of a document's text."""

    document: int
    start: int
    end: int


@dataclass(slots=True)
class Places:
    """What the questions' spans and documents are in one collection.

    `lost` are spans and documents that are not there: they count as never found, and `moved`
    spans that stand elsewhere by now and are looked for there. Both are told, by question.
    """

    spans: dict[str, tuple[Place, ...]] = field(default_factory=dict)  # by question's id
    gains: dict[str, dict[int, float]] = field(default_factory=dict)  # by document's id
    lost: dict[str, list[str]] = field(default_factory=dict)  # question's id -> what and why
    moved: dict[str, list[str]] = field(default_factory=dict)

    def missing(self, question: Question) -> int:
        """How many of a question's spans or documents are not in the collection."""
        return len(self.lost.get(question.id, ()))


def locate(index: Index, questions: Iterable[Question]) -> Places:
    """Check every span and document of the questions against the collection."""
    finder = _Finder(index)
    places = Places()
    for question in questions:
        found: list[Place] = []
        for span in question.spans:
            place, said = finder.place(span)
            if place is None:
                places.lost.setdefault(question.id, []).append(said)
                continue
            found.append(place)
            if said:
                places.moved.setdefault(question.id, []).append(said)
        places.spans[question.id] = tuple(dict.fromkeys(found))
        gains: dict[int, float] = {}
        for path, gain in question.documents.items():
            document, said = finder.document(path)
            if document is not None:
                gains[document] = max(gain, gains.get(document, gain))
            elif gain > 0:
                places.lost.setdefault(question.id, []).append(said)
        places.gains[question.id] = gains
    return places


class _Finder:
    """Documents by their path or the end of it, and what stands where in them."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._paths = {file.path: file.document_id for file in index.files()}
        self._ends: dict[str, list[str]] = {}
        for path in self._paths:
            self._ends.setdefault(path.rsplit("/", 1)[-1], []).append(path)
        self._texts: dict[int, str] = {}

    def document(self, path: str) -> tuple[int | None, str]:
        """The document's id; or None and why."""
        if path in self._paths:
            return self._paths[path], ""
        tail = "/" + path.lstrip("/")
        ends = [p for p in self._ends.get(path.rsplit("/", 1)[-1], ()) if p.endswith(tail)]
        ids = {self._paths[p] for p in ends}
        if len(ids) == 1:
            return ids.pop(), ""
        if ids:
            return None, f"{path!r} could be {len(ids)} documents, such as {ends[0]!r}"
        return None, f"{path!r} is not in collection {self._index.name!r}"

    def place(self, span: Span) -> tuple[Place | None, str]:
        """Where a span stands, and what is to be told of it ("" where it stands as noted)."""
        document, said = self.document(span.path)
        if document is None:
            return None, said
        if document not in self._texts:
            self._texts[document] = self._index.text(document)
        text = self._texts[document]
        if span.start is not None and span.end is not None:
            if span.end <= len(text) and (
                not span.quote or text[span.start : span.end] == span.quote
            ):
                return Place(document, span.start, span.end), ""
            if not span.quote:
                return (
                    None,
                    f"{span.path!r} has {len(text)} characters, the span ends at {span.end}",
                )
        return self._search(document, text, span)

    def _search(self, document: int, text: str, span: Span) -> tuple[Place | None, str]:
        """The quote of a span, wherever it stands in its document."""
        found = _occurrences(text, span.quote)
        quote = span.quote if len(span.quote) <= 60 else span.quote[:59] + "…"
        if not found:
            return None, f"{quote!r} does not stand in {span.path!r}"
        if span.start is None:
            if len(found) > 1:
                return None, f"{quote!r} stands in {span.path!r} {len(found)} times; give its start"
            return Place(document, *found[0]), ""
        noted = span.start
        start, end = min(found, key=lambda at: abs(at[0] - noted))
        return Place(document, start, end), (
            f"{quote!r} stands in {span.path!r} at {start}, not at {span.start}"
        )


def _occurrences(text: str, quote: str) -> Sequence[tuple[int, int]]:
    """Where a quote stands, with white space of any kind between its words."""
    pattern = r"\s+".join(map(re.escape, quote.split()))
    return [m.span() for m in re.finditer(pattern, text)]
