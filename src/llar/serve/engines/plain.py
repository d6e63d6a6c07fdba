"""OpenAI's JSON from any chat model of llar: what `fake:` models answer with.

Only what such a model can do: text in, text out. Anything else is Refused, not ignored.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import Refused
from ...models.interface import ChatModel, Options
from ...records import Completion, Message, TokenProbability, Usage

__all__ = ["answer", "stream"]

UNDERSTOOD = {
    "model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p",
    "seed", "stop", "stream", "stream_options", "logprobs", "top_logprobs", "n", "json_schema",
    "response_format", "lora", "cache_prompt", "add_generation_prompt",
}  # fmt: skip
SILENT: tuple[Any, ...] = (None, [], {}, "auto", "none", 0, False)  # values that ask for nothing


def answer(model: ChatModel, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer to a request at an OpenAI-like path."""
    if path == "/tokenize":
        return {"tokens": list(range(model.count_tokens(str(body["content"]))))}
    if path == "/apply-template":
        turns = _messages(model, body)
        return {"prompt": "".join(f"{m.role}: {m.content}\n" for m in turns)}
    options = _options(model, body)
    if path == "/v1/chat/completions":
        made = model.chat(_messages(model, body), options)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": made.text},
            "logprobs": _logprobs(made.tokens, options),
            "finish_reason": made.finish_reason,
        }
        return _whole("chat.completion", made, choice)
    if path == "/v1/completions":
        made = model.complete(str(body["prompt"]), options)
        choice = {
            "index": 0,
            "text": made.text,
            "logprobs": _logprobs(made.tokens, options),
            "finish_reason": made.finish_reason,
        }
        return _whole("text_completion", made, choice)
    raise Refused(f"{model.name} cannot do {path!r}")


def stream(model: ChatModel, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed answer, shaped as llama.cpp's."""
    options = _options(model, body)
    asked = (body.get("stream_options") or {}).get("include_usage")
    frame = _frame("chat.completion.chunk", model.name)
    if path == "/v1/completions":
        made = model.complete(str(body["prompt"]), options)
        frame["object"] = "text_completion"
        finish, usage = made.finish_reason, made.usage
        yield frame | {"choices": [{"index": 0, "text": made.text, "finish_reason": None}]}
        last: dict[str, Any] = {"text": ""}
    elif path == "/v1/chat/completions":
        last = {"delta": {}}
        finish, usage = "stop", Usage()
        opening = {"role": "assistant", "content": None}
        pieces = model.stream(_messages(model, body), options)
        yield frame | {"choices": [{"index": 0, "delta": opening, "finish_reason": None}]}
        for piece in pieces:
            finish, usage = piece.finish_reason or finish, piece.usage or usage
            if piece.text:
                choice = {"index": 0, "delta": {"content": piece.text}, "finish_reason": None}
                if options.top_logprobs is not None:
                    choice["logprobs"] = _logprobs(piece.tokens, options)
                yield frame | {"choices": [choice]}
    else:
        raise Refused(f"{model.name} cannot stream {path!r}")
    yield frame | {"choices": [{"index": 0, **last, "finish_reason": finish}]}
    if asked:
        yield frame | {"choices": [], "usage": _usage(usage)}


def _frame(kind: str, name: str) -> dict[str, Any]:
    number = uuid.uuid4().hex
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": int(time.time()),
        "model": name,
        "system_fingerprint": "llar",
    }


def _whole(kind: str, made: Completion, choice: dict[str, Any]) -> dict[str, Any]:
    return _frame(kind, made.model) | {"choices": [choice], "usage": _usage(made.usage)}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _logprobs(tokens: tuple[TokenProbability, ...], options: Options) -> dict[str, Any] | None:
    if options.top_logprobs is None:
        return None
    return {"content": [
        {
            "token": t.token,
            "logprob": t.logprob,
            "bytes": list(t.token.encode()),
            "top_logprobs": [
                {"token": token, "logprob": logprob, "bytes": list(token.encode())}
                for token, logprob in t.top
            ],
        }
        for t in tokens
    ]}  # fmt: skip


def _messages(model: ChatModel, body: Mapping[str, Any]) -> list[Message]:
    return [Message(m["role"], _text(model, m.get("content"))) for m in body["messages"]]


def _text(model: ChatModel, content: Any) -> str:
    """A message's text, in one piece or in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = []
    for part in content:
        if part.get("type") != "text":
            raise Refused(f"{model.name} reads text only, not {part.get('type')!r}")
        parts.append(str(part["text"]))
    return "".join(parts)


def _options(model: ChatModel, body: Mapping[str, Any]) -> Options:
    for key, value in body.items():
        if key not in UNDERSTOOD and value not in SILENT:
            raise Refused(f"{model.name} cannot do {key!r}")
    stop = body.get("stop") or ()
    schema = body.get("json_schema")
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        schema = form["json_schema"].get("schema")
    elif form.get("type") == "json_object":
        schema = {"type": "object"}
    top = body.get("top_logprobs") or 0
    wanted = body.get("logprobs")
    return Options(
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        temperature=body.get("temperature") or 0.0,
        top_p=body.get("top_p"),
        seed=body.get("seed"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        schema=schema,
        top_logprobs=(top if wanted is True else wanted) if wanted not in (None, False) else None,
    )
