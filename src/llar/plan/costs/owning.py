"""What a machine costs a month, owned or rented, and whether it can do the work."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from ...errors import PlanError
from ..amount import brief
from ..figure import Figure
from ..hardware.machines import Machine
from .energy import consumption, emission
from .money import Money
from .rates import plain
from .workload import Workload

__all__ = ["MONTH", "Option", "Speed", "Terms", "own", "rent", "working_hours"]

MONTH = Decimal(730)  # hours: 24 x 365 / 12
IDLE = 0.1  # of the power under load, where a machine's own idle power is not known


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second that one machine reads and writes, for all users together."""

    prefill: float
    decode: float
    source: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What owning and renting take beside the machine itself."""

    money: Money
    electricity: Figure  # per kWh, in that currency
    co2: Figure  # kg CO2/kWh
    pue: Figure
    years: Figure  # a machine is written off over, where it states none itself
    utilisation: Figure  # share of the hours it works, where no speed tells
    hours: Decimal = MONTH  # a month in which the machine is on
    hosting: Decimal = Decimal(0)  # a month for rack, network, building
    people_hours: Decimal = Decimal(0)  # a month of administrators' time
    wage: Decimal = Decimal(0)  # for one hour of it, with all that an employer pays
    server_price: Decimal = Decimal(0)  # of what is around the cards
    server_watts: Decimal = Decimal(0)
    peak: Decimal = Decimal(1)  # load of the busiest hour over the mean one


@dataclass(frozen=True, slots=True)
class Option:
    """One way to have the work done, and what it costs a month."""

    name: str
    kind: Literal["api", "own", "rent"]
    monthly: Decimal
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    investment: Decimal = Decimal(0)  # paid once
    depreciation: Decimal = Decimal(0)  # of it a month, part of `monthly`
    growing: Decimal = Decimal(0)  # the part of `monthly` that grows with the tokens
    capacity: Decimal | None = None  # tokens a month, at most; None: not known, or any number
    energy: Figure | None = None
    co2: Figure | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """How many machines run for how long, and what they draw."""

    machines: int
    hours: Decimal  # each is on
    utilisation: Figure
    watts: Figure  # of all of them, on average while on
    extra: float  # W that working adds to waiting, of one machine
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = field(default=())
    busy: Decimal | None = None  # hours of one machine that the work takes
    capacity: Decimal | None = None


def working_hours(workload: Workload, speed: Speed) -> Figure:
    """Hours one machine needs for a month's tokens: input / prefill + output / decode."""
    if not (speed.prefill > 0 and speed.decode > 0):
        raise PlanError(f"a speed of {speed.prefill:g} and {speed.decode:g} tokens/s does no work")
    seconds = float(workload.input) / speed.prefill + float(workload.output) / speed.decode
    return Figure(
        "Hours of work a month",
        seconds / 3600,
        "h",
        f"({brief(float(workload.input))} / {speed.prefill:,.4g} +"
        f" {brief(float(workload.output))} / {speed.decode:,.4g} tokens/s) / 3600",
        speed.source,
        exact=speed.exact,
    )


def own(machine: Machine, workload: Workload, terms: Terms, speed: Speed | None = None) -> Option:
    """What it costs a month to own as many of a machine as the work needs.

    Raises PlanError where its price or watts are not known, or need a rate of exchange.
    """
    if machine.price is None:
        raise PlanError(
            f"what {machine.title} costs to buy is not known",
            fix=f"write its price into machines.toml: [{machine.name}] price = ...",
        )
    run = _running(machine, workload, terms, speed)
    money = terms.money
    each = money.into(Decimal(str(machine.price)), machine.currency, f"{machine.name}'s price")
    count = machine.count * run.machines
    price = each * count + terms.server_price * run.machines
    server = f" + {run.machines} x {plain(terms.server_price)} server" if terms.server_price else ""
    years = Decimal(str(machine.years or terms.years.value))
    monthly = price / (years * 12)
    energy, emitted = _energy(run, terms)
    paid = Decimal(str(energy.value)) * Decimal(str(terms.electricity.value))
    wages = terms.people_hours * terms.wage
    rows = [
        _money(money, "To buy", price, f"{count} x {plain(each)}{server}",
               _source(machine, "price")),
        _money(money, "Depreciation", monthly, f"{plain(price)} / ({plain(years)} years x 12)",
               terms.years.source if machine.years is None else _source(machine, "years")),
        *run.figures,
        run.watts,
        energy,
        _money(money, "Electricity", paid,
               f"{brief(energy.value)} kWh x {terms.electricity.value:.6g}",
               terms.electricity.source, exact=energy.exact and terms.electricity.exact),
        *_others(terms),
    ]  # fmt: skip
    total = monthly + paid + wages + terms.hosting
    names = ["depreciation", "electricity"]
    names += ["hosting"] * bool(terms.hosting) + ["people"] * bool(wages)
    rows += [_money(money, "A month", total, " + ".join(names), exact=False), emitted]
    return Option(
        name=f"own {machine.together(count).called}",
        kind="own",
        monthly=total,
        figures=tuple(rows),
        notes=run.notes + _unpriced(machine, terms, wages),
        investment=price,
        depreciation=monthly,
        growing=_growing(run, terms),
        capacity=run.capacity,
        energy=energy,
        co2=emitted,
    )


