"""The figures behind an advice: load, memory, speed, money, electricity."""

from __future__ import annotations

from collections.abc import Iterator

from ...config import Config
from ..amount import amount, money
from ..costs.energy import power
from ..costs.owning import IDLE, MONTH
from ..figure import Figure
from ..hardware.fit import Fit
from ..hardware.machines import Defaults, defaults
from . import rules
from .records import Way
from .situation import Situation
from .ways import Search, at_once

__all__ = ["ALL", "PRICE", "electricity", "figures", "money_text"]

ALL = "all documents, once"
PRICE = "price of the electricity"


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
        yield from electricity(config, search, best, said)
    yield from _all_documents(search, best, fitted, said)


def _all_documents(
    search: Search, best: Way, fitted: Fit | None, said: Situation
) -> Iterator[Figure]:
    """What it takes to go through all documents once, where each is a request of its own."""
    task = search.task
    if not (task.each and said.documents):
        return
    if best.where == "api":
        asked = float(search.requests(said).requests)
        yield Figure(ALL, best.monthly / asked * said.documents, said.money.currency,
                     f"{said.documents:,} documents x ({search.read:,} tokens in, {task.written:,} "
                     "out)", "genai-prices, see llar plan prices", exact=False)  # fmt: skip
    elif fitted and fitted.prefill and fitted.decode:
        one = search.read / fitted.prefill + task.written / fitted.decode
        hours = said.documents * one / 3600 / best.copies
        days = amount(hours / 24, "days")
        yield Figure(ALL, hours, "h",
                     f"{said.documents:,} documents x ({search.read:,} tokens read / "
                     f"{fitted.prefill:,.4g} tokens/s + {task.written:,} written / "
                     f"{fitted.decode:.3g} tokens/s), one after the other: {days}",
                     exact=False)  # fmt: skip


def _share_of_hours(
    known: Defaults, search: Search, best: Way, said: Situation
) -> tuple[float, str]:  # fmt: skip
    """How much of a month the machines of a way work, and how that is known."""
    fitted = search.fit(best, said)
    if not (fitted.prefill and fitted.throughput):
        return known.utilisation.value, known.utilisation.source
    one = search.read / fitted.prefill + search.task.written / fitted.throughput
    hours = float(search.requests(said).requests) * one / 3600 / best.copies
    return min(hours / float(MONTH), 1.0), f"{hours:,.3g} h of work a month, else waiting"


def electricity(config: Config, search: Search, best: Way, said: Situation) -> Iterator[Figure]:
    """What a machine draws a month, what that costs, and its CO2; the renter's is in the rent."""
    machine = search.machine(best)
    if machine.watts is None:
        return
    known = defaults(config)
    used, source = _share_of_hours(known, search, best, said)
    idle = machine.watts * IDLE if machine.idle_watts is None else machine.idle_watts
    cards = best.copies * machine.count
    watts = cards * (used * machine.watts + (1 - used) * idle)
    kwh = watts * float(MONTH) / 1000
    yield Figure("electricity a month", kwh, "kWh",
                 f"{cards} x ({used:.3g} x {machine.watts:g} W + {1 - used:.3g} x {idle:g} W) "
                 f"x {MONTH} h, without cooling",
                 f"{source}; {machine.sources.get('watts', 'its data sheet')}",
                 exact=False)  # fmt: skip
    if best.where != "rent":
        price = power(config, said.money, priced=False).price or known.electricity
        unit = price.unit.partition("/")[0]  # its own where no rate is given
        yield Figure(PRICE, kwh * price.value, unit,
                     f"{kwh:,.1f} kWh x {price.value:.4g}", price.source,
                     exact=False)  # fmt: skip
    co2 = known.co2
    yield Figure("CO2 of the electricity", kwh * co2.value, "kg CO2",
                 f"{kwh:,.1f} kWh x {co2.value:g}", co2.source, exact=False)  # fmt: skip
