"""The figures behind an advice: load, memory, speed, money, electricity."""

from __future__ import annotations

from collections.abc import Iterator

from ...config import Config
from ..amount import money
from ..costs.owning import IDLE, MONTH
from ..figure import Figure
from ..hardware.fit import Fit
from ..hardware.machines import defaults
from . import rules
from .records import Way
from .situation import Situation
from .ways import Search, at_once

__all__ = ["figures", "money_text"]


def money_text(value: float, said: Situation) -> str:
    """An amount in the situation's currency: "USD 1,600.00"."""
    return f"{said.money.currency} {money(value)}"


def figures(
    config: Config, search: Search, best: Way | None, fitted: Fit | None, said: Situation
) -> Iterator[Figure]:  # fmt: skip
    """Every number of an advice, with its formula and source."""
    task = search.task
    tokens = said.documents * said.pages * rules.PAGE
    yield Figure("documents", tokens, "tokens",
                 f"{said.documents:,} x {said.pages:,} pages x {rules.PAGE:,} tokens",
                 rules.PAGE_SOURCE, exact=False)  # fmt: skip
    if said.waits:
        yield Figure("users at once, busiest", at_once(said), "",
                     f"{said.users:,} users x {said.questions_a_day:g} a day / {rules.DAY:,} s x "
                     f"{task.written} tokens / {rules.READING:.1f} tokens/s x {rules.PEAK:g}, "
                     "at least 1",
                     "Little's law; the factor for the busiest moments is an assumption",
                     exact=False)  # fmt: skip
    if search.passages:
        each = config.chunk_tokens or rules.CHUNK
        yield Figure("passages", search.passages, "", f"{tokens:,} tokens / {each}",
                     "llar's setting chunk_tokens", exact=False)  # fmt: skip
        yield Figure("index, in RAM", search.index, "bytes",
                     f"{search.passages:,} x {rules.DIMENSION} numbers x 4 bytes",
                     "llar's index keeps its vectors in memory", exact=False)  # fmt: skip
    if best is None:
        return
    unit = said.money.currency
    if fitted is not None:
        yield from fitted.figures
    if best.where == "buy":
        machine = search.machine(best)
        around = rules.AROUND if machine.count <= 2 else rules.AROUND_MORE
        more = f" + {around:,} for the computer around it" if machine.kind == "gpu" else ""
        yield Figure("to buy", best.once, unit,
                     f"{best.copies} x ({machine.count} x {machine.currency} {machine.price:,.0f}"
                     f"{more})",
                     f"{machine.sources.get('price', '')} ({machine.dated})",
                     exact=False)  # fmt: skip
        yield Figure("written off a month", best.depreciation, unit,
                     f"over {search.machine(best).years or defaults(config).years.value:g} years",
                     defaults(config).years.source, exact=False)  # fmt: skip
    if best.where == "rent":
        machine = search.machine(best)
        yield Figure("rent a month", best.monthly, unit,
                     f"{best.copies * machine.count} x {MONTH} h x {machine.currency} "
                     f"{machine.rent_per_hour}",
                     f"{machine.sources.get('rent', '')} ({machine.dated})")  # fmt: skip
    if best.where == "api":
        yield Figure("a provider's price a month", best.monthly, unit,
                     f"{said.users:,} users x {said.questions_a_day:g} questions x 21 workdays x "
                     f"({search.read:,} tokens in, {task.written:,} out)",
                     "genai-prices, see llar plan prices", exact=False)  # fmt: skip
    else:
        yield from _electricity(config, search, best)


def _electricity(config: Config, search: Search, best: Way) -> Iterator[Figure]:
    """What a machine draws a month; the renter's is in the rent."""
    machine = search.machine(best)
    if machine.watts is None:
        return
    known = defaults(config)
    used = known.utilisation.value
    idle = machine.watts * IDLE if machine.idle_watts is None else machine.idle_watts
    cards = best.copies * machine.count
    watts = cards * (used * machine.watts + (1 - used) * idle)
    kwh = watts * float(MONTH) / 1000
    yield Figure("electricity a month", kwh, "kWh",
                 f"{cards} x ({used:g} x {machine.watts:g} W + {1 - used:g} x {idle:g} W) "
                 f"x {MONTH} h, without cooling",
                 f"{known.utilisation.source}; {machine.sources.get('watts', 'its data sheet')}",
                 exact=False)  # fmt: skip
    if best.where != "rent":
        price = known.electricity
        unit = price.unit.partition("/")[0]
        yield Figure("its price", kwh * price.value, unit, f"{kwh:,.1f} kWh x {price.value:g}",
                     price.source, exact=False)  # fmt: skip
    co2 = known.co2
    yield Figure("its CO2", kwh * co2.value, "kg CO2", f"{kwh:,.1f} kWh x {co2.value:g}",
                 co2.source, exact=False)  # fmt: skip
