"""Question sets: what is asked, what a right answer says, and where the documents say it.

A set is a file of JSON lines, one question each; docs/evaluation.md describes the keys. SQuAD
files (versions 1 and 2) are read too; their contexts are documents that come with the questions.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import EvaluationError
from ..records import Message
from .lines import Problems, objects, parse, read_text

__all__ = [
    "KINDS", "Question", "QuestionSet", "Span", "Text", "as_row", "from_row", "read", "write",
]  # fmt: skip

KINDS = (
    "fact",
    "number",
    "table",
    "multi-passage",
    "unanswerable",
    "dialogue",
    "code",
    "summary",
    "classification",
)
UNANSWERABLE = "unanswerable"
Form = Literal["questions", "SQuAD 1", "SQuAD 2", "BEIR"]


@dataclass(frozen=True, slots=True)
class Span:
    """A place of a document that holds an answer or a part of it.

    `path` is the document's, whole or its end ("handbook/leave.txt"). Offsets count characters of
    its text. `quote` is what stood there when the question was made, "" where nobody noted it;
    without offsets (None) it is looked for.
    """

    path: str
    start: int | None
    end: int | None
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what is known of its answer.

    `answers` are right ones, any of which will do. `spans` are the places that hold the answer,
    all of which belong to it; `documents` are judged documents with their gain, where no places
    are known.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    kind: str = ""
    spans: tuple[Span, ...] = ()
    documents: Mapping[str, float] = field(default_factory=dict)
    language: str | None = None  # ISO 639-1
    history: tuple[Message, ...] = ()  # the turns before, for a follow-up
    label: str = ""  # the right class, for classification
    reviewed: bool = False  # a person has looked at it
    about: Mapping[str, Any] = field(default_factory=dict)  # whatever its maker noted

    @property
    def answerable(self) -> bool:
        """Whether the documents say it."""
        if self.kind == UNANSWERABLE:
            return False
        gains = any(gain > 0 for gain in self.documents.values())
        return bool(self.answers or self.spans or gains or self.label)

    @property
    def key(self) -> str:
        """What tells whether it is the same to be asked: text and history, as a hash."""
        asked = [self.question, *([m.role, m.content] for m in self.history)]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Text:
    """A document that comes with its questions."""

    path: str
    text: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions, and the documents they are about where those come with them.

    `sha256` is of the questions' files, `texts_sha256` of the documents' ("" without any);
    `notes` say what else is worth knowing of what was read.
    """

    name: str
    form: Form
    questions: tuple[Question, ...]
    sha256: str
    texts: Callable[[], Iterator[Text]] | None = None
    texts_sha256: str = ""
    texts_count: int = 0
    notes: tuple[str, ...] = ()


def read(file: Path) -> QuestionSet:
    """The question set in a file: JSON lines of llar's own form, or SQuAD.

    Raises EvaluationError naming every line that cannot be used, and for an empty set.
    """
    from .squad import is_squad, read_squad

    text = read_text(file)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    table = _whole(text)
    if is_squad(table):
        found = read_squad(file, table, sha256)
    else:
        found = QuestionSet(file.stem, "questions", tuple(_own(file)), sha256)
    if not found.questions:
        raise EvaluationError(f"{str(file)!r} holds no question")
    return found


def _whole(text: str) -> Any:
    """The file as one JSON document; None where it is none, as JSON lines are not."""
    try:
        return parse(text)
    except ValueError:
        return None


def write(file: Path, questions: Sequence[Question]) -> None:
    """Write a set that `read` reads."""
    rows = [json.dumps(as_row(q), ensure_ascii=False) for q in questions]
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def as_row(question: Question) -> dict[str, Any]:
    """A question as an object of the file, what is empty left out."""
    row: dict[str, Any] = {
        "id": question.id,
        "question": question.question,
        "answers": list(question.answers),
        "kind": question.kind,
        "spans": [_span_row(s) for s in question.spans],
        "documents": dict(question.documents),
        "language": question.language,
        "history": [{"role": m.role, "content": m.content} for m in question.history],
        "label": question.label,
        "reviewed": question.reviewed,
        "about": dict(question.about),
    }
    return {k: v for k, v in row.items() if v or k == "answers"}


def from_row(row: Mapping[str, Any]) -> Question:
    """The question of such an object. Raises EvaluationError where it is none."""
    return _question(row)


def _span_row(span: Span) -> dict[str, Any]:
    row = {"path": span.path, "start": span.start, "end": span.end, "quote": span.quote}
    return {k: v for k, v in row.items() if v is not None and v != ""}


# -- llar's own form -----------------------------------------------------------------------

_KEYS = tuple(as_row(Question("", "")) | dict.fromkeys(Question.__dataclass_fields__))
_SPAN_KEYS = ("path", "start", "end", "quote")


