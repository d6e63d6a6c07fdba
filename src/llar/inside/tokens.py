"""A text as tokenizers cut it: characters, words, bytes and the parts of words of models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import Config
from ..errors import InsideError, ModelError
from ..models.vocabulary import Token, Vocabulary, vocabulary

__all__ = [
    "PLAIN", "SENTENCES", "Tokenized", "compare", "installed", "read_sentences", "shown",
    "tokenize", "tokenizers", "words",
]  # fmt: skip

PLAIN = ("character", "word", "byte")  # need no model

# The same sentence, as people would say it in each language.
SENTENCES: Mapping[str, str] = {
    "en": "The doctor will see you tomorrow morning at half past nine, so please bring your health"
          " card and the results of your last blood test.",
    "es": "El médico le atenderá mañana por la mañana a las nueve y media, así que traiga su"
          " tarjeta sanitaria y los resultados de su último análisis de sangre.",
    "ca": "El metge us atendrà demà al matí a dos quarts de deu, així que porteu la targeta"
          " sanitària i els resultats de l'última anàlisi de sang.",
    "hu": "Az orvos holnap délelőtt fél tízkor fogadja önt, ezért kérjük, hozza magával a"
          " TAJ-kártyáját és a legutóbbi vérvételének eredményeit.",
}  # fmt: skip

# Accents and vowel signs that follow their letter, which Python's \w leaves out.
_MARKS = "".join(chr(c) for c in range(0x300, 0x2100) if unicodedata.category(chr(c))[0] == "M")
_LETTERS = rf"\w[\w{_MARKS}]*(?:['’·\-]\w[\w{_MARKS}]*)*"  # l'última, col·legi, state-of-the-art
_WORD = re.compile(_LETTERS)
_PART = re.compile(rf"{_LETTERS}|[^\w\s]")
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]{1,15})\s*:\s*(\S.*?)\s*")


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text under one tokenizer. Figures a word or a token are None where there is none."""

    tokenizer: str
    kind: str
    size: int  # tokens in the vocabulary
    fixed: bool  # False: it has no vocabulary; `size` is what differs in this text
    count: int
    characters: int  # of the text
    words: int
    unknown: int  # tokens that stand for what the vocabulary lacks
    tokens: tuple[Token, ...]

    @property
    def characters_per_token(self) -> float | None:
        """How much text a token holds."""
        return self.characters / self.count if self.count else None

    @property
    def tokens_per_word(self) -> float | None:
        """How many tokens a word costs, marks and spaces included."""
        return self.count / self.words if self.words else None


def installed(config: Config) -> list[str]:
    """The tokenizers of all installed models, by backend:name."""
    from ..models.store import Store

    return [model.full_name for model in Store(config.models_dir).list()]


def tokenizers(
    config: Config, names: Sequence[str] = ()
) -> tuple[dict[str, Vocabulary | None], dict[str, str]]:
    """The tokenizers of these names, or all there are, and why others cannot be used.

    A name is one of PLAIN (None stands for them) or as `vocabulary` takes it. One that was asked
    for by name raises ModelError; of all there are, one that cannot be used is told.
    """
    if names:
        return {n: None if n in PLAIN else vocabulary(config, n) for n in dict.fromkeys(names)}, {}
    found: dict[str, Vocabulary | None] = dict.fromkeys(PLAIN)
    failed = {}
    for name in installed(config):
        try:
            found[name] = vocabulary(config, name)
        except ModelError as e:
            failed[name] = e.message
    return found, failed


def tokenize(text: str, name: str, tokenizer: Vocabulary | None = None) -> Tokenized:
    """The text under one tokenizer: a vocabulary, or the one of PLAIN called `name`.

    Special tokens that the text spells out are text. Raises InsideError for a text that is no
    Unicode or a name that is none.
    """
    if tokenizer is not None:
        found = tokenizer.encode(text)
        kind, size = tokenizer.kind, tokenizer.size
    else:
        found = _plain(text, name)
        kind = {"character": "code points", "word": "words and marks", "byte": "UTF-8"}[name]
        size = 256 if name == "byte" else len({token.text for token in found})
    return Tokenized(
        name,
        kind,
        size,
        tokenizer is not None or name == "byte",
        len(found),
        len(text),
        words(text),
        sum(token.unknown for token in found),
        tuple(found),
    )


def words(text: str) -> int:
    """How many words: letters and digits in a row, and what ', · or - joins."""
    return sum(1 for _ in _WORD.finditer(text))


def _plain(text: str, name: str) -> list[Token]:
    if name not in PLAIN:
        raise InsideError(f"there is no tokenizer {name!r}; expected one of {', '.join(PLAIN)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise InsideError(
            f"character {e.start} of the text is {text[e.start]!r}, which is no character"
        ) from None
    if name == "byte":
        return [
            Token(byte, f"{byte:02X}", bytes([byte]), place, place + 1)
            for place, character in enumerate(text)
            for byte in character.encode()
        ]
    if name == "character":
        spans = [(i, i + 1) for i in range(len(text))]
    else:
        spans = [match.span() for match in _PART.finditer(text)]
    ids: dict[str, int] = {}
    return [
        Token(ids.setdefault(part, len(ids)), part, part.encode(), start, end)
        for start, end in spans
        for part in [text[start:end]]
    ]


def shown(token: Token, kind: str) -> str:
    """A token as it is shown: bytes that are no whole character as "\\xf0\\x9f"."""
    if kind == "WordPiece":
        return token.text
    return token.piece.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one sentence costs in a language under one tokenizer."""

    tokenizer: str
    language: str
    count: int
    ratio: float  # to the first language's
    unknown: int


def compare(
    sentences: Mapping[str, str], tokenizers: Mapping[str, Vocabulary | None]
) -> list[Cost]:
    """The tokens of parallel sentences, by tokenizer and language; the first is the measure."""
    if not sentences:
        raise InsideError("there are no sentences to compare")
    found = []
    for name, tokenizer in tokenizers.items():
        of = {language: tokenize(text, name, tokenizer) for language, text in sentences.items()}
        measure = next(iter(of.values())).count
        if not measure:
            raise InsideError(f"the sentence in {next(iter(of))!r} has no tokens to measure by")
        found += [
            Cost(name, language, each.count, each.count / measure, each.unknown)
            for language, each in of.items()
        ]
    return found


def read_sentences(file: Path) -> dict[str, str]:
    """Parallel sentences of a file with one language a line: "en: The doctor ...".

    English comes first where it is there. Raises InsideError for any other line.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as e:
        raise InsideError(
            f"{str(file)!r} cannot be read: {e.strerror or e}; --languages takes a file with one "
            "sentence a line (en: The doctor ...)"
        ) from e
    except UnicodeDecodeError as e:
        raise InsideError(f"{str(file)!r} is no UTF-8 text: {e.reason} at byte {e.start}") from e
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise InsideError(
                f"{file}, line {number}: expected a language and a sentence (en: The doctor ...), "
                f"got {line[:60]!r}"
            )
        if match[1] in found:
            raise InsideError(f"{file}, line {number}: {match[1]!r} has a sentence already")
        found[match[1]] = match[2]
    if not found:
        raise InsideError(f"{file} has no sentences; expected lines like: en: The doctor ...")
    first = {"en": found["en"]} if "en" in found else {}
    return first | found
