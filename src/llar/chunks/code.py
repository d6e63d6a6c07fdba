"""Source code by definition: a class, function or method is a chunk where it fits.

A heading path is file > class > method. What does not fit is cut where statements begin; comments
and decorators stay with what they stand above. Everything else of a file (imports, constants, a
class's attributes) is in chunks of its own, so nothing is lost, in broken source neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..records import Document
from ..text import symbols
from ..text.symbols import Definition, Source
from .atoms import CHARACTERS_PER_TOKEN, LEVELS, Atom, Ruler, cut
from .fit import Fit
from .sections import Part

if TYPE_CHECKING:
    from tree_sitter import Node

SMALL = 4  # a stretch between definitions under this share (1/4) of the limit joins its neighbours
DEEPEST = 40  # blocks inside each other that are cut by statements; deeper ones by lines


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the file under its path; `node` is the definition's it is the whole of."""

    start: int
    end: int
    path: tuple[str, ...]
    node: Node | None = None


def parts(document: Document, fit: Fit, spare: int = 0) -> list[Part] | None:
    """The file's definitions as parts with their paths; None where there is no grammar for it.

    `spare` tokens of the limit are left free.
    """
    language = symbols.language_of(
        str(document.metadata.get("programming_language", "")), document.source
    )
    source = symbols.parse(document.text, language) if language else None
    if source is None or not source.definitions:
        return None
    file = PurePath(document.source).name
    done: list[Part] = []
    for stretch in _joined(_stretches(document, fit, source, file, spare), fit, spare):
        _, taken = fit.path(stretch.path)
        limit = fit.limit - taken - spare
        atoms = _atoms(fit.ruler, source, stretch, limit)
        if atoms:
            done.append(Part(stretch.path, atoms, bare=False, main=True))
    return done


def _stretches(
    document: Document, fit: Fit, source: Source, file: str, spare: int
) -> Iterator[_Stretch]:
    """The whole file in order: definitions that fit, parts of those that do not, the rest."""

    def inside(
        definitions: Sequence[Definition], start: int, end: int, path: tuple[str, ...]
    ) -> Iterator[_Stretch]:
        at = start
        for definition in definitions:
            yield _Stretch(at, definition.start, path)
            yield from of(definition)
            at = definition.end
        yield _Stretch(at, end, path)

    def of(definition: Definition) -> Iterator[_Stretch]:
        path = (file, *definition.path)
        _, taken = fit.path(path)
        whole = _fits(fit.ruler, definition.start, definition.end, fit.limit - taken - spare)
        if whole or not definition.inner:
            yield _Stretch(definition.start, definition.end, path, definition.node)
        else:
            yield from inside(definition.inner, definition.start, definition.end, path)

    yield from inside(source.definitions, 0, len(document.text), (file,))


def _joined(stretches: Iterator[_Stretch], fit: Fit, spare: int) -> Iterator[_Stretch]:
    """The stretches that are not blank, those of next to nothing as part of the one before."""
    held: _Stretch | None = None
    for stretch in stretches:
        start, end = fit.ruler.strip(stretch.start, stretch.end)
        if start == end:
            continue
        new = _Stretch(start, end, stretch.path, stretch.node)
        if held is not None and new.node is None and _tiny(fit.ruler, new, fit.limit):
            _, taken = fit.path(held.path)
            if _fits(fit.ruler, held.start, new.end, fit.limit - taken - spare):
                held = _Stretch(held.start, new.end, held.path, held.node)
                continue
        if held is not None:
            yield held
        held = new
    if held is not None:
        yield held


def _tiny(ruler: Ruler, stretch: _Stretch, limit: int) -> bool:
    """Is it a closing brace, a comment or the like, and no statement worth finding?"""
    text = ruler.text[stretch.start : stretch.end]
    return text.count("\n") < 2 and ruler.of(text) < limit // (2 * SMALL)


def _fits(ruler: Ruler, start: int, end: int, limit: int) -> bool:
    too_long = end - start > limit * CHARACTERS_PER_TOKEN
    return not too_long and ruler.span(start, end) <= limit


def _atoms(ruler: Ruler, source: Source, stretch: _Stretch, limit: int) -> list[Atom]:
    """A stretch in atoms of at most `limit` tokens, cut where statements begin."""
    if stretch.node is None:
        return cut(ruler, stretch.start, stretch.end, limit, LEVELS["code"], "code")
    return _by_statement(ruler, source, stretch.node, stretch.start, stretch.end, limit, 0)


def _by_statement(
    ruler: Ruler, source: Source, node: Node, start: int, end: int, limit: int, depth: int
) -> list[Atom]:
    start, end = ruler.strip(start, end)
    if start == end:
        return []
    if _fits(ruler, start, end, limit):
        return [Atom(start, end, ruler.span(start, end), "code")]
    inner = [(p, n) for p, n in source.statements(node) if start < p < end]
    if not inner or depth >= DEEPEST:
        return cut(ruler, start, end, limit, LEVELS["code"], "code")
    atoms = cut(ruler, start, inner[0][0], limit, LEVELS["code"], "code")
    ends = [place for place, _ in inner[1:]] + [end]
    for (place, child), stop in zip(inner, ends, strict=True):
        atoms += _by_statement(ruler, source, child, place, stop, limit, depth + 1)
    return atoms
