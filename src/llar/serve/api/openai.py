"""OpenAI's endpoints, and an answer in OpenAI's shape for every path below /v1 that is none."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from . import chat, completions, embeddings, models, rerank, responses, tokenize
from .errors import methods

__all__ = ["router"]


class Wrong(BaseModel):
    """What was wrong; `param` is the field, `code` the kind."""

    message: str
    type: str
    param: str | None
    code: str | None


class WrongBody(BaseModel):
    """Every answer that is no success."""

    error: Wrong


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": WrongBody, "description": about}
    for status, about in (
        (400, "The request cannot be understood or granted"),
        (401, "No valid key or session came with it"),
        (403, "The role does not allow it"),
        (404, "There is no such model, or not for the caller"),
        (409, "The collection cannot be used as it is"),
        (413, "More was sent than the server takes"),
        (422, "The remote server that runs the model refused the request"),
        (429, "Too many requests wait; see Retry-After"),
        (500, "The server failed"),
        (502, "The remote server that runs the model failed"),
        (503, "The model is not available; see Retry-After"),
    )
}

router = APIRouter(responses=ERRORS)
for part in (chat, completions, embeddings, models, rerank, responses, tokenize):
    router.include_router(part.router)


@router.api_route(
    "/v1/{path:path}",
    methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    include_in_schema=False,
)
async def nothing(request: Request, path: str) -> None:
    """404, or 405 where the path is one of ours and the method is not."""
    raise HTTPException(405 if methods(request) else 404)
