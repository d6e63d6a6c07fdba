"""Which model, on which hardware, worked with how: a recommendation with its reasons.

Of the ways that hold a model, are fast enough and within the budget (ways.py), the best is
taken: first by how well the model's size suits the task, then by whether its makers name the
languages, then by cost. The tables behind it are rules.py.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from ...config import Config
from ...models import catalogue
from ...models.catalogue import CatalogueModel
from ..costs.owning import MONTH
from ..hardware.fit import Fit
from ..memory.training import training
from ..sentence import Quantity, Sentence
from . import rules
from .figures import PRICE, electricity, figures, money
from .records import Advice, Alternative, Reason, Way
from .rules import Method
from .situation import Situation
from .ways import Search, at_once, each, load, pulled, wanted

__all__ = ["NAMES", "advise", "described"]

MANY = 50  # users from which a machine that fails is more than a nuisance; assumption


def advise(config: Config, said: Situation, *, on: datetime.date | None = None) -> Advice:
    """Recommend a model, its format, hardware and a way of working for a situation.

    The same answers on the same day give the same advice. Raises PlanError for hardware at hand
    that no machine is named after, and where amounts need a rate of exchange that is not given.
    """
    search = Search(config, said)
    best = search.best(said)
    how = rules.methods(said, search.room)
    fitted = search.fit(best, said) if best and best.where != "api" else None
    day = (on or datetime.datetime.now(datetime.UTC).date()).isoformat()
    return Advice(
        headline=_headline(best, how, said),
        way=best,
        methods=how,
        embedder=_embedder(said) if any(m.name == "rag" for m in how) else "",
        reasons=tuple(_reasons(search, best, fitted, how, said)),
        changes=tuple(_changes(search, best, said)),
        alternatives=tuple(_alternatives(search, best, how, said)),
        figures=tuple(figures(config, search, best, fitted, said)),
        assumptions=_ASSUMPTIONS,
        warnings=tuple(_warnings(search, best, how, said)),
        dated=day,
        situation=said,
        fit=fitted,
    )


_ASSUMPTIONS = (
    Sentence("sizes"),
    Sentence("page_tokens"),
    Sentence("little", peak=rules.PEAK, hours=rules.DAY / 3600),
    Sentence("reading", rate=rules.READING),
    Sentence("around", one=rules.AROUND, more=rules.AROUND_MORE),
    Sentence("request", prompt=rules.PROMPT, spare=rules.SPARE),
    Sentence("one"),
    Sentence("perplexity"),
    Sentence("tuning"),
)


def _headline(best: Way | None, how: tuple[Method, ...], said: Situation) -> Sentence:
    if best is None:
        return Sentence("nothing")
    first, *more = [NAMES[m.name] for m in how]
    text = Sentence("headline", way=described(best), how=first)
    if more:
        text = Sentence("headline_two", way=described(best), how=first, also=more[0])
    return Sentence("headline_nearest", nearest=text) if best.tier == 0 else text


NAMES = {
    "rag": Sentence("way_rag"),
    "prompting": Sentence("way_prompting"),
    "fine-tuning": Sentence("way_tuning"),
}
_WHERE = {"at hand": "on_hand", "buy": "on_bought", "rent": "on_rented"}


def described(way: Way) -> Sentence:
    """A way in a few words."""
    if way.where == "api":
        return Sentence("at_provider", model=way.model)
    machine = _machines(way)
    return Sentence(_WHERE[way.where], model=way.model, format=way.format, machine=machine)


def _machines(way: Way) -> str:
    """The machines by name and title: a sentence, where there is more to say than a name."""
    one: str = way.machine
    if isinstance(way.title, Sentence):  # "this machine", which says which
        one = way.title
    elif way.title not in ("", way.machine):
        one = Sentence("machine", name=way.machine, title=way.title)
    return one if way.copies == 1 else Sentence("machines", copies=way.copies, machine=one)


def _embedder(said: Situation) -> str:
    """The catalogue's embedding model for the search: the smallest that knows the languages."""
    known = [m for m in catalogue.models().values() if m.kind == "embedding"]
    named = [m for m in known if all(code in m.languages for code in said.languages)]
    several = [m for m in known if "*" in m.languages and m.context >= 512]
    return (named or several)[0].full_name


