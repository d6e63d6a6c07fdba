"""How good answers are: right, resting on the documents, and silent where they must be.

Each question is asked and its answer kept; then it is measured, by words, by meaning, by what it
rests on, and by a judge where one is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..collection import Collection
from ..errors import EvaluationError
from ..records import Answer, Hit, Source
from ..text.language import detect
from . import about, grounding
from .clock import Clock
from .judge import BUILT_IN, Rubric, read_rubric
from .overlap import corpus_bleu, corpus_chrf, scores
from .places import Places, locate
from .questions import Question, QuestionSet
from .report import Report, columns, figures
from .retrieval import keep, notes_on, source_of
from .runs import Plan, Result, Run, begin, known
from .semantic import semscore
from .stored import plain, restored
from .verdicts import JUDGED, Judge

__all__ = ["CHEAP", "MEASURES", "ORDER", "Measured", "answer_of", "evaluate_answers", "said"]

MEASURES = {
    "overlap": "words of the gold answers: exact match, F1, BLEU, chrF, ROUGE-1/2/L, METEOR",
    "semscore": "meaning beside the gold answers, by the embedder",
    "context": "passages shown to the model: recall and precision of the gold places",
    "citations": "precision and recall of the gold places",
    "abstention": "precision and recall of saying that the documents do not say it",
    "faithfulness": "sentences the model wrote that a passage supports, by llar's own check",
    "context-relevance": "sentences shown to the model that are near the question, by the embedder",
    "answer-relevance": "how well the question can be told from the answer; asks the judge",
    "judged-faithfulness": "shown sentences that a passage supports; asks the judge",
    "judged-context-relevance": "sentences shown to the model that help; asks the judge",
    "rubrics": "G-Eval scores by rubric; asks the judge",
}
CHEAP = ("overlap", "semscore", "context", "citations", "abstention")
ORDER = (  # of the figures
    "exact_match", "f1", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum", "meteor",
    "semscore", "context_recall", "context_precision", "citation_precision", "citation_recall",
    "answered", "abstention_precision", "abstention_recall", "faithfulness", "context_relevance",
)  # fmt: skip
_KEPT = {"prompt": (), "steps": ()}  # not kept: both can be had again, and repeat what is there
LANGUAGE_SAMPLE = 200  # questions that tell a set's language

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What is to be measured of answers: names of MEASURES, the judge, and prices.

    `prices` are of a million tokens, read and written, in whatever currency.
    """

    measures: tuple[str, ...] = CHEAP
    judge: str = ""
    rubrics: tuple[str, ...] = ()
    prices: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in self.measures:
            if name not in MEASURES:
                raise EvaluationError(
                    f"there is no measure {name!r} of answers; there are {', '.join(MEASURES)}"
                )
        asking = [m for m in self.measures if m in JUDGED]
        if asking and not self.judge:
            raise EvaluationError(
                f"{', '.join(asking)} must be judged by a model",
                fix="llar evaluate answers ... --judge BACKEND:NAME",
            )


@dataclass(slots=True)
class _Judging:
    """What measuring an answer needs."""

    docs: Collection
    places: Places
    wanted: Measured
    language: str | None
    rubrics: list[Rubric] = field(default_factory=list)

    def golds(self, question: Question) -> list[grounding.Gold]:
        """Where the answer stands; what is lost is nowhere."""
        spans = self.places.spans[question.id]
        golds = [grounding.Gold(str(s.document), s.start, s.end) for s in spans]
        if not question.spans:
            gains = self.places.gains[question.id]
            golds = [grounding.Gold(str(i)) for i, gain in gains.items() if gain > 0]
        lost = self.places.missing(question)
        return [*golds, *(grounding.Gold(f"lost {n}") for n in range(lost))]

    def shown(self, answer: Answer) -> Sequence[Hit]:
        """The passages that the model was shown."""
        return answer.hits[: self.docs.config.passages]


