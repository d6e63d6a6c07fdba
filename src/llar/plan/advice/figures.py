"""The figures behind an advice: load, memory, speed, money, electricity."""

from __future__ import annotations

from collections.abc import Iterator

from ...config import Config
from ..costs.energy import power
from ..costs.owning import IDLE, MONTH
from ..figure import Figure
from ..hardware.fit import Fit
from ..hardware.machines import Defaults, Machine, defaults
from ..sentence import Quantity, Sentence
from . import rules
from .records import Way
from .situation import Situation
from .ways import Search, at_once

__all__ = ["PRICE", "electricity", "figures", "money"]

ALL = Sentence("figure_all")
PRICE = Sentence("figure_power_price")


def money(value: float, said: Situation) -> Quantity:
    """An amount in the situation's currency: "USD 1,600.00"."""
    return Quantity(value, said.money.currency)


def figures(
    config: Config, search: Search, best: Way | None, fitted: Fit | None, said: Situation
) -> Iterator[Figure]:  # fmt: skip
    """Every number of an advice, with its formula and source."""
    task = search.task
    tokens = said.documents * said.pages * rules.PAGE
    how = Sentence("formula_documents", documents=said.documents, pages=said.pages,
                   page=rules.PAGE)  # fmt: skip
    yield Figure(Sentence("figure_documents"), tokens, "tokens", how, Sentence("page_tokens"),
                 exact=False)  # fmt: skip
    if said.waits:
        how = Sentence("formula_at_once", users=said.users, questions=said.questions_a_day,
                       day=rules.DAY, written=task.written, reading=rules.READING,
                       peak=rules.PEAK)  # fmt: skip
        yield Figure(Sentence("figure_at_once"), at_once(said), "", how,
                     Sentence("source_little"), exact=False)  # fmt: skip
    if search.passages:
        each = config.chunk_tokens or rules.CHUNK
        yield Figure(Sentence("figure_passages"), search.passages, "",
                     Sentence("formula_passages", tokens=tokens, each=each),
                     Sentence("source_setting"), exact=False)  # fmt: skip
        how = Sentence("formula_index", passages=search.passages, numbers=rules.DIMENSION)
        yield Figure(Sentence("figure_index"), search.index, "bytes", how,
                     Sentence("source_index"), exact=False)  # fmt: skip
    if best is None:
        return
    unit = said.money.currency
    if fitted is not None:
        yield from fitted.figures
    if best.where == "buy":
        machine = search.machine(best)
        years = machine.years or defaults(config).years.value
        yield Figure(Sentence("figure_buy"), best.once, unit, _price(best, machine),
                     f"{machine.sources.get('price', '')} ({machine.dated})",
                     exact=False)  # fmt: skip
        yield Figure(Sentence("figure_written_off"), best.depreciation, unit,
                     Sentence("formula_years", years=years), defaults(config).years.source,
                     exact=False)  # fmt: skip
    if best.where == "rent":
        machine = search.machine(best)
        how = Sentence("formula_rent", count=best.copies * machine.count, month=MONTH,
                       currency=machine.currency, price=machine.rent_per_hour)  # fmt: skip
        yield Figure(Sentence("figure_rent"), best.monthly, unit, how,
                     f"{machine.sources.get('rent', '')} ({machine.dated})")  # fmt: skip
    if best.where == "api":
        how = Sentence("formula_provider", users=said.users, questions=said.questions_a_day,
                       read=search.read, written=task.written)  # fmt: skip
        yield Figure(Sentence("figure_provider"), best.monthly, unit, how,
                     Sentence("source_prices"), exact=False)  # fmt: skip
    else:
        yield from electricity(config, search, best, said)
    yield from _all_documents(search, best, fitted, said)


def _price(best: Way, machine: Machine) -> Sentence:
    """How what has to be bought comes to its price."""
    values = {"copies": best.copies, "count": machine.count, "currency": machine.currency,
              "price": machine.price}  # fmt: skip
    if machine.kind != "gpu":
        return Sentence("formula_buy", **values)
    around = rules.AROUND if machine.count <= 2 else rules.AROUND_MORE
    return Sentence("formula_buy_card", around=around, **values)


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
                     Sentence("formula_all_sold", documents=said.documents, read=search.read,
                              written=task.written),
                     Sentence("source_prices"), exact=False)  # fmt: skip
    elif fitted and fitted.prefill and fitted.decode:
        one = search.read / fitted.prefill + task.written / fitted.decode
        hours = said.documents * one / 3600 / best.copies
        how = Sentence("formula_all", documents=said.documents, read=search.read,
                       prefill=fitted.prefill, written=task.written, decode=fitted.decode,
                       days=Quantity(hours / 24, "days"))  # fmt: skip
        yield Figure(ALL, hours, "h", how, exact=False)


def _share_of_hours(
    known: Defaults, search: Search, best: Way, said: Situation
) -> tuple[float, str]:  # fmt: skip
    """How much of a month the machines of a way work, and how that is known."""
    fitted = search.fit(best, said)
    if not (fitted.prefill and fitted.throughput):
        return known.utilisation.value, known.utilisation.source
    one = search.read / fitted.prefill + search.task.written / fitted.throughput
    hours = float(search.requests(said).requests) * one / 3600 / best.copies
    return min(hours / float(MONTH), 1.0), Sentence("source_work", hours=hours)


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
    how = Sentence("formula_power", cards=cards, used=used, watts=machine.watts,
                   waiting=1 - used, idle=idle, month=MONTH)  # fmt: skip
    sheet = machine.sources.get("watts") or Sentence("source_sheet")
    yield Figure(Sentence("figure_power"), kwh, "kWh", how,
                 Sentence("source_both", one=source, other=sheet), exact=False)  # fmt: skip
    if best.where != "rent":
        price = power(config, said.money, priced=False).price or known.electricity
        unit = price.unit.partition("/")[0]  # its own where no rate is given
        yield Figure(PRICE, kwh * price.value, unit,
                     Sentence("formula_kwh", kwh=kwh, each=price.value), price.source,
                     exact=False)  # fmt: skip
    co2 = known.co2
    yield Figure(Sentence("figure_co2"), kwh * co2.value, "kg CO2",
                 Sentence("formula_kwh", kwh=kwh, each=co2.value), co2.source,
                 exact=False)  # fmt: skip
