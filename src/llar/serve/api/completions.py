"""POST /v1/completions: raw text goes on, without a chat template.

Refused (400): suffix, best_of other than n, echo with logprobs or token arrays, and every unknown
field. `echo` puts the prompt before the text. A list of prompts gives n choices for each, in
their order.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ...errors import BadRequest
from ..request import identity_of, state_of
from ..state import State
from .answers import Completion, declared
from .body import Ids, JsonRoute, Text
from .chat_request import Sampling, StreamOptions
from .choices import Body, Chunks, answer_of, chunks_of, from_engine, together
from .models import chat_model
from .sse import failure, streamed, while_connected

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

PATH = "/v1/completions"
MOST_CHOICES = 64


class CompletionRequest(Sampling):
    """Text to go on with: one or several, as strings or as tokens of the model."""

    model: str = Field(min_length=1, max_length=500)
    prompt: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_CHOICES)]
        | Ids
        | Annotated[list[Ids], Field(min_length=1, max_length=MOST_CHOICES)]
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, lt=2**31, description="16 where it is left out")
    n: int | None = Field(None, ge=1, le=16)
    best_of: int | None = Field(None, ge=1, le=16)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = None
    suffix: None = Field(None, description="not supported")
    user: str | None = None


@router.post(PATH, responses=declared(Completion, streams=True))
async def complete(request: Request, body: CompletionRequest) -> Response:
    """Go on with raw text, at once or in pieces."""
    state, identity = state_of(request), identity_of(request)
    _check(body)
    chat_model(state, identity, body.model)
    prompts = _prompts(body.prompt)
    if len(prompts) * (body.n or 1) > MOST_CHOICES:
        raise BadRequest(f"at most {MOST_CHOICES} choices at once", param="n")
    made = [_engine_body(body, p, n) for p in prompts for n in range(body.n or 1)]
    echo = [p for p in prompts for _ in range(body.n or 1)] if body.echo else [""] * len(made)
    if body.stream:
        streams = [_stream(state, body.model, b, e) for b, e in zip(made, echo, strict=True)]
        wants = bool(body.stream_options and body.stream_options.include_usage)
        split = partial(_parted, top=body.logprobs)
        events = chunks_of(
            streams, model=body.model, prefix="cmpl", each=body.n or 1, usage=wants, split=split
        )
        return await streamed(request, events, failed=failure(request))
    work = together([state.engines.request(body.model, PATH, b) for b in made])
    found = await while_connected(request, work)
    whole = answer_of(
        found, model=body.model, kind="text_completion", prefix="cmpl", each=body.n or 1
    )
    for choice, before in zip(whole["choices"], echo, strict=True):
        choice["text"] = before + choice["text"]
        choice["logprobs"] = _logprobs(choice.get("logprobs"), body.logprobs)
    return JSONResponse(whole)


def _check(body: CompletionRequest) -> None:
    if body.best_of not in (None, body.n or 1):
        raise BadRequest("best_of must be n: every choice is returned", param="best_of",
                         code="unsupported_value")  # fmt: skip
    if body.stream_options is not None and not body.stream:
        raise BadRequest("'stream_options' needs 'stream': true", param="stream_options")
    of_tokens = not isinstance(body.prompt, str) and not isinstance(body.prompt[0], str)
    if body.echo and (body.logprobs is not None or of_tokens):
        raise BadRequest(
            "echo is for prompts of text, without logprobs", param="echo", code="unsupported_value"
        )


def _prompts(prompt: Any) -> list[Any]:
    """Each prompt: a text, or the tokens of one."""
    return [prompt] if isinstance(prompt, str) or isinstance(prompt[0], int) else list(prompt)


def _engine_body(body: CompletionRequest, prompt: Any, number: int) -> Body:
    made = body.sampling(number)
    made |= {"prompt": prompt, "max_tokens": body.max_tokens or 16}  # OpenAI's default
    if body.logprobs is not None:
        made["logprobs"] = max(1, body.logprobs)
    return made


async def _stream(state: State, model: str, body: Body, echo: str) -> Chunks:
    chunks = from_engine(state, model, PATH, body)
    try:
        async for chunk in chunks:
            if echo and chunk["choices"]:
                chunk["choices"][0]["text"], echo = echo + chunk["choices"][0]["text"], ""
            yield chunk
    finally:
        await chunks.aclose()


def _parted(choice: Body, *, top: int | None) -> list[Body]:
    """A choice of a chunk with its finish_reason by itself, behind the text."""
    logprobs = _logprobs(choice.get("logprobs"), top)
    finish = choice.get("finish_reason")
    part = {"index": choice["index"], "text": choice["text"], "logprobs": logprobs,
            "finish_reason": None}  # fmt: skip
    last = {**part, "text": "", "logprobs": None, "finish_reason": finish}
    return [part] if finish is None else [part, last] if part["text"] else [last]


def _logprobs(found: Body | None, top: int | None) -> Body | None:
    """Probabilities in this endpoint's older form, from the form of chat where they are in that."""
    if top is None or not found:
        return None
    if "content" not in found:
        return found
    rows = found["content"] or ()
    return {
        "tokens": [row["token"] for row in rows],
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in row["top_logprobs"][:top]}
            for row in rows
        ],
        "text_offset": _offsets(rows),
    }


def _offsets(rows: Any) -> list[int]:
    """Where each token begins in the text that these make up."""
    at, found = 0, []
    for row in rows:
        found.append(at)
        at += len(row["token"])
    return found
