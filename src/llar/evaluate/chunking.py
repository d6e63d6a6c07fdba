"""How much of what answers a question each chunker brings back, with the same retriever.

Method and data are those of Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval",
Chroma, 2024: a folder with questions.csv (question, references, corpus_id) and the texts that the
references are spans of, CORPUS_ID.md each. Everything is counted in characters; what is read twice,
because passages overlap, counts twice against a chunker.
"""

from __future__ import annotations

import contextlib
import csv
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import chunks as chunking
from ..collection import Collection
from ..config import Config
from ..documents import load
from ..documents.reading import from_text
from ..errors import EvaluationError
from ..index.index import Index
from ..models import open_embedder
from ..models.interface import Embedder
from ..records import Chunk, Document, Hit
from .lines import Problems, read_text
from .statistics import Difference, Interval, intervals, paired

__all__ = [
    "MEASURES",
    "Asked",
    "ChunkerResult",
    "Pool",
    "Set",
    "evaluate_chunking",
    "measure",
    "read_of",
    "read_set",
]

MEASURES = ("recall", "precision", "iou", "precision_omega")
COLUMNS = ("question", "references", "corpus_id")
NAME = "chunking"

Span = tuple[int, int]
Read = Mapping[str, Sequence[Span]]  # corpus -> stretches of its text, as often as they are read


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the stretches of one corpus that answer it, apart and in order."""

    text: str
    corpus: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Questions with the texts they are about; `notes` is what must be known to read figures."""

    folder: Path
    documents: Mapping[str, Document]
    questions: tuple[Asked, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkerResult:
    """What one chunker reached. Seconds are of splitting and embedding all texts, and searching
    for all questions; tokens are those of a chunk's content, on average."""

    spec: chunking.Spec
    chunks: int
    tokens: float
    measures: Mapping[str, Interval]
    against_first: Mapping[str, Difference]  # of the measures, to the first chunker of the run
    values: Mapping[str, Sequence[float]]  # of the measures, by question
    split_seconds: float
    embed_seconds: float
    search_seconds: float

    def as_json(self) -> dict[str, Any]:
        """For programs: each mean under its own name, then what belongs to them."""
        return {
            "chunker": str(self.spec),
            "parameters": self.spec.as_manifest(),
            "max_tokens": self.spec.max_tokens,
            "chunks": self.chunks,
            "mean_tokens": round(self.tokens, 1),
            **{name: found.mean for name, found in self.measures.items()},
            "intervals": {name: [i.low, i.high] for name, i in self.measures.items()},
            "against_first": {
                name: {"mean": d.mean, "low": d.low, "high": d.high, "p": d.p}
                for name, d in self.against_first.items()
            },
            "seconds": {
                "split": round(self.split_seconds, 3),
                "embed": round(self.embed_seconds, 3),
                "search": round(self.search_seconds, 3),
            },
        }


def read_set(folder: Path, config: Config) -> Set:
    """The questions and texts of a folder.

    Raises EvaluationError naming file and line of everything that cannot be used: unknown texts,
    references that are no spans or whose `content` stands elsewhere, empty questions.
    """
    file = folder / "questions.csv"
    if not file.is_file():
        raise EvaluationError(
            f"there is no {str(file)!r}; expected a folder with questions.csv "
            f"({', '.join(COLUMNS)}) and CORPUS_ID.md for each text",
            fix="llar evaluate chunking --data DIR",
        )
    texts = {path.stem: path for path in sorted(folder.glob("*.md"))}
    raw = {name: read_text(path) for name, path in texts.items()}
    questions = _questions(file, raw)
    notes: list[str] = []
    documents = {}
    for name in sorted({q.corpus for q in questions}):
        document = load(texts[name], config)
        if document.text != raw[name]:  # its offsets would be others
            document = from_text(raw[name], str(texts[name]))
            notes.append(f"{texts[name].name} was read as plain text: its Markdown is written anew")
        documents[name] = document
    return Set(folder, documents, tuple(questions), tuple(notes))


def evaluate_chunking(
    found: Set,
    config: Config,
    chunkers: Sequence[str] = (),
    *,
    sizes: Sequence[int] = (),
    k: int = 5,
    budget: int = 0,
    mode: str | None = None,
    told: Callable[[str], None] | None = None,
) -> list[ChunkerResult]:
    """Index the texts by each chunker and size, search for every question, and measure.

    For each question the k best passages are read or, with a `budget`, as many characters of the
    best ones. Without `chunkers`, every one there is; without `sizes`, the configured one. `told`
    hears what is being done. Raises ConfigError for a chunker that cannot be used.
    """
    embedder = open_embedder(config)
    try:
        names = chunkers or list(chunking.CHUNKERS)
        specs = [
            chunking.configured(replace(config, chunk_tokens=size), embedder, name)
            for name in names
            for size in (sizes or [config.chunk_tokens])
        ]
        results: list[ChunkerResult] = []
        for n, spec in enumerate(specs, 1):
            if told:
                told(f"{n}/{len(specs)} {spec}, {spec.max_tokens} tokens")
            first = results[0] if results else None
            results.append(_one(found, config, spec, embedder, k, budget, mode, first))
    finally:
        embedder.close()
    return results


def measure(question: Asked, read: Read) -> dict[str, float]:
    """Recall, precision and intersection over union of what was read for a question."""
    wanted = _length(question.spans)
    got = _length(_common(_union(read.get(question.corpus, ())), question.spans))
    total = sum(_length(spans) for spans in read.values())
    return {
        "recall": got / wanted,
        "precision": got / total if total else 0.0,
        "iou": got / (total + wanted - got),
    }


def _one(
    found: Set,
    config: Config,
    spec: chunking.Spec,
    embedder: Embedder,
    k: int,
    budget: int,
    mode: str | None,
    first: ChunkerResult | None,
) -> ChunkerResult:
    start = time.perf_counter()
    batch = [(doc, chunking.split(doc, spec, embedder)) for doc in found.documents.values()]
    split = time.perf_counter()
    vectors = chunking.embed(batch, spec, embedder)
    embedded = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="llar-chunking-") as home:
        docs = Collection(NAME, config=config, home=home)
        with contextlib.closing(
            Index.create(docs.place, NAME, embedder.identity, spec.as_manifest())
        ) as index:
            for (document, chunks), rows in zip(batch, vectors, strict=True):
                index.put(document, chunks, rows, {})
        with docs:
            docs.search(found.questions[0].text, k=1)  # loads what is loaded once
            searching = time.perf_counter()
            hits = [docs.search(q.text, k=_depth(k, budget), mode=mode) for q in found.questions]
            searched = time.perf_counter()
    names = {doc.source: name for name, doc in found.documents.items()}
    ideal = {name: Pool(chunks) for name, (_, chunks) in zip(found.documents, batch, strict=True)}
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for question, answer in zip(found.questions, hits, strict=True):
        row = measure(question, read_of(answer, names, k, budget))
        row["precision_omega"] = ideal[question.corpus].precision(question.spans)
        for name in MEASURES:
            values[name].append(row[name])
    contents = [chunk.content for _, chunks in batch for chunk in chunks]
    return ChunkerResult(
        spec=spec,
        chunks=len(contents),
        tokens=sum(map(embedder.count_tokens, contents)) / max(len(contents), 1),
        measures=intervals(values),
        against_first={n: paired(values[n], first.values[n]) for n in MEASURES} if first else {},
        values=values,
        split_seconds=split - start,
        embed_seconds=embedded - split,
        search_seconds=searched - searching,
    )


