"""POST /v1/responses, stateless: nothing is stored, so every request brings its whole history.

`store` is taken and answered with `"store": false`. Refused (400) are previous_response_id,
conversation, prompt, background, item references, tools other than functions, truncation "auto"
(nothing is ever cut), reasoning other than none, and every unknown field. `ask:` models answer
from documents as in chat completions: sources as `url_citation` annotations, the rest in `llar`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from starlette.responses import JSONResponse, Response

from ...errors import BadRequest, LlarError
from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from . import ask, chat
from .answers import ResponseAnswer, declared
from .ask_chat import answer_base, check_ask, conversation
from .body import Ask, JsonObject, JsonRoute
from .chat_request import (
    MOST_MESSAGES,
    AnyJson,
    ChatRequest,
    TextFormat,
    check,
    engine_body,
)
from .errors import as_json
from .messages import plain_text
from .models import chat_model
from .response_events import Writing, from_answer, from_chunks, written
from .sse import event, streamed, while_connected

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


class Loose(BaseModel):
    """Items of answers that clients send back, with fields that say nothing new."""

    model_config = ConfigDict(strict=True)


class TextPart(Loose):
    """Text of a message, asked or answered."""

    type: Literal["input_text", "output_text"]
    text: str


class RefusalPart(Loose):
    """What an assistant refused with."""

    type: Literal["refusal"]
    refusal: str


class PicturePart(Ask):
    """A picture, in the request itself."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


Part = Annotated[TextPart | RefusalPart | PicturePart, Field(discriminator="type")]


class MessageItem(Loose):
    """A message."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]


class CallItem(Loose):
    """A function that was called."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class OutputItem(Loose):
    """What the function answered."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[TextPart]


class ReasoningItem(Loose):
    """What a model thought before; it is not shown to it again."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str:
    given = item.get("type") if isinstance(item, Mapping) else getattr(item, "type", None)
    return str(given or "message")


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind),
]


