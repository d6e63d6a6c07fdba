"""/api/evaluation: question sets, runs as jobs, results with intervals, comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from ...evaluate.compare import Moved
from ...evaluate.questions import Question, as_row, from_row
from ...evaluate.statistics import Difference
from ..question_sets import MOST, MOST_MADE, SetRow
from ..request import identity_of, state_of
from ..runs import SETTINGS, RunRow
from ..threads import in_thread
from . import own_shown as shown
from .body import Ask, JsonObject, JsonRoute
from .own_collections import CollectionName
from .own_models import JobShown, Name, Shown

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, prefix="/api/evaluation", tags=["evaluation"])

SetName = Annotated[str, Path(pattern=r"^\w[\w.-]{0,63}$")]
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]
Asked = Annotated[str, Query(pattern=r"^\w[\w.-]{0,63}$")]
Setting = str | int | float | bool

_TOLD = (*SETTINGS, "embedder", "chunker", "chunk_tokens", "reranker")  # no folders of the server


class Sets(Shown):
    """The question sets of a collection."""

    sets: list[SetRow]


class Questions(Shown):
    """Questions in the form of docs/evaluation.md; `version` is of the stored set."""

    questions: list[dict[str, Any]]
    version: str


class SaveQuestions(Ask):
    """A whole set. `version` is the one that was changed, null for a new set."""

    questions: Annotated[list[JsonObject], Field(min_length=1, max_length=MOST)]
    version: str | None = Field(max_length=100)


class Saved(Shown):
    """The version of a set that was stored."""

    version: str


class Make(Ask):
    """How many questions to make from the documents, of which kinds; of all where none is named."""

    count: Annotated[int, Field(ge=1, le=MOST_MADE)] = 20
    kinds: list[Annotated[str, Field(max_length=64)]] = Field(default=[], max_length=20)


class Start(Ask):
    """What to measure: a collection, by a question set."""

    collection: Name
    questions: str = Field(max_length=64, description="the question set's name")
    kind: Literal["retrieval", "answers"] = "retrieval"
    settings: dict[str, Setting] = Field(default={}, max_length=20)
    measures: list[str] = Field(default=[], max_length=20)
    fresh: bool = False


class RunList(Shown):
    """The runs on a collection, the newest first."""

    runs: list[RunRow]


class ResultShown(Shown):
    """What came of one question."""

    id: str
    question: str
    measures: Mapping[str, float]
    seconds: float
    reused: bool
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WholeRun(RunRow):
    """A run with what it was made with, and with its results."""

    notes: list[str]
    settings: Mapping[str, Any]
    models: Mapping[str, Any]
    by_kind: Mapping[str, Mapping[str, float]]
    results: list[ResultShown]


class MadeWith(Shown):
    """Something that the runs were made with and that differs."""

    what: str
    a: Any
    b: Any


class Comparison(Shown):
    """Two runs on the questions that both have."""

    a: str
    b: str
    questions: int
    measure: str
    made_with: list[MadeWith]
    differences: Mapping[str, Difference]
    questions_that_differ: list[Moved]


@router.get("/sets/{collection}")
async def sets(request: Request, collection: CollectionName) -> Sets:
    """The question sets of a collection."""
    sets, identity = state_of(request).library.sets, identity_of(request)
    found = await in_thread(sets.question_sets, identity, collection)
    return Sets(sets=found)


@router.get("/sets/{collection}/{name}")
async def questions(request: Request, collection: CollectionName, name: SetName) -> Questions:
    """The questions of a set."""
    sets, identity = state_of(request).library.sets, identity_of(request)
    found, version = await in_thread(sets.questions, identity, collection, name)
    return Questions(questions=[as_row(q) for q in found], version=version)


@router.put("/sets/{collection}/{name}")
async def save(
    request: Request, collection: CollectionName, name: SetName, body: SaveQuestions
) -> Saved:
    """Store a set, whole or not at all. 409 where somebody else changed it meanwhile."""
    state, identity = state_of(request), identity_of(request)

    def saved() -> Saved:
        rows = [from_row(row) for row in body.questions]
        version = state.library.sets.save_questions(
            identity, collection, name, rows, version=body.version
        )
        state.audit.record(identity, "questions", collection=collection, detail=name)
        return Saved(version=version)

    return await in_thread(saved)


@router.post("/sets/{collection}/{name}/make", status_code=202)
async def make(request: Request, collection: CollectionName, name: SetName, body: Make) -> JobShown:
    """Make a new set from the collection's own documents; it is there when the job is done."""
    state, identity = state_of(request), identity_of(request)

    def started() -> JobShown:
        job = state.library.sets.make(
            identity, collection, name, count=body.count, kinds=body.kinds
        )
        state.audit.record(identity, "questions", collection=collection, detail=name)
        return shown.job(job)

    return await in_thread(started)


