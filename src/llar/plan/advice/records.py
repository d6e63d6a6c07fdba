"""A recommendation, its reasons, and what else was considered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..figure import Figure
from ..hardware.fit import Fit
from ..sentence import Sentence
from .rules import Method
from .situation import Situation

__all__ = ["Advice", "Alternative", "Reason", "Way"]

Where = Literal["at hand", "buy", "rent", "api"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run one model. Amounts are in the situation's currency."""

    where: Where
    model: str  # "llamacpp:qwen3-8b", or a provider's
    format: str  # of its weights; "" at a provider
    machine: str  # "2x l4"; "" at a provider
    title: str  # what people call that machine; "" at a provider
    copies: int  # machines of that kind that share the users
    licence: str
    parameters: int  # 0 where nobody says
    once: float  # to buy it
    monthly: float  # rent or what a provider charges; without electricity
    depreciation: float  # a month of what was bought
    tier: int  # how the model's size suits the task, see rules.tier
    named: bool  # its makers name the languages
    context: int  # tokens of a request

    @property
    def place(self) -> str:
        """own, rent or api: where the documents go."""
        return "own" if self.where in ("at hand", "buy") else self.where

    @property
    def total(self) -> float:
        """A month, with what a purchase loses in value."""
        return self.monthly + self.depreciation

    @property
    def order(self) -> tuple[object, ...]:
        """Smaller is better; the same for the same answers."""
        rank = ("at hand", "buy", "rent", "api").index(self.where)
        return (-self.tier, not self.named, round(self.total, 6), rank, -self.parameters,
                self.model, self.machine)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one part of the recommendation is as it is."""

    about: str  # model, format, licence, languages, hardware, speed, place, method, cost, limits
    text: Sentence


@dataclass(frozen=True, slots=True)
class Alternative:
    """What was considered and not taken."""

    name: str  # a Sentence, or a model of the catalogue
    why_not: Sentence


@dataclass(frozen=True, slots=True)
class Advice:
    """The recommendation; without a `way` there is none, and `headline` says why."""

    headline: Sentence
    way: Way | None
    methods: tuple[Method, ...]
    embedder: str  # of the search; "" where nothing is searched
    reasons: tuple[Reason, ...]
    changes: tuple[Sentence, ...]  # what would change it
    alternatives: tuple[Alternative, ...]
    figures: tuple[Figure, ...]
    assumptions: tuple[Sentence, ...]
    warnings: tuple[Sentence, ...]
    dated: str  # ISO 8601
    situation: Situation
    fit: Fit | None = None

    @property
    def possible(self) -> bool:
        """There is a way to recommend."""
        return self.way is not None
