"""A reader of WordNet's database files, as Debian's package wordnet-base installs them.

The formats are those of wndb(5WN), cntlist(5WN) and morphy(7WN). Nothing is loaded: the files are
mapped into memory and searched by halves, for they are sorted; only the short lists of irregular
forms are kept. WordNet is English.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError

__all__ = ["Sense", "WordNet"]

KINDS = ("noun", "verb", "adj", "adv")
_NUMBERS = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}  # of senses.5WN's keys
_LETTERS = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
_HYPERNYM = ("@", "@i")  # a kind of, an instance of
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand

# Endings and what takes their place, morphy(7WN).
_ENDINGS = {
    "noun": (("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
             ("men", "man"), ("ies", "y")),
    "verb": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""),
             ("ing", "e"), ("ing", "")),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip


class Sense(NamedTuple):
    """One meaning: the words that have it, what it says, and how often texts used it so."""

    kind: str  # noun, verb, adj or adv
    offset: int  # of its record
    words: tuple[str, ...]  # with spaces, and capitals where names have them
    gloss: str
    above: tuple[tuple[str, int], ...]  # kind and offset of its hypernyms
    uses: int = 0  # in tagged texts, of the word that it was looked up for


class WordNet:
    """WordNet's files in a folder. Raises ConfigError where they are not there or are damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, mmap.mmap] = {}
        for name in ("index.noun", "data.noun", "cntlist.rev", "noun.exc"):
            if not (folder / name).is_file():
                raise ConfigError(
                    f"WordNet is not in {str(folder)!r}: there is no file {name}",
                    fix="apt install wordnet-base   (or set LLAR_WORDNET to its folder)",
                )

    def senses(self, word: str) -> list[Sense]:
        """The senses of a word or phrase, in whatever form, the most used in texts first."""
        found: dict[tuple[str, int], Sense] = {}
        for kind in KINDS:
            for base in self.base_forms(word, kind):
                counts = self._counts(base)
                for number, offset in enumerate(self._offsets(base, kind), 1):
                    count = counts.get((kind, number), 0)
                    sense = self._sense(kind, offset)._replace(uses=count)
                    found.setdefault((kind, offset), sense)
        return sorted(found.values(), key=lambda s: -s.uses)  # ties: as WordNet numbers them

    def above(self, sense: Sense) -> list[Sense]:
        """The senses that this one is a kind or an instance of."""
        return [self._sense(kind, offset) for kind, offset in sense.above]

    def base_forms(self, word: str, kind: str) -> list[str]:
        """The dictionary forms of that kind ("noun" ...) that a word can be of."""
        lemma = word.lower().replace(" ", "_")
        if not lemma:
            return []
        forms = [lemma, *self._irregular(kind).get(lemma, ())]
        if len(forms) == 1:
            forms.extend(_regular(lemma, kind))
        return [f for f in dict.fromkeys(forms) if self._line(f"index.{kind}", f) is not None]

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _offsets(self, lemma: str, kind: str) -> list[int]:
        line = self._line(f"index.{kind}", lemma) or ""
        fields = line.split()
        if len(fields) < 4 or not fields[2].isdigit():
            raise self._damaged(f"index.{kind}", lemma)
        return [int(offset) for offset in fields[-int(fields[2]) :]]

    def _sense(self, kind: str, offset: int) -> Sense:
        name = f"data.{kind}"
        file = self._file(name)
        line = file[offset : max(file.find(b"\n", offset), offset)].decode("utf-8", "replace")
        if not line.startswith(f"{offset:08d} "):
            raise self._damaged(name, str(offset))
        record, _, gloss = line.partition(" | ")
        fields = record.split()
        many = int(fields[3], 16)
        words = tuple(_MARKER.sub("", w).replace("_", " ") for w in fields[4 : 4 + 2 * many : 2])
        start = 5 + 2 * many
        pointers = fields[start : start + 4 * int(fields[4 + 2 * many])]
        above = tuple(
            (_LETTERS[letter], int(target))
            for symbol, target, letter in zip(pointers[::4], pointers[1::4], pointers[2::4],
                                              strict=True)
            if symbol in _HYPERNYM
        )  # fmt: skip
        return Sense(kind, offset, words, gloss.split('; "')[0].strip(), above)

    def _counts(self, lemma: str) -> dict[tuple[str, int], int]:
        """How often each sense was met in tagged texts, by kind and number; most never were."""
        found = {}
        for line in self._lines_from("cntlist.rev", f"{lemma}%"):
            key, number, count = line.split()
            found[_NUMBERS[key[len(lemma) + 1]], int(number)] = int(count)
        return found

    def _line(self, name: str, lemma: str) -> str | None:
        return next(self._lines_from(name, f"{lemma} "), None)

    def _lines_from(self, name: str, prefix: str) -> Iterator[str]:
        """The lines of a sorted file that begin with `prefix`."""
        file, wanted = self._file(name), prefix.encode()
        low, high = 0, len(file)
        while low < high:  # the first line not before `wanted` starts in [low, high]
            start = file.rfind(b"\n", 0, (low + high) // 2) + 1
            end = file.find(b"\n", start)
            end = len(file) if end < 0 else end
            if file[start : start + len(wanted)] < wanted:  # so is the licence, indented by two
                low = end + 1
            else:
                high = start
        while file[low : low + len(wanted)] == wanted:
            end = file.find(b"\n", low)
            yield file[low:end].decode("utf-8", "replace")
            low = end + 1

    def _irregular(self, kind: str) -> dict[str, list[str]]:
        return _exceptions(self.folder / f"{kind}.exc")

    def _file(self, name: str) -> mmap.mmap:
        if name not in self._files:
            try:
                with (self.folder / name).open("rb") as file:
                    self._files[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as e:  # ValueError: an empty file
                raise ConfigError(
                    f"WordNet's file {str(self.folder / name)!r} cannot be read: {e}",
                    fix="apt install --reinstall wordnet-base",
                ) from e
        return self._files[name]

    def _damaged(self, name: str, what: str) -> ConfigError:
        return ConfigError(
            f"WordNet's file {str(self.folder / name)!r} is damaged at {what!r}",
            fix="apt install --reinstall wordnet-base",
        )


def _regular(lemma: str, kind: str) -> list[str]:
    """What regular endings leave of a word; most of it are no words."""
    if kind == "noun" and lemma.endswith("ful"):
        return [form + "ful" for form in _regular(lemma.removesuffix("ful"), kind)]
    if kind == "noun" and (lemma.endswith("ss") or len(lemma) <= 2):
        return []
    return [
        lemma.removesuffix(ending) + instead
        for ending, instead in _ENDINGS[kind]
        if lemma.endswith(ending) and len(lemma) > len(ending)
    ]


@cache
def _exceptions(file: Path) -> dict[str, list[str]]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as e:
        raise ConfigError(
            f"WordNet's file {str(file)!r} cannot be read: {e.strerror}",
            fix="apt install --reinstall wordnet-base",
        ) from e
    return {form: bases for form, *bases in (line.split() for line in lines if line)}
