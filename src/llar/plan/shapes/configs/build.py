"""Enumerate the tensors of a transformer from its dimensions, under llama.cpp's names.

What each family has is compared in the tests with what transformers builds from the same config.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...shape import Tensor

__all__ = ["Dims", "Experts", "Latent", "Parts", "Style", "Tensors", "decoder"]


@dataclass(frozen=True, slots=True)
class Dims:
    """The numbers that every decoder has."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    context: int
    tied: bool


@dataclass(frozen=True, slots=True)
class Style:
    """What a family's layers have beside the matrices all of them have."""

    qkv_bias: bool = False
    out_bias: bool = False
    ffn_bias: bool = False
    norm_bias: bool = False
    head_bias: bool = False
    fused_qkv: bool = False
    ffn: str = "gated"  # "gated"; "fused" gate and up in one matrix; "plain" without a gate
    norms: tuple[str, ...] = ("attn_norm", "ffn_norm")
    qk_norm: str = ""  # "head": one for all heads; "heads": one each; "all": over all heads at once
    sinks: bool = False
    embedding_norm: bool = False
    output_norm: bool = True
    positions: int = 0  # learned ones
    embedding: int = 0  # width of the token embedding where it is not the hidden size


@dataclass(frozen=True, slots=True)
class Experts:
    """Feed-forward parts of which a token uses a few, in the layers `has` says yes to."""

    count: int
    used: int
    width: int
    has: Callable[[int], bool] = lambda _: True
    shared: int = 0  # width of the one that every token uses
    shared_gate: bool = False
    bias: bool = False
    correction: bool = False  # a bias on the choice, DeepSeek's balancing without a loss


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434)."""

    q_rank: int  # 0: queries are not compressed
    kv_rank: int
    nope: int
    rope: int
    value: int
    bias: bool = False


class Tensors:
    """A list of tensors being written."""

    def __init__(self) -> None:
        self.found: list[Tensor] = []

    def weight(self, name: str, *shape: int, bias: bool = False) -> None:
        """A weight and, where there is one, its bias: one value for each row."""
        self.found.append(Tensor(f"{name}.weight", shape))
        if bias:
            self.found.append(Tensor(f"{name}.bias", shape[:-1] if len(shape) > 1 else shape))


@dataclass(frozen=True, slots=True)
class Parts:
    """What `decoder` needs beside dimensions and style; most models have neither."""

    experts: Experts | None = None
    latent: Latent | None = None
    head: bool = True  # has an output head, tied or not


def decoder(d: Dims, s: Style, p: Parts = Parts()) -> tuple[Tensor, ...]:
    """Every tensor of a decoder, in the order a model uses them."""
    t = Tensors()
    t.weight("token_embd", d.vocabulary, s.embedding or d.hidden)
    if s.positions:
        t.weight("position_embd", s.positions, d.hidden)
    if s.embedding_norm:
        t.weight("token_embd_norm", d.hidden, bias=s.norm_bias)
    for layer in range(d.layers):
        block = f"blk.{layer}."
        for norm in s.norms:
            t.weight(block + norm, d.hidden, bias=s.norm_bias)
        if p.latent:
            _latent_attention(t, block, d, p.latent)
        else:
            _attention(t, block, d, s)
        if p.experts and p.experts.has(layer):
            _experts(t, block, d.hidden, p.experts)
        else:
            _feed_forward(t, block, d, s)
    if s.output_norm:
        t.weight("output_norm", d.hidden, bias=s.norm_bias)
    if p.head and not d.tied:
        t.weight("output", d.vocabulary, d.hidden, bias=s.head_bias)
    return tuple(t.found)


def _attention(t: Tensors, block: str, d: Dims, s: Style) -> None:
    q, kv = d.heads * d.head_dim, d.kv_heads * d.head_dim
    if s.fused_qkv:
        t.weight(f"{block}attn_qkv", q + 2 * kv, d.hidden, bias=s.qkv_bias)
    else:
        t.weight(f"{block}attn_q", q, d.hidden, bias=s.qkv_bias)
        t.weight(f"{block}attn_k", kv, d.hidden, bias=s.qkv_bias)
        t.weight(f"{block}attn_v", kv, d.hidden, bias=s.qkv_bias)
    t.weight(f"{block}attn_output", d.hidden, q, bias=s.out_bias)
    if s.qk_norm == "head":
        t.weight(f"{block}attn_q_norm", d.head_dim)
        t.weight(f"{block}attn_k_norm", d.head_dim)
    elif s.qk_norm == "heads":
        t.weight(f"{block}attn_q_norm", d.heads, d.head_dim)
        t.weight(f"{block}attn_k_norm", d.kv_heads, d.head_dim)
    elif s.qk_norm == "all":
        t.weight(f"{block}attn_q_norm", q)
        t.weight(f"{block}attn_k_norm", kv)
    if s.sinks:
        t.weight(f"{block}attn_sinks", d.heads)


def _latent_attention(t: Tensors, block: str, d: Dims, m: Latent) -> None:
    key = m.nope + m.rope
    if m.q_rank:
        t.weight(f"{block}attn_q_a", m.q_rank, d.hidden, bias=m.bias)
        t.weight(f"{block}attn_q_a_norm", m.q_rank)
        t.weight(f"{block}attn_q_b", d.heads * key, m.q_rank)
    else:
        t.weight(f"{block}attn_q", d.heads * key, d.hidden)
    t.weight(f"{block}attn_kv_a_mqa", m.kv_rank + m.rope, d.hidden, bias=m.bias)
    t.weight(f"{block}attn_kv_a_norm", m.kv_rank)
    t.weight(f"{block}attn_kv_b", d.heads * (m.nope + m.value), m.kv_rank)
    t.weight(f"{block}attn_output", d.hidden, d.heads * m.value, bias=m.bias)


def _feed_forward(t: Tensors, block: str, d: Dims, s: Style) -> None:
    if s.ffn == "gated":
        t.weight(f"{block}ffn_gate", d.ffn, d.hidden, bias=s.ffn_bias)
    rows = 2 * d.ffn if s.ffn == "fused" else d.ffn
    t.weight(f"{block}ffn_up", rows, d.hidden, bias=s.ffn_bias)
    t.weight(f"{block}ffn_down", d.hidden, d.ffn, bias=s.ffn_bias)


def _experts(t: Tensors, block: str, hidden: int, e: Experts) -> None:
    t.weight(f"{block}ffn_gate_inp", e.count, hidden, bias=e.bias)
    if e.correction:
        t.found.append(Tensor(f"{block}exp_probs_b.bias", (e.count,)))
    t.weight(f"{block}ffn_gate_exps", e.count, e.width, hidden, bias=e.bias)
    t.weight(f"{block}ffn_up_exps", e.count, e.width, hidden, bias=e.bias)
    t.weight(f"{block}ffn_down_exps", e.count, hidden, e.width, bias=e.bias)
    if e.shared:
        if e.shared_gate:
            t.weight(f"{block}ffn_gate_inp_shexp", 1, hidden)
        t.weight(f"{block}ffn_gate_shexp", e.shared, hidden)
        t.weight(f"{block}ffn_up_shexp", e.shared, hidden)
        t.weight(f"{block}ffn_down_shexp", hidden, e.shared)
