"""What OpenAI's endpoints answer, declared for /openapi.json; the answers are made elsewhere.

A field that is not required may be missing; null is said where it may stand. Further fields may
come along: llar's own below `llar`, and those that an engine adds.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["declared"]


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CalledFunction(BaseModel):
    """A function's name and its arguments, a JSON object as a string."""

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Citation(BaseModel):
    """Where in `content` a mark stands, and the page that shows its passage."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(BaseModel):
    """A citation of an `ask:` model; `llar` has document, page and quote."""

    type: Literal["url_citation"]
    url_citation: Citation
    llar: dict[str, Any]


class AnswerMessage(BaseModel):
    """What the model says. `llar` (of `ask:` models) says whether it abstained, and more."""

    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    annotations: list[Annotation] | None = None
    llar: dict[str, Any] | None = None


class ChatChoice(BaseModel):
    """One of `n` answers."""

    index: int
    message: AnswerMessage
    logprobs: dict[str, Any] | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]


class ChatCompletion(BaseModel):
    """An answer; with `stream`, events `chat.completion.chunk` with `delta` for `message`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str | None = None
    choices: list[ChatChoice]
    usage: Usage


class TextChoice(BaseModel):
    """One of the texts."""

    index: int
    text: str
    logprobs: dict[str, Any] | None = None
    finish_reason: Literal["stop", "length"]


class Completion(BaseModel):
    """Texts that go on; with `stream`, events of the same shape."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str | None = None
    choices: list[TextChoice]
    usage: Usage


class InputUsage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class Vector(BaseModel):
    """A text's vector: numbers, or float32 in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(BaseModel):
    """A vector for each text, in their order."""

    object: Literal["list"]
    model: str
    data: list[Vector]
    usage: InputUsage


class RerankedText(BaseModel):
    """The text of a document."""

    text: str


class Reranked(BaseModel):
    """A document's number in the request, and its score."""

    index: int
    relevance_score: float
    document: RerankedText | None = None


class Ranking(BaseModel):
    """The documents, best first."""

    id: str
    object: Literal["list"]
    model: str
    results: list[Reranked]


class ResponseAnswer(BaseModel):
    """An answer; with `stream`, OpenAI's events `response.created` to `response.completed`."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed"]
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None


class Tokens(BaseModel):
    """The ids of a text's tokens."""

    model: str
    count: int
    max_model_len: int | None = None
    tokens: list[Any]


class Text(BaseModel):
    """The text of tokens, under both of its names."""

    model: str
    prompt: str
    content: str


def declared(shape: type[BaseModel], *, streams: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that answers with this shape, or streams."""
    found: dict[str, Any] = {"model": shape, "description": (shape.__doc__ or "").strip()}
    if streams:
        found["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    return {200: found}