def _depth(k: int, budget: int) -> int:
    """Passages asked for: a budget is filled by so many even where they are short."""
    return max(k, budget // 20) if budget else k


def read_of(hits: Sequence[Hit], names: Mapping[str, str], k: int, budget: int) -> Read:
    """The stretches that are read of the hits: those of the best k, or up to `budget` characters.

    `names` tells the corpus of a path.
    """
    read: dict[str, list[Span]] = defaultdict(list)
    left = budget
    for hit in hits if budget else hits[:k]:
        for start, end in hit.kept or hit.chunk.spans:
            stop = min(end, start + left) if budget else end
            read[names[hit.document.path]].append((start, stop))
            left -= stop - start
            if budget and not left:
                return read
    return read


class Pool:
    """All passages of a text, to tell how precise the best of retrievers could be with them."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        spans = [(n, *span) for n, chunk in enumerate(chunks) for span in chunk.spans]
        rows: NDArray[np.int64] = np.array(spans, np.int64).reshape(-1, 3)
        self._owners, self._starts, self._ends = rows.T
        self._read = [(c.context,) if c.context else c.spans for c in chunks]

    def precision(self, wanted: Sequence[Span]) -> float:
        """That of finding every passage that holds anything wanted, and no other."""
        touching = [(self._starts < end) & (self._ends > start) for start, end in wanted]
        owners = np.unique(self._owners[np.logical_or.reduce(touching)]).tolist()
        read = [span for of in dict.fromkeys(self._read[n] for n in owners) for span in of]
        return _length(_common(_union(read), wanted)) / _length(read) if read else 0.0


def _union(spans: Iterable[Span]) -> list[Span]:
    """The same stretches, in order and apart."""
    done: list[Span] = []
    for start, end in sorted(spans):
        if done and start <= done[-1][1]:
            done[-1] = done[-1][0], max(end, done[-1][1])
        elif start < end:
            done.append((start, end))
    return done


def _common(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What lies in both; each must be in order and apart."""
    pairs = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return [(start, end) for start, end in pairs if start < end]


def _length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)


