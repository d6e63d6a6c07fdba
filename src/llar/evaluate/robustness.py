"""How answers hold up among passages that do not help (after RGB, Chen et al. 2024).

Passages are put in front of the answering code in the place of a search's: real passages of the
collection with the scores that its search gives them for the question, the best first.

noise: the passage that holds the answer among others. A share of those shown is distracting: near
the question, without the answer. The rest is about something else, so that every share is measured
on the same number of passages.
rejection: distracting passages only; right is to abstain.
integration: an answer that needs several passages, among distracting ones.
false: the answer in its passage was replaced by another of its kind. Answers come from documents,
so llar should say what stands there and cite it; the true one could only come from elsewhere.
both: the true passage beside the false one; right is to show both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .. import answer as answering
from ..answer.prompt import harmless
from ..collection import Collection
from ..errors import EvaluationError
from ..records import Answer, Hit
from ..retrieve import Query
from ..retrieve import Result as Found
from . import about
from .counterfactual import Falsifier, says
from .draw import drawn
from .passages import Passage, Passages
from .places import locate
from .questions import Question, QuestionSet
from .retrieval import source_of
from .runs import Plan, Result, Run, begin, known
from .statistics import Interval, share

__all__ = ["LEVELS", "TESTS", "Case", "Outcome", "Robustness", "measure_robustness"]

Test = Literal["noise", "rejection", "integration", "false", "both"]
Told = Callable[[int, int], None]

TESTS: tuple[Test, ...] = ("noise", "rejection", "integration", "false", "both")
LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8)
SHOWN = 5
JOINED = "joined"  # two questions asked as one, where a set has none that needs two passages


@dataclass(frozen=True, slots=True)
class Case:
    """One question with the passages to answer it from.

    `golds` has a group of right answers for each thing asked, one of each group must be said.
    `places` are the passages that hold them, as (document, start, end).
    """

    test: Test
    level: float
    question: Question
    asked: str
    hits: tuple[Hit, ...]
    golds: tuple[tuple[str, ...], ...]
    places: tuple[tuple[int, int, int], ...]
    false: str = ""
    kind: str = ""

    @property
    def id(self) -> str:
        """Its name in results."""
        level = f"-{self.level:g}" if self.test == "noise" else ""
        return f"{self.question.id}/{self.test}{level}"

    @property
    def key(self) -> str:
        """The same for the same question and passages."""
        shown = [
            [h.document.path, h.chunk.start, h.chunk.end, h.content, h.score] for h in self.hits
        ]
        return about.digest([self.question.key, self.asked, shown])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered in one case."""

    case: Case
    answer: str
    abstained: bool
    right: bool  # it holds every answer asked for
    cited: bool  # a citation is of a passage that holds one; "false": quotes the false answer
    follows: bool = False  # it holds the false answer


@dataclass(frozen=True, slots=True)
class Robustness:
    """Shares with their intervals and counts, by test and what happened.

    `rates` maps a row ("noise 0.4", "rejection" ...) to (share, yes, counted) of each outcome;
    `invalid` says for how many questions a row could not be made, by the reason.
    """

    run: Run
    rates: Mapping[str, Mapping[str, tuple[Interval, int, int]]]
    invalid: Mapping[str, Mapping[str, int]]
    outcomes: Sequence[Outcome]
    notes: Sequence[str]


