"""The plain records that flow from file to answer.

Every offset counts characters (Unicode code points) of `Document.text`, start inclusive and end
exclusive; pages count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

BlockKind = Literal["heading", "text", "list", "table", "code"]
ChunkKind = Literal["text", "table", "code"]
Role = Literal["system", "user", "assistant"]
MetadataValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Page:
    """Where one page lies in the document's text. `label` is what a reader displays ("iv")."""

    number: int
    start: int
    end: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A classified span of the document's text; blocks are ordered and do not overlap.

    `level` is the heading level (1-6). `caption` is a table's. A table's span holds a Markdown
    table: header row, delimiter row, data rows, one per line, `|` in a cell escaped as `\\|`.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its text (Markdown where the format has structure) and what is where."""

    text: str
    source: str  # absolute path, or what the caller named it
    format: str  # "pdf", "docx", "html" ...
    size: int  # bytes of the file
    sha256: str  # of the file's bytes, hex
    title: str | None = None
    author: str | None = None
    created: str | None = None  # ISO 8601
    modified: str | None = None  # ISO 8601
    language: str | None = None  # ISO 639-1, None where the text is too short to tell
    pages: tuple[Page, ...] = ()  # empty where the format has no pages
    blocks: tuple[Block, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what could not be read in an otherwise good file


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to index. `text == document.text[start:end]`, always.

    `prefix` repeats what the passage needs to be understood but does not contain itself (for a
    table: caption, header and delimiter rows); it is indexed with the text and never quoted.
    """

    text: str
    start: int
    end: int
    kind: ChunkKind = "text"
    prefix: str = ""
    headings: tuple[str, ...] = ()  # path from the document's top to the passage
    first_page: int | None = None
    last_page: int | None = None

    @property
    def content(self) -> str:
        """What is indexed and shown to a model: heading path, prefix and text."""
        path = " > ".join(self.headings)
        return "\n".join(part for part in (path, self.prefix, self.text) if part)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written by a model."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class TokenProbability:
    """One generated token, its natural-log probability, and the likeliest alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote. `finish_reason` is "stop" or "length" (it hit max_tokens)."""

    text: str
    model: str
    finish_reason: str
    usage: Usage = Usage()
    tokens: tuple[TokenProbability, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a streamed completion; the last one carries finish_reason and usage."""

    text: str
    finish_reason: str | None = None
    usage: Usage | None = None
    tokens: tuple[TokenProbability, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The indexed document a hit or citation comes from."""

    id: int  # stays the same as long as the content does
    path: str
    title: str | None = None
    format: str = ""
    language: str | None = None
    recognised: str = ""  # pages whose text was recognised from pictures: "1, 3-5"

    def is_recognised(self, page: int | None) -> bool:
        """Whether a page's text was recognised from a picture, so that it may be misread."""
        if page is None or not self.recognised:
            return False
        for part in self.recognised.split(", "):
            first, _, last = part.partition("-")
            if int(first) <= page <= int(last or first):
                return True
        return False

    @property
    def name(self) -> str:
        """What to call it in a list of citations."""
        return self.title or self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. `parts` are the scores that made up `score`, by method."""

    document: Source
    chunk: Chunk
    chunk_id: int
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    highlights: tuple[tuple[int, int], ...] = ()  # spans of the document's text

    def as_json(self) -> dict[str, Any]:
        """The hit as programs get it: flat, with pages and offsets at the top."""
        return {
            "document": to_json(self.document),
            "page": self.chunk.first_page,
            "last_page": self.chunk.last_page,
            "headings": list(self.chunk.headings),
            "kind": self.chunk.kind,
            "start": self.chunk.start,
            "end": self.chunk.end,
            "prefix": self.chunk.prefix,
            "text": self.chunk.text,
            "highlights": [list(span) for span in self.highlights],
            "score": self.score,
            "parts": dict(self.parts),
            "chunk_id": self.chunk_id,
        }


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote: `quote` equals the document's text from `start` to `end`, always."""

    n: int  # the number shown as [n]
    document: Source
    page: int | None
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer. Unsupported ones are never part of `Answer.answer`."""

    text: str
    supported: bool
    citations: tuple[int, ...] = ()  # numbers of the citations that support it
    reason: str = ""  # why it is not supported


@dataclass(frozen=True, slots=True)
class Answer:
    """What the documents say, or that they do not say it (`abstained`)."""

    question: str
    answer: str
    abstained: bool
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    model: str
    usage: Usage
    timings: Mapping[str, float]  # seconds by step
    prompt: tuple[Message, ...] = ()  # what was sent to the model; empty where it was not asked


def to_json(record: Any) -> Any:
    """A record as plain dicts, lists and scalars, ready for `json.dumps`."""
    import dataclasses

    if isinstance(record, Hit):
        return record.as_json()
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_json(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(k): to_json(v) for k, v in record.items()}
    if isinstance(record, tuple | list):
        return [to_json(v) for v in record]
    return record
