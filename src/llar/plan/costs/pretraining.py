"""What a training takes: FLOPs, GPU hours, days, money, energy and CO2.

A forward pass multiplies every parameter with every token once: 2 N D operations (a product and a
sum each). The backward pass does as much for the gradients of the activations, and as much again
for those of the weights: 6 N D for all (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
Frozen weights need no gradients of their own, so that LoRA takes 4 N D, and 6 A D for its A
parameters. Attention over s earlier tokens adds 12 x layers x heads x head_dim x s for a token
(Chowdhery et al. 2022, arXiv:2204.02311, appendix B).
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Literal, get_args

from ...errors import PlanError
from ..amount import amount, brief
from ..figure import Figure
from ..hardware.machines import Machine
from ..shape import Shape
from ..units import count
from .energy import Power, assumed, consumption, emission
from .money import Money
from .rates import plain

__all__ = [
    "METHODS",
    "Method",
    "Run",
    "Training",
    "adapters",
    "flops",
    "optimal",
    "published",
    "train",
]

Method = Literal["full", "lora", "qlora"]
METHODS: tuple[Method, ...] = get_args(Method)
MFU = 0.4
_MFU_SOURCE = "The Llama 3 Herd of Models, arXiv:2407.21783, section 3.3.2: 38 to 43 % on H100s"
_ASSUMED = (
    f"an MFU of {MFU:g} is that of large trainings; small models, short texts and single cards"
    " reach less: measure it, and give --mfu"
)
_6ND = "Kaplan et al. 2020, arXiv:2001.08361, section 2.1"
_4ND = f"{_6ND}, without the gradients of frozen weights; LoRA: Hu et al. 2021, arXiv:2106.09685"
_ATTENTION = "Chowdhery et al. 2022, arXiv:2204.02311, appendix B"
_CHINCHILLA = "Hoffmann et al. 2022, arXiv:2203.15556, table 3: 20 tokens per parameter"
_PREFERRED = ("bf16", "fp16", "fp32")  # what models are trained in


@dataclass(frozen=True, slots=True)
class Training:
    """What a training takes, in the order of the calculation."""

    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def named(self, name: str) -> Figure:
        """One of the figures."""
        return next(f for f in self.figures if f.name == name)


@dataclass(frozen=True, slots=True)
class Run:
    """A training as its makers published it. None: they did not."""

    name: str
    title: str
    parameters: float
    tokens: float
    gpu: str
    peak: float  # FLOP/s
    gpu_hours: float
    watts: float
    source: str
    flops: float | None = None
    pue: float | None = None
    mwh: float | None = None
    mwh_is: str = ""
    tonnes: float | None = None

    def figures(self) -> tuple[Figure, ...]:
        """The same computed from parameters, tokens and hours, beside what was published."""
        total = 6 * self.parameters * self.tokens
        energy = self.gpu_hours * self.watts / 1000 * (self.pue or 1.0)
        rows = [
            Figure("FLOPs", total, "FLOPs",
                   f"6 x {count(self.parameters)} x {count(self.tokens)}"
                   + (f"; published {self.flops:.3g}" if self.flops else ""), _6ND),
            Figure("Implied MFU", total / (self.gpu_hours * 3600 * self.peak), "",
                   f"FLOPs / ({count(self.gpu_hours)} h x 3600 x {self.peak:.4g} FLOP/s)",
                   self.source),
            Figure("Energy of the GPUs", energy, "kWh",
                   f"{count(self.gpu_hours)} h x {self.watts:g} W"
                   + (f" x PUE {self.pue:g}" if self.pue else "")
                   + (f"; published {self.mwh:,g} MWh" if self.mwh else ""), self.source),
        ]  # fmt: skip
        if self.tonnes is not None:
            rows.append(
                Figure("Implied CO2 of electricity", self.tonnes * 1000 / energy, "kg CO2/kWh",
                       f"{self.tonnes:,g} t / {energy / 1000:,.6g} MWh", self.source)
            )  # fmt: skip
        return tuple(rows)


@cache
def published() -> dict[str, Run]:
    """The trainings of runs.toml, by name."""
    text = resources.files(__package__).joinpath("runs.toml").read_text(encoding="utf-8")
    return {name: Run(name=name, **row) for name, row in tomllib.loads(text).items()}


def adapters(shape: Shape, rank: int, *, used: bool = False) -> int:
    """The parameters of LoRA on all linear layers: rank x (in + out) of each.

    Each expert of a layer has its own; `used` counts those of the experts that one token passes.
    Raises PlanError for a rank of less than 1.
    """
    if rank < 1:
        raise PlanError(f"a rank of {rank} has no parameters; expected at least 1")
    total = 0.0
    for tensor in shape.linear():
        experts = math.prod(tensor.shape[:-2])
        share = shape.used(tensor) if used else 1.0
        total += experts * share * rank * (tensor.shape[-1] + tensor.shape[-2])
    return round(total)


def flops(
    parameters: float,
    tokens: float,
    *,
    method: Method = "full",
    adapter: float = 0,
    shape: Shape | None = None,
    sequence: int = 0,
) -> tuple[Figure, ...]:
    """The operations of a training; the last figure is all of them.

    With `sequence`, tokens of one example, attention over them is added; that needs the shape.
    Raises PlanError for numbers that are not positive, and an unknown method.
    """
    if method not in METHODS:
        raise PlanError(f"there is no method {method!r}; expected {', '.join(METHODS)}")
    for what, value in (("parameters", parameters), ("tokens", tokens)):
        if not 0 < value < 1e30:
            raise PlanError(f"{value!r} {what}: expected more than 0 and less than 1e30")
    nd = f"{count(parameters)} parameters x {count(tokens)} tokens"
    if method == "full":
        rows = [Figure("FLOPs", 6 * parameters * tokens, "FLOPs", f"6 x {nd}", _6ND)]
    else:
        total = 4 * parameters * tokens + 6 * adapter * tokens
        added = f" + 6 x {count(adapter)} adapter parameters x {count(tokens)}" if adapter else ""
        rows = [Figure("FLOPs", total, "FLOPs", f"4 x {nd}{added}", _4ND)]
    if not sequence:
        return tuple(rows)
    if shape is None:
        raise PlanError("attention needs the model's layers and heads; name the model itself")
    width = shape.heads * shape.head_dim
    attention = 12 * shape.layers * width * sequence * tokens
    text = (
        f"12 x {shape.layers} layers x {shape.heads} heads x {shape.head_dim} x {sequence:,} x"
        f" {count(tokens)} tokens"
    )
    both = rows[0].value + attention
    rows.append(Figure("FLOPs of attention", attention, "FLOPs", text, _ATTENTION))
    rows.append(Figure("FLOPs together", both, "FLOPs", f"{rows[0].value:.4g} + {attention:.4g}"))
    return tuple(rows)


def train(
    title: str,
    operations: tuple[Figure, ...],
    machine: Machine,
    power: Power,
    money: Money,
    *,
    mfu: float | None = None,
    gpu_hours: float | None = None,
    number_type: str = "",
    years: Figure | None = None,
) -> Training:
    """Hours, days, money, energy and CO2 of so many operations on a machine, or several of it.

    `mfu` is the share of the machine's peak that is used; or `gpu_hours` are known, and the share
    is computed from them. Raises PlanError for shares outside 0 to 1, a machine whose compute or
    watts are not known, and more operations than fit into the given hours.
    """
    total = operations[-1]
    peak, kind = _peak(machine, number_type)
    rows = list(operations)
    notes: list[str] = []
    if gpu_hours is not None:
        rows += _from_hours(total, gpu_hours, peak, kind, machine, mfu)
    else:
        rows += _from_mfu(total, MFU if mfu is None else mfu, peak, kind, machine, mfu is None)
        if mfu is None:
            notes.append(_ASSUMED)
    hours = next(f for f in rows if f.name == "GPU hours")
    wall = hours.value / machine.count
    rows.append(
        Figure("Time", wall, "h",
               f"{brief(hours.value)} GPU h / {machine.count:,} = {amount(wall / 24, 'days')}",
               exact=hours.exact)
    )  # fmt: skip
    rows += _paid(machine, hours, money, years, notes)
    if machine.watts is None:
        notes.append(f"the watts of {machine.title} are not known: no energy and no CO2")
        return Training(title, tuple(rows), tuple(notes))
    watts = Figure("Power", machine.watts, "W", source=machine.sources.get("specifications", ""))
    energy = consumption(watts, hours, power.pue)
    rows.append(energy)
    if power.price is not None:
        rows.append(_electricity(energy, power.price, money))
        notes += assumed(power.price)
    else:
        notes.append(
            "electricity is not priced: its default price is in another currency; give"
            " --electricity or --eur-per-usd"
        )
    rows.append(emission(energy, power.co2))
    notes.append("the power is the cards' limit; servers and network around them are not counted")
    return Training(title, tuple(rows), tuple(notes))


def _peak(machine: Machine, number_type: str) -> tuple[float, str]:
    """The machine's dense FLOP/s in a number type, and which."""
    wanted = (number_type,) if number_type else _PREFERRED
    for kind in wanted:
        if kind in machine.flops:
            return machine.flops[kind], kind
    known = ", ".join(machine.flops) or "none"
    raise PlanError(
        f"the compute of {machine.title} in {' or '.join(wanted)} is not known; known are {known}",
        fix=f"write it into machines.toml: [{machine.name}] tflops = {{ bf16 = ... }}",
    )


