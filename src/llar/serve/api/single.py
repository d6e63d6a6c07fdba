"""At most one call in an answer, where `parallel_tool_calls` is false or one function is named.

llama.cpp takes that field and ignores it. So what it writes is streamed in any case, and ended
where a second call begins: nothing of that one is told, and the model is stopped.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ...errors import RemoteError
from .choices import Body, Chunks

__all__ = ["TIMED", "check_single", "gathered", "is_single", "one_call"]

TIMED: Body = {"timings_per_token": True}  # what has been read and written, in every chunk


def is_single(body: Body) -> bool:
    """May there be one call at most?"""
    named = isinstance(body.get("tool_choice"), dict)
    return bool(body.get("tools")) and (named or body.get("parallel_tool_calls") is False)


async def one_call(chunks: Chunks) -> Chunks:
    """The stream, ended where a second call begins, with the tokens counted up to there."""
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            deltas = [choice["delta"] for choice in chunk["choices"]]
            if not any(c.get("index", 0) for d in deltas for c in d.get("tool_calls") or ()):
                yield chunk
                continue
            last = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
            yield {**chunk, "choices": [last]}
            times = chunk.get("timings")
            if times:  # of a remote server, nobody knows
                read = times.get("prompt_n", 0) + times.get("cache_n", 0)
                usage = {"prompt_tokens": read, "completion_tokens": times["predicted_n"]}
                yield {**chunk, "choices": [], "usage": usage}
            return


async def gathered(chunks: Chunks) -> Body:
    """A stream of one choice as an answer in one piece."""
    message: Body = {"role": "assistant", "content": None}
    calls: dict[int, Body] = {}
    rows: list[Any] = []
    answer: Body = {}
    finish, usage = "stop", None
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            answer = answer or chunk
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                delta = choice["delta"]
                if delta.get("content"):
                    message["content"] = (message["content"] or "") + delta["content"]
                for part in delta.get("tool_calls") or ():
                    _add(calls, part)
                rows += (choice.get("logprobs") or {}).get("content") or []
                finish = choice.get("finish_reason") or finish
    if calls:
        message["tool_calls"] = list(calls.values())
    logprobs = {"content": rows} if rows else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
    return {**answer, "choices": [choice], "usage": usage}


def check_single(answer: Body, model: str) -> Body:
    """The answer of a remote server. Raises RemoteError where it holds several calls."""
    calls = answer["choices"][0]["message"].get("tool_calls") or ()
    if len(calls) > 1:
        raise RemoteError(
            f"the server of {model} made {len(calls)} calls at once, although "
            "parallel_tool_calls is false"
        )
    return answer


def _add(calls: dict[int, Body], part: Body) -> None:
    """A part of a call to those that are there."""
    function = part.get("function") or {}
    call = calls.setdefault(
        part.get("index", 0),
        {"id": part.get("id"), "type": "function", "function": {"name": "", "arguments": ""}},
    )
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
