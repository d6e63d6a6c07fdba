"""What this machine can run: each model's memory and speed here, as `llar plan memory` has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ...config import Config
from ...errors import LlarError
from ...models.catalogue import CatalogueModel
from ...models.llama import MOST_SLOTS
from ...models.store import InstalledModel
from ...plan.advice.ways import pulled
from ...plan.hardware import machines
from ...plan.hardware.fit import fit
from ...plan.hardware.machines import Machine
from ...plan.memory.formats import parse_format
from ...plan.memory.running import running
from ...plan.shapes.resolve import resolve

__all__ = ["CONTEXT", "Runs", "runs", "this_machine"]

CONTEXT = 8192  # tokens of each request, where the model has as many


@dataclass(frozen=True, slots=True)
class Runs:
    """How a model runs on this machine; `why` says why nothing can be told."""

    name: str
    verdict: Literal["whole", "partly", "no", "unknown"]
    needed: int = 0  # bytes with the context below
    there: int = 0  # bytes a model may take
    context: int = 0
    users: int = 1  # contexts of that length: of a chat model the server's slots
    speed: float | None = None  # tokens/s for one user, an estimate
    why: str = ""


def this_machine(config: Config) -> Machine:
    """The machine the server runs on."""
    return machines.find(config, "this")


def runs(
    config: Config, models: Iterable[InstalledModel | CatalogueModel], machine: Machine
) -> dict[str, Runs]:
    """Each model on this machine, by its full name."""
    return {model.full_name: _one(config, model, machine) for model in models}


def _one(config: Config, model: InstalledModel | CatalogueModel, machine: Machine) -> Runs:
    name = model.full_name
    try:
        shape = resolve(config, model.name)
        stored = isinstance(model, InstalledModel) and any(t.type for t in shape.tensors)
        coming = pulled(model) if isinstance(model, CatalogueModel) else "Q4_K_M"
        fmt = "stored" if stored else "fp32" if shape.encoder else coming
        context = min(CONTEXT, shape.context or CONTEXT)
        several = (config.slots,) if config.slots else range(MOST_SLOTS, 0, -1)
        for users in several if model.kind == "chat" else (1,):
            needed = running(shape, parse_format(fmt), context, users)
            found = fit(shape, parse_format(fmt), needed, machine)
            if found.fits:
                break
    except LlarError as e:
        return Runs(name, "unknown", why=e.message)
    return Runs(
        name, found.how, found.needed, found.there, needed.context, needed.users, found.decode
    )
