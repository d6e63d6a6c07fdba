"""POST /v1/rerank, in the shape of Cohere and Jina that llama.cpp and vLLM serve too.

`relevance_score` is the model's own number (of most cross-encoders a logit): it orders the
documents, higher is better, and cannot be compared between models.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from .answers import Ranking, declared
from .body import Ask, JsonRoute
from .models import unknown, usable
from .sse import while_connected

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

MOST = 1024  # documents in one request


class TextDocument(Ask):
    """A document as Cohere's clients may send it."""

    text: str


class RerankRequest(Ask):
    """A query, and documents to put in the order of how well they answer it."""

    model: str = Field(min_length=1, max_length=500)
    query: str = Field(min_length=1)
    documents: Annotated[list[str | TextDocument], Field(min_length=1, max_length=MOST)]
    top_n: int | None = Field(None, ge=1, lt=2**31)
    return_documents: bool | None = None
    user: str | None = None


@router.post("/v1/rerank", responses=declared(Ranking))
@router.post("/rerank", include_in_schema=False)
async def rerank(request: Request, body: RerankRequest) -> Response:
    """The documents' numbers and scores, best first."""
    state, identity = state_of(request), identity_of(request)
    texts = [d if isinstance(d, str) else d.text for d in body.documents]
    work = in_thread(_scores, state, identity, body.model, body.query, texts)
    scores = await while_connected(request, work)
    order = sorted(range(len(texts)), key=lambda n: -scores[n])[: body.top_n]
    results: list[dict[str, Any]] = [{"index": n, "relevance_score": scores[n]} for n in order]
    if body.return_documents:
        results = [{**r, "document": {"text": texts[r["index"]]}} for r in results]
    return JSONResponse(
        {"id": f"rerank-{uuid.uuid4().hex}", "object": "list", "model": body.model,
         "results": results}
    )  # fmt: skip


def _scores(
    state: State, identity: Identity, model: str, query: str, texts: list[str]
) -> list[float]:
    if model not in usable(state, "reranker"):
        raise unknown(state, identity, model, "reranker")
    return state.engines.reranker(model).rerank(query, texts)
