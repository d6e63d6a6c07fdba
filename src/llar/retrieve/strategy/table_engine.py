"""A table in duckdb: in memory, on a connection that reaches no file and no network.

External access is off, extensions are never loaded, Python's variables cannot be seen, the
configuration is locked, and a query has a limit of memory and time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from ...errors import QueryError
from .table_grid import Column, Grid
from .table_plan import Condition, Plan

TABLE = "data"
ROW = "_row"  # column with the number of each row
SECONDS = 10.0
MEMORY = "512MB"
MOST_DIGITS = 38  # of a DECIMAL

_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": MEMORY,
    "threads": "1",
    "temp_directory": "",
    "lock_configuration": "true",
}
_TYPES = {"date": "DATE", "text": "VARCHAR"}
# Functions that a query from a model may call; all others are refused.
_FUNCTIONS = frozenset(
    [
        "abs",
        "avg",
        "ceil",
        "ceiling",
        "coalesce",
        "concat",
        "contains",
        "count",
        "count_star",
        "day",
        "floor",
        "first",
        "greatest",
        "ilike",
        "last",
        "least",
        "length",
        "like",
        "list",
        "lower",
        "ltrim",
        "max",
        "mean",
        "median",
        "min",
        "mod",
        "month",
        "nullif",
        "prefix",
        "quarter",
        "replace",
        "round",
        "rtrim",
        "stddev",
        "strftime",
        "string_agg",
        "strlen",
        "substr",
        "substring",
        "suffix",
        "sum",
        "trim",
        "trunc",
        "upper",
        "variance",
        "year",
        "date_diff",
        "datediff",
        "date_part",
        "||",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "~~",
        "!~~",
        "~~*",
        "!~~*",
        "~",
        "!",
    ]
)
_NODES = frozenset(("SELECT_NODE",))
_ELSEWHERE = frozenset(("TABLE_FUNCTION", "SHOW_REF", "EXPRESSION_LIST", "JOIN", "PIVOT",
                        "COLUMN_DATA", "DELIM_GET", "CTE"))  # fmt: skip


class Engine:
    """One table, ready to be queried by its columns' names."""

    def __init__(self, grid: Grid, rows: list[int], *, seconds: float = SECONDS) -> None:
        """Load these rows of a table, by number. A query may take so many seconds."""
        self.names = sql_names(grid)
        self._seconds = seconds
        self._connection = duckdb.connect(":memory:", config=_LOCKED)
        types = [_type(column) for column in grid.columns]
        declared = ", ".join(f"{n} {t}" for n, t in zip(self.names, types, strict=True))
        self._connection.execute(f"CREATE TABLE {TABLE} ({ROW} INTEGER, {declared})")
        columns = [[_plain(c.values[r]) for r in rows] for c in grid.columns]
        lists = ", ".join(f"unnest(?::VARCHAR[])::{t}" for t in types)
        self._connection.execute(
            f"INSERT INTO {TABLE} SELECT unnest(?::INTEGER[]), {lists}", [rows, *columns]
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query returns. Raises QueryError where it fails or takes too long."""
        with self._mapped(sql):
            found: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
            return found

    def check(self, sql: str) -> None:
        """Raise QueryError for what is not one SELECT over this table alone.

        Judged by duckdb's own parser, so that what was checked is what runs.
        """
        with self._mapped(sql):
            row = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql])
            parsed = json.loads((row.fetchone() or ("{}",))[0])
        if parsed.get("error", True):
            raise QueryError(
                f"{sql!r} is no query: {parsed.get('error_message', 'not understood')}"
            )
        statements = parsed.get("statements", [])
        if len(statements) != 1:
            raise QueryError(f"{sql!r} is {len(statements)} statements; expected one SELECT")
        for node in _walk(statements[0]):
            _check_node(node, sql)

    @contextmanager
    def _mapped(self, sql: str) -> Iterator[None]:
        """duckdb's errors as ours, and an end to what takes too long."""
        timer = threading.Timer(self._seconds, self._connection.interrupt)
        timer.start()
        try:
            yield
        except duckdb.InterruptException as e:
            raise QueryError(f"{sql!r} took more than {self._seconds:g} s") from e
        except duckdb.Error as e:
            raise QueryError(f"{sql!r} failed: {str(e).splitlines()[0]}") from e
        finally:
            timer.cancel()
            timer.join()


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _check_node(node: dict[str, Any], sql: str) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in _NODES:
        raise QueryError(f"{sql!r} is no plain SELECT")
    if kind in _ELSEWHERE or (kind == "BASE_TABLE" and node.get("table_name") != TABLE):
        raise QueryError(f"{sql!r} reads something else than the table {TABLE!r}")
    if kind == "BASE_TABLE" and (node.get("schema_name") or node.get("catalog_name")):
        raise QueryError(f"{sql!r} reads something else than the table {TABLE!r}")
    if node.get("cte_map", {}).get("map"):
        raise QueryError(f"{sql!r} is no plain SELECT: it has a WITH")
    name = str(node.get("function_name", ""))
    if name and name.casefold() not in _FUNCTIONS:
        raise QueryError(f"{sql!r} calls {name!r}, which is not allowed")


def sql_names(grid: Grid) -> list[str]:
    """The columns' names as identifiers."""
    names = [c.name for c in grid.columns]
    return [quoted(f"{n} (column)" if n.casefold() == ROW else n) for n in names]


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _type(column: Column) -> str:
    if column.kind != "number":
        return _TYPES[column.kind]
    digits = [v.as_tuple() for v in column.values if isinstance(v, Decimal)]
    scale = max((-int(d.exponent) for d in digits), default=0)
    whole = max((len(d.digits) + int(d.exponent) for d in digits), default=1)
    scale = max(scale, 0)
    # Room for sums: a total has more digits than its parts.
    return f"DECIMAL({MOST_DIGITS}, {scale})" if whole + scale <= 28 else "DOUBLE"


def _plain(value: object) -> str | None:
    return (
        None if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)
    )


