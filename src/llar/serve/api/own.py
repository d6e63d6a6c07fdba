"""llar's own endpoints under /api, and an answer in the same shape for paths that are none."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from . import own_collections, own_documents, own_evaluation, own_jobs, own_page, own_uploads
from .errors import methods

__all__ = ["router"]

router = APIRouter()
for part in (
    own_page, own_collections, own_documents, own_uploads, own_jobs, own_evaluation,
):  # fmt: skip
    router.include_router(part.router)


@router.api_route(
    "/api/{path:path}",
    methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"],
    include_in_schema=False,
)
async def nothing(request: Request, path: str) -> None:
    """404, or 405 where the path is one of ours and the method is not."""
    raise HTTPException(405 if methods(request) else 404)
