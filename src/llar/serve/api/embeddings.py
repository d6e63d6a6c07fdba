"""POST /v1/embeddings.

Vectors have length 1. `input_type` "query" or "document" (the default) adds the prefix that the
model was trained with for that. `dimensions` other than the model's own are refused: its vectors
cannot be shortened without a loss it was not trained for. Arrays of tokens are tokens of the model
itself (/tokenize gives them), not of OpenAI's. A text too long for the model is refused, never cut.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from ...errors import BadRequest
from ...models.interface import Embedder, Matrix
from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from .answers import Embeddings, declared
from .body import Ask, Ids, JsonRoute, Text
from .bulk import listed
from .models import unknown, usable
from .sse import dump, while_connected
from .tokenize import text_of

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

MOST = 2048  # texts in one request, as OpenAI has it


class EmbeddingRequest(Ask):
    """Texts, or arrays of the model's tokens, to turn into vectors."""

    model: str = Field(min_length=1, max_length=500)
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MOST)]
        | Ids
        | Annotated[list[Ids], Field(min_length=1, max_length=MOST)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, lt=2**31)
    input_type: Literal["query", "document"] | None = None
    user: str | None = None


@router.post("/v1/embeddings", responses=declared(Embeddings))
async def embed(request: Request, body: EmbeddingRequest) -> Response:
    """A vector for each text."""
    state, identity = state_of(request), identity_of(request)
    data = await while_connected(request, in_thread(_answer, state, identity, body))
    return Response(data, media_type="application/json")


def _answer(state: State, identity: Identity, body: EmbeddingRequest) -> bytes:
    """The answer as JSON."""
    vectors, tokens = _vectors(state, identity, body)
    rows = (
        {"object": "embedding", "index": n, "embedding": _encoded(row, body.encoding_format)}
        for n, row in enumerate(vectors)
    )
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    rest = dump({"object": "list", "model": body.model, "usage": usage}).encode("ascii")
    return b"".join((rest[:-1], b',"data":', *listed(rows), b"}"))


def _vectors(state: State, identity: Identity, body: EmbeddingRequest) -> tuple[Matrix, int]:
    """The vectors, and the tokens that were read."""
    if body.model not in usable(state, "embedding"):
        raise unknown(state, identity, body.model, "embedding")
    embedder = state.engines.embedder(body.model)
    own = embedder.identity.dimension
    if body.dimensions not in (None, own):
        raise BadRequest(
            f"{body.model} has vectors of {own} dimensions, which cannot be shortened",
            param="dimensions", code="unsupported_value",
        )  # fmt: skip
    texts = _texts(state, embedder, body)
    tokens = sum(embedder.count_tokens(text) for text in texts)
    if body.input_type == "query":
        return np.array([embedder.embed_query(text) for text in texts], np.float32), tokens
    return embedder.embed_documents(texts), tokens


def _texts(state: State, embedder: Embedder, body: EmbeddingRequest) -> list[str]:
    given: Any = body.input
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], str):
        return list(given)
    arrays = [given] if isinstance(given[0], int) else given
    return [text_of(state.config, body.model, ids, param="input") for ids in arrays]


def _encoded(row: Matrix, form: str | None) -> str | list[float]:
    if form == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")
    values: list[float] = row.tolist()
    return values
