"""sentence-transformers as its documentation says, in float32."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from wire import MODEL, serve

_model: list[SentenceTransformer] = []


def load(_: Mapping[str, Any]) -> dict[str, Any]:
    """Load the model."""
    _model.append(SentenceTransformer(MODEL, device="cpu"))
    return {}


def embed(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Embed the texts of a JSON file and save the vectors."""
    texts = json.loads(Path(asked["texts"]).read_text(encoding="utf-8"))
    start = time.perf_counter()
    vectors = _model[0].encode(texts, batch_size=asked["batch"], normalize_embeddings=True)
    seconds = time.perf_counter() - start
    np.save(asked["into"], vectors)
    return {"seconds": seconds}


if __name__ == "__main__":
    serve({"load": load, "embed": embed})
