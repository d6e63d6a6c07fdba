"""How fast a machine runs a model: what it reads and computes, and how well machines do either.

Time of one decoding step, for as many users as are decoded together:

    (weights + users x KV) / (bandwidth x reached) + users x FLOPs / (compute x reached)
    + layers x time to start one

The roofline model (Williams, Waterman and Patterson 2009) with a term for what a layer costs
however small it is: starting GPU kernels, threads waiting for each other. The shares reached were
fitted to every second of the 84 published runs of llama.cpp in tests/test_plan_fit.py, by the least
square of the logarithm of the ratio, and checked on the others: decoding comes out at 0.86 to 1.38
times what was published, half of them within 7 %; reading a prompt at 0.53 to 1.82 times, half of
them within 10 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from ..memory.formats import Format
from ..memory.kv import kv_per_token, windows
from ..memory.weights import weights
from ..sentence import Quantity, Sentence
from ..shape import Shape
from .machines import Machine

__all__ = ["FAMILIES", "Efficiency", "Work", "compute", "decode", "prefill", "work"]


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What machines of a family reach of what their data sheets say, running llama.cpp."""

    bandwidth: float  # share of the memory bandwidth
    layer: float  # seconds a layer takes beside reading and computing
    decode: float  # share of compute, one token for each user at a time
    prefill: float  # share of compute, a prompt at once
    types: tuple[str, ...]  # whose compute counts, the first that a machine states


FAMILIES: Mapping[str, Efficiency] = MappingProxyType({
    "gddr": Efficiency(0.80, 30e-6, 0.45, 0.45, ("fp16", "bf16", "fp32")),
    "hbm": Efficiency(0.60, 50e-6, 0.22, 0.22, ("fp16", "bf16", "fp32")),
    "apple": Efficiency(0.86, 140e-6, 0.63, 0.63, ("fp32",)),
    "cpu": Efficiency(0.90, 160e-6, 0.65, 0.40, ("fp32",)),
})  # fmt: skip
SOURCE = Sentence("source_roofline")


@dataclass(frozen=True, slots=True)
class Work:
    """What a model makes a machine read and compute, in bytes and FLOPs."""

    layers: int
    dense: int  # bytes of weights that every token reads
    experts: int  # bytes of all experts together; each token reads `used` of them
    used: float
    flops: float  # of one token, without attention
    kv: tuple[tuple[float, int], ...]  # (bytes a token adds, window or 0), of each kind of layer
    attention: float  # FLOPs of one token for each token it looks back on, in all layers

    def read(self, users: int) -> float:
        """Bytes of weights read in one step for so many users: more users touch more experts."""
        return self.dense + self.experts * (1 - (1 - self.used) ** users)

    def cache(self, context: int) -> float:
        """Bytes of keys and values that one token reads after `context` others."""
        return sum(size * (min(context, window) if window else context) for size, window in self.kv)


@lru_cache(maxsize=128)
def work(shape: Shape, fmt: Format, k: str = "f16", v: str = "f16") -> Work:
    """What one token takes of a model in a format. Raises PlanError as `weights` and `kv_cache`."""
    sizes = weights(shape, fmt)
    apart = [s for t, _, s in sizes.sizes if t.part.endswith("_exps") and shape.experts]
    every = sum(apart)
    used = shape.experts_used / shape.experts if shape.experts else 1.0
    dense = round(sizes.read_per_token - every * used)
    widths = shape.kv_widths or ((shape.kv_heads * shape.head_dim,) * 2,) * shape.layers
    both = sum(wide + narrow for wide, narrow in widths)
    per_token = 0 if shape.encoder or not both else kv_per_token(shape, k, v)
    kinds: dict[int, float] = {}
    for (wide, narrow), window in zip(widths, windows(shape, "llama.cpp"), strict=True):
        share = per_token * (wide + narrow) / both if both else 0.0
        kinds[window] = kinds.get(window, 0.0) + share
    return Work(
        layers=shape.layers,
        dense=dense,
        experts=every,
        used=used,
        flops=2.0 * shape.active_parameters,
        kv=tuple((size, window) for window, size in sorted(kinds.items())),
        attention=4.0 * shape.layers * shape.heads * shape.head_dim,
    )


def compute(machine: Machine) -> tuple[str, float] | None:
    """The number type whose compute counts on a machine, and its FLOP/s; None where not known."""
    for name in FAMILIES[machine.family].types:
        if name in machine.flops:
            return name, machine.flops[name]
    return None


def decode(done: Work, machine: Machine, context: int, users: int = 1) -> float | None:
    """Seconds of one step: one token for each user, after `context` others.

    None where the machine's bandwidth is not known. Of several GPUs each holds a part of the
    layers and waits for the one before, so that one user gains nothing by them.
    """
    if not machine.bandwidth:
        return None
    reached = FAMILIES[machine.family]
    read = done.read(users) + users * done.cache(context)
    seconds = read / (machine.bandwidth * reached.bandwidth) + done.layers * reached.layer
    known = compute(machine)
    if known:
        flops = users * (done.flops + done.attention * context)
        seconds += flops / (known[1] * reached.decode)
    return seconds


def prefill(done: Work, machine: Machine, tokens: int) -> float | None:
    """Seconds to read a prompt; None where the machine's compute is not known.

    2 FLOPs for each active parameter and token, and those of attention over half of the prompt on
    average (Kaplan et al. 2020, section 2.1); at least what reading the weights once takes.
    """
    known = compute(machine)
    if known is None:
        return None
    reached = FAMILIES[machine.family]
    flops = tokens * (done.flops + done.attention * tokens / 2)
    seconds = flops / (known[1] * reached.prefill) + done.layers * reached.layer
    if machine.bandwidth:
        seconds = max(seconds, done.read(tokens) / (machine.bandwidth * reached.bandwidth))
    return seconds


def decode_text(done: Work, machine: Machine, context: int, users: int) -> Sentence:
    """The formula of tokens/s for each of `users`, with its numbers."""
    reached = FAMILIES[machine.family]
    kv = users * done.cache(context)
    known = compute(machine)
    values = {
        "weights": Quantity(done.read(users), "bytes"), "cache": Quantity(kv, "bytes"),
        "bandwidth": (machine.bandwidth or 0) / 1e9, "share": reached.bandwidth,
        "layers": done.layers, "each": reached.layer * 1e6,
    }  # fmt: skip
    if known is None:
        return Sentence("formula_decode", **values)
    flops = users * (done.flops + done.attention * context)
    return Sentence("formula_decode_compute", **values, flops=flops, rate=known[1] / 1e12,
                    kind=known[0], reached=reached.decode)  # fmt: skip


def prefill_text(done: Work, machine: Machine, tokens: int) -> str:
    """The formula of tokens/s while a prompt is read, with its numbers."""
    known = compute(machine)
    if known is None:
        return ""
    flops = tokens * (done.flops + done.attention * tokens / 2)
    reached = FAMILIES[machine.family]
    return Sentence("formula_prefill", tokens=tokens, flops=flops, rate=known[1] / 1e12,
                    kind=known[0], reached=reached.prefill, layers=done.layers,
                    each=reached.layer * 1e6)  # fmt: skip
