"""Questions written by a model: one for an answer that a rule found in a passage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..answer.prompt import harmless
from ..config import Config
from ..errors import ContextTooLong
from ..models.interface import ChatModel, Options
from ..prompts import render
from ..records import Document
from .counterfactual import says
from .make_text import Candidate

__all__ = ["asked_by"]

TOKENS = 60
AROUND = 600  # characters of its document that the model sees beside the sentence

_LEAD = re.compile(r"^(?:question|pregunta|kérdés)\s*:\s*", re.IGNORECASE)


def asked_by(
    chat: ChatModel, config: Config, candidate: Candidate, document: Document, seed: int
) -> Candidate | str:
    """The candidate with a question of the model's in the place of the rule's; or why not.

    The answer and its place stay those that the rule found, so that nothing rests on the model
    but the wording, which is checked like any other.
    """
    text = _passage(document, candidate.spans[0])
    messages = render(
        config, "make-question", text=harmless(text), answer=harmless(candidate.answers[0])
    )
    try:
        reply = chat.chat(messages, Options(max_tokens=TOKENS, temperature=0.0, seed=seed)).text
    except ContextTooLong:
        return "the passage does not fit the model's context"
    question = _question(reply.splitlines())
    if not question:
        return "the model wrote no question"
    if not _confirmed(chat, config, question, text, candidate.answers[0]):
        return "asked itself, the model answers otherwise"
    return replace(candidate, question=question, otherwise="", how=f"model: {chat.name}")


def _confirmed(chat: ChatModel, config: Config, question: str, text: str, answer: str) -> bool:
    """Does the model, asked its own question with the passage, say the answer?"""
    messages = render(
        config, "answer", question=harmless(question), passages=harmless(f"[1] {text}")
    )
    try:
        reply = chat.chat(messages, Options(max_tokens=TOKENS, temperature=0.0)).text
    except ContextTooLong:
        return False
    return says(reply, [answer])


def _question(lines: Sequence[str]) -> str:
    """The first line that is a question, without what stands before and after it."""
    for line in lines:
        bare = _LEAD.sub("", line.strip().strip('"“”«»„*').strip())
        found = re.match(r"[^?]*\?", bare)
        if found and len(bare.split()) > 2:
            return found[0].strip()
    return ""


def _passage(document: Document, span: tuple[int, int, int]) -> str:
    """The sentence with what stands around it in its paragraph."""
    _, start, end = span
    block = next((b for b in document.blocks if b.start <= start and end <= b.end), None)
    low, high = (block.start, block.end) if block else (start, end)
    low, high = max(low, start - AROUND), min(high, end + AROUND)
    return " ".join(document.text[low:high].split())
