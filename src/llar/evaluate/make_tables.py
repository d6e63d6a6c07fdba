"""Questions made by rule from the tables of a document: cells, follow-ups, comparisons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from random import Random

from ..answer.evidence import cells
from ..chunks.sections import sections
from ..records import Document, Message
from .make_text import Candidate
from .make_words import wording

__all__ = ["Cell", "cells_of", "compared", "followed", "looked_up", "misplaced"]

PAIRS = 40  # pairs of rows that are tried for one column
LONGEST = 80  # characters of a cell, header or label that a question can hold

_DELIMITER = re.compile(r"\s*\|?(?:\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?\s*")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
_MARKUP = re.compile(r"[`*_{}<>\[\]]|https?:")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table, with its column's name, its row's label, and where the row stands."""

    document: int
    start: int
    end: int
    table: int  # where its table begins
    column: str
    row: str
    text: str
    place: str  # caption, heading or title above the table
    section: str
    line: str  # the row

    @property
    def number(self) -> float | None:
        """Its value where it holds exactly one number, None elsewhere."""
        found = _NUMBER.findall(self.text)
        if len(found) != 1:
            return None
        bare = found[0]
        if re.fullmatch(r"-?\d{1,3}(?:[.,]\d{3})+", bare):
            return float(re.sub(r"[.,]", "", bare))
        return float(bare.replace(",", ".")) if bare.count(",") + bare.count(".") < 2 else None

    @property
    def unit(self) -> str:
        """What stands around its number."""
        return " ".join(_NUMBER.sub(" ", self.text).split())


def cells_of(number: int, document: Document) -> list[Cell]:
    """The cells of all tables that have a named column and a label of their row alone."""
    found: list[Cell] = []
    for section in sections(document):
        for block in section.blocks:
            if block.kind == "table":
                place = block.caption or (section.path[-1] if section.path else "")
                path = " > ".join(section.path)
                found += _of_table(number, document, block.start, block.end,
                                   place or document.title or "", path)  # fmt: skip
    return found


def _of_table(
    number: int, document: Document, start: int, end: int, place: str, section: str
) -> list[Cell]:
    lines, at = [], start
    for line in document.text[start:end].splitlines(keepends=True):
        lines.append((at, line.rstrip("\r\n")))
        at += len(line)
    if len(lines) < 4 or not _DELIMITER.fullmatch(lines[1][1]):
        return []
    header = [_plain(c) for c in cells(lines[0][1])]
    rows = [(at, line, [_plain(c) for c in cells(line)]) for at, line in lines[2:]]
    labels = [values[0] for _, _, values in rows]
    found = []
    for at, line, values in rows:
        label = values[0]
        if labels.count(label) != 1 or not re.search(r"[^\W\d_]{2}", label) or len(label) > LONGEST:
            continue
        for column, value in zip(header[1:], values[1:], strict=False):
            if column and _says(value) and len(column) <= LONGEST and header.count(column) == 1:
                found.append(Cell(number, at, at + len(line), start, column, label, value, place,
                                  section, line))  # fmt: skip
    return found


def _plain(cell: str) -> str:
    return " ".join(cell.replace(r"\|", "|").replace("`", "").split())


def _says(value: str) -> bool:
    """Does a cell hold something, short enough and plain?"""
    return (
        len(value) <= LONGEST
        and re.search(r"\d|[^\W_]{2}", value) is not None
        and not _MARKUP.search(value)
        and "|" not in value
    )


def looked_up(found: Sequence[Cell], language: str | None) -> Iterator[Candidate]:
    """What stands in a column for a row."""
    for cell in found:
        yield _asked(cell, language)


def _asked(cell: Cell, language: str | None) -> Candidate:
    said = wording(language)
    question = said.cell.format(column=cell.column, row=cell.row)
    closer = said.where.format(question=question, place=cell.place) if cell.place else ""
    return Candidate(
        "table", question, (cell.text,), ((cell.document, cell.start, cell.end),), language,
        "rule: cell", cell.section, otherwise=closer, sentence=cell.line,
        about=(("row", cell.row), ("column", cell.column)),
    )  # fmt: skip


def followed(found: Sequence[Cell], language: str | None) -> Iterator[Candidate]:
    """The same column of the next row, after the question about the one before."""
    said = wording(language)
    columns: dict[tuple[int, int, str], list[Cell]] = {}
    for cell in found:
        columns.setdefault((cell.document, cell.table, cell.column), []).append(cell)
    for first, second in (pair for of in columns.values() for pair in pairwise(of)):
        opener = _asked(first, language)
        history = (
            Message("user", opener.otherwise or opener.question),
            Message("assistant", first.text),
        )
        yield Candidate(
            "dialogue", said.follow.format(row=second.row), (second.text,),
            ((second.document, second.start, second.end),), language, "rule: next row",
            second.section, history, sentence=second.line,
        )  # fmt: skip


def compared(
    found: Sequence[Cell], languages: Mapping[int, str | None], chance: Random
) -> Iterator[Candidate]:
    """Which of two rows has the higher value: of different tables, or far apart in one.

    `languages` is the language of each document. The pairs of a column are drawn by `chance`.
    """
    columns: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        if cell.number is not None:
            columns.setdefault((cell.column.casefold(), cell.unit), []).append(cell)
    for of in columns.values():
        pairs = list(combinations(of, 2)) if len(of) <= PAIRS else [
            (chance.choice(of), chance.choice(of)) for _ in range(PAIRS)
        ]  # fmt: skip
        chance.shuffle(pairs)
        for first, second in pairs[:PAIRS]:
            a, b = first.number, second.number
            if a is None or b is None or a == b or first.row == second.row:
                continue
            language = languages[first.document]
            asked = wording(language).higher.format(
                column=first.column, first=first.row, second=second.row
            )
            yield Candidate(
                "multi-passage", asked, ((first if a > b else second).row,),
                ((first.document, first.start, first.end),
                 (second.document, second.start, second.end)),
                language, "rule: rows compared", first.section,
                sentence=f"{first.line}\n{second.line}",
            )  # fmt: skip


def misplaced(
    found: Sequence[Cell], languages: Mapping[int, str | None], chance: Random
) -> Iterator[tuple[Candidate, str]]:
    """Questions for a column and a row of different tables, with the row that was put in."""
    tables: dict[tuple[int, int], set[str]] = {}
    for cell in found:
        tables.setdefault((cell.document, cell.table), set()).add(cell.column.casefold())
    shuffled = list(found)
    chance.shuffle(shuffled)
    for cell in shuffled:
        others = [
            c for c in shuffled
            if cell.column.casefold() not in tables[c.document, c.table] and c.row != cell.row
            and languages[c.document] == languages[cell.document]
        ]  # fmt: skip
        if others:
            row = chance.choice(others).row
            language = languages[cell.document]
            asked = wording(language).cell.format(column=cell.column, row=row)
            yield Candidate("unanswerable", asked, (), (), language, "rule: row of another table",
                            cell.section, sentence=cell.line), row  # fmt: skip
