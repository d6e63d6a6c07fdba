"""The rules behind the advice: short tables, each row with its reason or source.

Numbers marked as assumptions are rules of thumb. What holds for one's own documents is measured
with `llar evaluate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...models.catalogue import CatalogueModel
from ..sentence import Sentence
from .situation import Situation

__all__ = ["LICENCES", "PLACES", "TASKS", "Method", "Task", "methods", "refusal", "spoken", "tier"]

# --- where documents may go ---------------------------------------------------------------------

PLACES: Mapping[str, tuple[str, ...]] = {
    "public": ("own", "rent", "api"),
    "internal": ("own", "rent", "api"),
    "personal": ("own", "rent"),
    "secret": ("own",),
}
WHY_PLACES: Mapping[str, Sentence] = {data: Sentence(f"place_{data}") for data in PLACES}
STRANGERS = "hosts of third parties"  # what a rent's source says where anybody rents out his own

# --- what a task takes --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """What one kind of work takes. Sizes of models are in parameters."""

    least: float  # smaller models often fail at it
    enough: float  # larger ones are rarely worth their price
    context: int  # tokens of one request, with the answer
    read: int  # tokens read for each
    written: int  # tokens written for each
    facts: bool  # it needs what stands in the documents, so that they must be searched
    tuned_from: int  # examples from which a fine-tuning is worth it; 0: never
    each: bool = False  # every document is a request of its own


TASKS: Mapping[str, Task] = {
    "questions": Task(3e9, 7e9, 4096, 900, 200, facts=True, tuned_from=0),
    "chat": Task(6e9, 12e9, 8192, 3000, 300, facts=True, tuned_from=0),
    "classify": Task(0.9e9, 3e9, 4096, 1500, 20, facts=False, tuned_from=500, each=True),
    "extract": Task(3e9, 7e9, 8192, 4000, 300, facts=False, tuned_from=500, each=True),
    "write": Task(6e9, 12e9, 8192, 1500, 800, facts=False, tuned_from=100),
    "sql": Task(6e9, 12e9, 8192, 2000, 150, facts=False, tuned_from=1000),
}
READING = 238 / 60 / 0.75  # tokens/s people read: 238 words a minute (Brysbaert 2019), 0.75 words
PAGE = 1000  # tokens of a page
CHUNK = 160  # tokens of a passage, where the setting leaves it to the embedder
DIMENSION = 384  # numbers of a passage's vector: all-minilm-l6-v2, multilingual-e5-small
MANY = 1_000_000  # passages that one machine searches in 0.06 s (measured)
PROMPT = 300  # tokens of instructions and question; assumption
SPARE = 0.05  # of the memory, and of the hours of work, that stays free; assumption
PEAK = 3.0  # the busiest moments over the mean of a working day; assumption
DAY = 8 * 3600  # seconds of a working day


@dataclass(frozen=True, slots=True)
class Method:
    """One way of working with a model, and why."""

    name: str  # "prompting", "rag", "fine-tuning"
    why: Sentence


def methods(said: Situation, room: int) -> tuple[Method, ...]:
    """Prompting, searching the documents, fine-tuning, or several. `room` is in tokens."""
    task = TASKS[said.task]
    found: list[Method] = []
    tokens = said.documents * said.pages * PAGE
    if task.facts and tokens > room:
        why = Sentence("why_rag", documents=said.documents, pages=said.pages, page=PAGE,
                       tokens=tokens, room=room)  # fmt: skip
        found.append(Method("rag", why))
    elif task.facts and tokens:
        found.append(Method("prompting", Sentence("why_all", tokens=tokens, room=room)))
    else:
        found.append(Method("prompting", Sentence("why_prompting")))
    if task.tuned_from and said.examples >= task.tuned_from:
        why = Sentence("why_tuning", examples=said.examples, least=task.tuned_from)
        found.append(Method("fine-tuning", why))
    return tuple(found)


# --- which models may be used -------------------------------------------------------------------

LICENCES: Mapping[str, tuple[str, Sentence]] = {
    "Apache-2.0": ("open", Sentence("licence_any")),
    "MIT": ("open", Sentence("licence_any")),
    "llama3.1": ("terms", Sentence("licence_llama")),
    "llama3.2": ("terms", Sentence("licence_llama")),
    "llama3.3": ("terms", Sentence("licence_llama")),
    "gemma": ("terms", Sentence("licence_gemma")),
}


def refusal(model: CatalogueModel, said: Situation, context: int) -> Sentence | None:
    """Why a model cannot be used here, whatever the machine; None where it can."""
    if model.licence not in LICENCES:
        return Sentence("refused_unknown", licence=model.licence)
    if said.open_licence and LICENCES[model.licence][0] != "open":
        return Sentence("refused_closed", licence=model.licence)
    missing = [] if "*" in model.languages else [
        code for code in said.languages if code not in model.languages
    ]  # fmt: skip
    if missing:
        return Sentence("refused_languages", languages=", ".join(missing))
    if model.context < context:
        return Sentence("refused_context", context=model.context, needed=context)
    return None


def spoken(model: CatalogueModel, said: Situation) -> bool:
    """Its makers name every language, rather than calling it multilingual."""
    return all(code in model.languages for code in said.languages)


def tier(size: float, task: Task) -> int:
    """2: large enough for the task, 1: often enough, 0: too small to rely on."""
    return 2 if size >= task.enough else 1 if size >= task.least else 0


def effective(parameters: int, active: int) -> float:
    """The size of a dense model that a mixture of experts compares with; assumption: sqrt."""
    return math.sqrt(float(parameters) * active)


# --- formats ------------------------------------------------------------------------------------

FORMATS = ("Q6_K", "Q5_K_M", "Q4_K_M")  # the best that fits and is fast enough is taken

# --- money --------------------------------------------------------------------------------------

AROUND = 1500  # USD for the computer around one or two cards
AROUND_MORE = 8000  # USD for the server around more of them
APIS = ("mistral:mistral-small-2603", "openai:gpt-5-mini")  # asked for what they cost
COUNTS = (1, 2, 4, 8)  # of the same card together
COPIES = (1, 2, 4, 8, 16, 32, 64)  # machines that share the users
