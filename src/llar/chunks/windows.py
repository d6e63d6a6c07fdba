"""Windows over words or sentences: of a number of them or of a size, with overlap.

`tokens` and `words` run over headings as over any other text, which makes them the plain chunkers
to compare with; only tables keep their rows and header. The others stay inside their section.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce

from ..errors import ConfigError
from ..models.interface import Embedder
from ..records import Chunk, Document
from .atoms import Atom, Ruler, cut, pack
from .fit import Fit
from .sections import Section, by_sentence, largest, parts, runs, sections, shared

_WORD = re.compile(r"\S+")


def tokens(document: Document, embedder: Embedder, max_tokens: int, overlap: int) -> list[Chunk]:
    """Windows of as many tokens as fit, cut between words; `overlap` in tokens."""
    _check_overlap(overlap, max_tokens, "tokens")
    fit = _fit(document, embedder, max_tokens)

    def windows(atoms: Sequence[Atom], room: int) -> Iterator[list[Atom]]:
        return _windows(atoms, room, len(atoms), lambda atom: atom.tokens, overlap)

    return _over_headings(fit, windows)


def words(
    document: Document, embedder: Embedder, max_tokens: int, words: int, overlap: int
) -> list[Chunk]:
    """Windows of a number of words, fewer where they take too many tokens; `overlap` in words."""
    _check_overlap(overlap, words, "words")
    fit = _fit(document, embedder, max_tokens)

    def windows(atoms: Sequence[Atom], room: int) -> Iterator[list[Atom]]:
        return _windows(atoms, room, words, lambda _: 1, overlap)

    return _over_headings(fit, windows)


def in_sentences(
    document: Document, embedder: Embedder, max_tokens: int, sentences: int, overlap: int
) -> list[Chunk]:
    """So many sentences, or as many as fit; `overlap` in sentences."""
    if sentences:
        _check_overlap(overlap, sentences, "sentences")
    fit = _fit(document, embedder, max_tokens)
    done: list[Chunk] = []
    for part in parts(document, fit, by_sentence):
        path, taken = fit.path(part.path)
        room = max_tokens - taken
        for run in runs(part.atoms):
            groups: Iterable[list[Atom]]
            if run[0].kind == "table" or not (sentences or overlap):
                groups = pack(run, room)
            else:
                groups = _windows(run, room, sentences or len(run), lambda _: 1, overlap)
            for group in groups:
                done += fit.chunks(group, path, room)
    return done


def sentence_window(
    document: Document, embedder: Embedder, max_tokens: int, window: int
) -> list[Chunk]:
    """A chunk for each sentence or row, to be read with `window` of them before and after.

    Heading and neighbours are of the same part of the document.
    """
    fit = _fit(document, embedder, max_tokens)
    done: list[Chunk] = []
    for part in parts(document, fit, by_sentence):
        path, taken = fit.path(part.path)
        atoms = part.atoms
        for n, atom in enumerate(atoms):
            around = atoms[max(0, n - window)].start, atoms[min(len(atoms) - 1, n + window)].end
            for chunk in fit.chunks([atom], path, max_tokens - taken):
                wider = around != (chunk.start, chunk.end)
                done.append(replace(chunk, context=around) if wider else chunk)
    return done


def _fit(document: Document, embedder: Embedder, max_tokens: int) -> Fit:
    ruler = Ruler(document.text, embedder.count_tokens, document.language)
    return Fit(document, ruler, max_tokens)


def _check_overlap(overlap: int, size: int, what: str) -> None:
    if overlap and overlap >= size / 2:
        raise ConfigError(f"overlap must be under half of {size!r} {what}, got {overlap!r}")


def _over_headings(
    fit: Fit, windows: Callable[[Sequence[Atom], int], Iterator[list[Atom]]]
) -> list[Chunk]:
    """Windows over the words of a document; the path is what all sections of a window share."""
    found = sections(fit.document)
    starts = [section.all_blocks[0].start for section in found]
    atoms = _words(fit, found)
    done: list[Chunk] = []
    for run in runs(atoms):
        # Room for the longest path of the run: where a window begins is not known beforehand.
        first, last = (bisect_right(starts, run[at].start) - 1 for at in (0, -1))
        taken = max(fit.path(section.path)[1] for section in found[max(0, first) : last + 1])
        room = fit.limit - taken
        groups = pack(run, room) if run[0].kind == "table" else windows(run, room)
        for group in groups:
            first, last = (bisect_right(starts, group[at].start) - 1 for at in (0, -1))
            paths = [section.path for section in found[max(0, first) : last + 1]]
            done += fit.chunks(group, fit.path(reduce(shared, paths))[0], room)
    return done


def _words(fit: Fit, found: Sequence[Section]) -> list[Atom]:
    """Words, and the rows of tables; a word that is counted once is not counted again."""
    known: dict[str, int] = {}
    atoms: list[Atom] = []
    text, limit = fit.document.text, fit.limit * 3 // 4  # a path may take the last quarter
    for section in found:
        for block in section.all_blocks:
            if block.kind == "table":
                atoms += largest(fit.ruler, Section((), blocks=[block]), limit)
                continue
            for match in _WORD.finditer(text, block.start, block.end):
                word = match.group()
                size = known.get(word)
                if size is None:
                    size = known[word] = fit.ruler.of(word)
                if size <= limit:
                    atoms.append(Atom(match.start(), match.end(), size))
                else:
                    atoms += cut(fit.ruler, *match.span(), limit, ("words",))
    return atoms


def _windows(
    atoms: Sequence[Atom],
    room: int,
    most: int,
    measure: Callable[[Atom], int],
    overlap: int,
) -> Iterator[list[Atom]]:
    """Groups of at most `room` tokens and `most` atoms; each begins with up to `overlap` of the
    one before, as `measure` counts it."""
    start = 0
    while start < len(atoms):
        stop, size = start, 0
        while stop < len(atoms) and stop - start < most:
            size += atoms[stop].tokens
            if size > room and stop > start:
                break
            stop += 1
        yield list(atoms[start:stop])
        if stop == len(atoms):
            return
        back, repeated = stop, measure(atoms[stop - 1])
        while repeated <= overlap and back - 1 > start:
            back -= 1
            repeated += measure(atoms[back - 1])
        start = back
