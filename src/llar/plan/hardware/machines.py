"""The machines a model could run on: machines.toml of llar, changed by the user's own.

The user's file is machines.toml in LLAR_HOME, in the same form.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from ...config import Config
from ...errors import PlanError
from ..figure import Figure
from . import machines_file as raw
from .machines_file import FILE

__all__ = ["Defaults", "Machine", "defaults", "find", "machines", "write_copy"]

Kind = Literal["gpu", "cpu", "apple", "soc"]
Family = Literal["gddr", "hbm", "apple", "cpu"]
GIB = 2**30
_DRIVER = GIB // 2  # bytes of a GPU that its driver and a CUDA context keep
_SYSTEM = 2 * GIB  # bytes of RAM that a system needs beside a model
_MAKERS = {"nvidia", "geforce", "amd", "instinct", "apple", "intel", ""}  # left out of names
_TIMES = re.compile(r"\s*(-?\d+)\s*x\s*(.+)", re.I)


@dataclass(frozen=True, slots=True)
class Machine:
    """One kind of machine, or `count` of the same together. All numbers are of one."""

    name: str  # "h100-sxm", as every command takes it
    title: str  # as a person calls it: "NVIDIA H100 SXM 80 GB"
    kind: Kind  # gpu: a card in a host; apple and soc: CPU and GPU share the memory
    family: Family  # how efficiently it runs a model: see fit.py
    memory: int  # bytes: of a GPU its own, else the RAM
    usable: int  # bytes of it a model may take: the rest is the system's and the driver's
    bandwidth: float | None = None  # bytes/s between memory and the processor
    flops: Mapping[str, float] = field(default_factory=dict)  # type -> dense FLOP/s
    watts: float | None = None  # under load, of the board or chip
    idle_watts: float | None = None
    price: float | None = None  # to buy one, in `currency`
    rent_per_hour: float | None = None  # to rent one, in `currency`
    currency: str = "USD"
    sold: bool = True  # new, today
    years: float | None = None  # it is written off over
    count: int = 1  # that many of the same: "2x h100-sxm"
    cores: int | None = None  # physical ones, of a CPU
    host_memory: int = 0  # bytes of RAM beside GPUs, for layers that do not fit; 0: not known
    host_bandwidth: float | None = None  # bytes/s of that RAM
    system_names: tuple[str, ...] = ()  # what a system calls this processor, board or card
    dated: str = ""  # when its prices were read, ISO 8601
    sources: Mapping[str, str] = field(default_factory=dict)  # what -> where it stands
    notes: tuple[str, ...] = ()  # what to know about its numbers, each a sentence

    @property
    def usable_memory(self) -> int:
        """Bytes a model may take on all of them together."""
        return self.usable * self.count

    @property
    def called(self) -> str:
        """Its name, with how many where it is not one."""
        return self.name if self.count == 1 else f"{self.count}x {self.name}"

    def is_called(self, name: str) -> int:
        """How many words of a system's name for a part mean this machine; 0: it is another."""
        words = _words(name)
        found = 0
        for own in map(_words, self.system_names):
            if any(words[n : n + len(own)] == own for n in range(len(words))):
                found = max(found, len(own))
        return found

    def together(self, count: int) -> Machine:
        """That many of this machine. Raises PlanError for less than one or absurdly many."""
        if not 1 <= count <= 100_000:
            raise PlanError(f"{count} times {self.name!r}: expected 1 to 100,000 of a machine")
        return replace(self, count=count)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What every cost needs and no machine states. `source` of each says from when it is."""

    electricity: Figure  # money per kWh
    electricity_usd: Figure | None  # for results in dollars; None where the user's own price counts
    co2: Figure  # kg CO2/kWh
    pue: Figure  # power of the building over power of the machines
    utilisation: Figure  # share of all hours a machine works, 0 to 1
    years: Figure  # a machine is written off over


_UNITS = {
    "electricity_usd": (("USD/kWh",), 0.0, 100.0),
    "electricity": (("EUR/kWh", "USD/kWh"), 0.0, 100.0),
    "co2": (("kg CO2/kWh",), 0.0, 10.0),
    "pue": (("",), 1.0, 10.0),
    "utilisation": (("",), 1e-6, 1.0),
    "years": (("years",), 0.1, 100.0),
}  # name -> the units it may have, the least and the most that makes sense
_ABOUT = {
    "electricity_usd": "price of electricity",
    "electricity": "price of electricity",
    "co2": "CO2 of electricity",
    "pue": "power usage effectiveness",
    "utilisation": "share of hours in use",
    "years": "depreciation",
}


def machines(config: Config) -> Mapping[str, Machine]:
    """Every machine by its name, in the file's order, with the user's changes.

    Raises PlanError for a file that cannot be read, naming file, machine and key.
    """
    tables = raw.tables(config)
    return MappingProxyType({name: _machine(config, name, t) for name, t in tables.items()})


def find(config: Config, text: str) -> Machine:
    """The machine of a name, "h100-sxm", or several of it, "2x h100-sxm"; "this" is this one.

    A part of a name ("4090", "NVIDIA L4") does where only one machine has it.

    Raises PlanError for a name that is none, with those that are near it.
    """
    times = _TIMES.fullmatch(text)
    count, name = (int(times[1]), times[2]) if times else (1, text)
    name = name.strip().lower().replace(" ", "-").replace("_", "-")
    if name in ("this", "this-machine"):
        from .here import here

        if count != 1:
            raise PlanError(f"{text!r}: this machine is one; name a machine to have several of it")
        return here(config).machine
    known = machines(config)
    if name in known:
        return known[name].together(count)
    asked = set(re.sub(r"\b(rtx|gtx)(?=\d)", r"\1-", name).split("-")) - _MAKERS
    kinds = [k for k in known if asked and asked <= set(k.split("-"))]
    if len(kinds) == 1:
        return known[kinds[0]].together(count)
    if kinds:
        raise PlanError(f"{text!r} comes in several kinds; name one: {', '.join(kinds)}")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    near += [k for k in known if name and name in k and k not in near][:3]
    hint = f"; did you mean {' or '.join(map(repr, near[:3]))}?" if near else ""
    raise PlanError(f"there is no machine {text!r}{hint}", fix="llar plan machines")


def defaults(config: Config) -> Defaults:
    """Electricity, CO2, PUE, utilisation and years, with the user's changes.

    Raises PlanError as `machines`.
    """
    own = raw.own()["defaults"]
    found = dict(own)
    user = raw.users(config)
    for key, table in user.pop("defaults", {}).items():
        if key not in _UNITS:
            raise raw.error(config, "defaults", key, f"is no setting{raw.near(key, _UNITS)}")
        if not isinstance(table, dict):
            raise raw.error(config, "defaults", key, 'expected { value = ..., source = "..." }')
        found[key] = {**found[key], "source": f"your {FILE}", "dated": "", **table}
    figures = {key: _default(config, key, found[key]) for key in _UNITS}
    price, dollars = found["electricity"], found["electricity_usd"]
    changed = any(price.get(k) != own["electricity"][k] for k in ("value", "unit"))
    if changed and dollars.get("value") == own["electricity_usd"]["value"]:
        return replace(Defaults(**figures), electricity_usd=None)
    return Defaults(**figures)


def write_copy(config: Config) -> Path:
    """Write a copy of llar's own machines to the user's file, to be edited; returns its path.

    Raises PlanError where there is one already, or where it cannot be written.
    """
    path = config.home / FILE
    if path.exists():
        raise PlanError(f"{str(path)!r} is there already; it was left as it is")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(raw.text(), encoding="utf-8")
    except OSError as e:
        raise PlanError(f"{str(path)!r} cannot be written: {e.strerror or e}") from e
    return path


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


_WORDS = ("title", "kind", "family", "currency", "dated")
_NUMBERS = ("bandwidth_gb", "watts", "idle_watts", "price", "rent_per_hour", "years",
            "host_bandwidth_gb")  # fmt: skip
_SIZES = ("memory", "usable", "host_memory")
_KEYS = (*_WORDS, *_NUMBERS, *_SIZES, "tflops", "cores", "sold", "sources", "notes", "system_names")


def _machine(config: Config, name: str, table: Mapping[str, Any]) -> Machine:
    for key in table:
        if key not in _KEYS:
            raise raw.error(config, name, key, f"is no key of a machine{raw.near(key, _KEYS)}")
    for key in ("kind", "memory"):
        if key not in table:
            raise raw.error(config, name, key, "is missing")
    words = {k: raw.word(config, name, k, table[k]) for k in _WORDS if k in table}
    numbers = {k: raw.number(config, name, k, table[k]) for k in _NUMBERS if k in table}
    sizes = {k: raw.size(config, name, k, table[k]) for k in _SIZES if k in table}
    kind = words["kind"]
    if kind not in get_args(Kind):
        raise raw.error(
            config, name, "kind", f"{kind!r}: expected one of {', '.join(get_args(Kind))}"
        )
    family = words.get("family", {"gpu": "gddr", "soc": "gddr"}.get(kind, kind))
    if family not in get_args(Family):
        wanted = ", ".join(get_args(Family))
        raise raw.error(config, name, "family", f"{family!r}: expected one of {wanted}")
    memory = sizes["memory"]
    usable = sizes.get("usable", usable_of(kind, memory))
    if not 0 < usable <= memory:
        raise raw.error(config, name, "usable", "must be more than nothing and at most the memory")
    bandwidth, host = numbers.get("bandwidth_gb"), numbers.get("host_bandwidth_gb")
    return Machine(
        name=name,
        title=words.get("title", name),
        kind=kind,  # type: ignore[arg-type]  # checked above
        family=family,  # type: ignore[arg-type]
        memory=memory,
        usable=usable,
        bandwidth=bandwidth * 1e9 if bandwidth is not None else None,
        flops=raw.flops(config, name, table.get("tflops", {})),
        watts=numbers.get("watts"),
        idle_watts=numbers.get("idle_watts"),
        price=numbers.get("price"),
        rent_per_hour=numbers.get("rent_per_hour"),
        currency=words.get("currency", "USD"),
        sold=raw.yes(config, name, "sold", table.get("sold", True)),
        years=numbers.get("years"),
        cores=raw.cores(config, name, table.get("cores")),
        host_memory=sizes.get("host_memory", 0),
        host_bandwidth=host * 1e9 if host is not None else None,
        system_names=raw.texts(config, name, "system_names", table.get("system_names", [])),
        dated=words.get("dated", ""),
        sources=MappingProxyType(raw.sources(config, name, table.get("sources", {}))),
        notes=raw.texts(config, name, "notes", table.get("notes", [])),
    )


def usable_of(kind: str, memory: int) -> int:
    """What a model may take of a machine's memory, in bytes, where nothing states it.

    A GPU: without what its driver and a CUDA context keep. An Apple chip: macOS's limit for its
    GPU, recommendedMaxWorkingSetSize as llama.cpp logs it: 2/3 of 16 GiB, 0.74 of 18, 0.78 of 32
    and 36. Everything else: without 2 GiB for the system, or a quarter where there is little.
    """
    if kind == "gpu":
        return max(memory - _DRIVER, memory // 2)
    if kind == "apple":
        return int(memory * (2 / 3 if memory <= 16 * GIB else 0.74))
    return max(memory - _SYSTEM, memory * 3 // 4)


def _default(config: Config, key: str, table: Mapping[str, Any]) -> Figure:
    units, least, most = _UNITS[key]
    for word in table:
        if word not in ("value", "unit", "dated", "source"):
            what = "is no key; expected value, unit, dated or source"
            raise raw.error(config, "defaults", f"{key}.{word}", what)
    value = table.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise raw.error(config, "defaults", key, f"{value!r}: expected a number as its value")
    if not least <= value <= most:  # false for NaN as well
        raise raw.error(config, "defaults", key, f"{value!r}: expected {least:g} to {most:g}")
    unit = table.get("unit", units[0])
    if unit not in units:
        wanted = " or ".join(map(repr, units))
        raise raw.error(config, "defaults", key, f"unit {unit!r}: expected {wanted}")
    dated = f" ({table['dated']})" if table.get("dated") else ""
    return Figure(
        name=_ABOUT[key],
        value=float(value),
        unit=unit,
        source=f"{table.get('source', f'your {FILE}')}{dated}",
        exact=False,
    )
