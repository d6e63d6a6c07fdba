"""The decoding methods, each as the steps it takes: it asks what comes next and takes a token.

A method is a generator of `Ask`s, so that several can be answered by the model at once, and so
that a page can stop between two steps. What it returns is a `Continuation`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..errors import InsideError
from . import decoding
from .decoding import Settings
from .generation import SHOWN, Candidate, Distribution, Model, Step, shown, take

__all__ = ["DEFAULT", "METHODS", "Ask", "Continuation", "Method", "Options", "Steps", "Task"]

AT_ONCE = 256  # beginnings gone on with in one step; each takes 12 bytes for a vocabulary's token


@dataclass(frozen=True, slots=True)
class Options:
    """The numbers of all methods; each uses its own, "combined" those filters that are `given`."""

    temperature: float = 0.7
    top_k: int = 50
    top_p: float = 0.9
    min_p: float = 0.1
    typical: float = 0.2
    repetition_penalty: float = 1.2
    no_repeat_ngram: int = 2
    beams: int = 4
    length_penalty: float = 1.0
    alpha: float = 0.6
    candidates: int = 4  # of contrastive search
    given: frozenset[str] = frozenset()  # names of those that are not the defaults above

    @classmethod
    def of(cls, given: Mapping[str, float]) -> Options:
        """The defaults with `given` in their place. Raises InsideError for an unknown name."""
        known = {f.name for f in fields(cls)} - {"given"}
        wrong = next((name for name in given if name not in known), None)
        if wrong is not None:
            raise InsideError(f"there is no option {wrong!r}; expected one of {sorted(known)}")
        return cls(**given, given=frozenset(given))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Ask:
    """What comes after each of these token sequences?"""

    beginnings: tuple[tuple[int, ...], ...]
    states: bool = False


@dataclass(frozen=True, slots=True)
class Continuation:
    """What one method wrote. `refused` says why it could not go on, "" where it could."""

    method: str
    settings: dict[str, float]  # that the method used
    text: str
    ids: tuple[int, ...]
    finish: str  # "stop": the model was done; "length"; "refused"
    logprob: float  # natural log of the text's probability by the model, ending included
    steps: tuple[Step, ...]
    refused: str = ""


Steps = Generator[Ask, list[Distribution], Continuation]


@dataclass(frozen=True, slots=True)
class Task:
    """What to continue, for how many tokens, with which luck."""

    model: Model
    prompt: tuple[int, ...]
    tokens: int
    seed: int = 0
    shown: int = SHOWN  # candidates told of each step


@dataclass(slots=True)
class _Written:
    """What a method has written so far."""

    method: str
    settings: dict[str, float]
    task: Task
    ids: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    logprob: float = 0.0

    def add(self, step: Step) -> bool:
        """Write the step's token; whether the model is done with it."""
        self.ids.append(step.chosen.id)
        self.steps.append(step)
        self.logprob += math.log(step.chosen.before) if step.chosen.before else -math.inf
        return self.task.model.ends(step.chosen.id)

    def done(self, finish: str, refused: str = "") -> Continuation:
        model = self.task.model
        said = self.ids[:-1] if finish == "stop" else self.ids
        return Continuation(
            self.method,
            self.settings,
            shown(b"".join(map(model.piece, said))),
            tuple(self.ids),
            finish,
            self.logprob,
            tuple(self.steps),
            refused,
        )


def _sampled(
    task: Task, method: str, settings: Settings, used: dict[str, float], drawn: bool
) -> Steps:
    """One token after the other: drawn at random, or the likeliest that is left."""
    written = _Written(method, used, task)
    luck = random.Random(task.seed)  # noqa: S311 - for experiments that can be repeated
    try:
        while len(written.ids) < task.tokens:
            (found,) = yield Ask((task.prompt + tuple(written.ids),))
            step = take(
                task.model, found, settings, prompt=task.prompt, written=written.ids,
                chance=luck.random() if drawn else None, count=task.shown,
            )  # fmt: skip
            if written.add(step):
                return written.done("stop")
    except InsideError as e:
        return written.done("refused", e.message)
    return written.done("length")


@dataclass(frozen=True, slots=True)
class _Beam:
    """One beginning that beam search goes on with."""

    ids: tuple[int, ...] = ()
    total: float = 0.0  # sum of logprobs
    path: tuple[int, ...] = ()  # of each step, its place among that step's candidates

    def score(self, penalty: float) -> float:
        return self.total / float(len(self.ids) ** penalty)


