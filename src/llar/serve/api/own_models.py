"""What llar's own endpoints take and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..job_records import FileStatus, Kind, Status
from .body import Ask

Name = Annotated[str, Field(max_length=64, description="A collection's name.")]
Value = str | int | float | bool
Metadata = Annotated[dict[str, Value], Field(max_length=100)]
Steps = Annotated[str, Field(max_length=500)]
Filters = list[Annotated[str, Field(max_length=500)]]
Big = Annotated[int, Field(ge=0, lt=2**53)]


class Shown(BaseModel):
    """What is answered: made from the records of the library, field by field."""

    model_config = ConfigDict(from_attributes=True)


class Collection(Shown):
    """A collection as far as the caller may see it."""

    name: str
    files: int
    documents: int
    chunks: int
    failures: int
    bytes: int
    embedder: str
    chunker: str
    languages: Mapping[str, int]
    may_edit: bool


class Collections(Shown):
    """The collections that the caller may read."""

    collections: list[Collection]


class NewCollection(Ask):
    """A collection to make. Empty: the configured embedder and chunker."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    embedder: str = Field("", max_length=200, description="backend:name")
    chunker: str = Field("", max_length=200, description="NAME or NAME:key=value,...")


class DocumentRow(Shown):
    """A document in a list."""

    id: int
    name: str
    path: str
    title: str | None
    format: str
    size: int
    language: str | None
    pages: int
    chunks: int
    added: str
    date: str | None
    author: str | None
    notes: Sequence[str]
    copies: Sequence[str]
    uploaded: bool
    metadata: Mapping[str, Value]


class DocumentRows(Shown):
    """Some documents, and how many there are in all."""

    documents: list[DocumentRow]
    total: int


class Page(Shown):
    """Where a page lies in the text."""

    number: int
    start: int
    end: int
    label: str | None


class DocumentText(DocumentRow):
    """A document with its whole text and where its pages are in it."""

    sha256: str
    text: str
    page_spans: list[Page]
    pictures: bool = Field(description="whether its pages can be had as pictures")


class ChunkShown(Shown):
    """A passage as it is indexed; offsets count characters of the document's text."""

    id: int
    text: str
    start: int
    end: int
    spans: list[tuple[int, int]]
    kind: str
    prefix: str
    headings: Sequence[str]
    first_page: int | None
    last_page: int | None
    keywords: Sequence[str]
    position: tuple[int, int] | None


class Chunks(Shown):
    """The passages of a document in order."""

    chunks: list[ChunkShown]


class MetadataChange(Ask):
    """Keys to set, and with null to take away."""

    metadata: Annotated[dict[str, Value | None], Field(min_length=1, max_length=100)]


