"""Options that say what is asked of a model: by people, by requests, or by documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .terms import grouped

if TYPE_CHECKING:
    from ...config import Config
    from ...plan.costs.counting import Count
    from ...plan.costs.workload import Workload
    from ...plan.figure import Figure

_OPTIONS = (
    click.option("--users", metavar="N", help="People who ask."),
    click.option("--questions-per-day", metavar="N", help="Of each of them, on a workday."),
    click.option("--workdays", metavar="N", default="21", show_default=True, help="A month."),
    click.option(
        "--hours-per-day", metavar="N", default="8", show_default=True, help="In which they ask."
    ),
    click.option("--requests", metavar="N", help="Requests a month, in the place of users."),
    click.option(
        "--input-tokens", metavar="N",
        help="Of each request, or with PATHS what is added to each document.",
    ),
    click.option("--output-tokens", metavar="N", help="Of each answer."),
    click.option(
        "--times", metavar="N", default="1", show_default=True,
        help="How often a month each document is processed.",
    ),
    click.option("--text", multiple=True, metavar="TEXT", help="A text to process. Repeatable."),
    click.option("--tokenizer", metavar="MODEL", help="Installed model that counts the tokens."),
    click.option("--cached", metavar="SHARE", default="0", help="Of the input, read from a cache."),
    click.option(
        "--cache-written", metavar="SHARE", default="0", help="Of the input, stored there."
    ),
    click.option(
        "--batch", metavar="SHARE", default="0", help="Of the requests that can wait for hours."
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said of the workload."""

    users: str | None
    questions_per_day: str | None
    workdays: str
    hours_per_day: str
    requests: str | None
    input_tokens: str | None
    output_tokens: str | None
    times: str
    text: tuple[str, ...]
    tokenizer: str | None
    cached: str
    cache_written: str
    batch: str

    def workload(
        self,
        config: Config,
        paths: tuple[Path, ...],
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Workload, Count | None]:
        """The workload, and how its documents were counted.

        Raises UsageError where none or several of users, requests and documents are given, and
        PlanError for numbers that make no sense.
        """
        from ...plan.costs import workload as make
        from ...plan.costs.money import decimal, share

        ways = [bool(self.users), bool(self.requests), bool(paths or self.text)]
        if sum(ways) != 1:
            raise click.UsageError(
                "say what is asked, in one way: --users N --questions-per-day N, --requests N, or"
                " PATHS of documents"
            )
        shares: dict[str, Any] = {
            "cached": share(self.cached, "--cached"),
            "written": share(self.cache_written, "--cache-written"),
            "batch": share(self.batch, "--batch"),
        }
        if paths or self.text:
            return self._documents(config, paths, progress, shares)
        tokens, assumed = self._tokens(config)
        shares["assumed"] = assumed
        if self.requests:
            if self.questions_per_day:
                raise click.UsageError("--questions-per-day is of --users")
            return make.monthly(_count(self.requests, "--requests"), *tokens, **shares), None
        if self.questions_per_day is None:
            raise click.UsageError("--users also needs --questions-per-day")
        most = Decimal(31)
        work = make.asked(
            int(_count(self.users or "", "--users")),
            decimal(self.questions_per_day, "--questions-per-day"),
            *tokens,
            workdays=decimal(self.workdays, "--workdays", least=0.1, most=most),
            hours_a_day=decimal(self.hours_per_day, "--hours-per-day", least=0.1, most=Decimal(24)),
            **shares,
        )
        return work, None

    def _tokens(self, config: Config) -> tuple[list[Decimal], tuple[Figure, ...]]:
        """Input and output of a request: as given, else those of a question to llar itself."""
        from ...plan.costs.workload import question

        tokens, assumed = [], []
        names = (("--input-tokens", self.input_tokens), ("--output-tokens", self.output_tokens))
        for (name, text), figure in zip(names, question(config), strict=True):
            if text is None:
                assumed.append(figure)
            tokens.append(Decimal(int(figure.value)) if text is None else _count(text, name))
        return tokens, tuple(assumed)

    def _documents(
        self,
        config: Config,
        paths: tuple[Path, ...],
        progress: Callable[[int, int], None] | None,
        shares: dict[str, Any],
    ) -> tuple[Workload, Count]:
        from ...plan.costs import counting
        from ...plan.costs import workload as make
        from ...plan.costs.money import decimal

        if self.questions_per_day:
            raise click.UsageError("--questions-per-day is of --users")
        if self.output_tokens is None:
            raise click.UsageError("documents also need --output-tokens, of the answer to each")
        by = counting.counter(config, self.tokenizer)
        parts = [counting.texts(self.text, by)] if self.text else []
        if paths:
            parts.append(counting.files(config, paths, by, progress))
        counted = counting.together(parts)
        added = _count(self.input_tokens, "--input-tokens") if self.input_tokens else Decimal(0)
        work = make.processed(
            [d.tokens for d in counted.documents],
            _count(self.output_tokens, "--output-tokens"),
            instructions=added,
            times=decimal(self.times, "--times", least=0.001),
            exact=counted.exact,
            **shares,
        )
        return work, counted


def _count(text: str, what: str) -> Decimal:
    from ...plan.units import parse_count

    return Decimal(parse_count(text, what))


workload_options = grouped(_OPTIONS, Asked, "asked")
"""Add the options; the command gets them as its parameter `asked`."""
