"""Question sets in a form to be gone through in an editor, and read back strictly.

One block for each question: its mark and id in brackets, then what may be changed, a line each.
Lines that begin with `#` are for reading only.

    [later] fact-1a2b3c4d
    question: When is the alarm tested?
    answer: Monday
    # fact, rule: gap, /home/me/handbook.md, characters 120-180
    #   The alarm is tested on Mondays.

Marks are `keep`, `drop` and `later` (not looked at, and kept). A line break or backslash inside a
value is written `\\n` or `\\\\`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import EvaluationError
from .lines import Problems, read_text
from .questions import KINDS, UNANSWERABLE, Question, read, write

__all__ = ["Reviewed", "as_text", "from_text", "review", "save"]

MARKS = ("keep", "drop", "later")
HEAD = """# Put keep or drop in the brackets of each question; later leaves it for another time.
# Questions, answers and labels may be changed; a question may have several answer lines.
# Nothing is saved while a block cannot be read, and what you wrote stays in this file.
"""
QUOTE = 400  # characters of a span that are shown

_BLOCK = re.compile(r"\[\s*(\S*)\s*\]\s+(\S+)\s*")
_FIELD = re.compile(r"(question|answer|label):[ \t]?(.*)")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The questions that stay, and how many were kept by the reviewer, dropped and left."""

    questions: tuple[Question, ...]
    kept: int
    dropped: int
    later: int


@dataclass(slots=True)
class _Block:
    line: int
    mark: str
    id: str
    question: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)


def as_text(questions: Sequence[Question]) -> str:
    """Questions in the form to be reviewed."""
    return "\n".join([HEAD, *map(_as_block, questions)])


def _as_block(question: Question) -> str:
    mark = "keep" if question.reviewed else "later"
    lines = [f"[{mark}] {question.id}", f"question: {_escaped(question.question)}"]
    lines += [f"answer: {_escaped(answer)}" for answer in question.answers]
    lines += [f"label: {_escaped(question.label)}"] if question.label else []
    about = ", ".join(str(part) for part in (question.kind, question.about.get("made")) if part)
    lines.append(f"# {about}")
    lines += [f"# {m.role} before: {_escaped(m.content)}" for m in question.history]
    for span in question.spans:
        place = "" if span.start is None else f", characters {span.start}-{span.end}"
        lines.append(f"# {span.path}{place}")
        quote = span.quote if len(span.quote) <= QUOTE else f"{span.quote[:QUOTE]} (and more)"
        lines += [f"#   {line}" for line in quote.splitlines()]
    return "\n".join(lines) + "\n"


def from_text(text: str, questions: Sequence[Question], file: Path) -> Reviewed:
    """The questions as they were reviewed, in their order.

    Raises EvaluationError naming the line of every block that cannot be used: unknown or missing
    ids, an id that stands twice, a mark that there is not, a question without words or answers.
    """
    problems = Problems(file)
    known = {q.id: q for q in questions}
    blocks: dict[str, _Block] = {}
    for block in _blocks(text, problems):
        if block.id not in known:
            problems.add(block.line, f"there is no question {block.id!r} in the set")
        elif block.id in blocks:
            first = blocks[block.id].line
            problems.add(block.line, f"the question {block.id!r} stands in line {first} as well")
        else:
            blocks[block.id] = block
            _check(block, known[block.id], problems)
    end = text.count("\n") + 1
    for name in known:
        if name not in blocks:
            problems.add(end, f"the question {name!r} is missing; to leave it out, mark it drop")
    problems.check()
    return _applied(questions, blocks)


def _blocks(text: str, problems: Problems) -> list[_Block]:
    found: list[_Block] = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.rstrip()
        if not bare or bare.startswith("#"):
            continue
        head, said = _BLOCK.fullmatch(bare), _FIELD.fullmatch(bare)
        if head:
            if head[1] not in MARKS:
                problems.add(number, f"the mark {head[1]!r} must be one of {', '.join(MARKS)}")
            found.append(_Block(number, head[1], head[2]))
        elif said and found:
            try:
                value = _unescaped(said[2].strip())
            except EvaluationError as e:
                problems.add(number, e.message)
                continue
            block = found[-1]
            {"question": block.question, "answer": block.answers, "label": block.label}[
                said[1]
            ].append(value)
        elif said:
            problems.add(number, "stands before the first question; expected [mark] id")
        else:
            problems.add(
                number,
                f"expected [mark] id, question:, answer:, label: or # and got {bare[:40]!r}",
            )
    return found


