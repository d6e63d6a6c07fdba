"""A model's config.json, as its makers publish it, turned into a Shape."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ....errors import PlanError
from ...shape import Shape
from . import classic, decoders, encoders, mixtures
from .fields import Fields

__all__ = ["FAMILIES", "UnknownArchitecture", "read"]

# model_type -> what reads its config; a further family of a known layout takes a row here
FAMILIES: Mapping[str, Callable[[Fields], Shape]] = MappingProxyType({
    "bert": encoders.bert,
    "bloom": classic.bloom,
    "camembert": encoders.bert,
    "cohere": decoders.cohere,
    "cohere2": decoders.cohere2,
    "deepseek_v2": mixtures.deepseek,
    "deepseek_v3": mixtures.deepseek,
    "distilbert": encoders.distilbert,
    "falcon": classic.falcon,
    "gemma": decoders.gemma,
    "gemma2": decoders.gemma2,
    "gemma3_text": decoders.gemma3,
    "gpt2": classic.gpt2,
    "gpt_neox": classic.gpt_neox,
    "gpt_oss": mixtures.gpt_oss,
    "granite": decoders.llama,
    "granitemoe": mixtures.granitemoe,
    "kimi_k2": mixtures.deepseek,
    "llama": decoders.llama,
    "llama4_text": mixtures.llama4,
    "ministral": decoders.mistral,
    "ministral3": decoders.ministral3,
    "mistral": decoders.mistral,
    "mixtral": mixtures.mixtral,
    "modernbert": encoders.modernbert,
    "mpnet": encoders.mpnet,
    "nomic_bert": encoders.nomic_bert,
    "olmo": decoders.olmo,
    "olmo2": decoders.olmo2,
    "olmo3": decoders.olmo2,
    "opt": classic.opt,
    "phi": decoders.phi,
    "phi3": decoders.phi3,
    "qwen2": decoders.qwen2,
    "qwen2_moe": mixtures.qwen2_moe,
    "qwen3": decoders.qwen3,
    "qwen3_moe": mixtures.qwen3_moe,
    "roberta": encoders.bert,
    "smollm3": decoders.smollm3,
    "starcoder2": decoders.starcoder2,
    "xlm-roberta": encoders.bert,
})  # fmt: skip
_COMMON = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
           "vocab_size")  # fmt: skip
_OTHERS = ("vision_config", "audio_config", "vision_model", "speech_config")


class UnknownArchitecture(PlanError):
    """A config of a family that has no row in FAMILIES; tensor shapes could still tell."""


def read(table: Mapping[str, Any], where: str, name: str = "") -> Shape:
    """The Shape of a config.json; `where` names it in errors and is the Shape's source.

    Of a model that also sees or hears, only the language model is read, which `assumed` says.
    Raises PlanError for fields that are missing or wrong, UnknownArchitecture for a model_type
    that is not in FAMILIES.
    """
    f = _fields(table, where)
    family = FAMILIES.get(f.model_type)
    if family is None:
        raise _unknown(f)
    return replace(family(f), name=name or where, source=where)


def _fields(table: Mapping[str, Any], where: str) -> Fields:
    kind = table.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise PlanError(f"{where}: model_type is {kind!r}; expected a string")
    inner = table.get("text_config")
    if inner is not None:
        if not isinstance(inner, dict):
            raise PlanError(f"{where}: text_config is {inner!r:.60}; expected an object")
        own = inner.get("model_type")
        if not isinstance(own, str):
            own = f"{kind}_text" if f"{kind}_text" in FAMILIES else str(kind)
        f = Fields(inner, where, own)
        f.parent = table
    else:
        f = Fields(table, where, "gemma3_text" if kind == "gemma3" else kind or "")
    parts = [k.removesuffix("_config") for k in _OTHERS if table.get(k) is not None]
    if parts:
        f.notes.append(f"only the language model is counted, not its part for {', '.join(parts)}")
    return f


def _unknown(f: Fields) -> UnknownArchitecture:
    found = [k for k in _COMMON if f.has(k)]
    missing = [k for k in _COMMON if not f.has(k)]
    if f.model_type:
        near = difflib.get_close_matches(f.model_type, FAMILIES, n=1, cutoff=0.8)
        what = f"model_type {f.model_type!r} is not one llar knows"
        what += f" (did you mean {near[0]!r}?)" if near else ""
    else:
        what = "it states no model_type"
    return UnknownArchitecture(
        f"{f.where}: {what}; found: {', '.join(found) or 'none of the common fields'}; missing: "
        f"{', '.join(missing) or 'none of the common fields'}. Which tensors it has cannot be "
        "told from that",
        fix="llar plan memory FOLDER, with the model's .safetensors, or a GGUF of it: the shapes "
        "of its tensors tell",
    )
