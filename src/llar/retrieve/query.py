"""What is searched for: the question, and everything that rewriting made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..index.filters import Filter
from ..models.interface import Matrix

Stemming = Literal["snowball", "porter", "lemma", "none"]


@dataclass(frozen=True, slots=True)
class Word:
    """Stems of which one suffices; `weight` 1 is a word of the question itself.

    With `forms` it must stand in one of these spellings (lower case, without accents).
    """

    stems: tuple[str, ...]
    weight: float = 1.0
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """Which words of a question are looked for, and what else counts as the same word."""

    language: str | None = None  # ISO 639-1; None: each language of the collection
    stemming: Stemming = "snowball"
    stop_words: bool = False  # looked for as well


@dataclass(frozen=True, slots=True)
class Query:
    """A question on its way through rewriting; each step returns a new one.

    `text` is searched for by its words and its meaning, unless `words` or `vector` say otherwise.
    """

    question: str  # as it was asked
    text: str  # as it is searched for, say with its spelling corrected
    words: tuple[Word, ...] | None = None  # None: those of `text`
    vector: Matrix | None = None  # shape (dimension,), length 1; None: that of `text`
    variants: tuple[str, ...] = ()  # other questions searched beside it; their hits are fused
    filters: tuple[Filter, ...] = ()
    analysis: Analysis = Analysis()  # of `text` and of the variants

    def asking(self, text: str) -> Query:
        """Another text searched for in the same way: same filters, same analysis."""
        return replace(self, text=text, words=None, vector=None, variants=())

    @classmethod
    def of(cls, question: str, filters: tuple[Filter, ...] = ()) -> Query:
        """The question as it stands."""
        return cls(question, question, filters=filters)
