"""The tokenizer of a model, without the model: what a text's tokens are, and what they stand for.

Reads the tokenizer.json of a folder, or the vocabulary in the header of a GGUF file; no weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ..config import Config
from ..errors import InsideError, ModelCorrupt, UnknownModel

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["Token", "Vocabulary", "vocabulary"]

# Its own pool of threads would make a later fork unsafe, and say so on stderr.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text. `start` and `end` count characters of it.

    A token that holds only some of a character's bytes has that character's place, as have the
    ones with the other bytes. A token may stand for none of the text's characters.
    """

    id: int
    text: str  # as the vocabulary writes it: "Ġthe", "##ing", "<0x0A>"
    piece: bytes  # what it stands for: b" the", b"ing", b"\n"; may be no whole UTF-8
    start: int
    end: int
    special: bool = False  # of no text: <|im_start|>, [CLS]
    unknown: bool = False  # [UNK]: the vocabulary has nothing for these characters


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a vocabulary, and what the kind of vocabulary makes of them."""

    kind: str  # "BPE", "SentencePiece BPE", "WordPiece", "Unigram"
    texts: tuple[str, ...]  # by id; "" for a number that is no token
    specials: frozenset[int]
    unknown: int | None  # the id of what stands for unknown characters
    byte_level: bool = False  # texts are bytes, each as the letter that GPT-2 gave it
    spaced: bool = False  # "▁" is a space
    continued: str = ""  # what texts begin with that go on with a word: "##"
    added: frozenset[int] = frozenset()  # texts that are written as they stand


class Vocabulary:
    """A tokenizer. Safe to call from several threads."""

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer,
        entries: Entries,
        ids: Mapping[int, int] | None = None,
    ) -> None:
        """`ids` are the vocabulary's own of those that `tokenizer` numbers in another way."""
        self.name = name
        self._tokenizer = tokenizer
        self._entries = entries
        self._ids = dict(ids or {})
        self._lock = Lock()
        self._pieces: dict[int, bytes] = {}

    @property
    def kind(self) -> str:
        """How it makes tokens: "BPE", "SentencePiece BPE", "WordPiece" or "Unigram"."""
        return self._entries.kind

    @property
    def size(self) -> int:
        """How many tokens there are, special ones included."""
        return len(self._entries.texts)

    @property
    def specials(self) -> Mapping[str, int]:
        """The special tokens: text -> id."""
        return {self._entries.texts[n]: n for n in sorted(self._entries.specials)}

    def encode(self, text: str, *, special: bool = False) -> list[Token]:
        """The tokens of a text alone, without any that open or close one.

        Where the text spells out a special token, it is text like any other unless `special`.
        Raises InsideError for a text that is no Unicode (a lone surrogate).
        """
        found = self._encode(text, special=special)
        texts, specials, unknown = (
            self._entries.texts,
            self._entries.specials,
            self._entries.unknown,
        )
        return [
            Token(n, texts[n], self.piece(n), start, end, n in specials, n == unknown)
            for n, (start, end) in zip(self._own(found.ids), found.offsets, strict=True)
        ]

    def ids(self, text: str, *, special: bool = False) -> list[int]:
        """The numbers of the tokens that `encode` gives."""
        return self._own(self._encode(text, special=special).ids)

    def count(self, text: str) -> int:
        """How many tokens `encode` gives, without making them."""
        return self.counts([text])[0]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has. Raises InsideError as `encode`."""
        for text in texts:
            _check(text)
        with self._lock:
            self._tokenizer.encode_special_tokens = True
            found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(each) for each in found]

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for. Raises InsideError for a number that is no token."""
        if token not in self._pieces:
            if not 0 <= token < self.size:
                raise InsideError(
                    f"{token} is no token of {self.name}; expected 0 to {self.size - 1}"
                )
            self._pieces[token] = self._made(token)
        return self._pieces[token]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; bytes that are no whole character as "\\xf0"."""
        return b"".join(self.piece(n) for n in ids).decode("utf-8", "backslashreplace")

    def _own(self, ids: list[int]) -> list[int]:
        return [self._ids.get(n, n) for n in ids] if self._ids else ids

    def _encode(self, text: str, *, special: bool) -> Encoding:
        _check(text)
        with self._lock:
            self._tokenizer.encode_special_tokens = not special
            return self._tokenizer.encode(text, add_special_tokens=False)

    def _made(self, token: int) -> bytes:
        entries = self._entries
        text = entries.texts[token]
        if token in entries.specials or token in entries.added:
            return text.encode()
        if entries.byte_level:
            return _from_letters(text)
        if entries.spaced:
            byte = _BYTE.fullmatch(text)
            return bytes([int(byte[1], 16)]) if byte else text.replace("▁", " ").encode()
        return (text.removeprefix(entries.continued) if entries.continued else text).encode()


def vocabulary(config: Config, name: str) -> Vocabulary:
    """The tokenizer of an installed model (`name` or `backend:name`), a GGUF file, a
    tokenizer.json or a folder with one of them.

    Raises UnknownModel, ModelNotInstalled, ModelCorrupt, and ModelError for a kind of tokenizer
    that is not known here.
    """
    path = Path(name).expanduser()
    if path.suffix in (".gguf", ".json") or "/" in name:
        return _from_path(path, name)
    from .store import Store

    model = Store(config.models_dir).get(name)
    return _from_path(model.folder, model.full_name)


def _from_path(path: Path, name: str) -> Vocabulary:
    if not path.exists():
        raise UnknownModel(f"there is no file or folder {name!r} to take a tokenizer from")
    if path.is_dir():
        ggufs = sorted(path.glob("*.gguf"))
        if not ggufs and not (path / "tokenizer.json").is_file():
            raise ModelCorrupt(f"{path} has no tokenizer: expected a .gguf or a tokenizer.json")
        path = ggufs[0] if ggufs else path / "tokenizer.json"
    if path.suffix == ".gguf":
        from . import vocabulary_gguf

        return Vocabulary(name, *vocabulary_gguf.read(path))
    from . import vocabulary_json

    return Vocabulary(name, *vocabulary_json.read(path))


def _check(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise InsideError(
            f"character {e.start} of the text is {text[e.start]!r}, half of a surrogate pair, "
            "which is no character; expected Unicode text"
        ) from None


def _letters() -> dict[str, int]:
    """GPT-2's letter of each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = (byte for byte in range(256) if byte not in set(seen))
    return {chr(byte): byte for byte in seen} | {chr(256 + n): b for n, b in enumerate(hidden)}


_BYTE_OF = _letters()


def _from_letters(text: str) -> bytes:
    """The bytes of a byte-level text; one that is none, as some padding is, as it stands."""
    try:
        return bytes(_BYTE_OF[letter] for letter in text)
    except KeyError:
        return text.encode()