def _beams(
    task: Task, method: str, used: dict[str, float], options: Options, settings: Settings
) -> Steps:
    """Beam search: keep the `beams` likeliest beginnings of each length.

    A text's score is its logprob over its length ^ length_penalty, as transformers has it
    (generation/utils.py, _beam_search, early_stopping=False). Tokens beyond the first 2 x beams
    do not count, nor an ending beyond the first `beams`.
    """
    count, penalty = options.beams, options.length_penalty
    written = _Written(method, used, task)
    alive, ended = [_Beam()], list[_Beam]()
    rows: list[list[Candidate]] = []
    entropies: list[float | None] = []
    of, tails = 0, list[float]()
    try:
        while alive and len(rows) < task.tokens:
            found = yield Ask(tuple(task.prompt + beam.ids for beam in alive))
            of, best = int(np.isfinite(found[0].row).sum()), found[0]
            entropies.append(best.entropy)
            tails.append(best.tail)
            ranked = _ranked(task, alive, found, settings, 2 * count)
            alive, over, shown_ = _split(task.model, alive, ranked, count)
            rows.append(shown_)
            ended = sorted([*ended, *over], key=lambda b: -b.score(penalty))[:count]
            if (
                len(ended) == count
                and alive
                and alive[0].score(penalty) <= ended[-1].score(penalty)
            ):
                break
    except InsideError as e:
        return written.done("refused", e.message)
    # As many tokens as are asked for: what is not at its end then counts as it is.
    last = [] if len(ended) == count and len(rows) < task.tokens else alive
    winner = max([*ended, *last], key=lambda b: b.score(penalty))
    for place, at in enumerate(winner.path):
        candidates = tuple(
            replace(c, chosen=n == at, after=c.after) for n, c in enumerate(rows[place])
        )
        written.add(
            Step(place, candidates, sum(c.kept for c in candidates), of * (count if place else 1),
                 tails[place], entropies[place])
        )  # fmt: skip
    return written.done("stop" if winner in ended else "length")


_Ranked = tuple[int, int, float, float]  # beam, token, probability after that beam, sum of logprobs


def _ranked(
    task: Task,
    alive: Sequence[_Beam],
    found: Sequence[Distribution],
    settings: Settings,
    count: int,
) -> list[_Ranked]:
    """The `count` likeliest ways to go on from all beginnings, the likeliest first."""
    ranked: list[_Ranked] = []
    for number, (beam, dist) in enumerate(zip(alive, found, strict=True)):
        row = decoding.log_softmax(dist.row) if dist.complete else dist.row.copy()
        told = int(np.isfinite(row).sum())
        if settings.no_repeat_ngram:
            if not dist.complete:
                raise InsideError("the server does not tell the prompt's tokens, so no n-grams")
            gone = decoding.blocked([*task.prompt, *beam.ids], settings.no_repeat_ngram)
            row[list(gone)] = -np.inf
        if not dist.complete and np.isfinite(row).sum() < count:
            raise InsideError(
                f"{count // 2} beams compare {count} tokens after each; the server tells {told}"
            )
        ranked += [
            (number, int(n), math.exp(row[n]), beam.total + float(row[n]))
            for n in decoding.by_probability(row, count)
        ]
    if not ranked:
        raise InsideError("every token would repeat an n-gram, so there is none to go on with")
    return sorted(ranked, key=lambda r: -r[3])[:count]


def _split(
    model: Model, alive: Sequence[_Beam], ranked: Sequence[_Ranked], count: int
) -> tuple[list[_Beam], list[_Beam], list[Candidate]]:
    """The beginnings to go on with, those that are at their end, and all as candidates."""
    onward: list[_Beam] = []
    over: list[_Beam] = []
    rows: list[Candidate] = []
    for rank, (number, token, probability, total) in enumerate(ranked):
        ends = model.ends(token)
        kept = rank < count if ends else len(onward) < count
        beam = _Beam((*alive[number].ids, token), total, (*alive[number].path, rank))
        if kept:
            (over if ends else onward).append(beam)
        text = shown(model.piece(token))
        rows.append(
            Candidate(token, text, probability, probability if kept else 0.0, kept, False,
                      beam=number, score=total)
        )  # fmt: skip
    return onward, over, rows


def _contrastive(task: Task, method: str, used: dict[str, float], options: Options) -> Steps:
    """Contrastive search (Su et al. 2022): likely, and unlike what was said before."""
    written = _Written(method, used, task)
    if not task.model.hidden:
        return written.done(
            "refused", f"{task.model.name} tells no hidden states, which contrastive search needs"
        )
    try:
        before = np.asarray(task.model.states(task.prompt), np.float64)
        (found,) = yield Ask((task.prompt,))
        while len(written.ids) < task.tokens:
            ids = found.best(options.candidates)
            beginning = task.prompt + tuple(written.ids)
            after = yield Ask(tuple((*beginning, n) for n in ids), states=True)
            states = np.stack([_state(each) for each in after])
            probabilities = found.probabilities
            scores, likeness = decoding.contrastive(
                probabilities[ids], states, before, options.alpha
            )
            chosen = int(scores.argmax())
            rows = tuple(
                Candidate(n, shown(task.model.piece(n)), float(probabilities[n]),
                          float(probabilities[n]), True, i == chosen,
                          score=float(scores[i]), likeness=float(likeness[i]))
                for i, n in enumerate(ids)
            )  # fmt: skip
            dropped = tuple(
                Candidate(n, shown(task.model.piece(n)), float(probabilities[n]), 0.0, False, False)
                for n in found.best(task.shown)[len(ids) :]
            )
            step = Step(len(written.ids), rows + dropped, len(ids),
                        int(np.isfinite(found.row).sum()), found.tail, found.entropy)  # fmt: skip
            if written.add(step):
                return written.done("stop")
            before = np.vstack([before, states[chosen]])
            found = after[chosen]
    except InsideError as e:
        return written.done("refused", e.message)
    return written.done("length")