def _check(block: _Block, question: Question, problems: Problems) -> None:
    if block.mark == "drop":
        return
    if len(block.question) != 1 or not block.question[0].strip():
        problems.add(block.line, f"{block.id!r} needs exactly one line 'question:' with words")
    if any(not answer.strip() for answer in block.answers):
        problems.add(block.line, f"an answer of {block.id!r} is empty; leave the line out")
    if len(block.label) > 1 or (question.label and not any(map(str.strip, block.label))):
        problems.add(block.line, f"{block.id!r} needs exactly one line 'label:'")
    if block.label and not question.label:
        problems.add(block.line, f"{block.id!r} is of kind {question.kind!r}, which has no label")
    if question.kind == UNANSWERABLE and block.answers:
        problems.add(block.line, f"{block.id!r} is {UNANSWERABLE} and has answers; drop it instead")
    if question.answers and not block.answers and question.kind in KINDS:
        problems.add(block.line, f"{block.id!r} has no answer left; mark it drop, or keep one")


def _applied(questions: Sequence[Question], blocks: Mapping[str, _Block]) -> Reviewed:
    counts = dict.fromkeys(MARKS, 0)
    left = []
    for question in questions:
        block = blocks[question.id]
        counts[block.mark] += 1
        if block.mark == "drop":
            continue
        label = block.label[0] if block.label else ""
        changed = replace(
            question,
            question=block.question[0],
            answers=tuple(dict.fromkeys(block.answers)),
            label=label,
        )
        edited = changed != question
        left.append(replace(changed, reviewed=block.mark == "keep" or (
            question.reviewed and not edited
        )))  # fmt: skip
    return Reviewed(tuple(left), counts["keep"], counts["drop"], counts["later"])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        signs = {"\\": "\\", "n": "\n", "r": "\r"}
        if found[1] not in signs:
            raise EvaluationError(f"{found[0]!r} is no line break; write a backslash as \\\\")
        return signs[found[1]]

    return re.sub(r"\\(.?)", one, text)


# -- files and the editor ------------------------------------------------------------------


def review(file: Path) -> Reviewed:
    """Open a set in $VISUAL or $EDITOR, and save what came of it.

    What is edited lies beside the set (FILE.review) until it could be read and saved; an attempt
    that failed is gone on with. Raises EvaluationError; the set is then as it was.
    """
    questions = read(file).questions
    editor = _editor(file)
    sheet = file.with_name(f"{file.name}.review")
    if not sheet.exists():
        _write(sheet, as_text(questions))
    try:
        done = subprocess.run([*editor, str(sheet)], check=False)
    except OSError as e:
        sheet.unlink()
        raise EvaluationError(
            f"the editor {shlex.join(editor)!r} cannot be started: {e.strerror}",
            fix="export EDITOR=nano",
        ) from e
    if done.returncode:
        raise EvaluationError(
            f"the editor {shlex.join(editor)!r} ended with {done.returncode}; {str(file)!r} is as "
            f"it was, and what was edited is in {str(sheet)!r}",
            fix=f"llar evaluate make --review {file}",
        )
    try:
        found = from_text(read_text(sheet), questions, sheet)
    except EvaluationError as e:
        raise EvaluationError(
            f"{e.message}\n{str(file)!r} is as it was; what was edited is kept",
            fix=f"llar evaluate make --review {file}",
        ) from None
    if not found.questions:
        raise EvaluationError(
            f"every question is marked drop; {str(file)!r} is as it was",
            fix=f"rm {file} {sheet}   (if it is to go)",
        )
    save(file, found.questions)
    sheet.unlink()
    return found


def _editor(file: Path) -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        words = shlex.split(named)
    except ValueError as e:
        raise EvaluationError(f"$EDITOR is {named!r}, which cannot be split: {e}") from None
    if not words:
        raise EvaluationError(
            "no editor is named in $VISUAL or $EDITOR",
            fix=f"EDITOR=nano llar evaluate make --review {file}",
        )
    return words


def save(file: Path, questions: Sequence[Question]) -> None:
    """Write a set that can be read again, whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        write(draft, questions)
        read(draft)
        draft.replace(file)
    except OSError as e:
        raise EvaluationError(f"{str(file)!r} cannot be written: {e.strerror}") from e
    finally:
        draft.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as e:
        raise EvaluationError(f"{str(file)!r} cannot be written: {e.strerror}") from e
