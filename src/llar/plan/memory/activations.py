"""What a forward pass keeps for the backward pass, per token and layer.

Taken from the autograd rules of PyTorch and the code of transformers (models/llama), with fused
attention (scaled_dot_product_attention), and checked byte by byte against what autograd saves for
Llama, Mistral, Qwen2 and Qwen3. Of a layer of width h, with q = heads x head_dim for the queries
and kv = kv_heads x head_dim, it keeps:

- each of two norms: its input in float32 (4h) and one scale (4); where the norm's own weight is
  trained, also the normalised vector (2h);
- the input of the projections to queries, keys and values (2h), and that of gate and up (2h): a
  matrix needs its input for its own gradient, and an adapter on it likewise. Only where one of
  them is trained;
- attention: queries (2q), keys and values (4kv), output (2q) and a float32 sum for each head (4
  heads). The output is the input of the output projection too;
- feed-forward: gate, its activation and up (6ffn), their product (2ffn) where down is trained;
- each adapter: what its first matrix gives (2r).

With q = h that makes 20h + 4kv + 8ffn + 4heads + 8 bytes when all is trained in 16 bit, and
16h + 4kv + 8ffn + 4heads + 14r + 8 with adapters of rank r on all seven matrices. A norm on
queries and keys (Qwen3) adds theirs. Checkpointing keeps a layer's input alone, 2h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..shape import Shape, Tensor

__all__ = ["Compute", "Layer", "Term", "bytes_of", "layer_terms", "layers"]

Compute = Literal["16-bit", "fp32", "autocast"]

_BYTES: dict[str, tuple[int, int, int]] = {  # per element: all in 16 bit, all in fp32, autocast
    "norm inputs": (4, 4, 4),
    "norm scales": (4, 4, 4),
    "normalised, for the norms' weights": (2, 4, 4),
    "input of query, key and value": (2, 4, 2),
    "queries": (2, 4, 2),
    "keys and values": (2, 4, 2),
    "attention output": (2, 4, 2),
    "attention sums": (4, 4, 4),
    "input of the output projection": (0, 0, 2),  # else the attention output itself
    "input of gate and up": (2, 4, 2),
    "gate, activation and up": (2, 4, 2),
    "product, the input of down": (2, 4, 2),
    "adapters": (2, 4, 2),
    "outputs of the experts": (2, 4, 2),
    "query and key norms": (4, 4, 4),
    "query and key normalised": (2, 4, 4),
    "checkpoint": (2, 4, 4),
}
_COLUMNS = {"16-bit": 0, "fp32": 1, "autocast": 2}

_CHECKED = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


@dataclass(frozen=True, slots=True)
class Layer:
    """The widths of one layer as its activations see them, in elements per token."""

    hidden: int
    queries: int
    keys: int  # of keys and of values together
    heads: int
    ffn: int  # of all feed-forward parts a token passes through
    branches: int  # of them: 1, or the experts used
    gated: bool
    normed: int  # queries and keys, where they have norms of their own
    norm_scales: int
    parts: frozenset[str]  # its matrices: "attn_q" ...
    used: int  # experts used, 0 in a layer without


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is kept: elements per token, bytes of each."""

    name: str
    elements: int
    width: int

    @property
    def bytes(self) -> int:
        """Bytes per token."""
        return self.elements * self.width


def layers(shape: Shape) -> tuple[Layer, ...]:
    """The widths of every layer, from its tensors."""
    by_layer: dict[int, dict[str, Tensor]] = {n: {} for n in range(shape.layers)}
    for tensor in shape.tensors:
        if tensor.layer is not None and tensor.name.endswith(".weight"):
            by_layer.setdefault(tensor.layer, {})[tensor.part] = tensor
    return tuple(_layer(shape, number, parts) for number, parts in sorted(by_layer.items()))


