"""Which type each tensor gets when llama-quantize makes a file such as Q4_K_M.

The rules are those of llama.cpp's src/llama-quant.cpp (tensor_allows_quantization,
llama_tensor_get_type_impl, tensor_type_fallback), restated as tables: for a kind of tensor and a
mixture, the first rule whose condition holds. They give every row of the table for Llama-3.1-8B in
tools/quantize/README.md; its row for IQ3_XXS was made with an importance matrix, which that one
needs, its rows for IQ4_XS and IQ4_NL without. What is never quantised is in 32 bit where
convert_hf_to_gguf.py writes it so (vectors, norms, routers), else in 16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...errors import PlanError
from ..shape import Shape, Tensor
from .formats import TYPES, Format

__all__ = ["Choice", "choices"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The type a tensor gets; `wanted` is the one its rows are too short for, where they are."""

    tensor: Tensor
    type: str
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """What a rule may ask about: the tensor's place among its like, and the model."""

    index: int  # among its like, from 0
    count: int  # of its like
    shared: int  # query heads for each key and value head
    experts: int
    imatrix: bool
    falcon: bool
    seventy: bool  # what llama.cpp calls a 70B model


_Rule = tuple[Callable[[_Place], bool], str]


def _always(_: _Place) -> bool:
    return True


def _grouped(p: _Place) -> bool:
    return p.shared >= 4


def _grouped_or_experts(p: _Place) -> bool:
    return p.shared >= 4 or p.experts >= 4


def _more_bits(p: _Place) -> bool:
    """The first and the last eighth of the layers, and every third between."""
    eighth = p.count // 8
    return p.index < eighth or p.index >= 7 * p.count // 8 or (p.index - eighth) % 3 == 2


def _eighth(p: _Place) -> bool:
    return p.index < p.count // 8


def _sixteenth(p: _Place) -> bool:
    return p.index < p.count // 16


def _middle(p: _Place) -> bool:
    return p.count // 8 <= p.index < 7 * p.count // 8


def _plain_eighth(p: _Place) -> bool:
    return _eighth(p) and not p.imatrix


def _first(number: int) -> Callable[[_Place], bool]:
    return lambda p: p.index < number


_LOWEST = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS")
_LOW = (*_LOWEST, "IQ2_S", "IQ2_M")

_HEAD = dict.fromkeys((*_LOW, "IQ3_XXS"), "q5_k")  # Q8_0 stays; all others q6_k
_EMBEDDING = {
    **dict.fromkeys(_LOWEST, "q2_k"),
    **dict.fromkeys(("IQ2_S", "IQ2_M", "IQ3_XXS"), "iq3_s"),
    **dict.fromkeys(("TQ1_0", "TQ2_0", "Q2_0"), "q4_k"),
}

_LOW_RULES: dict[str, dict[str, tuple[_Rule, ...]]] = {
    "attn_v": {
        **dict.fromkeys(_LOWEST, ((_grouped_or_experts, "q4_k"), (_always, "q2_k"))),
        **dict.fromkeys(("IQ2_S", "IQ2_M"), ((_grouped_or_experts, "q4_k"), (_always, "iq3_s"))),
    },
    "attn_k": dict.fromkeys(_LOW, ((lambda p: p.experts == 8, "q4_k"),)),
    "ffn_down": {
        **dict.fromkeys(_LOWEST, ((_eighth, "q2_k"),)),
        **dict.fromkeys(("IQ2_S", "IQ2_M"), ((_eighth, "iq3_s"),)),
    },
    "attn_output": {
        m: ((lambda p: p.experts == 8, "q5_k"), *more)
        for m, more in {
            "IQ1_S": ((_always, "iq2_xxs"),), "IQ1_M": ((_always, "iq2_xxs"),),
            "IQ2_XXS": (), "IQ2_XS": (),
            "IQ2_S": ((_always, "iq3_s"),), "IQ2_M": ((_always, "iq3_s"),),
        }.items()
    },
}  # fmt: skip

