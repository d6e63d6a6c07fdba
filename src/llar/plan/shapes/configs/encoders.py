"""Encoders: BERT and its relatives, which read a text at once and cache nothing."""

from __future__ import annotations

from ....errors import PlanError
from ...shape import Shape, Tensor
from .build import Dims, Tensors
from .common import HEADS, HIDDEN, LAYERS, windows
from .fields import Fields


def bert(f: Fields) -> Shape:
    """BERT, RoBERTa, XLM-RoBERTa and CamemBERT, which differ in how positions are counted."""
    d = _dims(f, "intermediate_size")
    types = f.size("type_vocab_size", 2)
    t = _embeddings(d, d.context, types)
    for layer in range(d.layers):
        _attention(t, f"blk.{layer}.", d)
    _head(t, f, d)
    roberta = f.model_type != "bert"
    if roberta:  # its positions start behind the padding's
        d = _longest(d, d.context - f.size("pad_token_id", 1, least=0) - 1)
    return _shape(f, d, t)


def distilbert(f: Fields) -> Shape:
    d = _dims(f, "hidden_dim")
    t = _embeddings(d, d.context, 0)
    for layer in range(d.layers):
        _attention(t, f"blk.{layer}.", d)
    _plain_head(f)
    return _shape(f, d, t)


def mpnet(f: Fields) -> Shape:
    d = _dims(f, "intermediate_size")
    t = _embeddings(d, d.context, 0)
    for layer in range(d.layers):
        _attention(t, f"blk.{layer}.", d)
    buckets = f.size("relative_attention_num_buckets", 32)
    t.found.append(Tensor("encoder.relative_attention_bias.weight", (buckets, d.heads)))
    if _plain_head(f):
        t.weight("pooler.dense", d.hidden, d.hidden, bias=True)
    return _shape(f, _longest(d, d.context - 2), t)


def nomic_bert(f: Fields) -> Shape:
    """nomic-embed-text: rotary positions, a gate, no biases but the norms'."""
    d = _dims(f, "intermediate_size|n_inner")
    t = _embeddings(d, 0, f.size("type_vocab_size", 2))
    for layer in range(d.layers):
        block = f"blk.{layer}."
        t.weight(f"{block}attn_qkv", 3 * d.hidden, d.hidden)
        t.weight(f"{block}attn_output", d.hidden, d.hidden)
        t.weight(f"{block}attn_output_norm", d.hidden, bias=True)
        t.weight(f"{block}ffn_up", d.ffn, d.hidden)
        t.weight(f"{block}ffn_gate", d.ffn, d.hidden)
        t.weight(f"{block}ffn_down", d.hidden, d.ffn)
        t.weight(f"{block}layer_output_norm", d.hidden, bias=True)
    _plain_head(f)
    return _shape(f, d, t, gated=True)


def modernbert(f: Fields) -> Shape:
    """ModernBERT: a window of 128 tokens but for every third layer (arXiv 2412.13663)."""
    d = _dims(f, "intermediate_size")
    norm, attention = f.flag("norm_bias", False), f.flag("attention_bias", False)
    mlp = f.flag("mlp_bias", False)
    t = Tensors()
    t.weight("token_embd", d.vocabulary, d.hidden)
    t.weight("token_embd_norm", d.hidden, bias=norm)
    for layer in range(d.layers):
        block = f"blk.{layer}."
        if layer:
            t.weight(f"{block}attn_norm", d.hidden, bias=norm)
        t.weight(f"{block}attn_qkv", 3 * d.hidden, d.hidden, bias=attention)
        t.weight(f"{block}attn_output", d.hidden, d.hidden, bias=attention)
        t.weight(f"{block}ffn_norm", d.hidden, bias=norm)
        t.weight(f"{block}ffn_up", 2 * d.ffn, d.hidden, bias=mlp)
        t.weight(f"{block}ffn_down", d.hidden, d.ffn, bias=mlp)
    t.weight("output_norm", d.hidden, bias=norm)
    _plain_head(f)
    every = f.size("global_attn_every_n_layers", 3)
    seen = windows(f, d.layers, lambda i: i % every != 0, "local_attention")
    return _shape(f, d, t, seen, gated=True)


