"""Settings that suit a collection's questions: searched on one part, reported on another.

One setting is changed at a time, in a fixed order, the cheap ones first. Its values are tried on
a random sample of the training questions; the worse half is dropped and the sample doubled, until
one value is left or all training questions were asked (successive halving, Jamieson and Talwalkar
2016). The best takes the old one's place where it is better by more than the standard error of
the difference, so that a few questions' luck changes nothing. Passes over all settings are made
until none changes or the time is spent.
"""

from __future__ import annotations

import math
import random
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..config import Config, changed
from ..errors import ConfigError, EvaluationError, ModelError, QueryError
from .compare import INDEXED, check_measure
from .questions import QuestionSet
from .report import Report, columns
from .split import Parts, part, split
from .statistics import Difference, Interval, paired

__all__ = ["OF_ANSWERS", "OPTIONS", "Tried", "Tuned", "read_options", "toml_lines", "tune"]

OPTIONS: dict[str, tuple[Any, ...]] = {  # in the order in which they are tried
    "mode": ("hybrid", "lexical", "dense"),
    "fusion": ("weighted", "adaptive", "rrf"),
    "dense_weight": (0.0, 0.4, 0.75, 1.2, 2.0),
    "query": ("", "prf", "prf-dense", "spelling"),
    "post": ("", "mmr", "rerank"),
    "chunk_tokens": (96, 128, 160, 200, 254),
    "chunker": ("structure", "sentence", "parent-child", "late"),
}
OF_ANSWERS = {"passages": (2, 3, 4, 6)}
FIRST = 32  # questions of the first sample
RESERVED = 0.3  # share of the time kept for the part held out

Measure = Callable[[dict[str, Any], QuestionSet], Report]
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """One value of one setting, on the sample on which it was left or dropped."""

    setting: str
    value: Any
    questions: int
    mean: float
    kept: bool


@dataclass(slots=True)
class Tuned:
    """What came out. `difference` is the chosen settings' less the default's, held out.

    `settings` are those to adopt: the chosen ones where the interval of the difference lies above
    0, none otherwise.
    """

    measure: str
    parts: Parts
    chosen: dict[str, Any] = field(default_factory=dict)
    tried: list[Tried] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)  # "setting = value" -> why it was not tried
    before: Interval | None = None
    after: Interval | None = None
    difference: Difference | None = None
    seconds: float = 0.0

    @property
    def settings(self) -> dict[str, Any]:
        """What to adopt."""
        better = self.difference is not None and self.difference.low > 0
        return self.chosen if better else {}

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "measure": self.measure,
            "train": len(self.parts.train),
            "held_out": len(self.parts.held_out),
            "documents_on_both_sides": self.parts.shared,
            "chosen": self.chosen,
            "adopt": self.settings,
            "default": _numbers(self.before),
            "tuned": _numbers(self.after),
            "difference": _numbers(self.difference),
            "tried": [
                {"setting": t.setting, "value": t.value, "questions": t.questions,
                 "mean": t.mean, "kept": t.kept}
                for t in self.tried
            ],
            "not_tried": self.left,
            "seconds": self.seconds,
        }  # fmt: skip


