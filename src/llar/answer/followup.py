"""Follow-up questions: readings of a question that stand alone without the conversation."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import Config
from ..models.interface import ChatModel, Options
from ..prompts import render
from ..records import Message
from ..text.words import query_terms

TURNS = 6  # messages of the conversation the model sees


def standalone(
    question: str, history: Sequence[Message], chat: ChatModel, config: Config
) -> list[str]:
    """Readings to try: the question as it is, and completed from the conversation.

    The model's rewriting counts only where it keeps every content word of the question and adds
    none that was not said; else the question before is put in front. Which reading holds is
    decided by what the documents answer best.
    """
    before = [m.content for m in history if m.role == "user"]
    if not before:
        return [question]
    turns = history[-TURNS:]
    conversation = "\n".join(f"{m.role}: {m.content}" for m in turns)
    messages = render(config, "rewrite", conversation=conversation, question=question)
    options = Options(max_tokens=60, temperature=0.0, stop=("\n",))
    written = chat.chat(messages, options).text.strip().strip('"')
    if not _faithful(written, question, conversation):
        written = f"{before[-1]} {question}"
    return [question] if written == question else [question, written]


def _faithful(written: str, question: str, conversation: str) -> bool:
    def words(text: str) -> set[str]:
        return {group[0] for group in query_terms(text, []) if group}

    asked, new = words(question), words(written)
    return bool(new) and asked <= new and new <= asked | words(conversation)