_RULES: dict[str, dict[str, tuple[_Rule, ...]]] = {
    "attn_v": {
        "Q2_K": ((_grouped, "q4_k"), (_always, "q3_k")),
        "Q2_K_S": ((_grouped, "q4_k"),),
        "Q3_K_M": ((_first(2), "q5_k"), (_always, "q4_k")),
        "Q3_K_L": ((_always, "q5_k"),),
        "Q4_K_S": ((_first(4), "q5_k"),),
        "Q4_K_M": ((_more_bits, "q6_k"),),
        "Q5_K_M": ((_more_bits, "q6_k"),),
        "IQ3_XXS": ((_grouped, "q4_k"), (lambda p: not p.imatrix, "iq3_s")),
        "IQ3_XS": ((_grouped, "q4_k"),),
        "IQ3_S": ((_grouped, "q4_k"),),
        "IQ3_M": ((_always, "q4_k"),),
        "IQ4_NL": ((_grouped, "q5_k"),),
        "IQ4_XS": ((_grouped, "q5_k"),),
    },
    "attn_k": {"IQ3_XS": ((_always, "iq3_xxs"),), "IQ3_XXS": ((_always, "iq2_s"),)},
    "attn_q": {"IQ3_XS": ((_always, "iq3_xxs"),), "IQ3_XXS": ((_always, "iq2_s"),)},
    "ffn_down": {
        "Q2_K": ((_always, "q3_k"),),
        "Q2_K_S": ((_eighth, "q4_k"),),
        "Q3_K_M": (
            (_sixteenth, "q5_k"),
            (lambda p: not p.falcon or _more_bits(p), "q4_k"),
        ),
        "Q3_K_L": ((lambda p: p.falcon, "q4_k"), (_always, "q5_k")),
        "Q4_K_S": ((lambda p: not p.falcon and _eighth(p), "q5_k"),),
        "Q4_K_M": (
            (lambda p: p.falcon and _sixteenth(p), "q6_k"),
            (lambda p: p.falcon and _more_bits(p), "q5_k"),
            (lambda p: not p.falcon and _more_bits(p), "q6_k"),
        ),
        "Q5_K_M": ((_more_bits, "q6_k"),),
        "IQ3_XXS": (
            (_plain_eighth, "q4_k"),
            (lambda p: not p.imatrix, "q3_k"),
        ),
        "IQ3_M": ((lambda p: _eighth(p) or (p.experts == 8 and _more_bits(p)), "q4_k"),),
        "IQ4_NL": ((_plain_eighth, "q5_k"),),
        "IQ4_XS": ((_plain_eighth, "q5_k"),),
        "Q4_0": ((lambda p: p.imatrix and _eighth(p), "q4_1"),),
        "Q5_0": ((lambda p: p.imatrix and _eighth(p), "q5_1"),),
    },
    "attn_output": {
        "Q2_K": ((_always, "q3_k"),),
        "Q3_K_M": ((_always, "q4_k"),),
        "Q3_K_L": ((_always, "q5_k"),),
        "IQ3_XXS": ((_always, "iq3_s"),),
        "IQ3_M": ((_always, "q4_k"),),
    },
    "ffn_gate": {"IQ3_XS": ((_middle, "iq3_xxs"),)},
    "ffn_up": {"IQ3_XS": ((_middle, "iq3_xxs"),)},
}

_EIGHT_EXPERTS_OUTPUT = (  # attn_output is q5_k in these where there are eight experts
    "Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S",
    "IQ3_M", "IQ4_XS",
)  # fmt: skip

