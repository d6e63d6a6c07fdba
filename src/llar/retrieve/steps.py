"""The steps a search can be made of, by the names that `--query`, `--strategy` and `--post` take.

A step is `name` or `name:argument`; several are separated by commas and run in their order. Each
is a function in the module its table names, imported when it is first used:

- `--query`: `step(query, searcher, argument) -> Query`, before retrieval
- `--strategy`: `step(query, searcher, argument) -> list[Hit]`, the retrieval itself
- `--post`: `step(hits, query, searcher, argument) -> list[Hit]`, after retrieval

`argument` is the text behind the colon, "" where there is none.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ConfigError

Kind = Literal["query", "strategy", "post"]

NONE = "none"  # on the command line: no step, whatever is configured

STEPS: dict[Kind, dict[str, str]] = {
    "query": {
        "language": "rewrite.language:language",
        "words": "rewrite.words:words",
        "spelling": "rewrite.spelling:spelling",
        "prf": "rewrite.feedback:prf",
        "prf-dense": "rewrite.feedback:prf_dense",
        "synonyms": "rewrite.thesaurus:synonyms",
        "hypernyms": "rewrite.thesaurus:hypernyms",
        "ontology": "rewrite.thesaurus:ontology",
        "multi": "rewrite.variants:multi",
        "step-back": "rewrite.variants:step_back",
        "decompose": "rewrite.variants:decompose",
        "hyde": "rewrite.hyde:hyde",
        "intent": "rewrite.intent:intent",
        "filters": "strategy.self_query:read_filters",
    },
    "strategy": {
        "single": "strategy.single:single",
        "adaptive": "strategy.adaptive:adaptive",
        "iterative": "strategy.iterative:iterative",
        "self-query": "strategy.self_query:self_query",
        "graph": "strategy.graph:graph",
        "recursive": "strategy.recursive:recursive",
        "table": "strategy.table:table",
        "code": "strategy.code:code",
    },
    "post": {
        "rerank": "post.rerank:rerank",
        "graded": "post.graded:graded",
        "likelihood": "post.graded:likelihood",
        "mmr": "post.mmr:mmr",
        "min-score": "post.minimum:min_score",
        "dedup": "post.dedup:dedup",
        "neighbours": "post.neighbours:neighbours",
        "compress": "post.compress:compress",
        "surprisal": "post.surprisal:surprisal",
        "llmlingua2": "post.llmlingua2:llmlingua2",
        "order": "post.order:order",
    },
}


@dataclass(frozen=True, slots=True)
class StepName:
    """One step as it was asked for."""

    kind: Kind
    name: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name

    def load(self) -> Any:
        """Its function."""
        module, _, function = STEPS[self.kind][self.name].partition(":")
        return getattr(importlib.import_module(f".{module}", __package__), function)

    def about(self) -> str:
        """The first line of its documentation."""
        return str(self.load().__doc__).strip().partition("\n")[0]


def parse_steps(kind: Kind, asked: str | Sequence[str]) -> tuple[StepName, ...]:
    """The steps that `asked` names. Raises ConfigError for one there is not, listing them."""
    texts = [asked] if isinstance(asked, str) else list(asked)
    steps = []
    for text in (part.strip() for t in texts for part in t.split(",")):
        name, _, argument = text.partition(":")
        if name in STEPS[kind]:
            steps.append(StepName(kind, name, argument.strip()))
        elif name and name != NONE:
            near = difflib.get_close_matches(name, STEPS[kind], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(STEPS[kind])
            raise ConfigError(f"--{kind}: there is no step {name!r}{hint} There are: {known}")
    return tuple(steps)
