"""What kind of question it is, and which collection it is for. Nothing is changed by it.

The kind is read from how the question is put (`kinds.py`). The chat model that ships is right on
20 to 27 of 69 questions, see bench/RESULTS.md, so it is only asked where that is asked for.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from ...errors import EngineError
from ...index.index import Index, collection_names
from ...index.lexical import Lexical
from ...models.interface import Options
from ..query import Query
from .arguments import Arguments
from .asking import reply
from .kinds import FACT, KINDS, kind
from .words import words_of

if TYPE_CHECKING:
    from ..searcher import Searcher

ELSEWHERE = 1.5  # times the score here that another collection must have


def intent(query: Query, searcher: Searcher, argument: str) -> Query:
    """Say what kind of question it is and which collection fits it; for the record only.

    Kinds: fact, number, table, list, summary, comparison, how-to, code, small talk. Each
    collection is scored by its best passage by words, from 0 to 1; where another has half as much
    again, that is said. `intent:model` asks the chat model for the kind instead of the rules.
    Raises QueryError for another argument.
    """
    arguments = Arguments("intent[:model]", argument)
    if arguments.text(0) not in ("", "model"):
        raise arguments.error(f"{arguments.text(0)!r} cannot tell the kind of a question")
    with searcher.step("kind of question") as about:
        about["by rules"] = kind(query.text)
        if argument:
            about["by the model"] = _asked(query, searcher, about)
    with searcher.step("fitting collections") as about:
        scores = _fitting(query, searcher)
        about["scores"] = {name: round(score, 4) for name, score in scores.items()}
        here = searcher.index.name
        best = max(scores, key=lambda name: scores[name], default=here)
        if scores[best] > ELSEWHERE * scores[here]:
            about["elsewhere"] = f"it is rather for the collection {best!r}: llar search -c {best}"
    return query


def _asked(query: Query, searcher: Searcher, about: dict[str, object]) -> str:
    """The kind of a question by the chat model."""
    names = [FACT, *KINDS]
    options = Options(max_tokens=16, schema={"type": "string", "enum": names})
    try:
        written = reply(searcher, "intent", about, options, {"question": query.text}).text
        found = json.loads(written)
    except (EngineError, ValueError) as e:  # what is no JSON
        return f"unknown: {e}"
    return found if found in names else f"unknown: {found!r} is none of {', '.join(names)}"


def _fitting(query: Query, searcher: Searcher) -> dict[str, float]:
    """Each collection's best passage by the question's words, best first."""
    scores = {}
    reader = searcher.reader
    others = collection_names(searcher.config)
    if reader is not None:
        others = [name for name in others if name in reader.collections]
    for name in {searcher.index.name, *others}:
        here = name == searcher.index.name
        with contextlib.ExitStack() as stack:
            index = searcher.index if here else Index.open(searcher.config, name)
            if not here:
                stack.callback(index.close)
                index = index.seen_by(reader) if reader else index
            with index.database.read():
                words = words_of(Query.of(query.text), index, index.passages.view())
                found = Lexical(index, [word.stems for word in words]).scores()
            scores[name] = float(found.max(initial=0.0))
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))