_FALL_BACK = {
    **dict.fromkeys(
        ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl"
    ),
    **dict.fromkeys(("q2_0", "q2_k", "q3_k", "tq1_0", "tq2_0"), "q4_0"),
    "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip

_NEVER = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
    "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_lerp_fused.weight",
    *(f"time_mix_{part}.weight" for part in ("w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2",
                                             "g1", "g2", "decay_w1", "decay_w2")),
    "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos",
    ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
)  # fmt: skip
_ALWAYS_32_BIT = (
    "_norm.weight", "ffn_gate_inp", "position_embd", "token_types", "ssm_conv1d", "shortconv.conv",
    "time_mix_first", "time_mix_w1", "time_mix_w2", "time_mix_decay_w", "time_mix_lerp_fused",
    "altup_correct_coef", "altup_predict_coef", "indexer.proj",
)  # fmt: skip
_SEVENTY = ("qwen2", "qwen2vl", "deci", "nemotron-nas", "olmo")  # 70B at 80 layers to llama.cpp
_LLAMA = ("llama", "mistral", "mixtral")  # what its GGUF files call "llama"


def choices(shape: Shape, fmt: Format) -> list[Choice]:
    """The type of every tensor, in the order of the file (by layer, then by name).

    `fmt` is a mixture or a pure type. Raises PlanError where rows fit neither the type nor
    any that llama.cpp falls back on.
    """
    if TYPES[fmt.type].block == 1:
        return [Choice(t, _plain_type(t, fmt.type)) for t in _in_order(shape)]
    chosen = _pure(shape, fmt) if fmt.kind == "pure" else _mixed(shape, fmt)
    return [
        _fitted(tensor, kind) if kind else Choice(tensor, _unquantised_type(tensor, "f16"))
        for tensor, kind in chosen
    ]


def _in_order(shape: Shape) -> list[Tensor]:
    return sorted(shape.tensors, key=lambda t: (-1 if t.layer is None else t.layer, t.name))


def _pure(shape: Shape, fmt: Format) -> Iterator[tuple[Tensor, str | None]]:
    for tensor in _in_order(shape):
        yield tensor, fmt.type if _is_quantised(tensor) else None


def _mixed(shape: Shape, fmt: Format) -> Iterator[tuple[Tensor, str | None]]:
    """Each tensor with the type the mixture means for it, None for those left as they are."""
    mixture = fmt.name.removesuffix("+imatrix")
    seen: Counter[str] = Counter()
    values = sum(_kind(t.name) == "attn_v" for t in shape.tensors)
    tied = all(t.name != "output.weight" for t in shape.tensors)
    latent = any(t.part == "attn_kv_a_mqa" for t in shape.tensors)  # one head to llama.cpp
    kv_heads = 1 if latent else shape.kv_heads
    shared = shape.heads // kv_heads if kv_heads else 0
    for tensor in _in_order(shape):
        if not _is_quantised(tensor):
            yield tensor, None
            continue
        kind = _kind(tensor.name)
        place = _Place(
            index=_index(tensor, kind, mixture, shape, seen[kind]),
            count=values if kind == "attn_v" else shape.layers,
            shared=shared,
            experts=shape.experts,
            imatrix=fmt.imatrix,
            falcon=shape.architecture == "falcon",
            seventy=_is_seventy(shape),
        )
        seen[kind] += 1
        if kind == "token_embd" and tied:
            kind = "output"
        yield tensor, _type(tensor, kind, mixture, fmt.type, place)


def _index(tensor: Tensor, kind: str, mixture: str, shape: Shape, seen: int) -> int:
    """Its number among its like; with experts the layer, as there are several in each."""
    by_layer = kind.startswith("ffn_") and shape.experts > 1 and mixture not in _LOW
    return tensor.layer if by_layer and tensor.layer is not None else seen


def _type(tensor: Tensor, kind: str, mixture: str, base: str, place: _Place) -> str:
    if kind == "output":
        return _head_type(tensor, mixture, base, falcon=place.falcon)
    if mixture == "MXFP4_MOE":
        return "mxfp4" if len(tensor.shape) == 3 else "q8_0"
    if kind == "token_embd":
        return _EMBEDDING.get(mixture, base)
    if mixture in _LOW:
        return _matching(_LOW_RULES, kind, mixture, place) or base
    return _block_type(kind, mixture, base, place)


