"""Whether a model fits a machine, what goes where, how fast it runs and for how many users."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ...errors import PlanError
from ..figure import Figure
from ..memory.formats import Format
from ..memory.running import Running, running
from ..memory.weights import Weights, weights
from ..shape import Shape
from ..units import size
from . import speed
from .machines import Machine
from .speed import Work

__all__ = ["WANTED", "Fit", "fit"]

WANTED = 10.0  # tokens/s that each user should get: about twice as fast as people read
PROMPT = 1000  # tokens whose time to the first token is told, where nothing else is asked
_HOST = 41.6e9  # bytes/s of RAM beside a GPU where nothing states it: two channels of DDR4-2666
_MOST = 100_000  # users that are looked for
_LONGEST = 2**20  # tokens that are looked for where nothing states the model's context
_PLACING = "llama.cpp src/llama-model.cpp: whole layers, the last ones first, the head at the end"

How = Literal["whole", "partly", "no"]


@dataclass(frozen=True, slots=True)
class Place:
    """What lies in a GPU's memory and what in the RAM beside it. Sizes in bytes."""

    layers: int  # on the GPUs
    head: bool  # on the GPUs
    gpu: int  # bytes there, of all of them together
    ram: int  # bytes in the RAM


@dataclass(frozen=True, slots=True)
class Fit:
    """A model, in a format and with a context, on a machine.

    Speeds are estimates; None where the machine's bandwidth or compute is not known.
    """

    machine: str
    how: How  # whole: in the memory it should be in; partly: the rest in the RAM beside the GPU
    needed: int  # bytes
    there: int  # bytes a model may take
    left: int  # bytes; negative where it does not fit
    place: Place | None  # of a GPU
    decode: float | None  # tokens/s, one user, when the context is full
    prefill: float | None  # tokens/s of reading a prompt
    first_token: float | None  # seconds to the first token of the answer to `prompt` tokens
    prompt: int
    users_by_memory: int
    users_by_speed: int | None
    users: int  # at once: the smaller of both
    each: float | None  # tokens/s that each of them gets
    throughput: float | None  # tokens/s of all of them together
    longest_context: int  # tokens, one user; 0 where not even the smallest fits
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """It runs wholly where it should; partly on the GPU does not count."""
        return self.how == "whole"


def fit(
    shape: Shape,
    fmt: Format,
    needed: Running,
    machine: Machine,
    *,
    wanted: float = WANTED,
    prompt: int | None = None,
) -> Fit:
    """Put a running model on a machine.

    `needed` is what `running` said of it. `wanted` are the tokens/s each user should get at
    least, `prompt` the tokens whose time to the first token is told (1,000, or less where the
    context is shorter). Raises PlanError for numbers that make no sense.
    """
    if not (math.isfinite(wanted) and 0 < wanted < 1e9):
        raise PlanError(f"wanted tokens/s are {wanted!r}; expected a number above 0")
    prompt = min(PROMPT, needed.context) if prompt is None else prompt
    if not 1 <= prompt <= needed.context:
        raise PlanError(
            f"a prompt of {prompt:,} tokens; expected 1 to the context's {needed.context:,}"
        )
    sizes = weights(shape, fmt)
    done = speed.work_of(shape, sizes, needed.k, needed.v)
    card = machine.kind == "gpu" and not shape.encoder
    place = _place(shape, sizes, needed, machine) if card else None
    how = _how(place, shape, needed, machine)
    rates = _Rates(done, machine, place if how == "partly" else None)

    def holds(context: int, users: int) -> bool:
        more = again(shape, fmt, needed, context, users)
        if card:
            whole = _place(shape, sizes, more, machine)
            return whole.head and whole.layers == shape.layers
        return more.total <= machine.usable_memory

    runs = how != "no" and not shape.encoder
    by_memory = _by_memory(how, needed, holds) if runs else 0
    by_speed = rates.users(needed.context, wanted) if runs else None
    users = by_memory if by_speed is None else min(by_memory, by_speed)
    together = rates.step(needed.context, users) if users else None
    one = rates.step(needed.context, 1) if runs else None
    reading = rates.prefill(prompt) if how != "no" else None
    next_one = rates.step(prompt, 1) if runs else None
    takes = needed.total
    if card:  # each works with buffers of its own
        takes = _on_cards(sizes, needed, shape) + needed.buffers * (machine.count - 1)
    found = Fit(
        machine=machine.called,
        how=how,
        needed=takes,
        there=machine.usable_memory,
        left=machine.usable_memory - takes,
        place=place,
        decode=1 / one if one else None,
        prefill=prompt / reading if reading else None,
        first_token=reading + next_one if reading and next_one else None,
        prompt=prompt,
        users_by_memory=by_memory,
        users_by_speed=by_speed,
        users=users,
        each=1 / together if together else None,
        throughput=users / together if together else None,
        longest_context=_longest(shape, holds),
        figures=(),
        notes=tuple(_notes(shape, machine, how, place, wanted, by_memory, by_speed)),
    )
    return replace(found, figures=tuple(_figures(found, machine, done, needed, wanted)))