def _questions(file: Path, texts: Mapping[str, str]) -> list[Asked]:
    problems = Problems(file)
    read_text(file)  # says where it is no UTF-8
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            missing = [c for c in COLUMNS if c not in (rows.fieldnames or ())]
            if missing:
                raise EvaluationError(
                    f"{file}:1: has no column {', '.join(map(repr, missing))}; expected "
                    f"{', '.join(COLUMNS)}, got {', '.join(rows.fieldnames or ()) or 'nothing'}"
                )
            found = _checked(rows, texts, problems)
    except csv.Error as e:
        raise EvaluationError(f"{file}:{rows.line_num}: is not valid CSV: {e}") from e
    finally:
        csv.field_size_limit(limit)
    problems.check()
    if not found:
        raise EvaluationError(f"{str(file)!r} holds no question")
    return found


def _checked(
    rows: csv.DictReader[str], texts: Mapping[str, str], problems: Problems
) -> list[Asked]:
    found = []
    line = rows.line_num + 1
    for row in rows:
        first, line = line, rows.line_num + 1  # a quoted field may take several lines
        if None in row or None in row.values():
            problems.add(first, f"expected {len(rows.fieldnames or ())} fields")
            continue
        if not row["question"].strip():
            problems.add(first, "the question is empty")
        corpus = row["corpus_id"]
        if corpus not in texts:
            have = ", ".join(texts) or "none"
            problems.add(first, f"there is no text {corpus + '.md'!r} (there are: {have})")
            continue
        try:
            spans = _references(row["references"], texts[corpus])
        except ValueError as e:
            problems.add(first, str(e))
            continue
        found.append(Asked(row["question"], corpus, spans))
    return found


def _references(field: str, text: str) -> tuple[Span, ...]:
    """The stretches a field names. Raises ValueError saying what is wrong."""
    try:
        listed = json.loads(field)
    except ValueError as e:
        raise ValueError(f"references is not valid JSON: {e}") from None
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"references must be a list of at least one, got {field[:60]!r}")
    spans = []
    for n, reference in enumerate(listed, 1):
        where = f"reference {n}"
        if not isinstance(reference, dict):
            raise ValueError(f"{where}: expected an object, got {json.dumps(reference)[:60]}")
        start, end = reference.get("start_index"), reference.get("end_index")
        if type(start) is not int or type(end) is not int:
            raise ValueError(f"{where}: start_index and end_index must be whole numbers")
        if not 0 <= start < end <= len(text):
            raise ValueError(f"{where}: {start} to {end} is no span of {len(text)} characters")
        content = reference.get("content")
        if content is not None and content != text[start:end]:
            said = text[start:end][:60]
            raise ValueError(f"{where}: at {start} to {end} stands {said!r}, not its content")
        spans.append((start, end))
    return tuple(_union(spans))
