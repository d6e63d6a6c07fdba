"""Documents that come with their questions, or another chunker's view of a collection, indexed.

Such a collection is kept under LLAR_HOME/cache, named after what it holds and how it was made, so
the same is made once, an interrupted one is gone on with, and anything else is another one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .. import chunks as chunking
from ..collection import Collection
from ..config import Config
from ..documents.reading import from_text
from ..errors import UnknownCollection
from ..index.database import SCHEMA
from ..index.index import Index, collection_names, delete_collection
from ..index.ingest import Progress, add_documents
from ..models import open_embedder
from ..models.interface import Embedder
from ..records import Document
from . import about
from .questions import QuestionSet

__all__ = ["cache", "cached_names", "clear", "of_collection", "of_texts"]

Told = Callable[[Progress], None]

_MAKERS = (  # the code that a collection's content depends on
    "chunks/", "text/", "documents/compose.py", "documents/plain.py", "documents/reading.py",
)  # fmt: skip


def cache(config: Config) -> Path:
    """The folder that collections made for measuring are kept in."""
    return config.home / "cache"


def of_texts(config: Config, found: QuestionSet, *, progress: Told | None = None) -> Collection:
    """The documents that came with a question set, indexed as the configuration says."""
    texts = found.texts
    if texts is None:
        raise ValueError(f"the question set {found.name!r} brings no documents")

    def missing(there: set[str]) -> Iterator[Document]:
        for text in texts():
            if text.path not in there:
                yield from_text(text.text, text.path, title=text.title)

    return _made(config, found.name, found.texts_sha256, found.texts_count, missing, progress)


def of_collection(
    config: Config, source: Collection, *, progress: Told | None = None
) -> Collection:
    """A collection as it would be with the configured embedder and chunker: itself, or another.

    `source` is closed where another takes its place; the one returned has this configuration.
    """
    embedder = open_embedder(config)
    try:
        spec = chunking.configured(config, embedder)
        if source.index.spec == spec and source.index.embedder == embedder.identity:
            source.config = config
            return source
    finally:
        embedder.close()
    state = about.collection(source.index)
    files = list(source.index.files())

    def missing(there: set[str]) -> Iterator[Document]:
        seen: set[int] = set()
        for file in files:  # by path, and a document's own path is its first
            if file.document_id not in seen and file.path not in there:
                yield source.index.document(file.document_id)
            seen.add(file.document_id)

    made = _made(config, source.name, str(state["content"]), len(files), missing, progress)
    there = {file.path for file in made.index.files()}
    for file in files:  # copies of the same content
        if file.path not in there:
            made.index.attach(file.path, file.sha256, file.metadata, gone=None)
    source.close()
    return made


def _made(
    config: Config,
    name: str,
    content: str,
    count: int,
    missing: Callable[[set[str]], Iterable[Document]],
    progress: Told | None,
) -> Collection:
    """The collection of these documents, what is not there yet added."""
    embedder = open_embedder(config)
    try:
        spec = chunking.configured(config, embedder)
        label = _label(name, content, embedder, spec)
        place = cache(config)
        made = Collection(label, config=config, home=place)
        if label not in collection_names(made.place):
            _clear_stale(made.place, label)
            Index.create(made.place, label, embedder.identity, spec.as_manifest()).close()
        there = {file.path for file in made.index.files()}
        if len(there) < count:
            add_documents(
                made.index, missing(there), embedder, total=count - len(there), progress=progress
            )
    finally:
        embedder.close()
    return made


def _label(name: str, content: str, embedder: Embedder, spec: chunking.Spec) -> str:
    """A name for a collection of this content, made this way; its end tells by what code."""
    how = [content, embedder.identity.name, embedder.identity.sha256, spec.as_manifest(), SCHEMA]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:30] or "set"
    return f"{readable}-{about.digest(how)[:12]}-{about.code(*_MAKERS)[:8]}"


def _clear_stale(place: Config, label: str) -> None:
    """Delete what another version of the code made of the same: nothing would use it again."""
    same = label.rpartition("-")[0]
    for name in collection_names(place):
        if name.rpartition("-")[0] == same:
            delete_collection(place, name)


def cached_names(config: Config) -> list[str]:
    """Names of the collections that were made for measuring."""
    return collection_names(Collection(config=config, home=cache(config)).place)


def clear(config: Config, name: str | None = None) -> list[str]:
    """Delete one of them, or all; returns their names. Raises UnknownCollection."""
    place = Collection(config=config, home=cache(config)).place
    names = collection_names(place)
    if name is not None and name not in names:
        raise UnknownCollection(f"{name!r} was not made for measuring")
    for found in [name] if name is not None else names:
        delete_collection(place, found)
    if name is None and cache(config).is_dir():
        shutil.rmtree(cache(config) / "collections", ignore_errors=True)
    return names if name is None else [name]
