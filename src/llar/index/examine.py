"""One document of a collection under the doctor's eyes: its record, passages, vectors and words."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from ..chunks.keywords import keywords
from ..models.interface import EmbedderIdentity, Matrix
from ..records import BETWEEN, Block, BlockKind, Chunk, ChunkKind, Document, Page
from .database import from_column
from .index import CHUNK, DOCUMENT, chunk_terms, read_chunk

LENGTH_ERROR = 1e-3  # how far from 1 the length of a unit vector in float32 may be
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIFFERS = "a passage differs from its text"
_BLANK = re.compile(r"\s+")

Fault = tuple[str, str]  # kind of problem, what is wrong


@dataclass(slots=True)
class Examined:
    """What one document's rows say, as far as it can be understood, and what is wrong there."""

    id: int
    document: Document
    faults: list[Fault]
    paths: tuple[str, ...] = ()
    chunks: list[Chunk] = field(default_factory=list)  # those that fit it
    first_vector: Matrix | None = None
    words: int = 0


def examine_documents(
    connection: sqlite3.Connection, embedder: EmbedderIdentity | None
) -> Iterator[Examined]:
    """Every document with its faults. Text of the connection must come with surrogate escapes."""
    for row in connection.execute(f"SELECT id, {DOCUMENT} FROM documents ORDER BY id"):
        found = read_record(connection, row)
        chunks = _check_chunks(connection, found)
        _check_vectors(connection, found, chunks, embedder)
        yield found


def read_record(connection: sqlite3.Connection, row: Sequence[Any]) -> Examined:
    """The document a row describes, less what makes no sense in it; that is listed as faults."""
    key, sha256, form, size, title, author, created, modified, language = row[:9]
    faults: list[Fault] = []

    def sane(ok: bool, what: str) -> None:
        if not ok:
            faults.append(("document", what))

    raw = row[12]
    text = _SURROGATE.sub("\ufffd", raw) if isinstance(raw, str) else ""
    sane(isinstance(raw, str) and text == raw, "its text is not valid UTF-8")
    sane(bool(_SHA256.fullmatch(str(sha256))), f"its SHA-256 is {sha256!r}")
    sane(isinstance(size, int) and size >= 0, f"its size is {size!r}")
    facts = (title, author, created, modified, language)
    sane(
        all(f is None or (isinstance(f, str) and not _SURROGATE.search(f)) for f in facts)
        and isinstance(form, str),
        "its title, author, dates, language or format are no text",
    )
    pages, why = _parsed(row[9], lambda v: _pages(v, len(text)))
    sane(not why, f"its pages are damaged ({why})")
    blocks, why = _parsed(row[10], lambda v: _blocks(v, len(text)))
    sane(not why, f"its blocks are damaged ({why})")
    notes, why = _parsed(row[11], _strings)
    sane(not why, f"its notes are damaged ({why})")
    paths: list[str] = []
    metadata: dict[str, Any] = {}
    for path, more in connection.execute(
        "SELECT path, metadata FROM files WHERE document_id = ? ORDER BY path", (key,)
    ):
        found, why = _parsed(more, _metadata)
        paths.append(from_column(path))
        metadata = metadata or dict(found)
        if why:
            faults.append(("metadata", f"the metadata of a file of it is damaged ({why})"))
    if not paths:
        faults.append(("nameless", "no file belongs to it"))
    plain = [_SURROGATE.sub("\ufffd", f) if isinstance(f, str) else None for f in facts]
    document = Document(
        text,
        paths[0] if paths else "",
        str(form),
        size if isinstance(size, int) else 0,
        str(sha256),
        title=plain[0],
        author=plain[1],
        created=plain[2],
        modified=plain[3],
        language=plain[4],
        pages=tuple(pages),
        blocks=tuple(blocks),
        metadata=metadata,
        notes=tuple(notes),
    )
    return Examined(key, document, faults, tuple(paths))


def readable_metadata(text: str) -> bool:
    """Whether a file's metadata can be understood."""
    return not _parsed(text, _metadata)[1]


def read_chunks(
    connection: sqlite3.Connection, document_id: int, document: Document
) -> Iterator[tuple[int, Chunk]]:
    """The chunks of a document that fit it, with their numbers."""
    for row in connection.execute(
        f"SELECT {CHUNK} FROM chunks WHERE document_id = ? ORDER BY id", (document_id,)
    ).fetchall():
        chunk, why = _chunk(row, document)
        if not why:
            yield row[0], chunk


def _chunk(row: Sequence[Any], document: Document) -> tuple[Chunk, str]:
    """A chunk from its row, and what is wrong with it."""
    try:
        chunk = read_chunk(row[:12])
    except (ValueError, TypeError) as e:
        return Chunk("", 0, 0), " ".join(str(e).split())[:80]
    return chunk, _chunk_fault(chunk, document)


