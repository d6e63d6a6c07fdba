"""A model as the judge of a text: scores weighted by probability, and plain yes or no.

G-Eval (Liu et al. 2023): the judge reads a rubric and writes a whole number; the score is the mean
of the numbers on the scale, each weighted with the probability the model gave it. That is finer
than the number written, and tells a sure judge from one that wavers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..config import Config
from ..errors import ContextTooLong, EvaluationError
from ..models.interface import ChatModel, Options
from ..prompts import harmless, render
from ..records import Message, TokenProbability

__all__ = ["BUILT_IN", "Rubric", "Verdict", "ask", "grade", "read_rubric", "with_steps"]

BUILT_IN = ("coherence", "consistency", "fluency", "relevance")
TOP = 20  # likeliest tokens asked for; more are refused by OpenAI's protocol
LEAST_MASS = 0.5  # with less probability on the scale the judge was not scoring
SAMPLES = 20  # replies drawn where a model gives no probabilities, as in the paper
REPLY_TOKENS = 12  # room for "Score: 4" in any tokenizer
STEP_TOKENS = 400
YES, NO = ("yes", "sí", "igen"), ("no", "nem")  # some judges answer in the text's language

Method = Literal["probabilities", "samples"]


@dataclass(frozen=True, slots=True)
class Rubric:
    """What is judged and on which scale of whole numbers, its ends included.

    `steps` tell the judge how to go about it; `with_steps` has a model write them.
    """

    name: str
    text: str
    scale: tuple[int, int] = (1, 5)
    steps: str = ""

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 <= low < high:
            raise EvaluationError(
                f"rubric {self.name!r}: the scale must rise from 0 or more, got {self.scale!r}"
            )
        if not self.text.strip():
            raise EvaluationError(f"rubric {self.name!r} has no text to judge by")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's score for one text.

    `score` is the mean of `distribution`, None where it is not valid. `distribution` gives each
    number of the scale its share, 1 in all; `mass` is how much probability (of replies, with
    method "samples") lay on the scale before. `reply` is what the judge wrote, the last sample's
    where there were several, and `reason` why a verdict is not valid.
    """

    score: float | None
    mass: float
    valid: bool
    distribution: Mapping[int, float] = field(default_factory=dict)
    method: Method = "probabilities"
    reply: str = ""
    reason: str = ""


def read_rubric(config: Config, name: str, scale: tuple[int, int] = (1, 5)) -> Rubric:
    """The built-in rubric `name`, or the one in the text file of that path.

    Raises EvaluationError where there is neither.
    """
    if name in BUILT_IN:
        (message,) = render(config, f"rubric-{name}")
        return Rubric(name, message.content, scale)
    file = Path(name)
    try:
        return Rubric(file.stem, file.read_text(encoding="utf-8").strip(), scale)
    except (OSError, UnicodeDecodeError) as e:
        raise EvaluationError(
            f"there is no rubric {name!r}: expected {', '.join(BUILT_IN)} or a text file ({e})"
        ) from None


