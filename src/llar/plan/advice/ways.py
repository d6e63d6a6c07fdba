"""Every way to run every model that may be used: on machines at hand, bought or rented, or sold.

A way counts that holds the model with the contexts of all users who ask at once, begins its
answers in time, writes as fast as people read, and costs no more than the budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from ...config import Config
from ...errors import PlanError
from ...models import catalogue
from ...models.catalogue import CatalogueModel
from ..costs import compare as cost
from ..costs import prices, workload
from ..costs.owning import MONTH
from ..hardware import machines, speed
from ..hardware.fit import Fit, fit, most_of
from ..hardware.machines import Machine
from ..hardware.placing import on_cards
from ..hardware.speed import Work
from ..memory.formats import Format, parse_format
from ..memory.running import Running, running
from ..memory.weights import weights
from ..sentence import Quantity, Sentence
from ..shape import Shape
from ..shapes.resolve import resolve
from . import rules
from .places import Place, Places, within
from .records import Way
from .situation import Situation

__all__ = ["Candidate", "Search", "at_once", "each", "load", "pulled", "wanted"]

SOLD = 2  # the tier of what providers sell
MOST = 10_000  # users at once that one machine is tried with


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be used, in one format, with what it takes for all users at once."""

    entry: CatalogueModel
    shape: Shape
    format: Format
    work: Work
    needed: Running
    cards: int  # bytes of it that have to be on GPUs, one or several; the rest is beside them
    parameters: int
    size: float  # of a dense model it compares with, in parameters


def at_once(said: Situation) -> int:
    """How many users ask at the same moment, at the busiest time: at least one.

    Little's law; nobody asks at once where nobody waits.
    """
    if not said.waits:
        return 1
    return max(1, math.ceil(load(said)))


def load(said: Situation) -> float:
    """The same, not rounded: requests a second x seconds one is written x the busiest moments."""
    seconds = rules.TASKS[said.task].written / rules.READING
    return said.users * said.questions_a_day / rules.DAY * seconds * rules.PEAK


def each(way: Way, said: Situation) -> int:
    """Users at once that each of a way's machines serves."""
    return math.ceil(at_once(said) / way.copies)


