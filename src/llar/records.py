"""The plain records that flow from file to answer.

Every offset counts characters (Unicode code points) of `Document.text`, start inclusive and end
exclusive; pages count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

BlockKind = Literal["heading", "text", "list", "table", "code"]
ChunkKind = Literal["text", "table", "code"]
Role = Literal["system", "user", "assistant"]
MetadataValue = str | int | float | bool

_STOP = re.compile(r"[.!?…。！？][\"'”’»)\]]*\s|\n")

BETWEEN = "\n\n"  # between parts of one passage: no sentence goes on over it
GAP = " … "  # between parts of a passage that compression left, more than a sentence apart


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
    """A passage to index. `text == document.text[start:end]`, but for one put together of `parts`.

    `parts` are spans of the document, in order and apart; `text` is theirs with `BETWEEN` between
    them, and `start` and `end` are those of the whole. `spans` says it for both kinds, `place` and
    `local` translate offsets.

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
    context: tuple[int, int] | None = None  # span of the document to read where this one matched
    keywords: tuple[str, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()  # where it is not one stretch of the document
    position: tuple[int, int] | None = None  # n of m in its document, from 1

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The stretches of the document that it holds, one for most."""
        return self.parts or ((self.start, self.end),)

    def place(self, offset: int) -> int:
        """Where in the document the character at `offset` of `text` stands.

        `len(text)` gives `end`. Between two parts, it is the end of the first.
        """
        for start, end in self.parts:
            if offset <= end - start:
                return start + offset
            offset = max(offset - (end - start) - len(BETWEEN), 0)
        return self.end if self.parts else self.start + offset

    def local(self, place: int) -> int:
        """Where in `text` the document's character at `place` stands; the reverse of `place`.

        What lies between two parts is the end of the first.
        """
        at = 0
        for start, end in self.spans:
            if place <= end:
                return at + max(place - start, 0) if place >= start else max(at - len(BETWEEN), 0)
            at += end - start + len(BETWEEN)
        return len(self.text)

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
    date: str | None = None  # ISO 8601: when it was created, or else modified

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
    """A passage found. `parts` are the scores that made up `score`, by method.

    Spans are of the document's text. `matched` are the indexed passages that were found, where
    `chunk` was widened to be read. `kept` is what compression left of it, None for all.
    """

    document: Source
    chunk: Chunk
    chunk_id: int
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    highlights: tuple[tuple[int, int], ...] = ()
    matched: tuple[tuple[int, int], ...] = ()
    kept: tuple[tuple[int, int], ...] | None = None

    @property
    def content(self) -> str:
        """What a model is shown of it: the chunk's content, or what compression left of it."""
        if self.kept is None:
            return self.chunk.content
        here = [(self.chunk.local(start), self.chunk.local(end)) for start, end in self.kept]
        return replace(self.chunk, text=joined(self.chunk.text, here)).content

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
            "spans": [list(span) for span in self.chunk.spans],
            "context": list(self.chunk.context) if self.chunk.context else None,
            "position": list(self.chunk.position) if self.chunk.position else None,
            "keywords": list(self.chunk.keywords),
            "prefix": self.chunk.prefix,
            "text": self.chunk.text,
            "highlights": [list(span) for span in self.highlights],
            "matched": [list(span) for span in self.matched],
            "kept": None if self.kept is None else [list(span) for span in self.kept],
            "score": self.score,
            "parts": dict(self.parts),
            "chunk_id": self.chunk_id,
        }


@dataclass(frozen=True, slots=True)
class Computed:
    """A statement worked out from the cells of a table; it need not stand in any document.

    `hits` are the rows that went in, as exact spans; `how` is the query that was run.
    """

    text: str
    value: str
    how: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search, for those who want to see it: what went in and what came out."""

    name: str
    seconds: float
    about: Mapping[str, Any] = field(default_factory=dict)


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
    computed: bool = False  # worked out from the cells cited; it stands nowhere itself


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
    steps: tuple[Step, ...] = ()  # of the search


def joined(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """What compression left of a text: these spans of it, in order.

    `GAP` stands where a sentence or a line ends in what was left out; a space stands for words
    left out of one sentence.
    """
    found, last = "", None
    for start, end in spans:
        if last is not None:
            found += GAP if _STOP.search(text, last - 1, start + 1) else " "
        found += text[start:end]
        last = end
    return found


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
