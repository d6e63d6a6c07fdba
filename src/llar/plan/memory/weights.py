"""Bytes of a model's weights in a format, whole and by part, and what one token reads of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from ...errors import PlanError
from ..figure import Figure
from ..shape import Shape, Tensor
from ..units import count
from .formats import PACKINGS, TYPES, Format
from .mixtures import choices

__all__ = ["Weights", "is_linear", "weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights in one format. All sizes are bytes of the tensors alone, without file headers."""

    format: Format
    total: int
    parameters: int
    bits_per_weight: float
    parts: tuple[tuple[str, int], ...]  # "embedding", "attention" ... largest first
    read_per_token: int  # to decode one token: used experts, embedding only where it is the head
    sizes: tuple[tuple[Tensor, str, int], ...]  # of every tensor: its type and bytes
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()  # what came out otherwise than the format's name says

    def __hash__(self) -> int:
        # enough to tell them apart; hashing a thousand tensors at each look-up takes long
        return hash((self.format, self.total, self.parameters, len(self.sizes)))


@lru_cache(maxsize=128)
def weights(shape: Shape, fmt: Format) -> Weights:
    """What the weights of a model take in a format.

    Raises PlanError for a model without parameters, for "stored" where nothing says how they are
    stored, and where rows fit neither the type nor what llama.cpp falls back on.
    """
    if not shape.parameters:
        raise PlanError(f"{shape.name!r} has no tensors, so that its weights cannot be counted")
    sizes, notes = _SIZERS[fmt.kind](shape, fmt)
    total = sum(size for _, _, size in sizes)
    read = sum(size * shape.used(tensor) for tensor, _, size in sizes)
    bits = total * 8 / shape.parameters
    source = _source(fmt)
    exact = not shape.assumed
    figures = (
        Figure("weights", total, "bytes",
               f"{count(shape.parameters)} parameters x {bits:.4f} bits / 8 ({fmt.name})"
               + (f" = {total / 1e9:,.4g} GB" if total >= 1e9 else ""),
               source, exact),
        Figure("bits per weight", bits, "", f"8 x {total:,} bytes / {shape.parameters:,}",
               source, exact),
        Figure("weights read per token", round(read), "bytes", _read_text(shape), source, exact),
    )  # fmt: skip
    return Weights(
        fmt, total, shape.parameters, bits, _parts(sizes), round(read), sizes, figures, notes
    )


_Sizes = tuple[tuple[Tensor, str, int], ...]


def _plain(shape: Shape, fmt: Format) -> tuple[_Sizes, tuple[str, ...]]:
    width = TYPES[fmt.type].size
    return tuple((t, fmt.type, t.elements * width) for t in shape.tensors), ()


def _packed(shape: Shape, fmt: Format) -> tuple[_Sizes, tuple[str, ...]]:
    packing = PACKINGS[fmt.type]
    sizes = []
    for tensor in shape.tensors:
        stacked = tensor.part.endswith("_exps")
        if is_linear(tensor) and (packing.experts or not stacked):
            out, into = tensor.shape[-2:]
            number = tensor.elements // (out * into)
            sizes.append((tensor, packing.name, number * packing.bytes(out, into)))
        else:
            sizes.append((tensor, "f16", tensor.elements * 2))
    left = sum(t.elements for t in shape.tensors if t.part.endswith("_exps"))
    if left and not packing.experts:
        note = (
            f"the experts ({count(left)} parameters) stay in 16 bit: transformers 5 keeps them as "
            "stacked parameters, and bitsandbytes packs linear layers only"
        )
        return tuple(sizes), (note,)
    return tuple(sizes), ()


def _chosen(shape: Shape, fmt: Format) -> tuple[_Sizes, tuple[str, ...]]:
    chosen = choices(shape, fmt)
    sizes = tuple((c.tensor, c.type, TYPES[c.type].bytes(c.tensor.elements)) for c in chosen)
    notes = []
    fallen = Counter((c.wanted, c.type) for c in chosen if c.wanted)
    if fallen:
        lengths = sorted({c.tensor.shape[-1] for c in chosen if c.wanted})
        told = ", ".join(f"{n} from {old} to {new}" for (old, new), n in sorted(fallen.items()))
        rows = ", ".join(map(str, lengths))
        notes.append(f"rows of {rows} do not hold whole blocks; llama.cpp falls back: {told}")
    if fmt.imatrix:
        notes.append("with an importance matrix, as llama-quantize --imatrix")
    return sizes, tuple(notes)


def _stored(shape: Shape, fmt: Format) -> tuple[_Sizes, tuple[str, ...]]:
    sizes = []
    for tensor in shape.tensors:
        kind = TYPES.get(tensor.type.lower())
        if not tensor.type:
            raise PlanError(
                f"{shape.name!r} is a description without a file, so nothing is stored; expected a "
                "format such as fp16 or Q4_K_M",
                fix="--format fp16",
            )
        if kind is None:
            raise PlanError(f"{tensor.name} is stored as {tensor.type!r}, a type llar doesn't know")
        if tensor.elements % kind.block:
            raise PlanError(
                f"{tensor.name} has {tensor.elements} elements, which do not fill blocks of "
                f"{kind.block} for {kind.name}"
            )
        sizes.append((tensor, kind.name, kind.bytes(tensor.elements)))
    return tuple(sizes), ()


_SIZERS = {
    "plain": _plain, "packed": _packed, "mixture": _chosen, "pure": _chosen, "stored": _stored,
}  # fmt: skip


def is_linear(tensor: Tensor) -> bool:
    """Whether it is the weight of a linear layer in a block: no norm, router or convolution."""
    if tensor.layer is None or len(tensor.shape) < 2 or not tensor.name.endswith(".weight"):
        return False
    part = tensor.part
    return not ("norm" in part or "conv" in part or part in ("ffn_gate_inp", "attn_rel_b"))


def _source(fmt: Format) -> str:
    if fmt.kind == "packed":
        packing = PACKINGS[fmt.type]
        return f"linear layers: {packing.text}; the rest in 16 bit. {packing.source}"
    return {
        "plain": "every tensor in one type",
        "mixture": "llama.cpp src/llama-quant.cpp, ggml/src/ggml-common.h",
        "pure": "llama.cpp llama-quantize --pure, ggml/src/ggml-common.h",
        "stored": "the types in the file; ggml/src/ggml-common.h for blocks",
    }[fmt.kind]


def _read_text(shape: Shape) -> str:
    text = f"the bytes of {count(shape.active_parameters)} active parameters"
    if shape.experts:
        text += f", {shape.experts_used} of {shape.experts} experts"
    return text + (", the embedding as head" if shape.tied and not shape.encoder else "")


def _parts(sizes: _Sizes) -> tuple[tuple[str, int], ...]:
    total: Counter[str] = Counter()
    for tensor, _, size in sizes:
        total[_group(tensor)] += size
    return tuple(total.most_common())


def _group(tensor: Tensor) -> str:
    part = tensor.part
    if part.endswith("_exps"):
        return "experts"
    if "norm" in part:
        return "norms"
    if part.removesuffix(".bias") == "output":
        return "head"
    if part.startswith("attn") and tensor.layer is not None:
        return "attention"
    if part.startswith("ffn") and tensor.layer is not None:
        return "feed-forward"
    return "embedding" if "embd" in part or part == "token_types" else "other"