@router.delete("/sets/{collection}/{name}", status_code=204)
async def delete(request: Request, collection: CollectionName, name: SetName) -> None:
    """Delete a set."""
    sets, identity = state_of(request).library.sets, identity_of(request)
    await in_thread(sets.delete_questions, identity, collection, name)


@router.get("/feedback/{collection}")
async def feedback(request: Request, collection: CollectionName) -> Questions:
    """What users said of answers, as questions to be reviewed and saved."""
    state, identity = state_of(request), identity_of(request)

    def found() -> list[Question]:
        said = state.history.feedback(collection)
        return state.library.sets.from_feedback(identity, collection, said)

    return Questions(questions=[as_row(q) for q in await in_thread(found)], version="")


@router.post("/runs", status_code=202)
async def start(request: Request, body: Start) -> JobShown:
    """Start a run; the result of its job names it."""
    state, identity = state_of(request), identity_of(request)

    def started() -> JobShown:
        job = state.library.runs.start(
            identity, body.collection, body.questions, kind=body.kind, settings=body.settings,
            measures=body.measures, fresh=body.fresh,
        )  # fmt: skip
        state.audit.record(identity, "evaluate", collection=body.collection, detail=body.questions)
        return shown.job(job)

    return await in_thread(started)


@router.get("/runs")
async def listed(request: Request, collection: Asked) -> RunList:
    """The runs on a collection, the newest first."""
    runs, identity = state_of(request).library.runs, identity_of(request)
    found = await in_thread(runs.runs, identity, collection)
    return RunList(runs=found)


@router.get("/runs/{run}")
async def one(request: Request, run: RunId) -> WholeRun:
    """One run with its results."""
    runs, identity = state_of(request).library.runs, identity_of(request)
    found = await in_thread(runs.run, identity, run)
    return WholeRun(
        **asdict(found.row),
        notes=list(found.record.get("notes") or []),
        settings={k: v for k, v in found.record["settings"].items() if k in _TOLD},
        models=found.record["source"].get("models") or {},
        by_kind=found.by_kind,
        results=[ResultShown.model_validate(result) for result in found.results],
    )


@router.delete("/runs/{run}", status_code=204)
async def forget(request: Request, run: RunId) -> None:
    """Delete a run with its results."""
    runs, identity = state_of(request).library.runs, identity_of(request)
    await in_thread(runs.delete_run, identity, run)


@router.get("/compare")
async def compare(
    request: Request,
    a: Annotated[str, Query(min_length=1, max_length=120)],
    b: Annotated[str, Query(min_length=1, max_length=120)],
    measure: Annotated[str | None, Query(max_length=64)] = None,
) -> Comparison:
    """What differs between two runs: differences are b less a, paired, with 95 % intervals."""
    runs, identity = state_of(request).library.runs, identity_of(request)
    found = await in_thread(runs.compare, identity, a, b, measure=measure)
    return Comparison(
        a=found.a.id,
        b=found.b.id,
        questions=found.questions,
        measure=found.main,
        made_with=[
            MadeWith(what=what, a=x, b=y)
            for what, x, y in found.made
            if not what.startswith(("settings.", "flags")) or what[9:] in _TOLD
        ],
        differences=found.differences,
        questions_that_differ=found.moved,
    )
