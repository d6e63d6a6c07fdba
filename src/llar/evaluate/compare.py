"""Variants on the same questions: what each is worth, and which differ from the first."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..collection import Collection
from ..config import Config, changed
from ..errors import EvaluationError
from ..index.ingest import Progress
from .clock import Clock
from .indexed import of_collection, of_texts
from .questions import QuestionSet
from .report import Report, columns
from .runs import Result
from .statistics import Difference, holm, paired

__all__ = [
    "Comparison", "Gate", "Moved", "Variant", "compare", "difference", "moved", "opened",
    "read_gate", "read_variant",
]  # fmt: skip

INDEXED = ("chunker", "chunk_tokens", "embedder")  # settings that make another collection
RETRIEVAL = ("ndcg@10", "hit@10", "recall@10", "mrr@10")
ANSWERS = ("f1", "semscore", "citation_recall", "answered", "abstention_recall")


@dataclass(frozen=True, slots=True)
class Variant:
    """Settings under a name."""

    name: str
    settings: dict[str, Any]

    def config(self, base: Config) -> Config:
        """The configuration with them."""
        return changed(base, self.settings, self.name)


@dataclass(frozen=True, slots=True)
class Moved:
    """A question whose figure differs between the first variant and another."""

    id: str
    question: str
    before: float
    after: float


@dataclass(slots=True)
class Comparison:
    """What the variants found; differences are to the first variant, by variant and measure.

    `p` are the p-values of `differences` made good for the number of variants (Holm).
    """

    variants: list[Variant]
    reports: list[Report]
    measures: list[str]
    differences: list[dict[str, Difference]] = field(default_factory=list)
    p: list[dict[str, float]] = field(default_factory=list)
    moved: list[list[Moved]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = []
        for n, (variant, report) in enumerate(zip(self.variants, self.reports, strict=True)):
            row: dict[str, Any] = {
                "name": variant.name,
                "changed": variant.settings,
                **report.as_json(),
            }
            if n:
                row["differences"] = {
                    name: {
                        "mean": d.mean,
                        "low": d.low,
                        "high": d.high,
                        "p": d.p,
                        "p_holm": self.p[n][name],
                    }
                    for name, d in self.differences[n].items()
                }
                row["questions_that_differ"] = [
                    {"id": m.id, "question": m.question, "before": m.before, "after": m.after}
                    for m in self.moved[n]
                ]
            rows.append(row)
        return {"measures": self.measures, "variants": rows}


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold: a measure's mean, or its drop from the first variant, against a limit."""

    measure: str
    limit: float
    drop: bool

    def broken(self, comparison: Comparison) -> list[str]:
        """What does not hold, in words."""
        said = []
        for n, (variant, report) in enumerate(
            zip(comparison.variants, comparison.reports, strict=True)
        ):
            check_measure(self.measure, report)
            mean = report.measures[self.measure].mean
            if not self.drop and mean < self.limit:
                said.append(f"{variant.name}: {self.measure} is {mean:.4f}, below {self.limit:g}")
            if self.drop and n:
                fell = comparison.reports[0].measures[self.measure].mean - mean
                if fell > self.limit:
                    said.append(
                        f"{variant.name}: {self.measure} fell by {fell:.4f}, more than"
                        f" {self.limit:g}"
                    )
        return said