# -- a plan as SQL -----------------------------------------------------------------------------


def where(grid: Grid, conditions: tuple[Condition, ...], extra: str = "") -> str:
    """The WHERE clause of a plan's conditions, with a space before it; "" for none."""
    parts = [_condition(grid, c) for c in conditions]
    parts += [extra] if extra else []
    return " WHERE " + " AND ".join(parts) if parts else ""


def _condition(grid: Grid, condition: Condition) -> str:
    column = sql_names(grid)[condition.column]
    if condition.comparison in ("in", "not in"):
        values = set(condition.values)
        held = [r for r in range(len(grid.rows)) if grid.rows[r][condition.column].text in values]
        if grid.columns[condition.column].kind == "text":
            listed = ", ".join(_literal(v) for v in condition.values)
            return f"{column} {condition.comparison.upper()} ({listed})"
        listed = ", ".join(map(str, held))
        return f"{ROW} {condition.comparison.upper()} ({listed})"
    literals = [_literal(v) for v in condition.values]
    if condition.comparison == "between":
        return f"{column} BETWEEN {literals[0]} AND {literals[1]}"
    return f"{column} {condition.comparison} {literals[0]}"


def _literal(value: str | Decimal | date) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"


_AGGREGATES = {"sum": "sum", "mean": "avg", "median": "median", "max": "max", "min": "min"}


def select(grid: Grid, plan: Plan) -> str:
    """The query of a plan. It returns rows' numbers, or a value, or (group, value) pairs."""
    names = sql_names(grid)
    conditions = where(grid, plan.conditions)
    column = names[plan.column] if plan.column is not None else "*"
    if plan.group is not None:
        by = names[plan.group]
        operation = plan.inner or plan.operation
        value = "count(*)" if operation == "count" else f"{_AGGREGATES[operation]}({column})"
        order = {"max": " ORDER BY 2 DESC, 1", "min": " ORDER BY 2, 1"}.get(plan.operation, "")
        order = order or f" ORDER BY min({ROW})"
        return f"SELECT {by}, {value} FROM {TABLE}{conditions} GROUP BY {by}{order}"
    if plan.operation in ("max", "min"):
        filled = where(grid, plan.conditions, f"{column} IS NOT NULL")
        order = "DESC" if plan.operation == "max" else "ASC"
        return f"SELECT {ROW}, {column} FROM {TABLE}{filled} ORDER BY {column} {order}, {ROW}"
    if plan.operation in ("list", "look up", "compare"):
        return f"SELECT {ROW} FROM {TABLE}{conditions} ORDER BY {ROW}"
    if plan.operation == "count":
        return f"SELECT count(*) FROM {TABLE}{conditions}"
    return f"SELECT {_AGGREGATES[plan.operation]}({column}) FROM {TABLE}{conditions}"
