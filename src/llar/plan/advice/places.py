"""The machines a model could run on: at hand, bought or rented, with what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from ...config import Config
from ..costs.owning import MONTH
from ..hardware import machines
from ..hardware.machines import Machine
from . import rules
from .records import Where
from .situation import Situation

__all__ = ["Place", "Places", "within"]


@dataclass(frozen=True, slots=True)
class Place:
    """A machine in one of the ways one can have it. Amounts in the situation's currency."""

    where: Where
    machine: Machine
    once: float
    monthly: float
    depreciation: float


class Places:
    """The machines at hand, and those that can be had."""

    def __init__(self, config: Config, at_hand: list[Machine]) -> None:
        self._config = config
        self._at_hand = at_hand
        self._machines = machines.machines(config)

    def of(self, said: Situation) -> Iterator[Place]:
        """Those that a situation's data may go to and its budget allows."""
        for own in self._at_hand:
            yield Place("at hand", own, 0.0, 0.0, 0.0)
        ways = rules.PLACES[said.data]
        for machine in self._machines.values():
            for times in rules.COUNTS if machine.kind == "gpu" else (1,):
                many = machine.together(times)
                if machine.price is not None and machine.sold and machine.kind in ("gpu", "apple"):
                    yield from self._bought(many, said)
                if machine.rent_per_hour is not None and "rent" in ways:
                    yield from self._rented(many, said)

    def _bought(self, machine: Machine, said: Situation) -> Iterator[Place]:
        assert machine.price is not None
        if said.once == 0:
            return  # nothing has to be turned into another currency
        price = Decimal(str(machine.price)) * machine.count
        paid = said.money.into(price, machine.currency, f"the price of {machine.name}")
        if machine.kind == "gpu":
            more = Decimal(rules.AROUND if machine.count <= 2 else rules.AROUND_MORE)
            paid += said.money.into(more, "USD", "the price of the computer around a card")
        once = float(paid)
        if within(once, 0.0, said):
            years = machine.years or self._years
            yield Place("buy", machine, once, 0.0, once / (years * 12))

    def _rented(self, machine: Machine, said: Situation) -> Iterator[Place]:
        assert machine.rent_per_hour is not None
        if said.monthly == 0:
            return
        if said.data == "personal" and rules.STRANGERS in machine.sources.get("rent", ""):
            return
        rent = Decimal(str(machine.rent_per_hour)) * machine.count * MONTH
        monthly = float(said.money.into(rent, machine.currency, f"the rent of {machine.name}"))
        if within(0.0, monthly, said):
            yield Place("rent", machine, 0.0, monthly, 0.0)

    @cached_property
    def _years(self) -> float:
        return machines.defaults(self._config).years.value


def within(once: float, monthly: float, said: Situation) -> bool:
    """Whether amounts keep to the budget."""
    return (said.once is None or once <= float(said.once)) and (
        said.monthly is None or monthly <= float(said.monthly)
    )
