"""How much of a gold answer an answer's words repeat: exact match, F1, BLEU, chrF, ROUGE, METEOR.

Every score lies between 0 and 1 (sacrebleu prints BLEU and chrF times 100). Of several gold answers
the best one counts, except for BLEU, which compares with all of them together. Text is brought to
Unicode's composed form first, so that an accent counts the same however it was typed.
"""

from __future__ import annotations

import math
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise

from ..errors import EvaluationError
from .ngrams import bleu, chrf, corpus_bleu, corpus_chrf

__all__ = [
    "bleu", "chrf", "corpus_bleu", "corpus_chrf", "exact_match", "meteor", "rouge", "scores",
    "token_f1",
]  # fmt: skip

Synonyms = Callable[[str], "frozenset[str]"]  # a lower-case word -> words of the same meaning

_ARTICLES = {
    "ca": "el|la|els|les|l|un|una|uns|unes",
    "en": "a|an|the",
    "es": "el|la|los|las|un|una|unos|unas",
    "hu": "a|az|egy",
}
_MARKS = "".join(  # combining marks that have no composed form with their letter
    chr(c) for c in range(0x300, 0x3100) if unicodedata.category(chr(c)) in ("Mn", "Mc")
)
_WORD = re.compile(rf"(?:[^\W_]|[{_MARKS}])+(?:·(?:[^\W_]|[{_MARKS}])+)*")
_ELISION = re.compile(r"(?<=\w)['’](?=\w)")


def scores(
    answer: str, golds: Sequence[str], *, language: str | None = "en", stem: bool = False
) -> dict[str, float]:
    """Every measure of this module for one answer, by name.

    Keys: `exact_match`, `f1`, `bleu`, `chrf`, `rouge1`, `rouge2`, `rougeL`, `rougeLsum`, `meteor`.
    For a question without an answer (no golds, or blank ones) only the first two are there: the
    others cannot say that saying nothing was right.
    """
    found = {
        "exact_match": exact_match(answer, golds, language=language),
        "f1": token_f1(answer, golds, language=language),
    }
    if any(gold.strip() for gold in golds):
        found["bleu"] = bleu(answer, golds)
        found["chrf"] = chrf(answer, golds)
        found |= rouge(answer, golds, language=language, stem=stem)
        found["meteor"] = meteor(answer, golds, language=language)
    return found


# --- exact match and F1


def exact_match(answer: str, golds: Sequence[str], *, language: str | None = "en") -> float:
    """1.0 where the answer is one of the golds but for case, punctuation and articles, else 0.0.

    The rules are SQuAD's (Rajpurkar et al. 2016, 2018), with the articles of `language` (en, es,
    ca, hu; in another language, or None, none are left out). Accents count. In English
    punctuation is ASCII's alone, as in SQuAD's script, elsewhere Unicode's. As in SQuAD 2, golds
    of which nothing is left are passed over; a question for which none remain has no answer, and
    only an answer of which nothing is left is right.
    """
    said = _normalised(answer, language)
    return float(said in _normalised_golds(golds, language))


def token_f1(answer: str, golds: Sequence[str], *, language: str | None = "en") -> float:
    """The F1 of the answer's words and the gold's, after the same rules as `exact_match`."""
    said = _normalised(answer, language).split()
    return max(_f1_of(said, gold.split()) for gold in _normalised_golds(golds, language))


