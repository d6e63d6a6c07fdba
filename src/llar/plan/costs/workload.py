"""What is asked of a model in a month, in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ...config import Config
from ...errors import PlanError
from ...prompts import render
from ..figure import Figure
from ..units import count
from .rates import Use

__all__ = ["Part", "Workload", "asked", "monthly", "processed", "question"]

QUESTION = 15  # words of one
CHUNK = 160  # tokens of a passage, where the embedder's own limit is set
WORKDAYS = Decimal(21)  # a month: 52 weeks x 5 days less 10 or so days off, over 12
_LARGEST = Decimal(10) ** 18  # tokens a month


@dataclass(frozen=True, slots=True)
class Part:
    """Requests that are alike: how many a month, and tokens in and out of each."""

    requests: Decimal
    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Workload:
    """All requests of a month."""

    parts: tuple[Part, ...]
    cached: Decimal = Decimal(0)  # share of the input that the provider's cache holds
    written: Decimal = Decimal(0)  # share of the input stored there for later requests
    batch: Decimal = Decimal(0)  # share of the requests that can wait for hours
    users: int = 0
    hours: Decimal | None = None  # a month in which requests come; None: at any hour
    what: str = "request"  # or "document", "question"
    figures: tuple[Figure, ...] = ()

    @property
    def requests(self) -> Decimal:
        """How many a month."""
        return sum((p.requests for p in self.parts), Decimal(0))

    @property
    def input(self) -> Decimal:
        """Tokens read in a month."""
        return sum((p.requests * p.input for p in self.parts), Decimal(0))

    @property
    def output(self) -> Decimal:
        """Tokens written in a month."""
        return sum((p.requests * p.output for p in self.parts), Decimal(0))

    @property
    def tokens(self) -> Decimal:
        """Both together."""
        return self.input + self.output

    def uses(self) -> list[Use]:
        """The parts as a provider charges them."""
        return [
            Use(p.input, p.output, p.input * self.cached, p.input * self.written, p.requests)
            for p in self.parts
        ]


def question(config: Config) -> tuple[Figure, Figure]:
    """Tokens in and out of a question to llar as it is set: its passages, prompt and answer.

    By the rule of thumb of 0.75 words for a token; the longest answer that is allowed.
    """
    messages = render(config, "answer", passages="", question="")
    words = sum(len(m.content.split()) for m in messages) + QUESTION
    each = config.chunk_tokens or CHUNK
    total = config.passages * each + round(words / 0.75)
    text = f"{config.passages} passages x {each} tokens + {words} words of prompt / 0.75"
    longest = config.max_answer_tokens
    return (
        Figure("Input of a question", total, "tokens", text, "llar's settings", exact=False),
        Figure("Output of a question", longest, "tokens", "the longest answer that is allowed",
               "llar's settings", exact=False),
    )  # fmt: skip


def monthly(
    requests: Decimal,
    input_tokens: Decimal,
    output_tokens: Decimal,
    *,
    cached: Decimal = Decimal(0),
    written: Decimal = Decimal(0),
    batch: Decimal = Decimal(0),
    assumed: tuple[Figure, ...] = (),
) -> Workload:
    """So many requests a month, all alike. `assumed` are figures of tokens that nobody gave."""
    part = Part(requests, input_tokens, output_tokens)
    made = Figure("Requests a month", float(requests), "requests", "given")
    return _checked(
        Workload((part,), cached, written, batch, figures=(made, *assumed)), exact=not assumed
    )


def asked(
    users: int,
    questions_a_day: Decimal,
    input_tokens: Decimal,
    output_tokens: Decimal,
    *,
    workdays: Decimal = WORKDAYS,
    hours_a_day: Decimal = Decimal(8),
    cached: Decimal = Decimal(0),
    written: Decimal = Decimal(0),
    batch: Decimal = Decimal(0),
    assumed: tuple[Figure, ...] = (),
) -> Workload:
    """People asking questions on workdays. `assumed` are figures of tokens that nobody gave."""
    requests = users * questions_a_day * workdays
    formula = f"{users:,} users x {questions_a_day:g} questions x {workdays:g} workdays"
    return _checked(
        Workload(
            (Part(requests, input_tokens, output_tokens),),
            cached,
            written,
            batch,
            users=users,
            hours=workdays * hours_a_day,
            what="question",
            figures=(Figure("Questions a month", float(requests), "requests", formula), *assumed),
        ),
        exact=not assumed,
    )


def processed(
    tokens: Sequence[int],
    output_tokens: Decimal,
    *,
    instructions: Decimal = Decimal(0),
    times: Decimal = Decimal(1),
    cached: Decimal = Decimal(0),
    written: Decimal = Decimal(0),
    batch: Decimal = Decimal(0),
    exact: bool = True,
) -> Workload:
    """Documents of so many tokens, each read `times` a month with the same instructions."""
    if not tokens:
        raise PlanError("there is no document with any text to process")
    parts = tuple(Part(times, Decimal(n) + instructions, output_tokens) for n in tokens)
    formula = f"{len(tokens):,} documents x {times:g}"
    made = (
        Figure(
            "Tokens of the documents",
            float(sum(tokens)),
            "tokens",
            f"the longest {max(tokens):,}, on average {sum(tokens) / len(tokens):,.0f}",
            exact=exact,
        ),
        Figure("Documents a month", float(len(tokens) * times), "documents", formula),
    )
    return _checked(
        Workload(parts, cached, written, batch, what="document", figures=made), exact=exact
    )


def _checked(work: Workload, *, exact: bool = True) -> Workload:
    """The workload with its totals; raises PlanError where there is nothing, or too much."""
    if work.requests <= 0:
        raise PlanError("a workload needs at least some requests a month")
    if work.tokens <= 0:
        raise PlanError("a workload needs tokens: neither input nor output has any")
    if work.tokens > _LARGEST:
        raise PlanError(f"{work.tokens:.3g} tokens a month are more than could ever be processed")
    if work.cached + work.written > 1:
        raise PlanError(
            f"{work.cached:g} of the input cached and {work.written:g} written to the cache are"
            " more than all of it"
        )
    figures = list(work.figures)
    for name, total, each in (
        ("Input", work.input, [p.input for p in work.parts]),
        ("Output", work.output, [p.output for p in work.parts]),
    ):
        of = f"{each[0]:,f} tokens" if len(set(each)) == 1 else "the tokens of each"
        formula = f"{count(float(work.requests))} {work.what}s x {of}"
        figures.append(Figure(f"{name} a month", float(total), "tokens", formula, exact=exact))
    for name, value, of in (
        ("Cached input", work.cached, "of the input"),
        ("Input stored in the cache", work.written, "of the input"),
        ("Batch", work.batch, "of the requests"),
    ):
        if value:
            figures.append(Figure(name, float(value), "", f"{value * 100:g} % {of}, given"))
    return Workload(
        work.parts, work.cached, work.written, work.batch, work.users, work.hours, work.what,
        tuple(figures),
    )  # fmt: skip
