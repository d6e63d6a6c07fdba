"""Is the server alive, is it ready, and what does it do: for those who watch over it.

`/health` and `/ready` need no sign-in and tell nothing but their answer; `/metrics` is for admins
and for this machine (accounts/guard.py).
"""

from __future__ import annotations

import shutil

from fastapi import APIRouter, Request, Response

from .request import state_of
from .state import State, server_dir
from .threads import in_thread

__all__ = ["reasons", "router"]

router = APIRouter(tags=["watch"])

LEAST_DISK = 64 << 20  # bytes free below which nothing should be uploaded


@router.get("/health", summary="Is the server alive?")
async def health() -> dict[str, str]:
    """Alive: the event loop answers."""
    return {"status": "ok"}


@router.get("/ready", summary="Can it take requests?", responses={503: {"description": "Not now."}})
async def ready(request: Request, response: Response) -> dict[str, object]:
    """Ready: 200 where requests can be answered, else 503 with the reasons."""
    found = await in_thread(reasons, state_of(request))
    if found:
        response.status_code = 503
        return {"status": "not ready", "reasons": found}
    return {"status": "ready"}


@router.get("/metrics", summary="Figures for Prometheus.", response_class=Response)
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    from .metrics import CONTENT_TYPE

    text = await in_thread(request.app.state.metrics.text)
    return Response(text, media_type=CONTENT_TYPE)


def reasons(state: State) -> list[str]:
    """Why it is not ready; names of models, no paths."""
    found = []
    if state.stopping.is_set():
        found.append("the server is stopping")
    if shutil.disk_usage(server_dir(state.config)).free < LEAST_DISK:
        found.append(f"less than {LEAST_DISK >> 20} MiB of disk are free")
    found += [
        f"model {model.name} cannot be loaded"
        for model in state.engines.status()
        if model.state == "failed"
    ]
    return found
