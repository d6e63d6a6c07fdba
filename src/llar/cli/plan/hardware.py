"""Options that say which machines the work could be done on, and what they cost around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from .terms import Given, grouped

if TYPE_CHECKING:
    from ...config import Config
    from ...plan.costs.money import Money
    from ...plan.costs.owning import Option, Speed, Terms
    from ...plan.costs.workload import Workload
    from ...plan.hardware.machines import Machine

_OPTIONS = (
    click.option(
        "--machine", "machines", multiple=True, metavar="NAME",
        help="Own or rent this one, or several together: 2x h100-sxm. Repeatable.",
    ),
    click.option(
        "--machine-price", metavar="MONEY", help="What the machine costs to buy, in --currency."
    ),
    click.option("--machine-rent", metavar="MONEY", help="What an hour of it costs to rent."),
    click.option("--model", metavar="MODEL", help="Model the machines would run."),
    click.option(
        "--format", "weights", metavar="TYPE", default="Q4_K_M", show_default=True,
        help="Format of its weights.",
    ),
    click.option("--prefill", metavar="N", help="Tokens/s a machine reads, measured; all users."),
    click.option("--decode", metavar="N", help="Tokens/s a machine writes, measured; all users."),
    click.option(
        "--hours", metavar="N", default="730", show_default=True,
        help="Hours a month a machine is on.",
    ),
    click.option(
        "--peak", metavar="N", default="1", show_default=True,
        help="Load of the busiest hour over the mean one.",
    ),
    click.option("--hosting", metavar="MONEY", default="0", help="Room, network, repairs a month."),
    click.option(
        "--hours-per-month", metavar="N", default="0", help="Administrators' time for it."
    ),
    click.option("--hourly-wage", metavar="MONEY", default="0", help="What an hour of it costs."),
    click.option("--server-price", metavar="MONEY", default="0", help="Of what is around a card."),
    click.option("--server-watts", metavar="N", default="0", help="Power of that."),
    click.option(
        "--utilisation", metavar="SHARE",
        help="Share of its hours a machine works, where no speed tells.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hardware:
    """What was said of the machines."""

    machines: tuple[str, ...]
    machine_price: str | None
    machine_rent: str | None
    model: str | None
    weights: str
    prefill: str | None
    decode: str | None
    hours: str
    peak: str
    hosting: str
    hours_per_month: str
    hourly_wage: str
    server_price: str
    server_watts: str
    utilisation: str | None

    def options(
        self, config: Config, work: Workload, given: Given, money: Money
    ) -> tuple[list[Option], list[str]]:
        """Each machine owned and rented, and what is not known or does not fit."""
        from ...plan.costs.energy import assumed
        from ...plan.hardware import machines

        if not self.machines:
            if self.model or self.prefill or self.decode or self.machine_price or self.machine_rent:
                raise click.UsageError(
                    "--machine-price, --machine-rent, --model, --prefill and --decode also need a"
                    " --machine"
                )
            return [], []
        found: list[Option] = []
        said: list[str] = []
        known = [self._priced(machines.find(config, name), money) for name in self.machines]
        speeds = [self._speed(config, machine, work) for machine in known]
        terms = self._terms(config, given, money)
        if any(machine.price is not None for machine in known):
            said += assumed(terms.electricity)
        for machine, (speed, why) in zip(known, speeds, strict=True):
            if why:
                said.append(why)
                continue
            ways, missing = _of_machine(machine, work, terms, speed)
            found += ways
            said += missing
        return found, said

    def _priced(self, machine: Machine, money: Money) -> Machine:
        """The machine with the prices that were given, which are all of it, in one currency."""
        from ...plan.costs.money import decimal

        if self.machine_price is None and self.machine_rent is None:
            return machine
        if len(self.machines) > 1:
            raise click.UsageError("--machine-price and --machine-rent are of one --machine")
        price, rent = (
            None if text is None else float(decimal(text, name))
            for text, name in (
                (self.machine_price, "--machine-price"), (self.machine_rent, "--machine-rent")
            )
        )  # fmt: skip
        return replace(machine, price=price, rent_per_hour=rent, currency=money.currency)

    def _terms(self, config: Config, given: Given, money: Money) -> Terms:
        from ...plan.costs.money import decimal, share
        from ...plan.costs.owning import Terms
        from ...plan.figure import Figure
        from ...plan.hardware import machines

        known = machines.defaults(config)
        power = given.power(config, money)
        assert power.price is not None  # asked for above
        used = known.utilisation
        if self.utilisation is not None:
            part = float(share(self.utilisation, "--utilisation"))
            used = Figure("Share of the hours it works", part, "", "given")
        return Terms(
            money=money,
            electricity=power.price,
            co2=power.co2,
            pue=power.pue,
            years=known.years,
            utilisation=used,
            hours=decimal(self.hours, "--hours", least=1, most=Decimal(744)),
            hosting=decimal(self.hosting, "--hosting"),
            people_hours=decimal(self.hours_per_month, "--hours-per-month", most=Decimal(10**6)),
            wage=decimal(self.hourly_wage, "--hourly-wage", most=Decimal(10**6)),
            server_price=decimal(self.server_price, "--server-price"),
            server_watts=decimal(self.server_watts, "--server-watts", most=Decimal(10**6)),
            peak=decimal(self.peak, "--peak", least=1, most=Decimal(1000)),
        )

    def _speed(self, config: Config, machine: Machine, work: Workload) -> tuple[Speed | None, str]:
        """Tokens per second of a machine, or why it cannot run the model at all."""
        from ...plan.costs.money import decimal
        from ...plan.costs.owning import Speed

        if bool(self.prefill) != bool(self.decode):
            raise click.UsageError("--prefill and --decode are given together")
        if self.prefill and self.decode:
            if self.model:
                raise click.UsageError("give --model, or --prefill and --decode as measured")
            most = Decimal(10**9)
            read = decimal(self.prefill, "--prefill", least=0.01, most=most)
            written = decimal(self.decode, "--decode", least=0.01, most=most)
            return Speed(float(read), float(written), "as given", exact=True), ""
        if not self.model:
            return None, ""
        from ...plan.costs.throughput import throughput

        return throughput(config, machine, self.model, self.weights, work)


def _of_machine(
    machine: Machine, work: Workload, terms: Terms, speed: Speed | None
) -> tuple[list[Option], list[str]]:
    """Owning it and renting it, as far as prices are known; raises where neither is."""
    from ...errors import PlanError
    from ...plan.costs.owning import own, rent

    ways: list[Any] = [lambda: own(machine, work, terms, speed)]
    ways.append(lambda: rent(machine, work, terms, speed))
    if work.hours is not None and work.hours < terms.hours:
        ways.append(lambda: rent(machine, work, terms, speed, hours=work.hours))
    elif work.hours is None and speed is not None:
        ways.append(lambda: rent(machine, work, terms, speed, while_busy=True))
    wanted = [machine.price is not None, *[machine.rent_per_hour is not None] * (len(ways) - 1)]
    if not any(wanted):
        raise PlanError(
            f"neither what {machine.title} costs to buy nor to rent is known",
            fix="--machine-price MONEY or --machine-rent MONEY; for good, in machines.toml:"
            f" [{machine.name}] price = ..., rent_per_hour = ...",
        )
    said = []
    if not wanted[0]:
        said.append(f"what {machine.title} costs to buy is not known")
    if not wanted[1]:
        said.append(f"what {machine.title} costs to rent is not known")
    return [make() for make, known in zip(ways, wanted, strict=True) if known], said


hardware_options = grouped(_OPTIONS, Hardware, "hardware")
"""Add the options; the command gets them as its parameter `hardware`."""
