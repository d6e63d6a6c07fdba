"""What reviewing a question set comes to: decisions, sets that are sent, what is not known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ...errors import EvaluationError
from ...evaluate.questions import UNANSWERABLE, Question, read, write

Mark = Literal["keep", "drop", "later"]


def decided(
    question: Question, mark: Mark, text: str, answers: Iterable[str], label: str = ""
) -> Question | None:
    """A question as a reviewer leaves it: None to drop it.

    Raises EvaluationError for one without words, and for one that is kept while its answers
    contradict its kind or are missing.
    """
    if mark == "drop":
        return None
    said = tuple(dict.fromkeys(a.strip() for a in answers if a.strip()))
    if not text.strip():
        raise EvaluationError("a question needs words")
    if question.kind == UNANSWERABLE and said:
        raise EvaluationError(f"it is {UNANSWERABLE} and has answers; one of both is wrong")
    if question.label and not label:
        raise EvaluationError("a question of kind 'classification' needs its label")
    changed = replace(question, question=text.strip(), answers=said, label=label)
    if mark == "keep" and (unknown(changed) or (question.answers and not said)):
        raise EvaluationError(
            "a right answer is missing; mark it as unanswerable if the documents do not say it"
        )
    edited = changed != question
    return replace(changed, reviewed=mark == "keep" or (question.reviewed and not edited))


def as_unanswerable(question: Question) -> Question:
    """The same question as one that the documents do not answer, looked at by a person."""
    return replace(
        question, kind=UNANSWERABLE, answers=(), spans=(), documents={}, label="", reviewed=True
    )


def unknown(question: Question) -> bool:
    """Whether nothing is known of its answer, not even that there is none."""
    return not question.answerable and question.kind != UNANSWERABLE


def merged(have: Sequence[Question], new: Iterable[Question]) -> list[Question]:
    """Questions with those that are not among them yet, by id and by what is asked."""
    ids, keys = {q.id for q in have}, {q.key for q in have}
    found = list(have)
    for question in new:
        if question.id not in ids and question.key not in keys:
            found.append(question)
            ids.add(question.id)
            keys.add(question.key)
    return found


def taken_in(name: str, data: bytes) -> tuple[Question, ...]:
    """The questions of a file of JSON lines that was sent.

    Raises EvaluationError naming every line that cannot be used, and for a set that brings
    documents of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "sent.jsonl"
        draft.write_bytes(data)
        try:
            found = read(draft)
        except EvaluationError as e:  # without the server's folders
            raise EvaluationError(e.message.replace(str(draft), name)) from None
    if found.texts is not None:
        raise EvaluationError(
            f"{name!r} brings documents of its own, and a set here asks a collection",
            fix="llar evaluate retrieval --questions FILE",
        )
    return found.questions


def written(questions: Sequence[Question]) -> bytes:
    """A set as the file of JSON lines that `llar evaluate` reads."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.jsonl"
        write(file, questions)
        return file.read_bytes()
