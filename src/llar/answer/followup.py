"""Follow-up questions: what to look up for a question that leans on the conversation before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Config
from ..models.interface import ChatModel, Options
from ..prompts import render
from ..records import Message
from ..text.language import detect_query
from ..text.words import query_terms

TURNS = 6  # messages of the conversation the model sees
LANGUAGES = ("en", "es", "ca", "hu")

# Words that stand for something said before, and ways to begin that go on from it.
_LEANING = re.compile(
    r"\b(?:he|she|it|they|him|her|them|his|hers|its|their|theirs|this|that|these|those|there|then"
    r"|one|ones|él|ella|ellos|ellas|eso|esa|ese|esos|esas|esto|esta|este|estos|estas|allí|ahí"
    r"|su|sus|ell|elles|ells|això|aquest|aquesta|aquests|aquestes|aquell|aquella|hi|seu|seva|seus"
    r"|seves|ő|ők|az|azok|ez|ezek|ott|itt|akkor|neki|nekik|annak|azt|ezt)\b"
    r"|^\W*(?:and|but|or|so|what about|how about|y|e|pero|i|però|és|de|meg)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as it is looked up and put to the model.

    Where the model completed it, `whole` is that and stands alone. Else `whole` is the question
    before and this one, and what answers `asked` by itself counts more.
    """

    asked: str
    whole: str

    @property
    def leans(self) -> bool:
        """Is the question only understood together with the one before?"""
        return self.whole != self.asked


def leans(question: str) -> bool:
    """Does the question have words that stand for something said before?"""
    return bool(_LEANING.search(question))


def read(question: str, history: Sequence[Message], chat: ChatModel, config: Config) -> Reading:
    """The question completed from the conversation.

    The model's rewriting counts only where it keeps every content word of the question and adds
    none that was not said; else the question before is put in front.
    """
    before = [m.content for m in history if m.role == "user"]
    if not before:
        return Reading(question, question)
    conversation = "\n".join(f"{m.role}: {m.content}" for m in history[-TURNS:])
    messages = render(config, "rewrite", conversation=conversation, question=question)
    options = Options(max_tokens=60, temperature=0.0, stop=("\n",))
    written = chat.chat(messages, options).text.strip().strip('"')
    if written != question and _faithful(written, question, conversation):
        return Reading(written, written)
    return Reading(question, f"{before[-1]} {question}")


def _faithful(written: str, question: str, conversation: str) -> bool:
    language = detect_query(f"{question} {conversation}", list(LANGUAGES)) or LANGUAGES[0]

    def words(text: str) -> set[str]:
        return {group[0] for group in query_terms(text, [language]) if group}

    asked, new = words(question), words(written)
    return asked <= new and asked != new and new <= asked | words(conversation)
