"""Reads the prices that ship with genai-prices, without importing that package.

Importing it takes longer than a whole answer may (pydantic and an HTTP client for fetching newer
prices come along), so its data module alone is run, with the plain classes below in the place of
its own. Nothing of it that could reach a network is ever loaded.

The classes mirror genai_prices/types.py (MIT licence), as far as the data uses them.
"""

from __future__ import annotations

import datetime
import importlib.util
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import PlanError

PACKAGE = "genai-prices"
PULL = "pip install 'genai-prices>=0.2.3,<0.3'"


@dataclass(slots=True)
class Tier:
    """The price of every token of a request whose input is longer than `start`."""

    start: int
    price: Decimal


@dataclass(slots=True)
class TieredPrices:
    """A price that depends on how long a request's input is."""

    base: Decimal
    tiers: list[Tier]


class ModelPrice:
    """Prices by name: input_mtok is USD per million input tokens, requests_kcount per thousand."""

    __slots__ = ("prices",)

    def __init__(self, **prices: Decimal | TieredPrices | None) -> None:
        self.prices = {name: price for name, price in prices.items() if price is not None}


@dataclass(slots=True)
class StartDateConstraint:
    """From this day on."""

    start_date: datetime.date


@dataclass(slots=True)
class TimeOfDateConstraint:
    """Between these times of each day."""

    start_time: datetime.time
    end_time: datetime.time


Constraint = StartDateConstraint | TimeOfDateConstraint | None


@dataclass(slots=True)
class ConditionalPrice:
    """Prices that hold at some time; of several, the last that holds counts."""

    constraint: Constraint = None
    prices: ModelPrice = field(default_factory=ModelPrice)


@dataclass(slots=True)
class PriceVariant:
    """Other prices for a way of asking, such as {"processing": "batch"}."""

    when: dict[str, str]
    prices: ModelPrice
    constraint: Constraint = None


@dataclass(slots=True)
class ModelInfo:
    """One model of a provider."""

    id: str
    match: Any
    name: str | None = None
    description: str | None = None
    context_window: int | None = None
    price_comments: str | None = None
    deprecated: bool | None = None
    prices: ModelPrice | list[ConditionalPrice] = field(default_factory=ModelPrice)
    price_variants: list[PriceVariant] | None = None


@dataclass(slots=True)
class Provider:
    """Who sells the use of models."""

    id: str
    name: str
    api_pattern: str
    pricing_urls: list[str] | None = None
    description: str | None = None
    price_comments: str | None = None
    model_match: Any = None
    provider_match: Any = None
    extractors: Any = None
    fallback_model_providers: list[str] | None = None
    models: list[ModelInfo] = field(default_factory=list)


@dataclass(slots=True)
class ClauseEquals:
    """Another name of a model."""

    equals: str


@dataclass(slots=True)
class ClauseOr:
    """Any of these."""

    or_: list[Any]


class Unused:
    """What the data holds and prices do not need: patterns, and where an answer has its usage."""

    __slots__ = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        pass


_UNUSED = (
    "ArrayMatch", "ClauseAnd", "ClauseContains", "ClauseEndsWith", "ClauseRegex",
    "ClauseStartsWith", "UsageExtractor", "UsageExtractorMapping",
)  # fmt: skip
_USED = (
    ClauseEquals, ClauseOr, ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, Provider,
    StartDateConstraint, Tier, TieredPrices, TimeOfDateConstraint,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """All prices, and which release of them."""

    providers: tuple[Provider, ...]
    version: str
    newest: datetime.date  # the latest day from which a price holds, up to when it was installed

    @property
    def source(self) -> str:
        """What to name as the source of a price."""
        return f"{PACKAGE} {self.version}, newest price of {self.newest.isoformat()}"


@cache
def table() -> Table:
    """The prices of the installed release.

    Raises PlanError where the package is missing or holds what this version does not understand.
    """
    found = importlib.util.find_spec("genai_prices")
    if found is None or not found.submodule_search_locations:
        raise PlanError("the providers' prices are not installed", fix=PULL)
    file = Path(found.submodule_search_locations[0]) / "data.py"
    version = _version(file)
    providers = tuple(_run(file, version))
    installed = datetime.date.fromtimestamp(file.stat().st_mtime)
    return Table(providers, version, _newest(providers, installed))


def _version(file: Path) -> str:
    """The release, by the name of the folder beside it; importlib.metadata takes 50 ms to load."""
    folders = sorted(file.parent.parent.glob("genai_prices-*.dist-info"))
    return folders[-1].name.split("-")[1].removesuffix(".dist") if folders else "(of no release)"


def _run(file: Path, version: str) -> list[Provider]:
    """Run the data module inside a package of ours, whose `types` are the classes above."""
    package, types = ModuleType("_llar_prices"), ModuleType("_llar_prices.types")
    package.__path__ = []
    for used in _USED:
        setattr(types, used.__name__, used)
    for name in _UNUSED:
        setattr(types, name, Unused)
    vars(types)["__all__"] = [*(used.__name__ for used in _USED), *_UNUSED]
    spec = importlib.util.spec_from_file_location("_llar_prices.data", file)
    names = {package.__name__: package, types.__name__: types}
    sys.modules.update(names)
    try:
        assert isinstance(spec, ModuleSpec)
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        providers: list[Provider] = module.providers
    except (AttributeError, ImportError, NameError, OSError, SyntaxError, TypeError) as e:
        raise PlanError(
            f"the prices of {PACKAGE} {version} are laid out in another way than expected: {e}",
            fix=PULL,
        ) from e
    finally:
        for name in names:
            sys.modules.pop(name, None)
    return providers


def _newest(providers: tuple[Provider, ...], until: datetime.date) -> datetime.date:
    """The latest start of a price that was no announcement when the release was installed."""
    starts = [
        part.constraint.start_date
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list)
        for part in model.prices
        if isinstance(part.constraint, StartDateConstraint)
    ]
    return max((day for day in starts if day <= until), default=until)


def also_called(match: Any) -> list[str]:
    """The other exact names of a model; patterns are left out, since they match by guess."""
    if isinstance(match, ClauseEquals):
        return [match.equals]
    return (
        [name for part in match.or_ for name in also_called(part)]
        if isinstance(match, ClauseOr)
        else []
    )
