"""A document's blocks under their headings, and sections joined to parts worth a chunk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..records import Block, Document
from .atoms import LEVELS, Atom, Kind, Ruler, cut, join, parts_of
from .fit import Fit
from .tables import table_atoms

Path = tuple[str, ...]  # headings from the document's top

_HEADING_MARKS = re.compile(r"^#{1,6}[ \t]+|[ \t]+#+[ \t]*$")


@dataclass(slots=True)
class Section:
    """A heading and what stands below it, up to the next heading."""

    path: Path
    level: int = 0
    heading: Block | None = None
    blocks: list[Block] = field(default_factory=list)

    @property
    def all_blocks(self) -> list[Block]:
        """The heading, where there is one, and the blocks."""
        return [self.heading, *self.blocks] if self.heading else self.blocks


@dataclass(slots=True)
class Part:
    """Atoms that share a heading path, on their way to becoming chunks."""

    path: Path
    atoms: list[Atom]
    bare: bool  # only headings so far
    main: bool  # holds the beginning of a top-level section
    single: bool = True  # one section with text


Cutter = Callable[
    [Ruler, Section, int], list[Atom]
]  # a section into atoms of at most so many tokens


def sections(document: Document) -> list[Section]:
    """The document's blocks under their headings; text outside every block counts as text."""
    found = [Section(())]
    titles: list[tuple[int, str]] = []
    for block in _covering(document):
        if block.kind != "heading":
            found[-1].blocks.append(block)
            continue
        level = max(1, block.level)
        titles = [(lev, title) for lev, title in titles if lev < level]
        title = heading_title(document.text[block.start : block.end])
        if title:
            titles.append((level, title))
        found.append(Section(tuple(title for _, title in titles), level, block))
    return [section for section in found if section.heading or section.blocks]


def parts(document: Document, fit: Fit, cutter: Cutter, spare: int = 0) -> list[Part]:
    """Sections as parts; small ones join their neighbours, bare headings what follows them.

    Sections under a quarter of the limit are small. `cutter` gets the tokens that a section's path
    and `spare` leave of the limit.
    """
    found = sections(document)
    top = _top_level(found)
    done: list[Part] = []
    for section in found:
        _, taken = fit.path(section.path)
        atoms = cutter(fit.ruler, section, fit.limit - taken - spare)
        part = Part(section.path, atoms, not section.blocks, 0 < section.level == top)
        last = done[-1] if done else None
        if last is not None and (last.bare or _small(last, part, fit.limit)):
            deeper = last.bare or (last.single and _below(part.path, last.path))
            path = part.path if deeper else shared(last.path, part.path)
            done[-1] = Part(
                path, [*last.atoms, *atoms], part.bare, last.main or part.main, last.bare
            )
        else:
            done.append(part)
    if len(done) > 1 and done[-1].bare:  # nothing follows the last headings
        headings = done.pop()
        done[-1].atoms += headings.atoms
    return done


def largest(ruler: Ruler, section: Section, limit: int) -> list[Atom]:
    """A section in atoms as large as its boundaries allow: paragraphs, lists, rows, code."""
    atoms: list[Atom] = []
    for block in section.all_blocks:
        if block.kind == "table":
            atoms += table_atoms(ruler, block, limit)
        else:
            levels = LEVELS.get(block.kind, LEVELS["text"])
            kind: Kind = "code" if block.kind == "code" else "text"
            found = cut(ruler, block.start, block.end, limit, levels, kind)
            if block.kind == "heading":
                found = [replace(atom, sticky=True) for atom in found]
            atoms += found
    return atoms


def by_sentence(ruler: Ruler, section: Section, limit: int) -> list[Atom]:
    """A section in sentences; tables in rows, code in pieces as large as fit.

    A heading is one with the sentence that follows it.
    """
    atoms: list[Atom] = []
    for block in section.all_blocks:
        if block.kind in ("table", "code", "heading"):
            atoms += largest(ruler, Section((), blocks=[block]), limit)
            continue
        for start, end in parts_of(ruler, block.start, block.end, "paragraphs"):
            for first, last in parts_of(ruler, start, end, "sentences"):
                atoms += cut(ruler, first, last, limit, ("lines", "words"))
    return glued(roomy(ruler, atoms, limit), limit)


def roomy(ruler: Ruler, atoms: Sequence[Atom], limit: int) -> list[Atom]:
    """The atoms, with the text behind a heading cut so that the heading has room before it."""
    done: list[Atom] = []
    headings = 0
    for atom in atoms:
        if atom.sticky:
            headings += atom.tokens
        elif 0 < limit - headings < atom.tokens and atom.kind != "table":
            levels = LEVELS["code" if atom.kind == "code" else "text"]
            room = limit - headings
            done += cut(ruler, atom.start, atom.end, room, levels, atom.kind)
            headings = 0
            continue
        else:
            headings = 0
        done.append(atom)
    return done


def glued(atoms: Sequence[Atom], limit: int) -> list[Atom]:
    """The atoms, headings and header rows joined with what follows them, as far as that fits."""
    done: list[Atom] = []
    held: list[Atom] = []
    for atom in atoms:
        if held and (atom.alone or tokens_of([*held, atom]) > limit):
            done += held
            held = []
        held.append(atom)
        if not atom.sticky:
            done.append(join(held))
            held = []
    return done + held


def tokens_of(atoms: Sequence[Atom]) -> int:
    """Tokens that the atoms take in one chunk, the prefix of the first included."""
    return sum(atom.tokens for atom in atoms) + (atoms[0].prefix_tokens if atoms else 0)


def runs(atoms: Sequence[Atom]) -> list[list[Atom]]:
    """Tables and everything else, in turn."""
    found: list[list[Atom]] = []
    for atom in atoms:
        if found and (found[-1][-1].kind == "table") == (atom.kind == "table"):
            found[-1].append(atom)
        else:
            found.append([atom])
    return found


def shared(one: Path, other: Path) -> Path:
    """The headings that two paths begin with."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]


def heading_title(text: str) -> str:
    """A heading's words on one line, without Markdown's or reStructuredText's marks."""
    lines = [_HEADING_MARKS.sub("", line.strip()) for line in text.splitlines()]
    return " ".join(" ".join(line for line in lines if any(map(str.isalnum, line))).split())


def _small(last: Part, part: Part, limit: int) -> bool:
    """Whether a part is better off in one chunk with the one before, beside or above it."""
    below = _below(part.path, last.path)
    beside = part.path[:-1] == last.path[:-1]
    sizes = tokens_of(last.atoms), tokens_of(part.atoms)
    little = min(sizes) < limit // 4 and sum(sizes) <= limit // 2
    return little and (below or beside) and not part.bare and not (part.main and last.main)


def _below(path: Path, other: Path) -> bool:
    return path[: len(other)] == other


def _top_level(found: Sequence[Section]) -> int:
    """The first heading level that occurs more than once: above it stands only the title."""
    levels = [section.level for section in found if section.level]
    return next((level for level in sorted(set(levels)) if levels.count(level) > 1), 0)


def _covering(document: Document) -> Iterator[Block]:
    at = 0
    for block in document.blocks:
        if document.text[at : block.start].strip():
            yield Block("text", at, block.start)
        yield block
        at = max(at, block.end)
    if document.text[at:].strip():
        yield Block("text", at, len(document.text))