def _from_mfu(
    total: Figure, mfu: float, peak: float, kind: str, machine: Machine, assumed: bool
) -> list[Figure]:
    if not 0 < mfu <= 1:
        raise PlanError(f"a use of {mfu!r} of the peak: expected more than 0 and at most 1")
    share = Figure("MFU", mfu, "", "assumed" if assumed else "given",
                   _MFU_SOURCE if assumed else "", exact=not assumed)  # fmt: skip
    hours = Figure(
        "GPU hours",
        total.value / (peak * mfu * 3600),
        "GPU h",
        f"{total.value:.4g} / ({peak:.4g} FLOP/s {kind} x {mfu:g} x 3600)",
        machine.sources.get("specifications", ""),
        exact=False,
    )
    return [share, hours]


def _from_hours(
    total: Figure, given: float, peak: float, kind: str, machine: Machine, mfu: float | None
) -> list[Figure]:
    if mfu is not None:
        raise PlanError("give the hours or the MFU: one follows from the other")
    if not 0 < given < 1e15:
        raise PlanError(f"{given!r} GPU hours: expected more than 0")
    implied = total.value / (given * 3600 * peak)
    if implied > 1:
        raise PlanError(
            f"{total.value:.3g} FLOPs do not fit into {brief(given)} GPU hours of {machine.title}:"
            f" that would be {implied:.3g} times its peak of {peak:.3g} FLOP/s"
        )
    share = Figure(
        "Implied MFU",
        implied,
        "",
        f"{total.value:.4g} / ({brief(given)} h x 3600 x {peak:.4g} FLOP/s {kind})",
        machine.sources.get("specifications", ""),
    )
    return [Figure("GPU hours", given, "GPU h", "given"), share]


