"""Questions in two parts, for choosing settings and for reporting on them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import EvaluationError
from .questions import Question, QuestionSet

__all__ = ["Parts", "part", "split"]

LARGEST = 0.6  # share of the questions that may hang together


@dataclass(frozen=True, slots=True)
class Parts:
    """Ids of the questions to choose by and of those held out.

    `shared` are documents that are right for questions of both parts, 0 wherever that could be
    avoided.
    """

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    shared: int


def split(questions: Sequence[Question], *, held_out: float = 0.5, seed: int = 0) -> Parts:
    """Two parts, drawn at random by groups: questions answered by the same document stay together.

    Where judgements tie most questions together, as when each has many relevant documents, they
    are drawn one by one, and `shared` says how many documents then stand on both sides. Raises
    EvaluationError for fewer than four questions.
    """
    if len(questions) < 4:
        raise EvaluationError(
            f"{len(questions)} questions cannot be parted into some to choose settings by and some"
            " to test them on; at least 4 are needed"
        )
    groups = _groups(questions)
    if max(map(len, groups)) > LARGEST * len(questions):
        groups = [[q.id] for q in questions]
    random.Random(seed).shuffle(groups)  # noqa: S311 - a draw that can be repeated
    wanted = round(held_out * len(questions))
    kept: list[str] = []
    train: list[str] = []
    for group in groups:
        part_of = kept if len(kept) + len(group) <= wanted or not kept else train
        part_of += group
    if not train:
        train, kept = kept, train
    order = {q.id: n for n, q in enumerate(questions)}
    sides = [{d for q in questions if q.id in set(ids) for d in _documents(q)}
             for ids in (train, kept)]  # fmt: skip
    return Parts(
        tuple(sorted(train, key=order.__getitem__)),
        tuple(sorted(kept, key=order.__getitem__)),
        len(sides[0] & sides[1]),
    )


def part(found: QuestionSet, ids: Sequence[str]) -> QuestionSet:
    """The set with only these questions."""
    wanted = set(ids)
    return replace(found, questions=tuple(q for q in found.questions if q.id in wanted))


def _documents(question: Question) -> set[str]:
    right = {path for path, gain in question.documents.items() if gain > 0}
    return right | {span.path for span in question.spans}


def _groups(questions: Sequence[Question]) -> list[list[str]]:
    """Ids of questions that share documents, directly or through others."""
    leader: dict[str, str] = {}

    def top(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for question in questions:
        names = [f"q {question.id}", *(f"d {path}" for path in _documents(question))]
        for name in names:
            leader.setdefault(name, name)
            leader[top(name)] = top(names[0])
    groups: dict[str, list[str]] = defaultdict(list)
    for question in questions:
        groups[top(f"q {question.id}")].append(question.id)
    return list(groups.values())
