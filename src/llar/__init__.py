"""llar: ask your own documents, offline.

    import llar

    docs = llar.Collection("handbook")
    docs.add("~/documents")
    print(docs.ask("How many days of leave do I have?").answer)

Names are imported on first use, so that `import llar` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collection import Collection
    from .config import Config
    from .config import load as load_config
    from .documents import load as load_document
    from .errors import LlarError
    from .index.filters import Filter
    from .index.index import collection_names
    from .index.ingest import Report
    from .models import open_chat, open_embedder, open_reranker
    from .records import Answer, Chunk, Citation, Document, Hit, Message, Sentence

__all__ = [
    "Answer",
    "Chunk",
    "Citation",
    "Collection",
    "Config",
    "Document",
    "Filter",
    "Hit",
    "LlarError",
    "Message",
    "Report",
    "Sentence",
    "collection_names",
    "load_config",
    "load_document",
    "open_chat",
    "open_embedder",
    "open_reranker",
]

_WHERE = {
    "Collection": "collection",
    "Config": "config",
    "Filter": "index.filters",
    "LlarError": "errors",
    "Report": "index.ingest",
    "collection_names": "index.index",
    "load_config": "config:load",
    "load_document": "documents:load",
    "open_chat": "models",
    "open_embedder": "models",
    "open_reranker": "models",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'llar' has no attribute {name!r}")
    import importlib

    module, _, attribute = _WHERE.get(name, "records").partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), attribute or name)


def __dir__() -> list[str]:
    return __all__
