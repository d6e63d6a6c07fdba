"""The tools: their names, what they are for, and what they do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
from pydantic import BaseModel

from ...errors import NotThere, QueryError
from ...records import Answer, Document, Sentence, Source
from ..threads import in_thread, iterate
from . import records as r
from .desk import Desk

if TYPE_CHECKING:
    from ...records import Citation, Hit

Told = Callable[[int, str], Awaitable[None]]  # progress: how many sentences, and the last one
Work = Callable[[Desk, Any, Told], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `long` ones tell their progress."""

    name: str
    title: str
    description: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    work: Work


async def list_collections(desk: Desk, _asked: r.Nothing, _told: Told) -> r.Collections:
    """What may be read, and how much it is."""

    def found() -> r.Collections:
        held = []
        for name in desk.names():
            index = desk.open(name).index
            counts = index.counts()
            languages = {k or "unknown": n for k, n in sorted(index.languages().items())}
            held.append(
                r.CollectionAbout(
                    name=name,
                    documents=counts["documents"],
                    passages=counts["chunks"],
                    languages=languages,
                )
            )
        return r.Collections(collections=held)

    return await in_thread(found)


async def search(desk: Desk, asked: r.Search, _told: Told) -> r.Found:
    """The best passages."""

    def found() -> r.Found:
        docs = desk.open(asked.collection)
        result = docs.explain(asked.question, k=asked.k, mode=asked.mode, filters=asked.filters)
        documents = {h.document.id: h.document.path for h in result.hits}
        desk.record("search", asked.collection, asked.question, documents.items())
        shown = desk.shown(asked.collection)
        return r.Found(
            passages=[_passage(hit, asked.collection, shown) for hit in result.hits],
            computed=[computed.text for computed in result.computed],
        )

    return await in_thread(found)


async def ask(desk: Desk, asked: r.Ask, told: Told) -> r.Answered:
    """The answer. Where the client leaves, writing it stops, which is recorded, too."""
    docs = await in_thread(desk.open, asked.collection)

    def begin() -> Iterator[Sentence | Answer]:
        return docs.ask_stream(asked.question, filters=asked.filters)

    answer: Answer | None = None
    written = 0
    await told(0, "searching")
    try:
        async for item in _steadily(begin):
            if isinstance(item, Answer):
                answer = item
            elif item.supported:
                written += 1
                await told(written, item.text)
    finally:
        cited = {c.document.id: c.document.path for c in answer.citations} if answer else {}
        detail = "broken off" if answer is None else "abstained" if answer.abstained else ""
        with anyio.CancelScope(shield=True):
            await in_thread(
                desk.record, "ask", asked.collection, asked.question, list(cited.items()), detail
            )
    if answer is None:
        raise AssertionError("a stream of an answer ends with the answer")
    shown = await in_thread(desk.shown, asked.collection)
    return r.Answered(
        answer=answer.answer,
        abstained=answer.abstained,
        citations=[_quote(c, asked.collection, shown) for c in answer.citations],
        left_out=sum(not s.supported for s in answer.sentences),
        model=answer.model,
    )


async def _steadily(
    begin: Callable[[], Iterator[Sentence | Answer]],
) -> AsyncIterator[Sentence | Answer]:
    """The items of an iterator, which is closed in order where the request is cancelled.

    The SDK cancels as anyio does: whatever is awaited afterwards is cancelled again. Closing a
    generator that still runs has to wait for it, so that is left to a task of its own.
    """
    queue: asyncio.Queue[Sentence | Answer | None] = asyncio.Queue()

    async def read() -> None:
        async for item in iterate(begin):
            queue.put_nowait(item)

    task = asyncio.create_task(read())
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (item := await queue.get()) is not None:
            yield item
        await task  # raises what it met
    finally:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])


async def get_document(desk: Desk, asked: r.GetDocument, _told: Told) -> r.Text:
    """A part of a document, or all of it."""

    def found() -> r.Text:
        document = _document(desk, asked.collection, asked.document_id)
        start, end = _span(document, asked)
        last = min(end, start + r.LONGEST_TEXT)
        path = desk.shown(asked.collection)(document.source)
        desk.record("read", asked.collection, "", [(asked.document_id, document.source)])
        return r.Text(
            document_id=asked.document_id,
            name=document.title or path.rsplit("/", 1)[-1],
            path=path,
            format=document.format,
            language=document.language,
            pages=len(document.pages),
            characters=len(document.text),
            page=asked.page,
            start=start,
            end=last,
            next=last if last < end else None,
            text=document.text[start:last],
        )

    return await in_thread(found)