def read_variant(file: Path, base: Config) -> Variant:
    """The settings in a TOML file. Raises ConfigError naming the file for one there is not."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise EvaluationError(f"{str(file)!r} is not valid TOML: {e}") from e
    except OSError as e:
        raise EvaluationError(f"{str(file)!r} cannot be read: {e.strerror}") from e
    changed(base, table, str(file))
    return Variant(file.stem, table)


@contextmanager
def opened(
    base: Config,
    settings: dict[str, Any],
    found: QuestionSet,
    collection: str | None,
    clock: Clock,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Collection]:
    """The collection that these settings make of the documents.

    Of a named collection that is itself, unless the settings ask for another chunker, size or
    embedder: what they do not name stays as it is in the collection.
    """
    with clock.aside():
        docs = _open(changed(base, settings, "settings"), settings, found, collection, progress)
    with docs:
        yield docs


def _open(
    config: Config,
    settings: dict[str, Any],
    found: QuestionSet,
    collection: str | None,
    progress: Callable[[Progress], None] | None,
) -> Collection:
    if found.texts is not None and not collection:
        return of_texts(config, found, progress=progress)
    docs = Collection(collection, config=config)
    if not any(name in settings for name in INDEXED):
        return docs
    own = {
        "embedder": docs.index.embedder.name,
        "chunker": str(docs.index.spec),
        "chunk_tokens": docs.index.spec.max_tokens,
    }
    return of_collection(changed(config, own | settings, "settings"), docs, progress=progress)


def compare(
    variants: Sequence[Variant],
    measure: Callable[[Variant], Report],
    measures: Sequence[str] = (),
    *,
    usual: Sequence[str] = RETRIEVAL,
    gates: Sequence[Gate] = (),
    most: int = 10,
    seed: int = 0,
) -> Comparison:
    """Measure each variant and pair it with the first, question by question.

    `measures` are the ones to compare, the main one first; without any, those of `usual` that
    there are. `most` is how many of the questions that differ most by the main one are kept.
    Raises EvaluationError for variants of one name and for measures, of `gates` too, that there
    are none of.
    """
    names = [v.name for v in variants]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise EvaluationError(f"two variants are called {twice!r}; give the files different names")
    head = measure(variants[0])
    for name in (*measures, *(gate.measure for gate in gates)):
        check_measure(name, head)
    measures = measures or [name for name in usual if name in head.measures]
    rest = [measure(v) for v in variants[1:]]
    result = Comparison(list(variants), [head, *rest], list(measures))
    first = columns(result.reports[0].results)
    for report in result.reports:
        other = columns(report.results)
        result.differences.append(
            {name: difference(first[name], other.get(name, {}), seed) for name in measures}
        )
        result.moved.append(
            moved(report.results, first[measures[0]], other.get(measures[0], {}), most)
        )
    result.p = [{} for _ in variants]
    for name in measures:
        adjusted = holm([d[name].p for d in result.differences[1:]])
        for n, p in enumerate(adjusted, 1):
            result.p[n][name] = p
    return result


def check_measure(name: str, report: Report) -> None:
    """Raise EvaluationError where a report has no measure of that name."""
    if name not in report.measures:
        near = difflib.get_close_matches(name, report.measures, n=1)
        known = ", ".join(report.measures)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {known}"
        raise EvaluationError(f"there is no measure {name!r}{hint}")


def difference(first: Mapping[str, float], other: Mapping[str, float], seed: int = 0) -> Difference:
    """How much better the other is, on the questions that both have a figure for."""
    both = [name for name in first if name in other]
    if not both:
        return Difference(0.0, 0.0, 0.0, 1.0)
    return paired([other[n] for n in both], [first[n] for n in both], seed=seed)


def moved(
    results: Iterable[Result], first: Mapping[str, float], other: Mapping[str, float], most: int
) -> list[Moved]:
    """The questions whose figures differ most."""
    found = [
        Moved(r.id, r.question, first[r.id], other[r.id])
        for r in results
        if r.id in first and r.id in other and first[r.id] != other[r.id]
    ]
    found.sort(key=lambda m: (-abs(m.after - m.before), m.id))
    return found[:most]


def read_gate(text: str, *, drop: bool) -> Gate:
    """MEASURE=VALUE. Raises EvaluationError where it is none."""
    name, _, value = text.partition("=")
    try:
        return Gate(name.strip(), float(value), drop)
    except ValueError:
        raise EvaluationError(f"{text!r}: expected MEASURE=VALUE, as ndcg@10=0.42") from None
