"""Other questions that are searched beside the one asked, written by the chat model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...models.interface import Options
from ..query import Query
from .arguments import Arguments
from .asking import LONGEST_LINE, lines, reply, sift

if TYPE_CHECKING:
    from ..searcher import Searcher

MOST = 20  # questions
NOTHING = "nothing can be used; the question is searched as it is"


def multi(query: Query, searcher: Searcher, argument: str) -> Query:
    """Let the chat model ask the question in other words; all are searched and fused.

    `multi:5` asks for five, the default is three. Refused lines are on record with the reason;
    where none is left only the question is searched. Raises QueryError for another argument.
    """
    count = Arguments("multi[:questions]", argument).whole(0, 3, most=MOST)
    with searcher.step("the model's questions") as about:
        options = Options(max_tokens=count * LONGEST_LINE, stop=(f"\n{count + 1}.",))
        values = {"question": query.text, "count": str(count)}
        found = lines(reply(searcher, "multi", about, options, values))
        kept = sift(found, query, searcher, about, lambda words, asked: "")
        return _beside(query, kept[:count], about)


def step_back(query: Query, searcher: Searcher, argument: str) -> Query:
    """Let the chat model ask something more general too (Zheng et al. 2023).

    The general question is searched beside the one asked. It is refused, on record, where it
    keeps all words of the question and so is no more general. Takes no argument.
    """
    Arguments("step-back", argument)

    def refuse(words: frozenset[str], asked: frozenset[str]) -> str:
        return "it is not more general: it has all words of the question" if words > asked else ""

    with searcher.step("the model's general question") as about:
        options = Options(max_tokens=LONGEST_LINE, stop=("\n",))
        found = lines(reply(searcher, "step-back", about, options, {"question": query.text}))
        return _beside(query, sift(found, query, searcher, about, refuse), about)


def decompose(query: Query, searcher: Searcher, argument: str) -> Query:
    """Let the chat model split a question into simpler ones; all are searched and fused.

    `decompose:4`, the default, takes up to four. A part is refused, on record, where more than
    half of its words are not the question's. Fewer than two parts are none: then only the
    question is searched. Raises QueryError for another argument.
    """
    count = Arguments("decompose[:parts]", argument).whole(0, 4, most=MOST)

    def refuse(words: frozenset[str], asked: frozenset[str]) -> str:
        return "most of it was not asked" if 2 * len(words & asked) < len(words) else ""

    with searcher.step("the model's parts of the question") as about:
        options = Options(max_tokens=count * LONGEST_LINE, stop=(f"\n{count + 1}.",))
        found = lines(reply(searcher, "decompose", about, options, {"question": query.text}))
        if [line.upper() for line in found] == ["SINGLE"]:
            about["result"] = "the model says it asks for a single thing"
            return query
        kept = sift(found, query, searcher, about, refuse)[:count]
        return _beside(query, kept if len(kept) > 1 else [], about)


def _beside(query: Query, found: list[str], about: dict[str, Any]) -> Query:
    if not found:
        about["result"] = NOTHING
        return query
    return replace(query, variants=tuple(dict.fromkeys((*query.variants, *found))))
