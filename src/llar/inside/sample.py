"""One prompt continued by several decoding methods, side by side."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import islice

from ..errors import ContextTooLong, InsideError
from .generation import SHOWN, Distribution, Model
from .methods import DEFAULT, METHODS, Ask, Continuation, Method, Options, Steps, Task

__all__ = ["drive", "method", "sample", "useless"]


def sample(
    model: Model,
    prompt: str,
    methods: Sequence[str] = DEFAULT,
    *,
    given: Mapping[str, float] | None = None,
    tokens: int = 20,
    seed: int = 0,
    shown: int = SHOWN,
) -> list[Continuation]:
    """Continue `prompt` by each method for up to `tokens` tokens, in the order of `methods`.

    `given` are fields of methods.Options, `shown` how many candidates to tell of each step. The
    same seed gives the same texts; all methods draw with the same random numbers. Raises
    InsideError for an unknown method or an option out of its range, ContextTooLong.
    """
    if tokens < 1:
        raise InsideError(f"tokens {tokens!r}: expected 1 or more")
    options = Options.of(given or {})
    ids = model.tokens(prompt)
    if not ids:
        raise InsideError("the prompt is empty, so there is nothing to continue")
    if len(ids) + tokens > model.context:
        raise ContextTooLong(
            f"{model.name}: a prompt of {len(ids)} tokens and {tokens} more do not fit the context "
            f"of {model.context}"
        )
    task = Task(model, tuple(ids), tokens, seed, shown)
    return drive(model, [method(name).run(task, name, options) for name in methods])


def method(name: str) -> Method:
    """The method of that name. Raises InsideError with a guess."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InsideError(f"there is no method {name!r}, only {', '.join(METHODS)}{hint}")
    return METHODS[name]


def useless(methods: Sequence[str], given: Mapping[str, float]) -> list[str]:
    """Those of the given options that none of the methods uses."""
    used = {option for name in methods for option in method(name).uses}
    return [option for option in given if option not in used]


def drive(model: Model, runs: Sequence[Steps]) -> list[Continuation]:
    """Let all methods go on together: one call of the model answers what all of them ask."""
    done: dict[int, Continuation] = {}
    asks: dict[int, Ask] = {}
    for number, run in enumerate(runs):
        _go_on(number, run, None, asks, done)
    while asks:
        waiting, asks = asks, {}
        for number, found in _answers(model, waiting).items():
            _go_on(number, runs[number], found, asks, done)
    return [done[number] for number in range(len(runs))]


Answer = list[Distribution] | InsideError


def _answers(model: Model, waiting: Mapping[int, Ask]) -> dict[int, Answer]:
    """What the model tells each method, in one call; a failure only to the one it concerns."""
    try:
        beginnings = [ids for ask in waiting.values() for ids in ask.beginnings]
        told = iter(model.next(beginnings, states=any(ask.states for ask in waiting.values())))
    except InsideError as e:
        if len(waiting) == 1:
            return dict.fromkeys(waiting, e)
        alone: dict[int, Answer] = {}
        for number, ask in waiting.items():
            alone |= _answers(model, {number: ask})
        return alone
    return {n: list(islice(told, len(ask.beginnings))) for n, ask in waiting.items()}


def _go_on(
    number: int,
    run: Steps,
    found: Answer | None,
    asks: dict[int, Ask],
    done: dict[int, Continuation],
) -> None:
    """Give a method what it asked for, and keep what it asks next or what it wrote."""
    try:
        if found is None:
            asks[number] = next(run)
        elif isinstance(found, InsideError):
            asks[number] = run.throw(found)
        else:
            asks[number] = run.send(found)
    except StopIteration as end:
        done[number] = end.value
