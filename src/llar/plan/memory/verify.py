"""Predicted against measured memory, on this machine: the proof of what `plan` says.

Each model is loaded and used in a process of its own at several contexts and numbers of threads.
The bare process is measured; what the model adds to it is predicted and never fitted to the run
it is compared with. Errors are told for the model's share and for the whole process. Of an encoder
the middle of three runs counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...config import Config
from ...errors import PlanError
from ...models.store import InstalledModel, Store
from ..figure import Figure
from ..shape import Shape
from ..shapes.resolve import resolve
from . import verify_training
from .formats import parse_format
from .measure import measure
from .running import running

__all__ = ["CONTEXTS", "THREADS", "Row", "run", "train"]

CONTEXTS = (512, 2048, 8192)
THREADS = (1, 2)
RUNS = 3  # of an encoder, the middle one counts: what malloc keeps of each thread differs by run


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement and its prediction, in bytes."""

    model: str
    what: str  # "run", "train" or "train, checkpointing"
    context: int  # tokens; of a training, of a step
    threads: int
    process: int  # measured: the process without the model
    predicted: int  # what the model adds
    measured: int
    peak: int  # measured: the most the whole process ever took
    figures: tuple[Figure, ...]  # what the prediction is made of
    converting: int = 0  # measured: the peak of a first use, which converts the weights

    @property
    def error(self) -> float:
        """Of the model's share; 0.05 is predicted 5 % too much."""
        return self.predicted / self.measured - 1

    @property
    def total_error(self) -> float:
        """Of the whole process."""
        return (self.predicted + self.process) / (self.measured + self.process) - 1

    @property
    def worst(self) -> float:
        """The larger of both errors, without its sign."""
        return max(abs(self.error), abs(self.total_error))


def run(
    config: Config,
    models: Sequence[str] = (),
    *,
    contexts: Sequence[int] = (),
    threads: Sequence[int] = THREADS,
) -> Iterator[Row]:
    """Measure installed models, by default the configured chat model and embedder.

    A chat model runs with each of `contexts` (by default CONTEXTS as far as it goes), an embedder
    with its longest texts. Everything is checked before anything is loaded. Raises PlanError for
    contexts and threads that make no sense, ModelNotInstalled, and as `measure` does.
    """
    cores = os.cpu_count() or 1
    for number in threads:
        if not 1 <= number <= cores:
            raise PlanError(
                f"the number of threads is {number}; expected 1 to {cores}, the cores here"
            )
    plans = [
        (model, shape, _contexts(model, shape, contexts))
        for model, shape in _installed(config, models)
    ]
    for model, shape, chosen in plans:
        for number in threads:
            for context in chosen:
                yield _row(config, model, shape, context, number)


def train(config: Config, models: Sequence[str] = ()) -> Iterator[Row]:
    """Measure a small LoRA training with the dimensions of each model, without and with
    checkpointing; by default those of the configured chat model.

    Raises PlanError where the tuning extra is missing, and as `run`.
    """
    verify_training.need_tune()
    for model, shape in _installed(config, models or (config.chat_model,)):
        for checkpointing in (False, True):
            figures = verify_training.expected(shape, checkpointing=checkpointing)
            found = verify_training.train(shape, checkpointing=checkpointing)
            yield Row(
                model.full_name,
                "train, checkpointing" if checkpointing else "train",
                verify_training.BATCH * verify_training.SEQUENCE,
                found.threads,
                found.bare,
                int(figures[-1].value),
                found.peak,
                found.bare + found.peak,
                figures,
            )


def _installed(config: Config, models: Sequence[str]) -> list[tuple[InstalledModel, Shape]]:
    store = Store(config.models_dir)
    found = []
    for name in models or (config.chat_model, config.embedder):
        model = store.get(name)
        if model.kind not in ("chat", "embedding"):
            raise PlanError(
                f"{model.full_name} is a {model.kind} model; expected a chat or embedding model"
            )
        found.append((model, resolve(config, model.full_name)))
    return found


def _contexts(model: InstalledModel, shape: Shape, asked: Sequence[int]) -> list[int]:
    own = shape.context
    if model.kind == "embedding":
        return [min(own, model.context or own)]
    for number in asked:
        if not 256 <= number <= own:
            raise PlanError(
                f"{model.full_name}: a context of {number:,} tokens; expected 256 to {own:,}"
            )
    return list(asked) or sorted({min(own, number) for number in CONTEXTS})


def _row(config: Config, model: InstalledModel, shape: Shape, context: int, threads: int) -> Row:
    told = running(shape, parse_format("stored"), context, threads=threads)
    asked = 0 if shape.encoder else context
    runs = [
        measure(config, model.full_name, context=asked, threads=threads)
        for _ in range(RUNS if shape.encoder else 1)
    ]
    found = sorted(runs, key=lambda run: run.share)[len(runs) // 2]
    return Row(
        model.full_name,
        "run",
        context,
        threads,
        found.process,
        told.share,
        found.share,
        found.used.peak,
        told.figures,
        found.converting,
    )
