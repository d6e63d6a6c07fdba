"""The default chunker: sections, paragraphs, lists, tables and code, in the embedder's tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..errors import ConfigError
from ..models.interface import Embedder
from ..records import Chunk, Document
from ..text import sentences
from . import code
from .atoms import Atom, Ruler, pack
from .fit import Fit
from .sections import Part, largest, parts, roomy, runs, tokens_of


def structure(document: Document, embedder: Embedder, max_tokens: int, overlap: int) -> list[Chunk]:
    """`split` with the embedder's tokens."""
    count = embedder.count_tokens
    return split(document, max_tokens=max_tokens, count_tokens=count, overlap=overlap)


def split(
    document: Document, *, max_tokens: int, count_tokens: Callable[[str], int], overlap: int = 0
) -> list[Chunk]:
    """Chunks in document order, each with at most `max_tokens` tokens of `content`.

    `count_tokens` is the embedder's. Together the chunks hold every non-blank character of the
    document. A heading goes with the text that follows it; chunks stay inside their section,
    except that sections under a quarter of `max_tokens` join their neighbours of the same parent.
    `overlap` > 0 repeats up to that many tokens of whole sentences from the chunk before, inside
    a section.

    Raises ConfigError for fewer than 16 tokens, or an overlap of half of them or more.
    """
    found = split_parts(document, max_tokens, count_tokens, overlap)
    return [chunk for _, chunks in found for chunk in chunks]


def split_parts(
    document: Document, max_tokens: int, count_tokens: Callable[[str], int], overlap: int = 0
) -> Iterator[tuple[Part, list[Chunk]]]:
    """The same chunks, those of each part of the document together."""
    if not 0 <= overlap < max_tokens / 2:
        raise ConfigError(
            f"overlap must be at least 0 and under half of {max_tokens!r} tokens, got {overlap!r}"
        )
    fit = Fit(document, Ruler(document.text, count_tokens, document.language), max_tokens)
    by_definition = code.parts(document, fit, overlap) if document.format == "code" else None
    for part in by_definition or parts(document, fit, largest, overlap):
        path, taken = fit.path(part.path)
        done: list[Chunk] = []
        limit = max_tokens - taken - overlap
        for group in _grouped(fit.ruler, part.atoms, limit):
            for chunk in fit.chunks(group, path, limit):
                done.append(_overlapped(fit, chunk, done[-1] if done else None, overlap))
        yield part, done


def _grouped(ruler: Ruler, atoms: Sequence[Atom], limit: int) -> list[list[Atom]]:
    """Packed: text and tables apart, but a few words before or after a table stay with it."""
    groups: list[list[Atom]] = []
    found = runs(roomy(ruler, atoms, limit))
    for run in found:
        last = groups[-1] if groups else []
        few = tokens_of(run) <= limit // 4 and tokens_of(last) + tokens_of(run) <= limit
        if run[0].kind == "table":
            lead = _ending(last, limit // 4)
            del last[len(last) - len(lead) :]
            groups = [group for group in groups if group]
            groups += pack([*lead, *run], limit)
        elif last and few and run is found[-1] and not (run[0].sticky or last[-1].alone):
            last += run
        else:
            groups += pack(run, limit)
    return groups


def _ending(group: Sequence[Atom], most: int) -> list[Atom]:
    """The last atoms of a group, as many as take at most `most` tokens, and headings anyway."""
    taken: list[Atom] = []
    for atom in reversed(group):
        if not atom.sticky and (atom.kind == "table" or tokens_of(taken) + atom.tokens > most):
            break
        taken.insert(0, atom)
    return taken


def _overlapped(fit: Fit, chunk: Chunk, before: Chunk | None, overlap: int) -> Chunk:
    """The chunk with the last sentences of the one before it, as many as fit."""
    if not overlap or before is None or "table" in (chunk.kind, before.kind):
        return chunk
    room = min(overlap, fit.limit - fit.ruler.of(chunk.content))
    text = fit.document.text
    for start, _ in sentences.split(before.text, fit.document.language):
        begin = before.start + start
        if start and fit.ruler.span(begin, before.end) <= room:
            wider = replace(chunk, text=text[begin : chunk.end], start=begin)
            wider = replace(wider, first_page=fit.page(begin))
            return wider if fit.ruler.of(wider.content) <= fit.limit else chunk
    return chunk
