"""Chunks by meaning: every sentence is embedded once, and its vector used for all comparisons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from ..models.interface import Embedder, Matrix
from ..records import Chunk, Document
from .atoms import Atom, Ruler, pack
from .fit import Fit
from .sections import by_sentence, parts, tokens_of

Drifts = NDArray[np.float64]  # one less than there are sentences: between each and the next

_MARKS = re.compile(r"^\W+(?=\w)")  # bullets and the like, which would make unlike things alike
_AMOUNTS = {"percentile": 80.0, "deviation": 1.0, "interquartile": 0.5}


@dataclass(slots=True)
class _Run:
    """Sentences of one section that stand together, with their unit vectors."""

    atoms: list[Atom]
    path: tuple[str, ...]
    room: int  # tokens that the path leaves
    vectors: Matrix


@dataclass(slots=True)
class _Theme:
    """Stretches of neighbouring sentences that are about the same, and what they say together."""

    groups: list[list[Atom]]
    total: NDArray[np.float64]  # sum of the sentences' vectors
    tokens: int
    count: int = 1  # sentences


def semantic(
    document: Document, embedder: Embedder, max_tokens: int, breaks: str, amount: float, buffer: int
) -> list[Chunk]:
    """A chunk ends where the drift to the next sentence is above a threshold of the document.

    Drift is 1 - cosine between the sentences before a place and those after it, `buffer` + 1 on
    each side. What is then still too long is cut where it drifts most, in its middle half.
    """
    fit = Fit(document, Ruler(document.text, embedder.count_tokens, document.language), max_tokens)
    found = list(_runs(document, fit, embedder))
    drifts = [_drifts(run.vectors, buffer) for run in found]
    least = _threshold(np.concatenate([np.empty(0), *drifts]), breaks, amount)
    done: list[Chunk] = []
    for run, drift in zip(found, drifts, strict=True):
        if run.atoms[0].kind != "text":
            for group in pack(run.atoms, run.room):
                done += fit.chunks(group, run.path, run.room)
            continue
        ends = [0, *(np.flatnonzero(drift > least) + 1).tolist(), len(run.atoms)]
        for start, end in pairwise(ends):
            for a, b in _fitting(run.atoms, drift, start, end, run.room):
                done += fit.chunks(run.atoms[a:b], run.path, run.room)
    return done


def double_pass(
    document: Document, embedder: Embedder, max_tokens: int, append: float, merge: float, gap: int
) -> list[Chunk]:
    """Sentences join the chunk before them where they are about the same; then chunks join.

    The second pass joins a chunk with one of the next `gap` + 1, if their similarity is at least
    `merge`; what stands between stays a chunk of its own, and the joined one has several parts.
    Similarity is the mean cosine of sentences above that of any two of the document, so that 0 is
    chance and the thresholds mean the same for every embedder.
    """
    fit = Fit(document, Ruler(document.text, embedder.count_tokens, document.language), max_tokens)
    found = list(_runs(document, fit, embedder))
    like = _likeness([run.vectors for run in found if run.atoms[0].kind == "text"])
    done: list[Chunk] = []
    for run in found:
        if run.atoms[0].kind != "text":
            for group in pack(run.atoms, run.room):
                done += fit.chunks(group, run.path, run.room)
            continue
        themes = _joined(_appended(run, like, append), like, merge, gap, run.room)
        for theme in themes:
            done += fit.gathered(theme.groups, run.path, run.room)
    return sorted(done, key=lambda chunk: (chunk.start, chunk.end))


def _runs(document: Document, fit: Fit, embedder: Embedder) -> Iterator[_Run]:
    """Sentences, table rows and code of the document, each kind by itself; sentences embedded."""
    text = document.text
    none = np.empty((0, embedder.identity.dimension), np.float32)
    runs: list[_Run] = []
    for part in parts(document, fit, by_sentence):
        path, taken = fit.path(part.path)
        for _, same in groupby(part.atoms, key=lambda atom: atom.kind):
            runs.append(_Run(list(same), path, fit.limit - taken, none))
    atoms = [atom for run in runs if run.atoms[0].kind == "text" for atom in run.atoms]
    said = [_MARKS.sub("", text[atom.start : atom.end]) for atom in atoms]
    vectors = embedder.embed_documents(said) if said else none
    at = 0
    for run in runs:
        if run.atoms[0].kind == "text":
            run.vectors = vectors[at : at + len(run.atoms)]
            at += len(run.atoms)
        yield run


def _drifts(vectors: Matrix, buffer: int) -> Drifts:
    if len(vectors) < 2:
        return np.empty(0)
    sums = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors, 0, np.float64)])
    places = np.arange(1, len(vectors))
    before = sums[places] - sums[np.maximum(places - buffer - 1, 0)]
    after = sums[np.minimum(places + buffer + 1, len(vectors))] - sums[places]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    drifts: Drifts = 1 - (before * after).sum(axis=1) / np.maximum(lengths, 1e-12)
    return drifts


def _threshold(drifts: Drifts, breaks: str, amount: float) -> float:
    """Above which drift a chunk ends."""
    amount = amount or _AMOUNTS[breaks]
    if not len(drifts):
        return 0.0
    if breaks == "percentile":
        return float(np.percentile(drifts, amount))
    if breaks == "deviation":
        return float(drifts.mean() + amount * drifts.std())
    low, high = np.percentile(drifts, [25, 75])
    return float(drifts.mean() + amount * (high - low))


def _fitting(
    atoms: Sequence[Atom], drift: Drifts, start: int, end: int, room: int
) -> Iterator[tuple[int, int]]:
    """The stretch of sentences, cut where it drifts most in its middle half until it fits."""
    waiting = [(start, end)]
    while waiting:
        a, b = waiting.pop()
        if b - a < 2 or tokens_of(atoms[a:b]) <= room:
            yield a, b
            continue
        margin = (b - a) // 4
        low, high = a + margin, max(a + margin + 1, b - 1 - margin)  # places between sentences
        place = low + int(np.argmax(drift[low:high])) + 1
        waiting += [(place, b), (a, place)]


def _likeness(vectors: Sequence[Matrix]) -> Callable[[_Theme, _Theme], float]:
    """How alike two groups of sentences are: 0 as two of the document by chance, 1 the same.

    The mean cosine of their sentences, which needs only their sums; chance is that of all.
    """
    count = sum(map(len, vectors))
    total = sum(rows.sum(axis=0, dtype=np.float64) for rows in vectors)
    chance = (float(np.dot(total, total)) - count) / (count * (count - 1)) if count > 1 else 0.0
    chance = min(max(chance, 0.0), 0.99)

    def like(one: _Theme, other: _Theme) -> float:
        cosine = float(np.dot(one.total, other.total)) / (one.count * other.count)
        return (cosine - chance) / (1 - chance)

    return like


def _appended(run: _Run, like: Callable[[_Theme, _Theme], float], least: float) -> list[_Theme]:
    """The first pass: neighbours that are about the same."""
    done: list[_Theme] = []
    for atom, vector in zip(run.atoms, run.vectors, strict=True):
        new = _Theme([[atom]], vector.astype(np.float64), atom.tokens)
        last = done[-1] if done else None
        if last and last.tokens + new.tokens <= run.room and like(last, new) >= least:
            last.groups[-1].append(atom)
            last.total += new.total
            last.tokens += new.tokens
            last.count += 1
        else:
            done.append(new)
    return done


def _joined(
    themes: Sequence[_Theme],
    like: Callable[[_Theme, _Theme], float],
    least: float,
    gap: int,
    room: int,
) -> list[_Theme]:
    """The second pass: each with the most alike of the few before it, where that is enough."""
    done: list[_Theme] = []
    owners: list[_Theme] = []  # of each of `themes`, the one that it is part of now
    for n, new in enumerate(themes):
        near = {id(owner): owner for owner in owners[max(0, n - gap - 1) :]}
        fitting = [owner for owner in near.values() if owner.tokens + new.tokens <= room]
        best = max(fitting, key=lambda owner: like(owner, new), default=None)
        if best is None or like(best, new) < least:
            done.append(new)
            owners.append(new)
            continue
        if owners[-1] is best:  # nothing stands between
            best.groups[-1] += new.groups[0]
        else:
            best.groups += new.groups
        best.total += new.total
        best.tokens += new.tokens
        best.count += new.count
        owners.append(best)
    return done
