"""Two runs beside each other: what they were made with, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .compare import Moved, difference, moved
from .report import columns
from .runs import Run
from .statistics import Difference

__all__ = ["RunsDiffer", "diff"]

_READ = ("settings", "source", "measured", "data", "versions", "machine", "seed", "flags")


@dataclass(slots=True)
class RunsDiffer:
    """`made` are (where, before, after) of what they were made with; differences are b less a."""

    a: Run
    b: Run
    made: list[tuple[str, Any, Any]]
    questions: int  # in both
    differences: dict[str, Difference] = field(default_factory=dict)
    main: str = ""
    moved: list[Moved] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "a": self.a.id,
            "b": self.b.id,
            "made_with": [{"what": w, "a": a, "b": b} for w, a, b in self.made],
            "questions": self.questions,
            "differences": {
                name: {"mean": d.mean, "low": d.low, "high": d.high, "p": d.p}
                for name, d in self.differences.items()
            },
            "questions_that_differ": [
                {"id": m.id, "question": m.question, "before": m.before, "after": m.after}
                for m in self.moved
            ],
        }


def diff(a: Run, b: Run, *, measure: str | None = None, most: int = 10) -> RunsDiffer:
    """What differs between two runs with their results.

    `measure` is the one that questions are looked at by; the first they share if not given.
    """
    made = [row for what in _READ for row in _changes(what, a.record.get(what), b.record.get(what))]
    before, after = columns(a.results.values()), columns(b.results.values())
    shared = [name for name in before if name in after]
    both = [q for q in a.results if q in b.results]
    found = RunsDiffer(a, b, made, len(both))
    found.differences = {name: difference(before[name], after[name]) for name in shared}
    found.main = measure or ("ndcg@10" if "ndcg@10" in shared else next(iter(shared), ""))
    if found.main in shared:
        found.moved = moved(b.results.values(), before[found.main], after[found.main], most)
    return found


def _changes(where: str, a: Any, b: Any) -> list[tuple[str, Any, Any]]:
    """Every leaf that differs, by its path."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = list(dict.fromkeys([*a, *b]))
        return [row for key in keys for row in _changes(f"{where}.{key}", a.get(key), b.get(key))]
    return [] if a == b else [(where, a, b)]
