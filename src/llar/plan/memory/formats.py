"""The formats weights are kept in, and how many bytes each takes for a matrix.

Layouts of GGUF types: ggml/src/ggml-common.h of llama.cpp (block_q4_K and the others), which
gguf.constants.GGML_QUANT_SIZES repeats. bitsandbytes: bitsandbytes/functional.py (quantize_4bit,
int8_vectorwise_quant). AWQ and GPTQ: the packing of their reference kernels, groups of 128.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ...errors import PlanError
from ...models import gguf

__all__ = ["MIXTURES", "PACKINGS", "TYPES", "Format", "Packing", "Type", "parse_format"]


@dataclass(frozen=True, slots=True)
class Type:
    """A layout of numbers in rows: `block` numbers together take `size` bytes."""

    name: str
    block: int
    size: int

    @property
    def bits(self) -> float:
        """Bits per number."""
        return self.size * 8 / self.block

    def bytes(self, elements: int) -> int:
        """Bytes of that many numbers; their rows must hold whole blocks."""
        return elements // self.block * self.size


_SIZES = {name: (block, size) for name, block, size in gguf.TYPES.values()} | {
    "f8_e4m3": (1, 1), "f8_e5m2": (1, 1), "u8": (1, 1), "bool": (1, 1),
}  # fmt: skip

TYPES = {name: Type(name, block, size) for name, (block, size) in _SIZES.items()}
"""Every layout a GGUF or safetensors file can have, by its name in lower case."""

MIXTURES: dict[str, str] = {
    "Q1_0": "q1_0", "Q2_0": "q2_0", "Q4_0": "q4_0", "Q4_1": "q4_1", "Q5_0": "q5_0",
    "Q5_1": "q5_1", "Q8_0": "q8_0", "Q2_K": "q2_k", "Q2_K_S": "q2_k", "Q3_K_S": "q3_k",
    "Q3_K_M": "q3_k", "Q3_K_L": "q3_k", "Q4_K_S": "q4_k", "Q4_K_M": "q4_k", "Q5_K_S": "q5_k",
    "Q5_K_M": "q5_k", "Q6_K": "q6_k", "IQ1_S": "iq1_s", "IQ1_M": "iq1_m", "IQ2_XXS": "iq2_xxs",
    "IQ2_XS": "iq2_xs", "IQ2_S": "iq2_xs", "IQ2_M": "iq2_s", "IQ3_XXS": "iq3_xxs",
    "IQ3_XS": "iq3_s", "IQ3_S": "iq3_s", "IQ3_M": "iq3_s", "IQ4_NL": "iq4_nl",
    "IQ4_XS": "iq4_xs", "TQ1_0": "tq1_0", "TQ2_0": "tq2_0", "MXFP4_MOE": "mxfp4",
    "F16": "f16", "BF16": "bf16", "F32": "f32",
}  # fmt: skip
"""What llama-quantize offers (tools/quantize/quantize.cpp), with the type most tensors get."""

NEEDS_IMATRIX = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "Q2_K_S",
                 "IQ3_XS")  # fmt: skip
"""Mixtures that llama-quantize refuses to make without an importance matrix."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How the linear layers of the blocks are packed; all else stays in 16 bit."""

    name: str
    bytes: Callable[[int, int], int]  # of a matrix, from its outputs and inputs
    text: str  # where the bytes come from
    source: str
    experts: bool  # whether stacked expert matrices are packed too


