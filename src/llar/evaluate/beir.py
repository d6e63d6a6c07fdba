"""Test collections in BEIR's layout (Thakur et al. 2021): corpus, queries and judgements.

A folder with corpus.jsonl (`_id`, `title`, `text`), queries.jsonl (`_id`, `text`) and
qrels/*.tsv (query-id, corpus-id, score).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from .lines import Problems, lines, objects
from .questions import UNANSWERABLE, Question, QuestionSet, Text

__all__ = ["read_beir"]

HEADER = ["query-id", "corpus-id", "score"]


def read_beir(folder: Path, qrels: str = "test.tsv") -> QuestionSet:
    """The queries that were judged, with the corpus as their documents.

    `qrels` is a file in the folder's `qrels`, or a path. Queries nobody judged are left out and
    counted in `notes`. Raises EvaluationError naming file and line of everything that cannot be
    used: malformed lines, ids that stand twice or nowhere, scores that are no whole numbers, an
    empty set.
    """
    corpus, queries = folder / "corpus.jsonl", folder / "queries.jsonl"
    judged = folder / "qrels" / qrels
    judged = judged if judged.is_file() else Path(qrels)
    _check_files(folder, qrels, corpus, queries, judged)
    reading = _Corpus(corpus)
    ids = reading.ids()
    asked = _queries(queries)
    gains = _gains(judged, asked, ids)
    questions = tuple(_question(name, asked[name], of) for name, of in gains.items())
    left = len(asked) - len(questions)
    notes = [f"{left} of {len(asked)} queries have no judgement in {judged.name}"] if left else []
    if reading.empty:
        notes.append(f"{reading.empty} of {len(ids)} documents are empty and cannot be found")
    return QuestionSet(
        name=folder.resolve().name,
        form="BEIR",
        questions=questions,
        sha256=_sha256(queries, judged),
        texts=reading.texts,
        texts_sha256=_sha256(corpus),
        texts_count=len(ids) - reading.empty,
        notes=tuple(notes),
    )


def _check_files(folder: Path, qrels: str, corpus: Path, queries: Path, judged: Path) -> None:
    if not folder.is_dir():
        raise EvaluationError(f"{str(folder)!r} is not a folder; expected one in BEIR's layout")
    for file in (corpus, queries):
        if not file.is_file():
            raise EvaluationError(
                f"{str(folder)!r} has no {file.name}; expected BEIR's layout: corpus.jsonl, "
                "queries.jsonl and qrels/*.tsv"
            )
    if not judged.is_file():
        have = ", ".join(sorted(p.name for p in (folder / "qrels").glob("*.tsv"))) or "none"
        raise EvaluationError(
            f"there are no judgements {qrels!r} in {str(folder / 'qrels')!r} (there are: {have})",
            fix="llar evaluate retrieval --data DIR --qrels FILE",
        )


@dataclass(slots=True)
class _Corpus:
    """The documents of corpus.jsonl, read whenever they are needed."""

    file: Path
    empty: int = 0
    problems: Problems = field(init=False)

    def __post_init__(self) -> None:
        self.problems = Problems(self.file)

    def ids(self) -> set[str]:
        """The ids of all documents, each row checked."""
        seen: dict[str, int] = {}
        for number, row in objects(self.file, self.problems):
            if _usable(row, number, self.problems, "text"):
                _once(row["_id"], number, seen, self.problems)
                self.empty += not _text(row)
        self.problems.check()
        if not seen:
            raise EvaluationError(f"{str(self.file)!r} holds no document")
        return set(seen)

    def texts(self) -> Iterator[Text]:
        """Each document with a text: its title, an empty line and its text."""
        for _, row in objects(self.file, Problems(self.file)):
            if text := _text(row):
                yield Text(row["_id"], text)


def _text(row: Mapping[str, Any]) -> str:
    return f"{row.get('title') or ''}\n\n{row['text']}".strip()


def _queries(file: Path) -> dict[str, dict[str, Any]]:
    problems = Problems(file)
    found: dict[str, dict[str, Any]] = {}
    seen: dict[str, int] = {}
    for number, row in objects(file, problems):
        if _usable(row, number, problems, "text"):
            if not row["text"].strip():
                problems.add(number, f"query {row['_id']!r} is empty")
            _once(row["_id"], number, seen, problems)
            found[row["_id"]] = row
    problems.check()
    if not found:
        raise EvaluationError(f"{str(file)!r} holds no query")
    return found


def _gains(
    file: Path, queries: Mapping[str, Any], documents: set[str]
) -> dict[str, dict[str, float]]:
    """Judgements by query, in the order of the file."""
    problems = Problems(file)
    found: dict[str, dict[str, float]] = {}
    seen: dict[tuple[str, str], int] = {}
    for number, line in lines(file):
        cells = [cell.strip() for cell in line.split("\t")]
        if number == 1 and cells == HEADER:
            continue
        if len(cells) != 3:
            problems.add(
                number, f"expected {', '.join(HEADER)} with tabs between, got {line[:60]!r}"
            )
            continue
        query, document, gain = cells
        if query not in queries:
            problems.add(number, f"there is no query {query!r} in queries.jsonl")
        elif document not in documents:
            problems.add(number, f"there is no document {document!r} in corpus.jsonl")
        elif not re.fullmatch(r"[+-]?[0-9]{1,9}", gain):
            problems.add(number, f"the score must be a whole number, got {gain!r}")
        elif (query, document) in seen:
            first = seen[query, document]
            problems.add(
                number, f"query {query!r} and document {document!r} stand in line {first} too"
            )
        else:
            seen[query, document] = number
            found.setdefault(query, {})[document] = float(gain)
    problems.check()
    if not found:
        raise EvaluationError(f"{str(file)!r} holds no judgement")
    return found


def _question(name: str, row: Mapping[str, Any], gains: Mapping[str, float]) -> Question:
    """A query; some sets also say what the answer is."""
    said = row.get("answers")
    texts = [a for a in said if isinstance(a, str) and a.strip()] if isinstance(said, list) else []
    impossible = row.get("is_impossible") is True
    return Question(
        id=name,
        question=row["text"],
        answers=() if impossible else tuple(dict.fromkeys(texts)),
        kind=UNANSWERABLE if impossible else "",
        documents=gains,
    )


def _usable(row: Mapping[str, Any], number: int, problems: Problems, *needed: str) -> bool:
    """Whether a row has the keys it needs, and all its texts are texts."""
    for key in ("_id", *needed):
        if not isinstance(row.get(key), str):
            got = repr(row[key]) if key in row else "nothing"
            problems.add(number, f"{key!r} must be text, got {got}")
            return False
    if not row["_id"].strip():
        problems.add(number, "'_id' is empty")
        return False
    if not isinstance(row.get("title") or "", str):
        problems.add(number, f"'title' must be text, got {row['title']!r}")
        return False
    return True


def _once(name: str, number: int, seen: dict[str, int], problems: Problems) -> None:
    if name in seen:
        problems.add(number, f"the id {name!r} stands in line {seen[name]} too")
    else:
        seen[name] = number


def _sha256(*files: Path) -> str:
    found = hashlib.sha256()
    for file in files:
        data = file.read_bytes()
        found.update(f"{len(data)}\0".encode() + data)
    return found.hexdigest()