def _layer(shape: Shape, number: int, parts: dict[str, Tensor]) -> Layer:
    queries = parts["attn_q"].shape[0] if "attn_q" in parts else shape.heads * shape.head_dim
    keys = 2 * shape.kv_heads * shape.head_dim
    if "attn_k" in parts and "attn_v" in parts:
        keys = parts["attn_k"].shape[0] + parts["attn_v"].shape[0]
    normed = queries + parts["attn_k"].shape[0] if {"attn_q_norm", "attn_k"} <= set(parts) else 0
    ffn, branches = _feed_forward(shape, parts)
    return Layer(
        shape.hidden, queries, keys, shape.heads, ffn, branches, shape.gated,
        normed, shape.heads + shape.kv_heads if normed else 0,
        frozenset(parts), shape.experts_used if "ffn_down_exps" in parts else 0,
    )  # fmt: skip


def _feed_forward(shape: Shape, parts: dict[str, Tensor]) -> tuple[int, int]:
    """The width a token passes through, of the dense part or the experts used, and their number."""
    width = branches = 0
    for part, tensor in parts.items():
        if part == "ffn_down_exps":
            width += shape.experts_used * tensor.shape[-1]
            branches += shape.experts_used
        elif part in ("ffn_down", "ffn_down_shexp"):
            width += tensor.shape[-1]
            branches += 1
    return (width, branches) if branches else (shape.ffn, 1)


def layer_terms(
    layer: Layer, compute: Compute, *, full: bool, targets: frozenset[str], rank: int
) -> tuple[Term, ...]:
    """What one layer keeps for each token.

    `targets` are the parts that are trained or have adapters ("attn_q", "ffn_down" ...): all of
    them when `full`.
    """
    return tuple(
        Term(name, elements, _BYTES[name][_COLUMNS[compute]])
        for name, elements in _elements(layer, compute, full, targets & layer.parts, rank)
        if elements and _BYTES[name][_COLUMNS[compute]]
    )


def _elements(
    layer: Layer, compute: Compute, full: bool, targets: frozenset[str], rank: int
) -> Iterator[tuple[str, int]]:
    into = [p for p in ("attn_q", "attn_k", "attn_v", "attn_qkv") if p in targets]
    up = [p for p in ("ffn_gate", "ffn_up") if _on(p, targets)]
    # under autocast every matrix casts its input for itself; else they share one
    copies = len(into) if compute == "autocast" else min(len(into), 1)
    up_copies = len(up) if compute == "autocast" else min(len(up), 1)
    yield "norm inputs", 2 * layer.hidden
    yield "norm scales", 2
    yield "normalised, for the norms' weights", 2 * layer.hidden * full
    yield "input of query, key and value", copies * layer.hidden
    yield "query and key norms", layer.normed + layer.norm_scales
    yield "query and key normalised", layer.normed * full
    yield "queries", layer.queries
    yield "keys and values", layer.keys
    yield "attention output", layer.queries
    yield "attention sums", layer.heads
    yield "input of the output projection", layer.queries * ("attn_output" in targets and not full)
    yield "input of gate and up", up_copies * layer.hidden * layer.branches
    yield "gate, activation and up", (3 if layer.gated else 1) * layer.ffn
    yield "product, the input of down", layer.ffn * _on("ffn_down", targets)
    yield "outputs of the experts", layer.hidden * layer.branches if layer.branches > 1 else 0
    yield "adapters", rank * sum(layer.used if p.endswith("_exps") else 1 for p in targets)


def _on(part: str, targets: frozenset[str]) -> bool:
    return any(p in targets for p in (part, f"{part}_exps", f"{part}_shexp"))


def bytes_of(terms: tuple[Term, ...]) -> int:
    """Bytes per token of some terms together."""
    return sum(term.bytes for term in terms)


def checkpoint_bytes(hidden: int, compute: Compute) -> int:
    """What a checkpointed layer keeps for each token: its input."""
    return hidden * _BYTES["checkpoint"][_COLUMNS[compute]]


def is_checked(shape: Shape) -> bool:
    """Whether the terms were checked against autograd for models of this kind."""
    plain = shape.gated and not shape.encoder and not shape.experts
    return plain and shape.architecture in _CHECKED
