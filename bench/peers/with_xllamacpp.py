"""The bare engine: llama.cpp through xllamacpp, without llar; runs in llar's environment."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import xllamacpp
from wire import serve

_server: list[Any] = []


def load(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Load the model with the engine's own settings but for context and threads."""
    params = xllamacpp.CommonParams()
    params.model.path = asked["file"]
    params.n_ctx = asked["context"]
    params.n_parallel = 1
    params.verbosity = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    _server.append(xllamacpp.Server(params))
    return {}


def chat(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a prompt greedily; when each piece of text came, in seconds."""
    body = {
        "messages": asked["messages"],
        "max_tokens": asked["tokens"],
        "temperature": 0.0,
        "stream": True,
    }
    came: list[float] = []
    text: list[str] = []

    def receive(event: Any) -> bool:
        data = json.loads(event) if isinstance(event, str) else event
        for one in data if isinstance(data, list) else [data]:
            for choice in one.get("choices", []):
                piece = choice["delta"].get("content")
                if piece:
                    came.append(time.perf_counter() - start)
                    text.append(piece)
        return False  # go on

    start = time.perf_counter()
    _server[0].handle_chat_completions(json.dumps(body), receive)
    return {"came": came, "text": "".join(text)}


if __name__ == "__main__":
    serve({"load": load, "chat": chat})
