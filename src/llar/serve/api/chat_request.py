"""The request that /v1/chat/completions takes, and the same as engines take it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...errors import BadRequest
from .ask import AskOptions
from .body import Ask, JsonObject
from .bounds import check_schema
from .choices import Body
from .messages import ChatMessage, PicturePart, Tool, check_picture

__all__ = [
    "MOST_MESSAGES",
    "ChatRequest",
    "Format",
    "Sampling",
    "StreamOptions",
    "check",
    "engine_body",
]

MOST_MESSAGES = 2048  # as OpenAI has it
SEEDS = 0xFFFFFFFF  # llama.cpp's seeds are below it; itself means "any"


class StreamOptions(Ask):
    """What a stream holds besides the text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None  # there is none


class Sampling(Ask):
    """How to choose tokens; top_k, min_p, typical_p and repeat_penalty are llama.cpp's."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    min_p: float | None = Field(None, ge=0, le=1)
    typical_p: float | None = Field(None, gt=0, le=1)
    repeat_penalty: float | None = Field(None, gt=0, le=10)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    logit_bias: dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")],
                     Annotated[float, Field(ge=-100, le=100)]] | None = None  # fmt: skip
    stop: (
        Annotated[str, Field(min_length=1, max_length=1000)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=1000)]],
                    Field(max_length=16)]
        | None
    ) = None  # fmt: skip

    def sampling(self, number: int = 0) -> Body:
        """These fields as engines take them, for choice `number`."""
        body = self.model_dump(include=set(Sampling.model_fields), exclude_none=True)
        if self.seed is not None:
            body["seed"] = (self.seed + number) % SEEDS
        if isinstance(self.stop, str):
            body["stop"] = [self.stop]
        return body


class TextFormat(Ask):
    """Plain text."""

    type: Literal["text"]


class AnyJson(Ask):
    """A JSON object of any shape."""

    type: Literal["json_object"]


class Schema(Ask):
    """The shape an answer must have."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    schema_: JsonObject = Field(alias="schema")
    description: str | None = None
    strict: bool | None = Field(None, description="always true: a grammar makes sure of it")


class JsonSchema(Ask):
    """A JSON object of a given shape."""

    type: Literal["json_schema"]
    json_schema: Schema


Format = Annotated[TextFormat | AnyJson | JsonSchema, Field(discriminator="type")]


class Named(Ask):
    """The name of a function."""

    name: str


class NamedTool(Ask):
    """The one function that must be called."""

    type: Literal["function"]
    function: Named


class ChatRequest(Sampling):
    """A conversation to go on with. `llar` is for `ask:` models."""

    model: str = Field(min_length=1, max_length=500, description="backend:name, or ask:COLLECTION")
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, lt=2**31)
    max_completion_tokens: int | None = Field(None, ge=1, lt=2**31)
    n: int | None = Field(None, ge=1, le=16)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: Format | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, str | int | float | bool] | None = None
    modalities: list[Literal["text"]] | None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    llar: AskOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    @property
    def limit(self) -> int | None:
        """The longest answer asked for, in tokens; under its new or its old name."""
        return self.max_completion_tokens or self.max_tokens


def check(body: ChatRequest) -> None:
    """Raises BadRequest for fields that do not go together."""
    if body.top_logprobs is not None and not body.logprobs:
        raise BadRequest("'top_logprobs' needs 'logprobs': true", param="top_logprobs")
    if body.stream_options is not None and not body.stream:
        raise BadRequest("'stream_options' needs 'stream': true", param="stream_options")
    if body.max_tokens and body.max_completion_tokens not in (None, body.max_tokens):
        raise BadRequest("give max_tokens or max_completion_tokens, not both", param="max_tokens")
    if isinstance(body.response_format, JsonSchema):
        check_schema(body.response_format.json_schema.schema_, "response_format.json_schema")
    _check_tools(body)
    for n, message in enumerate(body.messages):
        if message.role == "user" and not isinstance(message.content, str):
            for m, part in enumerate(message.content):
                if isinstance(part, PicturePart):
                    check_picture(part.image_url, f"messages[{n}].content[{m}].image_url")


def _check_tools(body: ChatRequest) -> None:
    if body.tools is None and body.tool_choice not in (None, "none", "auto"):
        raise BadRequest("'tool_choice' needs 'tools'", param="tool_choice")
    names = [t.function.name for t in body.tools or ()]
    if len(set(names)) < len(names):
        raise BadRequest("two tools have the same name", param="tools")
    if body.tools is not None and not names:
        raise BadRequest("'tools' is empty; leave it out where there are none", param="tools")
    if isinstance(body.tool_choice, NamedTool) and body.tool_choice.function.name not in names:
        raise BadRequest(
            f"there is no tool {body.tool_choice.function.name!r}", param="tool_choice"
        )
    for n, tool in enumerate(body.tools or ()):
        check_schema(tool.function.parameters, f"tools[{n}].function.parameters")


def engine_body(body: ChatRequest, number: int = 0) -> Body:
    """The request as an engine gets it, for choice `number`."""
    made = body.sampling(number)
    made["messages"] = [m.model_dump(exclude_none=True) for m in body.messages]
    if body.limit is not None:
        made["max_tokens"] = body.limit
    if body.logprobs:
        made |= {"logprobs": True, "top_logprobs": max(1, body.top_logprobs or 0)}
    if body.response_format is not None and body.response_format.type != "text":
        made["response_format"] = body.response_format.model_dump(by_alias=True, exclude_none=True)
    if body.chat_template_kwargs:
        made["chat_template_kwargs"] = body.chat_template_kwargs
    if body.tools:
        made["tools"] = [t.model_dump(exclude_none=True) for t in body.tools]
        if body.tool_choice is not None:
            choice = body.tool_choice
            made["tool_choice"] = choice if isinstance(choice, str) else choice.model_dump()
        made["parallel_tool_calls"] = body.parallel_tool_calls is not False
    return made
