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

from ...config import Config
from ...models import catalogue
from ...models.catalogue import CatalogueModel
from ..amount import amount
from ..hardware.fit import Fit
from ..memory.training import training
from ..units import count, size
from . import rules
from .figures import PRICE, electricity, figures, money_text
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
    rules.SIZES_SOURCE,
    rules.PAGE_SOURCE,
    f"users ask at once: Little's law, {rules.PEAK:g} times the mean at the busiest moments of a "
    "working day of 8 h (assumption)",
    f"people read {rules.READING:.1f} tokens a second (238 words a minute, Brysbaert 2019): who "
    "waits should get as many",
    f"around one or two cards a computer for USD {rules.AROUND:,}, around more a server for USD "
    f"{rules.AROUND_MORE:,} ({rules.AROUND_SOURCE})",
    f"a request has {rules.PROMPT} tokens of instructions and question; {rules.SPARE:.0%} of the "
    "memory stays free (assumptions)",
    "one machine: nothing takes over when it fails; people's time is not counted (llar plan cost)",
    rules.FORMATS_SOURCE,
    rules.TUNING_SOURCE,
)


def _headline(best: Way | None, how: tuple[Method, ...], said: Situation) -> str:
    if best is None:
        return (
            "Nothing within these limits can be recommended: no machine and no provider that is "
            "allowed holds a model, answers in time and keeps to the budget."
        )
    ways = " and ".join(NAMES[m.name] for m in how)
    text = f"{described(best)}; way of working: {ways}."
    if best.tier == 0:
        return f"No model large enough for the task runs within these limits. The nearest: {text}"
    return text


NAMES = {
    "rag": "searching the documents for each question (RAG)",
    "prompting": "prompting",
    "fine-tuning": "fine-tuning an adapter",
}
_WHERE = {
    "at hand": "on {}, which is there already",
    "buy": "on {}, bought and run in the house",
    "rent": "on {}, rented",
}


def described(way: Way) -> str:
    """A way in a few words."""
    if way.where == "api":
        return f"{way.model} at its provider"
    return f"{way.model} ({way.format}) {_WHERE[way.where].format(_machines(way))}"


def _machines(way: Way) -> str:
    one = f"{way.machine} ({way.title})" if way.title not in ("", way.machine) else way.machine
    return one if way.copies == 1 else f"{way.copies} machines with {one} each"


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
    yield Reason("model", (
        f"{best.model} has {count(best.parameters)} parameters; for this task models from "
        f"{count(task.least)} on often do, from {count(task.enough)} on well"
    ))  # fmt: skip
    yield Reason("licence", f"{entry.licence}: {rules.LICENCES[entry.licence][1]}")
    spoken = "its makers name " if best.named else "it is multilingual; its makers do not name "
    yield Reason("languages", spoken + ", ".join(said.languages))
    yield Reason("format", _format_reason(best, pulled(entry)))
    assert fitted is not None
    yield from _fast(search, best, fitted, said)
    if best.where == "rent":
        yield Reason("cost", f"{money_text(best.monthly, said)} a month, for 730 h")
    if best.where == "buy":
        yield Reason("cost", (
            f"{money_text(best.once, said)} once, {money_text(best.depreciation, said)} a month "
            f"written off{_current(search, best, said)}"
        ))  # fmt: skip
    if best.where == "at hand":
        yield Reason("cost", f"nothing has to be bought{_current(search, best, said)}")


def _current(search: Search, best: Way, said: Situation) -> str:
    """The electricity of a month, to be appended to what a machine costs."""
    paid = [f for f in electricity(search.config, search, best, said) if f.name == PRICE]
    if not paid:
        return ""
    return f"; electricity about {amount(paid[0].value, paid[0].unit)} a month"


def _sold(best: Way, said: Situation) -> Iterator[Reason]:
    yield Reason("model", (
        "providers do not say how large their models are; this one is taken as large enough for "
        "the task"
    ))  # fmt: skip
    yield Reason("languages", (
        f"nothing here says how well it knows {', '.join(said.languages)}: try it on documents of "
        "your own"
    ))  # fmt: skip
    yield Reason("cost", (
        f"{money_text(best.monthly, said)} a month for {said.users:,} users is the least that "
        "these limits allow for a model of that size"
    ))  # fmt: skip


def _format_reason(best: Way, brought: str) -> str:
    if best.format == brought:
        return f"{brought} is what llar models pull brings; it leaves room for what is needed"
    return (
        f"{best.format} is the finest of {', '.join(rules.FORMATS)} that this machine holds and "
        f"runs fast enough; llar models pull brings {brought}: fetch that file elsewhere and llar "
        "models import it"
    )


def _fast(search: Search, best: Way, fitted: Fit, said: Situation) -> Iterator[Reason]:
    users = each(best, said)
    yield Reason("hardware", (
        f"the model takes {size(fitted.needed)} with {users} "
        f"{'context' if users == 1 else 'contexts'} of {search.task.context:,} tokens for those "
        f"who ask at once; {fitted.machine} has {size(fitted.there)} for it"
    ))  # fmt: skip
    if fitted.decode and fitted.first_token:
        yield Reason("speed", (
            f"about {fitted.decode:.1f} tokens/s for one user, and {fitted.first_token:.1f} s "
            f"until an answer begins; wanted are {wanted(said):.1f} tokens/s and {said.latency:g} s"
        ))  # fmt: skip


def _limits(search: Search, said: Situation) -> str:
    """What was tried when nothing was found."""
    once = "any" if said.once is None else money_text(float(said.once), said)
    monthly = "any" if said.monthly is None else money_text(float(said.monthly), said)
    hardware = ", ".join(said.hardware) or "none"
    return (
        f"hardware at hand: {hardware}; once: {once}; a month: {monthly}; {at_once(said):,} at "
        f"once, an answer after at most {said.latency:g} s and {wanted(said):.1f} tokens/s for each"
    )


