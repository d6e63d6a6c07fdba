"""How well passages are found: each question is searched for, and what comes back is judged.

A question whose spans are known is judged by passages, one of which only documents are known by
documents, each at the rank of its best passage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .. import retrieve
from ..collection import Collection
from ..config import Config
from ..errors import EvaluationError
from ..records import Hit
from . import about
from .clock import Clock
from .places import Place, Places, locate
from .questions import Question, QuestionSet
from .ranking import KS, measures
from .report import Report, columns, figures
from .runs import Plan, Result, Run, begin, known

__all__ = ["evaluate_retrieval", "judged", "searched"]

Level = Literal["passages", "documents"]
Told = Callable[[int, int], None]  # questions done, questions in all

DEPTH = 100  # passages that the default search looks at, whatever it is asked for
MOST = 6_400  # passages asked for, at most, to find enough documents


@dataclass(frozen=True, slots=True)
class Depth:
    """How far down a ranking is looked at: passages asked for at once, and documents wanted."""

    k: int
    documents: int
    further: bool  # ask for more passages where they are of too few documents
    ks: tuple[int, ...]


def evaluate_retrieval(
    docs: Collection,
    found: QuestionSet,
    *,
    ks: Sequence[int] = KS,
    name: str | None = None,
    fresh: bool = False,
    flags: Sequence[str] = (),
    seed: int = 0,
    clock: Clock | None = None,
    told: Told | None = None,
    folder: Path | None = None,
) -> Report:
    """Search for every question as the collection's configuration says, and measure.

    Raises EvaluationError where no question says what is to be found.
    """
    clock = clock or Clock()
    with clock.aside():
        docs.index.counts()
    asked, left_out = _measurable(found.questions)
    depth = depth_of(docs.config, ks)
    places = locate(docs.index, asked)
    plan = _plan(docs, found, asked, depth)
    run = begin(docs.config, plan, name=name, fresh=fresh, flags=flags, seed=seed, folder=folder)
    with run:
        if not run.finished:
            _search_all(run, docs, asked, places, depth, clock, told, fresh)
        values = columns(run.results.values())
        with_intervals = figures(values, seed=seed)
        notes = [*found.notes, *notes_on(places), *_notes_on_depth(depth, ks)]
        report = Report(run, with_intervals, left_out, notes, clock.as_json(), _shown(depth))
        if not run.finished:
            keep(report)
    return report


def keep(report: Report) -> None:
    """Mark a run as done, with its figures."""
    report.run.finish(
        measures={n: [i.mean, i.low, i.high] for n, i in report.measures.items()},
        questions=len(report.results),
        seconds=report.seconds,
        tokens=list(report.tokens),
        left_out={why: len(ids) for why, ids in report.left_out.items()},
        notes=report.notes,
        overhead=report.overhead,
    )


def depth_of(config: Config, ks: Sequence[int]) -> Depth:
    """How deep to search, so that the first ranks are those of an ordinary search.

    Steps after retrieval choose from `candidates` passages, however few are wanted: asking for
    more would give them more to choose from.
    """
    options = retrieve.options(config)
    cuts = tuple(sorted(set(ks)))
    further = options.strategy.name == "single"  # another cannot be asked for more of the same
    if options.post:
        k = options.candidates
        cuts = tuple(c for c in cuts if c <= k) or (k,)
        return Depth(k, cuts[-1], False, cuts)
    return Depth(max(DEPTH, cuts[-1]), cuts[-1], further, cuts)


def asks_model(config: Config) -> bool:
    """Whether a search may ask a model that writes: some step might."""
    options = retrieve.options(config)
    return bool(options.query or options.post) or options.strategy.name != "single"


def source_of(docs: Collection, *, model: bool) -> dict[str, Any]:
    """Everything that what is found for a question depends on, and with `model` what is said."""
    config = docs.config
    models = {"embedder": about.model(config, docs.index.embedder.name)}
    if model:
        models["chat"] = about.model(config, config.chat_model)
    return {
        "collection": about.collection(docs.index),
        "settings": about.relevant(config, model=model),
        "models": models,
        "arguments": about.arguments(config),
        "prompts": about.prompts(config) if model else {},
        "code": about.code(),
    }


def _plan(docs: Collection, found: QuestionSet, asked: Sequence[Question], depth: Depth) -> Plan:
    source = source_of(docs, model=asks_model(docs.config))
    return Plan(
        kind="retrieval",
        source={**source, "k": depth.k, "documents": depth.documents, "further": depth.further},
        measured={
            "questions": about.digest([found.sha256, [q.id for q in asked]]),
            "ks": list(depth.ks),
            "code": about.code("evaluate/"),
        },
        shown={"data": {"name": found.name, "form": found.form, "sha256": found.sha256}},
    )


def _measurable(questions: Iterable[Question]) -> tuple[list[Question], dict[str, list[str]]]:
    """Questions that say what is to be found, and the others by why not."""
    kept: list[Question] = []
    left: dict[str, list[str]] = {}
    for question in questions:
        gains = question.documents.values()
        if (question.spans and question.answerable) or any(gain > 0 for gain in gains):
            kept.append(question)
        elif question.documents:
            left.setdefault("no relevant document", []).append(question.id)
        elif not question.answerable:
            left.setdefault("the documents do not answer it", []).append(question.id)
        else:
            left.setdefault("it does not say where the answer stands", []).append(question.id)
    if not kept:
        why = "; ".join(f"{reason}: {len(ids)}" for reason, ids in left.items())
        raise EvaluationError(f"no question says which passages or documents are right ({why})")
    return kept, left


def _search_all(
    run: Run,
    docs: Collection,
    asked: Sequence[Question],
    places: Places,
    depth: Depth,
    clock: Clock,
    told: Told | None,
    fresh: bool,
) -> None:
    earlier = {} if fresh else known(run)
    warm = False
    for done, question in enumerate(asked, 1):
        if question.id not in run.results:
            level: Level = "passages" if question.spans else "documents"
            before = earlier.get(question.key)
            if before is not None and before.output["level"] == level:
                output, seconds, reused = before.output, before.seconds, True
            else:
                if not warm:  # models are loaded once, not for a question
                    with clock.aside():
                        docs.search(question.question, k=1)
                    warm = True
                with clock.work():
                    output, seconds = searched(docs, question, level, depth)
                reused = False
            values = judged(output, question, places, depth.ks)
            result = Result(question.id, question.question, question.key, output, values, seconds)
            result.reused = reused
            if question.kind:
                result.about["kind"] = question.kind
            run.add(result)
        if told:
            told(done, len(asked))


def searched(
    docs: Collection, question: Question, level: Level, depth: Depth
) -> tuple[dict[str, Any], float]:
    """What a search finds, and the seconds that it took (without asking again for more).

    Passages as [document, path, score, spans], documents as [document, path, score], best first.
    """
    start = time.perf_counter()
    searcher = docs.searcher(k=depth.k)
    found = searcher.search(question.question)
    hits = found.hits
    seconds = time.perf_counter() - start
    if level == "passages":
        rows = [[h.document.id, h.document.path, _score(h), _spans(h)] for h in hits]
        return {"level": level, "hits": rows}, seconds
    best = {h.document.id: h for h in reversed(hits)}
    order = list(dict.fromkeys(h.document.id for h in hits))
    k = depth.k
    while depth.further and len(order) < depth.documents and len(hits) >= k and k < MOST:
        k *= 2
        hits = searcher.find(found.query, k)
        for hit in hits:
            if hit.document.id not in best:
                best[hit.document.id] = hit
                order.append(hit.document.id)
    rows = [[i, best[i].document.path, _score(best[i])] for i in order[: depth.documents]]
    return {"level": level, "hits": rows}, seconds


def _score(hit: Hit) -> float:
    return round(hit.score, 6) if math.isfinite(hit.score) else 0.0


def _spans(hit: Hit) -> list[list[int]]:
    """The parts of its document that a model is shown of a hit."""
    return [list(span) for span in (hit.chunk.spans if hit.kept is None else hit.kept)]


# -- judging -------------------------------------------------------------------------------


def judged(
    output: dict[str, Any], question: Question, places: Places, ks: Sequence[int]
) -> dict[str, float]:
    """Every measure of what was found for one question."""
    if output["level"] == "documents":
        gains = {str(i): gain for i, gain in places.gains[question.id].items()}
        gains |= {f"lost {n}": 1.0 for n in range(places.missing(question))}
        return measures([str(row[0]) for row in output["hits"]], gains, ks)
    return _by_passage(output["hits"], places.spans[question.id], places.missing(question), ks)


def _by_passage(
    rows: Sequence[Sequence[Any]], spans: Sequence[Place], lost: int, ks: Sequence[int]
) -> dict[str, float]:
    """A passage is right where it overlaps a gold span.

    nDCG, recall and MAP are of the spans: one is found at the rank of the first passage that
    overlaps it, and a passage that brings no new one takes a place. Hit rate, precision and MRR
    are of the passages.
    """
    ranked: list[str] = []  # spans in the order in which they are found, and what is none
    right: dict[str, float] = {}
    names = [str(n) for n in range(len(rows))]
    found: set[int] = set()
    documents = {span.document for span in spans}
    for name, (document, _, _, parts) in zip(names, rows, strict=True):
        over = _over(parts, document, spans) if document in documents else []
        if over:
            right[name] = 1.0
        new = [n for n in over if n not in found]
        found.update(new)
        ranked += [f"span {n}" for n in new] or [f"passage {name}"]
    wanted = {f"span {n}": 1.0 for n in range(len(spans))}
    wanted |= {f"lost {n}": 1.0 for n in range(lost)}
    of_spans = measures(ranked, wanted, ks)
    of_passages = measures(names, right, ks)
    own = ("hit", "precision", "mrr")
    return {n: (of_passages if n.startswith(own) else of_spans)[n] for n in of_spans}


def _over(parts: Sequence[Sequence[int]], document: int, spans: Sequence[Place]) -> list[int]:
    """The spans that these parts of a document overlap, by number."""
    return [
        n
        for n, span in enumerate(spans)
        if span.document == document and any(a < span.end and span.start < b for a, b in parts)
    ]


def notes_on(places: Places) -> list[str]:
    """What became of spans and documents that are not where they were, in words."""
    notes = []
    for what, found in (("could not be found", places.lost), ("stand elsewhere now", places.moved)):
        said = [f"{name}: {line}" for name, of in found.items() for line in of]
        if said:
            more = f"; and {len(said) - 5} more" if len(said) > 5 else ""
            notes.append(
                f"{len(said)} of the questions' places {what}: {'; '.join(said[:5])}{more}"
            )
    return notes


def _notes_on_depth(depth: Depth, ks: Sequence[int]) -> list[str]:
    cut = [str(k) for k in ks if k > depth.ks[-1]]
    if not cut:
        return []
    return [
        f"not measured at {', '.join(cut)}: steps after retrieval choose from {depth.k} passages"
    ]


def _shown(depth: Depth) -> dict[str, Any]:
    return {"k": list(depth.ks), "passages_searched": depth.k}
