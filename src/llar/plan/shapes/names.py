"""Tensors as Hugging Face checkpoints name them, under llama.cpp's names.

The pairs are those of gguf-py/gguf/tensor_mapping.py, with which the tests compare them. A name
that is in no table here keeps its own.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from ..shape import Tensor

__all__ = ["translate"]

_PREFIX = re.compile(
    r"^(?:model\.language_model|language_model\.model|language_model|base_model\.model|model|"
    r"transformer|gpt_neox|bert|roberta|xlm_roberta|camembert|distilbert|mpnet|nomic_bert)"
    r"(?:\.decoder|\.encoder)?\."
)
_BLOCK = re.compile(
    r"^(?:encoder\.|decoder\.|transformer\.)?(?:layers|layer|h|blocks)\.(\d+)\.(.+)$"
)
_EXPERT = re.compile(r"^(?:mlp|block_sparse_moe|feed_forward)\.experts\.(\d+)\.(.+)$")

_OUTSIDE = {
    "embed_tokens": "token_embd", "wte": "token_embd", "word_embeddings": "token_embd",
    "embed_in": "token_embd", "embeddings.word_embeddings": "token_embd",
    "embeddings.tok_embeddings": "token_embd",
    "wpe": "position_embd", "embed_positions": "position_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "word_embeddings_layernorm": "token_embd_norm", "embeddings.LayerNorm": "token_embd_norm",
    "embeddings.norm": "token_embd_norm", "emb_ln": "token_embd_norm",
    "norm": "output_norm", "ln_f": "output_norm", "final_layer_norm": "output_norm",
    "final_layernorm": "output_norm", "final_norm": "output_norm",
    "lm_head": "output", "embed_out": "output",
    "pooler.dense": "pooler.dense", "pooler": "pooler.dense",
    "classifier": "cls", "classifier.dense": "cls", "classifier.out_proj": "cls.output",
}  # fmt: skip
_INSIDE = {
    "input_layernorm": "attn_norm", "ln_1": "attn_norm", "self_attn_layer_norm": "attn_norm",
    "ln_mlp": "attn_norm", "ln_attn": "attn_norm_2", "attn_norm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "ln_2": "ffn_norm", "final_layer_norm": "ffn_norm",
    "pre_feedforward_layernorm": "ffn_norm", "mlp_norm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.out_proj": "attn_output",
    "self_attn.dense": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.q_layernorm": "attn_q_norm", "self_attn.k_layernorm": "attn_k_norm",
    "self_attn.sinks": "attn_sinks",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "attention.query_key_value": "attn_qkv", "self_attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output", "self_attention.dense": "attn_output",
    "attn.Wqkv": "attn_qkv", "attn.Wo": "attn_output", "attn.out_proj": "attn_output",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k",
    "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "attention.q_lin": "attn_q", "attention.k_lin": "attn_k", "attention.v_lin": "attn_v",
    "attention.out_lin": "attn_output", "sa_layer_norm": "attn_output_norm",
    "attention.attn.q": "attn_q", "attention.attn.k": "attn_k", "attention.attn.v": "attn_v",
    "attention.attn.o": "attn_output", "attention.LayerNorm": "attn_output_norm",
    "norm1": "attn_output_norm", "norm2": "layer_output_norm",
    "post_mlp_layernorm": "layer_output_norm", "output.LayerNorm": "layer_output_norm",
    "output_layer_norm": "layer_output_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "fc1": "ffn_up", "fc2": "ffn_down",
    "mlp.Wi": "ffn_up", "mlp.Wo": "ffn_down", "mlp.fc11": "ffn_up", "mlp.fc12": "ffn_gate",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down",
    "ffn.lin1": "ffn_up", "ffn.lin2": "ffn_down",
    "feed_forward.gate_proj": "ffn_gate", "feed_forward.up_proj": "ffn_up",
    "feed_forward.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp", "mlp.router": "ffn_gate_inp",
    "block_sparse_moe.gate": "ffn_gate_inp", "feed_forward.router": "ffn_gate_inp",
    "block_sparse_moe.router.layer": "ffn_gate_inp", "block_sparse_moe.router": "ffn_gate_inp",
    "mlp.gate.e_score_correction": "exp_probs_b",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    **{f"{owner}.{part}_proj": f"ffn_{part}_shexp"
       for owner in ("mlp.shared_expert", "mlp.shared_experts", "feed_forward.shared_expert")
       for part in ("gate", "up", "down")},
}  # fmt: skip
_EXPERT_PARTS = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps",
                 "down_proj": "ffn_down_exps", "w1": "ffn_gate_exps", "w3": "ffn_up_exps",
                 "w2": "ffn_down_exps"}  # fmt: skip
_FUSED = ("mlp.experts.gate_up_proj", "feed_forward.experts.gate_up_proj",
          "block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.input_linear")  # fmt: skip
_FUSED_DOWN = ("mlp.experts.down_proj", "feed_forward.experts.down_proj",
               "block_sparse_moe.experts.down_proj", "block_sparse_moe.output_linear")  # fmt: skip


def translate(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The same tensors under llama.cpp's names; experts are put together, fused ones taken apart.

    No number is lost or made: the sum of elements stays the same.
    """
    given = tuple(tensors)
    places = [_place(t.name) for t in given]
    rests = {rest for _, rest, _ in places}
    between = bool(rests & {"post_feedforward_layernorm", "self_attn.sinks"})
    last = "post_mlp_layernorm" in rests
    widths = {(layer, rest): t.shape for (layer, rest, end), t in zip(places, given, strict=True)
              if end == "bias"}  # fmt: skip
    hidden = _hidden(given)
    experts: dict[tuple[int, str], list[Tensor]] = defaultdict(list)
    found: list[Tensor] = []
    for (layer, rest, end), t in zip(places, given, strict=True):
        if layer is None:
            name = _OUTSIDE.get(rest)
            found.append(replace(t, name=f"{name}.{end}") if name else t)
            continue
        alone = _EXPERT.match(rest)
        if alone and alone[2] in _EXPERT_PARTS:
            experts[layer, f"{_EXPERT_PARTS[alone[2]]}.{end}"].append(t)
            continue
        fused = _fused(t, layer, rest, end, hidden)
        if fused:
            found.extend(fused)
            continue
        part = _INSIDE.get(rest)
        if between and rest == "post_attention_layernorm":
            part = "post_attention_norm"  # Gemma 2, OLMo 2 and gpt-oss, each for its own reason
        if last and rest == "post_attention_layernorm":
            part = "attn_output_norm"
        if part is None:
            found.append(t)
            continue
        conv = rest.rsplit(".", 1)[-1].startswith("c_") and len(t.shape) == 2
        shape = t.shape
        if conv and widths.get((layer, rest)) == shape[1:]:  # GPT-2 stores (in, out)
            shape = shape[::-1]
        found.append(replace(t, name=f"blk.{layer}.{part}.{end}", shape=shape))
    return (*found, *(_together(layer, part, own) for (layer, part), own in experts.items()))