def _block_type(kind: str, mixture: str, base: str, place: _Place) -> str:
    """Of a tensor in a block, in all but the lowest mixtures."""
    if place.experts == 8 and kind in ("attn_v", "attn_k"):
        return "q8_0"
    if kind == "attn_output" and place.falcon:
        return "q4_k" if mixture == "Q3_K_L" else base
    if kind == "attn_output" and place.experts == 8:
        return "q5_k" if mixture in _EIGHT_EXPERTS_OUTPUT else base
    chosen = _matching(_RULES, kind, mixture, place) or base
    lifted = kind == "attn_v" and place.seventy and chosen in ("q3_k", "q4_k")
    return "q5_k" if lifted else chosen


def _matching(
    rules: dict[str, dict[str, tuple[_Rule, ...]]], kind: str, mixture: str, place: _Place
) -> str | None:
    for condition, chosen in rules.get(kind, {}).get(mixture, ()):
        if condition(place):
            return chosen
    return None


def _head_type(tensor: Tensor, mixture: str, base: str, *, falcon: bool) -> str:
    if mixture == "MXFP4_MOE" or falcon or tensor.shape[-1] % TYPES[base].block:
        return "q8_0"
    return _HEAD.get(mixture) or ("q8_0" if base == "q8_0" else "q6_k")


def _kind(name: str) -> str:
    """The kind of tensor the rules speak of, from its name; the first that matches."""
    if name == "output.weight":
        return "output"
    if name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return "token_embd"
    if any(f"{part}.weight" in name for part in ("attn_qkv", "attn_kv_b", "attn_v")):
        return "attn_v"
    for kind in ("attn_k", "attn_q", "attn_output"):
        if f"{kind}.weight" in name:
            return kind
    return next((kind for kind in ("ffn_up", "ffn_gate", "ffn_down") if kind in name), "other")


def _is_quantised(tensor: Tensor) -> bool:
    if _dimensions(tensor) < 2 or not tensor.name.endswith("weight"):
        return False
    if tensor.name in ("position_embd.weight", "token_types.weight"):
        return False
    return not any(part in tensor.name for part in _NEVER)


def _dimensions(tensor: Tensor) -> int:
    """As ggml counts them: leading ones do not count."""
    sizes = list(tensor.shape)
    while len(sizes) > 1 and sizes[0] == 1:
        sizes.pop(0)
    return len(sizes)


def _plain_type(tensor: Tensor, kind: str) -> str:
    return kind if _is_quantised(tensor) else _unquantised_type(tensor, kind)


def _unquantised_type(tensor: Tensor, sixteen_bit: str) -> str:
    if _dimensions(tensor) < 2 or not tensor.name.endswith(".weight"):
        return "f32"
    return "f32" if any(part in tensor.name for part in _ALWAYS_32_BIT) else sixteen_bit


def _is_seventy(shape: Shape) -> bool:
    if shape.layers != 80:
        return False
    grouped_llama = shape.architecture in _LLAMA and shape.heads != shape.kv_heads
    return grouped_llama or shape.architecture in _SEVENTY


def _fitted(tensor: Tensor, wanted: str) -> Choice:
    """The type, or what llama.cpp takes where the rows do not hold whole blocks of it."""
    columns = tensor.shape[-1]
    if columns % TYPES[wanted].block == 0:
        return Choice(tensor, wanted)
    other = _FALL_BACK.get(wanted)
    if other is None:
        raise PlanError(
            f"{tensor.name} has rows of {columns}, which do not hold whole blocks of "
            f"{TYPES[wanted].block} for {wanted}; llama-quantize refuses this too",
        )
    if columns % TYPES[other].block:
        other = "f16"
    return Choice(tensor, other, wanted)