def _state(found: Distribution) -> Any:
    if found.state is None:
        raise InsideError("the model told no hidden state, which contrastive search needs")
    return found.state


@dataclass(frozen=True, slots=True)
class Method:
    """A decoding method: what it does in a line, where it comes from, which options it uses."""

    about: str
    source: str
    uses: tuple[str, ...]
    start: Callable[[Task, str, Options], Steps]

    def run(self, task: Task, name: str, options: Options) -> Steps:
        """The method's steps. Raises InsideError for an option out of its range."""
        return self.start(task, name, options)


def _drawing(*uses: str, drawn: bool = True, **fixed: Any) -> Callable[[Task, str, Options], Steps]:
    """A method that filters and draws, with these of the options and `fixed` settings."""

    def start(task: Task, name: str, options: Options) -> Steps:
        used = {key: asdict(options)[key] for key in uses}
        return _sampled(task, name, Settings(**fixed, **used), used, drawn)

    return start


def _searching(*uses: str) -> Callable[[Task, str, Options], Steps]:
    def start(task: Task, name: str, options: Options) -> Steps:
        _at_once("beams", options.beams)
        decoding.allowed("length penalty", options.length_penalty)
        used = {key: asdict(options)[key] for key in uses}
        blocked = used.get("no_repeat_ngram", 0)
        return _beams(task, name, used, options, Settings(no_repeat_ngram=int(blocked)))

    return start


def _at_once(name: str, count: int) -> None:
    """Raise InsideError unless the model can go on from that many beginnings at once."""
    if not 1 <= count <= AT_ONCE:
        raise InsideError(f"{name} {count!r}: expected 1 to {AT_ONCE}, which are held at once")


def _comparing(task: Task, name: str, options: Options) -> Steps:
    decoding.allowed("alpha", options.alpha, least=0, most=1)
    _at_once("candidates", options.candidates)
    used = {"alpha": options.alpha, "candidates": options.candidates}
    return _contrastive(task, name, used, options)


def _combining(task: Task, name: str, options: Options) -> Steps:
    used = {key: asdict(options)[key] for key in _SAMPLING if key in options.given}
    return _sampled(task, name, Settings(**used), used, drawn=True)


_SAMPLING = ("repetition_penalty", "no_repeat_ngram", "temperature", "top_k", "top_p", "min_p",
             "typical")  # fmt: skip

METHODS = {
    "greedy": Method(
        "the likeliest token, always", "", (), _drawing(drawn=False, temperature=0.0)
    ),
    "beam": Method(
        "the likeliest text among several beginnings", "Lowerre 1976; Wu et al. 2016",
        ("beams", "length_penalty"), _searching("beams", "length_penalty"),
    ),
    "beam-no-repeat": Method(
        "beam search in which no n-gram comes twice", "Paulus et al. 2018",
        ("beams", "length_penalty", "no_repeat_ngram"),
        _searching("beams", "length_penalty", "no_repeat_ngram"),
    ),
    "random": Method("any token, as often as the model says", "", (), _drawing()),
    "temperature": Method(
        "random, after sharpening (below 1) or flattening", "Ackley et al. 1985",
        ("temperature",), _drawing("temperature"),
    ),
    "top-k": Method("random among the k likeliest", "Fan et al. 2018", ("top_k",),
                    _drawing("top_k")),
    "top-p": Method("random among the fewest that sum to p", "Holtzman et al. 2020", ("top_p",),
                    _drawing("top_p")),
    "min-p": Method("random among those near the likeliest", "Nguyen et al. 2024", ("min_p",),
                    _drawing("min_p")),
    "typical": Method("random among the least surprising and least dull", "Meister et al. 2023",
                      ("typical",), _drawing("typical")),
    "contrastive": Method("likely, and unlike what was said", "Su et al. 2022",
                          ("alpha", "candidates"), _comparing),
    "repetition-penalty": Method(
        "greedy, with less for what was there", "Keskar et al. 2019", ("repetition_penalty",),
        _drawing("repetition_penalty", drawn=False),
    ),
    "combined": Method("random, after all filters that are given", "", _SAMPLING, _combining),
}  # fmt: skip
DEFAULT = tuple(name for name in METHODS if name != "combined")
