"""How to search: every option of a search in one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ..config import Config
from ..errors import QueryError
from ..index.filters import Filter
from .steps import StepName, parse_steps

Mode = Literal["hybrid", "dense", "lexical"]
Fusion = Literal["weighted", "adaptive", "rrf"]

SINGLE = StepName("strategy", "single")


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The options of a search. Raises QueryError for values that there are not."""

    k: int = 10
    mode: Mode = "hybrid"
    fusion: Fusion = "weighted"
    dense_weight: float = 0.0  # of a cosine beside a BM25 score; 0: by the passage's language
    candidates: int = 50  # passages that the steps after retrieval choose from
    query: tuple[StepName, ...] = ()
    strategy: StepName = SINGLE
    post: tuple[StepName, ...] = ()
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            known = ", ".join(get_args(Mode))
            raise QueryError(f"there is no search mode {self.mode!r}: expected {known}")
        if self.fusion not in get_args(Fusion):
            known = ", ".join(get_args(Fusion))
            raise QueryError(f"there is no fusion {self.fusion!r}: expected {known}")
        if self.k < 1:
            raise QueryError(f"k must be at least 1, got {self.k}")

    @property
    def depth(self) -> int:
        """How many passages the retrieval brings."""
        return max(self.k, self.candidates) if self.post else self.k


Steps = str | Sequence[str] | None


def options(
    config: Config,
    *,
    k: int = 10,
    mode: str | None = None,
    query: Steps = None,
    strategy: str | None = None,
    post: Steps = None,
    filters: Sequence[Filter] = (),
) -> Retrieval:
    """The configured options with those given in their place."""
    strategies = parse_steps("strategy", config.strategy if strategy is None else strategy)
    if len(strategies) > 1:
        raise QueryError(f"--strategy takes one strategy, got {', '.join(map(str, strategies))}")
    found = Retrieval(
        k=k,
        mode=mode or config.mode,  # type: ignore[arg-type]  # checked there
        fusion=config.fusion,  # type: ignore[arg-type]
        dense_weight=config.dense_weight,
        candidates=config.candidates,
        query=parse_steps("query", config.query if query is None else query),
        post=parse_steps("post", config.post if post is None else post),
        filters=tuple(filters),
    )
    return replace(found, strategy=strategies[0]) if strategies else found
