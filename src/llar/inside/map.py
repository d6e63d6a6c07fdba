"""Sentences, or the passages of a collection, on a plane by their meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import CollectionError, InsideError
from . import projection
from .clusters import clustered, cosines, silhouette

if TYPE_CHECKING:
    from ..collection import Collection
    from ..models.interface import Embedder

__all__ = ["Group", "Line", "Map", "Point", "arrange", "embed", "passages", "read_lines"]

Vectors = NDArray[np.float64]

_BATCH = 128  # texts embedded between two signs of progress
_LONGEST_LABEL = 60
_WEAK = 0.25  # a silhouette of no substantial structure: Kaufman and Rousseeuw 1990, table 4


@dataclass(frozen=True, slots=True)
class Line:
    """One text to place, with its label where it has one, and where it is from."""

    text: str
    label: str = ""
    source: str = ""
    document: int = 0  # its id in the collection; 0 where it is of none
    start: int = 0  # of the passage in the document's text
    end: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """A text with its place on the plane and its group."""

    text: str
    group: str
    x: float
    y: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Points that belong together."""

    name: str
    size: int
    typical: str  # the text nearest to the group's middle


@dataclass(frozen=True, slots=True)
class Map:
    """Texts on a plane. Groups are ordered by size, the largest first."""

    title: str
    embedder: str  # "backend:name"
    method: str  # "pca" or "umap"
    variance: tuple[float, float] | None  # shares of both directions of PCA
    found: bool  # groups were found by clustering, not given
    points: tuple[Point, ...]
    groups: tuple[Group, ...]
    within: float | None  # mean cosine of two points of the same group
    between: float | None  # and of two of different groups
    silhouette: float | None  # of the groups by cosine, -1 to 1
    notes: tuple[str, ...] = ()


def read_lines(texts: Sequence[str], *, labelled: bool = False) -> list[Line]:
    """Texts to place, blank ones left out; with a tab, what stands before it is the label.

    `labelled` takes "label: text" as well. Raises InsideError where only some have a label, or
    where there is no text at all.
    """
    found, missing = [], []
    for number, raw in enumerate(texts, 1):
        if not raw.strip():
            continue
        label, tab, text = raw.partition("\t")
        if labelled and not tab:
            label, tab, text = raw.partition(":")
        if not tab:
            label, text = "", raw
            missing.append(number)
        label, text = label.strip(), text.strip()
        if tab and not (label and text):
            raise InsideError(
                f"text {number}, {raw[:60]!r}, lacks its {'text' if label else 'label'}"
            )
        if len(label) > _LONGEST_LABEL:
            raise InsideError(
                f"text {number}: the label {label[:40]!r}... has {len(label)} characters; expected "
                f"at most {_LONGEST_LABEL}"
            )
        _check_text(text, number)
        found.append(Line(text, label))
    if not found:
        raise InsideError("there is no text to place", fix='llar map "first text" "second text"')
    if missing and (labelled or len(missing) < len(found)):
        raise InsideError(
            f"text {missing[0]} has no label, others have; expected all or none"
            if len(missing) < len(found)
            else f"text {missing[0]} has no label; expected 'label: text', or a tab between both"
        )
    return found


def _check_text(text: str, number: int) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InsideError(f"text {number}, {text[:60]!r}, is not valid UTF-8") from None


