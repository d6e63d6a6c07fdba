"""One request to an engine as one or several choices of an OpenAI answer.

Every choice is a request of its own to the engine, so that n works on every backend and the
tokens of all of them are counted. What an engine sends is changed only where the wire rules ask
for it: the names of answer and model, no `usage` beside choices, and a `finish_reason` that comes
last, with an empty delta.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

from ..state import State
from .sse import Events, event

__all__ = [
    "Body",
    "Chunks",
    "added",
    "answer_of",
    "chunks_of",
    "from_engine",
    "passed_on",
    "together",
]

Body = dict[str, Any]
Chunks = AsyncGenerator[Body, None]
Split = Callable[[Body], list[Body]]  # one choice of a chunk as clients expect it, or in parts

HEAD = ("id", "object", "created", "model", "system_fingerprint")
MIDDLE = b'"finish_reason":null'  # cannot stand in a text, whose quotes are escaped


def from_engine(state: State, model: str, path: str, body: Body) -> Chunks:
    """What an engine streams, with the tokens counted in the end."""
    sent = {**body, "stream_options": {"include_usage": True}}
    return state.engines.stream(model, path, sent)


def added(total: Body, usage: Body | None, *, prompt: bool = True) -> Body:
    """Both counts of tokens together; `prompt` says whether the prompt counts again."""
    if not usage:
        return total
    read = int(usage.get("prompt_tokens") or 0) if prompt else 0
    read += total.get("prompt_tokens", 0)
    wrote = int(usage.get("completion_tokens") or 0) + total.get("completion_tokens", 0)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def answer_of(found: Sequence[Body], *, model: str, kind: str, prefix: str, each: int) -> Body:
    """The single-choice answers of an engine as one answer, `each` of them to one prompt."""
    choices: list[Body] = []
    usage: Body = {}
    for n, answer in enumerate(found):
        choices.append({**answer["choices"][0], "index": n})
        usage = added(usage, answer.get("usage"), prompt=n % each == 0)
    first = found[0]
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": first.get("system_fingerprint"),
        "choices": choices,
        "usage": usage,
    }


async def chunks_of(
    streams: Sequence[Chunks], *, model: str, prefix: str, each: int, usage: bool, split: Split
) -> Events:
    """The events of several single-choice streams, as they come; `each` of them of one prompt."""
    number, created = f"{prefix}-{uuid.uuid4().hex}", int(time.time())
    counted: Body = {}
    head: Body = {}
    source = _numbered(streams) if len(streams) > 1 else _alone(streams[0])
    async with contextlib.aclosing(source):
        async for n, chunk in source:
            if not head:
                head = {name: chunk.get(name) for name in HEAD}
                head |= {"id": number, "created": created, "model": model}
            counted = added(counted, chunk.get("usage"), prompt=n % each == 0)
            for choice in chunk["choices"]:
                choice["index"] = n
                for part in split(choice):
                    yield event({**head, "choices": [part]})
        if usage and counted:
            yield event({**head, "choices": [], "usage": counted})


async def passed_on(events: AsyncGenerator[bytes, None], *, usage: bool, split: Split) -> Events:
    """The events of llama.cpp's one choice, most of them as the bytes they are.

    In the middle of a stream its chunks are what OpenAI's are; only the first and the last need
    a look. This is what makes a hundred streams at once cheap.
    """
    begun = False
    async with contextlib.aclosing(events):
        async for data in events:
            if begun and MIDDLE in data:
                yield b"data: " + data + b"\n\n"
                continue
            begun = True
            chunk = json.loads(data)
            head = {name: chunk.get(name) for name in HEAD}
            for choice in chunk["choices"]:
                for part in split(choice):
                    yield event({**head, "choices": [part]})
            if usage and chunk.get("usage"):
                yield event({**head, "choices": [], "usage": added({}, chunk["usage"])})


async def _alone(stream: Chunks) -> AsyncGenerator[tuple[int, Body], None]:
    async with contextlib.aclosing(stream):
        async for chunk in stream:
            yield 0, chunk


async def _numbered(streams: Sequence[Chunks]) -> AsyncGenerator[tuple[int, Body], None]:
    """The chunks of all streams with their stream's number; the first error ends them all."""
    ready: asyncio.Queue[tuple[int, Body | Exception | None]] = asyncio.Queue(64)

    async def take(n: int, stream: Chunks) -> None:
        try:
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    await ready.put((n, chunk))
            await ready.put((n, None))
        except Exception as error:  # noqa: BLE001 - raised again below
            await ready.put((n, error))

    tasks = [asyncio.ensure_future(take(n, stream)) for n, stream in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            n, item = await ready.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                left -= 1
            else:
                yield n, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def together(work: Sequence[Coroutine[Any, Any, Body]]) -> list[Body]:
    """The results of all, in their order; the first error cancels the others."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