class FunctionTool(Ask):
    """A function a model may call."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class NamedFunction(Ask):
    """The one function that must be called."""

    type: Literal["function"]
    name: str


class SchemaFormat(Ask):
    """The shape an answer must have."""

    type: Literal["json_schema"]
    name: str
    schema_: JsonObject = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextOptions(Ask):
    """What form the text has."""

    format: Annotated[TextFormat | AnyJson | SchemaFormat, Field(discriminator="type")] | None = (
        None
    )
    verbosity: Literal["medium"] | None = None


class Reasoning(Ask):
    """How much to think before answering: models are asked not to."""

    effort: Literal["none"] | None = None
    summary: None = None


class ResponseStream(Ask):
    """There is nothing to choose."""

    include_obfuscation: bool | None = None


class ResponseRequest(Ask):
    """Something to answer. `llar` is for `ask:` models."""

    model: str = Field(min_length=1, max_length=500)
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Item], Field(min_length=1, max_length=MOST_MESSAGES)]
    )
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1, lt=2**31)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_logprobs: int | None = Field(None, ge=0, le=20)
    stream: bool | None = None
    stream_options: ResponseStream | None = None
    text: TextOptions | None = None
    tools: list[FunctionTool] | None = Field(None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | NamedFunction | None = None
    parallel_tool_calls: bool | None = None
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = (
        None
    )
    truncation: Literal["disabled"] | None = None
    reasoning: Reasoning | None = None
    previous_response_id: str | None = Field(None, description="refused: nothing is stored")
    background: Literal[False] | None = None
    store: bool | None = Field(None, description="without effect: nothing is ever stored")
    llar: ask.AskOptions | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None


@router.post("/v1/responses", responses=declared(ResponseAnswer, streams=True))
async def respond(request: Request, body: ResponseRequest) -> Response:
    """Answer, at once or in events."""
    state, identity = state_of(request), identity_of(request)
    if body.previous_response_id is not None:
        raise BadRequest(
            "nothing is stored here: send the earlier turns in 'input' instead of"
            " 'previous_response_id'", param="previous_response_id", code="unsupported_parameter",
        )  # fmt: skip
    asked = _as_chat(body)
    check(asked)
    writing = Writing(body.model, _echo(body))
    if ask.is_ask(body.model):
        said = await _from_documents(request, state, identity, asked)
    else:
        if body.llar is not None:
            raise BadRequest("'llar' is for ask: models", param="llar")
        chat_model(state, identity, body.model)
        words = await chat.in_words(request, state, asked)
        chunks = chat.stream(state, body.model, engine_body(asked), words)
        said = from_chunks(chunks, asked.top_logprobs or 0)
    events = written(writing, said)
    if not body.stream:
        return JSONResponse(await while_connected(request, _whole(writing, events)))
    admin = identity.is_admin

    def failed(error: LlarError) -> bytes:
        told = as_json(error, admin=admin)
        return b"".join(event(e, e["type"]) for e in writing.failed(told))

    return await streamed(request, events, failed=failed, end=b"")


async def _whole(writing: Writing, events: Any) -> dict[str, Any]:
    """The response when all of it is there."""
    async for _ in events:
        pass
    return writing.response


async def _from_documents(
    request: Request, state: State, identity: Identity, asked: ChatRequest
) -> Any:
    check_ask(asked)
    collection, writer = await in_thread(ask.opened, state, identity, asked.model)
    turns = [(m.role, plain_text(m.content)) for m in asked.messages]
    text, history, ignored = conversation(turns)
    question = ask.Question(
        collection.name, writer, text, history, asked.llar or ask.AskOptions(), asked.limit,
        asked.temperature,
    )  # fmt: skip
    found = ask.answers(state, identity, collection, question)
    return from_answer(found, collection.name, answer_base(request), ignored)


def _as_chat(body: ResponseRequest) -> ChatRequest:
    """The same request as a chat completion."""
    given: dict[str, Any] = {"model": body.model, "messages": _messages(body)}
    given["max_completion_tokens"] = body.max_output_tokens
    for name in ("temperature", "top_p", "parallel_tool_calls", "llar"):
        given[name] = getattr(body, name)
    if body.top_logprobs or "message.output_text.logprobs" in (body.include or ()):
        given |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    if body.tools:
        given["tools"] = [
            {"type": "function", "function": t.model_dump(exclude={"type"}, exclude_none=True)}
            for t in body.tools
        ]
    given["tool_choice"] = body.tool_choice
    if isinstance(body.tool_choice, NamedFunction):
        given["tool_choice"] = {"type": "function", "function": {"name": body.tool_choice.name}}
    form = body.text.format if body.text else None
    if isinstance(form, SchemaFormat):
        inner = form.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
        given["response_format"] = {"type": "json_schema", "json_schema": inner}
    elif form is not None:
        given["response_format"] = form.model_dump()
    try:
        return ChatRequest.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        param = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"Invalid value for {param!r}: {first['msg']}", param=param) from None


def _messages(body: ResponseRequest) -> list[dict[str, Any]]:
    """The conversation as chat completions have it; calls in a row are one message."""
    messages: list[dict[str, Any]] = []
    if body.instructions:
        messages.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*messages, {"role": "user", "content": body.input}]
    for item in body.input:
        if isinstance(item, MessageItem):
            messages.append({"role": item.role, "content": _content(item)})
        elif isinstance(item, CallItem):
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            if messages and messages[-1].get("tool_calls"):
                messages[-1]["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif isinstance(item, OutputItem):
            text = plain_text(item.output)
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": text})
    if not messages:
        raise BadRequest("'input' holds nothing to answer", param="input")
    return messages


def _content(item: MessageItem) -> Any:
    if isinstance(item.content, str):
        return item.content
    if not any(isinstance(part, PicturePart) for part in item.content):
        return plain_text(item.content)
    if item.role != "user":
        raise BadRequest("only messages of the user may hold pictures", param="input")
    return [
        {"type": "image_url", "image_url": {"url": part.image_url, "detail": part.detail}}
        if isinstance(part, PicturePart)
        else {"type": "text", "text": plain_text([part])}
        for part in item.content
    ]


def _echo(body: ResponseRequest) -> dict[str, Any]:
    """What a response repeats of its request, as OpenAI's does."""
    given = body.model_dump(by_alias=True, exclude_none=True)
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": body.temperature,
        "text": {"format": {"type": "text"}} | given.get("text", {}),
        "tool_choice": given.get("tool_choice", "auto"),
        "tools": given.get("tools", []),
        "top_p": body.top_p,
        "top_logprobs": body.top_logprobs or 0,
        "truncation": "disabled",
        "user": body.user,
    }
