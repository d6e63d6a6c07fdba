"""A response being written: its output items, and OpenAI's events that tell how they grow.

What is said comes as `Said`: text, parts of calls, and in the end how it ended. `Writing` turns
that into events and, at the same time, into the response that the last event holds.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...records import Answer, Sentence
from . import ask
from .choices import Body, Chunks
from .sse import Events, event

__all__ = ["Said", "Writing", "from_answer", "from_chunks", "written"]

SOONER = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(slots=True)
class Said:
    """One step: some text, a part of a call, what belongs to the text, or the end."""

    text: str = ""
    logprobs: list[Body] = field(default_factory=list)
    call: Body | None = None  # a delta of chat completions: index, id, function
    annotations: list[Body] = field(default_factory=list)
    finish: str | None = None
    usage: Body | None = None
    llar: Body | None = None


Saying = AsyncGenerator[Said, None]


async def from_chunks(chunks: Chunks, top: int) -> Saying:
    """What an engine streams."""
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            for choice in chunk["choices"]:
                delta = choice["delta"]
                rows = (choice.get("logprobs") or {}).get("content") or []
                for row in rows:
                    row["top_logprobs"] = row["top_logprobs"][:top]
                if delta.get("content"):
                    yield Said(delta["content"], logprobs=rows)
                for call in delta.get("tool_calls") or ():
                    yield Said(call=call)
                if choice.get("finish_reason"):
                    yield Said(finish=choice["finish_reason"])
            if chunk.get("usage"):
                yield Said(usage=chunk["usage"])


async def from_answer(
    found: AsyncGenerator[Sentence | Answer, None], collection: str, base: str, ignored: list[str]
) -> Saying:
    """What a collection answers, each checked sentence as it comes."""
    said = 0
    async with contextlib.aclosing(found):
        async for item in found:
            if isinstance(item, Sentence):
                if item.supported:
                    yield Said(f"{' ' if said else ''}{ask.marked(item)}")
                    said += 1
                continue
            tail = ("" if said else item.answer) + ask.sources(item)
            usage = {
                "prompt_tokens": item.usage.prompt_tokens,
                "completion_tokens": item.usage.completion_tokens,
            }
            yield Said(
                tail, annotations=ask.url_citations(item, collection, base), finish="stop",
                usage=usage, llar=ask.told(item, ignored),
            )  # fmt: skip


async def written(writing: Writing, said: Saying) -> Events:
    """The events of a response."""
    async with contextlib.aclosing(said):
        first = True
        async for step in said:
            if first:
                for each in writing.begun():
                    yield event(each, each["type"])
                first = False
            for each in writing.take(step):
                yield event(each, each["type"])
    for each in writing.ended():
        yield event(each, each["type"])


class Writing:
    """One response as it grows."""

    def __init__(self, model: str, echo: Body) -> None:
        self.response: Body = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "usage": None,
            **echo,
        }
        self._number = 0
        self._open: Body | None = None  # the item that is being written, the last of the output
        self._calls: dict[int, Body] = {}
        self._finish = "stop"
        self._usage: Body = {}

    def begun(self) -> Iterator[Body]:
        """The first events."""
        yield self._event("response.created", response=dict(self.response))
        yield self._event("response.in_progress", response=dict(self.response))

    def take(self, said: Said) -> Iterator[Body]:
        """The events of one step."""
        if said.text:
            yield from self._text(said)
        if said.call is not None:
            yield from self._call(said.call)
        for note in said.annotations:
            part = self.response["output"][-1]["content"][0]
            part["annotations"].append(_flat(note))
            yield self._part_event(
                "response.output_text.annotation.added",
                annotation_index=len(part["annotations"]) - 1,
                annotation=_flat(note),
            )
        self._finish = said.finish or self._finish
        self._usage = said.usage or self._usage
        if said.llar is not None:
            self.response["llar"] = said.llar

    def ended(self) -> Iterator[Body]:
        """The last events, with the whole response in the very last."""
        if not self.response["output"]:
            yield from self._text(Said(""))
        sooner = SOONER.get(self._finish)
        yield from self._closed("incomplete" if sooner else "completed")
        read = int(self._usage.get("prompt_tokens") or 0)
        wrote = int(self._usage.get("completion_tokens") or 0)
        self.response["usage"] = {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": wrote,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + wrote,
        }
        self.response["status"] = "incomplete" if sooner else "completed"
        if sooner:
            self.response["incomplete_details"] = {"reason": sooner}
        yield self._event(f"response.{self.response['status']}", response=self.response)

    def failed(self, error: Body) -> Iterator[Body]:
        """The events of a response that could not be finished."""
        self.response["status"] = "failed"
        code = error["code"] or "server_error"
        self.response["error"] = {"code": code, "message": error["message"]}
        yield self._event("response.failed", response=self.response)
        yield self._event("error", code=code, message=error["message"], param=error["param"])

    def _text(self, said: Said) -> Iterator[Body]:
        if self._open is None or self._open["type"] != "message":
            yield from self._closed()
            yield from self._opened(
                {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "status": "in_progress",
                 "role": "assistant", "content": []}
            )  # fmt: skip
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            self.response["output"][-1]["content"].append(part)
            yield self._part_event("response.content_part.added", part=dict(part))
        part = self.response["output"][-1]["content"][0]
        part["text"] += said.text
        part["logprobs"] += said.logprobs
        if said.text:
            yield self._part_event(
                "response.output_text.delta", delta=said.text, logprobs=said.logprobs
            )

    def _call(self, delta: Body) -> Iterator[Body]:
        number, function = delta.get("index", 0), delta.get("function") or {}
        if number not in self._calls:
            yield from self._closed()
            item = {
                "id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "status": "in_progress",
                "call_id": delta.get("id") or f"call_{uuid.uuid4().hex}",
                "name": function.get("name") or "", "arguments": "",
            }  # fmt: skip
            self._calls[number] = item
            yield from self._opened(item)
        text = function.get("arguments") or ""
        self._calls[number]["arguments"] += text
        if text:
            yield self._item_event("response.function_call_arguments.delta", delta=text)

    def _opened(self, item: Body) -> Iterator[Body]:
        self.response["output"].append(item)
        self._open = item
        yield self._event(
            "response.output_item.added",
            output_index=len(self.response["output"]) - 1,
            item=dict(item, content=[]) if item["type"] == "message" else dict(item),
        )

    def _closed(self, status: str = "completed") -> Iterator[Body]:
        """The events that end the item being written, if there is one."""
        item, self._open = self._open, None
        if item is None:
            return
        item["status"] = status
        if item["type"] == "message":
            part = item["content"][0]
            yield self._part_event(
                "response.output_text.done", text=part["text"], logprobs=part["logprobs"]
            )
            yield self._part_event("response.content_part.done", part=part)
        else:
            yield self._item_event(
                "response.function_call_arguments.done",
                name=item["name"],
                arguments=item["arguments"],
            )
        yield self._event(
            "response.output_item.done", output_index=len(self.response["output"]) - 1, item=item
        )

    def _part_event(self, kind: str, **fields: Any) -> Body:
        return self._item_event(kind, content_index=0, **fields)

    def _item_event(self, kind: str, **fields: Any) -> Body:
        number = len(self.response["output"]) - 1
        item = self.response["output"][number]
        return self._event(kind, item_id=item["id"], output_index=number, **fields)

    def _event(self, kind: str, **fields: Any) -> Body:
        self._number += 1
        return {"type": kind, "sequence_number": self._number - 1, **fields}


def _flat(note: Body) -> Body:
    """An annotation as responses have it: its fields beside its type."""
    return {"type": note["type"], **note[note["type"]], "llar": note["llar"]}