def measure_robustness(
    docs: Collection,
    found: QuestionSet,
    *,
    tests: Sequence[Test] = TESTS,
    levels: Sequence[float] = LEVELS,
    shown: int = SHOWN,
    count: int | None = None,
    name: str | None = None,
    fresh: bool = False,
    flags: Sequence[str] = (),
    seed: int = 0,
    told: Told | None = None,
) -> Robustness:
    """Put every question to every test and count what happens.

    `count` questions are drawn by `seed`, all without it; those of kind "multi-passage" are drawn
    by themselves. Raises EvaluationError where no question can be asked.
    """
    _check(tests, levels, shown)
    making = _Making(docs, found.questions, shown, seed)
    cases: list[Case] = []
    invalid: dict[str, dict[str, int]] = {}
    for row, made in making.cases(tests, levels, count):
        if isinstance(made, Case):
            cases.append(made)
        else:
            reasons = invalid.setdefault(row, {})
            reasons[made] = reasons.get(made, 0) + 1
    if not cases:
        why = "; ".join(f"{row}: {reason}" for row, of in invalid.items() for reason in of)
        raise EvaluationError(f"no question of {found.name!r} can be put to these tests ({why})")
    plan = _plan(docs, found, cases, shown)
    with begin(docs.config, plan, name=name, fresh=fresh, flags=flags, seed=seed) as run:
        if not run.finished:
            _answer_all(docs, run, cases, shown, told, fresh)
        outcomes = [_outcome(case, run.results[case.id].output) for case in cases]
        rates, notes = _rates(outcomes), making.notes
        fewer = sum(r.output["shown"] not in (None, shown) for r in run.results.values())
        if fewer:
            notes.append(
                f"{fewer} times not all of the {shown} passages fitted the model's context"
            )
        if not run.finished:
            rows = {row: {n: [r[0].mean, r[0].low, r[0].high, r[1], r[2]] for n, r in of.items()}
                    for row, of in rates.items()}  # fmt: skip
            run.finish(rates=rows, invalid=invalid, notes=notes)
    return Robustness(run, rates, invalid, outcomes, notes)


def _check(tests: Sequence[str], levels: Sequence[float], shown: int) -> None:
    for test in tests:
        if test not in TESTS:
            raise EvaluationError(f"there is no test {test!r}; expected {', '.join(TESTS)}")
    if shown < 2:
        raise EvaluationError(f"at least 2 passages must be shown, got {shown!r}")
    for level in levels:
        if not 0 <= level < 1 or round(level * shown) >= shown:
            raise EvaluationError(
                f"a share of distracting passages of {level!r} leaves no room for the answer's "
                f"among {shown}"
            )


def _plan(docs: Collection, found: QuestionSet, cases: Sequence[Case], shown: int) -> Plan:
    return Plan(
        kind="robustness",
        source={**source_of(docs, model=True), "shown": shown},
        measured={
            "cases": about.digest([[c.id, c.key, c.golds, c.false] for c in cases]),
            "code": about.code("evaluate"),
        },
        shown={"data": {"name": found.name, "form": found.form, "sha256": found.sha256}},
    )


# -- cases ---------------------------------------------------------------------------------


