"""What of a model lies in the memory of GPUs, and what in the RAM beside them.

As llama.cpp lays it out (src/llama-model.cpp): whole layers, the last ones first, each with its
part of the KV cache; the output head with the last of them; the token embedding stays in RAM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ..memory.kv import windows
from ..memory.running import Running
from ..memory.weights import Weights
from ..sentence import Sentence
from ..shape import Shape
from .machines import Machine

__all__ = ["SOURCE", "How", "Place", "how", "on_cards", "placed"]

SOURCE = Sentence("source_layers")

How = Literal["whole", "partly", "no"]


@dataclass(frozen=True, slots=True)
class Place:
    """What lies in a GPU's memory and what in the RAM beside it. Sizes in bytes."""

    layers: int  # on the GPUs
    head: bool  # on the GPUs
    gpu: int  # bytes there, of all of them together
    ram: int  # bytes in the RAM
    outside: int = 0  # bytes of the head in the RAM, where it is not on the GPUs


def on_cards(sizes: Weights, needed: Running, shape: Shape) -> int:
    """Bytes GPUs hold when everything is on them: the token embedding stays in RAM.

    Where it is the head as well, the GPU has a copy of it.
    """
    return sizes.total - (0 if shape.tied else _embedding(sizes)) + needed.kv + needed.buffers


@lru_cache(maxsize=128)
def _embedding(sizes: Weights) -> int:
    return sum(s for t, _, s in sizes.sizes if t.part in ("token_embd", "position_embd"))


@lru_cache(maxsize=128)
def _of_layers(sizes: Weights) -> Mapping[int, int]:
    """Bytes of the weights of each layer, by its number."""
    found: dict[int, int] = {}
    for tensor, _, number in sizes.sizes:
        if tensor.layer is not None:
            found[tensor.layer] = found.get(tensor.layer, 0) + number
    return found


def _layers(shape: Shape, sizes: Weights, needed: Running) -> list[int]:
    """Bytes of each layer with its part of the KV cache."""
    found = [_of_layers(sizes).get(layer, 0) for layer in range(shape.layers)]
    widths = shape.kv_widths or ((1, 1),) * shape.layers
    rooms = [
        (wide + narrow) * (min(needed.context, window) if window else needed.context)
        for (wide, narrow), window in zip(widths, windows(shape, "llama.cpp"), strict=True)
    ]
    every = sum(rooms) or 1
    return [own + math.ceil(needed.kv * room / every) for own, room in zip(found, rooms,
                                                                         strict=True)]  # fmt: skip


def placed(shape: Shape, sizes: Weights, needed: Running, machine: Machine) -> Place:
    """What goes on the GPUs: everything, or as many of the last layers as there is room for."""
    room = machine.usable - needed.buffers  # each card works with buffers of its own
    layers = _layers(shape, sizes, needed)
    inside = sum(s for t, _, s in sizes.sizes if t.layer is not None) + needed.kv
    outside = sizes.total - _embedding(sizes) - (inside - needed.kv)
    head = outside + (_embedding(sizes) if shape.tied else 0)
    held = _fill(layers, head, room, machine.count)
    if held == shape.layers:
        ram = _embedding(sizes) + needed.process
        return Place(held, True, inside + head + needed.buffers * machine.count, ram)
    held = _fill(layers, 0, room, machine.count)
    taken = sum(layers[shape.layers - held :])
    gpu = taken + needed.buffers * machine.count if held else 0
    return Place(held, False, gpu, needed.total - taken, head)


def _fill(layers: list[int], first: int, room: int, cards: int) -> int:
    """How many of the last layers fit, one card after the other, after `first` bytes on one."""
    if first > room:
        return 0
    used, card, held = first, 1, 0
    for number in reversed(layers):
        if used + number > room:
            card, used = card + 1, 0
        if card > cards or number > room:
            break
        used, held = used + number, held + 1
    return held


def how(place: Place | None, shape: Shape, needed: Running, machine: Machine) -> How:
    if place is None:
        return "whole" if needed.total <= machine.usable_memory else "no"
    if place.head and place.layers == shape.layers:
        return "whole"
    if machine.host_memory and place.ram > machine.host_memory:
        return "no"
    return "partly" if place.layers else "no"