def embed(
    lines: Sequence[Line],
    embedder: Embedder,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Vectors:
    """The vectors of the texts, shape (texts, dimension), of length 1.

    Raises InsideError for a text that is longer than the embedder reads: nothing is cut.
    """
    for number, line in enumerate(lines, 1):
        tokens = embedder.count_tokens(line.text)
        if tokens > embedder.max_tokens:
            raise InsideError(
                f"text {number} ({line.text[:40]!r}...) has {tokens:,} tokens; "
                f"{embedder.identity.name} reads at most {embedder.max_tokens:,}",
                fix="shorten it, or index the file and draw its passages: llar add FILE -c NAME && "
                "llar map -c NAME",
            )
    parts = []
    for start in range(0, len(lines), _BATCH):
        batch = lines[start : start + _BATCH]
        parts.append(embedder.embed_documents([line.text for line in batch]))
        progress(min(start + _BATCH, len(lines)), len(lines))
    return np.concatenate(parts).astype(np.float64)


def passages(
    collection: Collection, most: int, seed: int = 0
) -> tuple[list[Line], Vectors, tuple[str, ...]]:
    """The passages of a collection with their vectors, labelled by document, and notes.

    Of more than `most` a random sample is taken, always the same for the same seed, and a note
    says so. Raises CollectionError for a collection without passages.
    """
    from ..index.vectors import Vectors as Stored

    index = collection.index
    with index.database.read():
        view = index.passages.view()
        places = np.flatnonzero(view.documents != 0)
        if not len(places):
            raise CollectionError(f"collection {collection.name!r} holds no passages",
                                  fix=f"llar add PATH -c {collection.name}")  # fmt: skip
        notes = []
        if len(places) > most:
            notes.append(f"a random sample of {most:,} of the {len(places):,} passages")
            chosen = np.random.default_rng(seed).choice(len(places), most, replace=False)
            places = places[np.sort(chosen)]
        vectors = Stored(index).of(view, places).astype(np.float64)
        ids = view.ids[places].tolist()
        held = index.chunks(ids)
    if not np.isfinite(vectors).all():
        raise CollectionError(
            f"collection {collection.name!r} is damaged: some vectors hold values that are no "
            "numbers", fix=f"llar doctor -c {collection.name} --repair",
        )  # fmt: skip
    lines = []
    for chunk_id in ids:
        source, chunk = held[chunk_id]
        page = f", page {chunk.first_page}" if chunk.first_page else ""
        where = (source.id, chunk.start, chunk.end)
        lines.append(Line(chunk.text, source.name, f"{source.name}{page}", *where))
    return lines, vectors, tuple(notes)


def arrange(
    lines: Sequence[Line],
    vectors: Vectors,
    *,
    title: str,
    embedder: str,
    method: str = "pca",
    groups: int | None = None,
    find_groups: bool = False,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Map:
    """The texts on a plane. Groups are the labels, or found where there are none or it is asked.

    `groups` is how many to find; None chooses by silhouette. Raises InsideError as
    `projection.check` and for a number of groups that cannot be.
    """
    projection.check(method)
    if groups is not None and not 1 <= groups <= len(lines):
        raise InsideError(f"{groups} groups cannot be made of {len(lines)} texts")
    find_groups = find_groups or groups is not None or not lines[0].label
    variance = None
    if method == "pca":
        plane, variance = projection.pca(vectors)
    else:
        plane = projection.umap(vectors, seed)
    score: float | None
    if find_groups:
        labels, score = clustered(vectors, groups, seed)
        names = [f"group {label + 1}" for label in labels.tolist()]
    else:
        names = [line.label for line in lines]
        labels = np.unique(names, return_inverse=True)[1].astype(np.int64)
        score = silhouette(vectors, labels)
    measured = cosines(vectors, labels)
    return Map(
        title, embedder, method, variance, find_groups,
        tuple(Point(line.text, name, float(x), float(y), line.source)
              for line, name, (x, y) in zip(lines, names, plane.tolist(), strict=True)),
        _groups(lines, vectors, names), measured.within, measured.between, score,
        (*notes, *_remarks(find_groups, score, len(lines))),
    )  # fmt: skip


def _groups(lines: Sequence[Line], vectors: Vectors, names: Sequence[str]) -> tuple[Group, ...]:
    found = []
    of = np.asarray(names)
    for name, size in Counter(names).items():
        own = np.flatnonzero(of == name)
        middle = vectors[own].mean(axis=0)
        nearest = own[int((vectors[own] @ middle).argmax())]
        found.append(Group(name, size, lines[int(nearest)].text))
    return tuple(sorted(found, key=lambda g: -g.size))


def _remarks(find_groups: bool, score: float | None, many: int) -> list[str]:
    if not find_groups or many < 3:
        return []
    if score is None:
        return ["no groups stand apart"]
    if score < _WEAK:
        return [f"the groups hardly stand apart: silhouette {score:.2f}, below {_WEAK}"]
    return []


def cosine_matrix(vectors: Vectors) -> Vectors:
    """The cosine of each pair of unit vectors, shape (texts, texts)."""
    found: Vectors = np.clip(vectors @ vectors.T, -1, 1)
    return found


def by_group(drawn: Map, vectors: Vectors) -> tuple[Map, Vectors]:
    """The same with the points of a group one after the other, for a matrix to show its blocks."""
    place = {group.name: n for n, group in enumerate(drawn.groups)}
    order = sorted(range(len(drawn.points)), key=lambda n: place[drawn.points[n].group])
    return replace(drawn, points=tuple(drawn.points[n] for n in order)), vectors[order]