def _reasons(
    search: Search, best: Way | None, fitted: Fit | None, how: tuple[Method, ...], said: Situation
) -> Iterator[Reason]:  # fmt: skip
    yield Reason("place", rules.WHY_PLACES[said.data])
    yield from (Reason("method", m.why) for m in how)
    if best is None:
        yield Reason("limits", _limits(search, said))
        return
    if best.where == "api":
        yield from _sold(best, said)
        return
    entry = search.entry(best)
    task = search.task
    parameters, least, enough = (
        Quantity(number, "") for number in (best.parameters, task.least, task.enough)
    )
    yield Reason("model", Sentence("size_reason", model=best.model, parameters=parameters,
                                   least=least, enough=enough))  # fmt: skip
    terms = rules.LICENCES[entry.licence][1]
    yield Reason("licence", Sentence("licence_reason", licence=entry.licence, terms=terms))
    spoken = "languages_named" if best.named else "languages_several"
    yield Reason("languages", Sentence(spoken, languages=", ".join(said.languages)))
    yield Reason("format", _format_reason(best, pulled(entry)))
    assert fitted is not None
    yield from _fast(search, best, fitted, said)
    yield Reason("cost", _cost(search, best, said))


def _cost(search: Search, best: Way, said: Situation) -> Sentence:
    """What a machine costs, with the electricity of a month where one pays it oneself."""
    if best.where == "rent":
        return Sentence("cost_rent", month=money(best.monthly, said), hours=MONTH)
    found = Sentence("cost_none")
    if best.where == "buy":
        found = Sentence("cost_buy", once=money(best.once, said),
                         month=money(best.depreciation, said))  # fmt: skip
    paid = [f for f in electricity(search.config, search, best, said) if f.name == PRICE]
    if not paid:
        return found
    return Sentence("cost_power", cost=found, power=Quantity(paid[0].value, paid[0].unit))


def _sold(best: Way, said: Situation) -> Iterator[Reason]:
    month = money(best.monthly, said)
    yield Reason("model", Sentence("sold_size"))
    yield Reason("languages", Sentence("sold_languages", languages=", ".join(said.languages)))
    yield Reason("cost", Sentence("sold_cost", month=month, users=said.users))


def _format_reason(best: Way, brought: str) -> Sentence:
    if best.format == brought:
        return Sentence("format_pulled", format=brought)
    formats = ", ".join(rules.FORMATS)
    return Sentence("format_finer", format=best.format, formats=formats, brought=brought)


def _fast(search: Search, best: Way, fitted: Fit, said: Situation) -> Iterator[Reason]:
    users = each(best, said)
    values = {
        "needed": Quantity(fitted.needed, "bytes"), "context": search.task.context,
        "machine": fitted.machine, "there": Quantity(fitted.there, "bytes"),
    }  # fmt: skip
    if users == 1:
        yield Reason("hardware", Sentence("hardware_one", **values))
    else:
        yield Reason("hardware", Sentence("hardware_several", users=users, **values))
    if fitted.decode and fitted.first_token:
        yield Reason("speed", Sentence("speed_reason", decode=fitted.decode,
                                       first=fitted.first_token, wanted=wanted(said),
                                       latency=said.latency))  # fmt: skip


def _limits(search: Search, said: Situation) -> Sentence:
    """What was tried when nothing was found."""

    def most(amount: Decimal | None) -> Quantity | Sentence:
        return Sentence("any") if amount is None else money(float(amount), said)

    return Sentence(
        "limits", hardware=", ".join(said.hardware) or Sentence("none"), once=most(said.once),
        month=most(said.monthly), users=at_once(said), latency=said.latency, wanted=wanted(said),
    )  # fmt: skip


# --- what would change it -------------------------------------------------------------------------


def _changes(search: Search, best: Way | None, said: Situation) -> Iterator[Sentence]:
    if best is not None and best.where != "api":
        most = search.most(best, said)
        if said.waits and most:
            people = int(said.users * most / load(said))
            why = search.why_not_more(best, said, most)
            yield Sentence("more_users", people=people, most=most, machine=best.machine, why=why)
    if best is None and not said.hardware:
        yield Sentence("computer_there")
    if best is None or best.tier < 2:
        yield from _better(search, best, said)
    other = "internal" if said.data in ("personal", "secret") else "secret"
    moved = search.best(replace(said, data=other))
    if moved != best:
        what = "elsewhere" if other == "internal" else "in_the_building"
        yield Sentence(what, way=_said(moved, said))
    if search.task.tuned_from > said.examples:
        yield Sentence("worth_tuning", examples=search.task.tuned_from)


