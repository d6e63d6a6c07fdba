"""Questions to tables: the computation is run over the rows, and its cells are cited.

The question becomes a plan by rules (table_question), the plan a query that runs in duckdb
(table_engine). What was worked out is on record as `Computed`, with the rows that went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import QueryError
from ...records import Computed, Hit
from ...text.language import detect_query
from ..query import Query
from ..searcher import Searcher
from .table_conditions import NotUnderstood
from .table_find import Found, Rows, find
from .table_grid import Grid, read
from .table_plan import Plan
from .table_question import plan
from .table_result import PHRASES, Outcome, run
from .table_tokens import SPOKEN

ALIKE = 3  # tables that fit a question equally well, for each of which a result is given

Reading = tuple[Found, Grid, Plan]


def table(query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Computes over tables (highest, how many, total, average ...) and cites the rows.

    Before the plain passages come the rows that answer. Where the question is no computation that
    the rules understand, only plain passages are found; with the argument "model" the chat model
    is asked for a query first. Why, and what was run, is on record.
    """
    if argument not in ("", "model"):
        raise QueryError(f"table takes no argument, or 'model'; got {argument!r}")
    with searcher.index.database.read():
        plain = searcher.find(query)
        with searcher.step("tables") as about:
            found = find(query, searcher)
            readings = _readings(query.text, found, about)
        rows = _answered(query.text, readings, searcher)
        if not rows and argument == "model" and found:
            from .table_model import ask

            rows = ask(query.text, found, searcher)
    taken = {hit.chunk_id for hit in rows}
    return [*rows, *(hit for hit in plain if hit.chunk_id not in taken)]


def _readings(question: str, found: Sequence[Found], about: dict[str, Any]) -> list[Reading]:
    """The plans that make the most of the question, for one table or for those alike."""
    plans: list[Reading] = []
    looked = about["tables"] = []
    for each in found:
        planned: list[Reading] = []
        reasons = []
        for turned in (False, True):
            grid = read(each.document, each.blocks, turned=turned)
            if grid is None:
                continue
            made = plan(question, grid, each.document.language, each.around)
            if isinstance(made, Plan):
                planned.append((each, grid, made))
            elif not turned:
                reasons.append(made.reason)
        best = max(planned, key=lambda r: (r[2].fit, not r[1].turned), default=None)
        if best is not None:
            plans.append(best)
        looked.append({"table": each.name, **(_shown(best) if best else {"no": _said(reasons)})})
    plans = [r for r in plans if r[2].fit >= max(x[2].fit for x in plans) - 1e-9]
    if len(plans) > ALIKE:
        about["result"] = f"{len(plans)} tables fit equally well; ask for one by its name"
        return []
    return plans


def _said(reasons: Sequence[str]) -> str:
    return reasons[0] if reasons else "it has no header and rows"


def _shown(reading: Reading) -> dict[str, Any]:
    """A plan for the record."""
    _, grid, made = reading
    return {
        "operation": made.operation,
        "column": None if made.column is None else grid.columns[made.column].name,
        "explained": round(made.explained, 3),
        "named": round(made.named, 3),
        **({"assumed": list(made.assumed)} if made.assumed else {}),
        **({"turned": True} if grid.turned else {}),
        **({"notes": list(grid.notes)} if grid.notes else {}),
    }


def _answered(question: str, readings: Sequence[Reading], searcher: Searcher) -> list[Hit]:
    """Run the plans; the rows that answer, and on record what was computed."""
    language = detect_query(question, SPOKEN) or "en"
    hits: list[Hit] = []
    for found, grid, made in readings:
        with searcher.step("compute") as about:
            about["table"] = found.name
            about["document"] = found.hit.document.name
            try:
                outcome = run(grid, made, found.name, language if language in PHRASES else "en")
            except NotUnderstood as e:
                about["result"] = str(e)
                continue
            about.update(query=outcome.sql, rows=len(outcome.used), value=outcome.value)
            hits += _hits(searcher, found, grid, outcome)
    return hits


def _hits(searcher: Searcher, found: Found, grid: Grid, outcome: Outcome) -> list[Hit]:
    rows = Rows(searcher, found, grid)
    made = outcome.plan
    conditions = [c.column for c in made.conditions]
    columns = conditions if made.column is None else [made.column, *conditions]
    columns = list(dict.fromkeys([made.label, *columns]))
    answering = rows.answering(outcome.answering, columns, 1.0, table=made.explained)
    if outcome.statement:
        cited = rows.cited(outcome.used, columns)
        if outcome.plan.operation in ("max", "min") and outcome.plan.group is None:
            first = rows.cited(outcome.answering, columns)
            cited = (*first, *(c for c in cited if c not in first))
        searcher.computed.append(Computed(outcome.statement, outcome.value, outcome.sql, cited))
    return answering
