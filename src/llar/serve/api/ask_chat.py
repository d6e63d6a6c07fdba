"""Chat completions that a collection answers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse, Response

from ...errors import BadRequest
from ...records import Answer, Message, Sentence
from ..request import identity_of, state_of
from ..threads import in_thread
from . import ask
from .chat_request import ChatRequest
from .messages import plain_text
from .sse import Events, event, failure, streamed, while_connected

__all__ = ["answer_base", "answered", "check_ask", "conversation"]

REFUSED = ("tools", "response_format", "logprobs", "top_logprobs", "stop", "seed", "top_p", "top_k",
           "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty",
           "logit_bias", "chat_template_kwargs")  # fmt: skip
LONGEST_TURN = 100_000  # characters
NEUTRAL: dict[str, Any] = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0,
                           "logprobs": False, "logit_bias": {}}  # fmt: skip


async def answered(request: Request, body: ChatRequest) -> Response:
    """The answer of the collection that `body.model` names."""
    state, identity = state_of(request), identity_of(request)
    check_ask(body)
    collection, writer = await in_thread(ask.opened, state, identity, body.model)
    text, history, ignored = conversation([(m.role, plain_text(m.content)) for m in body.messages])
    question = ask.Question(
        collection.name, writer, text, history, body.llar or ask.AskOptions(), body.limit,
        body.temperature,
    )  # fmt: skip
    found = ask.answers(state, identity, collection, question)
    base = answer_base(request)
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return await streamed(
            request, _events(found, body.model, collection.name, base, ignored, usage),
            failed=failure(request),
        )  # fmt: skip
    answer = await while_connected(request, _last(found))
    message = {
        "role": "assistant",
        "content": answer.answer + ask.sources(answer),
        "refusal": None,
        "annotations": ask.url_citations(answer, collection.name, base),
        "llar": ask.told(answer, ignored),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return JSONResponse(
        {**_head(body.model, "chat.completion"), "choices": [choice], "usage": usage_of(answer)}
    )


def conversation(turns: Sequence[tuple[str, str]]) -> tuple[str, tuple[Message, ...], list[str]]:
    """The question, what was said before, and what has no effect on the answer.

    `turns` are roles and texts. Raises BadRequest where the last is not a question.
    """
    ignored = ["messages with the role system"]
    told = [t for t in turns if t[0] not in ("system", "developer")]
    role, text = told[-1] if told else ("", "")
    if role != "user" or not text.strip():
        raise BadRequest("the last message must be a question of the user", param="messages")
    if len(text) > ask.LONGEST or any(len(said) > LONGEST_TURN for _, said in told[:-1]):
        raise BadRequest(
            f"a question to documents has at most {ask.LONGEST} characters, an earlier message"
            f" {LONGEST_TURN}", param="messages", code="string_above_max_length",
        )  # fmt: skip
    if any(role == "tool" for role, _ in told):
        raise BadRequest("a collection calls no tools", param="messages", code="unsupported_value")
    history = tuple(
        Message("user", said) if role == "user" else Message("assistant", ask.earlier(said))
        for role, said in told[:-1]
    )
    return text, history, ignored if len(told) < len(turns) else []


def answer_base(request: Request) -> str:
    """The server's address as its users type it, for links to documents."""
    return str(request.scope.get("llar.base") or request.base_url).rstrip("/")


def usage_of(answer: Answer) -> dict[str, int]:
    """What the model that writes read and wrote; nothing where no model was needed."""
    read, wrote = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


async def _last(found: Any) -> Answer:
    async for item in found:
        if isinstance(item, Answer):
            return item
    raise AssertionError("a stream of an answer ends with the answer")


async def _events(
    found: Any, model: str, collection: str, base: str, ignored: list[str], usage: bool
) -> Events:
    """Each sentence as a chunk, then the sources with all that is told of them."""
    head = _head(model, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**head, "choices": [choice]})

    said = 0
    try:
        async for item in found:
            if isinstance(item, Sentence):
                if item.supported:
                    role = {} if said else {"role": "assistant"}
                    text = ask.marked(item)
                    yield chunk({**role, "content": f" {text}" if said else text})
                    said += 1
                continue
            start = "" if said else item.answer
            yield chunk(
                {
                    **({} if said else {"role": "assistant"}),
                    "content": start + ask.sources(item),
                    "annotations": ask.url_citations(item, collection, base),
                    "llar": ask.told(item, ignored),
                }
            )
            yield chunk({}, "stop")
            if usage:
                yield event({**head, "choices": [], "usage": usage_of(item)})
    finally:
        await found.aclose()


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()),
            "model": model, "system_fingerprint": None}  # fmt: skip


def check_ask(body: ChatRequest) -> None:
    """Raises BadRequest for what could have no effect on the answer."""
    given: dict[str, Any] = {name: getattr(body, name) for name in REFUSED}
    for name, value in given.items():
        plain = name == "response_format" and value is not None and value.type == "text"
        if value is not None and not plain and value != NEUTRAL.get(name, object()):
            raise BadRequest(
                f"{name!r} has no effect on answers from documents, so it is refused",
                param=name, code="unsupported_parameter",
            )  # fmt: skip
    if (body.n or 1) > 1:
        raise BadRequest("there is one answer from documents, so n must be 1", param="n",
                         code="unsupported_value")  # fmt: skip
    for n, message in enumerate(body.messages):
        parts = [] if isinstance(message.content, str) else message.content or []
        if any(part.type == "image_url" for part in parts):
            raise BadRequest(
                "a question to documents is text; pictures are refused",
                param=f"messages[{n}].content", code="unsupported_content",
            )  # fmt: skip