# --- what would change it -------------------------------------------------------------------------


def _changes(search: Search, best: Way | None, said: Situation) -> Iterator[str]:
    if best is not None and best.where != "api":
        most = search.most(best, said)
        if said.waits and most:
            people = int(said.users * most / load(said))
            yield (
                f"from about {people:,} users on, more than {most:,} ask at once: {best.machine} "
                f"{search.why_not_more(best, said, most)}; then another of it, or a larger one"
            )
    if best is None and not said.hardware:
        yield "if there is a computer already: --hardware this, or its name in llar plan machines"
    if best is None or best.tier < 2:
        yield from _better(search, best, said)
    other = "internal" if said.data in ("personal", "secret") else "secret"
    moved = search.best(replace(said, data=other))
    if moved != best:
        if other == "internal":
            what = "if the documents could be processed elsewhere (--data internal)"
        else:
            what = "if the documents had to stay in the building (--data secret)"
        yield f"{what}: {_said(moved, said)}"
    if search.task.tuned_from > said.examples:
        yield (
            f"from about {search.task.tuned_from:,} examples of good results on, a fine-tuning is "
            "worth trying"
        )


def _better(search: Search, best: Way | None, said: Situation) -> Iterator[str]:
    """What would allow a way, or one with a model of the size the task wants."""
    for what, changed in (
        ("with no limit to the budget", replace(said, once=None, monthly=None)),
        (
            "if a minute may pass before an answer begins (--latency 60)",
            replace(said, latency=60.0),
        ),
        ("if nobody waits for the answers (--latency 600)", replace(said, latency=600.0)),
    ):
        if changed.latency < said.latency or changed == said:
            continue
        found = search.best(changed, least=best.tier + 1 if best else 1)
        if found:
            yield f"{what}: {_said(found, said)}"


def _said(way: Way | None, said: Situation) -> str:
    if way is None:
        return "nothing could be recommended"
    costs = [f"{money_text(way.once, said)} once"] if way.once else []
    costs += [f"{money_text(way.monthly, said)} a month"] if way.monthly else []
    return described(way) + (f", {' and '.join(costs)}" if costs else "")


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
            name = {"rent": "rented machines", "api": "a provider's model"}[where]
            yield Alternative(name, rules.WHY_PLACES[said.data])
    for machine, why in search.slow(said):
        if best is None or machine != best.machine:
            yield Alternative(machine, why)
    for entry, why in sorted(search.refused, key=lambda pair: -_stated(pair[0]))[:4]:
        yield Alternative(entry.full_name, why)
    names = {m.name for m in how}
    if "fine-tuning" not in names:
        yield Alternative("fine-tuning", (
            "facts change and are cited: they belong in the search, not in the weights"
            if not search.task.tuned_from else
            f"{said.examples:,} examples are fewer than about {search.task.tuned_from:,}"
        ))  # fmt: skip
    if "rag" in names:
        yield Alternative("all documents in one request", (
            "they do not fit, and every question would pay for reading them"
        ))  # fmt: skip


def _stated(entry: CatalogueModel) -> float:
    """The size its makers state, in parameters: "8B", "30B-A3B"."""
    found = re.match(r"([0-9.]+)([MB])", entry.parameters)
    return float(found[1]) * (1e9 if found[2] == "B" else 1e6) if found else 0.0


def _why_not(way: Way, best: Way, said: Situation) -> str:
    if best.named and not way.named:
        return f"the model's makers do not name {', '.join(said.languages)}"
    return (
        f"{money_text(way.total, said)} a month against {money_text(best.total, said)}: rent or "
        "price, or what a purchase loses in value"
    )


def _warnings(
    search: Search, best: Way | None, how: tuple[Method, ...], said: Situation
) -> Iterator[str]:  # fmt: skip
    yield from search.missing
    if search.passages > rules.MANY:
        yield (
            f"{search.passages:,} passages are many for one machine's index "
            f"({size(search.index)} of RAM): measure the search at that size first, or keep "
            "several smaller collections"
        )
    if best is None:
        return
    if best.where != "api" and best.copies == 1 and said.users >= MANY:
        yield (
            f"nothing takes over from one machine when it fails; for {said.users:,} users plan a "
            "second, and people's time for both (llar plan cost --hours-per-month)"
        )
    if best.where == "api":
        yield "providers change prices and withdraw models: a contract, and a second one to turn to"
    if best.tier == 0:
        yield (
            f"{best.model} is too small to rely on for this task; it is the best these limits "
            "allow. Let people check every answer"
        )
    if best.tier == 1:
        yield f"{best.model} is small for this task: measure it on your own questions first"
    if best.where != "api" and not best.named:
        yield (
            f"{best.model} is called multilingual; try it in {', '.join(said.languages)} before "
            "anything depends on it"
        )
    if any(m.name == "fine-tuning" for m in how) and best.where != "api":
        held = search.candidate(search.entry(best), best.format, each(best, said))
        machine = search.machine(best)
        takes = training(held.shape, "qlora", checkpointing=True).peak.value
        if machine.kind != "gpu" or takes > machine.usable:
            yield (
                f"the fine-tuning takes about {size(takes)} of GPU memory (QLoRA, one example of "
                f"2,048 tokens at a time), which {best.machine} does not have"
            )
    if best.where != "api" and rules.LICENCES[best.licence][0] == "terms":
        yield f"let somebody read the licence of {best.model}: {best.licence}"
