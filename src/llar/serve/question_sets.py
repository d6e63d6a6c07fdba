"""Question sets: stored, reviewed, made from a collection's documents or from what users said.

A set belongs to a collection and is LLAR_HOME/questions/COLLECTION/NAME.jsonl, a file that the
command line reads, too. Sets and runs quote documents, so only those see them who may edit the
collection and from whom none of its documents is hidden.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..collection import Collection
from ..config import Config
from ..errors import BadRequest, Conflict, EvaluationError, Forbidden, NotThere
from ..evaluate.make import Made, make
from ..evaluate.make_review import save
from ..evaluate.questions import KINDS, UNANSWERABLE, Question, QuestionSet, Span, read
from .documents_of import Names
from .job_records import Job
from .jobs import Jobs, Task
from .turns import Feedback
from .who import Identity

MOST = 20_000  # questions of a set
MOST_MADE = 500  # questions that are made at once
_NAME = re.compile(r"[\w][\w.-]{0,63}")
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class SetRow:
    """A question set in a list."""

    collection: str
    name: str
    questions: int
    reviewed: int
    unanswerable: int
    kinds: Mapping[str, int]
    version: str  # of its content; saving names the one that was changed


class QuestionSets:
    """Question sets, for those who may see them."""

    def __init__(
        self,
        config: Config,
        jobs: Jobs,
        whole: Callable[[str], Collection],
        opened: Callable[[str, Identity], Collection],
        check: Callable[..., None],
    ) -> None:
        """`whole` gives a collection, `opened` as somebody sees it; `check` is Library.check."""
        self._config = config
        self._jobs = jobs
        self._whole = whole
        self._opened = opened
        self._check = check
        self._folder = config.home / "questions"
        self._lock = threading.Lock()  # while a set is stored

    def question_sets(self, identity: Identity, collection: str) -> list[SetRow]:
        """The sets of a collection, by name. Raises as `check`."""
        self.check(identity, collection)
        folder = self._folder / collection
        files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
        return [_set_row(collection, file) for file in files]

    def questions(
        self, identity: Identity, collection: str, name: str
    ) -> tuple[tuple[Question, ...], str]:
        """The questions of a set, and its version. Raises NotThere, and as `check`."""
        file = self._file(identity, collection, name)
        return _read(file, name).questions, _version(file)

    def stored(self, collection: str, name: str) -> QuestionSet:
        """A set, for the server's own work. Raises EvaluationError where it is gone or damaged."""
        return _read(self._place(collection, name), name)

    def save_questions(
        self,
        identity: Identity,
        collection: str,
        name: str,
        questions: Sequence[Question],
        *,
        version: str | None,
    ) -> str:
        """Store a set, whole or not at all; returns its new version.

        `version` is the one that was changed, None for a new set. Raises Conflict where it is no
        longer that one, EvaluationError for an empty set or an id that stands twice.
        """
        with self._lock:
            file = self._file(identity, collection, name, new=version is None)
            if version is not None and _version(file) != version:
                raise Conflict(f"the question set {name!r} was changed by somebody else meanwhile")
            _store(file, questions)
            return _version(file)

    def delete_questions(self, identity: Identity, collection: str, name: str) -> None:
        """Delete a set. Raises NotThere."""
        self._file(identity, collection, name).unlink()

    def forget(self, collection: str) -> None:
        """Delete every set of a collection."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder / collection)

    def from_feedback(
        self, identity: Identity, collection: str, feedback: Iterable[Feedback]
    ) -> list[Question]:
        """What users said of answers, as questions to be reviewed.

        A liked answer is right, and its citations are where it stands; of one disliked, only the
        question is taken, with answer and comment to read in `about`.
        """
        self.check(identity, collection)
        index = self._whole(collection).index
        uploads = self._config.home / "server" / "uploads" / collection
        names = Names(uploads, index.roots())
        paths = {}
        for file in index.files():  # the end of a path tells the document, and no folder above
            own = Path(file.path).is_relative_to(uploads)
            shown = names.shown(file.path)
            paths[file.document_id] = f"{collection}/{shown}" if own else shown
        return [_question(said, paths) for said in feedback if said.collection == collection]

    # -- made from documents ---------------------------------------------------------------

    def make(
        self,
        identity: Identity,
        collection: str,
        name: str,
        *,
        count: int,
        kinds: Sequence[str] = (),
    ) -> Job:
        """A job that makes a new set of `count` questions from the collection's own documents.

        `kinds` are of KINDS, all of them if none is named. The set is there when the job is done,
        whole: stopped in between, it leaves nothing; where the server ended, it begins anew. Raises
        Conflict where there is a set of that name or one is being made, and as `check`.
        """
        self._file(identity, collection, name, new=True)
        if not 1 <= count <= MOST_MADE:
            raise EvaluationError(f"1 to {MOST_MADE} questions are made at once, not {count}")
        wanted = list(dict.fromkeys(kinds)) or list(KINDS)
        for kind in wanted:
            if kind not in KINDS:
                raise EvaluationError(f"there is no kind {kind!r}; expected {', '.join(KINDS)}")
        for job in self._jobs.jobs(collection=collection, open_only=True):
            if job.kind == "make" and job.title == name:
                raise Conflict(f"a question set {name!r} is being made already")
        return self._jobs.add(
            "make",
            identity.user,
            collection=collection,
            title=name,
            unit="questions",
            options={"set": name, "count": count, "kinds": wanted},
        )

    def work(self, task: Task) -> Mapping[str, Any]:
        """Do such a job. The same documents give the same questions, whenever it begins."""
        job, options = task.job, task.job.options
        task.progress(0, options["count"])
        made = make(
            self._whole(job.collection),
            kinds=options["kinds"],
            count=options["count"],
            told=task.progress,
        )
        name, file = options["set"], self._place(job.collection, options["set"])
        with self._lock:
            if not file.exists():
                _store(file, made.questions)
            elif _read(file, name).questions != tuple(made.questions):  # else the server was killed
                raise Conflict(f"{job.collection!r} has a question set {name!r} already")
        return {"questions": len(made.questions), "notes": made.notes, "not_kept": _not_kept(made)}

    # -- who may see them ------------------------------------------------------------------

    def check(self, identity: Identity, collection: str) -> None:
        """Raises UnknownCollection and Forbidden where it may not evaluate a collection."""
        self._check(identity, collection, edit=True)
        seen = self._opened(collection, identity).index.counts()["files"]
        if seen != self._whole(collection).index.counts()["files"]:
            raise Forbidden(
                f"some documents of {collection!r} are hidden from {identity.user!r}: only those"
                " who may read all of them can evaluate it"
            )

    def _place(self, collection: str, name: str) -> Path:
        return self._folder / collection / f"{name}.jsonl"

    def _file(self, identity: Identity, collection: str, name: str, *, new: bool = False) -> Path:
        """Where a set is stored. Raises NotThere, or for a `new` one Conflict."""
        self.check(identity, collection)
        if not _NAME.fullmatch(name):
            raise BadRequest(
                f"{name!r} cannot name a question set: use letters, digits, '.', '_' and '-',"
                " starting with a letter or digit, at most 64"
            )
        file = self._place(collection, name)
        if new and file.exists():
            raise Conflict(f"{collection!r} has a question set {name!r} already")
        if not new and not file.is_file():
            raise NotThere(f"{collection!r} has no question set {name!r}")
        return file


def _set_row(collection: str, file: Path) -> SetRow:
    questions = _read(file, file.stem).questions
    kinds: dict[str, int] = {}
    for question in questions:
        kinds[question.kind] = kinds.get(question.kind, 0) + 1
    return SetRow(
        collection=collection,
        name=file.stem,
        questions=len(questions),
        reviewed=sum(q.reviewed for q in questions),
        unanswerable=sum(q.kind == UNANSWERABLE for q in questions),
        kinds=kinds,
        version=_version(file),
    )


def _read(file: Path, name: str) -> QuestionSet:
    """The set in a file. Raises EvaluationError that names the set, not the server's folders."""
    try:
        return read(file)
    except EvaluationError as e:
        raise EvaluationError(e.message.replace(str(file), f"{name}.jsonl")) from e