def _check_chunks(connection: sqlite3.Connection, found: Examined) -> list[int]:
    """Compare every chunk with the text and its words with the chunk; returns the ids."""
    ids: list[int] = []
    held: list[tuple[int, int]] = []  # stretches of the text
    wrong: set[Fault] = set()
    document = found.document
    for row in connection.execute(
        f"SELECT {CHUNK}, terms FROM chunks LEFT JOIN words ON words.rowid = chunks.id"
        " WHERE document_id = ? ORDER BY chunks.id",
        (found.id,),
    ):
        ids.append(row[0])
        chunk, why = _chunk(row, document)
        if why:  # where they differ, nothing tells whether the passage or the text is right
            wrong.add(("document" if why == _DIFFERS else "passages", why))
            continue
        held += chunk.spans
        found.chunks.append(chunk)
        expected = chunk_terms(document, chunk)
        found.words += len(expected)
        if row[12] != " ".join(expected):
            wrong.add(("words", "words of its passages are missing or not what is indexed now"))
    if not wrong and any(_BLANK.sub("", part) for part in _bare(document.text, held)):
        wrong.add(("passages", "a part of its text is in no passage"))
    words = keywords([chunk.text for chunk in found.chunks], document.language)
    told = {kind for kind, _ in wrong} - {"words"}
    if not told and [chunk.keywords for chunk in found.chunks] != words:
        wrong.add(("keywords", "its passages' keywords are missing or not those of their texts"))
    found.faults += sorted(wrong)
    return ids


def _bare(text: str, held: list[tuple[int, int]]) -> Iterator[str]:
    """What lies between these stretches of a text."""
    covered = 0
    for start, end in sorted(held):
        yield text[covered:start]
        covered = max(covered, end)
    yield text[covered:]


def _check_vectors(
    connection: sqlite3.Connection,
    found: Examined,
    chunks: Sequence[int],
    embedder: EmbedderIdentity | None,
) -> None:
    row = connection.execute(
        "SELECT first_chunk, count, data FROM vectors WHERE document_id = ?", (found.id,)
    ).fetchone()
    why = "it has no vectors" if row is None else ""
    if row:
        first, count, data = row
        if not all(isinstance(v, int) for v in (first, count)) or not isinstance(data, bytes):
            why = "its vectors' row holds values of the wrong kind"
        elif list(range(first, first + count)) != list(chunks):
            why = f"its vectors are of {count} passages from {first}, not of its {len(chunks)}"
        elif embedder is not None:
            why = _matrix_fault(data, count, embedder.dimension)
            if not why and count:
                found.first_vector = np.frombuffer(data, "<f4").reshape(count, -1)[0]
    if why:
        found.faults.append(("passages", why))


def _matrix_fault(data: bytes, count: int, dimension: int) -> str:
    if len(data) != count * dimension * 4:
        return f"its vectors have {len(data)} bytes, not {count} x {dimension} x 4"
    matrix = np.frombuffer(data, "<f4").reshape(count, dimension)
    if not np.isfinite(matrix).all():
        return "its vectors hold values that are no numbers"
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1)
    if (np.abs(lengths - 1) > LENGTH_ERROR).any():
        return "its vectors are not of length 1"
    return ""


def _chunk_fault(chunk: Chunk, document: Document) -> str:
    if not all(isinstance(v, int) for v in (chunk.start, chunk.end)):
        return "a passage's offsets are no numbers"
    if not 0 <= chunk.start < chunk.end <= len(document.text):
        return "a passage lies outside its text"
    if chunk.kind not in get_args(ChunkKind) or not isinstance(chunk.prefix, str):
        return "a passage's kind or prefix is damaged"
    if not all(isinstance(word, str) for word in (*chunk.headings, *chunk.keywords)):
        return "a passage's headings or keywords are no texts"
    return _place_fault(chunk, document) or _page_fault(chunk, document)


def _place_fault(chunk: Chunk, document: Document) -> str:
    if not _apart(chunk):
        return "a passage's parts do not lie in it one after the other"
    if BETWEEN.join(document.text[start:end] for start, end in chunk.spans) != chunk.text:
        return _DIFFERS
    around = chunk.context
    if around and not 0 <= around[0] <= chunk.start < chunk.end <= around[1] <= len(document.text):
        return "a passage does not lie in the text that is to be read with it"
    return ""


def _page_fault(chunk: Chunk, document: Document) -> str:
    numbers = {page.number for page in document.pages} | ({None} if not document.pages else set())
    if chunk.first_page not in numbers or chunk.last_page not in numbers:
        return "a passage names pages that it does not have"
    return ""


def _apart(chunk: Chunk) -> bool:
    """Whether the parts of a chunk begin and end where it does and are in order."""
    places = [place for span in chunk.spans for place in span]
    if not all(isinstance(place, int) for place in places) or places != sorted(set(places)):
        return False
    return (places[0], places[-1]) == (chunk.start, chunk.end)


def _parsed(text: Any, read: Callable[[Any], Any]) -> tuple[Any, str]:
    """What `read` makes of a JSON column and "", or nothing and why."""
    try:
        return read(json.loads(text)), ""
    except (ValueError, TypeError, KeyError) as e:
        return {} if read is _metadata else (), " ".join(str(e).split())[:80] or type(e).__name__


def _pages(value: Any, length: int) -> list[Page]:
    pages = [Page(*page) for page in value]
    for page in pages:
        if not isinstance(page.number, int) or not 0 <= page.start <= page.end <= length:
            raise ValueError("one lies outside the text")
    return pages


def _blocks(value: Any, length: int) -> list[Block]:
    blocks = [Block(*block) for block in value]
    position = 0
    for block in blocks:
        if block.kind not in get_args(BlockKind):
            raise ValueError(f"one is a {block.kind!r}")
        if not position <= block.start <= block.end <= length:
            raise ValueError("they overlap or lie outside the text")
        position = block.end
    return blocks


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError("expected a list of texts")
    return value


def _metadata(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    if not all(isinstance(v, str | int | float | bool) for v in value.values()):
        raise ValueError("expected texts, numbers or booleans")
    return value
