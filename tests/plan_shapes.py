"""Shapes written out by hand for the tests of `llar plan`, from the models' published configs."""

from __future__ import annotations

from llar.plan.shape import Shape, Tensor


def dense(
    name: str, layers: int, hidden: int, heads: int, kv_heads: int, ffn: int, vocabulary: int,
    *, context: int = 4096, tied: bool = False, head_dim: int = 0, architecture: str = "llama",
    biases: bool = False,
) -> Shape:  # fmt: skip
    """A decoder such as Llama, Mistral or Qwen: RMS norms, gated feed-forward, grouped heads."""
    head_dim = head_dim or hidden // heads
    wide, narrow = heads * head_dim, kv_heads * head_dim
    tensors = [Tensor("token_embd.weight", (vocabulary, hidden))]
    for n in range(layers):
        shapes = {
            "attn_norm.weight": (hidden,), "attn_q.weight": (wide, hidden),
            "attn_k.weight": (narrow, hidden), "attn_v.weight": (narrow, hidden),
            "attn_output.weight": (hidden, wide), "ffn_norm.weight": (hidden,),
            "ffn_gate.weight": (ffn, hidden), "ffn_up.weight": (ffn, hidden),
            "ffn_down.weight": (hidden, ffn),
        }  # fmt: skip
        if biases:
            shapes |= {"attn_q.bias": (wide,), "attn_k.bias": (narrow,), "attn_v.bias": (narrow,)}
        tensors += [Tensor(f"blk.{n}.{part}", size) for part, size in shapes.items()]
    tensors.append(Tensor("output_norm.weight", (hidden,)))
    if not tied:
        tensors.append(Tensor("output.weight", (vocabulary, hidden)))
    return Shape(
        name, architecture, layers, hidden, heads, kv_heads, head_dim, ffn, vocabulary, context,
        tied, tuple(tensors),
    )  # fmt: skip


def mixtral(experts: int = 8, used: int = 2) -> Shape:
    """Mixtral-8x7B: its feed-forward parts are eight experts."""
    shape = dense("mixtral-8x7b", 32, 4096, 32, 8, 14336, 32000, context=32768)
    tensors = [t for t in shape.tensors if "ffn_gate" not in t.name and "ffn_up" not in t.name]
    tensors = [t for t in tensors if "ffn_down" not in t.name]
    for n in range(32):
        tensors += [
            Tensor(f"blk.{n}.ffn_gate_inp.weight", (experts, 4096)),
            Tensor(f"blk.{n}.ffn_gate_exps.weight", (experts, 14336, 4096)),
            Tensor(f"blk.{n}.ffn_up_exps.weight", (experts, 14336, 4096)),
            Tensor(f"blk.{n}.ffn_down_exps.weight", (experts, 4096, 14336)),
        ]
    return Shape(
        shape.name, "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, False, tuple(tensors),
        experts=experts, experts_used=used,
    )  # fmt: skip


def bert(hidden: int = 384, layers: int = 6, heads: int = 12, ffn: int = 1536) -> Shape:
    """all-MiniLM-L6-v2, without its pooler: an encoder with biases and learned positions."""
    tensors = [
        Tensor("token_embd.weight", (30522, hidden)), Tensor("position_embd.weight", (512, hidden)),
        Tensor("token_types.weight", (2, hidden)), Tensor("token_embd_norm.weight", (hidden,)),
        Tensor("token_embd_norm.bias", (hidden,)),
    ]  # fmt: skip
    for n in range(layers):
        for part, out, into in (
            ("attn_q", hidden, hidden), ("attn_k", hidden, hidden), ("attn_v", hidden, hidden),
            ("attn_output", hidden, hidden), ("ffn_up", ffn, hidden), ("ffn_down", hidden, ffn),
        ):  # fmt: skip
            tensors.append(Tensor(f"blk.{n}.{part}.weight", (out, into)))
            tensors.append(Tensor(f"blk.{n}.{part}.bias", (out,)))
        for part in ("attn_output_norm", "layer_output_norm"):
            tensors += [Tensor(f"blk.{n}.{part}.{kind}", (hidden,)) for kind in ("weight", "bias")]
    return Shape(
        "all-minilm-l6-v2", "bert", layers, hidden, heads, heads, hidden // heads, ffn, 30522, 512,
        True, tuple(tensors), encoder=True, gated=False,
    )  # fmt: skip


def smollm2(architecture: str = "llama") -> Shape:
    return dense(
        "smollm2-135m", 30, 576, 9, 3, 1536, 49152, context=8192, tied=True,
        architecture=architecture,
    )  # fmt: skip


def llama2_7b() -> Shape:
    return dense("llama-2-7b-chat", 32, 4096, 32, 32, 11008, 32000)


def llama2_13b() -> Shape:
    return dense("llama-2-13b", 40, 5120, 40, 40, 13824, 32000)


def llama2_70b() -> Shape:
    return dense("llama-2-70b", 80, 8192, 64, 8, 28672, 32000)


def mistral_7b() -> Shape:
    return dense("mistral-7b-v0.2", 32, 4096, 32, 8, 14336, 32000, context=32768)


def llama31_8b(rope: bool = True) -> Shape:
    """With the 64 frequency factors that its GGUF file has beside its weights."""
    shape = dense("llama-3.1-8b", 32, 4096, 32, 8, 14336, 128256, context=131072)
    if not rope:
        return shape
    tensors = (*shape.tensors, Tensor("rope_freqs.weight", (64,)))
    return Shape(
        shape.name, "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, False, tensors
    )  # fmt: skip


def llama31_405b() -> Shape:
    return dense("llama-3.1-405b", 126, 16384, 128, 8, 53248, 128256, context=131072)
