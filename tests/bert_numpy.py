"""BERT's forward pass in plain numpy, float32: the second implementation of the embedding tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_erf = np.vectorize(erf, otypes=[np.float32])


def forward(
    tensors: Mapping[str, Array],
    ids: Sequence[int],
    *,
    layers: int,
    heads: int,
    epsilon: float,
    first: int = 0,
) -> Array:
    """The last layer's states, shape (tokens, dimension). `first` is the first token's position."""

    def linear(x: Array, name: str) -> Array:
        y: Array = x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
        return y

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        y: Array = scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
        return y

    def split(x: Array) -> Array:
        return x.reshape(len(x), heads, -1).transpose(1, 0, 2)

    x = (
        tensors["embeddings.word_embeddings.weight"][list(ids)]
        + tensors["embeddings.position_embeddings.weight"][first : first + len(ids)]
        + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(x, "embeddings.LayerNorm")
    for n in range(layers):
        at = f"encoder.layer.{n}"
        q, k, v = (split(linear(x, f"{at}.attention.self.{p}")) for p in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        merged = mixed.transpose(1, 0, 2).reshape(len(x), -1)
        x = norm(
            x + linear(merged, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
        )
        inner = linear(x, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + _erf(inner / np.sqrt(2)))  # gelu
        x = norm(x + linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return np.asarray(x, np.float32)


def unit(x: Array) -> Array:
    """Rows of length 1."""
    y: Array = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return y


def random_tensors(config: Mapping[str, Any], seed: int = 0) -> dict[str, Array]:
    """Random weights for every tensor that `forward` reads."""
    rng = np.random.default_rng(seed)
    d, f = config["hidden_size"], config["intermediate_size"]

    def some(*shape: int) -> Array:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": some(config["vocab_size"], d),
        "embeddings.position_embeddings.weight": some(config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": some(config["type_vocab_size"], d),
    }
    norms = ["embeddings.LayerNorm"]
    for n in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{n}"
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
        shapes = {f"{at}.attention.self.{p}": (d, d) for p in ("query", "key", "value")}
        shapes |= {f"{at}.attention.output.dense": (d, d), f"{at}.intermediate.dense": (f, d),
                   f"{at}.output.dense": (d, f)}  # fmt: skip
        for name, shape in shapes.items():
            tensors |= {f"{name}.weight": some(*shape), f"{name}.bias": some(shape[0])}
    for name in norms:
        tensors |= {f"{name}.weight": 1 + some(d), f"{name}.bias": some(d)}
    return tensors