def _dims(f: Fields, ffn: str) -> Dims:
    layers, hidden, heads, width, vocabulary, context = f.sizes(
        LAYERS, HIDDEN, HEADS, ffn, "vocab_size", "max_position_embeddings|n_positions"
    )
    each = f.head_dim(hidden, heads)
    return Dims(layers, hidden, heads, heads, each, width, vocabulary, context, True)


def _longest(d: Dims, context: int) -> Dims:
    return Dims(d.layers, d.hidden, d.heads, d.kv_heads, d.head_dim, d.ffn, d.vocabulary,
                max(context, 1), d.tied)  # fmt: skip


def _embeddings(d: Dims, positions: int, types: int) -> Tensors:
    t = Tensors()
    t.weight("token_embd", d.vocabulary, d.hidden)
    if positions:
        t.weight("position_embd", positions, d.hidden)
    if types:
        t.weight("token_types", types, d.hidden)
    t.weight("token_embd_norm", d.hidden, bias=True)
    return t


def _attention(t: Tensors, block: str, d: Dims) -> None:
    """A layer of BERT, norms behind what they norm."""
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        t.weight(block + part, d.hidden, d.hidden, bias=True)
    t.weight(f"{block}attn_output_norm", d.hidden, bias=True)
    t.weight(f"{block}ffn_up", d.ffn, d.hidden, bias=True)
    t.weight(f"{block}ffn_down", d.hidden, d.ffn, bias=True)
    t.weight(f"{block}layer_output_norm", d.hidden, bias=True)


def _architecture(f: Fields) -> str:
    return (f.texts("architectures") or ("Model",))[0]


def _plain_head(f: Fields) -> bool:
    """Whether the model has its pooler; raises PlanError for a head that is not known."""
    name = _architecture(f)
    if name.endswith("Model"):
        return True
    raise PlanError(
        f"{f.where}: architectures names {name}; of {f.model_type}, llar knows the tensors of the "
        "model without a head (Model)"
    )


def _head(t: Tensors, f: Fields, d: Dims) -> None:
    """What follows the last layer, as `architectures` names it."""
    name = _architecture(f)
    labels = f.table.get("id2label")
    count = len(labels) if isinstance(labels, dict) and labels else f.size("num_labels", 2)
    roberta = f.model_type != "bert"
    if name.endswith("Model"):
        t.weight("pooler.dense", d.hidden, d.hidden, bias=True)
    elif name.endswith("ForTokenClassification"):
        t.weight("cls", count, d.hidden, bias=True)
    elif name.endswith("ForSequenceClassification"):
        t.weight("cls" if roberta else "pooler.dense", d.hidden, d.hidden, bias=True)
        t.weight("cls.output" if roberta else "cls", count, d.hidden, bias=True)
    elif name.endswith("ForMaskedLM"):
        before = "lm_head." if roberta else "cls.predictions.transform."
        t.weight(f"{before}dense", d.hidden, d.hidden, bias=True)
        t.weight(f"{before}{'layer_norm' if roberta else 'LayerNorm'}", d.hidden, bias=True)
        t.found.append(Tensor("output.bias" if roberta else "cls.predictions.bias",
                              (d.vocabulary,)))  # fmt: skip
    else:
        raise PlanError(
            f"{f.where}: architectures names {name}; of {f.model_type}, llar knows Model, "
            "ForTokenClassification, ForSequenceClassification and ForMaskedLM"
        )


def _shape(f: Fields, d: Dims, t: Tensors, seen: tuple[int, ...] = (), *,
           gated: bool = False) -> Shape:  # fmt: skip
    return Shape(
        name="",
        architecture=f.model_type,
        layers=d.layers,
        hidden=d.hidden,
        heads=d.heads,
        kv_heads=d.heads,
        head_dim=d.head_dim,
        ffn=d.ffn,
        vocabulary=d.vocabulary,
        context=d.context,
        tied=d.tied,
        tensors=tuple(t.found),
        windows=seen,
        encoder=True,
        gated=gated,
        assumed=tuple(f.notes),
    )