class Search:
    """Tries ways; keeps what it counted, so that a changed situation is tried quickly."""

    def __init__(self, config: Config, said: Situation) -> None:
        self.config = config
        self.said = said
        self.task = rules.TASKS[said.task]
        self._at_hand = [machines.find(config, name) for name in said.hardware]
        self._places = Places(config, self._at_hand)
        self._known: dict[tuple[str, str, int], Candidate] = {}
        self._works: dict[tuple[str, str], speed.Work] = {}  # the same for any number of users
        self._fits: dict[tuple[str, str, str, int, float], Fit] = {}
        self._shapes: dict[str, tuple[Shape, int, float]] = {}
        self._tiers: dict[str, int] = {}
        self._api: list[Way] | None = None
        self.missing: list[Sentence] = []  # prices that were not found

    @cached_property
    def refused(self) -> list[tuple[CatalogueModel, Sentence]]:
        """The chat models of the catalogue that cannot be used, and why."""
        found = [
            (m, rules.refusal(m, self.said, self.task.context))
            for m in catalogue.models().values()
            if m.kind == "chat"
        ]
        return [(m, why) for m, why in found if why]

    @cached_property
    def _usable(self) -> list[CatalogueModel]:
        out = {m.name for m, _ in self.refused}
        return [m for m in catalogue.models().values() if m.kind == "chat" and m.name not in out]

    def candidate(self, entry: CatalogueModel, fmt: str, users: int) -> Candidate:
        """A model in a format for so many users at once."""
        key = (entry.name, fmt, users)
        if key not in self._known:
            self.tier(entry)
            shape, parameters, like = self._shapes[entry.name]
            form = parse_format(fmt)
            if key[:2] not in self._works:
                self._works[key[:2]] = speed.work(shape, form)
            needed = running(shape, form, self.task.context, users)
            self._known[key] = Candidate(
                entry,
                shape,
                form,
                self._works[key[:2]],
                needed,
                on_cards(weights(shape, form), needed, shape),
                parameters,
                like,
            )
        return self._known[key]

    @cached_property
    def passages(self) -> int:
        """Passages of the index, where documents are searched."""
        tokens = self.said.documents * self.said.pages * rules.PAGE
        if not self.task.facts or tokens <= self.room:
            return 0
        return math.ceil(tokens / (self.config.chunk_tokens or rules.CHUNK))

    @cached_property
    def index(self) -> int:
        """Bytes of RAM of the index's vectors."""
        return self.passages * rules.DIMENSION * 4

    @cached_property
    def room(self) -> int:
        """Tokens of documents that one request has room for."""
        return self.task.context - self.task.written - rules.PROMPT

    @cached_property
    def read(self) -> int:
        """Tokens read for one request: all documents, where they fit, or what is usual."""
        tokens = self.said.documents * self.said.pages * rules.PAGE
        if self.task.facts and 0 < tokens <= self.room:
            return tokens + rules.PROMPT
        return self.task.read

    def requests(self, said: Situation) -> workload.Workload:
        """A month's requests."""
        per_day = Decimal(str(said.questions_a_day))
        return workload.asked(
            said.users, per_day, Decimal(self.read), Decimal(self.task.written)
        )  # fmt: skip

    def tier(self, entry: CatalogueModel) -> int:
        """How the size of a model suits the task."""
        if entry.name not in self._tiers:
            shape = resolve(self.config, entry.full_name)
            like = rules.effective(shape.parameters, shape.active_parameters)
            self._shapes[entry.name] = (shape, shape.parameters, like)
            self._tiers[entry.name] = rules.tier(like, self.task)
        return self._tiers[entry.name]

    def ways(self, said: Situation, tier: int) -> Iterator[Way]:
        """Every way that does it, with models of one tier."""
        users = at_once(said)
        places = list(self._places.of(said))
        for entry in [e for e in self._usable if self.tier(e) == tier]:
            for place in places:
                copies = self._copies(entry, place, said, users)
                if copies and within(place.once * copies, place.monthly * copies, said):
                    yield self._way(entry, place, said, copies)
        if tier == SOLD and "api" in rules.PLACES[said.data] and said.monthly != 0:
            yield from (w for w in self._sold(said) if within(w.once, w.monthly, said))

    def _copies(
        self, entry: CatalogueModel, place: Place, said: Situation, users: int
    ) -> int:  # fmt: skip
        """The fewest machines that do it together; 0 where none of them is enough."""
        for copies in rules.COPIES if place.where in ("buy", "rent") else (1,):
            each = math.ceil(users / copies)
            if each > MOST:
                continue
            held = self.candidate(entry, pulled(entry), each)
            if self._does(held, place.machine, said, each):
                return copies
            if each == 1 or held.needed.weights > place.machine.usable_memory:
                break
        return 0

    def best(self, said: Situation, least: int = 0) -> Way | None:
        """The best of them, whose model really has its place; None where there is none.

        Only models of a tier of `least` or more.
        """
        for tier in range(2, least - 1, -1):
            for way in sorted(self.ways(said, tier), key=lambda way: way.order):
                if way.where == "api":
                    return way
                fitted = self.fit(way, said)
                if fitted.fits and fitted.users >= each(way, said):
                    return self._finest(way, said)
        return None

    def fit(self, way: Way, said: Situation) -> Fit:
        """How the model of a way that is no provider's lies on its machine."""
        key = (way.model, way.format, way.machine, each(way, said), wanted(said))
        if key not in self._fits:
            held = self.candidate(self.entry(way), way.format, each(way, said))
            self._fits[key] = fit(
                held.shape, held.format, held.needed, self.machine(way), wanted=wanted(said),
                prompt=self.read,
            )  # fmt: skip
        return self._fits[key]

    def machine(self, way: Way) -> Machine:
        """The machine of a way."""
        for own in self._at_hand:
            if own.called == way.machine:
                return own
        return machines.find(self.config, way.machine)

    def entry(self, way: Way) -> CatalogueModel:
        """The catalogue's entry of a way's model."""
        found = catalogue.find(way.model)
        assert found is not None  # it came from there
        return found

    def slow(self, said: Situation) -> Iterator[tuple[Sentence, Sentence]]:
        """The machines at hand, where a model large enough for the task does not do, and why."""
        for machine in self._at_hand:
            for entry in sorted(self._usable, key=self._size):
                if not self.tier(entry):
                    continue
                users = min(at_once(said), MOST)
                held = self.candidate(entry, pulled(entry), users)
                if not self._does(held, machine, said, users):
                    yield (
                        Sentence("other_machine", model=entry.full_name, machine=machine.called),
                        self._why_slow(held, machine, said, users),
                    )
                break

    def _size(self, entry: CatalogueModel) -> float:
        self.tier(entry)
        return self._shapes[entry.name][2]

    def _why_slow(self, held: Candidate, machine: Machine, said: Situation, users: int) -> Sentence:
        if not self._holds(held, machine):
            takes = Quantity(self._takes(held, machine), "bytes")
            there = Quantity(machine.usable_memory, "bytes")
            return Sentence("slow_memory", takes=takes, there=there)
        step = speed.decode(held.work, machine, self.task.context, users)
        reading = speed.prefill(held.work, machine, self.read)
        if step is None or reading is None:
            return Sentence("slow_unknown")
        if not said.waits:
            hours = float(self.requests(said).requests) * (reading + self.task.written * step)
            return Sentence("slow_month", hours=hours / 3600, month=MONTH)
        begins = reading * (users + 1) / 2 + step
        if users == 1:
            return Sentence("slow_one", begins=begins, rate=1 / step)
        return Sentence("slow_several", begins=begins, rate=1 / step, users=users)

    def most(self, way: Way, said: Situation) -> int:
        """Users at once that a way serves in time, with contexts of their own."""
        entry, machine = self.entry(way), self.machine(way)
        return way.copies * most_of(
            lambda users: self._does(
                self.candidate(entry, way.format, users), machine, said, users
            )
        )  # fmt: skip

    def why_not_more(self, way: Way, said: Situation, most: int) -> Sentence:
        """What a way's machine lacks for one more user at once than the `most` of all copies."""
        users = most // way.copies + 1
        held = self.candidate(self.entry(way), way.format, users)
        if not self._holds(held, self.machine(way)):
            return Sentence("lacks_memory", spare=rules.SPARE)
        return Sentence("lacks_speed")

    def _holds(self, held: Candidate, machine: Machine) -> bool:
        return self._takes(held, machine) <= machine.usable_memory * (1 - rules.SPARE)

    def _takes(self, held: Candidate, machine: Machine) -> int:
        """Bytes in a machine's memory; beside a GPU there is other RAM for the rest."""
        if machine.kind == "gpu":
            return held.cards + held.needed.buffers * (machine.count - 1)
        return held.needed.total + self.index

    def _does(self, held: Candidate, machine: Machine, said: Situation, users: int) -> bool:
        """Whether a machine probably holds a model and is fast enough; `fit` then tells surely."""
        if not self._holds(held, machine):
            return False
        step = speed.decode(held.work, machine, self.task.context, users)
        reading = speed.prefill(held.work, machine, self.read)
        if step is None or reading is None or step > 1 / wanted(said):
            return False
        if said.waits:  # half of those who ask at once are read before, on average
            return reading * (users + 1) / 2 + step <= said.latency
        seconds = float(self.requests(said).requests) * (reading + self.task.written * step)
        return seconds <= float(MONTH) * 3600 * (1 - rules.SPARE)

    def _way(self, entry: CatalogueModel, place: Place, said: Situation, copies: int) -> Way:
        return Way(
            where=place.where,
            model=entry.full_name,
            format=parse_format(pulled(entry)).name,
            machine=place.machine.called,
            title=place.machine.title,
            copies=copies,
            licence=entry.licence,
            parameters=self._shapes[entry.name][1],
            once=place.once * copies,
            monthly=place.monthly * copies,
            depreciation=place.depreciation * copies,
            tier=self.tier(entry),
            named=rules.spoken(entry, said),
            context=self.task.context,
        )

    def _finest(self, way: Way, said: Situation) -> Way:
        """The same in the finest format that does it as well."""
        entry, machine = self.entry(way), self.machine(way)
        users = each(way, said)
        now = self.candidate(entry, way.format, users).needed.total
        for name in rules.FORMATS:
            held = self.candidate(entry, name, users)
            if held.needed.total <= now:
                break
            if not self._does(held, machine, said, users):
                continue
            finer = replace(way, format=name)
            fitted = self.fit(finer, said)
            if fitted.fits and fitted.users >= users:
                return finer
        return way

    def _sold(self, said: Situation) -> Iterable[Way]:
        """Providers' models, at what a month's requests cost there."""
        if self._api is None:
            self._api = []
            work = self.requests(said)
            for name in rules.APIS:
                try:
                    price = prices.find(self.config, name)
                except PlanError as e:  # no longer in the table: said, and the others compared
                    self.missing.append(Sentence("price_missing", reason=e.message))
                    continue
                option = cost.api(price, work, said.money)
                self._api.append(
                    Way(
                        "api",
                        price.name,
                        "",
                        "",
                        "",
                        1,
                        Sentence("licence_provider"),
                        0,
                        0.0,
                        float(option.monthly),
                        0.0,
                        SOLD,
                        True,
                        self.task.context,
                    )
                )
        return self._api


def wanted(said: Situation) -> float:
    """Tokens/s each user should get: as fast as people read, where somebody waits."""
    return rules.READING if said.waits else 0.5


def pulled(entry: CatalogueModel) -> str:
    """The format of the file that `llar models pull` brings, by its name."""
    for source in entry.sources:
        found = re.search(r"(?i)(q\d(?:_k)?(?:_[msl01])?|bf16|f16)", str(source).split("#")[-1])
        if found:
            return found[1].upper()
    return "Q4_K_M"