def _version(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _store(file: Path, questions: Sequence[Question]) -> None:
    """Write a set, whole or not at all."""
    if not questions or len(questions) > MOST:
        raise EvaluationError(f"a set has 1 to {MOST} questions, not {len(questions)}")
    ids = [q.id for q in questions]
    twice = next((i for i in ids if ids.count(i) > 1), None) if len(set(ids)) < len(ids) else ""
    if twice:
        raise EvaluationError(f"the id {twice!r} stands twice in the set")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    save(file, questions)


def _not_kept(made: Made) -> list[tuple[str, str, int]]:
    """(kind, why, how often) of what was tried and not kept, the most frequent of a kind first."""
    return [
        (kind, why, times)
        for (kind, _), reasons in made.rejected.items()
        for why, times in reasons.most_common()
    ]


def _question(said: Feedback, paths: Mapping[int, str]) -> Question:
    digest = hashlib.sha256(json.dumps([said.id, said.question]).encode()).hexdigest()[:10]
    liked = said.verdict == "up"
    spans = tuple(
        Span(paths[s["document"]], s["start"], s["end"], s["quote"])
        for s in said.sources
        if s["document"] in paths and s["start"] < s["end"]
    )
    return Question(
        id=f"feedback-{digest}",
        question=said.question,
        answers=(_MARK.sub("", said.answer).strip(),) if liked and said.answer.strip() else (),
        spans=spans if liked else (),
        about={"made": "feedback", "verdict": said.verdict, "comment": said.comment}
        | ({} if liked else {"answer": said.answer}),
    )