def _paid(
    machine: Machine, hours: Figure, money: Money, years: Figure | None, notes: list[str]
) -> list[Figure]:
    """Rent, and the share of an own machine's life that the hours take."""
    rows = []
    used = Decimal(str(hours.value))
    if machine.rent_per_hour is not None:
        rate = Decimal(str(machine.rent_per_hour))
        each = money.into(rate, machine.currency, f"{machine.name}'s rent")
        rows.append(
            Figure("Rented", float(each * used), money.currency,
                   f"{brief(hours.value)} GPU h x {plain(each)}", _dated(machine, "rent"),
                   exact=False)
        )  # fmt: skip
    else:
        notes.append(f"what {machine.title} costs to rent is not known")
    life = machine.years or (years.value if years else None)
    if machine.price is None or life is None:
        notes.append(f"what {machine.title} costs to buy is not known")
        return rows
    price = Decimal(str(machine.price))
    price = money.into(price, machine.currency, f"{machine.name}'s price")
    written_off = price * used / (Decimal(str(life)) * 8760)
    rows.append(
        Figure("Owned: written off", float(written_off), money.currency,
               f"{plain(price)} x {brief(hours.value)} GPU h / ({life:g} years x 8760 h)",
               _dated(machine, "price"), exact=False)
    )  # fmt: skip
    return rows


def _electricity(energy: Figure, price: Figure, money: Money) -> Figure:
    return Figure(
        "Owned: electricity",
        energy.value * price.value,
        money.currency,
        f"{brief(energy.value)} kWh x {price.value:.6g}",
        price.source,
        exact=False,
    )


def _dated(machine: Machine, what: str) -> str:
    text = machine.sources.get(what, "")
    return f"{text} ({machine.dated})" if text and machine.dated else text


def optimal(parameters: float, tokens: float) -> Figure:
    """The tokens that use a training's compute best: 20 for each parameter."""
    return Figure(
        "Compute-optimal tokens",
        20 * parameters,
        "tokens",
        f"20 x {count(parameters)}; planned are {brief(tokens / parameters)} for each parameter",
        _CHINCHILLA,
        exact=False,
    )
