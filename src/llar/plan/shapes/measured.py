"""Read a model's dimensions off the shapes of its tensors, where nothing else states them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import PlanError
from ..shape import Shape, Tensor
from .configs.fields import Fields

__all__ = ["Measured", "estimate", "measure"]

_ENCODER_PARTS = ("token_types", "blk.0.attn_output_norm")


@dataclass(frozen=True, slots=True)
class Measured:
    """What tensor shapes tell; 0 where they are silent."""

    layers: int
    hidden: int
    vocabulary: int
    queries: int  # width of all heads together
    keys: tuple[int, ...]  # per layer, width of K; 0 for a layer without attention
    values: tuple[int, ...]
    head_dim: int
    ffn: int  # of a dense layer, or of one expert where all have them
    experts: int
    gated: bool
    head: bool  # there is an output matrix
    encoder: bool


def measure(tensors: Sequence[Tensor]) -> Measured:
    """What the shapes of `tensors`, under llama.cpp's names, say of the model."""
    sizes = {t.name.removesuffix(".weight"): t.shape for t in tensors}
    numbers = {t.layer for t in tensors if t.layer is not None}
    layers = max(numbers) + 1 if numbers else 0
    embedding = sizes.get("token_embd", ())
    vocabulary, hidden = embedding if len(embedding) == 2 else (0, 0)

    def first(*parts: str) -> tuple[int, ...]:
        return next((sizes[n] for i in sorted(numbers) for p in parts
                     if (n := f"blk.{i}.{p}") in sizes), ())  # fmt: skip

    output, norm = first("attn_output"), first("attn_k_norm")
    queries = output[1] if len(output) == 2 else 0
    dense, down = first("ffn_down"), first("ffn_down_exps")
    ffn = dense[1] if len(dense) == 2 else down[-1] if down else 0
    up = first("ffn_up")
    return Measured(
        layers=layers,
        hidden=hidden,
        vocabulary=vocabulary,
        queries=queries,
        keys=tuple(_cached(sizes, i, "k", queries) for i in range(layers)),
        values=tuple(_cached(sizes, i, "v", queries) for i in range(layers)),
        head_dim=norm[-1] if norm else 0,
        ffn=ffn,
        experts=down[0] if down else 0,
        gated=bool(first("ffn_gate", "ffn_gate_exps")) or (len(up) == 2 and up[0] == 2 * ffn),
        head="output" in sizes,
        encoder=any(n in sizes for n in _ENCODER_PARTS),
    )


def _cached(sizes: Mapping[str, tuple[int, ...]], layer: int, which: str, queries: int) -> int:
    """Width of a layer's K or V: its own matrix, or its share of a fused one."""
    own = sizes.get(f"blk.{layer}.attn_{which}", ())
    if own:
        return own[0]
    fused = sizes.get(f"blk.{layer}.attn_qkv", ())
    return max(fused[0] - queries, 0) // 2 if fused else 0


def estimate(tensors: Sequence[Tensor], table: Mapping[str, Any], source: str,
             name: str) -> Shape:  # fmt: skip
    """The Shape of a model of a family nobody here knows, from its tensors and what is stated.

    `table` is its config.json, {} without one. All that had to be guessed is in `assumed`.
    Raises PlanError where the tensors are not those of a transformer.
    """
    m = measure(tensors)
    f = Fields(table, source, str(table.get("model_type") or "unknown"))
    lacking = [what for what, there in (
        ("a token embedding", m.hidden), ("numbered layers", m.layers),
        ("an output of its attention", m.queries), ("keys", any(m.keys)),
        ("a feed-forward part", m.ffn),
    ) if not there]  # fmt: skip
    if lacking:
        raise PlanError(
            f"{source}: among its {len(tensors)} tensors, llar finds no {', no '.join(lacking)}; "
            "it may be no transformer, or one whose names are unknown"
        )
    notes = [f"{f.model_type!r} is no architecture llar knows: dimensions are read off the shapes "
             "of its tensors"]  # fmt: skip
    head_dim = _head_dim(m, f, notes)
    context = f.size("max_position_embeddings|n_positions|seq_length|max_seq_len", 0)
    used = f.size("num_experts_per_tok|num_experts_per_token|moe_topk|moe_k", 0)
    if m.experts and not used:
        used = m.experts
        notes.append("nothing states how many experts a token uses; all are taken")
    if f.has("sliding_window") or f.has("layer_types"):
        notes.append("layers may look back on a window only; the whole context is taken")
    return Shape(
        name=name,
        architecture=f.model_type,
        layers=m.layers,
        hidden=m.hidden,
        heads=m.queries // head_dim,
        kv_heads=max(m.keys) // head_dim,
        head_dim=head_dim,
        ffn=m.ffn,
        vocabulary=m.vocabulary,
        context=context,
        tied=not m.head,
        tensors=tuple(tensors),
        experts=m.experts,
        experts_used=min(used, m.experts),
        kv_widths=() if m.encoder else tuple(zip(m.keys, m.values, strict=True)),
        encoder=m.encoder,
        gated=m.gated,
        source=source,
        assumed=tuple(notes + f.notes),
    )


def _head_dim(m: Measured, f: Fields, notes: list[str]) -> int:
    """Width of one head: stated, of a norm over it, or the usual 128 or 64."""
    width = max(m.keys)
    heads = f.size("num_attention_heads|n_head|n_heads", 0)
    stated = f.size("head_dim", 0) or (m.queries // heads if heads else 0)
    for number in (stated, m.head_dim):
        if number and not m.queries % number and not width % number:
            return number
    for number in (128, 64, 1):
        if not m.queries % number and not width % number:
            break
    notes.append(f"nothing states how wide a head is; {number} is taken (memory does not depend "
                 "on it)")  # fmt: skip
    return number
