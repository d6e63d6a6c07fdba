"""Open a model by its name, `backend:name`.

A backend is a row in a table `name -> "module:Class"`; the module is imported when the first
model of that backend is opened. Another package adds rows through the entry-point group
`llar.backends`: the entry's name is `kind.backend` (`chat.mine`, `embedding.mine`,
`reranker.mine`, `compressor.mine`), its value the class. A class has an `open(config, name)` that
returns the model.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any, cast

from ..errors import UnknownModel

if TYPE_CHECKING:
    from ..config import Config
    from .interface import ChatModel, Compressor, Embedder, Reranker

__all__ = ["BACKENDS", "open_chat", "open_compressor", "open_embedder", "open_reranker"]

BACKENDS = {
    "chat": {
        "llamacpp": "llar.models.llamacpp:LlamaChat",
        "openai": "llar.models.openai:OpenAIChat",
        "fake": "llar.models.fake:FakeChat",
    },
    "embedding": {
        "ctranslate2": "llar.models.bert:BertEmbedder",
        "openai": "llar.models.openai:OpenAIEmbedder",
        "fake": "llar.models.fake:FakeEmbedder",
    },
    "reranker": {
        "llamacpp": "llar.models.llamacpp_rerank:LlamaReranker",
        "fake": "llar.models.fake:FakeReranker",
    },
    "compressor": {
        "ctranslate2": "llar.models.bert_compressor:BertCompressor",
    },
}


def open_chat(config: Config, name: str | None = None) -> ChatModel:
    """The chat model `name`, or the configured one. Raises UnknownModel, ModelNotInstalled ..."""
    return cast("ChatModel", _open("chat", config, name or config.chat_model))


def open_embedder(config: Config, name: str | None = None) -> Embedder:
    """The embedding model `name`, or the configured one."""
    return cast("Embedder", _open("embedding", config, name or config.embedder))


def open_reranker(config: Config, name: str) -> Reranker:
    """The reranker `name`."""
    return cast("Reranker", _open("reranker", config, name))


def open_compressor(config: Config, name: str | None = None) -> Compressor:
    """The compressor `name`, or the configured one."""
    return cast("Compressor", _open("compressor", config, name or config.compressor))


def _open(kind: str, config: Config, full_name: str) -> object:
    table = BACKENDS[kind]
    backend, _, name = full_name.partition(":")
    if backend not in table:
        table = _added(kind) | table
    known = ", ".join(sorted(table))
    if not backend or not name:
        guess = f"{next(iter(table))}:{backend}"
        hint = f"; did you mean {guess!r}?" if backend and backend not in table else ""
        raise UnknownModel(
            f"{kind} model {full_name!r} names no backend; expected backend:name with a backend "
            f"of {known}{hint}"
        )
    if backend not in table:
        near = difflib.get_close_matches(backend, table, n=1)
        hint = f"; did you mean {f'{near[0]}:{name}'!r}?" if near else ""
        raise UnknownModel(
            f"{kind} model {full_name!r}: there is no backend {backend!r}, expected one of "
            f"{known}{hint}"
        )
    module, _, attribute = table[backend].partition(":")
    model_class: Any = getattr(importlib.import_module(module), attribute)
    return cast(object, model_class.open(config, name))


def _added(kind: str) -> dict[str, str]:
    """Rows that other installed packages bring."""
    from importlib.metadata import entry_points

    rows = {}
    for entry in entry_points(group="llar.backends"):
        entry_kind, _, backend = entry.name.partition(".")
        if entry_kind == kind:
            rows[backend] = entry.value
    return rows
