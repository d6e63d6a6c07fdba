"""BLEU and chrF, as sacrebleu works them out (Post, "A call for clarity in reporting BLEU scores").

Scores lie between 0 and 1; sacrebleu prints them times 100.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import EvaluationError

__all__ = ["bleu", "chrf", "corpus_bleu", "corpus_chrf"]

WORDS = 4  # longest n-gram of BLEU
CHARACTERS = 6  # longest n-gram of chrF
RECALL = 4  # chrF2: recall weighs beta^2 = 4 times as much as precision

Numbers = NDArray[np.int64]
Golds = Sequence[Sequence[str]]

_SIGN = re.compile(r"([{-~\[-` -&(-+:-@/])")
_POINT_AFTER = re.compile(r"([^0-9])([.,])")
_POINT_BEFORE = re.compile(r"([.,])([^0-9])")
_DASH = re.compile(r"([0-9])(-)")
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def bleu(answer: str, golds: Sequence[str]) -> float:
    """The BLEU of one answer against all its golds together (Papineni et al. 2002), 0 to 1.

    Words are mteval's 13a; an n-gram length without a match counts as half, a quarter ... of one
    (exponential smoothing), and lengths the answer is too short for are left out. Raises
    EvaluationError where there is no gold.
    """
    return _bleu(_bleu_counts(answer, golds), shorter=True)


def corpus_bleu(answers: Sequence[str], golds: Golds) -> float:
    """The BLEU of many answers, each with its golds, 0 to 1: counts are summed before dividing.

    Raises EvaluationError where an answer has no gold, there are none, or the numbers differ.
    """
    return _bleu(_summed(answers, golds, _bleu_counts), shorter=False)


def chrf(answer: str, golds: Sequence[str]) -> float:
    """The chrF2 of one answer with its best gold (Popović 2015), 0 to 1: 1 to 6 characters.

    White space is left out; upper case and accents count. Raises EvaluationError as `bleu`.
    """
    return _chrf(_chrf_counts(answer, golds))


def corpus_chrf(answers: Sequence[str], golds: Golds) -> float:
    """The chrF2 of many answers, each with its best gold, 0 to 1. Raises as `corpus_bleu`."""
    return _chrf(_summed(answers, golds, _chrf_counts))


def _summed(
    answers: Sequence[str], golds: Golds, counts: Callable[[str, Sequence[str]], list[int]]
) -> list[int]:
    if len(answers) != len(golds) or not answers:
        raise EvaluationError(
            f"expected golds for each of at least one answer, got {len(answers)} answers "
            f"and {len(golds)} lists of golds"
        )
    rows = [counts(answer, of) for answer, of in zip(answers, golds, strict=True)]
    return [sum(column) for column in zip(*rows, strict=True)]


# --- BLEU


def _bleu_counts(answer: str, golds: Sequence[str]) -> list[int]:
    """Words of the answer, words of the gold nearest in length, n-grams that match, n-grams."""
    if not golds:
        raise EvaluationError("there is no gold answer to compare with")
    said = tokens(answer)
    wanted = [tokens(gold) for gold in golds]
    nearest = min((len(g) for g in wanted), key=lambda size: (abs(size - len(said)), size))
    matches, totals = [], []
    for n in range(1, WORDS + 1):
        most = Counter(_grams(wanted[0], n))
        for gold in wanted[1:]:
            most |= Counter(_grams(gold, n))
        mine = Counter(_grams(said, n))
        matches.append(sum([min(c, most[g]) for g, c in mine.items() if g in most]))
        totals.append(max(0, len(said) - n + 1))
    return [len(said), nearest, *matches, *totals]


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def _bleu(counts: Sequence[int], *, shorter: bool) -> float:
    said, wanted = counts[:2]
    matches, totals = counts[2 : 2 + WORDS], counts[2 + WORDS :]
    if not any(matches):
        return 0.0
    logs, smoothed = [], 1.0
    for matched, total in zip(matches, totals, strict=True):
        if not total:
            break
        if not matched:
            smoothed /= 2
        logs.append(math.log((matched or smoothed) / total))
    if len(logs) < WORDS and not shorter:
        return 0.0  # no answer is long enough for an n-gram of that length
    brevity = min(0.0, 1 - wanted / said)
    return math.exp(brevity + math.fsum(logs) / len(logs))


@lru_cache(maxsize=1024)
def tokens(text: str) -> tuple[str, ...]:
    """Words and signs as mteval-v13a cuts them: ASCII's signs alone, numbers kept whole."""
    text = unicodedata.normalize("NFC", text).rstrip()
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        for entity, sign in _ENTITIES:
            text = text.replace(entity, sign)
    text = _SIGN.sub(r" \1 ", f" {text} ")
    text = _POINT_AFTER.sub(r"\1 \2 ", text)
    text = _POINT_BEFORE.sub(r" \1 \2", text)
    return tuple(_DASH.sub(r"\1 \2 ", text).split())


