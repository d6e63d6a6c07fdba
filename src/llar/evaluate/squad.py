"""Question sets in SQuAD's form (Rajpurkar et al. 2016, 2018): contexts with their questions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from .questions import UNANSWERABLE, Question, QuestionSet, Span, Text

__all__ = ["is_squad", "read_squad"]


def is_squad(table: Any) -> bool:
    """Whether parsed JSON looks like a SQuAD file."""
    if not isinstance(table, dict) or not isinstance(table.get("data"), list):
        return False
    return all(isinstance(a, dict) and "paragraphs" in a for a in table["data"][:1])


def read_squad(file: Path, table: Mapping[str, Any], sha256: str) -> QuestionSet:
    """The questions of a SQuAD file, with its contexts as documents.

    Contexts of equal text are one document. Of several annotators' places the one that most chose
    is the span, the first of those that tie. Raises EvaluationError naming what cannot be used.
    """
    reading = _Reading(file)
    for number, article in enumerate(table["data"], 1):
        reading.article(number, article)
    if reading.problems:
        shown = reading.problems[:20]
        more = len(reading.problems) - len(shown)
        tail = [f"... and {more} more"] if more else []
        raise EvaluationError(
            "\n  ".join([f"{str(file)!r} is no sound SQuAD file:", *shown, *tail])
        )
    texts = tuple(reading.texts.values())
    joined = "\0".join(f"{t.path}\0{t.title or ''}\0{t.text}" for t in texts)
    return QuestionSet(
        name=file.stem,
        form="SQuAD 2" if reading.second else "SQuAD 1",
        questions=tuple(reading.questions.values()),
        sha256=sha256,
        texts=lambda: iter(texts),
        texts_sha256=hashlib.sha256(joined.encode()).hexdigest(),
        texts_count=len(texts),
        notes=tuple(reading.notes),
    )


@dataclass(slots=True)
class _Reading:
    file: Path
    questions: dict[str, Question] = field(default_factory=dict)
    texts: dict[str, Text] = field(default_factory=dict)  # by their text
    problems: list[str] = field(default_factory=list)
    second: bool = False  # some question says whether it is impossible
    empty: int = 0
    silent: int = 0

    @property
    def notes(self) -> Iterator[str]:
        """What is worth knowing."""
        if self.empty:
            yield f"{self.empty} empty contexts hold no question and were left out"
        if self.silent:
            yield f"{self.silent} empty answers were left out; their questions have others"

    def article(self, number: int, article: Any) -> None:
        where = f"article {number}"
        if not isinstance(article, dict) or not isinstance(article.get("paragraphs"), list):
            self.problems.append(f"{where}: has no list of paragraphs")
            return
        title = article.get("title")
        name = title.replace("_", " ") if isinstance(title, str) and title.strip() else None
        for i, paragraph in enumerate(article["paragraphs"], 1):
            self.paragraph(f"{where}, paragraph {i}", f"{number}/{i}", name, paragraph)

    def paragraph(self, where: str, place: str, title: str | None, paragraph: Any) -> None:
        context = paragraph.get("context") if isinstance(paragraph, dict) else None
        asked = paragraph.get("qas") if isinstance(paragraph, dict) else None
        if not isinstance(context, str) or not isinstance(asked, list):
            self.problems.append(f"{where}: needs a context and a list of qas")
            return
        if not context.strip():
            if asked:
                self.problems.append(f"{where}: has questions and an empty context")
            self.empty += 1
            return
        path = self.texts.setdefault(context, Text(f"{place}.txt", context, title)).path
        for i, row in enumerate(asked, 1):
            try:
                self.question(row, path)
            except EvaluationError as e:
                self.problems.append(f"{where}, question {i}: {e.message}")

    def question(self, row: Any, path: str) -> None:
        if not isinstance(row, dict):
            raise EvaluationError(f"must be an object, got {row!r}")
        name, text = str(row.get("id") or ""), row.get("question")
        if not name or not isinstance(text, str) or not text.strip():
            raise EvaluationError("needs an id and a question")
        if name in self.questions:
            raise EvaluationError(f"the id {name!r} was there before")
        impossible = row.get("is_impossible", False)
        if not isinstance(impossible, bool):
            raise EvaluationError(f"is_impossible must be true or false, got {impossible!r}")
        self.second |= "is_impossible" in row
        answers, empty = ([], 0) if impossible else _answers(row.get("answers"))
        self.silent += empty
        spans = Counter(answers).most_common(1)
        self.questions[name] = Question(
            id=name,
            question=text,
            answers=tuple(dict.fromkeys(text for text, _ in answers)),
            kind=UNANSWERABLE if impossible else "",
            spans=tuple(Span(path, at, at + len(said), said) for (said, at), _ in spans),
        )


def _answers(value: Any) -> tuple[list[tuple[str, int]], int]:
    """(text, start) of each answer that has a text, and how many have none."""
    if not isinstance(value, list) or not value:
        raise EvaluationError("has no answers and is not marked is_impossible")
    found, empty = [], 0
    for answer in value:
        text = answer.get("text") if isinstance(answer, dict) else None
        start = answer.get("answer_start") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise EvaluationError(f"an answer needs its text, got {answer!r}")
        if not text.strip():  # some annotators found none, or a translation lost it
            empty += 1
        elif isinstance(start, bool) or not isinstance(start, int) or start < 0:
            raise EvaluationError(f"an answer needs answer_start, got {start!r}")
        else:
            found.append((text, start))
    if not found:
        raise EvaluationError("all its answers are empty and it is not marked is_impossible")
    return found, empty