def again(shape: Shape, fmt: Format, needed: Running, context: int, users: int) -> Running:
    """The same model with another context and other users."""
    return running(
        shape, fmt, context, users, k=needed.k, v=needed.v, flash=needed.flash,
        ubatch=needed.ubatch, threads=needed.threads,
    )  # fmt: skip


def _by_memory(how: How, needed: Running, holds: Callable[[int, int], bool]) -> int:
    """Users whose contexts fit: those planned for where only a part is on the GPU."""
    if how == "partly":
        return needed.users
    return most_of(lambda users: holds(needed.context, users))


def _longest(shape: Shape, holds: Callable[[int, int], bool]) -> int:
    """The longest context of one user: the model's own, or as many times 256 tokens as fit."""
    limit = shape.context or _LONGEST
    if shape.encoder:
        return shape.context if holds(max(shape.context, 1), 1) else 0
    if holds(limit, 1):
        return limit
    return 256 * most_of(lambda steps: holds(256 * steps, 1), max(limit // 256, 1))


def _notes(
    shape: Shape, machine: Machine, how: How, place: Place | None, wanted: float,
    by_memory: int, by_speed: int | None,
) -> Iterator[str]:  # fmt: skip
    if how == "partly" and place:
        known = f" (there are {size(machine.host_memory)})" if machine.host_memory else ""
        yield (
            f"{place.layers} of {shape.layers} layers fit on the GPU (llama.cpp: --n-gpu-layers "
            f"{place.layers}); the rest takes {size(place.ram)} of RAM{known}"
        )
        if machine.host_bandwidth is None:
            yield "the RAM beside the GPU was taken as 41.6 GB/s, two channels of DDR4-2666"
    if machine.bandwidth is None:
        yield f"the memory bandwidth of {machine.name!r} is not known, so that no speed is told"
    elif speed.compute(machine) is None:
        yield f"the compute of {machine.name!r} is not known: reading a prompt is not told"
    if machine.count > 1 and how != "no":
        yield (
            f"{machine.count} machines hold a part of the layers each and wait for each other: "
            "more memory, no more tokens/s (llama.cpp --split-mode layer)"
        )
    if by_memory and by_speed == 0:
        yield f"it fits, but nobody gets {wanted:.3g} tokens/s"
    yield from machine.notes


def _figures(
    found: Fit, machine: Machine, done: Work, needed: Running, wanted: float
) -> Iterator[Figure]:
    """What a table shows, in the order people ask."""
    kept = machine.memory - machine.usable
    times = f"{machine.count} x " if machine.count > 1 else ""
    spec = machine.sources.get("specifications", "")
    source = _PLACING if found.place else "llar plan memory, which tells every part of it"
    yield Figure("memory needed", found.needed, "bytes", _needed_text(found, needed), source,
                 exact=False)  # fmt: skip
    yield Figure("memory there", found.there, "bytes",
                 f"{times}({size(machine.memory)} - {size(kept)} for the system)", spec,
                 exact=False)  # fmt: skip
    yield Figure("memory left", found.left, "bytes", "there - needed", exact=False)
    if found.place and found.how == "partly":
        yield Figure("layers on the GPU", found.place.layers, "", f"of {done.layers}", _PLACING,
                     exact=False)  # fmt: skip
        yield Figure("RAM for the rest", found.place.ram, "bytes", "", _PLACING, exact=False)
    if found.how == "no":
        yield Figure("longest context that fits", found.longest_context, "tokens", exact=False)
        return
    if found.decode is not None:
        yield _decode(found, machine, done, needed)
    if found.prefill is not None:
        text = speed.prefill_text(done, machine, found.prompt)
        yield Figure(f"tokens/s, reading {found.prompt:,} tokens", found.prefill, "tokens/s", text,
                     speed.SOURCE, exact=False)  # fmt: skip
    if found.first_token is not None:
        yield Figure(
            "time to first token",
            found.first_token,
            "s",
            f"{found.prompt:,} tokens read + one step",
            speed.SOURCE,
            exact=False,
        )
    if found.users_by_memory:
        yield Figure("users, by memory", found.users_by_memory, "",
                     f"contexts of {needed.context:,} tokens that fit", exact=False)  # fmt: skip
    if found.users_by_speed is not None:
        yield Figure("users, by speed", found.users_by_speed, "",
                     f"with {wanted:.3g} tokens/s each", speed.SOURCE, exact=False)  # fmt: skip
    if found.each is not None and found.throughput is not None:
        yield Figure(
            f"tokens/s for each of {found.users}",
            found.each,
            "tokens/s",
            f"all together {found.throughput:,.1f}",
            speed.SOURCE,
            exact=False,
        )
    yield Figure("longest context that fits", found.longest_context, "tokens", "one user",
                 exact=False)  # fmt: skip


def _decode(found: Fit, machine: Machine, done: Work, needed: Running) -> Figure:
    context = needed.context
    if found.how == "partly":
        text = "time of the layers on the GPU + time of those in RAM"
    else:
        text = speed.decode_text(done, machine, context, 1)
    return Figure(f"tokens/s, one user, after {context:,} tokens", found.decode or 0.0, "tokens/s",
                  text, speed.SOURCE, exact=False)  # fmt: skip


def _needed_text(found: Fit, needed: Running) -> str:
    users = f"{needed.users} contexts" if needed.users > 1 else "a context"
    if found.place is None:
        rest = needed.total - needed.weights - needed.kv
        return (
            f"{size(needed.weights)} weights + {size(needed.kv)} KV cache of {users} of "
            f"{needed.context:,} tokens + {size(rest)} buffers and process"
        )
    held = found.needed - needed.kv
    return (
        f"{size(held)} weights and buffers, without the token embedding, which stays in RAM, + "
        f"{size(needed.kv)} KV cache of {users} of {needed.context:,} tokens"
    )


def _on_cards(sizes: Weights, needed: Running, shape: Shape) -> int:
    """Bytes GPUs hold when everything is on them: the token embedding stays in RAM.

    Where it is the head as well, the GPU has a copy of it.
    """
    return sizes.total - (0 if shape.tied else _embedding(sizes)) + needed.kv + needed.buffers


def _embedding(sizes: Weights) -> int:
    return sum(s for t, _, s in sizes.sizes if t.part in ("token_embd", "position_embd"))


def _layers(shape: Shape, sizes: Weights, needed: Running) -> list[int]:
    """Bytes of each layer with its part of the KV cache."""
    found = [0] * shape.layers
    for tensor, _, number in sizes.sizes:
        if tensor.layer is not None:
            found[tensor.layer] += number
    widths = shape.kv_widths or ((1, 1),) * shape.layers
    windows = shape.windows or (0,) * shape.layers
    rooms = [
        (wide + narrow) * (min(needed.context, window) if window else needed.context)
        for (wide, narrow), window in zip(widths, windows, strict=True)
    ]
    every = sum(rooms) or 1
    return [own + math.ceil(needed.kv * room / every) for own, room in zip(found, rooms,
                                                                         strict=True)]  # fmt: skip


def _place(shape: Shape, sizes: Weights, needed: Running, machine: Machine) -> Place:
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
    return Place(held, False, gpu, needed.total - taken)


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


def _how(place: Place | None, shape: Shape, needed: Running, machine: Machine) -> How:
    if place is None:
        return "whole" if needed.total <= machine.usable_memory else "no"
    if place.head and place.layers == shape.layers:
        return "whole"
    if machine.host_memory and place.ram > machine.host_memory:
        return "no"
    return "partly" if place.layers else "no"


class _Rates:
    """How fast it goes, also where some layers are in the RAM beside the GPU."""

    def __init__(self, done: Work, machine: Machine, place: Place | None) -> None:
        self._parts = [(done, machine)]
        if place is not None:
            share = place.layers / done.layers
            host = replace(
                machine, family="cpu", kind="cpu", flops={}, count=1,
                bandwidth=machine.host_bandwidth or _HOST,
            )  # fmt: skip
            self._parts = [(_part(done, share), machine), (_part(done, 1 - share), host)]

    def step(self, context: int, users: int) -> float | None:
        """Seconds of one token for each of `users`."""
        return self._sum(speed.decode(w, m, context, users) for w, m in self._parts)

    def prefill(self, tokens: int) -> float | None:
        """Seconds to read a prompt: llama.cpp sends the weights in RAM to the GPU for it."""
        return speed.prefill(self._whole(), self._parts[0][1], tokens)

    def users(self, context: int, wanted: float) -> int | None:
        """How many get `wanted` tokens/s each; None where nothing tells."""
        if self.step(context, 1) is None:
            return None
        return most_of(lambda users: (self.step(context, users) or math.inf) <= 1 / wanted)

    def _whole(self) -> Work:
        first = self._parts[0][0]
        if len(self._parts) == 1:
            return first
        second = self._parts[1][0]
        return replace(
            first,
            layers=first.layers + second.layers,
            dense=first.dense + second.dense,
            experts=first.experts + second.experts,
            flops=first.flops + second.flops,
            attention=first.attention + second.attention,
        )

    @staticmethod
    def _sum(parts: Iterable[float | None]) -> float | None:
        found = list(parts)
        known = [p for p in found if p is not None]
        return sum(known) if len(known) == len(found) else None


def _part(done: Work, share: float) -> Work:
    """The work of that share of the layers."""
    return replace(
        done,
        layers=round(done.layers * share),
        dense=round(done.dense * share),
        experts=round(done.experts * share),
        flops=done.flops * share,
        attention=done.attention * share,
        kv=tuple((number * share, window) for number, window in done.kv),
    )


def most_of(good: Callable[[int], bool], limit: int = _MOST) -> int:
    """The largest number up to `limit` that is good, where all smaller ones are too; or 0."""
    if not good(1):
        return 0
    low, high = 1, 2
    while high <= limit and good(high):
        low, high = high, high * 2
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low