class _Making:
    """Makes the cases of a question set; where one cannot be made, the reason in its place."""

    def __init__(
        self, docs: Collection, questions: Sequence[Question], shown: int, seed: int
    ) -> None:
        self.notes: list[str] = []
        self._shown, self._seed = shown, seed
        self._passages = Passages(docs, seed)
        self._places = locate(docs.index, questions)
        self._all = [q for q in questions if q.answerable and q.answers]
        if not self._all:
            raise EvaluationError("no question has an answer to look for")
        left = len(questions) - len(self._all)
        if left:
            self.notes.append(f"{left} questions have no answer that could be looked for")
        answers = [a for q in self._all for a in q.answers[:1]]
        self._falsifier = Falsifier(answers, docs.embedder, seed)

    def cases(
        self, tests: Sequence[Test], levels: Sequence[float], count: int | None
    ) -> Iterator[tuple[str, Case | str]]:
        """(row, case or why there is none) for every question of the sample."""
        several = [q for q in self._all if q.kind == "multi-passage"]
        single = self._drawn([q for q in self._all if q.kind != "multi-passage"], count)
        for test in tests:
            if test == "integration":
                yield from self._integration(self._drawn(several, count), single)
                continue
            for question in single:
                golds = self._golds(question)
                if isinstance(golds, str):
                    yield test, golds
                elif test == "noise":
                    for level in levels:
                        yield f"noise {level:g}", self._noise(question, golds, level)
                elif test == "rejection":
                    yield test, self._rejection(question)
                else:
                    yield test, self._false(question, golds, test)

    def _drawn(self, questions: Sequence[Question], count: int | None) -> list[Question]:
        if count is None or count >= len(questions):
            return list(questions)
        return drawn(self._seed, "questions").sample(list(questions), count)

    def _golds(self, question: Question) -> list[Passage] | str:
        """The passages that hold an answer, best first."""
        if self._places.missing(question):
            return "its place is not in the collection"
        spans = self._places.spans[question.id]
        if not spans:
            return "it does not say where the answer stands"
        held = self._passages.holding(question.question, spans)
        right = [p for p in held if says(p.hit.content, question.answers)]
        return right or "the answer stands in no passage of its place"

    def _noise(self, question: Question, golds: Sequence[Passage], level: float) -> Case | str:
        wanted = round(level * self._shown)
        near = self._passages.near(question, wanted)
        if len(near) < wanted:
            return f"fewer than {wanted} distracting passages are there"
        kept = list(golds[: self._shown - wanted])
        far = self._passages.far(question, self._shown - wanted - len(kept), near)
        if len(far) < self._shown - wanted - len(kept):
            return "too few passages are about something else"
        return self._case("noise", question, kept, [*near, *far], level=level)

    def _rejection(self, question: Question) -> Case | str:
        near = self._passages.near(question, self._shown)
        if len(near) < self._shown:
            return f"fewer than {self._shown} distracting passages are there"
        return self._case("rejection", question, [], near)

    def _false(self, question: Question, golds: Sequence[Passage], test: Test) -> Case | str:
        made = self._falsifier.falsified(question, golds[0].hit)
        if isinstance(made, str):
            return made
        hit, said = made
        true = [golds[0].hit] if test == "both" else []
        rest = self._shown - 1 - len(true)
        far = self._passages.far(question, rest)
        if len(far) < rest:
            return "too few passages are about something else"
        case = self._case(test, question, golds[:1], far)
        others = [p.hit for p in far]
        return replace(case, hits=_ordered([*true, hit, *others]), false=said)

    def _integration(
        self, several: Sequence[Question], single: Sequence[Question]
    ) -> Iterator[tuple[str, Case | str]]:
        """Questions that need several passages; without any, pairs of questions asked as one."""
        if several:
            for question in several:
                yield "integration", self._several(question)
            return
        self.notes.append(
            "no question is of kind 'multi-passage': for integration two were asked as one"
        )
        for first, second in zip(single[::2], single[1::2], strict=False):
            yield "integration", self._joined(first, second)

    def _several(self, question: Question) -> Case | str:
        if self._places.missing(question):
            return "its place is not in the collection"
        parts = [self._passages.holding(question.question, [span])
                 for span in self._places.spans[question.id]]  # fmt: skip
        if not parts or not all(parts):
            return "its place stands in no passage"
        kept = list({p.hit.chunk_id: p for held in parts for p in held[:1]}.values())
        if len(kept) < 2:
            return "one passage holds all of it"
        return self._among(question, question.question, kept, (question.answers,))

    def _joined(self, first: Question, second: Question) -> Case | str:
        one, two = self._golds(first), self._golds(second)
        if isinstance(one, str) or isinstance(two, str):
            return one if isinstance(one, str) else str(two)
        if one[0].hit.chunk_id == two[0].hit.chunk_id:
            return "one passage holds both answers"
        asked = f"{first.question} {second.question}"
        joined = replace(first, answers=(*first.answers, *second.answers))
        made = self._among(joined, asked, [one[0], two[0]], (first.answers, second.answers))
        return replace(made, kind=JOINED) if isinstance(made, Case) else made

    def _among(
        self,
        question: Question,
        asked: str,
        kept: Sequence[Passage],
        golds: tuple[tuple[str, ...], ...],
    ) -> Case | str:
        if len(kept) > self._shown:
            return f"it needs more than {self._shown} passages"
        near = self._passages.near(question, self._shown - len(kept))
        if len(near) < self._shown - len(kept):
            return f"fewer than {self._shown - len(kept)} distracting passages are there"
        case = self._case("integration", question, kept, near)
        return replace(case, asked=asked, golds=golds)

    def _case(
        self,
        test: Test,
        question: Question,
        golds: Sequence[Passage],
        others: Sequence[Passage],
        *,
        level: float = 0.0,
    ) -> Case:
        hits = _ordered([p.hit for p in (*golds, *others)])
        places = tuple(p.place for p in golds)
        return Case(
            test, level, question, question.question, hits, (question.answers,), places,
            kind=question.kind,
        )  # fmt: skip