def _better(search: Search, best: Way | None, said: Situation) -> Iterator[Sentence]:
    """What would allow a way, or one with a model of the size the task wants."""
    for what, changed in (
        ("no_limit", replace(said, once=None, monthly=None)),
        ("a_minute", replace(said, latency=60.0)),
        ("nobody_waits", replace(said, latency=600.0)),
    ):
        if changed.latency < said.latency or changed == said:
            continue
        found = search.best(changed, least=best.tier + 1 if best else 1)
        if found:
            yield Sentence(what, way=_said(found, said))


def _said(way: Way | None, said: Situation) -> Sentence:
    """A way with what is paid for it: once for what is bought, a month for all else."""
    if way is None:
        return Sentence("no_way")
    if way.where == "buy":
        return Sentence("with_once", way=described(way), once=money(way.once, said))
    if way.monthly:
        return Sentence("with_month", way=described(way), month=money(way.monthly, said))
    return described(way)


# --- what else was considered ---------------------------------------------------------------------


def _alternatives(
    search: Search, best: Way | None, how: tuple[Method, ...], said: Situation
) -> Iterator[Alternative]:  # fmt: skip
    first: dict[str, Way] = {}
    for way in sorted(search.ways(said, best.tier), key=lambda w: w.order) if best else ():
        first.setdefault(way.where, way)
    for where, way in first.items():
        if best is not None and where != best.where:
            yield Alternative(described(way), _why_not(way, best, said))
    for where in ("rent", "api"):
        if where not in rules.PLACES[said.data]:
            name = {"rent": "other_rented", "api": "other_provider"}[where]
            yield Alternative(Sentence(name), rules.WHY_PLACES[said.data])
    yield from (Alternative(machine, why) for machine, why in search.slow(said))
    for entry, why in sorted(search.refused, key=lambda pair: -_stated(pair[0]))[:4]:
        yield Alternative(entry.full_name, why)
    names = {m.name for m in how}
    if "fine-tuning" not in names:
        why = Sentence("not_changing")
        if search.task.tuned_from:
            why = Sentence("not_enough", examples=said.examples, least=search.task.tuned_from)
        yield Alternative(Sentence("other_tuning"), why)
    if "rag" in names:
        yield Alternative(Sentence("other_all"), Sentence("not_fitting"))


def _stated(entry: CatalogueModel) -> float:
    """The size its makers state, in parameters: "8B", "30B-A3B"."""
    found = re.match(r"([0-9.]+)([MB])", entry.parameters)
    return float(found[1]) * (1e9 if found[2] == "B" else 1e6) if found else 0.0


def _why_not(way: Way, best: Way, said: Situation) -> Sentence:
    if best.named and not way.named:
        return Sentence("not_named", languages=", ".join(said.languages))
    return Sentence("not_cheaper", one=money(way.total, said), other=money(best.total, said))


def _warnings(
    search: Search, best: Way | None, how: tuple[Method, ...], said: Situation
) -> Iterator[Sentence]:  # fmt: skip
    yield from search.missing
    if search.passages > rules.MANY:
        index = Quantity(search.index, "bytes")
        yield Sentence("many_passages", passages=search.passages, index=index)
    if best is None:
        return
    if best.where != "api" and best.copies == 1 and said.users >= MANY:
        yield Sentence("one_machine", users=said.users)
    if best.where == "api":
        yield Sentence("providers_change")
    if best.tier == 0:
        yield Sentence("too_small", model=best.model)
    if best.tier == 1:
        yield Sentence("small", model=best.model)
    if best.where != "api" and not best.named:
        yield Sentence("multilingual", model=best.model, languages=", ".join(said.languages))
    if any(m.name == "fine-tuning" for m in how) and best.where != "api":
        held = search.candidate(search.entry(best), best.format, each(best, said))
        machine = search.machine(best)
        takes = training(held.shape, "qlora", checkpointing=True).peak.value
        if machine.kind != "gpu" or takes > machine.usable:
            yield Sentence("tuning_memory", takes=Quantity(takes, "bytes"), machine=best.machine)
    if best.where != "api" and rules.LICENCES[best.licence][0] == "terms":
        yield Sentence("read_licence", model=best.model, licence=best.licence)
