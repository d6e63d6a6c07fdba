"""One page's words and tables in reading order: columns, paragraphs, lists, code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from .captions import is_caption
from .pdf_columns import Rows, regions
from .pdf_grid import Table
from .pdf_page import Sheet, Word, bounds, line_text, run_lines
from .pdf_tables import rest_of_table, ruled_tables, unruled_tables

PartKind = Literal["text", "list", "code", "table"]

_INDENT = 0.45  # ems behind a bullet that could also be a word

SPLIT_WORD = "\ufdd0"  # stands where a line ended in a hyphen; resolved with the whole document
_BULLET = re.compile(r"[•◦▪▫‣·●○■□❑➢➤✓✔\x00-\x1f\x7f-\x9f\uf000-\uf0ff–—*-]$|o$")
_WITHOUT_SPACES = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")  # Chinese, Japanese
_NUMBER = re.compile(r"(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])$")


@dataclass(slots=True)
class Line:
    """One line of running text."""

    words: list[Word]
    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool
    mono: bool


@dataclass(slots=True)
class Part:
    """A paragraph, list item, code block or table of a page, in reading order."""

    kind: PartKind
    text: str
    y0: float
    y1: float
    size: float = 0.0
    bold: bool = False
    lines: int = 1
    marker: str = ""
    table: Table | None = None


@dataclass(slots=True)
class Laid:
    """A page taken apart."""

    number: int
    label: str | None
    height: float
    parts: list[Part]


def lay_out(sheet: Sheet, above: Table | None = None) -> Laid:
    """Find the page's tables and put everything into reading order.

    `above` is the table that ended the page before, if one did.
    """
    tables = ruled_tables(sheet)
    if above is not None:
        tables = _with_rest(sheet, tables, above)
    runs = sheet.runs
    if tables:
        runs = _without(runs, tables)
    rows = run_lines(runs)
    # Before the page is cut into columns: the columns of a table must not be taken for them.
    wide = unruled_tables(sheet, rows)
    rows, tables = _without(rows, wide), tables + wide
    parts: list[Part] = []
    for region_rows, region_tables in regions(rows, tables):
        parts.extend(_region_parts(sheet, region_rows, region_tables))
    below = sheet.height + 1
    parts.extend(Part("list", text, below, below, marker="-") for text in sheet.filled)
    for part in parts:
        if part.table is not None:
            part.table.held = frozenset()  # the words go, and their ids with them
    return Laid(sheet.number, sheet.label, sheet.height, parts)


def _with_rest(sheet: Sheet, tables: list[Table], above: Table) -> list[Table]:
    """The page's ruled tables, and before them the rows that go on with the table above.

    A ruled table there stays if it has as many columns; with fewer it was cut wrongly.
    """
    rest = rest_of_table(sheet, run_lines(sheet.runs), above)
    if rest is None:
        return tables
    meets = [t for t in tables if t.box[1] < rest.box[3] and t.box[3] > rest.box[1]]
    if any(t.columns >= rest.columns for t in meets):
        return tables
    return [rest, *(t for t in tables if t not in meets)]


def open_table(page: Laid) -> Table | None:
    """The table that ends the page; below it may stand footnotes and a running footer only."""
    places = [i for i, part in enumerate(page.parts) if part.table is not None]
    if not places:
        return None
    table = page.parts[places[-1]].table
    trailing = page.parts[places[-1] + 1 :]
    small = all(p.y0 > 0.88 * page.height or p.size < 8.5 for p in trailing)
    return table if small else None


def _without(rows: Rows, tables: Sequence[Table]) -> Rows:
    """The rows less the words that are in one of the tables."""
    if not tables:
        return rows
    held = frozenset().union(*(t.held for t in tables))
    left = [[w for w in row if id(w) not in held] for row in rows]
    return [row for row in left if row]


def _region_parts(sheet: Sheet, rows: Rows, tables: list[Table]) -> list[Part]:
    found = unruled_tables(sheet, rows)
    lines = [_line(row) for row in _without(rows, found)]
    tables = [*tables, *found]
    parts: list[Part] = [
        Part("table", "", t.box[1], t.box[3], table=t, lines=t.rows) for t in tables
    ]
    ends = sorted(t.box[1] for t in tables)
    right = max((line.x1 for line in lines), default=0.0)
    for block in _stretches(lines, ends):
        parts.extend(_paragraphs(block, right))
    parts.sort(key=lambda p: p.y0)
    _give_captions(parts)
    return parts


def _line(words: list[Word]) -> Line:
    x0, y0, x1, y1 = bounds(words)
    sizes: dict[float, int] = {}
    letters = bold = mono = 0
    for word in words:
        length = len(word.text)
        letters += length
        bold += length if word.bold else 0
        mono += length if word.mono else 0
        sizes[word.size] = sizes.get(word.size, 0) + length
    size = max(sizes, key=lambda s: sizes[s])
    text = line_text(words)
    return Line(words, text, x0, y0, x1, y1, size, bold > 0.85 * letters, mono > 0.85 * letters)


def _stretches(lines: Sequence[Line], table_tops: Sequence[float]) -> list[list[Line]]:
    """Runs of lines of one look and an even distance, with no table between."""
    distances = [
        b.y1 - a.y1
        for a, b in itertools.pairwise(lines)
        if abs(a.size - b.size) < 0.1 * a.size and 0.8 * a.size < b.y1 - a.y1 < 2.2 * a.size
    ]
    usual = median(distances) if distances else 14.0
    runs: list[list[Line]] = []
    for line in lines:
        above = runs[-1][-1] if runs else None
        if (
            above is None
            or abs(above.size - line.size) > 0.12 * max(above.size, line.size)
            or above.bold != line.bold
            or above.mono != line.mono
            or line.y1 - above.y1 > max(1.3 * min(usual, 1.8 * line.size), 1.25 * line.size)
            or line.y1 - above.y1 < 0.2 * line.size
            or any(above.y1 - 2 < top < line.y0 + 2 for top in table_tops)
        ):
            runs.append([line])
        else:
            runs[-1].append(line)
    return runs


def _paragraphs(lines: list[Line], region_right: float) -> list[Part]:
    """Cut a stretch of lines where one ends early, is indented, or an item begins."""
    if lines[0].mono and (len(lines) > 1 or len(lines[0].words) > 1):
        return [_code(lines)]
    left, right = min(line.x0 for line in lines), max(line.x1 for line in lines)
    groups: list[list[Line]] = [[lines[0]]]
    for above, line in itertools.pairwise(lines):
        first = line.words[0].x1 - line.words[0].x0
        ended = above.text[-1] in ".:;!?)" and not line.text[0].islower()
        room = (region_right if ended else right) - above.x1
        early = room > first + 0.6 * line.size and room > 0.06 * (right - left)
        indented = (
            line.x0 > above.x0 + 0.8 * line.size
            and len(groups[-1]) > 1
            and line.x0 > left + 0.8 * line.size
        )
        head = groups[-1][0].words[0].text
        marked = bool(_marker(line)) or (line.words[0].text == head and head in "-–—*")
        if not _BULLET.match(line.words[0].text):
            marked = marked and (early or bool(_marker(groups[-1][0])))
        centred = abs((above.x0 + above.x1) - (line.x0 + line.x1)) < line.size
        if marked or indented or (early and not (centred and above.bold)):
            groups.append([line])
        else:
            groups[-1].append(line)
    return [_part(group) for group in groups]


def _marker(line: Line) -> str:
    if len(line.words) < 2:
        return ""
    word, following = line.words[0], line.words[1]
    if _BULLET.match(word.text) or _NUMBER.match(word.text):
        if word.text in "-–—*o" and following.x0 - word.x1 < _INDENT * word.size:
            return ""  # a dash, a footnote's star, or the Spanish for "or"
        if is_caption(line.text):
            return ""  # "2. táblázat"
        return word.text
    return ""


def _part(lines: list[Line]) -> Part:
    marker = _marker(lines[0])
    texts = [line.text for line in lines]
    if marker:
        texts[0] = line_text(lines[0].words[1:])
    text = join_lines(texts)
    part = Part(
        "list" if marker else "text",
        text,
        lines[0].y0,
        lines[-1].y1,
        size=median(line.size for line in lines),
        bold=all(line.bold for line in lines),
        lines=len(lines),
    )
    part.marker = "-" if marker and _BULLET.match(marker) else marker
    return part


def join_lines(texts: Sequence[str]) -> str:
    """Join wrapped lines with spaces; a word that may be split keeps a mark to decide later."""
    text = texts[0]
    for following in texts[1:]:
        hyphened = len(text) > 2 and text[-1] in "-\u2010\u00ad" and text[-2].isalpha()
        if hyphened and following[:1].islower():
            text = text[:-1] + SPLIT_WORD + following
        else:
            text += ("" if _touch(text, following) else " ") + following
    return text


def _touch(text: str, following: str) -> bool:
    """Whether no space belongs between two lines: after a hyphen, and in Chinese or Japanese."""
    if text[-1:] in ("-", "/", "–"):
        return not text[-2:-1].isspace()
    return bool(_WITHOUT_SPACES.match(text[-1:]) and _WITHOUT_SPACES.match(following))


def _code(lines: Sequence[Line]) -> Part:
    left = min(line.x0 for line in lines)
    widths = [(w.x1 - w.x0) / len(w.text) for line in lines for w in line.words if len(w.text) > 2]
    step = median(widths) if widths else 0.6 * lines[0].size
    rows: list[str] = []
    for line in lines:
        row = ""
        for word in line.words:
            column = round((word.x0 - left) / step)
            row += " " * max(column - len(row), 1 if row else 0) + word.text
        rows.append(row)
    return Part("code", "\n".join(rows), lines[0].y0, lines[-1].y1, lines=len(rows))


def _give_captions(parts: Sequence[Part]) -> None:
    """A numbered caption right above a table, or else right below, is the table's."""
    for i, part in enumerate(parts):
        if part.table is None:
            continue
        for other in (*reversed(parts[max(0, i - 2) : i]), *parts[i + 1 : i + 3]):
            if other.kind == "table":
                continue
            apart = max(part.y0 - other.y1, other.y0 - part.y1)
            if apart < 40 and is_caption(other.text):
                part.table.caption = other.text
                break
