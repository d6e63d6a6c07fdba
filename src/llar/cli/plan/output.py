"""What the plan commands print the same way: figures as a table of name, value and formula."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from ...plan.amount import shown
from ...plan.figure import Figure
from ..output import clean

WIDTH = 100  # columns, where the terminal has as many or there is none
NAME = 34  # columns a name may take before it is wrapped
Command = TypeVar("Command", bound=Callable[..., Any])


def sources_option(command: Command) -> Command:
    """--sources: where each formula and number comes from."""
    return click.option(
        "--sources", is_flag=True, help="Also print where each formula and number comes from."
    )(command)


def show(figures: Iterable[Figure], *, title: str = "", sources: bool = False) -> None:
    """Print figures as an aligned table: name, value, formula; under each its source, if asked."""
    rows = list(figures)
    if title:
        click.secho(clean(title), bold=True)
    for line in lines(rows, width(), sources=sources):
        click.echo(line)


def lines(rows: Sequence[Figure], columns: int, *, sources: bool = False) -> list[str]:
    """The table's lines, none of more than `columns` characters where its words allow it."""
    values = [shown(row) for row in rows]
    first = min(max((len(clean(row.name)) for row in rows), default=0), NAME)
    second = max((len(value) for value in values), default=0)
    rest = max(columns - first - second - 4, 20)
    found: list[str] = []
    for row, value in zip(rows, values, strict=True):
        about = _wrapped(row.formula, rest)
        if sources and row.source:
            about += _wrapped(f"[{row.source}]", rest)
        names = _wrapped(row.name, first) or [""]
        for n in range(max(len(names), len(about))):
            name = names[n] if n < len(names) else ""
            text = about[n] if n < len(about) else ""
            middle = value if n == 0 else ""
            found.append(f"{name:<{first}}  {middle:>{second}}  {text}".rstrip())
    return found


def notes(texts: Iterable[str], label: str = "note") -> None:
    """Sentences that belong to an answer, wrapped, on stdout under its table."""
    for text in texts:
        for n, line in enumerate(_wrapped(f"{label}: {text}", width() - 2)):
            click.echo(f"  {line}" if n else line)


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    first: int = 1000,
) -> None:
    """Print rows under a header; the columns numbered in `right` are flush right.

    A first cell of more than `first` characters stands on a line of its own.
    """
    every = [list(header), *([clean(cell) for cell in row] for row in rows)]
    lines: list[list[str]] = []
    for row in every:
        if len(row[0]) > first:
            lines += [[row[0]], ["", *row[1:]]]
        else:
            lines.append(row)
    full = [line for line in lines if len(line) > 1]
    widths = [max(len(line[n]) for line in full) for n in range(len(header))]
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(widths[n]) if n in right else cell.ljust(widths[n])
            for n, cell in enumerate(line)
        ]
        click.secho("  ".join(cells).rstrip(), bold=number == 0)


def width() -> int:
    """Columns to print in: at most WIDTH, and WIDTH itself where stdout is no terminal."""
    return min(shutil.get_terminal_size().columns, WIDTH) if sys.stdout.isatty() else WIDTH


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(clean(text), columns, break_on_hyphens=False)
