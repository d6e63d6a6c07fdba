"""What a run found: figures with their intervals, and everything needed to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from .runs import Result, Run
from .statistics import Interval, intervals

__all__ = ["Report", "columns", "figures"]


@dataclass(slots=True)
class Report:
    """The figures of one run.

    `left_out` are questions that are in no mean, by the reason; `notes` is what else must be
    known to read the figures. `overhead` is what measuring took beside search and model.
    """

    run: Run
    measures: dict[str, Interval]
    left_out: dict[str, list[str]]
    notes: list[str]
    overhead: dict[str, float | None]
    shown: dict[str, Any] = field(default_factory=dict)  # further figures, for programs

    def __post_init__(self) -> None:
        if self.reused:  # then there was too little to search for a share to say anything
            self.overhead = {**self.overhead, "share": None}

    @property
    def results(self) -> list[Result]:
        """One for each question measured."""
        return list(self.run.results.values())

    @property
    def seconds(self) -> float:
        """In search and model, for all questions, when each was answered."""
        return sum(r.seconds for r in self.results)

    @property
    def tokens(self) -> tuple[int, int]:
        """Read and written by models, for all questions."""
        return sum(r.tokens[0] for r in self.results), sum(r.tokens[1] for r in self.results)

    @property
    def reused(self) -> int:
        """Questions whose answer was taken from an earlier run."""
        return sum(r.reused for r in self.results)

    @property
    def by_kind(self) -> dict[str, dict[str, float]]:
        """Each measure's mean over the questions of one kind; nothing where no kinds are known."""
        kinds = {str(r.about["kind"]) for r in self.results if r.about.get("kind")}
        found = {}
        for kind in sorted(kinds):
            values = columns(r for r in self.results if r.about.get("kind") == kind)
            found[kind] = {name: fmean(of.values()) for name, of in values.items()}
        return found

    def as_json(self) -> dict[str, Any]:
        """For programs: each mean under its own name, then what belongs to them."""
        record = self.run.record
        count = len(self.results)
        return {
            **{name: found.mean for name, found in self.measures.items()},
            "by_kind": self.by_kind,
            "intervals": {name: [i.low, i.high] for name, i in self.measures.items()},
            "queries": count,
            "seconds": self.seconds,
            "ms_per_query": 1000 * self.seconds / count if count else None,
            "tokens": dict(zip(("read", "written"), self.tokens, strict=True)),
            **self.shown,
            "left_out": self.left_out,
            "notes": self.notes,
            "overhead": self.overhead,
            "run": {
                "id": self.run.id,
                "folder": str(self.run.folder),
                "started": record["started"],
                "finished": record["finished"],
                "resumed": self.run.resumed,
                "reused": self.reused,
            },
            "data": record.get("data"),
            "collection": record["source"].get("collection"),
            "models": record["source"].get("models"),
            "seed": record["seed"],
            "settings": record["settings"],
            "versions": record["versions"],
            "machine": record["machine"],
        }


def columns(results: Iterable[Result], order: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """Each measure's values by question; the measures in `order` first, in their order."""
    found: dict[str, dict[str, float]] = {}
    for result in results:
        for name, value in result.measures.items():
            found.setdefault(name, {})[result.id] = value
    first = [name for name in order if name in found]
    return {name: found[name] for name in (*first, *(n for n in found if n not in first))}


def figures(values: Mapping[str, Mapping[str, float]], *, seed: int = 0) -> dict[str, Interval]:
    """Each measure's mean and interval; measures of the same questions share their resamples."""
    groups: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for name, of in values.items():
        groups.setdefault(tuple(of), {})[name] = list(of.values())
    found: dict[str, Interval] = {}
    for group in groups.values():
        found |= intervals(group, seed=seed)
    return {name: found[name] for name in values}