def _own(file: Path) -> Iterator[Question]:
    problems = Problems(file)
    seen: dict[str, int] = {}
    for number, row in objects(file, problems):
        try:
            question = _question(row)
        except EvaluationError as e:
            problems.add(number, e.message)
            continue
        if question.id in seen:
            problems.add(number, f"the id {question.id!r} stands in line {seen[question.id]} too")
            continue
        seen[question.id] = number
        yield question
    problems.check()


def _question(row: Mapping[str, Any]) -> Question:
    _only(row, _KEYS, "a question")
    asked = Question(
        id=_text(row, "id", needed=True),
        question=_text(row, "question", needed=True),
        answers=tuple(_texts(row, "answers")),
        kind=_text(row, "kind"),
        spans=tuple(_span(s) for s in _list(row, "spans")),
        documents=_documents(row.get("documents", {})),
        language=_text(row, "language") or None,
        history=tuple(_message(m) for m in _list(row, "history")),
        label=_text(row, "label"),
        reviewed=_bool(row, "reviewed"),
        about=_object(row, "about"),
    )
    _check_kind(asked)
    return asked


def _check_kind(q: Question) -> None:
    """Refuse what contradicts itself: then one of both was meant otherwise."""
    if q.kind not in KINDS:
        near = difflib.get_close_matches(q.kind, KINDS, n=1, cutoff=0.8)
        if near:
            raise EvaluationError(f"the kind {q.kind!r} is not known; did you mean {near[0]!r}?")
    if q.kind == UNANSWERABLE and (q.answers or q.label):
        raise EvaluationError(f"it is {UNANSWERABLE} and has answers; one of both is wrong")
    if q.kind not in ("", UNANSWERABLE) and not q.answerable:
        raise EvaluationError(
            f"it is of kind {q.kind!r} and has no answers, spans, documents or label; a question"
            f" that the documents do not answer is of kind {UNANSWERABLE!r}"
        )
    if q.kind == "classification" and not q.label:
        raise EvaluationError("a question of kind 'classification' needs its label")


def _span(value: Any) -> Span:
    if not isinstance(value, dict):
        raise EvaluationError(f"a span must be an object with path and quote, got {value!r}")
    _only(value, _SPAN_KEYS, "a span")
    start, end = _offset(value, "start"), _offset(value, "end")
    span = Span(_text(value, "path", needed=True), start, end, _text(value, "quote"))
    if (start is None) != (end is None):
        raise EvaluationError("a span needs both start and end, or neither")
    if start is None and not span.quote:
        raise EvaluationError("a span needs start and end, or a quote to look for")
    if start is not None and end is not None and not start < end:
        raise EvaluationError(f"a span must end behind its start, got {start} and {end}")
    if start is not None and end is not None and span.quote and end - start != len(span.quote):
        raise EvaluationError(
            f"the quote has {len(span.quote)} characters and the span {end - start}"
        )
    return span


def _documents(value: Any) -> dict[str, float]:
    if isinstance(value, list) and all(isinstance(v, str) and v for v in value):
        return dict.fromkeys(value, 1.0)
    if isinstance(value, dict) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value.values()
    ):
        return {str(k): float(v) for k, v in value.items()}
    raise EvaluationError(
        f"'documents' must be a list of paths, or an object of path and gain, got {value!r}"
    )


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise EvaluationError(f"a turn of the history must be an object, got {value!r}")
    _only(value, ("role", "content"), "a turn")
    role = _text(value, "role", needed=True)
    if role not in ("user", "assistant"):
        raise EvaluationError(f"a turn's role must be user or assistant, got {role!r}")
    return Message(role, _text(value, "content", needed=True))  # type: ignore[arg-type]


def _only(row: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    for key in row:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise EvaluationError(f"{what} has no key {key!r}; {hint}")


def _text(row: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    value = row.get(key)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        said = "is missing" if value is None else f"must be text, got {value!r}"
        raise EvaluationError(f"{key!r} {said}")
    if needed and not value.strip():
        raise EvaluationError(f"{key!r} is empty")
    return value


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    values = _list(row, key)
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise EvaluationError(f"{key!r} must be a list of texts, got {value!r} in it")
    return list(dict.fromkeys(values))


def _list(row: Mapping[str, Any], key: str) -> list[Any]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise EvaluationError(f"{key!r} must be a list, got {value!r}")
    return value


def _object(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    if value is not None and not isinstance(value, dict):
        raise EvaluationError(f"{key!r} must be an object, got {value!r}")
    return value or {}


def _bool(row: Mapping[str, Any], key: str) -> bool:
    value = row.get(key, False)
    if not isinstance(value, bool):
        raise EvaluationError(f"{key!r} must be true or false, got {value!r}")
    return value


def _offset(row: Mapping[str, Any], key: str) -> int | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise EvaluationError(f"{key!r} must be a whole number of at least 0, got {value!r}")
    return value