def evaluate_answers(
    docs: Collection,
    found: QuestionSet,
    wanted: Measured | None = None,
    *,
    k: int = 8,
    name: str | None = None,
    fresh: bool = False,
    flags: Sequence[str] = (),
    seed: int = 0,
    clock: Clock | None = None,
    told: Told | None = None,
    folder: Path | None = None,
) -> Report:
    """Ask every question as the collection's configuration says, and measure the answers."""
    clock, wanted = clock or Clock(), wanted or Measured()
    rubrics = [read_rubric(docs.config, r) for r in wanted.rubrics or BUILT_IN]
    rubrics = rubrics if "rubrics" in wanted.measures else []
    with clock.aside():
        docs.index.counts()
    places = locate(docs.index, found.questions)
    language = detect(" ".join(q.question for q in found.questions[:LANGUAGE_SAMPLE]))
    judging = _Judging(docs, places, wanted, language, rubrics)
    plan = _plan(docs, found, wanted, rubrics, k)
    run = begin(docs.config, plan, name=name, fresh=fresh, flags=flags, seed=seed, folder=folder)
    with run:
        if not run.finished:
            _ask_all(run, found.questions, judging, k, clock, told, fresh)
            _measure_all(run, found.questions, judging, seed, clock, told)
            run.replace([run.results[q.id] for q in found.questions])
        values = columns(run.results.values(), ORDER)
        notes = [*found.notes, *notes_on(places)]
        shown = _shown(run, found.questions, judging)
        report = Report(run, figures(values, seed=seed), {}, notes, clock.as_json(), shown)
        if not run.finished:
            keep(report)
    return report


def _plan(
    docs: Collection, found: QuestionSet, wanted: Measured, rubrics: Sequence[Rubric], k: int
) -> Plan:
    judge = about.model(docs.config, wanted.judge) if wanted.judge else None
    return Plan(
        kind="answers",
        source={**source_of(docs, model=True), "k": k},
        measured={
            "questions": about.digest([found.sha256, [q.id for q in found.questions]]),
            "measures": sorted(wanted.measures),
            "judge": judge,
            "rubrics": [plain(r) for r in rubrics],
            "code": about.code("evaluate/", "prompts/"),
        },
        shown={"data": {"name": found.name, "form": found.form, "sha256": found.sha256}},
    )


def _ask_all(
    run: Run,
    questions: Sequence[Question],
    judging: _Judging,
    k: int,
    clock: Clock,
    told: Told | None,
    fresh: bool,
) -> None:
    """Ask what was not asked yet, and keep each answer at once."""
    docs = judging.docs
    earlier = {} if fresh else known(run)
    warm = False
    for done, question in enumerate(questions, 1):
        if question.id not in run.results:
            result = Result(question.id, question.question, question.key, {})
            before = earlier.get(question.key)
            if before is not None:
                result.output, result.reused = before.output, True
                result.seconds, result.tokens = before.seconds, before.tokens
                result.about = {n: v for n, v in before.about.items() if n == "verdicts"}
            else:
                if not warm:
                    with clock.aside():
                        docs.chat_model()
                        docs.search(question.question, k=1)
                    warm = True
                with clock.work():
                    start = time.perf_counter()
                    answer = docs.ask(question.question, history=question.history, k=k)
                    result.seconds = time.perf_counter() - start
                result.tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
                result.output = plain(replace(answer, **_KEPT))  # type: ignore[arg-type]
            if question.kind:
                result.about["kind"] = question.kind
            run.add(result)
        if told:
            told(done, len(questions))


def _measure_all(
    run: Run,
    questions: Sequence[Question],
    judging: _Judging,
    seed: int,
    clock: Clock,
    told: Told | None,
) -> None:
    """Measure every answer; what a judge said is kept at once."""
    meanings = _meanings(run, questions, judging, clock)
    judge = _judge(judging, seed, clock) if judging.wanted.judge else None
    for done, question in enumerate(questions, 1):
        result = run.results[question.id]
        answer = answer_of(result)
        values = _by_words(question, answer, judging)
        if question.id in meanings:
            values["semscore"] = meanings[question.id]
        with clock.work():  # an embedder or a judge is asked
            values |= _by_embedder(question, answer, judging)
            if judge:
                shown = judging.shown(answer)
                values |= judge.values(question.question, said(answer), shown, result.about)
        result.measures = values
        if judge:
            run.add(result)
            if told:
                told(done, len(questions))


def answer_of(result: Result) -> Answer:
    """The answer that a result keeps, without prompt and steps."""
    return restored(Answer, result.output)


