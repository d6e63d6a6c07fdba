"""Pages taken apart become one Markdown text: headings, repeats, split words, tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from ..records import Block, Page
from .captions import is_caption
from .compose import Composer
from .pdf_grid import Cell, Table, is_value
from .pdf_layout import SPLIT_WORD, Laid, Part, open_table

_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_DIGITS = re.compile(r"\d+")
_BAND = 0.11  # share of the page height at top and bottom where running lines stand


def assemble(pages: Sequence[Laid]) -> tuple[str, tuple[Block, ...], tuple[Page, ...], list[str]]:
    """Text, blocks, pages, and the running lines whose repeats were left out."""
    running = leave_out_repeats(pages)
    continue_tables(pages)
    levels = heading_levels(pages)
    words = vocabulary(pages)
    composer = Composer()
    for page in pages:
        composer.page(page.number, page.label)
        for kind, parts in _grouped(page.parts, levels):
            part = parts[0]
            text = resolve(part.text, words)
            if kind == "list":
                composer.list([f"{p.marker} {resolve(p.text, words)}" for p in parts])
            elif part.table is not None:
                caption = part.table.caption
                composer.table(part.table.grid(), caption and resolve(caption, words))
            elif kind == "code":
                composer.code(part.text)
            elif kind == "heading":
                marker = f"{part.marker} " if part.marker not in ("", "-") else ""
                composer.heading(marker + text, levels[id(part)])
            else:
                composer.text(text)
    text, blocks, spans = composer.finish()
    return text, blocks, spans, running


def _grouped(parts: Sequence[Part], levels: Mapping[int, int]) -> Iterator[tuple[str, list[Part]]]:
    """Parts one by one with their kind, neighbouring list items together."""
    for kind, group in groupby(parts, key=lambda p: "heading" if id(p) in levels else p.kind):
        members = list(group)
        if kind == "list":
            yield kind, members
        else:
            yield from ((kind, [part]) for part in members)


# --- words split at the end of a line ---


def vocabulary(pages: Iterable[Laid]) -> Counter[str]:
    """Every word of the document that was not split, in lower case; of compounds the parts too."""
    words: Counter[str] = Counter()
    for page in pages:
        for part in page.parts:
            text = part.text
            if SPLIT_WORD in text:
                text = re.sub(rf"\S*{SPLIT_WORD}\S*", " ", text)
            if part.table is not None:
                text = " ".join(cell.text for cell in part.table.cells)
            words.update(w.lower() for w in _WORD.findall(text))
    for word in [w for w in words if "-" in w]:
        head, *tails = word.split("-")
        words[head] += 1
        for tail in tails:
            words["-" + tail] += 1
    return words


def resolve(text: str, words: Counter[str]) -> str:
    """Decide each split word: without its hyphen, unless the document writes it with one.

    Where neither form occurs elsewhere the hyphen goes, except between two words that both stand
    alone elsewhere ("double-blind"), or before one that ends other compounds ("-speaking").
    """
    while SPLIT_WORD in text:
        place = text.index(SPLIT_WORD)
        left = re.search(r"[^\W\d_]*(?:-[^\W\d_]+)*$", text[:place])
        right = re.match(r"[^\W\d_]*", text[place + 1 :])
        a = (left.group() if left else "").lower()
        b = (right.group() if right else "").lower()
        whole, hyphened = words[a + b], words[f"{a}-{b}"]
        known = (words[a] and words[b]) or (words["-" + b] and not words[b])
        keep = hyphened > whole or (not whole and not hyphened and known)
        text = text[:place] + ("-" if keep else "") + text[place + 1 :]
    return text


# --- running headers and footers ---


def leave_out_repeats(pages: Sequence[Laid]) -> list[str]:
    """Take out headers and footers that repeat on three pages or more; the first stays.

    A running line stands at the very top or bottom and is the same but for digits. Returns the
    lines whose repeats were left out.
    """
    if len(pages) < 3:
        return []
    places: dict[tuple[str, str], list[tuple[int, Part]]] = {}
    for index, page in enumerate(pages):
        for edge, parts in (("top", page.parts[:3]), ("bottom", page.parts[-3:])):
            for part in parts:
                if part.table is not None or part.lines > 2:
                    continue
                near = (
                    part.y1 < _BAND * page.height
                    if edge == "top"
                    else (1 - _BAND) * page.height < part.y0 <= page.height
                )
                if near:
                    key = (edge, _DIGITS.sub("#", part.text))
                    places.setdefault(key, []).append((index, part))
    repeated: list[str] = []
    gone: set[int] = set()
    for found in places.values():
        if len({index for index, _ in found}) < 3:
            continue
        repeated.append(found[0][1].text)
        first = found[0][0]
        gone.update(id(part) for index, part in found if index != first)
    for page in pages:
        page.parts[:] = [p for p in page.parts if id(p) not in gone]
    return repeated


# --- headings ---


def heading_levels(pages: Sequence[Laid]) -> dict[int, int]:
    """Level by part (its id): larger type than the body, or a short bold line of its own."""
    weight: Counter[float] = Counter()
    for page in pages:
        for part in page.parts:
            if part.table is None and part.size:
                weight[_half(part.size)] += len(part.text)
    if not weight:
        return {}
    body = weight.most_common(1)[0][0]
    found: list[tuple[Part, float]] = []
    for page in pages:
        for part in page.parts:
            if not _may_head(part):
                continue
            size = _half(part.size)
            if size >= 1.12 * body and size >= body + 1:
                found.append((part, size))
            elif part.bold and size >= 0.95 * body and part.lines <= 2:
                found.append((part, body))
    sizes = sorted({size for _, size in found}, reverse=True)
    return {id(part): min(6, sizes.index(size) + 1) for part, size in found}


def _may_head(part: Part) -> bool:
    text = part.text
    if part.kind not in ("text", "list") or part.lines > 3 or len(text) > 160:
        return False
    if text.endswith((".", ",", ";", ":")) or is_caption(text):
        return False
    letters = sum(c.isalpha() for c in text)
    return letters >= 2 and letters >= 0.5 * len(text.replace(" ", ""))


def _half(size: float) -> float:
    return round(size * 2) / 2


# --- tables over several pages ---


def continue_tables(pages: Sequence[Laid]) -> None:
    """Give a table that goes on from the page before its header and caption back."""
    for before, page in pairwise(pages):
        last = open_table(before)
        place = next((i for i, p in enumerate(page.parts) if p.table is not None), None)
        if last is None or place is None or page.number != before.number + 1:
            continue
        table = page.parts[place].table
        over = page.parts[:place]
        leads = all(p.y1 < 0.15 * page.height or is_caption(p.text) for p in over)
        if table is not None and leads and _same_columns(last, table):
            _take_header(last, table)


def _same_columns(first: Table, second: Table) -> bool:
    if second.continued or first.columns != second.columns:
        return second.continued
    width = first.box[2] - first.box[0]
    shift = second.edges[0] - first.edges[0]
    inner = zip(first.edges[1:-1], second.edges[1:-1], strict=True)
    near = all(abs(b - a - shift) < 0.06 * width for a, b in inner)
    return near and abs(second.box[2] - second.box[0] - width) < 0.2 * width


def _take_header(first: Table, second: Table) -> None:
    head = header_rows(first)
    above, own = first.grid()[:head], second.grid()
    repeated = [_plain(r) for r in own[:head]] == [_plain(r) for r in above]
    if not (repeated or second.continued) and header_rows(second, sure=True):
        return
    second.continued = True
    second.caption = second.caption or first.caption
    if repeated:
        return
    for cell in second.cells:
        cell.row += head
    second.rows += head
    second.cells[:0] = [
        Cell(c.row, c.column, min(c.row_span, head - c.row), c.column_span, c.text)
        for c in first.cells
        if c.row < head
    ]


def _plain(row: Sequence[str]) -> list[str]:
    return ["".join(cell.lower().split()) for cell in row]


def header_rows(table: Table, *, sure: bool = False) -> int:
    """Rows before the first value in a column that mostly holds values; at least 1 unless sure."""
    grid = table.grid()
    columns = [
        c
        for c in range(table.columns)
        if sum(is_value(row[c]) for row in grid) > 0.5 * sum(bool(row[c]) for row in grid)
    ]
    if not columns or (sure and len(grid) < 3):
        return 0 if sure else 1
    for r, row in enumerate(grid[:6]):
        if any(is_value(row[c]) for c in columns):
            return r if sure else max(1, r)
    return 0 if sure else 1
