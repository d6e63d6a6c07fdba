"""The public object: a named collection of documents to add to, search and ask."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import answer as answering
from . import chunks as chunking
from . import retrieve
from .config import Config, load
from .errors import CollectionError, Forbidden, QueryError
from .index import ingest
from .index.access import Reader, check
from .index.filters import Filter, parse_filter
from .index.index import Index, collection_names, delete_collection
from .index.ingest import Progress, Report
from .index.reembed import reembed
from .index.vectors import Vectors
from .models import open_chat, open_embedder
from .models.interface import ChatModel, Embedder, Models
from .records import Answer, Document, Hit, Message, MetadataValue, Sentence
from .retrieve.options import Steps

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class Collection:
    """A collection of documents on disk. Models are loaded on first use and kept.

    Safe to use from several threads; several processes may have the same collection open.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        config: Config | None = None,
        home: str | os.PathLike[str] | None = None,
        models: Models | None = None,
    ) -> None:
        """Without `config`, as `load_config()` reads it. `home` is where the collection is kept,
        where that is not the configured home, which then holds only the models. `models` are
        taken in place of ones that the collection would open, and are not closed with it."""
        self.config = config or load()
        self.name = name or self.config.collection
        self.place = replace(self.config, home=Path(home)) if home else self.config
        self._shared = models
        self._opening = threading.RLock()  # several threads may be the first
        self._loading = threading.RLock()
        self._index: Index | None = None
        self._vectors: Vectors | None = None
        self._embedder: Embedder | None = None
        self._seen: tuple[Collection, Reader] | None = None  # made of which, for whom
        self._chat: dict[str, ChatModel] = {}
        self._models: dict[str, Any] = {}  # that steps of a search opened

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seen_by(self, reader: Reader) -> Collection:
        """The collection as if what the reader may not see were not in it.

        It shares the file, the vectors in memory and the models with this one, which must stay
        open; closing it closes none of them. It cannot be changed: that raises Forbidden.
        """
        whole = self._seen[0] if self._seen else self
        seen = copy(whole)
        seen._seen = (whole, reader)
        return seen

    def close(self) -> None:
        """Release the models and the file."""
        if self._seen is not None:
            return
        own = None if self._shared else self._embedder
        for model in (*self._chat.values(), *self._models.values(), own, self._index):
            if model is not None:
                model.close()
        self._chat.clear()
        self._models.clear()
        self._embedder = self._index = self._vectors = None

    @property
    def index(self) -> Index:
        """The collection on disk. Raises UnknownCollection before anything was added."""
        if self._seen is not None:
            whole, reader = self._seen
            return whole.index.seen_by(reader)
        with self._opening:
            if self._index is None:
                self._index = Index.open(self.place, self.name)
            return self._index

    @property
    def embedder(self) -> Embedder:
        """The model the collection's vectors are from; of a new one, the configured model."""
        if self._seen is not None:
            return self._seen[0].embedder
        exists = self.name in collection_names(self.place)
        name = self.index.embedder.name if exists else self.config.embedder
        with self._loading:
            if self._shared is not None:
                self._embedder = self._shared.embedder(name)
            elif self._embedder is None or self._embedder.identity.name != name:
                if self._embedder is not None:  # the collection was re-embedded meanwhile
                    self._embedder.close()
                self._embedder = open_embedder(self.config, name)
            embedder = self._embedder
        if self._index is not None:
            ingest.check_embedder(self._index, embedder)
        return embedder

    def add(
        self,
        paths: Paths,
        *,
        metadata: Mapping[str, MetadataValue] | None = None,
        progress: Callable[[Progress], None] | None = None,
        password: str | None = None,
        chunker: str | None = None,
    ) -> Report:
        """Index files and folders, recursively; what is unchanged costs one read.

        `chunker` (NAME or NAME:key=value,...) is that of a new collection; the configured one
        where none is named. Raises CollectionError where the collection has another.

        A file that cannot be read is listed in `failed` with the reason; the others go on. A new
        collection that would hold nothing because all failed is not made. `password` is tried
        on locked files and kept nowhere.

        The key `readers` of `metadata` says who may read these files, see llar/index/access.py.
        Raises QueryError where it cannot be understood.
        """
        self._changeable()
        check(metadata or {})
        embedder = self.embedder
        created = self._index is None and self.name not in collection_names(self.place)
        if created:
            spec = chunking.configured(self.config, embedder, chunker or "")
            manifest = spec.as_manifest()
            self._index = Index.create(self.place, self.name, embedder.identity, manifest)
        if chunker:
            self._check_chunker(chunker)
        report = ingest.add(
            self.index,
            _paths(paths),
            embedder,
            self.config,
            metadata=metadata,
            progress=progress,
            password=password,
        )
        if created and report.failed and not self.index.counts()["files"]:
            self.index.close()
            self._index = self._vectors = None
            delete_collection(self.place, self.name, only_unused=True)
        return report

    def sync(
        self,
        paths: Paths = (),
        *,
        progress: Callable[[Progress], None] | None = None,
        password: str | None = None,
    ) -> Report:
        """Make the collection match its folders, removing what is gone from them."""
        self._changeable()
        return ingest.sync(
            self.index,
            _paths(paths),
            self.embedder,
            self.config,
            progress=progress,
            password=password,
        )

    def reembed(
        self,
        embedder: str | None = None,
        *,
        chunker: str | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> int:
        """Chunk and embed every document anew, with this embedder or the configured one.

        `chunker` is the new chunker; the collection's own where none is named. Its size is the
        configured one.

        Searches go on with the old vectors until the last moment; a run that was interrupted is
        continued by the next. Returns the number of chunks.
        """
        self._changeable()
        name = embedder or self.config.embedder
        model = self._shared.embedder(name) if self._shared else open_embedder(self.config, name)
        try:
            spec = chunking.configured(self.config, model, chunker or str(self.index.spec))
            return reembed(self.index, model, spec, progress=progress)
        finally:
            if not self._shared:
                model.close()

    def remove(self, paths: Paths) -> list[str]:
        """Forget files, and folders with all files below; returns the paths forgotten.

        Raises QueryError where a path is not in the collection; then nothing is removed."""
        self._changeable()
        return ingest.remove(self.index, _paths(paths))

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        mode: str | None = None,
        filters: Sequence[str | Filter] = (),
        query: Steps = None,
        strategy: str | None = None,
        post: Steps = None,
        model: str | None = None,
    ) -> list[Hit]:
        """The k passages that fit `question` best, best first. Filters read like "year>=2023".

        `query`, `strategy` and `post` name steps before, in and after retrieval (see
        retrieve/steps.py); None takes those configured. `model` is for steps that ask one.
        """
        return self.explain(
            question, k=k, mode=mode, filters=filters, query=query, strategy=strategy, post=post,
            model=model,
        ).hits  # fmt: skip

    def explain(
        self,
        question: str,
        *,
        k: int = 10,
        mode: str | None = None,
        filters: Sequence[str | Filter] = (),
        query: Steps = None,
        strategy: str | None = None,
        post: Steps = None,
        model: str | None = None,
    ) -> retrieve.Result:
        """Like `search`, with the query that was made of the question and every step."""
        _check_text(question)
        return self.searcher(
            k=k, mode=mode, filters=filters, query=query, strategy=strategy, post=post, model=model
        ).search(question)

    def searcher(
        self,
        *,
        k: int = 10,
        mode: str | None = None,
        filters: Sequence[str | Filter] = (),
        query: Steps = None,
        strategy: str | None = None,
        post: Steps = None,
        model: str | None = None,
    ) -> retrieve.Searcher:
        """What one search is made with, for those who want to take its steps themselves."""
        parsed = [parse_filter(f) if isinstance(f, str) else f for f in filters]
        options = retrieve.options(
            self.config, k=k, mode=mode, query=query, strategy=strategy, post=post, filters=parsed
        )
        index = self.index
        return retrieve.Searcher(
            index,
            self._matrix(index),
            lambda: self.embedder,
            lambda: self.chat_model(model),
            self.config,
            options,
            models=self._models,
            reader=self._seen[1] if self._seen else None,
            reranker=self._shared.reranker if self._shared else None,
        )

    def ask(
        self,
        question: str,
        *,
        model: str | None = None,
        history: Sequence[Message] = (),
        k: int = 8,
        mode: str | None = None,
        filters: Sequence[str | Filter] = (),
        query: Steps = None,
        strategy: str | None = None,
        post: Steps = None,
    ) -> Answer:
        """Answer from the documents with verbatim citations, or abstain."""
        for event in self.ask_stream(
            question, model=model, history=history, k=k, mode=mode, filters=filters, query=query,
            strategy=strategy, post=post,
        ):  # fmt: skip
            if isinstance(event, Answer):
                return event
        raise AssertionError("a stream of an answer ends with the answer")

    def ask_stream(
        self,
        question: str,
        *,
        model: str | None = None,
        history: Sequence[Message] = (),
        k: int = 8,
        mode: str | None = None,
        filters: Sequence[str | Filter] = (),
        query: Steps = None,
        strategy: str | None = None,
        post: Steps = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Iterator[Sentence | Answer]:
        """Like `ask`: each sentence as soon as it is written and checked, then the Answer.

        `max_tokens` and `temperature` are for what the model writes, None takes those configured.
        `progress` is told "search" before each search and "write" when its passages are there.
        """
        _check_text(question)
        if not question.strip():
            raise QueryError("the question is empty")

        def search(looked_up: str) -> retrieve.Result:
            if progress:
                progress("search")
            found = self.explain(
                looked_up, k=k, mode=mode, filters=filters, query=query, strategy=strategy,
                post=post, model=model,
            )  # fmt: skip
            if progress:
                progress("write")
            return found

        return answering.stream(
            question,
            search=search,
            index=self.index,
            chat=self.chat_model(model),
            embedder=self.embedder,
            config=replace(
                self.config,
                max_answer_tokens=max_tokens or self.config.max_answer_tokens,
                temperature=self.config.temperature if temperature is None else temperature,
            ),
            history=history,
        )  # fmt: skip

    def chat_model(self, name: str | None = None) -> ChatModel:
        """The model that writes answers, loaded on first use."""
        name = name or self.config.chat_model
        if self._seen is not None:
            return self._seen[0].chat_model(name)
        if self._shared is not None:
            return self._shared.chat(name)
        with self._loading:
            if name not in self._chat:
                self._chat[name] = open_chat(self.config, name)
            return self._chat[name]

    def documents(self) -> list[Document]:
        """Every document, whole."""
        ids = sorted({f.document_id for f in self.index.files()})
        return [self.index.document(i) for i in ids]

    def _check_chunker(self, chunker: str) -> None:
        """Refuse to add to a collection by another chunker than its own."""
        has = self.index.spec
        wanted = chunking.parse_spec(chunker, has.max_tokens)
        if wanted != has:
            raise CollectionError(
                f"collection {self.name!r} is chunked by {str(has)!r}, not by {str(wanted)!r}",
                fix=f"llar reembed -c {self.name} --chunker {wanted}",
            )

    def _changeable(self) -> None:
        if self._seen is not None:
            raise Forbidden(f"collection {self.name!r} is open for reading only")

    def _matrix(self, index: Index) -> Vectors:
        """The vectors in memory, what is missing read through `index`."""
        whole = self._seen[0] if self._seen else self
        with whole._opening:
            if whole._vectors is None:
                whole._vectors = Vectors(index.whole)
            return whole._vectors if index is index.whole else whole._vectors.through(index)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise QueryError(
            f"{text!r} is not valid UTF-8 text", fix="export LANG=C.UTF-8   (and type it again)"
        ) from None


def _paths(paths: Paths) -> list[Path]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return [Path(p).expanduser() for p in given]
