"""Groups of atoms into chunks that fit: with a heading path, pages, and never over the limit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import ConfigError
from ..records import BETWEEN, Chunk, Document
from .atoms import LEVELS, Atom, Ruler, cut, join, pack

SMALLEST_LIMIT = 16  # tokens; below, not even a heading and a few words have room
GAP = "…"  # stands for the headings left out of a path that is too long


class Fit:
    """What a chunk of one document may hold: at most `limit` tokens of `content`.

    A heading path may take a quarter of the limit. A longer one loses headings between its first
    and its last, marked by one "…"; then all but the last; then that one too.
    """

    def __init__(self, document: Document, ruler: Ruler, limit: int) -> None:
        if limit < SMALLEST_LIMIT:
            raise ConfigError(f"a chunk needs at least {SMALLEST_LIMIT} tokens, got {limit!r}")
        self.document = document
        self.ruler = ruler
        self.limit = limit
        self._page_starts = [page.start for page in document.pages]
        self._paths: dict[tuple[str, ...], tuple[tuple[str, ...], int]] = {}

    def path(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        """A heading path within its quarter of the limit, and the tokens it takes."""
        if path not in self._paths:
            most = self.limit // 4
            self._paths[path] = ((), 0)
            for choice in _shorter(path):
                tokens = self.ruler.of(" > ".join(choice)) + 1  # the line break may count
                if tokens <= most:
                    self._paths[path] = (choice, tokens)
                    break
        return self._paths[path]

    def chunks(self, group: Sequence[Atom], path: tuple[str, ...], room: int) -> Iterator[Chunk]:
        """The group as a chunk under a fitted path; as several where the whole counts more.

        `room` is what the path leaves of the limit, in tokens.
        """
        chunk = self.chunk(join(group), path)
        tokens = self.ruler.of(chunk.content)
        if tokens <= self.limit:
            yield chunk
            return
        taken = sum(atom.tokens for atom in group) + group[0].prefix_tokens
        smaller = min(room, taken) - (tokens - self.limit) - 1
        if smaller < 1:  # what stands between the atoms takes more than they do
            smaller = room // 2
        if smaller < 1:
            raise ConfigError(
                f"{self.limit!r} tokens cannot hold {chunk.content[:60]!r}, which takes "
                f"{tokens!r}; chunks must be longer with this embedder"
            )
        if len(group) > 1:
            groups = list(pack(group, smaller))
            if len(groups) == 1:
                groups = [list(group[: len(group) // 2]), list(group[len(group) // 2 :])]
        else:
            atom = group[0]
            pieces = cut(self.ruler, atom.start, atom.end, smaller, LEVELS["text"], atom.kind)
            groups = [
                [replace(p, prefix=atom.prefix, prefix_tokens=atom.prefix_tokens)] for p in pieces
            ]
        for part in groups:
            yield from self.chunks(part, path, smaller)

    def chunk(self, atom: Atom, path: tuple[str, ...]) -> Chunk:
        """The atom as a chunk, however long it is."""
        text = self.document.text[atom.start : atom.end]
        prefix = "" if atom.prefix in text else atom.prefix  # the caption may stand there already
        first, last = self.page(atom.start), self.page(atom.end - 1)
        return Chunk(text, atom.start, atom.end, atom.kind, prefix, path, first, last)

    def gathered(
        self, groups: Sequence[Sequence[Atom]], path: tuple[str, ...], room: int
    ) -> Iterator[Chunk]:
        """Groups that stand apart in the document as one chunk of several parts.

        Each as a chunk of its own where they do not fit together.
        """
        spans = tuple((group[0].start, group[-1].end) for group in groups)
        text = BETWEEN.join(self.document.text[start:end] for start, end in spans)
        whole = replace(join([atom for group in groups for atom in group]), prefix="")
        chunk = replace(self.chunk(whole, path), text=text, parts=spans)
        if len(groups) > 1 and self.ruler.of(chunk.content) <= self.limit:
            yield chunk
            return
        for group in groups:
            yield from self.chunks(group, path, room)

    def page(self, offset: int) -> int | None:
        """The number of the page that a character is on, None where there are no pages."""
        if not self._page_starts:
            return None
        at = max(0, bisect_right(self._page_starts, offset) - 1)
        return self.document.pages[at].number


def _shorter(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not path:
        return
    yield path
    for kept in range(len(path) - 2, 0, -1):
        yield (path[0], GAP, *path[-kept:])
    if len(path) > 1:
        yield path[-1:]
