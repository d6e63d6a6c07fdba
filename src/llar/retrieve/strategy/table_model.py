"""A query over a table written by the chat model, checked and run on the locked connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...errors import QueryError
from ...models.interface import Options
from ...prompts import render
from ...records import Computed, Hit
from ...text.words import fold
from ..searcher import Searcher
from .table_engine import ROW, Engine, quoted, sql_names
from .table_find import Found, Rows
from .table_grid import Grid, read

SHOWN = 5  # rows that the model sees
MOST_VALUES = 50  # rows of a result that are shown
LONGEST = 60  # characters of a cell that the model sees

_FENCE = re.compile(r"```(?:sql)?\s*(.*?)```", re.DOTALL | re.IGNORECASE)
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w\"])\d+(?:\.\d+)?(?![\w\"])")


def ask(question: str, found: Sequence[Found], searcher: Searcher) -> list[Hit]:
    """The rows that a query of the model's over the best table is about; none without a query.

    The result is on record as computed, with the query in its words: what the model understood is
    for the reader to see.
    """
    table = found[0]
    grid = read(table.document, table.blocks)
    if grid is None:
        return []
    with searcher.step("query by the model") as about, Engine(grid, grid.usable) as engine:
        messages = render(searcher.config, "table_sql", schema=schema(grid), question=question)
        written = searcher.chat().chat(messages, Options(max_tokens=200)).text
        sql = _sql(written)
        about["table"], about["query"] = table.name, sql
        try:
            if not sql or sql == "NONE":
                raise QueryError(f"the model wrote no query: {written.strip()[:80]!r}")
            engine.check(sql)
            _check_values(sql, question, grid)
            result = engine.rows(sql)
            used = _rows_used(engine, sql, grid)
        except QueryError as e:
            about["result"] = e.message
            return []
        about["rows"] = len(used)
        return _hits(searcher, table, grid, sql, result, used)


def schema(grid: Grid) -> str:
    """The table as the model sees it: names, types and the first rows."""
    lines = ["Table data with the columns:"]
    kinds = {"number": "DECIMAL", "date": "DATE", "text": "VARCHAR"}
    for name, column in zip(sql_names(grid), grid.columns, strict=True):
        lines.append(f"- {name} {kinds[column.kind]}")
    lines.append(f"Its first rows of {len(grid.usable)}:")
    for row in grid.usable[:SHOWN]:
        values = (c.values[row] for c in grid.columns)
        lines.append(" | ".join("NULL" if v is None else str(v)[:LONGEST] for v in values))
    return "\n".join(lines)


def _sql(written: str) -> str:
    """The query in what the model wrote."""
    fenced = _FENCE.search(written)
    text = (fenced[1] if fenced else written).strip()
    start = re.search(r"\bSELECT\b", text, re.IGNORECASE)
    text = text[start.start() :] if start else ("NONE" if "NONE" in text else "")
    return text.partition(";")[0].strip()


def _check_values(sql: str, question: str, grid: Grid) -> None:
    """Raise QueryError for a value that neither the question nor the table has."""
    said = fold(question.casefold())
    cells = {fold(cell.text.casefold()) for row in grid.rows for cell in row}
    for literal in _LITERAL.findall(sql):
        value = fold(literal.replace("''", "'").strip("%").casefold())
        if value and value not in said and not any(value in cell for cell in cells):
            raise QueryError(f"the query asks for {literal!r}, which stands nowhere")
    numbers = set(re.findall(r"\d+(?:[.,]\d+)*", question))
    plain = {n.replace(",", "").rstrip(".") for n in numbers} | numbers
    for number in _NUMBER.findall(_LITERAL.sub("", re.sub(r'"[^"]*"', "", sql))):
        if number not in plain and number not in cells and number not in ("0", "1", "100"):
            raise QueryError(f"the query asks for {number}, which stands nowhere")


def _rows_used(engine: Engine, sql: str, grid: Grid) -> list[int]:
    """The rows that meet the query's conditions; all where it has none that can be told apart."""
    found = re.search(
        r"\bWHERE\b(.*?)(?:\bGROUP\s+BY\b|\bORDER\s+BY\b|\bLIMIT\b|\bHAVING\b|$)",
        sql,
        re.IGNORECASE | re.DOTALL,
    )
    if found is None or sql.upper().count("SELECT") > 1:
        return grid.usable
    narrowed = f"SELECT {quoted(ROW)} FROM data WHERE {found[1]} ORDER BY 1"
    engine.check(narrowed)
    return [int(row[0]) for row in engine.rows(narrowed)]


def _hits(
    searcher: Searcher,
    table: Found,
    grid: Grid,
    sql: str,
    result: Sequence[tuple[Any, ...]],
    used: Sequence[int],
) -> list[Hit]:
    rows = Rows(searcher, table, grid)
    columns = list(range(len(grid.columns)))
    shown = "; ".join(", ".join(map(str, row)) for row in result[:MOST_VALUES])
    if not used or not result:
        return []
    more = f" and {len(result) - MOST_VALUES} more rows" if len(result) > MOST_VALUES else ""
    text = (
        f"{' '.join(sql.split())} gives {shown}{more} (query by the model, table “{table.name}”)."
    )
    searcher.computed.append(Computed(text, shown, sql, rows.cited(used, columns)))
    return rows.answering(used, columns, 1.0, table=1.0)
