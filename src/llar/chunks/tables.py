"""Tables as atoms: rows that repeat their header when a chunk begins with them."""

from __future__ import annotations

import re
from dataclasses import replace

from ..records import Block
from .atoms import LEVELS, Atom, Ruler, cut

_BAR = re.compile(r"(?<!\\)\|")
_DELIMITER = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*")


def table_atoms(ruler: Ruler, block: Block, limit: int) -> list[Atom]:
    """One atom for each row, longer rows cut by cells, a longer cell by sentences and words.

    A row's prefix is caption, header and delimiter row; a cell's is the caption, the header of
    its own columns and the row's first cell. A prefix may take half of `limit`; what takes more
    is left out, whole: the first cell, then the caption, then the header.
    """
    lines = _lines(ruler, block.start, block.end)
    headed = len(lines) > 1 and _DELIMITER.fullmatch(ruler.text[slice(*lines[1])]) is not None
    top = [lines[0], lines[1]] if headed else []
    caption = block.caption or ""
    header = "\n".join(ruler.text[start:end] for start, end in top)
    whole = _prefix(ruler, limit, [caption, header], [header], [caption])
    atoms: list[Atom] = []
    if top:  # the header row holds itself, so it needs the caption only
        atoms += _top(ruler, top[0][0], top[1][1], limit, caption)
    for start, end in lines[len(top) :]:
        tokens = ruler.span(start, end)
        prefix, prefix_tokens = whole if top else _prefix(ruler, limit, [caption])
        if tokens + prefix_tokens <= limit and (prefix.endswith(header) or not top):
            atoms.append(Atom(start, end, tokens, "table", prefix, prefix_tokens))
        else:
            names = _cells(ruler.text, *top[0]) if top else []
            atoms += _row(ruler, start, end, limit, caption, names)
    return atoms


def _top(ruler: Ruler, start: int, end: int, limit: int, caption: str) -> list[Atom]:
    prefix, prefix_tokens = _prefix(ruler, limit, [caption])
    tokens = ruler.span(start, end)
    if tokens + prefix_tokens <= limit:
        return [Atom(start, end, tokens, "table", prefix, prefix_tokens, sticky=True)]
    return cut(ruler, start, end, limit, ("lines", "words"), "table")


def _row(
    ruler: Ruler, start: int, end: int, limit: int, caption: str, names: list[tuple[int, int]]
) -> list[Atom]:
    """A row too long for one chunk, as runs of cells, each under the header of its columns."""
    cells = _cells(ruler.text, start, end)
    label = ruler.text[slice(*cells[0])].strip(" |")
    atoms: list[Atom] = []
    at = 0
    while at < len(cells):
        stop, best = at + 1, None
        while stop <= len(cells):
            span = ruler.strip(cells[at][0], cells[stop - 1][1])
            prefix, taken = _cell_prefix(ruler, limit, caption, names[at:stop], at, label)
            wider = Atom(*span, ruler.span(*span), "table", prefix, taken, alone=True)
            shorter = best is not None and len(prefix) < len(best.prefix)  # a header is missing
            if best is not None and (shorter or wider.tokens + taken > limit):
                break
            best, stop = wider, stop + 1
        if best is not None:
            atoms += _fitting(ruler, best, limit)
        at = stop - 1 if best is not None else len(cells)
    return atoms


def _fitting(ruler: Ruler, cell: Atom, limit: int) -> list[Atom]:
    """The atom as it is where it fits with its prefix, else parts that each repeat the prefix."""
    if cell.tokens + cell.prefix_tokens <= limit:
        return [cell]
    room = limit - cell.prefix_tokens
    parts = cut(ruler, cell.start, cell.end, room, LEVELS["cell"], "table")
    return [replace(cell, start=part.start, end=part.end, tokens=part.tokens) for part in parts]


def _cell_prefix(
    ruler: Ruler, limit: int, caption: str, names: list[tuple[int, int]], at: int, label: str
) -> tuple[str, int]:
    titles = [ruler.text[start:end].strip(" |") for start, end in names]
    if not titles:
        return _prefix(ruler, limit, [caption])
    header = f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"
    labelled = f"{header}\n| {label} |" if at and label else header
    return _prefix(
        ruler, limit, [caption, labelled], [labelled], [caption, header], [header], [caption]
    )


def _prefix(ruler: Ruler, limit: int, *choices: list[str]) -> tuple[str, int]:
    """The first choice that takes at most half of `limit`, with its tokens; else nothing."""
    for choice in choices:
        joined = "\n".join(part for part in choice if part)
        if joined:
            tokens = ruler.of(joined)
            if tokens <= limit // 2:
                return joined, tokens
    return "", 0


def _lines(ruler: Ruler, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    at = start
    for line in ruler.text[start:end].split("\n"):
        stripped = ruler.strip(at, at + len(line))
        if stripped[0] < stripped[1]:
            spans.append(stripped)
        at += len(line) + 1
    return spans


def _cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Spans of a row's cells; each holds the bar after it, the first also the one before it."""
    bars = [match.start() for match in _BAR.finditer(text, start, end)]
    if bars and bars[0] == start:
        bars = bars[1:]
    spans = []
    at = start
    for bar in bars:
        spans.append((at, bar + 1))
        at = bar + 1
    if text[at:end].strip():
        spans.append((at, end))
    return spans