# --- chrF


def _chrf_counts(answer: str, golds: Sequence[str]) -> list[int]:
    """For each length: n-grams of the answer, of the gold, and of both; of the best gold."""
    if not golds:
        raise EvaluationError("there is no gold answer to compare with")
    said = _characters(answer)
    best: list[int] = []
    for gold in golds:
        wanted = _characters(gold)
        counts = []
        for n, shared in enumerate(_in_both(said, wanted), 1):
            mine, theirs = max(0, len(said) - n + 1), max(0, len(wanted) - n + 1)
            counts += [mine if theirs else 0, theirs, shared]
        if not best or _chrf(counts) > _chrf(best):
            best = counts
    return best


def _characters(text: str) -> Numbers:
    """The code points of a text without white space, from 1."""
    bare = "".join(unicodedata.normalize("NFC", text).split())
    return np.frombuffer(bare.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) + 1


def _in_both(said: Numbers, gold: Numbers) -> list[int]:
    """How many n-grams two texts share, for each n from 1 to 6.

    Arrays are several times as fast as counting slices. An n-gram of up to 3 characters is a
    number of 21 bits for each; one of 4 to 6 is the pair of 3-grams it begins and ends with.
    """
    short = [_up_to_three(text) for text in (said, gold)]
    few, ranks, many = _shared(*short, kinds=(1 << 21, 1 << 42))
    threes = [of[len(of) - len(grams[2]) :] for of, grams in zip(ranks, short, strict=True)]
    long = [
        [(n - 1) * many**2 + of[:-n] * many + of[n:] for n in range(1, CHARACTERS - 2)]
        for of in threes
    ]
    return few + _shared(*long, kinds=(many**2, 2 * many**2))[0]


def _up_to_three(text: Numbers) -> list[Numbers]:
    two = text[:-1] << 21 | text[1:]
    return [text, two, two[:-1] << 21 | text[2:]]


def _shared(
    said: Sequence[Numbers], gold: Sequence[Numbers], *, kinds: tuple[int, int]
) -> tuple[list[int], tuple[Numbers, Numbers], int]:
    """How many of each kind both have, the rank of each gram among all, and how many ranks.

    `kinds` are the numbers that the grams of the second and third kind begin at.
    """
    size = sum(map(len, said))
    grams, ranks = np.unique(np.concatenate([*said, *gold]), return_inverse=True)
    both = np.minimum(
        np.bincount(ranks[:size], minlength=len(grams)),
        np.bincount(ranks[size:], minlength=len(grams)),
    )
    parts = np.split(both, np.searchsorted(grams, kinds))
    return [int(part.sum()) for part in parts], (ranks[:size], ranks[size:]), len(grams)


def _chrf(counts: Sequence[int]) -> float:
    precisions, recalls = [], []
    for said, wanted, shared in zip(counts[::3], counts[1::3], counts[2::3], strict=True):
        if said and wanted:
            precisions.append(shared / said)
            recalls.append(shared / wanted)
    precision, recall = sum(precisions), sum(recalls)
    if not precision + recall:
        return 0.0
    precision, recall = precision / len(precisions), recall / len(recalls)
    return (1 + RECALL) * precision * recall / (RECALL * precision + recall)