def _ordered(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """As a search would show them."""
    return tuple(sorted(hits, key=lambda h: -h.score))


# -- answering -----------------------------------------------------------------------------


def _answer_all(
    docs: Collection,
    run: Run,
    cases: Sequence[Case],
    shown: int,
    told: Told | None,
    fresh: bool,
) -> None:
    earlier = {} if fresh else known(run)
    for done, case in enumerate(cases, 1):
        if case.id not in run.results:
            before = earlier.get(case.key)
            if before is None:
                start = time.perf_counter()
                answer = answered(docs, case, shown)
                seconds = time.perf_counter() - start
                output = _as_output(answer)
                tokens = answer.usage.prompt_tokens, answer.usage.completion_tokens
            else:
                output, seconds, tokens = before.output, before.seconds, before.tokens
            run.add(Result(case.id, case.asked, case.key, output, {}, seconds, tokens,
                           reused=before is not None, about={"test": case.test}))  # fmt: skip
        if told:
            told(done, len(cases))


def answered(docs: Collection, case: Case, shown: int) -> Answer:
    """The answer from a case's passages and no others."""
    found = Found(list(case.hits), Query.of(case.asked), ())
    events = answering.stream(
        case.asked,
        search=lambda _: replace(found, hits=list(case.hits)),
        index=docs.index,
        chat=docs.chat_model(),
        embedder=docs.embedder,
        config=replace(docs.config, passages=shown),
        history=case.question.history,
    )
    return next(e for e in events if isinstance(e, Answer))


def _as_output(answer: Answer) -> dict[str, Any]:
    sent = "\n".join(m.content for m in answer.prompt)
    return {
        "shown": sum(harmless(h.content) in sent for h in answer.hits) if sent else None,
        "answer": " ".join(s.text for s in answer.sentences if s.supported),
        "abstained": answer.abstained,
        "citations": [[c.document.id, c.start, c.end, c.quote] for c in answer.citations],
    }


def _outcome(case: Case, output: Mapping[str, Any]) -> Outcome:
    said = str(output["answer"])
    right = bool(case.golds) and all(says(said, group) for group in case.golds)
    follows = bool(case.false) and says(said, [case.false])
    if case.test == "false":
        cited = any(says(quote, [case.false]) for *_, quote in output["citations"])
    else:
        cited = any(
            document == place[0] and start < place[2] and place[1] < end
            for document, start, end, _ in output["citations"]
            for place in case.places
        )
    return Outcome(case, said, bool(output["abstained"]), right, cited, follows)


# -- figures -------------------------------------------------------------------------------


def _rates(
    outcomes: Sequence[Outcome],
) -> dict[str, dict[str, tuple[Interval, int, int]]]:
    rows: dict[str, list[Outcome]] = {}
    for o in outcomes:
        row = f"noise {o.case.level:g}" if o.case.test == "noise" else o.case.test
        rows.setdefault(row, []).append(o)
    return {row: _counted(row, of) for row, of in rows.items()}


def _counted(row: str, of: Sequence[Outcome]) -> dict[str, tuple[Interval, int, int]]:
    abstained = [o.abstained for o in of]
    if row == "rejection":
        flags = {"abstained": abstained}
    elif row in ("false", "both"):
        flags = {
            "follows": [o.follows and not o.right for o in of],
            "true": [o.right and not o.follows for o in of],
            "both": [o.right and o.follows for o in of],
            "abstained": abstained,
            "other": [not (o.abstained or o.right or o.follows) for o in of],
            "cited": [o.cited for o in of],
        }
    else:
        flags = {
            "right": [o.right for o in of],
            "abstained": abstained,
            "wrong": [not (o.right or o.abstained) for o in of],
            "cited": [o.cited for o in of],
        }
    return {n: (share(sum(values), len(values)), sum(values), len(values))
            for n, values in flags.items()}  # fmt: skip