def read_options(file: Path, config: Config) -> dict[str, tuple[Any, ...]]:
    """What to try, from a TOML file of `setting = [value, ...]`.

    Raises EvaluationError for a file that is none, ConfigError for a setting or value there is not.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise EvaluationError(f"{str(file)!r} is not valid TOML: {e}") from e
    for name, values in table.items():
        if not isinstance(values, list) or not values:
            raise EvaluationError(f"{file}: {name}: expected a list of values, got {values!r}")
        for value in values:
            changed(config, {name: value}, str(file))
    return {name: tuple(values) for name, values in table.items()}


def tune(
    config: Config,
    found: QuestionSet,
    measure: Measure,
    *,
    name: str = "ndcg@10",
    options: Mapping[str, Sequence[Any]] = OPTIONS,
    minutes: float = 10.0,
    held_out: float = 0.5,
    seed: int = 0,
    told: Told | None = None,
) -> Tuned:
    """Search the options for the best mean of the measure `name` within a time.

    `measure` runs a question set with settings changed, and keeps what it finds: the same again
    costs nothing. The part held out is asked only at the end, of the default and of what was
    chosen. Raises EvaluationError where there is no such measure or too few questions have one.
    """
    begun = time.monotonic()
    search = _Search(config, found, measure, name, begun + 60 * minutes * (1 - RESERVED), told)
    usable = search.usable()
    parts = split(usable.questions, held_out=held_out, seed=seed)
    result = Tuned(name, parts)
    order = list(parts.train)
    random.Random(seed).shuffle(order)  # noqa: S311 - a draw that can be repeated
    search.run(result, usable, order, options)
    last = part(usable, parts.held_out)
    before = search.values({}, last)
    after = search.values(result.chosen, last) if result.chosen else before
    both = [q for q in before.of if q in after.of]
    result.before, result.after = before.interval, after.interval
    result.difference = paired([after.of[q] for q in both], [before.of[q] for q in both])
    result.seconds = time.monotonic() - begun
    return result


@dataclass(slots=True)
class _Values:
    of: dict[str, float]
    interval: Interval


@dataclass(slots=True)
class _Search:
    config: Config
    found: QuestionSet
    measure: Measure
    name: str
    until: float
    told: Told | None
    indexing: float = 0.0  # seconds the slowest collection took so far
    seen: set[str] = field(default_factory=set)  # values that were tried

    def usable(self) -> QuestionSet:
        """The questions that the measure is of; those that cannot be measured are left out."""
        report = self.measure({}, self.found)
        check_measure(self.name, report)
        have = columns(report.results)[self.name]
        return part(self.found, list(have))

    def values(self, settings: dict[str, Any], asked: QuestionSet) -> _Values:
        report = self.measure(settings, asked)
        check_measure(self.name, report)
        return _Values(columns(report.results)[self.name], report.measures[self.name])

    def run(
        self,
        result: Tuned,
        found: QuestionSet,
        order: Sequence[str],
        options: Mapping[str, Sequence[Any]],
    ) -> None:
        """Pass over the options until nothing changes or the time is spent."""
        while True:
            before = dict(result.chosen)
            for setting, values in options.items():
                if not _idle(setting, changed(self.config, result.chosen, "chosen")):
                    self.one(result, found, order, setting, values)
            if result.chosen == before or time.monotonic() > self.until:
                return

    def one(
        self,
        result: Tuned,
        found: QuestionSet,
        order: Sequence[str],
        setting: str,
        values: Sequence[Any],
    ) -> None:
        """Choose one setting's value, the others as they are chosen so far."""
        own = result.chosen.get(setting, getattr(self.config, setting))
        rivals = [own, *(v for v in values if v != own)]
        size = min(FIRST, len(order))
        while len(rivals) > 1:
            values_of = self._tried(result, setting, rivals, part(found, order[:size]))
            means = {n: fmean(of.values()) for n, of in values_of.items()}
            ranked = sorted(means, key=lambda n: (-means[n], n))  # its own value first in a tie
            last = size == len(order) or len(ranked) < 2
            if last:
                kept = {ranked[0] if _beats(values_of[ranked[0]], values_of[0]) else 0}
            else:
                kept = {0, *ranked[: (len(ranked) + 1) // 2]}
            result.tried += [
                Tried(setting, rivals[n], size, means[n], n in kept)
                for n in ranked
                if last or n not in kept
            ]
            rivals = [rivals[n] for n in sorted(kept)]
            size = min(2 * size, len(order))
        if rivals[0] == getattr(self.config, setting):
            result.chosen.pop(setting, None)
        else:
            result.chosen[setting] = rivals[0]

    def _tried(
        self, result: Tuned, setting: str, rivals: Sequence[Any], sample: QuestionSet
    ) -> dict[int, dict[str, float]]:
        """The figures of each value, the first always; of others only those there was time for."""
        found: dict[int, dict[str, float]] = {}
        for n, value in enumerate(rivals):
            label = f"{setting} = {value!r}"
            if n and not self._time_for(setting):
                if label not in self.seen:
                    result.left[label] = "the time was spent"
                continue
            start = time.monotonic()
            try:
                found[n] = self.values({**result.chosen, setting: value}, sample).of
            except (ConfigError, ModelError, QueryError) as e:
                if not n:
                    raise
                result.left[label] = e.message
                continue
            self.seen.add(label)
            if setting in INDEXED:
                self.indexing = max(self.indexing, time.monotonic() - start)
            if self.told:
                size, mean = len(sample.questions), fmean(found[n].values())
                self.told(f"{label}: {self.name} {mean:.4f} of {size} questions")
        return found

    def _time_for(self, setting: str) -> bool:
        """Whether there is time for one more value."""
        expected = self.indexing if setting in INDEXED else 0.0
        return time.monotonic() + expected < self.until


def _beats(values: Mapping[str, float], own: Mapping[str, float]) -> bool:
    """Whether figures are better by more than the standard error of the difference."""
    gains = [values[q] - own[q] for q in values if q in own]
    if len(gains) < 2:
        return False
    return fmean(gains) > stdev(gains) / math.sqrt(len(gains))


def _idle(setting: str, config: Config) -> bool:
    """Whether a setting does nothing beside the others."""
    if config.mode != "hybrid" and setting in ("fusion", "dense_weight"):
        return True
    return setting == "dense_weight" and config.fusion != "weighted"


def toml_lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """Settings as they stand in llar.toml."""
    for name, value in settings.items():
        if isinstance(value, bool):
            yield f"{name} = {str(value).lower()}"
        elif isinstance(value, int | float):
            yield f"{name} = {value}"
        else:
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
            yield f'{name} = "{escaped}"'


def _numbers(found: Interval | Difference | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {name: getattr(found, name) for name in found.__slots__}
