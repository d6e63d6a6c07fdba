"""Passages that say something else than they did: an answer replaced by another of its kind."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..models.interface import Embedder, Matrix
from ..records import Hit
from .draw import drawn
from .overlap import words
from .questions import Question
from .semantic import embed_texts

__all__ = ["Falsifier", "kind_of", "other_number", "says"]

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
_TRIES = 50
LONGER = 0.1  # what a word more or less counts, as a difference of cosines
SAME = {"name": 0.8, "phrase": 0.5}  # cosine from which two answers may say the same


def says(text: str, answers: Iterable[str]) -> bool:
    """Does a text hold one of the answers, word for word (case, accents composed, signs aside)?"""
    said = f" {' '.join(words(text))} "
    return any(f" {wanted} " in said for answer in answers if (wanted := " ".join(words(answer))))


def kind_of(answer: str) -> str:
    """ "number" where it holds one, "name" where its long words have capitals, else "phrase"."""
    if _NUMBER.search(answer):
        return "number"
    long = [w for w in re.findall(r"[^\W\d_]+", answer) if len(w) > 3]
    return "name" if long and all(w[0].isupper() for w in long) else "phrase"


class Falsifier:
    """Finds false answers among the right answers to other questions."""

    def __init__(self, answers: Sequence[str], embedder: Embedder, seed: int) -> None:
        self._answers = list(dict.fromkeys(answers))
        self._embedder = embedder
        self._vectors: Matrix | None = None
        self._seed = seed

    def falsified(self, question: Question, hit: Hit) -> tuple[Hit, str] | str:
        """The passage with its answer replaced wherever it stands, and the false answer.

        Or why there is none. The passage is one of a document of its own, so that citations of
        both can be told apart.
        """
        quote = question.spans[0].quote if question.spans else ""
        said = quote if quote in question.answers else question.answers[0]
        about = f"{question.question} {hit.document.title or ''} {' '.join(hit.chunk.headings)}"
        if says(about, question.answers):
            return "the answer stands in the question, title or headings as well"
        if not _pattern(said).search(hit.chunk.text):
            return "the answer does not stand in the passage as it is given"
        false = self._other(question, said, hit.chunk.text)
        if not false:
            return "there is no other answer of its kind"
        text = _pattern(said).sub(lambda _: false, hit.chunk.text)
        prefix = _pattern(said).sub(lambda _: false, hit.chunk.prefix)
        if says(f"{prefix} {text}", question.answers):
            return "another of its answers stands in the passage"
        chunk = replace(
            hit.chunk, text=text, prefix=prefix, end=hit.chunk.start + len(text), parts=()
        )
        source = replace(hit.document, id=-hit.document.id, path=f"{hit.document.path} (false)")
        return replace(hit, document=source, chunk=chunk, chunk_id=-hit.chunk_id, highlights=(),
                       matched=(), kept=None), false  # fmt: skip

    def _other(self, question: Question, said: str, passage: str) -> str:
        """Another answer of the same kind that the passage and the question do not hold."""
        kind, held = kind_of(said), f"{passage} {question.question}"
        if kind == "number":
            chance = drawn(self._seed, "false", question.id)
            tries = [other_number(said, chance) for _ in range(_TRIES)]
        else:
            tries = [a for a in self._alike(said, kind) if words(a)]
        return next((t for t in tries if not says(held, [t]) and not says(t, question.answers)), "")

    def _alike(self, said: str, kind: str) -> list[str]:
        """Answers of this kind without a word of this one, the nearest in meaning and length first.

        Near ones are of the same sort (a town for a town); the nearest may mean the same.
        """
        if self._vectors is None:
            self._vectors = embed_texts(self._embedder, self._answers)
        cosines = (self._vectors @ embed_texts(self._embedder, [said])[0]).tolist()
        own, size = set(words(said)), len(words(said))
        found = []
        for cosine, answer in zip(cosines, self._answers, strict=True):
            there = words(answer)
            if kind_of(answer) == kind and own.isdisjoint(there) and cosine < SAME[kind]:
                found.append((cosine - LONGER * abs(len(there) - size), answer))
        return [answer for _, answer in sorted(found, key=lambda pair: -pair[0])]


def other_number(text: str, chance: random.Random) -> str:
    """The text with each number changed to another of as many digits; years stay near."""

    def changed(found: re.Match[str]) -> str:
        number = found[0]
        if _YEAR.fullmatch(number):
            return str(int(number) + chance.choice([-1, 1]) * chance.randint(2, 15))
        return "".join(
            c if not c.isdigit() else str(chance.randint(int(i == 0 and len(number) > 1), 9))
            for i, c in enumerate(number)
        )

    return _NUMBER.sub(changed, text)


def _pattern(answer: str) -> re.Pattern[str]:
    """An answer wherever it stands as whole words, with any white space between them."""
    inner = r"\s+".join(map(re.escape, answer.split()))
    return re.compile(rf"(?<!\w){inner}(?!\w)", re.IGNORECASE)
