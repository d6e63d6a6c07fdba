"""The words of a vocabulary that are spelled nearly like another one.

The distance counts letters left out, added, changed, and neighbours swapped, each once (optimal
string alignment, after Damerau 1964 and Levenshtein 1966). Accents do not count. Every word of
the vocabulary is compared, those of one length at once, after a look at which letters it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .words import fold

__all__ = ["Near", "Speller", "distances"]

Codes = NDArray[np.uint32]  # characters as numbers
SHORTEST = 4  # letters; shorter words have too many neighbours to tell which was meant
LONG = 8  # letters from which two mistakes are allowed for


class Near(NamedTuple):
    """A word of the vocabulary, how far it is, and how often it stands there."""

    word: str
    distance: int
    times: int


class _Words(NamedTuple):
    """The words of one length: characters by place, and the letters of each as bits."""

    names: list[str]
    codes: Codes  # shape (length, words)
    letters: NDArray[np.uint64]


class Speller:
    """A vocabulary with how often each word is written, to be asked for near words."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts: dict[str, int] = defaultdict(int)  # without accents
        self._written: dict[str, str] = {}  # the commonest spelling with accents
        by_length: dict[int, list[str]] = defaultdict(list)
        for word, count in sorted(counts.items(), key=lambda pair: -pair[1]):
            bare = fold(word)
            if bare not in self._written and bare.isalpha():
                self._written[bare] = word
                by_length[len(bare)].append(bare)
            self._counts[bare] += count
        self._lengths = {length: _words(names) for length, names in by_length.items()}

    def __contains__(self, word: str) -> bool:
        return fold(word) in self._counts

    def near(self, word: str, most: int | None = None) -> list[Near]:
        """Words at most `most` mistakes away, the likeliest first: near, and then common ones.

        By default none are away for words of less than 4 letters, 1 below 8 letters and 2 from
        there. A wrong first letter counts as half a mistake more, for it is rare.
        """
        bare = fold(word)
        allowed = 0 if len(bare) < SHORTEST else 1 if len(bare) < LONG else 2
        allowed = allowed if most is None else min(allowed, most)
        codes = _codes(bare)
        letters = _letters(codes)
        found: list[Near] = []
        for length in range(len(bare) - allowed, len(bare) + allowed + 1 if allowed else 0):
            words = self._lengths.get(length)
            if words is None:
                continue
            odd = np.bitwise_count(words.letters ^ letters)  # a change makes two letters odd
            places = np.flatnonzero(odd <= 2 * allowed)
            away = distances(codes, words.codes[:, places])
            found.extend(
                Near(self._written[name], int(d), self._counts[name])
                for name, d in ((words.names[p], d) for p, d in zip(places, away, strict=True))
                if d <= allowed
            )
        return sorted(found, key=lambda n: (n.distance + _half(bare, n.word), -n.times, n.word))


def distances(word: Codes, words: Codes) -> NDArray[np.int16]:
    """The distance of `word`, shape (n,), to each of `words`, shape (length, words)."""
    length, many = words.shape
    rows: list[NDArray[np.int16]] = []
    for i in range(len(word) + 1):
        row = np.empty((length + 1, many), np.int16)
        row[0] = i
        for j in range(1, length + 1):
            if i == 0:
                row[j] = j
                continue
            changed = rows[i - 1][j - 1] + (words[j - 1] != word[i - 1])
            best = np.minimum(np.minimum(rows[i - 1][j], row[j - 1]) + 1, changed)
            if i > 1 and j > 1:
                swapped = (words[j - 1] == word[i - 2]) & (words[j - 2] == word[i - 1])
                best = np.where(swapped, np.minimum(best, rows[i - 2][j - 2] + 1), best)
            row[j] = best
        rows.append(row)
    last: NDArray[np.int16] = rows[-1][-1]
    return last


def _half(bare: str, word: str) -> float:
    return 0.0 if fold(word)[:1] == bare[:1] else 0.5


def _words(names: list[str]) -> _Words:
    codes = np.ascontiguousarray(_codes("".join(names)).reshape(len(names), -1).T)
    return _Words(names, codes, _letters(codes))


def _codes(word: str) -> Codes:
    return np.frombuffer(word.encode("utf-32-le"), np.uint32)


def _letters(codes: Codes) -> NDArray[np.uint64]:
    """A bit for each letter, of columns of characters; some letters share one."""
    bits = np.uint64(1) << (codes & 63).astype(np.uint64)
    found: NDArray[np.uint64] = np.bitwise_or.reduce(bits, axis=0)
    return found
