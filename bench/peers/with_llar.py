"""llar as its documentation says, for bench/; runs in llar's own environment."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from wire import rows, serve

import llar
from llar import chunks as chunking
from llar.documents import Parsers
from llar.index.index import Index
from llar.models import open_embedder
from llar.records import Chunk, Document

CONFIG = llar.load_config()
TOGETHER = 100  # texts that make up one document when a collection is filled

_docs: dict[str, llar.Collection] = {}


def load(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Open a fresh collection and load the model that it embeds with."""
    config = llar.load_config({"embedder": asked.get("embedder")})
    _docs["docs"] = llar.Collection("docs", config=config)
    return {"model": _docs["docs"].embedder.identity.name}


def ingest(asked: Mapping[str, Any]) -> dict[str, Any]:
    """`llar add FOLDER`."""
    report = _docs["docs"].add(asked["folder"])
    assert not report.failed, report.failed
    assert not report.duplicates, report.duplicates[:3]
    return {"documents": len(report.added), "chunks": report.chunks}


def split(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write the passages of a folder, as they would be embedded, into a JSON file."""
    embedder = open_embedder(CONFIG, CONFIG.embedder)
    texts: list[str] = []
    with Parsers(CONFIG) as parsers:
        for _, parsed in parsers.parse(sorted(Path(asked["folder"]).rglob("*.txt"))):
            assert isinstance(parsed, Document), parsed
            found = chunking.split(parsed, chunking.configured(CONFIG, embedder), embedder)
            texts += [chunk.content for chunk in found]
    Path(asked["into"]).write_text(json.dumps(texts), encoding="utf-8")
    return {"chunks": len(texts)}


def embed(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Embed the texts of a JSON file and save the vectors."""
    texts = json.loads(Path(asked["texts"]).read_text(encoding="utf-8"))
    start = time.perf_counter()
    vectors = _docs["docs"].embedder.embed_documents(texts)
    seconds = time.perf_counter() - start
    np.save(asked["into"], vectors)
    return {"seconds": seconds}


def fill(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A collection of given texts and vectors, through the call that `llar add` ends with."""
    texts, vectors = rows(asked["folder"], asked["count"])
    embedder = open_embedder(CONFIG, CONFIG.embedder)
    name = f"filled-{asked['count']}"
    chunker = {"name": "structure", "max_tokens": CONFIG.chunk_tokens}
    index = Index.create(CONFIG, name, embedder.identity, chunker)
    for at in range(0, len(texts), TOGETHER):
        document, parts = _document(texts[at : at + TOGETHER], at)
        index.put(document, parts, np.asarray(vectors[at : at + TOGETHER]), {})
    index.close()
    embedder.close()
    _docs["docs"] = llar.Collection(name, config=CONFIG)
    return {"chunks": _docs["docs"].index.counts()["chunks"]}


def search(asked: Mapping[str, Any]) -> dict[str, Any]:
    """`llar search QUERY`, in a collection that is open."""
    start = time.perf_counter()
    hits = _docs["docs"].search(asked["query"], k=asked["k"], mode=asked["mode"])
    return {"seconds": time.perf_counter() - start, "found": [h.chunk.text for h in hits]}


def _document(texts: list[str], number: int) -> tuple[Document, list[Chunk]]:
    whole = "\n\n".join(texts)
    parts, at = [], 0
    for text in texts:
        parts.append(Chunk(text, at, at + len(text)))
        at += len(text) + 2
    data = whole.encode()
    digest = hashlib.sha256(data).hexdigest()
    document = Document(whole, f"/filled/{number}.txt", "txt", len(data), digest, language="en")
    return document, parts


if __name__ == "__main__":
    serve({"load": load, "ingest": ingest, "split": split, "embed": embed, "fill": fill,
           "search": search})  # fmt: skip
