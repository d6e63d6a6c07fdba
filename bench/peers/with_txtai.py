"""txtai as its documentation says: hybrid Embeddings with content, cut by its Segmentation.

The chunk size is ours (600 characters hold about 160 tokens): the default, 2,048, is more than the
model reads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from txtai import Embeddings
from txtai.pipeline import Segmentation
from txtai.vectors import VectorsFactory
from wire import MODEL, rows, serve

MODES: dict[str, dict[str, Any]] = {
    "hybrid": {"hybrid": True},
    "dense": {},
    "lexical": {"keyword": True},
}

_open: dict[str, Any] = {}


def load(_: Mapping[str, Any]) -> dict[str, Any]:
    """Load the model."""
    _open["docs"] = Embeddings(path=MODEL, content=True, hybrid=True)
    return {}


def ingest(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Index a folder of text files and save the index."""
    segment = Segmentation(chunker="recursive", chunk_size=600)
    files = sorted(Path(asked["folder"]).rglob("*.txt"))
    texts = [text for file in files for text in segment(file.read_text(encoding="utf-8"))]
    _open["docs"].index(texts)
    _open["docs"].save(os.environ["PEER_HOME"] + "/docs")
    return {"documents": len(files), "chunks": _open["docs"].count()}


def fill(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One index per mode, of given texts and vectors; questions are embedded by its own model."""
    texts, vectors = rows(asked["folder"], asked["count"])
    model = VectorsFactory.create({"path": MODEL}, None)
    at = 0

    def embed(some: list[str]) -> Any:
        """The next given vectors while an index is made, the model's afterwards."""
        nonlocal at
        if at < len(texts):
            at += len(some)
            return np.asarray(vectors[at - len(some) : at])
        return model.encode(some)

    for mode, settings in MODES.items():
        at = len(texts) if mode == "lexical" else 0
        outside = {} if mode == "lexical" else {"method": "external", "transform": embed}
        _open[mode] = Embeddings(content=True, **outside, **settings)
        _open[mode].index(texts)
    return {"chunks": _open["hybrid"].count()}


def search(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The texts that fit a question."""
    start = time.perf_counter()
    hits = _open[asked["mode"]].search(asked["query"], asked["k"])
    return {"seconds": time.perf_counter() - start, "found": [hit["text"] for hit in hits]}


if __name__ == "__main__":
    serve({"load": load, "ingest": ingest, "fill": fill, "search": search})
