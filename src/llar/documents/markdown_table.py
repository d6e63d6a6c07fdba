"""Rows of cells to a Markdown table and back; every format's tables go through here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_BREAKS = re.compile(r"\s+")
_PIPE = re.compile(r"(?<!\\)\|")
_DELIMITER = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as a format declares it, before its spans are written out."""

    text: str
    columns: int = 1
    rows: int = 1


def render(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose header is the first of `rows`; short rows are filled with "".

    A `|` in a cell is written `\\|`; white space and line breaks in a cell become one space.
    Returns "" where no cell holds anything.
    """
    clean = [[_BREAKS.sub(" ", cell).strip() for cell in row] for row in rows]
    width = max((len(row) for row in clean), default=0)
    if not any(any(row) for row in clean):
        return ""
    lines = [_line(row + [""] * (width - len(row))) for row in clean]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def cells(line: str) -> list[str]:
    """The cells of one line of a Markdown table: the inverse of `render`."""
    inner = line.strip()
    inner = inner.removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.strip().replace("\\|", "|") for cell in _PIPE.split(inner)]


def is_delimiter(line: str) -> bool:
    """Whether a line is the `| --- | --- |` row below a table's header."""
    return "-" in line and _DELIMITER.fullmatch(line) is not None


def spread(rows: Iterable[Iterable[Cell]], *, widest: int = 1_000) -> list[list[str]]:
    """Write out spans as HTML lays them out: a spanning cell is repeated in each place it covers.

    Spans past the last row are cut there; a span of 0 rows reaches the last row. No row gets
    more than `widest` columns from spans.
    """
    declared = [list(row) for row in rows]
    grid: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}  # column -> rows still to fill, text
    for index, row in enumerate(declared):
        line: dict[int, str] = {}
        for column, (left, text) in list(hanging.items()):
            line[column] = text
            hanging[column] = (left - 1, text)
            if left == 1:
                del hanging[column]
        column = 0
        for cell in row:
            while column in line:
                column += 1
            rest = len(declared) - index
            down = min(cell.rows, rest) if cell.rows else rest
            for _ in range(max(1, min(cell.columns, widest))):
                line.setdefault(column, cell.text)
                if down > 1:
                    hanging[column] = (down - 1, cell.text)
                column += 1
        grid.append([line.get(c, "") for c in range(max(line, default=-1) + 1)])
    return grid


def _line(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