def rent(
    machine: Machine,
    workload: Workload,
    terms: Terms,
    speed: Speed | None = None,
    *,
    hours: Decimal | None = None,
    while_busy: bool = False,
) -> Option:
    """What it costs a month to rent it: all the hours of `terms`, so many, or only those it works.

    Raises PlanError where its rent is not known, and for `while_busy` without a speed.
    """
    if machine.rent_per_hour is None:
        raise PlanError(
            f"what {machine.title} costs to rent is not known",
            fix=f"write it into machines.toml: [{machine.name}] rent_per_hour = ...",
        )
    if hours is not None:
        terms = replace(terms, hours=hours)
    run = _running(machine, workload, terms, speed, while_busy=while_busy)
    money = terms.money
    rate = Decimal(str(machine.rent_per_hour))
    each = money.into(rate, machine.currency, f"{machine.name}'s rent")
    count = machine.count * run.machines
    paid = each * run.hours * count
    wages = terms.people_hours * terms.wage
    energy, emitted = _energy(run, terms)
    cost = _money(money, "Rent", paid, f"{count} x {plain(run.hours)} h x {plain(each)}",
                  _source(machine, "rent"))  # fmt: skip
    total = paid + wages
    people = [f for f in _others(terms) if f.name == "People"]
    month = _money(money, "A month", total, "rent + people" if wages else "rent", exact=False)
    how = "while it works" if while_busy else f"{plain(run.hours)} h"
    return Option(
        name=f"rent {machine.together(count).called}, {how}",
        kind="rent",
        monthly=total,
        figures=(*run.figures, cost, *people, month, run.watts, energy, emitted),
        notes=run.notes,
        growing=paid if while_busy else Decimal(0),
        capacity=run.capacity,
        energy=energy,
        co2=emitted,
    )


def _running(
    machine: Machine,
    workload: Workload,
    terms: Terms,
    speed: Speed | None,
    *,
    while_busy: bool = False,
) -> _Run:
    """How many machines, how long, at what power."""
    if machine.watts is None:
        raise PlanError(
            f"the watts of {machine.title} are not known",
            fix=f"write them into machines.toml: [{machine.name}] watts = ...",
        )
    if speed is None:
        if while_busy:
            raise PlanError(
                "how long the work takes is not known",
                fix="--model NAME, or --prefill and --decode with measured tokens per second",
            )
        share = terms.utilisation
        note = (
            "whether the machine can do this work is not checked: give --model, or --prefill and"
            " --decode"
        )
        return _powered(machine, terms, 1, terms.hours, share, (share,), (note,))
    busy = working_hours(workload, speed)
    when = min(workload.hours or terms.hours, terms.hours)
    load = Decimal(str(busy.value)) * terms.peak
    needed = max(math.ceil(load / when), 1)
    at_peak = f" x {plain(terms.peak)} at the busiest" if terms.peak != 1 else ""
    rows = [
        busy,
        Figure("Machines needed", needed, "",
               f"{busy.value:,.4g} h of work{at_peak} / {plain(when)} h in which it comes,"
               " rounded up",
               exact=busy.exact),
    ]  # fmt: skip
    hours = Decimal(math.ceil(Decimal(str(busy.value)) / needed)) if while_busy else terms.hours
    share = Figure(
        "Share of the hours it works",
        min(busy.value / float(hours * needed), 1.0),
        "",
        f"{busy.value:,.4g} h / ({needed} x {plain(hours)} h)",
        exact=busy.exact,
    )
    notes: tuple[str, ...] = ()
    if needed > 1:
        notes = (f"one {machine.called} cannot deliver this workload: {needed} are needed",)
    most = workload.tokens * when * needed / load
    rows += [
        share,
        Figure("At most", float(most), "tokens",
               f"a month of this kind: {brief(float(workload.tokens))} x {needed} x {when:g}"
               f" / {float(load):,.4g} h", exact=busy.exact),
    ]  # fmt: skip
    return _powered(machine, terms, needed, hours, share, tuple(rows), notes,
                    busy=Decimal(str(busy.value)), capacity=most)  # fmt: skip