def _f1_of(said: Sequence[str], gold: Sequence[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    shared = (Counter(said) & Counter(gold)).total()
    return _f1(shared, len(said), len(gold))


def _normalised_golds(golds: Sequence[str], language: str | None) -> list[str]:
    return [g for g in (_normalised(gold, language) for gold in golds) if g] or [""]


@lru_cache(maxsize=1024)
def _normalised(text: str, language: str | None) -> str:
    text = unicodedata.normalize("NFC", text).lower()
    if language == "ca":  # l'home, d'aigua: what is elided is a word of its own
        text = _ELISION.sub(" ", text.replace("ŀ", "l·"))
    text = text.translate(_punctuation(ascii_only=language == "en"))
    articles = _articles(language)
    return " ".join((articles.sub(" ", text) if articles else text).split())


@cache
def _articles(language: str | None) -> re.Pattern[str] | None:
    listed = _ARTICLES.get(language or "")
    return re.compile(rf"\b(?:{listed})\b") if listed else None


@cache
def _punctuation(*, ascii_only: bool) -> Mapping[int, None]:
    """What is left out of a text, as a table for str.translate."""
    signs = set(string.punctuation)
    if not ascii_only:
        every = map(chr, range(sys.maxunicode + 1))
        signs |= {c for c in every if unicodedata.category(c).startswith("P")}
    return dict.fromkeys(map(ord, signs))


# --- ROUGE


def rouge(
    answer: str, golds: Sequence[str], *, language: str | None = "en", stem: bool = False
) -> dict[str, float]:
    """The F1 of ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum (Lin 2004).

    Keys: `rouge1`, `rouge2`, `rougeL`, `rougeLsum`; in the last, lines are sentences. Words are
    runs of letters and digits of any script in lower case, so that on ASCII text the figures are
    those of the package rouge-score, whose words end at every accent. `stem` compares words of
    more than three characters by their Snowball stems. Each key takes its own best gold.

    Raises EvaluationError where there is no gold.
    """
    _need(golds)
    said = _lines(answer, language, stem)
    found = [_rouge_of(said, _lines(gold, language, stem)) for gold in golds]
    return {name: max(f[name] for f in found) for name in found[0]}


def _rouge_of(said: Sequence[list[str]], gold: Sequence[list[str]]) -> dict[str, float]:
    words, wanted = [w for line in said for w in line], [w for line in gold for w in line]
    longest = _f1(len(_common(wanted, words)), len(words), len(wanted))
    alone = len(said) == 1 and len(gold) == 1
    return {
        "rouge1": _ngram_f1(words, wanted, 1),
        "rouge2": _ngram_f1(words, wanted, 2),
        "rougeL": longest,
        "rougeLsum": longest if alone else _by_lines(said, gold),
    }


def _ngram_f1(said: Sequence[str], gold: Sequence[str], n: int) -> float:
    a = Counter(zip(*(said[i:] for i in range(n)), strict=False))
    b = Counter(zip(*(gold[i:] for i in range(n)), strict=False))
    shared = sum(min(count, b[gram]) for gram, count in a.items() if gram in b)
    return _f1(shared, len(said) - n + 1, len(gold) - n + 1)


def _by_lines(said: Sequence[list[str]], gold: Sequence[list[str]]) -> float:
    """ROUGE-Lsum: for each gold line the union of its common subsequences with every line said.

    No word counts more often than it stands in either text, as in Lin's own program.
    """
    left_said = Counter(w for line in said for w in line)
    left_gold = Counter(w for line in gold for w in line)
    sizes = left_said.total(), left_gold.total()
    hits = 0
    for line in gold:
        for i in sorted({i for other in said for i in _common(line, other)}):
            word = line[i]
            if left_said[word] > 0 and left_gold[word] > 0:
                hits += 1
                left_said[word] -= 1
                left_gold[word] -= 1
    return _f1(hits, *sizes)


def _common(gold: Sequence[str], said: Sequence[str]) -> list[int]:
    """Places in `gold` of a longest common subsequence with `said`.

    Rows of the usual table are bit vectors (Hyyrö 2004): bit j of a row is 0 where the length
    grows at said[j].
    """
    places: dict[str, int] = {}
    for j, word in enumerate(said):
        places[word] = places.get(word, 0) | 1 << j
    full = (1 << len(said)) - 1
    rows = [full]
    row = full
    for word in gold:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & full
        rows.append(row)
    found, i, j = [], len(gold), len(said)
    while i and j:
        if gold[i - 1] == said[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif _grown(rows[i], j - 1) > _grown(rows[i - 1], j):
            j -= 1
        else:
            i -= 1
    return found


def _grown(row: int, j: int) -> int:
    """The length of the common subsequence up to place j of a row."""
    return j - (row & (1 << j) - 1).bit_count()


# --- METEOR


def meteor(
    answer: str,
    golds: Sequence[str],
    *,
    language: str | None = "en",
    synonyms: Synonyms | None = None,
    alpha: float = 0.9,
    beta: float = 3.0,
    gamma: float = 0.5,
) -> float:
    """METEOR (Banerjee and Lavie 2005; weights of Lavie and Agarwal 2007) with the best gold.

    Words match if they are the same, then if their Snowball stems in `language` are, then, where
    `synonyms` is given, if one is among the other's. Words are those of `rouge`, without
    punctuation. Repeated words are paired from the end of the texts, as in NLTK, and not searched
    for the pairing with the fewest crossings, which takes exponential time.

    Raises EvaluationError where there is no gold.
    """
    _need(golds)
    said = words(answer)
    return max(
        _meteor_of(said, words(gold), language, synonyms, alpha, beta, gamma) for gold in golds
    )


def _meteor_of(
    said: Sequence[str],
    gold: Sequence[str],
    language: str | None,
    synonyms: Synonyms | None,
    alpha: float,
    beta: float,
    gamma: float,
) -> float:
    pairs: list[tuple[int, int]] = []
    said_left, gold_left = dict(enumerate(said)), dict(enumerate(gold))
    _pair(said_left, gold_left, pairs)
    if said_left and gold_left:
        said_left = {i: _stem(word, language) for i, word in said_left.items()}
        gold_left = {j: _stem(word, language) for j, word in gold_left.items()}
        _pair(said_left, gold_left, pairs)
    if synonyms is not None:
        _pair_synonyms({i: said[i] for i in said_left}, {j: gold[j] for j in gold_left},
                       pairs, synonyms)  # fmt: skip
    if not pairs:
        return 0.0
    pairs.sort()
    chunks = 1 + sum((i + 1, j + 1) != following for (i, j), following in pairwise(pairs))
    precision, recall = len(pairs) / len(said), len(pairs) / len(gold)
    mean = precision * recall / (alpha * precision + (1 - alpha) * recall)
    penalty = gamma * math.pow(chunks / len(pairs), beta)
    return mean * (1 - penalty)


def _pair(said: dict[int, str], gold: dict[int, str], pairs: list[tuple[int, int]]) -> None:
    """Pairs the same words of two texts, from the end; what is paired leaves both."""
    places: dict[str, list[int]] = {}
    for j, word in gold.items():
        places.setdefault(word, []).append(j)
    for i in sorted(said, reverse=True):
        if there := places.get(said[i]):
            j = there.pop()
            pairs.append((i, j))
            del said[i], gold[j]


def _pair_synonyms(
    said: dict[int, str], gold: dict[int, str], pairs: list[tuple[int, int]], synonyms: Synonyms
) -> None:
    places: dict[str, list[int]] = {}
    for j, word in gold.items():
        places.setdefault(word, []).append(j)
    for i in sorted(said, reverse=True):
        near = {word for word in synonyms(said[i]) | {said[i]} if places.get(word)}
        if near:
            last = max(near, key=lambda word: places[word][-1])
            pairs.append((i, places[last].pop()))


# --- words


def words(text: str) -> list[str]:
    """The words of a text in lower case: runs of letters and digits of any script."""
    return list(_words(text))


@lru_cache(maxsize=1024)
def _words(text: str) -> tuple[str, ...]:
    lower = unicodedata.normalize("NFC", text).lower()
    return tuple(_WORD.findall(lower.replace("ŀ", "l·")))


def _lines(text: str, language: str | None, stem: bool) -> list[list[str]]:
    """The words of each line that is not empty."""
    lines = [words(line) for line in text.split("\n") if line]
    if stem:
        return [[_stem(w, language) if len(w) > 3 else w for w in line] for line in lines]
    return lines


@lru_cache(maxsize=65536)
def _stem(word: str, language: str | None) -> str:
    from ..text.words import STEMMED

    name = STEMMED.get(language or "")
    if name is None:
        return word
    import Stemmer

    stemmed: str = Stemmer.Stemmer(name, 0).stemWord(word)
    return stemmed


def _need(golds: Sequence[str]) -> None:
    if not golds:
        raise EvaluationError("there is no gold answer to compare with")


def _f1(shared: int, said: int, wanted: int) -> float:
    """The F1 of `shared` things among those said and those wanted."""
    return 2 * shared / (said + wanted) if shared else 0.0
