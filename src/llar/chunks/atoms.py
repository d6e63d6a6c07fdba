"""The smallest parts a chunk is put together from, and how they are found and packed.

A stretch of text that fits is one atom. One that does not is cut at the strongest boundaries it
has (empty lines, then list items, sentences, lines, words, characters), and each part is looked at
in turn, so every text is counted a small fixed number of times however it is built.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..text import sentences

Kind = Literal["text", "table", "code"]
Level = Literal["paragraphs", "blanks", "items", "sentences", "lines", "words"]

LEVELS: dict[str, tuple[Level, ...]] = {
    "text": ("paragraphs", "sentences", "lines", "words"),
    "list": ("items", "sentences", "lines", "words"),
    "code": ("blanks", "lines", "words"),
    "cell": ("sentences", "words"),
}
# A chunk holds at most this many characters per token it may have: a tokenizer that sees one
# unknown word in 200,000 characters without a space must not make them one chunk.
CHARACTERS_PER_TOKEN = 12
# Longer than this many characters per token, text is cut without counting it first; should it have
# fitted after all, packing puts it together again.
_SURELY_LONG = 4

_LONGEST_MARKS = 80  # characters of indentation and bullet before a sentence

_EMPTY_LINE = re.compile(r"\n[ \t\r\f\v]*\n\s*")
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+•▪◦‣·–]|\(?\w{1,3}[.)])[ \t])")
_LINE = re.compile(r"\n+")
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Atom:
    """A stretch of the document that is not cut further. Its ends are not blank.

    `prefix` is what a chunk that begins with this atom must repeat (of a table).
    `alone`: the prefix is good for this atom only. `sticky`: belongs with the atom after it.
    """

    start: int
    end: int
    tokens: int
    kind: Kind = "text"
    prefix: str = ""
    prefix_tokens: int = 0
    alone: bool = False
    sticky: bool = False


class Ruler:
    """Measures stretches of one text: in tokens, or in characters where tokens are too few."""

    def __init__(self, text: str, count_tokens: Callable[[str], int], language: str | None) -> None:
        self.text = text
        self.language = language
        self._count = count_tokens

    def of(self, piece: str) -> int:
        """Tokens of any text, never fewer than its length is worth."""
        return max(self._count(piece), math.ceil(len(piece) / CHARACTERS_PER_TOKEN))

    def span(self, start: int, end: int) -> int:
        """The same of a stretch of the text."""
        return self.of(self.text[start:end])

    def strip(self, start: int, end: int) -> tuple[int, int]:
        """The stretch without the white space at its ends; an empty one where it is all blank."""
        piece = self.text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        return first, max(first, start + len(piece.rstrip()))


def cut(
    ruler: Ruler, start: int, end: int, limit: int, levels: Sequence[Level], kind: Kind = "text"
) -> list[Atom]:
    """Atoms of at most `limit` tokens that hold every non-blank character of the stretch."""
    start, end = ruler.strip(start, end)
    if start == end:
        return []
    if levels[0] == "paragraphs":  # counted one by one: most documents are one long stretch
        parts = list(parts_of(ruler, start, end, "paragraphs"))
        if len(parts) > 1:
            return [a for s, e in parts for a in cut(ruler, s, e, limit, levels[1:], kind)]
        levels = levels[1:]
    tokens = 0
    if end - start <= limit * _SURELY_LONG or levels[0] == "words":
        tokens = ruler.span(start, end)
        if tokens <= limit:
            return [Atom(start, end, tokens, kind)]
    for at, level in enumerate(levels):
        if level == "words":
            return _slices(ruler, start, end, tokens or ruler.span(start, end), limit, kind)
        parts = list(parts_of(ruler, start, end, level))
        if len(parts) > 1:
            rest = levels[at + 1 :]
            small = [a for s, e in parts for a in cut(ruler, s, e, limit, rest, kind)]
            return [join(group) for group in pack(small, limit)]
    raise AssertionError(f"levels must end in 'words', got {levels!r}")


def join(atoms: Sequence[Atom]) -> Atom:
    """Neighbouring atoms as one."""
    first, last = atoms[0], atoms[-1]
    if len(atoms) == 1:
        return first
    kind: Kind = "text"
    if any(atom.kind == "table" for atom in atoms):
        kind = "table"
    elif all(atom.kind == "code" for atom in atoms):
        kind = "code"
    tokens = sum(atom.tokens for atom in atoms)
    held = next((atom for atom in atoms if atom.kind == "table"), first)
    return Atom(first.start, last.end, tokens, kind, held.prefix, held.prefix_tokens)


def pack(atoms: Sequence[Atom], limit: int) -> Iterator[list[Atom]]:
    """Neighbours into as few groups of at most `limit` tokens as even sizes allow."""
    remaining = sum(atom.tokens for atom in atoms)
    repeated = max((atom.prefix_tokens for atom in atoms), default=0)
    room = max(1, limit - repeated)
    group: list[Atom] = []
    size = 0
    ideal = float(limit)
    for atom in atoms:
        over = size + atom.tokens > limit
        if group and not over:  # white space between atoms is not in their tokens
            room_left = (limit - group[0].prefix_tokens) * CHARACTERS_PER_TOKEN
            over = atom.end - group[0].start > room_left
        even = size + atom.tokens / 2 > ideal and not (group and group[-1].sticky)
        if group and (over or even or atom.alone or group[-1].alone):
            yield group
            group = []
        if not group:
            ideal = repeated + remaining / max(1, math.ceil(remaining / room))
            size = atom.prefix_tokens
        group.append(atom)
        size += atom.tokens
        remaining -= atom.tokens
    if group:
        yield group


def parts_of(ruler: Ruler, start: int, end: int, level: Level) -> Iterator[tuple[int, int]]:
    at = start
    for boundary in _boundaries(ruler, start, end, level):
        if boundary > at:
            yield at, boundary
            at = boundary
    yield at, end


def _boundaries(ruler: Ruler, start: int, end: int, level: Level) -> Iterable[int]:
    if level == "sentences":
        return _sentence_starts(ruler, start, end)
    pattern = {"paragraphs": _EMPTY_LINE, "blanks": _EMPTY_LINE, "items": _ITEM}.get(level, _LINE)
    return (match.end() for match in pattern.finditer(ruler.text, start, end))


def _sentence_starts(ruler: Ruler, start: int, end: int) -> Iterator[int]:
    """Where sentences begin, their bullets and other marks included."""
    for first, _ in sentences.split(ruler.text[start:end], ruler.language)[1:]:
        begin = start + first
        line = ruler.text.rfind("\n", max(start, begin - _LONGEST_MARKS), begin) + 1 or begin
        yield begin if any(map(str.isalnum, ruler.text[line:begin])) else line


def _slices(ruler: Ruler, start: int, end: int, tokens: int, limit: int, kind: Kind) -> list[Atom]:
    """Even slices of a stretch without boundaries, cut at spaces where there are any."""
    count = math.ceil(tokens / limit)
    atoms: list[Atom] = []
    at = start
    for left in range(count, 0, -1):
        stop = end if left == 1 else _cut_near(ruler.text, at, end, at + (end - at) // left)
        first, last = ruler.strip(at, stop)
        at = stop
        if first == last:
            continue
        size = ruler.span(first, last)
        if size <= limit or last - first == 1:
            atoms.append(Atom(first, last, size, kind))
        else:  # the first slice may be denser than the whole
            atoms.extend(_slices(ruler, first, last, max(size, limit + 1), limit, kind))
    return atoms


def _cut_near(text: str, start: int, end: int, wanted: int) -> int:
    """A place after `start` and before `end` to cut at: after a space, else between letters."""
    wanted = min(max(wanted, start + 1), end - 1)
    reach = max(1, (wanted - start) // 4)
    for at in range(wanted, max(start, wanted - reach), -1):
        if _SPACE.match(text[at]):
            return at
    for at in range(wanted, max(start, wanted - min(reach, 16)), -1):
        if not unicodedata.combining(text[at]) and text[at] not in "\u200d\ufe0f":
            return at
    return wanted
