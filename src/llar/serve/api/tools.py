"""Calling functions with models whose chat template knows no tools.

llama.cpp reads and constrains the calls of models that were taught to make them. Of others it
drops the tools without a word; for those the tools stand in the prompt (prompts/tools.txt). Where
a call is demanded, a grammar of the functions' own schemas makes sure that it is one.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from ...config import Config
from ...prompts import render
from ..engines import Engines
from .choices import Body, Chunks

__all__ = ["are_native", "asked", "calls_in", "prompted", "with_calls", "with_calls_streamed"]

OPEN, CLOSE = "<tool_call>", "</tool_call>"
MOST_CALLS = 16  # at once, where a grammar writes them

_CALL = re.compile(rf"\s*{OPEN}\s*(.*?)\s*(?:{CLOSE}|$)\s*", re.DOTALL)


async def are_native(engines: Engines, model: str, tools: list[Body]) -> bool:
    """Does the model's own template show tools? What a remote server does is its own affair."""
    backend = model.partition(":")[0]
    if backend != "llamacpp":
        return backend == "openai"
    messages = [{"role": "user", "content": "?"}]
    without = await engines.request(model, "/apply-template", {"messages": messages})
    body = {"messages": messages, "tools": tools}
    shown = await engines.request(model, "/apply-template", body)
    return bool(shown["prompt"] != without["prompt"])


def asked(body: Body) -> tuple[list[Body], bool]:
    """The tools that may be called, and whether one must be."""
    tools: list[Body] = body["tools"]
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        return [t for t in tools if t["function"]["name"] == name], True
    return ([] if choice == "none" else tools), choice == "required"


def prompted(config: Config, body: Body) -> Body:
    """The request in words: tools and calls in the messages, a grammar where one must be made."""
    tools, must = asked(body)
    rest = {k: v for k, v in body.items()
            if k not in ("tools", "tool_choice", "parallel_tool_calls")}  # fmt: skip
    messages = [_in_words(m) for m in body["messages"]]
    if tools:
        lines = "\n".join(json.dumps(t["function"], ensure_ascii=False) for t in tools)
        text = render(config, "tools", tools=lines)[0].content
        if messages[0]["role"] in ("system", "developer"):
            text = f"{_text(messages.pop(0)['content'])}\n\n{text}"
        messages.insert(0, {"role": "system", "content": text})
    if must:
        most = MOST_CALLS if body.get("parallel_tool_calls") is not False else 1
        if isinstance(body.get("tool_choice"), dict):
            most = 1
        rest["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "calls", "strict": True, "schema": _schema(tools, most)},
        }
    elif tools and body.get("parallel_tool_calls") is False:
        rest["stop"] = [*rest.get("stop", ()), CLOSE]  # it ends with its first call
    return {**rest, "messages": messages}


def with_calls(answer: Body, body: Body) -> Body:
    """The engine's answer to `prompted(body)`, what it wrote as calls made into calls."""
    tools, must = asked(body)
    choice = answer["choices"][0]
    text = choice["message"].get("content") or ""
    calls = calls_in(text, tools, must=must)
    if not calls:
        return answer
    message = {**choice["message"], "content": None, "tool_calls": calls}
    finish = "tool_calls" if choice["finish_reason"] == "stop" else choice["finish_reason"]
    return {**answer, "choices": [{**choice, "message": message, "finish_reason": finish}]}


async def with_calls_streamed(chunks: Chunks, body: Body) -> AsyncGenerator[Body, None]:
    """The same for a stream: text passes as it comes, unless it begins as a call does."""
    tools, must = asked(body)
    held, passing = "", not tools
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            for choice in chunk["choices"]:
                text = choice["delta"].get("content") or ""
                if not passing:
                    held += text
                    begun = held.lstrip()
                    if must or OPEN.startswith(begun[: len(OPEN)]):
                        choice["delta"] = {k: v for k, v in choice["delta"].items() if k == "role"}
                    else:
                        passing, choice["delta"]["content"] = True, held
                if choice.get("finish_reason") and not passing:
                    calls = calls_in(held, tools, must=must)
                    yield {**chunk, "choices": [{**choice, "finish_reason": None,
                                                 "delta": _delta(calls, held)}]}  # fmt: skip
                    if calls and choice["finish_reason"] == "stop":
                        choice["finish_reason"] = "tool_calls"
            if chunk.get("usage") or any(c["delta"] or c.get("finish_reason") or c.get("logprobs")
                                         for c in chunk["choices"]):  # fmt: skip
                yield chunk


def calls_in(text: str, tools: list[Body], *, must: bool) -> list[Body]:
    """The calls that a text consists of; none where it is anything else, or was cut in the middle.

    `must` says that it was written by the grammar, so that it is a JSON list of calls.
    """
    names = {t["function"]["name"] for t in tools}
    try:
        written = json.loads(text) if must else [json.loads(c) for c in _CALL.findall(text)]
    except ValueError:
        return []
    if not must and _CALL.sub("", text):
        return []
    if not isinstance(written, list) or not all(_is_call(c, names) for c in written):
        return []
    return [
        {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": c["name"], "arguments": json.dumps(c["arguments"])},
        }
        for c in written
    ]


def _is_call(written: Any, names: set[str]) -> bool:
    return (
        isinstance(written, dict)
        and written.get("name") in names
        and isinstance(written.get("arguments"), dict)
    )


def _delta(calls: list[Body], text: str) -> Body:
    """All of the calls, or the text that was held back, as a delta."""
    if calls:
        return {"tool_calls": [{"index": n, **call} for n, call in enumerate(calls)]}
    return {"content": text}


def _schema(tools: list[Body], most: int) -> Body:
    """The JSON schema of a list of calls. References inside a function's schema are moved along."""
    kinds = []
    for n, tool in enumerate(tools):
        function = tool["function"]
        place = f"#/items/anyOf/{n}/properties/arguments"
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        kinds.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": function["name"]},
                    "arguments": _moved(parameters, place),
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return {"type": "array", "minItems": 1, "maxItems": most, "items": {"anyOf": kinds}}


def _moved(schema: Any, place: str) -> Any:
    if isinstance(schema, list):
        return [_moved(s, place) for s in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        k: place + v[1:] if k == "$ref" and isinstance(v, str) and v.startswith("#") else
        _moved(v, place)
        for k, v in schema.items()
    }  # fmt: skip


def _in_words(message: Body) -> Body:
    """A message without tool calls, which stand in its text."""
    if message["role"] == "tool":
        text = _text(message["content"])
        return {"role": "user", "content": f"<tool_response>\n{text}\n</tool_response>"}
    if not message.get("tool_calls"):
        return message
    lines = [_text(message.get("content"))]
    for call in message["tool_calls"]:
        function = call["function"]
        try:
            arguments = json.loads(function["arguments"])
        except ValueError:
            arguments = function["arguments"]
        written = json.dumps({"name": function["name"], "arguments": arguments})
        lines.append(f"{OPEN}{written}{CLOSE}")
    return {"role": "assistant", "content": "\n".join(line for line in lines if line)}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content or ""
