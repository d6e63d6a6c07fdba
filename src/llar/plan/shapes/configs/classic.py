"""Decoders from before Llama: learned or linear positions, layer norms with biases, no gates."""

from __future__ import annotations

from dataclasses import replace

from ....errors import PlanError
from ...shape import Shape, Tensor
from .build import Dims, Parts, Style, decoder
from .common import CONTEXT, HEADS, HIDDEN, LAYERS, dims, finish, has_head, shape
from .fields import Fields

_ALL_BIASED = Style(qkv_bias=True, out_bias=True, ffn_bias=True, norm_bias=True, ffn="plain")


def _dims(f: Fields, *, ffn: str = "n_inner", tied: bool = True) -> Dims:
    """As GPT-2 names them; the feed-forward part is four times the hidden size unless stated."""
    layers, hidden, heads, vocabulary = f.sizes(LAYERS, HIDDEN, HEADS, "vocab_size")
    each = f.head_dim(hidden, heads)
    width = f.size(ffn, 4 * hidden)
    context = f.size(CONTEXT, 0)
    return Dims(layers, hidden, heads, heads, each, width, vocabulary, context, f.tied(tied))


def gpt2(f: Fields) -> Shape:
    positions = f.sizes("n_positions|max_position_embeddings", LAYERS, HIDDEN, HEADS)[0]
    return finish(f, _dims(f), replace(_ALL_BIASED, fused_qkv=True, positions=positions))


def gpt_neox(f: Fields) -> Shape:
    """GPT-NeoX and Pythia."""
    attention = f.flag("attention_bias", True)
    s = replace(_ALL_BIASED, fused_qkv=True, qkv_bias=attention, out_bias=attention)
    return finish(f, dims(f), s)


def bloom(f: Fields) -> Shape:
    s = replace(_ALL_BIASED, fused_qkv=True, embedding_norm=True)
    return finish(f, _dims(f), s)


def falcon(f: Fields) -> Shape:
    d = _dims(f, ffn="ffn_hidden_size")
    new = f.flag("new_decoder_architecture", False)
    kv_heads = d.heads
    if new or not f.flag("multi_query", True):
        kv_heads = f.size("num_kv_heads|n_head_kv", d.heads)
    else:
        kv_heads = 1
    norms: tuple[str, ...] = ("attn_norm", "ffn_norm")
    if new:
        if f.size("num_ln_in_parallel_attn", 2) == 2:
            norms = ("attn_norm", "attn_norm_2")
        else:
            norms = ("attn_norm",)
    elif f.flag("parallel_attn", True):
        norms = ("attn_norm",)
    on = f.flag("bias", False)
    s = Style(qkv_bias=on, out_bias=on, ffn_bias=on, norm_bias=True, fused_qkv=True, ffn="plain",
              norms=norms)  # fmt: skip
    return finish(f, replace(d, kv_heads=kv_heads), s)


def opt(f: Fields) -> Shape:
    """OPT; llama.cpp has no names for it, so its projections keep their own."""
    f.sizes(LAYERS, HIDDEN, HEADS, "ffn_dim", "vocab_size", CONTEXT)
    if not f.flag("layer_norm_elementwise_affine", True):
        raise PlanError(f"{f.where}: an OPT whose norms have no weights is not one llar knows")
    d = _dims(f, ffn="ffn_dim")
    on = f.flag("enable_bias", True)
    width = f.size("word_embed_proj_dim", d.hidden)
    before = f.flag("do_layer_norm_before", True) and not f.flag("_remove_final_layer_norm", False)
    s = replace(_ALL_BIASED, qkv_bias=on, out_bias=on, ffn_bias=on, output_norm=before,
                positions=d.context + 2, embedding=width)  # fmt: skip
    tensors = decoder(d, s, Parts(head=has_head(f)))
    if width != d.hidden:
        tensors += (Tensor("model.decoder.project_in.weight", (d.hidden, width)),
                    Tensor("model.decoder.project_out.weight", (width, d.hidden)))  # fmt: skip
    return shape(f, d, s, tensors)
