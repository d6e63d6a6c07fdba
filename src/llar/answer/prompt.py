"""The prompt of an answer: numbered passages, as many whole ones as fit, and the question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Config
from ..errors import ContextTooLong
from ..models.interface import ChatModel
from ..prompts import render
from ..records import Hit, Message

_CONTROL = re.compile(
    r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|</?(?:think|tool_call|tool_response|im_start|im_end)>"
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent to the model, how many of the hits it holds, and its tokens."""

    messages: tuple[Message, ...]
    shown: int
    tokens: int


def build(question: str, hits: Sequence[Hit], chat: ChatModel, config: Config) -> Prompt:
    """The prompt for a question; a passage is shown whole or not at all.

    Raises ContextTooLong where not even the best passage fits beside the answer.
    """
    room = chat.context - config.max_answer_tokens
    for count in range(min(config.passages, len(hits)), 0, -1):
        messages = render(
            config, "answer", question=harmless(question), passages=passages(hits[:count])
        )
        tokens = chat.count_prompt(messages)
        if tokens <= room:
            return Prompt(tuple(messages), count, tokens)
    raise ContextTooLong(
        f"the best passage and the question take {tokens} tokens, but {chat.name} has room for "
        f"{room} beside an answer of {config.max_answer_tokens}",
        fix="set LLAR_CONTEXT higher or LLAR_MAX_ANSWER_TOKENS lower, or take another model",
    )


def passages(hits: Sequence[Hit]) -> str:
    """The passages as the model sees them, numbered from 1."""
    parts = []
    for n, hit in enumerate(hits, 1):
        page = f", page {hit.chunk.first_page}" if hit.chunk.first_page else ""
        parts.append(f"[{n}] {hit.document.name}{page}\n{hit.chunk.content}")
    return harmless("\n\n".join(parts))


def harmless(text: str) -> str:
    """Text in which no model's control token stands, so that a passage cannot end its own turn.

    Models write them as <|name|>, <name>, </s> or [NAME]; a space behind the bracket makes them
    plain text. Quotes are taken from the document, not from here.
    """
    return _CONTROL.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)
