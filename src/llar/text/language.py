"""Which language a text or a question is in (ISO 639-1), offline.

A naive Bayes model over byte n-grams (py3langid, 140 languages) gives the likelihoods; function
words of the languages llar has lists for, and a small prior for widely written ones, decide among
near relatives in short texts. The model takes 0.6 s to load and is loaded at first need.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from .stopwords import LANGUAGES, stop_words

__all__ = ["detect", "detect_query"]

_WORD = re.compile(r"[^\W\d_]+(?:['’·][^\W\d_]+)*")
_NOISE = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|`[^`\n]*`|\]\([^)\s]*\)|<[^>\s][^>]*>")
_SAMPLE = 3000  # characters taken at the start, in the middle and at the end of a long text

# Weights in nats per square root of bytes, chosen on 3 to 50-word windows of 12 texts.
_WIDELY_WRITTEN = frozenset(
    ("ca", "de", "en", "es", "fr", "hu", "it", "nl", "pl", "pt", "ru", "zh", "ja", "ar")
)
_PRIOR = 1.0
_FUNCTION_WORD = 1.0
_FEWEST_LETTERS = 12  # of a script that many languages share
_LEAST_CERTAIN = 0.6

# Letters that one language uses and its usual neighbours do not.
_TELLING = {
    "ca": re.compile(r"l·l|ŀ|\b[ldnsm]['’][aeiouhàéèíòóú]|ny\b|[aeiou]ix|tg[ei]|tz", re.IGNORECASE),
    "es": re.compile(r"[ñ¿¡]|ción\b|\w[áí]\w", re.IGNORECASE),
    "hu": re.compile(r"[őűöü]|\b\w*(?:sz|gy|cs|zs)\w*", re.IGNORECASE),
    "de": re.compile(r"[äöüß]|sch|ung\b", re.IGNORECASE),
    "fr": re.compile(r"[êëîïûœç]|eau|\b[ldcjnsm]['’]|qu['’]", re.IGNORECASE),
    "pt": re.compile(r"[ãõ]|ção\b|ções\b|lh|nh", re.IGNORECASE),
    "it": re.compile(r"zione\b|gli|[ldn]ell['’]|\bl['’]|[aeo]gg|cch", re.IGNORECASE),
    "en": re.compile(r"th|wh|ght|\w(?:ing|ed)\b|sh\b|ck|['’](?:s|re|ve|ll)\b|[^q]u?ee|oo"),
}


def detect(text: str) -> str | None:
    """The language `text` is mainly written in; None where it is too short or too mixed to tell."""
    sample = _sampled(text)
    words = _WORD.findall(_NOISE.sub(" ", sample))
    letters = sum(map(len, words))
    wide = sum(letter > "\u2e7f" for word in words for letter in word)  # a character is a syllable
    if letters + 2 * wide < _FEWEST_LETTERS or (len(words) < 3 and not wide):
        return None
    odds = _odds(words)
    best = max(odds, key=odds.__getitem__)
    certainty = 1 / sum(math.exp(odds[other] - odds[best]) for other in odds)
    return best if certainty >= _LEAST_CERTAIN else None


def detect_query(text: str, candidates: Sequence[str]) -> str | None:
    """Which of `candidates` (ISO 639-1) a question is in, however short.

    Function words and telling letters settle most questions without loading the model. None only
    where there are no candidates or no letters.
    """
    words = _WORD.findall(text)
    known = list(dict.fromkeys(candidates))
    if not known or not words:
        return None
    if len(known) == 1:
        return known[0]
    if all(language in LANGUAGES for language in known):
        marks = sorted(((_evidence(text, words, c, known), c) for c in known), reverse=True)
        if marks[0][0] - marks[1][0] >= 1.0:
            return marks[0][1]
    odds = _odds(words)
    return max(known, key=lambda c: odds.get(c, -math.inf))


def _evidence(text: str, words: list[str], language: str, among: Sequence[str]) -> float:
    """Function words of `language`, shared out among those that have them, plus signs."""
    score = 0.0
    for word in words:
        sharing = sum(_plain(word) in stop_words(other) for other in among)
        if sharing < len(among) and _plain(word) in stop_words(language):
            score += 1 / sharing
    return score + 0.5 * len(_TELLING[language].findall(text))


def _odds(words: list[str]) -> dict[str, float]:
    """Comparable log-odds of every two-letter language."""
    text = " ".join(words)
    scale = math.sqrt(len(text.encode("utf-8", "surrogatepass")))  # comparable between lengths
    odds = {label: score / scale for label, score in _model().rank(text) if len(label) == 2}
    for language in _WIDELY_WRITTEN:
        odds[language] += _PRIOR
    for language in LANGUAGES:
        found = sum(_plain(word) in stop_words(language) for word in words)
        odds[language] += _FUNCTION_WORD * found / math.sqrt(len(words))
    return odds


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")


def _sampled(text: str) -> str:
    if len(text) <= 3 * _SAMPLE:
        return text
    middle = (len(text) - _SAMPLE) // 2
    parts = (text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:])
    return "\n".join(parts)


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