def _place(name: str) -> tuple[int | None, str, str]:
    """(layer or None, name within it, "weight" or "bias") of a checkpoint's name."""
    bare = _PREFIX.sub("", name, count=1)
    for ending in ("weight", "bias"):
        if bare.endswith(f".{ending}") or bare.endswith(f"_{ending}"):
            bare, end = bare[: -len(ending) - 1], ending
            break
    else:
        end = "weight"
    for old, new in ((".gamma", "weight"), (".beta", "bias")):  # BERT's first checkpoints
        if bare.endswith(old):
            bare, end = bare.removesuffix(old), new
    block = _BLOCK.match(bare)
    return (int(block[1]), block[2], end) if block else (None, bare, end)


def _hidden(tensors: tuple[Tensor, ...]) -> int:
    """The width of the token embedding, 0 where none is seen."""
    for t in tensors:
        layer, rest, _ = _place(t.name)
        if layer is None and _OUTSIDE.get(rest) == "token_embd" and len(t.shape) == 2:
            return t.shape[1]
    return 0


def _fused(t: Tensor, layer: int, rest: str, end: str, hidden: int) -> list[Tensor]:
    """Gate and up, or down, of all experts in one tensor; [] where it is no such."""
    up, down = rest in _FUSED, rest in _FUSED_DOWN
    if not up and not down:
        return []
    shape = t.shape
    block = f"blk.{layer}."
    if end == "weight" and len(shape) == 3:  # some are stored (experts, in, out)
        turned = shape[1] == hidden != shape[2] if up else shape[2] == hidden != shape[1]
        shape = (shape[0], shape[2], shape[1]) if turned else shape
    if down:
        return [replace(t, name=f"{block}ffn_down_exps.{end}", shape=shape)]
    if shape[1] % 2:
        return []
    half = (shape[0], shape[1] // 2, *shape[2:])
    return [replace(t, name=f"{block}ffn_{part}_exps.{end}", shape=half) for part in ("gate", "up")]


def _together(layer: int, part: str, own: list[Tensor]) -> Tensor:
    """The matrices of a layer's experts as one; of several types or shapes they stay a list."""
    first = own[0]
    shape = (len(own), *first.shape)
    if sum(t.elements for t in own) != math.prod(shape):  # experts of unequal size: as one row
        shape = (sum(t.elements for t in own),)
    kinds = {t.type for t in own}
    return Tensor(f"blk.{layer}.{part}", shape, first.type if len(kinds) == 1 else "mixed")