class BoxOnPage(Shown):
    """A part of a page, as fractions of its width and height from the top left."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


class Boxes(Shown):
    """Where a span of the text stands; empty where only the whole page can be shown."""

    boxes: list[BoxOnPage]


class JobShown(Shown):
    """A piece of work as it stands."""

    id: int
    kind: Kind
    state: Status
    user: str
    collection: str
    title: str
    unit: str
    created: str
    started: str | None
    finished: str | None
    done: int
    total: int
    done_bytes: int
    total_bytes: int
    seconds: float
    rate: float | None
    seconds_left: float | None
    failed: int
    error: str
    result: Mapping[str, Any]


class Jobs(Shown):
    """Jobs, the newest first."""

    jobs: list[JobShown]


class JobFileShown(Shown):
    """A file of a job, and what came of it."""

    id: int
    name: str
    state: FileStatus
    size: int
    sha256: str
    error: str
    document: int | None


class JobFiles(Shown):
    """Files of a job in the order they came."""

    files: list[JobFileShown]


class Refused(Shown):
    """A file that was not taken, and why."""

    name: str
    error: str


class Uploaded(Shown):
    """What was taken. These files are on disk and will be indexed, whatever happens."""

    job: JobShown | None
    files: list[JobFileShown]
    refused: list[Refused]


class Reindex(Ask):
    """Ids of documents to read again; null for all."""

    documents: Annotated[list[Big], Field(min_length=1, max_length=10_000)] | None = None


class Reembed(Ask):
    """What to chunk and embed a collection with. Empty: what it has."""

    embedder: str = Field("", max_length=200)
    chunker: str = Field("", max_length=200)


class Pull(Ask):
    """A model to bring into the store."""

    model: str = Field(min_length=1, max_length=500)


class Search(Ask):
    """A question, and how to search; what is left out is as configured."""

    question: str = Field(min_length=1, max_length=32_000)
    k: int = Field(10, ge=1, le=100)
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    filters: Filters = Field(default=[], max_length=50)
    query: Steps | None = None
    strategy: Steps | None = None
    post: Steps | None = None
    model: str | None = Field(None, max_length=200, description="for steps that ask one")
    explain: bool = Field(False, description="also tell every step")


class Found(Shown):
    """The document of a hit or citation."""

    id: int
    path: str
    name: str
    title: str | None
    format: str
    language: str | None
    date: str | None


class HitShown(Shown):
    """A passage that was found."""

    document: Found
    page: int | None
    last_page: int | None
    headings: list[str]
    kind: str
    start: int
    end: int
    spans: list[tuple[int, int]]
    prefix: str
    text: str
    highlights: list[tuple[int, int]]
    score: float | None
    parts: Mapping[str, float | None]
    chunk_id: int


class StepShown(Shown):
    """One step of a search: what it did, and how long it took."""

    name: str
    seconds: float
    about: Mapping[str, Any]


class ComputedShown(Shown):
    """What was worked out from the cells of tables."""

    text: str
    value: str
    how: str


class SearchResult(Shown):
    """The passages found, best first."""

    hits: list[HitShown]
    query: str = Field(description="what was searched for in the end")
    computed: list[ComputedShown]
    steps: list[StepShown] | None = None


class Turn(Ask):
    """An earlier turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=100_000)


class Question(Ask):
    """A question to be answered from the documents."""

    question: str = Field(min_length=1, max_length=32_000)
    history: list[Turn] = Field(default=[], max_length=100)
    model: str | None = Field(None, max_length=200)
    k: int = Field(8, ge=1, le=100)
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    filters: Filters = Field(default=[], max_length=50)
    query: Steps | None = None
    strategy: Steps | None = None
    post: Steps | None = None
    stream: bool = Field(False, description="server-sent events: each sentence, then the answer")
    explain: bool = Field(False, description="also tell every step of the search, and the prompt")


class SentenceShown(Shown):
    """A sentence of the answer; one that is not supported is no part of it."""

    text: str
    supported: bool
    citations: Sequence[int]
    reason: str
    computed: bool


class CitationShown(Shown):
    """A verbatim quote: the document's text from `start` to `end`."""

    n: int
    document: Found
    page: int | None
    start: int
    end: int
    quote: str


class Tokens(Shown):
    """Tokens that a model read and wrote."""

    prompt_tokens: int
    completion_tokens: int


class Sent(Shown):
    """A message that was sent to the model."""

    role: str
    content: str


class AnswerShown(Shown):
    """What the documents say, or that they do not say it (`abstained`)."""

    question: str
    answer: str
    abstained: bool
    sentences: list[SentenceShown]
    citations: list[CitationShown]
    hits: list[HitShown]
    model: str
    usage: Tokens
    timings: Mapping[str, float]
    steps: list[StepShown] | None = None
    prompt: list[Sent] | None = None


class Mine(Shown):
    """A collection, and whether the caller may change it."""

    name: str
    may_edit: bool


class Me(Shown):
    """Who is asking, as the server sees it."""

    user: str
    role: str
    groups: list[str]
    via: str
    collections: list[Mine]
