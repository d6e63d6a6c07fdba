"""Evaluation for the page and the API: question sets, runs as jobs, comparisons.

A question set belongs to a collection and is LLAR_HOME/questions/COLLECTION/NAME.jsonl, a file
that the command line reads, too. Sets and runs quote documents, so only those see them who may
edit the collection and from whom none of its documents is hidden.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from .. import retrieve
from ..collection import Collection
from ..config import Config, changed
from ..errors import BadRequest, Conflict, EvaluationError, Forbidden, LlarError, NotThere
from ..evaluate.answers import CHEAP, MEASURES, Measured, evaluate_answers
from ..evaluate.diff import RunsDiffer, diff
from ..evaluate.make_review import save
from ..evaluate.questions import UNANSWERABLE, Question, Span, read
from ..evaluate.report import columns
from ..evaluate.retrieval import evaluate_retrieval
from ..evaluate.runs import Result, Run, delete, find, runs
from ..evaluate.verdicts import JUDGED
from .documents_of import Names
from .job_records import Job
from .jobs import Jobs, Task
from .turns import Feedback
from .who import Identity

RunKind = Literal["retrieval", "answers"]

SETTINGS = (  # that a run may change
    "mode", "fusion", "dense_weight", "query", "strategy", "post", "passages", "candidates",
    "chat_model", "temperature", "max_answer_tokens",
)  # fmt: skip
ANSWER_MEASURES = tuple(name for name in MEASURES if name not in JUDGED)
MOST = 20_000  # questions of a set
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


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list. `measures` are name -> (mean, low, high), 95 % intervals."""

    id: str
    kind: str
    collection: str
    questions_set: str
    questions: int
    started: str
    finished: str | None
    user: str  # "" where it was made on the command line
    changed: Mapping[str, Any]  # settings that it was started with
    measures: Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run with all that is known of it."""

    row: RunRow
    record: Mapping[str, Any]  # settings, models, versions, machine, notes
    by_kind: Mapping[str, Mapping[str, float]]  # kind of question -> means
    results: Sequence[Result]


class Runs:
    """Question sets and runs, for those who may see them."""

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

    # -- question sets ---------------------------------------------------------------------

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
        found = _read(file, name)
        return found.questions, _version(file)

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
        file = self._file(identity, collection, name, new=version is None)
        if version is not None and _version(file) != version:
            raise Conflict(f"the question set {name!r} was changed by somebody else meanwhile")
        if not questions or len(questions) > MOST:
            raise EvaluationError(f"a set has 1 to {MOST} questions, not {len(questions)}")
        ids = [q.id for q in questions]
        twice = next((i for i in ids if ids.count(i) > 1), None) if len(set(ids)) < len(ids) else ""
        if twice:
            raise EvaluationError(f"the id {twice!r} stands twice in the set")
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        save(file, questions)
        return _version(file)

    def delete_questions(self, identity: Identity, collection: str, name: str) -> None:
        """Delete a set. Raises NotThere."""
        self._file(identity, collection, name).unlink()

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

    # -- runs ------------------------------------------------------------------------------

    def start(
        self,
        identity: Identity,
        collection: str,
        name: str,
        *,
        kind: RunKind = "retrieval",
        settings: Mapping[str, Any] | None = None,
        measures: Sequence[str] = (),
        fresh: bool = False,
    ) -> Job:
        """A job that measures a collection with a question set; its result names the run.

        `settings` (those in SETTINGS) take the place of the configured ones; `measures` of
        answers are names of ANSWER_MEASURES. Raises ConfigError, EvaluationError, and as `check`.
        """
        file = self._file(identity, collection, name)
        asked = dict(settings or {})
        for key in asked:
            if key not in SETTINGS:
                raise BadRequest(
                    f"{key!r} cannot be changed for a run; there are {', '.join(SETTINGS)}"
                )
        retrieve.options(changed(self._config, asked, "settings"))
        for step in str(asked.get("query", "")).split(","):
            if step.strip().startswith("ontology") and step.strip() not in self._config.query:
                raise BadRequest(
                    "the step 'ontology' reads a file of the server: configure it there"
                )
        for measure in measures:
            if measure not in ANSWER_MEASURES or kind != "answers":
                raise EvaluationError(
                    f"{measure!r} is no measure of {kind}; of answers there are"
                    f" {', '.join(ANSWER_MEASURES)}"
                )
        total = len(_read(file, name).questions)
        return self._jobs.add(
            "evaluate",
            identity.user,
            collection=collection,
            title=name,
            unit="questions",
            options={
                "kind": kind,
                "set": name,
                "settings": asked,
                "measures": list(measures),
                "fresh": fresh,
                "total": total,
            },
        )

    def work(self, task: Task) -> Mapping[str, Any]:
        """Do such a job; one that was interrupted goes on where it was."""
        job, options = task.job, task.job.options
        found = _read(self._folder / job.collection / f"{options['set']}.jsonl", options["set"])
        docs = copy(self._whole(job.collection))
        docs.config = changed(docs.config, options["settings"], "settings")
        flags = [f"user={job.user}", f"set={options['set']}"]
        flags += [f"{key}={value}" for key, value in options["settings"].items()]

        def told(done: int, total: int) -> None:
            task.progress(done, total)

        fresh = options["fresh"] and not job.done
        if options["kind"] == "retrieval":
            report = evaluate_retrieval(docs, found, flags=flags, told=told, fresh=fresh)
        else:
            wanted = Measured(tuple(options["measures"]) or CHEAP)
            report = evaluate_answers(docs, found, wanted, flags=flags, told=told, fresh=fresh)
        return {"run": report.run.id, "notes": report.notes}

    def runs(self, identity: Identity, collection: str) -> list[RunRow]:
        """The runs on a collection, the newest first. Raises as `check`."""
        self.check(identity, collection)
        found = [_run_row(run) for run in runs(self._config)]
        return [row for row in reversed(found) if row.collection == collection]

    def run(self, identity: Identity, run_id: str) -> RunShown:
        """One run with its results. Raises NotThere, for those on hidden collections, too."""
        run = self._run(identity, run_id)
        results = list(run.results.values())
        kinds = sorted({str(r.about["kind"]) for r in results if r.about.get("kind")})
        by_kind = {}
        for kind in kinds:
            values = columns(r for r in results if r.about.get("kind") == kind)
            by_kind[kind] = {name: fmean(of.values()) for name, of in values.items()}
        return RunShown(_run_row(run), run.record, by_kind, results)

    def compare(
        self, identity: Identity, a: str, b: str, *, measure: str | None = None, most: int = 20
    ) -> RunsDiffer:
        """What differs between two runs; differences are b less a, with 95 % intervals."""
        first, second = self._run(identity, a), self._run(identity, b)
        both = columns(first.results.values()).keys() & columns(second.results.values()).keys()
        if measure is not None and measure not in both:
            raise EvaluationError(f"the runs do not both have the measure {measure!r}")
        return diff(first, second, measure=measure, most=most)

    def delete_run(self, identity: Identity, run_id: str) -> None:
        """Delete a run with its results."""
        delete(self._config, self._run(identity, run_id).id)

    # -- inside ----------------------------------------------------------------------------

    def check(self, identity: Identity, collection: str) -> None:
        """Raises UnknownCollection and Forbidden where it may not evaluate a collection."""
        self._check(identity, collection, edit=True)
        seen = self._opened(collection, identity).index.counts()["files"]
        if seen != self._whole(collection).index.counts()["files"]:
            raise Forbidden(
                f"some documents of {collection!r} are hidden from {identity.user!r}: only those"
                " who may read all of them can evaluate it"
            )

    def _file(self, identity: Identity, collection: str, name: str, *, new: bool = False) -> Path:
        """Where a set is stored. Raises NotThere, or for a `new` one Conflict."""
        self.check(identity, collection)
        if not _NAME.fullmatch(name):
            raise BadRequest(
                f"{name!r} cannot name a question set: use letters, digits, '.', '_' and '-',"
                " starting with a letter or digit, at most 64"
            )
        file = self._folder / collection / f"{name}.jsonl"
        if new and file.exists():
            raise Conflict(f"{collection!r} has a question set {name!r} already")
        if not new and not file.is_file():
            raise NotThere(f"{collection!r} has no question set {name!r}")
        return file

    def _run(self, identity: Identity, run_id: str) -> Run:
        unknown = NotThere(f"there is no run {run_id!r}")
        if run_id not in {run.id for run in runs(self._config)}:
            raise unknown
        run = find(self._config, run_id)
        try:
            self.check(identity, _collection(run))
        except LlarError:
            if not identity.is_admin:  # an admin sees the runs of collections that are gone
                raise unknown from None
        return run


def _collection(run: Run) -> str:
    source: Mapping[str, Any] = run.record.get("source") or {}
    return str((source.get("collection") or {}).get("name", ""))


def _run_row(run: Run) -> RunRow:
    record = run.record
    flags = dict(f.split("=", 1) for f in record.get("flags", ()) if "=" in f)
    return RunRow(
        id=run.id,
        kind=record["kind"],
        collection=_collection(run),
        questions_set=str((record.get("data") or {}).get("name", "")),
        questions=int(record.get("questions") or 0),
        started=record["started"],
        finished=record["finished"],
        user=flags.pop("user", ""),
        changed={k: v for k, v in flags.items() if k in SETTINGS},
        measures={k: (v[0], v[1], v[2]) for k, v in (record.get("measures") or {}).items()},
    )


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


def _read(file: Path, name: str) -> Any:
    """The set in a file. Raises EvaluationError that names the set, not the server's folders."""
    try:
        return read(file)
    except EvaluationError as e:
        raise EvaluationError(e.message.replace(str(file), f"{name}.jsonl")) from e


def _version(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


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
