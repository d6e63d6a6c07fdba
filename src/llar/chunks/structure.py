"""The default chunker: sections, paragraphs, lists, tables and code, in the embedder's tokens."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import ConfigError
from ..records import Block, Chunk, Document
from ..text import sentences
from .atoms import LEVELS, Atom, Kind, Ruler, cut, join, pack
from .tables import table_atoms

SMALLEST_LIMIT = 16  # tokens; below, not even a heading and a few words have room
GAP = "…"  # stands for the headings left out of a path that is too long

_HEADING_MARKS = re.compile(r"^#{1,6}[ \t]+|[ \t]+#+[ \t]*$")


@dataclass(slots=True)
class _Section:
    """A heading and what stands below it, up to the next heading."""

    path: tuple[str, ...]
    level: int = 0
    heading: Block | None = None
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """Atoms that share a heading path, on their way to becoming chunks."""

    path: tuple[str, ...]
    atoms: list[Atom]
    bare: bool  # only headings so far
    main: bool  # holds the beginning of a top-level section
    single: bool = True  # one section with text


def split(
    document: Document, *, max_tokens: int, count_tokens: Callable[[str], int], overlap: int = 0
) -> list[Chunk]:
    """Chunks in document order, each with at most `max_tokens` tokens of `content`.

    `count_tokens` is the embedder's. Together the chunks hold every non-blank character of the
    document. A heading goes with the text that follows it; chunks stay inside their section,
    except that sections under a quarter of `max_tokens` join their neighbours of the same parent.
    `overlap` > 0 repeats up to that many tokens of whole sentences from the chunk before, inside
    a section.

    A heading path may take a quarter of `max_tokens`. A longer one loses headings between its
    first and its last, marked by one "…"; then all but the last; then that one too.
    Raises ConfigError for fewer than 16 tokens, or an overlap of half of them or more.
    """
    if max_tokens < SMALLEST_LIMIT:
        raise ConfigError(f"a chunk needs at least {SMALLEST_LIMIT} tokens, got {max_tokens!r}")
    if not 0 <= overlap < max_tokens / 2:
        raise ConfigError(
            f"overlap must be at least 0 and under half of {max_tokens!r} tokens, got {overlap!r}"
        )
    ruler = Ruler(document.text, count_tokens, document.language)
    return _Chunker(document, ruler, max_tokens, overlap).chunks()


class _Chunker:
    """One document being split."""

    def __init__(self, document: Document, ruler: Ruler, limit: int, overlap: int) -> None:
        self._document = document
        self._ruler = ruler
        self._limit = limit
        self._overlap = overlap
        self._page_starts = [page.start for page in document.pages]
        self._paths: dict[tuple[str, ...], tuple[tuple[str, ...], int]] = {}

    def chunks(self) -> list[Chunk]:
        sections = _sections(self._document)
        done: list[Chunk] = []
        for part in self._merged(sections):
            path, taken = self._fitted(part.path)
            before: Chunk | None = None
            limit = self._limit - taken - self._overlap
            for group in self._grouped(part.atoms, limit):
                for chunk in self._checked(group, path, limit):
                    before = self._overlapped(chunk, before)
                    done.append(before)
        return done

    def _merged(self, sections: Sequence[_Section]) -> list[_Part]:
        """Sections as parts; small ones join their neighbours, bare headings what follows them."""
        top = _top_level(sections)
        parts: list[_Part] = []
        for section in sections:
            _, taken = self._fitted(section.path)
            atoms = self._atoms(section, self._limit - taken - self._overlap)
            part = _Part(section.path, atoms, not section.blocks, 0 < section.level == top)
            last = parts[-1] if parts else None
            if last is not None and (last.bare or self._small(last, part)):
                deeper = last.bare or (last.single and _below(part.path, last.path))
                path = part.path if deeper else _shared(last.path, part.path)
                parts[-1] = _Part(
                    path, [*last.atoms, *atoms], part.bare, last.main or part.main, last.bare
                )
            else:
                parts.append(part)
        if len(parts) > 1 and parts[-1].bare:  # nothing follows the last headings
            headings = parts.pop()
            parts[-1].atoms += headings.atoms
        return parts

    def _small(self, last: _Part, part: _Part) -> bool:
        """Whether a part is better off in one chunk with the one before, beside or above it."""
        below = _below(part.path, last.path)
        beside = part.path[:-1] == last.path[:-1]
        sizes = _tokens(last.atoms), _tokens(part.atoms)
        little = min(sizes) < self._limit // 4 and sum(sizes) <= self._limit // 2
        return little and (below or beside) and not part.bare and not (part.main and last.main)

    def _atoms(self, section: _Section, limit: int) -> list[Atom]:
        atoms: list[Atom] = []
        blocks = [section.heading, *section.blocks] if section.heading else section.blocks
        for block in blocks:
            if block.kind == "table":
                atoms += table_atoms(self._ruler, block, limit)
            else:
                levels = LEVELS.get(block.kind, LEVELS["text"])
                kind: Kind = "code" if block.kind == "code" else "text"
                found = cut(self._ruler, block.start, block.end, limit, levels, kind)
                if block.kind == "heading":
                    found = [replace(atom, sticky=True) for atom in found]
                atoms += found
        return atoms

    def _grouped(self, atoms: Sequence[Atom], limit: int) -> list[list[Atom]]:
        """Packed: text and tables apart, but a few words before or after a table stay with it."""
        groups: list[list[Atom]] = []
        runs = _runs(self._roomy(atoms, limit))
        for run in runs:
            last = groups[-1] if groups else []
            few = _tokens(run) <= limit // 4 and _tokens(last) + _tokens(run) <= limit
            if run[0].kind == "table":
                lead = _ending(last, limit // 4)
                del last[len(last) - len(lead) :]
                groups = [group for group in groups if group]
                groups += pack([*lead, *run], limit)
            elif last and few and run is runs[-1] and not (run[0].sticky or last[-1].alone):
                last += run
            else:
                groups += pack(run, limit)
        return groups

    def _roomy(self, atoms: Sequence[Atom], limit: int) -> list[Atom]:
        """The atoms, with the text behind a heading cut so that the heading has room before it."""
        roomy: list[Atom] = []
        headings = 0
        for atom in atoms:
            if atom.sticky:
                headings += atom.tokens
            elif 0 < limit - headings < atom.tokens and atom.kind != "table":
                levels = LEVELS["code" if atom.kind == "code" else "text"]
                room = limit - headings
                roomy += cut(self._ruler, atom.start, atom.end, room, levels, atom.kind)
                headings = 0
                continue
            else:
                headings = 0
            roomy.append(atom)
        return roomy

    def _checked(self, group: list[Atom], path: tuple[str, ...], limit: int) -> Iterator[Chunk]:
        """The group as a chunk; as several where the tokenizer counts more for the whole."""
        chunk = self._chunk(join(group), path)
        tokens = self._ruler.of(chunk.content)
        if tokens <= self._limit:
            yield chunk
            return
        smaller = min(limit, _tokens(group)) - (tokens - self._limit) - 1
        if smaller < 1:  # what stands between the atoms takes more than they do
            smaller = limit // 2
        if smaller < 1:
            raise ConfigError(
                f"{self._limit!r} tokens cannot hold {chunk.content[:60]!r}, which takes "
                f"{tokens!r}; chunks must be longer with this embedder"
            )
        if len(group) > 1:
            groups = list(pack(group, smaller))
            if len(groups) == 1:
                groups = [group[: len(group) // 2], group[len(group) // 2 :]]
        else:
            atom = group[0]
            parts = cut(self._ruler, atom.start, atom.end, smaller, LEVELS["text"], atom.kind)
            groups = [
                [replace(p, prefix=atom.prefix, prefix_tokens=atom.prefix_tokens)] for p in parts
            ]
        for part in groups:
            yield from self._checked(part, path, smaller)

    def _chunk(self, atom: Atom, path: tuple[str, ...]) -> Chunk:
        text = self._document.text[atom.start : atom.end]
        prefix = "" if atom.prefix in text else atom.prefix  # the caption may stand there already
        first, last = self._page(atom.start), self._page(atom.end - 1)
        return Chunk(text, atom.start, atom.end, atom.kind, prefix, path, first, last)

    def _page(self, offset: int) -> int | None:
        if not self._page_starts:
            return None
        at = max(0, bisect_right(self._page_starts, offset) - 1)
        return self._document.pages[at].number

    def _overlapped(self, chunk: Chunk, before: Chunk | None) -> Chunk:
        """The chunk with the last sentences of the one before it, as many as fit."""
        if not self._overlap or before is None or "table" in (chunk.kind, before.kind):
            return chunk
        room = min(self._overlap, self._limit - self._ruler.of(chunk.content))
        text = self._document.text
        for start, _ in sentences.split(before.text, self._document.language):
            begin = before.start + start
            if start and self._ruler.span(begin, before.end) <= room:
                wider = replace(chunk, text=text[begin : chunk.end], start=begin)
                wider = replace(wider, first_page=self._page(begin))
                return wider if self._ruler.of(wider.content) <= self._limit else chunk
        return chunk

    def _fitted(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        """A heading path within its quarter of the limit, and the tokens it takes."""
        if path not in self._paths:
            most = self._limit // 4
            self._paths[path] = ((), 0)
            for choice in _shorter(path):
                tokens = self._ruler.of(" > ".join(choice)) + 1  # the line break may count
                if tokens <= most:
                    self._paths[path] = (choice, tokens)
                    break
        return self._paths[path]


def _shorter(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not path:
        return
    yield path
    for kept in range(len(path) - 2, 0, -1):
        yield (path[0], GAP, *path[-kept:])
    if len(path) > 1:
        yield path[-1:]


def _below(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return path[: len(other)] == other


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]


def _runs(atoms: Sequence[Atom]) -> list[list[Atom]]:
    """Tables and everything else, in turn."""
    runs: list[list[Atom]] = []
    for atom in atoms:
        if runs and (runs[-1][-1].kind == "table") == (atom.kind == "table"):
            runs[-1].append(atom)
        else:
            runs.append([atom])
    return runs


def _ending(group: Sequence[Atom], most: int) -> list[Atom]:
    """The last atoms of a group, as many as take at most `most` tokens, and headings anyway."""
    taken: list[Atom] = []
    for atom in reversed(group):
        if not atom.sticky and (atom.kind == "table" or _tokens(taken) + atom.tokens > most):
            break
        taken.insert(0, atom)
    return taken


def _tokens(atoms: Sequence[Atom]) -> int:
    return sum(atom.tokens for atom in atoms) + (atoms[0].prefix_tokens if atoms else 0)


def _top_level(sections: Sequence[_Section]) -> int:
    """The first heading level that occurs more than once: above it stands only the title."""
    levels = [section.level for section in sections if section.level]
    return next((level for level in sorted(set(levels)) if levels.count(level) > 1), 0)


def _sections(document: Document) -> list[_Section]:
    """The document's blocks under their headings; text outside every block counts as text."""
    sections = [_Section(())]
    titles: list[tuple[int, str]] = []
    for block in _covering(document):
        if block.kind != "heading":
            sections[-1].blocks.append(block)
            continue
        level = max(1, block.level)
        titles = [(lev, title) for lev, title in titles if lev < level]
        title = heading_title(document.text[block.start : block.end])
        if title:
            titles.append((level, title))
        sections.append(_Section(tuple(title for _, title in titles), level, block))
    return [section for section in sections if section.heading or section.blocks]


def _covering(document: Document) -> Iterator[Block]:
    at = 0
    for block in document.blocks:
        if document.text[at : block.start].strip():
            yield Block("text", at, block.start)
        yield block
        at = max(at, block.end)
    if document.text[at:].strip():
        yield Block("text", at, len(document.text))


def heading_title(text: str) -> str:
    """A heading's words on one line, without Markdown's or reStructuredText's marks."""
    lines = [_HEADING_MARKS.sub("", line.strip()) for line in text.splitlines()]
    return " ".join(" ".join(line for line in lines if any(map(str.isalnum, line))).split())