def said(answer: Answer) -> str:
    """What an answer says, without citation marks; "" where it says that it cannot."""
    return "" if answer.abstained else " ".join(grounding.statements(answer))


def _by_words(question: Question, answer: Answer, judging: _Judging) -> dict[str, float]:
    wanted = judging.wanted.measures
    values: dict[str, float] = {}
    golds = judging.golds(question)
    if "overlap" in wanted and (question.answers or not question.answerable):
        language = question.language or judging.language
        values |= scores(said(answer), question.answers, language=language)
    if "context" in wanted and question.answerable:
        hits = judging.shown(answer)
        values |= _present(
            context_recall=grounding.context_recall(hits, golds, name=_id),
            context_precision=grounding.context_precision(hits, golds, name=_id),
        )
    if "citations" in wanted and question.answerable:
        quality = grounding.citations(answer, golds, name=_id)
        values |= _present(
            citation_precision=quality.precision if answer.citations else None,
            citation_recall=quality.recall,
        )
    if "abstention" in wanted:
        if question.answerable:
            values["answered"] = float(not answer.abstained)
        else:
            values["abstention_recall"] = float(answer.abstained)
        if answer.abstained:
            values["abstention_precision"] = float(not question.answerable)
    return values


def _meanings(
    run: Run, questions: Iterable[Question], judging: _Judging, clock: Clock
) -> dict[str, float]:
    """SemScore of every answer that has golds, all at once."""
    if "semscore" not in judging.wanted.measures:
        return {}
    asked = [q for q in questions if q.answers]
    texts = [said(answer_of(run.results[q.id])) for q in asked]
    with clock.work():
        found = semscore(judging.docs.embedder, texts, [q.answers for q in asked])
    return {q.id: value for q, value in zip(asked, found, strict=True)}


def _by_embedder(question: Question, answer: Answer, judging: _Judging) -> dict[str, float]:
    wanted, docs = judging.wanted.measures, judging.docs
    values: dict[str, float] = {}
    if "faithfulness" in wanted:
        written = grounding.statements(answer, removed=True)
        found = grounding.faithfulness(
            written, answer.hits, docs.embedder, question=question.question
        )
        values |= _present(faithfulness=found.value)
    if "context-relevance" in wanted:
        shown = judging.shown(answer)
        found = grounding.context_relevance(question.question, shown, docs.embedder)
        values |= _present(context_relevance=found.value)
    return values


def _judge(judging: _Judging, seed: int, clock: Clock) -> Judge:
    docs, wanted = judging.docs, judging.wanted
    with clock.aside():
        chat = docs.chat_model(wanted.judge)
    named = about.model(docs.config, wanted.judge)
    asked = tuple(m for m in wanted.measures if m in JUDGED)
    rubrics = tuple(judging.rubrics)
    return Judge(chat, docs.embedder, docs.config, named, asked, rubrics, seed)


def _shown(run: Run, questions: Sequence[Question], judging: _Judging) -> dict[str, Any]:
    """Figures of the whole set that no question has by itself."""
    found: dict[str, Any] = {"language": judging.language}
    answers = {q.id: answer_of(run.results[q.id]) for q in questions}
    if "abstention" in judging.wanted.measures:
        quality = grounding.abstention(
            (answers[q.id].abstained, not q.answerable) for q in questions
        )
        found["abstention_f1"] = quality.f1
    pairs = [(said(answers[q.id]), q.answers) for q in questions if q.answers]
    if "overlap" in judging.wanted.measures and pairs:
        found["corpus_bleu"] = corpus_bleu([p[0] for p in pairs], [p[1] for p in pairs])
        found["corpus_chrf"] = corpus_chrf([p[0] for p in pairs], [p[1] for p in pairs])
    invalid: dict[str, int] = {}
    for result in run.results.values():
        for name, of in result.about.get("invalid", {}).items():
            invalid[name] = invalid.get(name, 0) + of["count"]
    found["invalid"] = invalid
    if judging.wanted.prices:
        read = sum(r.tokens[0] for r in run.results.values())
        written = sum(r.tokens[1] for r in run.results.values())
        price_in, price_out = judging.wanted.prices
        found["cost"] = (read * price_in + written * price_out) / 1e6
    return found


def _present(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def _id(source: Source) -> str:
    return str(source.id)
