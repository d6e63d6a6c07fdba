"""Whether a training fits the memory of the machines it is planned on."""

from __future__ import annotations

import math

from ..figure import Figure
from ..hardware.machines import Machine
from ..memory.training import training
from ..shape import Shape
from ..units import count, size

__all__ = ["memory"]

SEQUENCE = 2048  # tokens of an example, where nothing says
_FULL = 16  # bytes a parameter: weights and gradients in 16 bits, float32 copies, Adam's states
_SOURCE = "Rajbhandari et al. 2020, ZeRO, arXiv:1910.02054, section 3.1"


def memory(
    shape: Shape | None,
    parameters: float,
    machine: Machine,
    *,
    method: str = "full",
    rank: int = 16,
    sequence: int = 0,
) -> tuple[list[Figure], list[str]]:
    """The least a training takes, and in words whether the machine, or several of it, has that.

    One example at a time, with checkpointing and Adam. Of a bare number of parameters only what
    training all of them keeps is known; of adapters on it nothing, and no figure comes back.
    """
    tokens = sequence or SEQUENCE
    if shape is not None and shape.layers:
        plan = training(shape, method, checkpointing=True, rank=rank, sequence=tokens)
        takes, source = plan.peak.value, "llar plan memory --train, which tells every part"
        text = f"one example of {tokens:,} tokens at a time, checkpointing, Adam"
    elif method == "full":
        takes, source = _FULL * parameters, _SOURCE
        text = f"{_FULL} bytes x {count(parameters)}, Adam, without activations"
    else:
        return [], []
    least = Figure("Memory, at least", takes, "bytes", text, source, exact=False)
    return [least], _said(takes, machine)


def _said(takes: float, machine: Machine) -> list[str]:
    there = machine.usable_memory
    split = "split among them (FSDP, ZeRO-3)"
    if takes > there:
        text = (
            f"it does not fit: it takes at least {size(takes)}, {machine.called} has {size(there)}"
        )
        if machine.kind == "gpu":
            most = math.ceil(takes / machine.usable)
            text += f"; from about {most:,} of these cards on it would, {split}"
        return [text]
    if takes > machine.usable:
        return [f"it fits only {split}: one of them has {size(machine.usable)}"]
    return []
