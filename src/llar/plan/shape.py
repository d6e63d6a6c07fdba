"""A model as memory and compute see it: its dimensions and every tensor it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Shape", "Tensor"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor by its GGUF name, whatever file it came from.

    Names are llama.cpp's (gguf-py/gguf/constants.py): token_embd.weight, blk.3.attn_q.weight,
    blk.3.ffn_down_exps.weight, output.weight ...; one with no GGUF name keeps its own.
    """

    name: str
    shape: tuple[int, ...]  # (out, in) as PyTorch has it; of experts together (experts, out, in)
    type: str = ""  # as stored: "f16", "q4_1", "bf16"; "" where there is only a description

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def part(self) -> str:
        """Its name within a layer, without number and .weight: "attn_q", "ffn_down_exps"."""
        return _part(self.name)

    @property
    def layer(self) -> int | None:
        """The layer it belongs to, from 0; None outside the layers."""
        return _layer(self.name)


@lru_cache(maxsize=8192)  # models share their names, and they are asked for again and again
def _part(name: str) -> str:
    name = name.removesuffix(".weight")
    return name.split(".", 2)[2] if name.startswith("blk.") else name


@lru_cache(maxsize=8192)
def _layer(name: str) -> int | None:
    return int(name.split(".")[1]) if name.startswith("blk.") else None


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a model. Lengths are in elements, contexts in tokens."""

    name: str
    architecture: str  # as GGUF and config.json call it: "llama", "qwen3", "bert"
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int  # width of a dense layer's feed-forward part; of one expert where all layers have them
    vocabulary: int
    context: int  # longest context it was made for; 0 where nothing says
    tied: bool  # the output head is the token embedding
    tensors: tuple[Tensor, ...]  # all of them; a tied head is not listed twice
    experts: int = 0  # in each layer that has them; 0: a dense model
    experts_used: int = 0  # of them for each token
    windows: tuple[int, ...] = ()  # per layer, tokens it looks back on; 0: all. () is all layers 0
    kv_widths: tuple[tuple[int, int], ...] = ()  # per layer, cached elements a token of K and of V
    encoder: bool = False  # reads a text at once; has no cache and generates nothing
    gated: bool = True  # the feed-forward part has a gate beside its up projection
    source: str = ""  # where the numbers come from: a path, or the file of known models
    assumed: tuple[str, ...] = ()  # what nothing stated and a rule filled in, each as a sentence

    def __hash__(self) -> int:
        # enough to tell models apart; hashing a thousand tensors at each look-up takes long
        return hash((self.name, self.source, self.layers, self.hidden, len(self.tensors)))

    @property
    def parameters(self) -> int:
        """All of them, counted from the tensors."""
        return _counted(self)

    @property
    def active_parameters(self) -> int:
        """Those one token passes through: without experts not chosen and unused embedding rows.

        The token embedding counts once where it is also the head, else not at all.
        """
        return _passed(self)

    def used(self, tensor: Tensor) -> float:
        """The share of a tensor that is read for one token, 0 to 1."""
        if tensor.part in ("token_embd", "position_embd", "token_types"):
            return 1.0 if self.tied and tensor.part == "token_embd" and not self.encoder else 0.0
        if tensor.part.removesuffix(".bias").endswith("_exps") and self.experts:
            return self.experts_used / self.experts
        return 1.0

    def linear(self) -> Iterator[Tensor]:
        """The weight matrices inside the layers, experts too: what LoRA calls all linear layers."""
        return (
            t for t in self.tensors
            if t.layer is not None and len(t.shape) >= 2 and t.name.endswith(".weight")
            and not t.part.endswith("_norm")  # Command R norms each head on its own
        )  # fmt: skip


@lru_cache(maxsize=64)  # asked for again and again, of a thousand tensors
def _counted(shape: Shape) -> int:
    return sum(t.elements for t in shape.tensors)


@lru_cache(maxsize=64)
def _passed(shape: Shape) -> int:
    return sum(round(t.elements * shape.used(t)) for t in shape.tensors)
