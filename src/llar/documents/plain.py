"""Plain text and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from ..records import Block
from .compose import cover
from .decode import decode
from .markdown_table import render
from .parsed import ParsedText

_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•–]|\d{1,3}[.)])[ \t]+\S")
_DELIMITERS = ",;\t|"
_SAMPLED = 200  # records that decide on the delimiter and the header
_YEAR = re.compile(r"(?:19|20)\d\d")
_NUMBER = re.compile(r"[-+]?[$€£]?\s*\d[\d.,' ]*\s*[%€$£]?")


def parse_text(data: bytes, name: str) -> ParsedText:
    """Plain text as it stands: underlined headings, lists and paragraphs are found in it."""
    text, notes = decode(data)
    return ParsedText(text=text, blocks=tuple(text_blocks(text)), notes=notes)


def text_blocks(text: str) -> Iterator[Block]:
    """The blocks of plain text: underlined headings, lists and paragraphs."""
    for block in cover(text, ()):
        lines = text[block.start : block.end].split("\n")
        level = _underlined(lines)
        if level:
            end = block.start + len(lines[0]) + 1 + len(lines[1].rstrip())
            yield Block("heading", block.start, end, level)
            yield from cover(text[: block.end], (), end)
        elif all(_LIST_ITEM.match(line) or line.startswith((" ", "\t")) for line in lines):
            listed = any(_LIST_ITEM.match(line) for line in lines)
            yield Block("list" if listed else "text", block.start, block.end)
        else:
            yield block


def _underlined(lines: list[str]) -> int:
    """The heading level of a line with a rule of "=" or "-" right below it; 0 for no heading."""
    if len(lines) < 2 or len(lines[0]) > 120:
        return 0
    rule = lines[1].strip()
    for level, mark in ((1, "="), (2, "-")):
        if len(rule) >= 3 and rule == mark * len(rule) and re.search(r"\w", lines[0]):
            return level
    return 0


def parse_csv(data: bytes, name: str) -> ParsedText:
    """One Markdown table. Delimiter and header are found out from the first records."""
    text, notes = decode(data)
    delimiter = "\t" if name.lower().endswith((".tsv", ".tab")) else _delimiter(text)
    rows = [row for row in _records(text, delimiter) if any(cell.strip() for cell in row)]
    if not rows:
        return ParsedText(text="", notes=notes)
    widths = Counter(len(row) for row in rows)
    if len(widths) > 1:
        common = widths.most_common(1)[0][0]
        odd = sum(n for width, n in widths.items() if width != common)
        notes = (
            *notes,
            f"{odd} of {len(rows)} records do not have {common} fields like the others",
        )
    if not _has_header(rows):
        rows.insert(0, [""] * max(widths))
    table = render(rows)
    return ParsedText(text=table, blocks=(Block("table", 0, len(table)),), notes=notes)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    # The limit is the whole process's, so it only grows; the file's own size is already limited.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    return csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)


def _delimiter(text: str) -> str:
    """The character that cuts the first records into the most equal numbers of fields."""
    sample = text[:100_000]
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths: Counter[int] = Counter()
        for row, _ in zip(_records(sample, delimiter), range(_SAMPLED), strict=False):
            if row:
                widths[len(row)] += 1
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        score = 0.0 if width < 2 else count / widths.total() + min(width, 20) / 1000
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first record names the columns.

    It does unless it repeats itself, or holds a number above other numbers; years may head them.
    """
    first = [cell.strip() for cell in rows[0]]
    filled = [cell for cell in first if cell]
    if len(rows) < 2 or len(set(filled)) < len(filled):
        return False
    numbers = [i for i, cell in enumerate(first) if _NUMBER.fullmatch(cell)]
    if all(_YEAR.fullmatch(first[i]) for i in numbers):
        return True
    body = rows[1 : 1 + _SAMPLED]
    return not any(_is_numeric([row[i] for row in body if i < len(row)]) for i in numbers)


def _is_numeric(column: list[str]) -> bool:
    filled = [cell for cell in column if cell.strip()]
    return bool(filled) and 2 * sum(bool(_NUMBER.fullmatch(c.strip())) for c in filled) > len(
        filled
    )
