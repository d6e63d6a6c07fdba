"""What a child process does for the server, for each kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ...config import Config
from ...models import open_compressor, open_embedder, open_reranker
from ...models.bert import BertEmbedder
from ...models.interface import Embedder, TokenEmbedder
from ...models.llamacpp import LlamaChat
from ...models.threads import free_cores
from .batches import Batches
from .calls import Method

__all__ = ["load"]


def load(
    kind: str, name: str, slots: int, config: Config
) -> tuple[dict[str, Any], dict[str, Method]]:
    """Load a model; what the server needs to know of it, and what it may call.

    Raises what opening the model raises.
    """
    if kind == "chat":
        model = LlamaChat.open(config, name.partition(":")[2], slots=slots)
        return {"talk": model.place(), "context": model.context}, {
            "logprobs": lambda body: (
                [[t.start, t.end, t.logprob] for t in model.logprobs(body["text"], body["given"])],
                (),
            )
        }
    if kind == "embedding":
        return _embedder(replace(config, threads=config.threads or free_cores()), name)
    if kind == "reranker":
        reranker = open_reranker(config, name)
        return {}, {"rerank": lambda body: (reranker.rerank(body["query"], body["texts"]), ())}
    compressor = open_compressor(config, name)
    return {}, {
        "worths": lambda body: (
            [[w.start, w.end, w.worth] for w in compressor.worths(body["text"])],
            (),
        )
    }


def _embedder(config: Config, name: str) -> tuple[dict[str, Any], dict[str, Method]]:
    model = open_embedder(config, name)
    place = {"identity": asdict(model.identity), "max_tokens": model.max_tokens}
    methods: dict[str, Method] = {
        "embed": _embed(model, config.threads),
        "count": lambda body: (model.count_tokens(body["text"]), ()),
    }
    if isinstance(model, TokenEmbedder):
        methods["tokens"] = _tokens(model)
    return {**place, "tokens": "tokens" in methods}, methods


def _embed(model: Embedder, threads: int) -> Method:
    if not isinstance(model, BertEmbedder):
        return lambda body: (None, [_each(model, body)])
    batches = Batches(model, threads)

    def embed(body: Mapping[str, Any]) -> tuple[None, list[np.ndarray[Any, Any]]]:
        return None, [batches.vectors(model.token_ids(body["texts"], query=body["query"]))]

    return embed


def _each(model: Embedder, body: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    if not body["query"]:
        return model.embed_documents(body["texts"])
    return np.stack([model.embed_query(text) for text in body["texts"]])


def _tokens(model: TokenEmbedder) -> Method:
    def tokens(body: Mapping[str, Any]) -> tuple[Any, list[np.ndarray[Any, Any]]]:
        vectors, offsets = model.embed_tokens(body["text"])
        return offsets, [vectors]

    return tokens