async def list_documents(desk: Desk, asked: r.ListDocuments, _told: Told) -> r.Documents:
    """Documents by path."""

    def found() -> r.Documents:
        index = desk.open(asked.collection).index
        shown = desk.shown(asked.collection)
        wanted = asked.text.casefold().strip()
        with index.database.read() as connection:
            facts: dict[int, tuple[str | None, str, str | None]] = {
                i: (title, form, language)
                for i, title, form, language in connection.execute(
                    "SELECT id, title, format, language FROM documents"
                )
            }
            paths: dict[int, str] = {}
            for file in index.files():  # by path, so the first is the document's own
                paths.setdefault(file.document_id, shown(file.path))
        rows = [
            r.Listed(
                document_id=i,
                name=facts[i][0] or path.rsplit("/", 1)[-1],
                path=path,
                format=facts[i][1],
                language=facts[i][2],
                uri=address(asked.collection, i),
            )
            for i, path in sorted(paths.items(), key=lambda pair: (pair[1], pair[0]))
            if wanted in f"{path}\n{facts[i][0] or ''}".casefold()
        ]
        page = rows[asked.start : asked.start + asked.limit]
        return r.Documents(documents=page, total=len(rows))

    return await in_thread(found)


def text_of(desk: Desk, collection: str, document_id: int, page: int | None) -> str:
    """The text that a resource holds. Raises NotThere, QueryError for one too long for that."""
    asked = r.GetDocument(
        collection=collection, document_id=document_id, page=page, start=None, end=None
    )
    document = _document(desk, collection, document_id)
    start, end = _span(document, asked)
    if end - start > r.LONGEST_TEXT:
        raise QueryError(
            f"the text has {end - start} characters, more than {r.LONGEST_TEXT}: read it page by "
            "page, or in parts with the tool get_document"
        )
    desk.record("read", collection, "", [(document_id, document.source)])
    return document.text[start:end]


def address(collection: str, document_id: int, page: int | None = None) -> str:
    """The URI of a document's text, or of one page of it."""
    whole = f"llar://{quote(collection, safe='')}/documents/{document_id}"
    return whole if page is None else f"{whole}/pages/{page}"


def _document(desk: Desk, collection: str, document_id: int) -> Document:
    found = desk.open(collection).index.find_document(document_id)
    if found is None:
        raise NotThere(f"collection {collection!r} has no document {document_id}")
    return found


def _span(document: Document, asked: r.GetDocument) -> tuple[int, int]:
    """The part that is asked for. Raises QueryError for one that is not there."""
    if asked.page is not None:
        if asked.start is not None or asked.end is not None:
            raise QueryError("either a page or start and end, not both")
        for page in document.pages:
            if page.number == asked.page:
                return page.start, page.end
        there = f"it has {len(document.pages)}" if document.pages else "its format has no pages"
        raise QueryError(f"the document has no page {asked.page}: {there}")
    size = len(document.text)
    start, end = asked.start or 0, size if asked.end is None else asked.end
    if not start <= end <= size:
        raise QueryError(f"no part of {size} characters goes from {start} to {end}")
    return start, end


def _place(
    source: Source, page: int | None, start: int, end: int, collection: str,
    shown: Callable[[str], str],
) -> dict[str, Any]:  # fmt: skip
    path = shown(source.path)
    return {
        "document_id": source.id,
        "name": source.title or path.rsplit("/", 1)[-1],
        "path": path,
        "page": page,
        "start": start,
        "end": end,
        "uri": address(collection, source.id, page),
    }


def _passage(hit: Hit, collection: str, shown: Callable[[str], str]) -> r.Passage:
    chunk = hit.chunk
    place = _place(hit.document, chunk.first_page, chunk.start, chunk.end, collection, shown)
    text = f"{chunk.prefix}\n{chunk.text}" if chunk.prefix else chunk.text
    score = hit.score if math.isfinite(hit.score) else None
    return r.Passage(**place, headings=list(chunk.headings), text=text, score=score)


def _quote(citation: Citation, collection: str, shown: Callable[[str], str]) -> r.Quote:
    c = citation
    place = _place(c.document, c.page, c.start, c.end, collection, shown)
    return r.Quote(**place, n=c.n, quote=c.quote)


TOOLS = (
    Tool(
        "list_collections",
        "Collections",
        "List the collections of documents that can be searched, with how many documents each"
        " holds and in which languages. The other tools take one of these names.",
        r.Nothing,
        r.Collections,
        list_collections,
    ),
    Tool(
        "search",
        "Search",
        "Find the passages of a collection that fit a question best, by words and by meaning."
        " Returns verbatim text with the document, page and character offsets of each. Use it to"
        " read the sources yourself; use ask for a checked answer.",
        r.Search,
        r.Found,
        search,
    ),
    Tool(
        "ask",
        "Ask",
        "Answer a question from the documents of a collection, by the local model of this server."
        " Each sentence of the answer was checked against the documents and cites verbatim quotes"
        " as [n]; what they do not support is left out. Where abstained is true the documents do"
        " not say it: then do not answer from elsewhere as if they did. May take a minute;"
        " progress tells each sentence as it is written.",
        r.Ask,
        r.Answered,
        ask,
    ),
    Tool(
        "get_document",
        "Read a document",
        "Read the text of a document: all of it, one page, or the characters from start to end."
        f" At most {r.LONGEST_TEXT} characters are given at once; next tells where to go on.",
        r.GetDocument,
        r.Text,
        get_document,
    ),
    Tool(
        "list_documents",
        "Documents",
        "List the documents of a collection by path, with their ids for get_document.",
        r.ListDocuments,
        r.Documents,
        list_documents,
    ),
)
