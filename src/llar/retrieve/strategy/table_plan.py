"""What a question asks of a table: the computation, its column and its conditions.

A plan is only made where every word of the question that matters is found in the table, in what
stands around it, or among the words for computing; a question that says more than the table knows
must not be answered with a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from .table_words import Operation

Comparison = Literal["in", "not in", "=", ">", ">=", "<", "<=", "between", "year", "month"]


NAMED = 0.3  # what a column named in full counts beside a question understood in full


@dataclass(frozen=True, slots=True)
class Condition:
    """Rows to keep: those whose cell in `column` compares to `values` in this way.

    With "in" and "not in" the values are cells as they stand there, of a column of any kind;
    `whole` where the question names them by all of their words.
    """

    column: int
    comparison: Comparison
    values: tuple[str | Decimal | date, ...]
    asked: str  # the words of the question that say so
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """One reading of a question as a computation over a table.

    `column` is what is computed with, None where only rows are counted or listed. `group`: once
    for each value of that column. `inner` computes within groups that `operation` then compares.
    `take` rows from place `skip` on, for "the second highest" and "top 3". `explained` is the
    share of the question's words that the plan makes use of, `named` the share of the column's
    name that the question says.
    """

    operation: Operation
    column: int | None
    conditions: tuple[Condition, ...] = ()
    group: int | None = None
    inner: Operation | None = None
    label: int = 0
    skip: int = 0
    take: int = 0  # 0: the first and all that are equal to it
    explained: float = 0.0
    named: float = 1.0
    assumed: tuple[str, ...] = ()

    @property
    def fit(self) -> float:
        """How well the question and the table fit together, to choose between tables."""
        return self.explained + NAMED * self.named


@dataclass(frozen=True, slots=True)
class NoPlan:
    """Why a question was not taken for a computation over this table."""

    reason: str
    explained: float = 0.0
