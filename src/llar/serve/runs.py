"""Runs that measure a collection with a question set: started as jobs, shown, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from .. import retrieve
from ..collection import Collection
from ..config import Config, changed
from ..errors import BadRequest, EvaluationError, LlarError, NotThere
from ..evaluate.answers import CHEAP, MEASURES, Measured, evaluate_answers
from ..evaluate.diff import RunsDiffer, diff
from ..evaluate.report import columns
from ..evaluate.retrieval import evaluate_retrieval
from ..evaluate.runs import Result, Run, delete, find, runs
from ..evaluate.verdicts import JUDGED
from .job_records import Job
from .jobs import Jobs, Task
from .question_sets import QuestionSets
from .who import Identity

RunKind = Literal["retrieval", "answers"]

SETTINGS = (  # that a run may change
    "mode", "fusion", "dense_weight", "query", "strategy", "post", "passages", "candidates",
    "chat_model", "temperature", "max_answer_tokens",
)  # fmt: skip
ANSWER_MEASURES = tuple(name for name in MEASURES if name not in JUDGED)


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
    """Runs, for those who may see them: the same as see the question sets."""

    def __init__(
        self, config: Config, jobs: Jobs, whole: Callable[[str], Collection], sets: QuestionSets
    ) -> None:
        """`whole` gives a collection with everything in it."""
        self._config = config
        self._jobs = jobs
        self._whole = whole
        self._sets = sets

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
        questions, _ = self._sets.questions(identity, collection, name)
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
                "total": len(questions),
            },
        )

    def work(self, task: Task) -> Mapping[str, Any]:
        """Do such a job; one that was interrupted goes on where it was."""
        job, options = task.job, task.job.options
        found = self._sets.stored(job.collection, options["set"])
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
        self._sets.check(identity, collection)
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

    def forget(self, collection: str) -> None:
        """Delete every run on a collection."""
        for run in runs(self._config):
            if _collection(run) == collection:
                delete(self._config, run.id)

    # -- inside ----------------------------------------------------------------------------

    def _run(self, identity: Identity, run_id: str) -> Run:
        unknown = NotThere(f"there is no run {run_id!r}")
        if run_id not in {run.id for run in runs(self._config)}:
            raise unknown
        run = find(self._config, run_id)
        try:
            self._sets.check(identity, _collection(run))
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