def grade(
    chat: ChatModel,
    config: Config,
    rubric: Rubric,
    answer: str,
    *,
    question: str = "",
    context: str = "",
    probabilities: bool = True,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Verdict:
    """Judge `answer` by `rubric`, with what it answers and the text it was made from.

    The score is the sum over the scale of number times probability, the probabilities divided by
    their sum on the scale. Where the model gives no token probabilities, where the scale has
    numbers of two digits (several tokens) or with `probabilities=False`, `samples` replies are
    drawn at temperature 1 and counted instead; `method` says so. A verdict is not valid where
    less than half of the probability, or of the replies, lies on the scale, and where the texts
    do not fit the judge's context: nothing is cut. A server that refuses to give probabilities is
    a RemoteError.
    """
    if samples < 1:
        raise EvaluationError(f"expected at least one sample, got {samples!r}")
    messages = _messages(config, rubric, answer, question, context)
    try:
        return _graded(chat, messages, rubric.scale, samples, seed, probabilities=probabilities)
    except ContextTooLong as e:
        return Verdict(None, 0.0, False, reason=e.message)


def _graded(
    chat: ChatModel,
    messages: Sequence[Message],
    scale: tuple[int, int],
    samples: int,
    seed: int,
    *,
    probabilities: bool,
) -> Verdict:
    if probabilities and scale[1] <= 9:
        options = Options(max_tokens=REPLY_TOKENS, temperature=0.0, top_logprobs=TOP, seed=seed)
        reply = chat.chat(messages, options)
        if any(token.top for token in reply.tokens):
            return _weighted(reply.tokens, scale, reply.text)
    return _sampled(chat, messages, scale, samples, seed)


def with_steps(chat: ChatModel, config: Config, rubric: Rubric) -> Rubric:
    """The rubric with steps of evaluation that the model wrote for it (G-Eval's chain of thought).

    Raises EvaluationError where it writes nothing.
    """
    low, high = map(str, rubric.scale)
    messages = render(config, "judge-steps", rubric=rubric.text, low=low, high=high)
    steps = chat.chat(messages, Options(max_tokens=STEP_TOKENS)).text.strip()
    if not steps:
        raise EvaluationError(f"{chat.name} wrote no steps for the rubric {rubric.name!r}")
    return replace(rubric, steps=steps)


def ask(chat: ChatModel, messages: Sequence[Message]) -> tuple[bool | None, str]:
    """A judge's yes or no and what it wrote; None where that is neither."""
    reply = chat.chat(messages, Options(max_tokens=REPLY_TOKENS)).text
    word = re.match(r"[\W_]*([^\W\d_]+)", reply)
    said = word[1].casefold() if word else ""
    return True if said in YES else False if said in NO else None, reply


def _messages(
    config: Config, rubric: Rubric, answer: str, question: str, context: str
) -> list[Message]:
    parts = [("Question", question), ("Source text", context), ("Text to judge", answer)]
    shown = [(name, text) for name, text in parts if text or name == "Text to judge"]
    given = harmless("\n\n".join(f"{name}:\n{text}" for name, text in shown))
    text = f"{rubric.text}\n\n{rubric.steps}".strip()
    low, high = map(str, rubric.scale)
    return render(config, "judge", rubric=text, given=given, low=low, high=high)


# --- from token probabilities


def _weighted(tokens: Sequence[TokenProbability], scale: tuple[int, int], reply: str) -> Verdict:
    place = _score_place(tokens, scale)
    if place is None:
        return Verdict(None, 0.0, False, reply=reply, reason=f"no score in {reply!r}")
    chances = dict(tokens[place].top)
    chances.setdefault(tokens[place].token, tokens[place].logprob)
    on_scale = dict.fromkeys(range(scale[0], scale[1] + 1), 0.0)
    for token, logprob in chances.items():
        number = _number(token)
        if number in on_scale:
            on_scale[number] += math.exp(logprob)
    mass = min(1.0, sum(on_scale.values()))
    return _verdict(on_scale, mass, "probabilities", reply)


def _score_place(tokens: Sequence[TokenProbability], scale: tuple[int, int]) -> int | None:
    """Where the score stands: the first number on the scale, alone (not in "45" or "4.5").

    Where no number was written, the first token that is not blank: what else it could have been
    tells how far the judge was from scoring.
    """
    texts = [token.token for token in tokens]
    for i, text in enumerate(texts):
        number = _number(text)
        if number is None:
            continue
        following = "".join(texts[i + 1 :])[:2]
        alone = scale[0] <= number <= scale[1] and not re.match(r"\d|[.,]\d", following)
        return i if alone else None
    return next((i for i, text in enumerate(texts) if text.strip()), None)


def _number(token: str) -> int | None:
    """The whole number that a token is, but for white space and emphasis."""
    bare = token.strip().strip("*_\"'`([")
    return int(bare) if bare.isascii() and bare.isdigit() else None


# --- from samples


def _sampled(
    chat: ChatModel, messages: Sequence[Message], scale: tuple[int, int], samples: int, seed: int
) -> Verdict:
    counts = dict.fromkeys(range(scale[0], scale[1] + 1), 0.0)
    reply = ""
    for i in range(samples):
        options = Options(max_tokens=REPLY_TOKENS, temperature=1.0, seed=seed + i)
        reply = chat.chat(messages, options).text
        number = _written(reply)
        if number in counts:
            counts[number] += 1 / samples
    return _verdict(counts, min(1.0, sum(counts.values())), "samples", reply)


def _written(reply: str) -> int | None:
    """The number that a reply gives as its score, None where that is not clear."""
    text = re.sub(r"(\d)\s*(?:/|out of|of)\s*\d+", r"\1", reply)
    found = set(re.findall(r"-?\d+(?:[.,]\d+)*", text))
    first = re.match(r"[^\w-]*(?:score|rating)?[^\w-]*(\d+)(?![.,]?\d)", text, re.IGNORECASE)
    if first:
        return int(first[1])
    if len(found) == 1 and (only := found.pop()).isdigit():
        return int(only)
    return None


def _verdict(on_scale: Mapping[int, float], mass: float, method: Method, reply: str) -> Verdict:
    total = sum(on_scale.values())
    shares = {n: p / total for n, p in on_scale.items()} if total else {}
    if mass < LEAST_MASS:
        what = "probability" if method == "probabilities" else "replies"
        reason = f"only {mass:.2f} of the {what} lies on the scale; the judge wrote {reply!r}"
        return Verdict(None, mass, False, shares, method, reply, reason)
    score = sum(n * share for n, share in shares.items())
    return Verdict(score, mass, True, shares, method, reply)
