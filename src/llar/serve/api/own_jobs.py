"""/api/jobs: work that takes longer than a request, listed, watched, stopped and tried again."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from ..request import identity_of, state_of
from ..threads import in_thread
from . import own_shown as shown
from .body import JsonRoute
from .own_collections import CollectionName
from .own_models import JobFiles, JobFileShown, Jobs, JobShown, Pull, Reembed, Reindex
from .sse import Events, event, failure, streamed

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, prefix="/api", tags=["jobs"])

JobId = Annotated[int, Path(ge=0, lt=2**53)]

_OFTEN = 0.3  # seconds between two looks at a job that is watched
_ALIVE = 15.0  # seconds after which a silent connection is shown to be alive
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `job`, each the job as it stands; the last is of a finished one.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/jobs")
async def jobs(
    request: Request,
    collection: Annotated[str | None, Query(max_length=64)] = None,
    open_only: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Jobs:
    """The caller's jobs, the newest first; for an admin everybody's."""
    library, identity = state_of(request).library, identity_of(request)
    found = await in_thread(
        library.jobs, identity, collection=collection, open_only=open_only, limit=limit
    )
    return Jobs(jobs=[shown.job(job) for job in found])


@router.get("/jobs/{job}")
async def one(request: Request, job: JobId) -> JobShown:
    """One job."""
    library, identity = state_of(request).library, identity_of(request)
    return shown.job(await in_thread(library.job, identity, job))


@router.get("/jobs/{job}/files")
async def files(
    request: Request,
    job: JobId,
    after: Annotated[int, Query(ge=0, lt=2**53, description="id of the last file seen")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> JobFiles:
    """The files of a job with what became of each, and why it failed."""
    library, identity = state_of(request).library, identity_of(request)
    found = await in_thread(library.job_files, identity, job, after=after, limit=limit)
    return JobFiles(files=[JobFileShown.model_validate(file) for file in found])


@router.get("/jobs/{job}/events", response_class=Response, responses=_EVENTS)
async def events(request: Request, job: JobId) -> Response:
    """The job at every change, as server-sent events, until it is finished."""
    state, identity = state_of(request), identity_of(request)
    library = state.library

    async def told() -> Events:
        last, spoken = None, time.monotonic()
        while not state.stopping.is_set():
            found = await in_thread(library.job, identity, job)
            if found != last:
                last, spoken = found, time.monotonic()
                yield event(shown.job(found).model_dump(), "job")
                if not found.is_open:
                    return
            elif time.monotonic() - spoken > _ALIVE:
                spoken = time.monotonic()
                yield b": still here\n\n"
            await asyncio.sleep(_OFTEN)

    return await streamed(request, told(), failed=failure(request), end=b"")


@router.post("/jobs/{job}/cancel")
async def cancel(request: Request, job: JobId) -> JobShown:
    """Stop a job: at once where it waits, soon where it runs. What it did stays done."""
    library, identity = state_of(request).library, identity_of(request)
    return shown.job(await in_thread(library.cancel, identity, job))


@router.post("/jobs/{job}/retry")
async def retry(request: Request, job: JobId) -> JobShown:
    """Try again what failed or was cancelled."""
    library, identity = state_of(request).library, identity_of(request)
    return shown.job(await in_thread(library.retry, identity, job))


@router.delete("/jobs/{job}", status_code=204)
async def forget(request: Request, job: JobId) -> None:
    """Delete a finished job from the list."""
    library, identity = state_of(request).library, identity_of(request)
    await in_thread(library.forget_job, identity, job)


@router.post("/collections/{collection}/reindex", status_code=202, tags=["documents"])
async def reindex(request: Request, collection: CollectionName, body: Reindex) -> JobShown:
    """Read documents again from their files."""
    state, identity = state_of(request), identity_of(request)

    def added() -> JobShown:
        job = state.library.reindex(identity, collection, body.documents)
        state.audit.record(identity, "reindex", collection=collection, detail=job.title)
        return shown.job(job)

    return await in_thread(added)


@router.post("/collections/{collection}/reembed", status_code=202, tags=["collections"])
async def reembed(request: Request, collection: CollectionName, body: Reembed) -> JobShown:
    """Chunk and embed a collection anew; it can be searched meanwhile. For admins."""
    state, identity = state_of(request), identity_of(request)

    def added() -> JobShown:
        job = state.library.reembed(
            identity, collection, embedder=body.embedder, chunker=body.chunker
        )
        state.audit.record(identity, "reembed", collection=collection, detail=job.title)
        return shown.job(job)

    return await in_thread(added)


@router.post("/collections/{collection}/sync", status_code=202, tags=["collections"])
async def sync(request: Request, collection: CollectionName) -> JobShown:
    """Follow the folders of the server that were added on the command line."""
    state, identity = state_of(request), identity_of(request)

    def added() -> JobShown:
        job = state.library.sync(identity, collection)
        state.audit.record(identity, "sync", collection=collection)
        return shown.job(job)

    return await in_thread(added)


@router.post("/models/pull", status_code=202, tags=["models"])
async def pull(request: Request, body: Pull) -> JobShown:
    """Bring a model into the store. For admins; the only request that reaches a network."""
    state, identity = state_of(request), identity_of(request)

    def added() -> JobShown:
        job = state.library.pull(identity, body.model)
        state.audit.record(identity, "pull", detail=body.model)
        return shown.job(job)

    return await in_thread(added)
