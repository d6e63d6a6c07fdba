"""Retrieve, read, ask what is missing, retrieve again.

After Trivedi et al., "Interleaving Retrieval with Chain-of-Thought Reasoning" (2023) and Press et
al., "Measuring and Narrowing the Compositionality Gap" (Self-Ask, 2023): what the first passages
say leads to the passages that the question alone does not find. What is missing is asked of the
chat model with `iterative:model`; by default it is read from the passages: the names that the
question's words stand beside and that the question does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import ConfigError
from ...index.lexical import Lexical
from ...models.interface import Options
from ...prompts import render
from ...records import Hit
from ...text import sentences
from ...text.words import query_terms, terms
from ..query import Query
from ..searcher import Searcher, fused

ROUNDS = 3
READ = 3  # passages read in a round
NAMES = 2  # names taken from them
FIRST = 2  # how many times the first ranking counts beside each later one
COVERED = 0.95  # share of the question's words, by weight, in one passage that ends the search

_NAME = re.compile(
    r"(?<![.!?…:]\s)(?<!^)\b[^\W\d_a-zà-öø-ÿ][\w’'-]+(?:\s+(?:of|de|del|la|i|y|and|the)?\s*"
    r"[^\W\d_a-zà-öø-ÿ][\w’'-]+)*"
)


def iterative(query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Retrieve, read what is missing, retrieve again: for questions over several passages.

    `iterative`, `iterative:ROUNDS`, `iterative:model` or `iterative:model:ROUNDS`. It stops when
    a passage holds all the question asks for, when nothing is missing, or when a round brings no
    new passage.
    """
    asks, rounds = _parsed(argument)
    rankings = [searcher.find(query)]
    seen = {h.chunk_id for h in rankings[0]}
    asked = {query.text.casefold()}
    for number in range(2, rounds + 1):
        with searcher.step(f"round {number}") as about:
            missing = _stop(query, rankings, searcher)
            if not missing:
                ask = _asked_model if asks else _read_names
                missing, follow = ask(query, rankings[-1][:READ], searcher)
                about["missing"] = follow
                if follow and follow.casefold() in asked:
                    missing = "the same was searched before"
                elif follow:
                    asked.add(follow.casefold())
                    found = searcher.find(query.asking(follow))
                    new = [h for h in found if h.chunk_id not in seen]
                    about["new passages"] = len(new)
                    rankings.append(found)
                    seen |= {h.chunk_id for h in new}
                    missing = "" if new else "no new passage"
            if missing:
                about["stopped"] = missing
                break
    if len(rankings) == 1:
        return rankings[0]
    return fused([rankings[0]] * (FIRST - 1) + rankings)


def _parsed(argument: str) -> tuple[bool, int]:
    asks, rest = argument == "model" or argument.startswith("model:"), argument
    if asks:
        rest = argument.removeprefix("model").removeprefix(":")
    if rest and not (rest.isascii() and rest.isdigit() and int(rest) >= 1):
        raise ConfigError(
            f"iterative:{argument}: expected a number of rounds, 'model', or 'model:ROUNDS'"
        )
    return asks, int(rest) if rest else ROUNDS


def _stop(query: Query, rankings: Sequence[Sequence[Hit]], searcher: Searcher) -> str:
    """Why to stop, "" to go on."""
    if not rankings[-1]:
        return "nothing was found"
    best = rankings[0][0] if rankings[0] else rankings[-1][0]
    languages = [x for x in {best.document.language} if x]
    lexical = Lexical(searcher.index, query_terms(query.question, languages))
    held = frozenset(terms(best.chunk.content, best.document.language))
    if lexical.covered(held) >= COVERED:
        return "the best passage holds every word of the question"
    return ""


def _read_names(query: Query, hits: Sequence[Hit], searcher: Searcher) -> tuple[str, str]:
    """(why there is nothing, the next search): the question with names that its words stand by."""
    language = hits[0].document.language
    groups = query_terms(query.question, [language] if language else [])
    lexical = Lexical(searcher.index, groups)
    known = frozenset(terms(query.question, language))
    weights: dict[str, float] = {}
    for hit in hits:
        text = hit.chunk.text
        for start, end in sentences.split(text, hit.document.language):
            said = text[start:end]
            covered = lexical.covered(frozenset(terms(said, hit.document.language)))
            for name in _NAME.findall(said):
                words = frozenset(terms(name, hit.document.language))
                if covered and words and not words & known:
                    weights[name] = max(weights.get(name, 0.0), covered)
    best = sorted(weights, key=lambda n: (-weights[n], n))[:NAMES]
    if not best:
        return "the passages name nothing new beside the question's words", ""
    return "", " ".join([query.question, *best])


def _asked_model(query: Query, hits: Sequence[Hit], searcher: Searcher) -> tuple[str, str]:
    """The same, asked of the chat model; its reply must be a short search with something new."""
    passages = "\n\n".join(h.content for h in hits)
    messages = render(searcher.config, "missing", question=query.question, passages=passages)
    chat = searcher.chat()
    while len(hits) > 1 and chat.count_prompt(messages) > chat.context - 40:
        hits = hits[:-1]
        passages = "\n\n".join(h.content for h in hits)
        messages = render(searcher.config, "missing", question=query.question, passages=passages)
    with searcher.step(f"asked {chat.name}") as about:
        reply = chat.chat(messages, Options(max_tokens=40, stop=("\n",))).text.strip(" \"'")
        about["reply"] = reply
    language = hits[0].document.language
    if not reply or "NOTHING" in reply.upper():
        return "the model misses nothing", ""
    if len(reply.split()) > 25 or set(terms(reply, language)) <= set(
        terms(query.question, language)
    ):
        return "the model's reply is no new search", ""
    return "", reply
