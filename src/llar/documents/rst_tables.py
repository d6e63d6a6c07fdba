"""The four ways reStructuredText writes tables, as rows of cells with spans repeated."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from .markdown_table import Cell, spread

_FIELD = re.compile(r":([\w-]+):[ \t]*(.*)$")


def grid_table(lines: Sequence[str]) -> list[list[str]]:
    """Rows of a table drawn with +, -, = and |; empty where its lines do not close.

    Cells are found as rectangles: from each upper left corner to the right, down, back left and
    up again, as the format's specification describes them.
    """
    shift = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    picture = [line[shift:].rstrip() for line in lines]
    width = max((len(line) for line in picture), default=0)
    picture = [line.ljust(width) for line in picture]
    if len(picture) < 3:
        return []
    found: list[tuple[int, int, int, int, str]] = []  # top, left, bottom, right, text
    corners = [(0, 0)]
    seen: set[tuple[int, int]] = set()
    while corners:
        corners.sort()
        top, left = corners.pop(0)
        if (top, left) in seen or top >= len(picture) - 1 or left >= width - 1:
            continue
        seen.add((top, left))
        if any(t <= top < b and x <= left < r for t, x, b, r, _ in found):
            continue
        rectangle = _rectangle(picture, top, left)
        if rectangle is None:
            continue
        bottom, right = rectangle
        inside = (row[left + 1 : right].strip() for row in picture[top + 1 : bottom])
        found.append((top, left, bottom, right, " ".join(part for part in inside if part)))
        corners += [(top, right), (bottom, left)]
    covered = sum((b - t) * (r - x) for t, x, b, r, _ in found)
    if covered != (len(picture) - 1) * (width - 1):
        return []
    edges = sorted({left for _, left, _, _, _ in found} | {right for _, _, _, right, _ in found})
    rules = sorted({top for top, *_ in found} | {bottom for _, _, bottom, _, _ in found})
    rows: list[list[str]] = [[""] * (len(edges) - 1) for _ in rules[:-1]]
    for top, left, bottom, right, text in found:
        for row in range(rules.index(top), rules.index(bottom)):
            for column in range(edges.index(left), edges.index(right)):
                rows[row][column] = text
    return rows


def _rectangle(picture: list[str], top: int, left: int) -> tuple[int, int] | None:
    """The lower right corner of the smallest cell with this upper left corner."""
    if picture[top][left] != "+":
        return None
    for right in range(left + 1, len(picture[top])):
        if picture[top][right] not in "-=+":
            return None
        if picture[top][right] != "+":
            continue
        for bottom in range(top + 1, len(picture)):
            sides = picture[bottom][left] + picture[bottom][right]
            if sides == "++" and set(picture[bottom][left : right + 1]) <= set("-=+"):
                return bottom, right
            if not set(sides) <= {"|", "+"}:
                break
    return None


def simple_table(lines: Sequence[str]) -> list[list[str]]:
    """Rows of a table with rules of = over its columns; a line with an empty first cell goes on."""
    shift = len(lines[0]) - len(lines[0].lstrip())
    picture = [line[shift:].rstrip() for line in lines]
    columns = [(m.start(), m.end()) for m in re.finditer("=+", picture[0])]
    rows: list[list[Cell]] = []
    fresh = True
    for line in picture[1:]:
        if not line.strip():
            fresh = True
            continue
        if set(line) <= set("= "):
            fresh = True
            continue
        if set(line) <= set("- ") and rows:
            _join(rows, [(m.start(), m.end()) for m in re.finditer("-+", line)], columns)
            continue
        cells = _cut(line, columns)
        if not cells[0] and rows and not fresh:
            rows[-1] = [
                Cell(f"{old.text} {new}".strip(), old.columns)
                for old, new in zip(rows[-1], cells, strict=False)
            ]
        else:
            rows.append([Cell(text) for text in cells])
        fresh = False
    return spread(rows)


def _cut(line: str, columns: list[tuple[int, int]]) -> list[str]:
    ends = [start for start, _ in columns[1:]] + [len(line) + 1]
    return [line[start:end].strip() for (start, _), end in zip(columns, ends, strict=True)]


def _join(
    rows: list[list[Cell]], rules: list[tuple[int, int]], columns: list[tuple[int, int]]
) -> None:
    """Apply a row of dashes: the row above has cells as wide as the dashes."""
    texts = [cell.text for cell in rows[-1]]
    joined: list[Cell] = []
    for start, end in rules:
        inside = [i for i, (left, right) in enumerate(columns) if start <= left and right <= end]
        if inside:
            joined.append(Cell(" ".join(t for i in inside if (t := texts[i])), len(inside)))
    if sum(cell.columns for cell in joined) == len(columns):
        rows[-1] = joined


def list_table(body: Sequence[str]) -> list[list[str]]:
    """Rows of a two-level bullet list."""
    rows: list[list[str]] = []
    for line in body:
        text = line.strip()
        if not text or (not rows and _FIELD.match(text)):
            continue
        first = re.match(r"[ \t]*[*-][ \t]+[*-](?:[ \t]+(.*))?$", line)
        item = re.match(r"[ \t]*[*-](?:[ \t]+(.*))?$", line)
        if first:
            rows.append([first[1] or ""])
        elif item and rows:
            rows[-1].append(item[1] or "")
        elif rows:
            rows[-1][-1] = f"{rows[-1][-1]} {text}".strip()
    return rows


def csv_table(body: Sequence[str]) -> list[list[str]]:
    """Rows of comma-separated values; the `header` option is the first."""
    options: dict[str, str] = {}
    lines = [line.strip() for line in body]
    while lines and (match := _FIELD.match(lines[0])):
        options[match[1]] = match[2]
        lines.pop(0)
    if "file" in options or "url" in options:
        return []  # its rows are elsewhere
    delimiter = {"tab": "\t", "space": " "}.get(
        options.get("delim", ","), options.get("delim", ",")
    )
    delimiter = delimiter if len(delimiter) == 1 else ","
    wanted = [options["header"]] if "header" in options else []
    source = "\n".join(line for line in wanted + lines if line)
    return list(csv.reader(io.StringIO(source), delimiter=delimiter, skipinitialspace=True))
