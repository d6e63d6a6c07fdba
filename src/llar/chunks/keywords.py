"""The words that tell a chunk from the others of its document."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from ..text.stopwords import stop_words

MOST = 5  # keywords of a chunk
_WORD = re.compile(r"[^\W\d_][\w'’·-]{2,40}+")


def keywords(texts: Sequence[str], language: str | None) -> list[tuple[str, ...]]:
    """Up to five words of each of a document's chunks, the most telling first, in small letters.

    How telling: how often the chunk has the word, by how few of the document's chunks have it
    (Salton's tf-idf, the count dampened by its logarithm); ties by where it comes first. Words of
    the language's list of function words, numbers, and words of one or two letters are none.
    """
    stops = stop_words(language)
    counts = [_counted(text, stops) for text in texts]
    spread: Counter[str] = Counter()
    for found in counts:
        spread.update(found.keys())
    rarity = {word: math.log(1 + len(texts) / many) for word, many in spread.items()}
    return [_best(found, rarity) for found in counts]


def _counted(text: str, stops: frozenset[str]) -> Counter[str]:
    """How often the words of a text occur, in the order in which they do."""
    found = Counter(_WORD.findall(text.lower()))
    for word in found.keys() & stops:
        del found[word]
    return found


def _best(found: Counter[str], rarity: dict[str, float]) -> tuple[str, ...]:
    score = {word: (1 + math.log(n)) * rarity[word] for word, n in found.items()}
    return tuple(sorted(score, key=score.__getitem__, reverse=True)[:MOST])  # stable: first wins