def _ceil(number: int, by: int) -> int:
    return -(-number // by)


def _int8(out: int, into: int) -> int:
    return out * into + 4 * out


def _four_bit(out: int, into: int) -> int:
    return _ceil(out * into, 2) + 4 * _ceil(out * into, 64)


def _four_bit_double(out: int, into: int) -> int:
    blocks = _ceil(out * into, 64)
    return _ceil(out * into, 2) + blocks + 4 * _ceil(blocks, 256)


def _int4(out: int, into: int) -> int:
    groups = _ceil(into, 128) * out
    return _ceil(out * into, 2) + 2 * groups + _ceil(groups, 2)


def _fp8(out: int, into: int) -> int:
    return out * into + 4


_BITSANDBYTES = "bitsandbytes/functional.py; transformers/integrations/bitsandbytes.py"
_BLOCKS = "4 bits + a 32-bit absmax for each 64"
_DOUBLE = "4 bits + an 8-bit absmax for each 64 + 32 bits for each 256 of these"
PACKINGS = {
    p.name: p
    for p in (
        Packing("int8", _int8, "8 bits + a 32-bit scale for each row (LLM.int8)",
                _BITSANDBYTES, experts=False),
        Packing("nf4", _four_bit, _BLOCKS, _BITSANDBYTES, experts=False),
        Packing("fp4", _four_bit, _BLOCKS, _BITSANDBYTES, experts=False),
        Packing("nf4-dq", _four_bit_double, _DOUBLE, _BITSANDBYTES, experts=False),
        Packing("fp4-dq", _four_bit_double, _DOUBLE, _BITSANDBYTES, experts=False),
        Packing("int4", _int4, "4 bits + a 16-bit scale and a 4-bit zero for each 128 "
                "(AWQ, GPTQ; the order of GPTQ's act-order files not counted)",
                "AutoAWQ awq/modules/linear/gemm.py (WQLinear_GEMM)", experts=True),
        Packing("fp8", _fp8, "8 bits + a 32-bit scale for each matrix",
                "vLLM vllm/model_executor/layers/quantization/fp8.py", experts=True),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """What the weights are kept in.

    plain: every tensor in `type`. packed: the blocks' linear layers as `PACKINGS[type]` says, the
    rest in 16 bit. mixture: what llama-quantize makes of that name. pure: every tensor that can be
    in the one `type`, as llama-quantize --pure. stored: as the file has them.
    """

    name: str
    kind: Literal["plain", "packed", "mixture", "pure", "stored"]
    type: str = ""  # the type of most tensors; "" for stored
    imatrix: bool = False  # made with an importance matrix, which changes some types


_PLAIN = {
    "fp32": ("fp32", "f32"), "f32": ("fp32", "f32"), "float32": ("fp32", "f32"),
    "float": ("fp32", "f32"), "single": ("fp32", "f32"),
    "fp16": ("fp16", "f16"), "float16": ("fp16", "f16"), "half": ("fp16", "f16"),
    "bf16": ("bf16", "bf16"), "bfloat16": ("bf16", "bf16"),
}  # fmt: skip
_PACKED = {
    "int8": "int8", "8bit": "int8", "8-bit": "int8", "llm.int8": "int8", "llm.int8()": "int8",
    "load_in_8bit": "int8", "int4": "int4", "awq": "int4", "gptq": "int4", "w4a16": "int4",
    "nf4": "nf4", "4bit": "nf4", "4-bit": "nf4", "load_in_4bit": "nf4", "fp4": "fp4",
    "nf4-dq": "nf4-dq", "nf4_dq": "nf4-dq", "nf4+dq": "nf4-dq", "nf4-double": "nf4-dq",
    "fp4-dq": "fp4-dq", "fp4_dq": "fp4-dq", "fp8": "fp8", "float8": "fp8", "w8a8-fp8": "fp8",
}  # fmt: skip
_ALIASES = {"q3_k": "Q3_K_M", "q4_k": "Q4_K_M", "q5_k": "Q5_K_M", "gguf-f16": "F16",
            "gguf-bf16": "BF16", "gguf-f32": "F32"}  # fmt: skip
_BLOCK_TYPES = {name for name, kind in TYPES.items() if kind.block > 1}


def parse_format(text: str, *, imatrix: bool = False) -> Format:
    """A format by the name people give it: fp16, nf4-dq, int8, Q4_K_M, IQ4_XS+imatrix, stored.

    fp32, fp16 and bf16 mean every tensor so, F16 the GGUF file of that name, whose vectors are in
    32 bit (gguf-bf16, gguf-f32 the others). A GGUF type that is no mixture of llama-quantize, or
    written as pure-q4_k, is that type for all tensors. Case is ignored. `imatrix` says the same
    as +imatrix and means nothing to formats that aren't mixtures. Raises PlanError.
    """
    name = text.strip().lower()
    if name == "stored":
        return Format("stored", "stored")
    if name in _PLAIN:
        spelled, kind = _PLAIN[name]
        return Format(spelled, "plain", kind)
    if name in _PACKED:
        return Format(_PACKED[name], "packed", _PACKED[name])
    if name.startswith("pure-") and name[5:] in _BLOCK_TYPES:
        return Format(name, "pure", name[5:])
    base, plus, matrix = name.partition("+")
    mixture = _ALIASES.get(base, base.upper())
    if mixture in MIXTURES and (matrix == "imatrix" or not plus):
        asked = (imatrix or matrix == "imatrix") and TYPES[MIXTURES[mixture]].block > 1
        needed = mixture in NEEDS_IMATRIX
        spelled = f"{mixture}+imatrix" if asked and not needed else mixture
        return Format(spelled, "mixture", MIXTURES[mixture], imatrix=asked or needed)
    if name in _BLOCK_TYPES:
        return Format(name, "pure", name)
    raise PlanError(f"format {text!r} is not known; {_close(name)}")


def _close(name: str) -> str:
    known = [*_PLAIN, *_PACKED, *(m.lower() for m in MIXTURES), *sorted(_BLOCK_TYPES), "stored"]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0].upper() if near[0].upper() in MIXTURES else near[0]}?"
    plain = ", ".join([*dict.fromkeys(name for name, _ in _PLAIN.values()), *PACKINGS])
    return f"expected stored, {plain}, or one of llama-quantize's: {', '.join(MIXTURES)}"
