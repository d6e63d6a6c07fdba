"""What is trained: whole tensors or adapters, and what an optimiser keeps for them.

LoRA (Hu et al. 2021, arXiv 2106.09685) puts two matrices beside a matrix of `out` rows and `in`
columns: rank x in and out x rank. Optimiser states: torch.optim (Adam, SGD), bitsandbytes
optim/optimizer.py (8-bit Adam), transformers optimization.py (Adafactor).
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

from ...errors import PlanError
from ..shape import Shape
from .weights import is_linear

__all__ = ["OPTIMISERS", "TARGETS", "Trained", "adapters", "everything", "optimiser_state"]

OPTIMISERS = ("adam", "adam8bit", "adafactor", "sgd", "momentum")
TARGETS = ("all", "attention", "q+v")

_NAMES = {
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
    "qkv_proj": "attn_qkv", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
}  # fmt: skip

_SPELLED = {"adamw": "adam", "adam_8bit": "adam8bit", "adamw8bit": "adam8bit",
            "adamw_8bit": "adam8bit", "adam-8bit": "adam8bit"}  # fmt: skip
_SMALLEST_8_BIT = 4096  # bitsandbytes keeps tensors with fewer elements in 32 bit
_BLOCK_8_BIT = 256  # elements that share one 32-bit constant, of each of the two states


@dataclass(frozen=True, slots=True)
class Trained:
    """The tensors that get gradients. `parts` names those in layers: "attn_q" ..."""

    # layer (None outside), shape, and how many of that shape there are
    tensors: tuple[tuple[int | None, tuple[int, ...], int], ...]
    parts: frozenset[str]
    rank: int  # 0 where the tensors themselves are trained

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(number * math.prod(shape) for _, shape, number in self.tensors)

    def by_layer(self) -> dict[int | None, int]:
        """Parameters trained in each layer; None holds those outside."""
        sums: dict[int | None, int] = {}
        for layer, shape, number in self.tensors:
            sums[layer] = sums.get(layer, 0) + number * math.prod(shape)
        return sums


def everything(shape: Shape) -> Trained:
    """All parameters of a model."""
    own = [t for t in shape.tensors if t.part != "rope_freqs"]  # computed, not learned
    parts = frozenset(t.part for t in own if is_linear(t))
    return Trained(tuple((t.layer, t.shape, 1) for t in own), parts, rank=0)


def adapters(shape: Shape, rank: int, targets: str) -> Trained:
    """LoRA of a rank on all linear layers, those of attention, query and value, or those named.

    Names are GGUF's or transformers': "attn_q,attn_v", "q_proj,v_proj". Each of stacked experts
    has its own. Routers and what lies outside the layers have none. Raises PlanError for a rank
    below 1, unknown targets and models that have no such layer.
    """
    if rank < 1 or rank > shape.hidden:
        raise PlanError(f"the rank is {rank}; expected 1 to {shape.hidden}, the model's width")
    linear = [t for t in shape.tensors if is_linear(t)]
    wanted = _parts(targets, {t.part for t in linear})
    chosen = [t for t in linear if t.part in wanted]
    if not chosen:
        raise PlanError(f"{shape.name!r} has no linear layers that {targets!r} stands for")
    pairs: list[tuple[int | None, tuple[int, ...], int]] = []
    for tensor in chosen:
        out, into = tensor.shape[-2:]
        number = tensor.elements // (out * into)  # experts have one each
        pairs += [(tensor.layer, (rank, into), number), (tensor.layer, (out, rank), number)]
    return Trained(tuple(pairs), frozenset(t.part for t in chosen), rank)


def _parts(targets: str, known: set[str]) -> set[str]:
    """The parts of a model's layers that targets stand for."""
    if targets == "all":
        return known
    if targets == "attention":
        return {part for part in known if part.startswith("attn")}
    if targets == "q+v":
        return known & {"attn_q", "attn_v", "attn_qkv"}
    found: set[str] = set()
    for name in (n.strip().lower() for n in targets.split(",")):
        own = _NAMES.get(name, name)
        parts = {p for p in known if own in (p, p.removesuffix("_exps").removesuffix("_shexp"))}
        if not parts:
            near = difflib.get_close_matches(name, [*TARGETS, *sorted(known)], n=1)
            listed = ", ".join([*TARGETS, *sorted(known)])
            hint = f"did you mean {near[0]!r}?" if near else f"expected {listed}"
            raise PlanError(f"targets {name!r} are no linear layers of this model; {hint}")
        found |= parts
    return found


def optimiser_state(trained: Trained, optimiser: str, width: int) -> tuple[int, str, str]:
    """Bytes of an optimiser's state, how they came about and the source of that.

    `width` is that of the numbers Adam and momentum are kept in: 4, or 2 for pure 16-bit training.
    8-bit Adam and Adafactor keep their own. Raises PlanError for an unknown optimiser.
    """
    number = trained.parameters
    optimiser = _SPELLED.get(optimiser, optimiser)
    if optimiser == "adam":
        return 2 * width * number, f"2 moments x {width} bytes x {number:,}", "torch.optim.AdamW"
    if optimiser == "momentum":
        return width * number, f"{width} bytes x {number:,}", "torch.optim.SGD with momentum"
    if optimiser == "sgd":
        return 0, "nothing is kept", "torch.optim.SGD without momentum"
    if optimiser == "adafactor":
        kept = sum(n * _factored(shape) for _, shape, n in trained.tensors)
        text = f"4 bytes x {kept:,} sums of rows and columns"
        return 4 * kept, text, "Adafactor, arXiv 1804.04235, without momentum"
    if optimiser == "adam8bit":
        return _eight_bit(trained)
    near = difflib.get_close_matches(optimiser, OPTIMISERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(OPTIMISERS)}"
    raise PlanError(f"optimiser {optimiser!r} is not known; {hint}")


def _eight_bit(trained: Trained) -> tuple[int, str, str]:
    sizes = [(math.prod(shape), number) for _, shape, number in trained.tensors]
    small = sum(n * size for size, n in sizes if size < _SMALLEST_8_BIT)
    large = trained.parameters - small
    blocks = sum(n * -(-size // _BLOCK_8_BIT) for size, n in sizes if size >= _SMALLEST_8_BIT)
    text = (
        f"2 bytes x {large:,} + 2 x 4 bytes x {blocks:,} blocks of {_BLOCK_8_BIT}"
        f" + 8 bytes x {small:,} in tensors under {_SMALLEST_8_BIT:,}"
    )
    return 2 * large + 8 * blocks + 8 * small, text, "bitsandbytes optim/optimizer.py"


def _factored(shape: tuple[int, ...]) -> int:
    """Numbers Adafactor keeps of a tensor's squares: one a row and one a column."""
    if len(shape) < 2:
        return math.prod(shape)
    return math.prod(shape[:-1]) + math.prod(shape[:-2]) * shape[-1]