def _powered(
    machine: Machine,
    terms: Terms,
    needed: int,
    hours: Decimal,
    share: Figure,
    figures: tuple[Figure, ...],
    notes: tuple[str, ...],
    *,
    busy: Decimal | None = None,
    capacity: Decimal | None = None,
) -> _Run:
    """The same with its power: working and waiting, by the share of hours it works."""
    assert machine.watts is not None
    idle = machine.watts * IDLE if machine.idle_watts is None else machine.idle_watts
    server = float(terms.server_watts)
    each = share.value * machine.watts + (1 - share.value) * idle
    watts = needed * (machine.count * each + server)
    text = f"{share.value:.4g} x {machine.watts:g} W + {1 - share.value:.4g} x {idle:g} W"
    text = f"{machine.count * needed} x ({text})" + (f" + {server * needed:g} W" if server else "")
    if machine.idle_watts is None and share.value < 1:
        note = f"the power of {machine.name} while it waits is assumed: a tenth of that under load"
        notes = (*notes, note)
    return _Run(
        machines=needed,
        hours=hours,
        utilisation=share,
        watts=Figure("Power while on", watts, "W", text, _source(machine, "watts"), exact=False),
        extra=machine.count * (machine.watts - idle),
        figures=figures,
        notes=notes,
        busy=busy,
        capacity=capacity,
    )


def _energy(run: _Run, terms: Terms) -> tuple[Figure, Figure]:
    hours = Figure("Hours on", float(run.hours), "h", exact=run.utilisation.exact)
    energy = consumption(run.watts, hours, terms.pue)
    return energy, emission(energy, terms.co2)


def _growing(run: _Run, terms: Terms) -> Decimal:
    """Money for the electricity that working takes beyond waiting."""
    if run.busy is None:
        return Decimal(0)
    kwh = Decimal(str(run.extra)) / 1000 * run.busy * Decimal(str(terms.pue.value))
    return kwh * Decimal(str(terms.electricity.value))


def _others(terms: Terms) -> list[Figure]:
    rows = []
    if terms.hosting:
        rows.append(_money(terms.money, "Hosting", terms.hosting, "given"))
    wages = terms.people_hours * terms.wage
    if wages:
        hours = f"{terms.people_hours:g} h x {plain(terms.wage)}"
        rows.append(_money(terms.money, "People", wages, hours))
    return rows


def _unpriced(machine: Machine, terms: Terms, wages: Decimal) -> tuple[str, ...]:
    """What this owning leaves out, so that nobody takes it for everything."""
    missing = []
    if machine.kind == "gpu" and not terms.server_price:
        missing.append("the server around the cards (--server-price, --server-watts)")
    if not wages:
        missing.append("people's time (--hours-per-month, --hourly-wage)")
    if not terms.hosting:
        missing.append("room, network and repairs (--hosting)")
    return (f"not counted: {'; '.join(missing)}",) if missing else ()


def _money(
    money: Money, name: str, amount: Decimal, formula: str, source: str = "", *, exact: bool = True
) -> Figure:
    return Figure(name, float(amount), money.currency, formula, source, exact=exact)


def _source(machine: Machine, what: str) -> str:
    text = machine.sources.get(what, machine.sources.get("specifications", ""))
    return f"{text} ({machine.dated})" if machine.dated and what in ("price", "rent") else text
