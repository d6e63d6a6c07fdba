"""POST /v1/chat/completions.

Refused rather than ignored (400): every field not named in `ChatRequest`, pictures by address,
pictures for models that read none, other modalities than text, reasoning_effort other than
"none", more than 16 choices, and for `ask:` models what `ask.py` lists. Taken and without effect,
because none of them changes an answer: user, metadata, store (nothing is ever stored),
service_tier, safety_identifier, prompt_cache_key, prompt_cache_retention.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from functools import partial
from typing import TypeVar

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ...errors import BadRequest, EngineError
from ..request import identity_of, state_of
from ..state import State
from . import tools as calling
from .answers import ChatCompletion, declared
from .ask import is_ask
from .body import JsonRoute
from .chat_request import ChatRequest, check, engine_body
from .choices import Body, Chunks, answer_of, chunks_of, from_engine, passed_on, together
from .models import chat_model
from .single import TIMED, check_single, gathered, is_single, one_call
from .sse import failure, streamed, while_connected

__all__ = ["in_words", "router", "stream"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

Item = TypeVar("Item")

PATH = "/v1/chat/completions"
NO_PICTURES = "image input is not supported"  # what llama.cpp says


@router.post(PATH, responses=declared(ChatCompletion, streams=True))
async def complete(request: Request, body: ChatRequest) -> Response:
    """Go on with a conversation, at once or in pieces."""
    state, identity = state_of(request), identity_of(request)
    check(body)
    if is_ask(body.model):
        from .ask_chat import answered

        return await answered(request, body)
    if body.llar is not None:
        raise BadRequest("'llar' is for ask: models", param="llar", code="unsupported_parameter")
    chat_model(state, identity, body.model)
    return await generated(request, state, body)


async def in_words(request: Request, state: State, body: ChatRequest) -> bool:
    """Do the request's tools have to stand in the prompt's words? See tools.py."""
    if not body.tools:
        return False
    tools = [t.model_dump(exclude_none=True) for t in body.tools]
    if await while_connected(request, calling.are_native(state.engines, body.model, tools)):
        return False
    if body.response_format and body.response_format.type != "text":
        raise BadRequest(
            f"{body.model} has no tools of its own; with it, tools and response_format cannot be"
            " asked for together", param="response_format", code="unsupported_parameter",
        )  # fmt: skip
    return True


async def generated(request: Request, state: State, body: ChatRequest) -> Response:
    """The answer of a model, without documents."""
    words = await in_words(request, state, body)
    made = [engine_body(body, n) for n in range(body.n or 1)]
    split = partial(parted, top=body.top_logprobs or 0)
    if body.stream:
        wants = bool(body.stream_options and body.stream_options.include_usage)
        plain = not words and not body.logprobs and not is_single(made[0])
        if len(made) == 1 and plain and is_local(body.model):
            sent = {**made[0], "stream_options": {"include_usage": True}}
            raw = _explaining(state.engines.stream_bytes(body.model, PATH, sent), body.model)
            events = passed_on(raw, usage=wants, split=split)
        else:
            streams = [stream(state, body.model, b, words) for b in made]
            events = chunks_of(
                streams, model=body.model, prefix="chatcmpl", each=len(made), usage=wants,
                split=split,
            )  # fmt: skip
        return await streamed(request, events, failed=failure(request))
    work = together([_answer(state, body.model, b, words) for b in made])
    found = await while_connected(request, work)
    whole = answer_of(
        found, model=body.model, kind="chat.completion", prefix="chatcmpl", each=len(made)
    )
    for choice in whole["choices"]:
        choice["message"].setdefault("refusal", None)
        choice.setdefault("logprobs", None)
        _trim(choice, body.top_logprobs or 0)
    return JSONResponse(whole)


def is_local(model: str) -> bool:
    """Does our own llama.cpp run it?"""
    return model.startswith("llamacpp:")


def parted(choice: Body, *, top: int) -> list[Body]:
    """A choice of a chunk with its finish_reason by itself, behind all that was said."""
    delta = choice["delta"]
    if delta.get("role"):
        delta["content"] = delta.get("content") or ""
    finish = choice.get("finish_reason")
    if "logprobs" in choice:
        _trim(choice, top)
    if finish is None:
        choice["finish_reason"] = None
        return [choice]
    last = {"index": choice["index"], "delta": {}, "finish_reason": finish}
    said = any(value for key, value in delta.items() if key != "role")
    return [{**choice, "finish_reason": None}, last] if said or choice.get("logprobs") else [last]


def _trim(choice: Body, top: int) -> None:
    """Engines are asked for at least one alternative; no more are told than were asked for."""
    for row in (choice.get("logprobs") or {}).get("content") or ():
        row["top_logprobs"] = row["top_logprobs"][:top]


async def _answer(state: State, model: str, body: Body, words: bool) -> Body:
    single = not words and is_single(body)
    if single and is_local(model):
        return await gathered(stream(state, model, body, words))
    sent = calling.prompted(state.config, body) if words else _chosen(body)
    try:
        answer = await state.engines.request(model, PATH, sent)
    except EngineError as error:
        raise _explained(error, model) from error
    if single:
        return check_single(answer, model)
    return calling.with_calls(answer, body) if words else answer


async def stream(state: State, model: str, body: Body, words: bool) -> Chunks:
    """What a model streams, with the calls of its tools as such; `words` as `in_words` says."""
    sent = calling.prompted(state.config, body) if words else _chosen(body)
    single = not words and is_single(body)
    if single and is_local(model):
        sent |= TIMED
    chunks = from_engine(state, model, PATH, sent)
    if words:
        chunks = calling.with_calls_streamed(chunks, body)
    elif single:
        chunks = one_call(chunks)
    async with contextlib.aclosing(_explaining(chunks, model)) as found:
        async for chunk in found:
            yield chunk


async def _explaining(items: AsyncGenerator[Item, None], model: str) -> AsyncGenerator[Item, None]:
    try:
        async with contextlib.aclosing(items):
            async for item in items:
                yield item
    except EngineError as error:
        raise _explained(error, model) from error


def _chosen(body: Body) -> Body:
    """Where one function is named, it alone: llama.cpp knows only "required"."""
    if not isinstance(body.get("tool_choice"), dict):
        return dict(body)
    tools, _ = calling.asked(body)
    return {**body, "tools": tools, "tool_choice": "required", "parallel_tool_calls": False}


def _explained(error: EngineError, model: str) -> Exception:
    """That a model reads no pictures is the request's fault, not the engine's."""
    if NO_PICTURES in error.message:
        return BadRequest(
            f"{model} reads no pictures", param="messages", code="unsupported_content"
        )
    return error
