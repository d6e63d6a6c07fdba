"""Decoders with experts, of which each token uses a few."""

from __future__ import annotations

from dataclasses import replace

from ...shape import Shape
from .build import Experts, Latent, Style
from .common import dims, finish, windows
from .fields import Fields

_COUNT = "num_local_experts|num_experts|n_routed_experts"
_USED = "num_experts_per_tok|num_experts_per_token"


def mixtral(f: Fields) -> Shape:
    count, used = f.sizes(_COUNT, _USED)
    d = dims(f, kv=8)
    return finish(f, d, Style(), experts=Experts(count, used, d.ffn),
                  windows=windows(f, d.layers, lambda _: True))  # fmt: skip


def granitemoe(f: Fields) -> Shape:
    count, used = f.sizes(_COUNT, _USED)
    d = dims(f)
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention)
    return finish(f, d, s, experts=Experts(count, used, d.ffn))


def qwen2_moe(f: Fields) -> Shape:
    shared = f.sizes("shared_expert_intermediate_size", _COUNT, _USED, "moe_intermediate_size")[0]
    d = dims(f, kv=16)
    experts = replace(_qwen_experts(f), shared=shared, shared_gate=True)
    found: tuple[int, ...] = ()
    if f.flag("use_sliding_window", False):
        first = f.size("max_window_layers", 28, least=0)
        found = windows(f, d.layers, lambda i: i % 2 == 0 and i < first)
    s = Style(qkv_bias=f.flag("qkv_bias", True))
    return finish(f, d, s, experts=experts, windows=found)


def qwen3_moe(f: Fields) -> Shape:
    f.sizes(_COUNT, _USED, "moe_intermediate_size")
    d = dims(f, kv=4)
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention, qk_norm="head")
    found: tuple[int, ...] = ()
    if f.flag("use_sliding_window", False):
        found = windows(f, d.layers, lambda _: True)
    return finish(f, d, s, experts=_qwen_experts(f), windows=found)


def _qwen_experts(f: Fields) -> Experts:
    count, used, width = f.sizes(_COUNT, _USED, "moe_intermediate_size")
    step = f.size("decoder_sparse_step", 1)
    dense = f.numbers("mlp_only_layers") or ()
    return Experts(count, used, width, lambda i: i not in dense and (i + 1) % step == 0)


def deepseek(f: Fields) -> Shape:
    """DeepSeek V2 and V3 (R1 too): latent attention, the first layers dense, shared experts."""
    count, used, width, rank, rope, nope, value = f.sizes(
        _COUNT, _USED, "moe_intermediate_size", "kv_lora_rank", "qk_rope_head_dim",
        "qk_nope_head_dim", "v_head_dim",
    )  # fmt: skip
    d = replace(dims(f.using(head_dim=1)), head_dim=nope + rope)
    if f.absent("q_lora_rank"):
        f.usual("q_lora_rank", 1536)
    q_rank = f.size("q_lora_rank", 1536 if f.absent("q_lora_rank") else 0, least=0)
    latent = Latent(q_rank, rank, nope, rope, value, f.flag("attention_bias", False))
    first = f.size("first_k_dense_replace", 0, least=0)
    shared = f.size("n_shared_experts", 0, least=0) * width
    corrected = f.model_type != "deepseek_v2"
    experts = Experts(count, used, width, lambda i: i >= first, shared, correction=corrected)
    if f.size("num_nextn_predict_layers", 0, least=0):
        f.notes.append("the layers that predict further tokens (num_nextn_predict_layers) are not "
                       "counted: running the model does without them")  # fmt: skip
    return finish(f, d, Style(), experts=experts, latent=latent)


def gpt_oss(f: Fields) -> Shape:
    count, used = f.sizes(_COUNT, _USED)
    d = dims(f, head_dim=64, kv=8)
    attention = f.flag("attention_bias", True)
    s = Style(qkv_bias=attention, out_bias=attention, sinks=True,
              norms=("attn_norm", "post_attention_norm"))  # fmt: skip
    experts = Experts(count, used, d.ffn, bias=True)
    f.usual("sliding_window", 128)
    seen = f.using(sliding_window=128)
    return finish(f, d, s, experts=experts, windows=windows(seen, d.layers, lambda i: i % 2 == 0))


def llama4(f: Fields) -> Shape:
    """The text part: experts in every layer (Scout) or every second one (Maverick)."""
    count, used, width = f.sizes(_COUNT, _USED, "intermediate_size")
    f.sizes("intermediate_size_mlp")
    d = dims(f, ffn="intermediate_size_mlp", head_dim=128, kv=8)
    step = f.size("interleave_moe_layer_step", 1)
    chosen = f.numbers("moe_layers")
    having = frozenset(range(step - 1, d.layers, step) if chosen is None else chosen)
    every = f.size("no_rope_layer_interval", 4)
    rope = f.numbers("no_rope_layers") or tuple((i + 1) % every for i in range(d.layers))
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention)
    experts = Experts(count, used, width, having.__contains__, shared=width)
    f.usual("attention_chunk_size", 8192)
    seen = f.using(attention_chunk_size=8192)
    found = windows(seen, d.layers, lambda i: bool(rope[i]), "attention_chunk_size")
    return finish(f, d, s, experts=experts, windows=found)
