"""Decoders that are like Llama, and how each family differs from it.

Each function follows the modelling code of transformers for that model_type
(src/transformers/models/NAME/), with which the tests compare it.
"""

from __future__ import annotations

from dataclasses import replace

from ...shape import Shape
from .build import Style
from .common import dims, finish, windows
from .fields import Fields

_FOUR_NORMS = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")


def _biases(f: Fields) -> Style:
    attention = f.flag("attention_bias", False)
    return Style(qkv_bias=attention, out_bias=attention, ffn_bias=f.flag("mlp_bias", False))


def llama(f: Fields) -> Shape:
    """Llama 1 to 3.3, Granite, Salamandra and all that took over their layout."""
    return finish(f, dims(f), _biases(f))


def mistral(f: Fields) -> Shape:
    """Mistral; a sliding_window of null, which its later models state, is none."""
    d = dims(f, kv=8)
    seen = f
    if f.absent("sliding_window"):
        f.usual("sliding_window", 4096)
        seen = f.using(sliding_window=4096)
    return finish(f, d, Style(), windows=windows(seen, d.layers, lambda _: True))


def ministral3(f: Fields) -> Shape:
    d = dims(f, head_dim=128, kv=8)
    return finish(f, d, Style(), windows=windows(f, d.layers, lambda _: True))


def smollm3(f: Fields) -> Shape:
    d = dims(f, tied=True, kv=4)
    every = f.size("no_rope_layer_interval", 4)
    rope = f.numbers("no_rope_layers") or tuple((i + 1) % every for i in range(d.layers))
    on = f.flag("use_sliding_window", False)
    return finish(f, d, _biases(f), windows=windows(f, d.layers, lambda i: on and not rope[i]))


def qwen2(f: Fields) -> Shape:
    d = dims(f, kv=32)
    return finish(f, d, Style(qkv_bias=True), windows=_top_layers(f, d.layers))


def qwen3(f: Fields) -> Shape:
    d = dims(f, head_dim=128, kv=32)
    s = replace(_biases(f), qk_norm="head")
    return finish(f, d, s, windows=_top_layers(f, d.layers))


def _top_layers(f: Fields, layers: int) -> tuple[int, ...]:
    """Qwen's windows: off unless use_sliding_window, then from layer max_window_layers on."""
    if not f.flag("use_sliding_window", False):
        return ()
    first = f.size("max_window_layers", 28, least=0)
    return windows(f, layers, lambda i: i >= first)


def gemma(f: Fields) -> Shape:
    return finish(f, dims(f, tied=True, head_dim=256, kv=16), _biases(f))


def gemma2(f: Fields) -> Shape:
    d = dims(f, tied=True, head_dim=256, kv=4)
    f.usual("sliding_window", 4096)
    seen = f.using(sliding_window=4096)
    s = replace(_biases(f), norms=_FOUR_NORMS)
    return finish(f, d, s, windows=windows(seen, d.layers, lambda i: i % 2 == 0))


def gemma3(f: Fields) -> Shape:
    """The text part; a published text_config leaves out what is transformers' default."""
    usual = {"num_attention_heads": 8, "vocab_size": 262_208, "max_position_embeddings": 131_072,
             "sliding_window": 4096}  # fmt: skip
    for key, number in usual.items():
        f.usual(key, number)
    seen = f.using(**usual)
    d = dims(seen, tied=True, head_dim=256, kv=4)
    s = replace(_biases(f), norms=_FOUR_NORMS, qk_norm="head")
    every = f.size("sliding_window_pattern|_sliding_window_pattern", 6)
    found = finish(seen, d, s, windows=windows(seen, d.layers, lambda i: (i + 1) % every != 0))
    if not f.flag("use_bidirectional_attention", False):
        return found
    return replace(found, encoder=True, kv_widths=())


def phi3(f: Fields) -> Shape:
    """Phi-3, Phi-4 and Phi-4-mini."""
    d = dims(f)
    s = Style(fused_qkv=True, ffn="fused")
    return finish(f, d, s, windows=windows(f, d.layers, lambda _: True))


def phi(f: Fields) -> Shape:
    """Phi-1 to Phi-2: attention and feed-forward part side by side behind one norm."""
    d = dims(f)
    s = Style(qkv_bias=True, out_bias=True, ffn_bias=True, norm_bias=True, head_bias=True,
              ffn="plain", norms=("attn_norm",))  # fmt: skip
    return finish(f, d, s)


def olmo(f: Fields) -> Shape:
    """OLMo 1, whose norms have no weights."""
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention, norms=(), output_norm=False)
    return finish(f, dims(f), s)


def olmo2(f: Fields) -> Shape:
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention, qk_norm="all",
              norms=("post_attention_norm", "post_ffw_norm"))  # fmt: skip
    d = dims(f)
    if f.model_type != "olmo3":
        return finish(f, d, s)
    f.usual("sliding_window", 4096)
    seen = f.using(sliding_window=4096)
    return finish(f, d, s, windows=windows(seen, d.layers, lambda i: (i + 1) % 4 != 0))


def cohere(f: Fields) -> Shape:
    """Command R: attention and feed-forward part side by side behind one norm."""
    d = dims(f, tied=True)
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention, norms=("attn_norm",),
              qk_norm="heads" if f.flag("use_qk_norm", False) else "")  # fmt: skip
    return finish(f, d, s)


def cohere2(f: Fields) -> Shape:
    d = dims(f, tied=True)
    attention = f.flag("attention_bias", False)
    s = Style(qkv_bias=attention, out_bias=attention, norms=("attn_norm",))
    f.usual("sliding_window", 4096)
    seen = f.using(sliding_window=4096)
    every = f.size("sliding_window_pattern|_sliding_window_pattern", 4)
    return finish(f, d, s, windows=windows(seen, d.layers, lambda i: (i + 1) % every != 0))


def starcoder2(f: Fields) -> Shape:
    d = dims(f, tied=True, kv=2)
    on = f.flag("use_bias", True)
    s = Style(qkv_bias=on, out_bias=on, ffn_bias=on, norm_bias=True, ffn="plain")
    return finish(f, d, s, windows=windows(f, d.layers, lambda _: True))
