"""Whether a model fits a machine, what goes where, how fast it runs and for how many users."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from ...errors import PlanError
from ..figure import Figure
from ..memory.formats import Format
from ..memory.running import Running, running
from ..memory.weights import Weights, weights
from ..sentence import Quantity, Sentence
from ..shape import Shape
from ..units import size
from . import placing, speed
from .machines import Machine
from .placing import How, Place, on_cards, placed
from .speed import Work

__all__ = ["WANTED", "Fit", "fit"]

WANTED = 10.0  # tokens/s that each user should get: about twice as fast as people read
PROMPT = 1000  # tokens whose time to the first token is told, where nothing else is asked
_HOST = 41.6e9  # bytes/s of RAM beside a GPU where nothing states it: two channels of DDR4-2666
_BUS = 25e9  # bytes/s from that RAM to the GPU: PCIe 4.0 x16, 31.5 GB/s less what it keeps itself
_MOST = 100_000  # users that are looked for
_LONGEST = 2**20  # tokens that are looked for where nothing states the model's context


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
    each_asked: float | None  # tokens/s that each of the users gets whom `needed` is for
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
    prompt = _checked(needed, wanted, prompt)
    sizes = weights(shape, fmt)
    done = speed.work(shape, fmt, needed.k, needed.v)
    card = machine.kind == "gpu" and not shape.encoder
    place = placed(shape, sizes, needed, machine) if card else None
    how = placing.how(place, shape, needed, machine)
    rates = _Rates(done, machine, place if how == "partly" else None, needed.ubatch)
    holds = _holding(shape, fmt, needed, machine, sizes if card else None)
    runs = how != "no" and not shape.encoder
    by_memory = _by_memory(how, needed, holds) if runs else 0
    by_speed = rates.users(needed.context, wanted) if runs else None
    users = by_memory if by_speed is None else min(by_memory, by_speed)
    together = rates.step(needed.context, users) if users else None
    asked = rates.step(needed.context, needed.users) if runs and by_memory else None
    one = rates.step(needed.context, 1) if runs else None
    reading = rates.prefill(prompt) if how != "no" else None
    next_one = rates.step(prompt, 1) if runs else None
    takes = needed.total
    if card:  # each works with buffers of its own
        takes = on_cards(sizes, needed, shape) + needed.buffers * (machine.count - 1)
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
        each_asked=1 / asked if asked else None,
        longest_context=_longest(shape, holds),
        figures=(),
        notes=tuple(_notes(shape, machine, how, place, wanted, by_memory, by_speed)),
    )
    return replace(
        found, figures=tuple(_figures(found, machine, done, needed, wanted, rates.sending(prompt)))
    )


def _checked(needed: Running, wanted: float, prompt: int | None) -> int:
    """The tokens of the prompt; PlanError for numbers that make no sense."""
    if not (math.isfinite(wanted) and 0 < wanted < 1e9):
        raise PlanError(f"wanted tokens/s are {wanted!r}; expected a number above 0")
    prompt = min(PROMPT, needed.context) if prompt is None else prompt
    if not 1 <= prompt <= needed.context:
        raise PlanError(
            f"a prompt of {prompt:,} tokens; expected 1 to the context's {needed.context:,}"
        )
    return prompt


def _holding(
    shape: Shape, fmt: Format, needed: Running, machine: Machine, sizes: Weights | None
) -> Callable[[int, int], bool]:
    """Whether a context for so many users fits, as a function; `sizes` where it is on GPUs."""

    def holds(context: int, users: int) -> bool:
        more = again(shape, fmt, needed, context, users)
        if sizes is None:
            return more.total <= machine.usable_memory
        whole = placed(shape, sizes, more, machine)
        return whole.head and whole.layers == shape.layers

    return holds


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
            f"{place.layers} of {shape.layers} layers fit on the GPU, the output head does not "
            f"(llama.cpp: --n-gpu-layers {place.layers}); the rest takes {size(place.ram)} of "
            f"RAM{known}"
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
        runs = "it runs, partly from the RAM" if how == "partly" else "it fits"
        yield f"{runs}, but nobody gets {wanted:.3g} tokens/s"
    yield from machine.notes


def _figures(
    found: Fit, machine: Machine, done: Work, needed: Running, wanted: float, sending: float
) -> Iterator[Figure]:
    """What a table shows, in the order people ask."""
    kept = machine.memory - machine.usable
    several = "_several" if machine.count > 1 else ""
    memory, held_back = Quantity(machine.memory, "bytes"), Quantity(kept, "bytes")
    there = Sentence(f"formula_there{several}", memory=memory, kept=held_back, count=machine.count)
    spec = machine.sources.get("specifications", "")
    source = placing.SOURCE if found.place else Sentence("source_memory")
    yield Figure(Sentence("figure_needed"), found.needed, "bytes",
                 _needed_text(found, needed), source, exact=False)  # fmt: skip
    yield Figure(Sentence("figure_there"), found.there, "bytes",
                 there, spec, exact=False)  # fmt: skip
    yield Figure(Sentence("figure_left"), found.left, "bytes", Sentence("formula_left"),
                 exact=False)  # fmt: skip
    if found.place and found.how == "partly":
        yield Figure(Sentence("figure_layers"), found.place.layers, "",
                     Sentence("formula_layers", layers=done.layers), placing.SOURCE,
                     exact=False)  # fmt: skip
        yield Figure(Sentence("figure_rest"), found.place.ram, "bytes", "", placing.SOURCE,
                     exact=False)  # fmt: skip
    if found.how == "no":
        yield Figure(Sentence("figure_longest"), found.longest_context, "tokens", exact=False)
        return
    if found.decode is not None:
        yield _decode(found, machine, done, needed)
    if found.prefill is not None:
        text = speed.prefill_text(done, machine, found.prompt)
        if sending:
            text = Sentence("formula_sending", seconds=sending)
        yield Figure(Sentence("figure_reading", tokens=found.prompt), found.prefill, "tokens/s",
                     text, speed.SOURCE, exact=False)  # fmt: skip
    if found.first_token is not None:
        yield Figure(
            Sentence("figure_first"),
            found.first_token,
            "s",
            Sentence("formula_first", tokens=found.prompt),
            speed.SOURCE,
            exact=False,
        )
    if found.each_asked is not None and needed.users > 1:
        together = needed.users * found.each_asked
        yield Figure(Sentence("figure_each", users=needed.users), found.each_asked, "tokens/s",
                     Sentence("formula_together", rate=together), speed.SOURCE,
                     exact=False)  # fmt: skip
    if found.users_by_memory:
        yield Figure(Sentence("figure_by_memory"), found.users_by_memory, "",
                     Sentence("formula_by_memory", context=needed.context),
                     exact=False)  # fmt: skip
    if found.users_by_speed is not None:
        yield Figure(Sentence("figure_by_speed"), found.users_by_speed, "",
                     Sentence("formula_by_speed", rate=wanted), speed.SOURCE,
                     exact=False)  # fmt: skip
    if found.each and found.throughput and not 1 < found.users == needed.users:
        yield Figure(
            Sentence("figure_each", users=found.users),
            found.each,
            "tokens/s",
            Sentence("formula_together", rate=found.throughput),
            speed.SOURCE,
            exact=False,
        )
    where = "_gpu" if found.how == "partly" else ""
    yield Figure(Sentence("figure_longest"), found.longest_context, "tokens",
                 Sentence(f"formula_longest{where}"), exact=False)  # fmt: skip


def _decode(found: Fit, machine: Machine, done: Work, needed: Running) -> Figure:
    context = needed.context
    if found.how == "partly":
        text = Sentence("formula_partly")
    else:
        text = speed.decode_text(done, machine, context, 1)
    return Figure(Sentence("figure_decode", tokens=context), found.decode or 0.0, "tokens/s",
                  text, speed.SOURCE, exact=False)  # fmt: skip


def _needed_text(found: Fit, needed: Running) -> Sentence:
    several = "_several" if needed.users > 1 else ""
    values = {"cache": Quantity(needed.kv, "bytes"), "context": needed.context,
              "users": needed.users}  # fmt: skip
    if found.place is None:
        rest = needed.total - needed.weights - needed.kv
        return Sentence(f"formula_needed{several}", weights=Quantity(needed.weights, "bytes"),
                        rest=Quantity(rest, "bytes"), **values)  # fmt: skip
    held = Quantity(found.needed - needed.kv, "bytes")
    return Sentence(f"formula_needed_gpu{several}", held=held, **values)


class _Rates:
    """How fast it goes, also where some layers are in the RAM beside the GPU."""

    def __init__(self, done: Work, machine: Machine, place: Place | None, batch: int) -> None:
        self._whole = done
        self._machine = machine
        self._batch = batch
        self._sent = 0  # bytes of weights that go to the GPU for each batch of a prompt
        self._parts = [(done, machine)]
        if place is not None:
            share = place.layers / done.layers
            host = replace(
                machine, family="cpu", kind="cpu", flops={}, count=1,
                bandwidth=machine.host_bandwidth or _HOST,
            )  # fmt: skip
            layers = replace(done, dense=done.dense - place.outside)
            rest = _part(layers, 1 - share)
            rest = replace(rest, dense=rest.dense + place.outside)
            self._sent = rest.dense + rest.experts
            self._parts = [(_part(layers, share), machine), (rest, host)]

    def step(self, context: int, users: int) -> float | None:
        """Seconds of one token for each of `users`."""
        return self._sum(speed.decode(w, m, context, users) for w, m in self._parts)

    def prefill(self, tokens: int) -> float | None:
        """Seconds to read a prompt; for each batch llama.cpp sends the GPU the weights in RAM."""
        reading = speed.prefill(self._whole, self._machine, tokens)
        return None if reading is None else reading + self.sending(tokens)

    def sending(self, tokens: int) -> float:
        """Seconds of it in which weights are on their way; 0 where all are on the GPU."""
        return math.ceil(tokens / self._batch) * self._sent / _BUS

    def users(self, context: int, wanted: float) -> int | None:
        """How many get `wanted` tokens/s each; None where nothing tells."""
        if self.step(context, 1) is None:
            return None
        return most_of(lambda users: (self.step(context, users) or math.inf) <= 1 / wanted)

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
