"""The prompt of an answer: numbered passages, as many whole ones as fit, and the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Config
from ..errors import ContextTooLong
from ..models.interface import ChatModel
from ..prompts import harmless, render
from ..records import Hit, Message
from ..retrieve.post.order import best

__all__ = ["Prompt", "build", "harmless", "passages"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent to the model, which of the hits it holds (from 1), and its tokens."""

    messages: tuple[Message, ...]
    numbers: tuple[int, ...]
    tokens: int

    @property
    def shown(self) -> int:
        """How many of the hits it holds."""
        return len(self.numbers)


def build(question: str, hits: Sequence[Hit], chat: ChatModel, config: Config) -> Prompt:
    """The prompt for a question; a passage is shown whole or not at all, the best before others.

    Raises ContextTooLong where not even the best passage fits beside the answer.
    """
    room = chat.context - config.max_answer_tokens
    for count in range(min(config.passages, len(hits)), 0, -1):
        places = best(hits, count)
        shown = passages([hits[i] for i in places])
        messages = render(config, "answer", question=harmless(question), passages=shown)
        tokens = chat.count_prompt(messages)
        if tokens <= room:
            return Prompt(tuple(messages), tuple(i + 1 for i in places), tokens)
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
        parts.append(f"[{n}] {hit.document.name}{page}\n{hit.content}")
    return harmless("\n\n".join(parts))
