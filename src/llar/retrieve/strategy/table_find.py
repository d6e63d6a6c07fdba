"""The tables of a collection that may hold the answer, and rows of them as hits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePath

import numpy as np

from ...index.passages import Mask, View
from ...records import BETWEEN, Block, Chunk, Document, Hit, Source
from .. import hybrid
from ..query import Query
from ..searcher import Searcher
from .table_grid import Grid, tables

PASSAGES = 40  # of tables, that the tables to look at are taken from
MOST_TABLES = 8  # that are looked at
MOST_CITED = 8  # runs of rows cited one by one; more are cited as one


@dataclass(frozen=True, slots=True)
class Found:
    """A table that the question may be about, and its best passage."""

    document: Document
    blocks: tuple[Block, ...]
    hit: Hit

    @property
    def name(self) -> str:
        """What to call it: its caption, else its document and heading."""
        if self.blocks[0].caption:
            return self.blocks[0].caption
        path = [self.hit.document.name, *self.hit.chunk.headings[-1:]]
        return " > ".join(dict.fromkeys(path))

    @property
    def around(self) -> str:
        """The text that says what it is about."""
        file = PurePath(self.hit.document.path).stem
        title = self.hit.document.title or ""
        caption = self.blocks[0].caption or ""
        return "\n".join([caption, title, file.replace("_", " "), *self.hit.chunk.headings])


def find(query: Query, searcher: Searcher) -> list[Found]:
    """The tables whose passages fit the query best, best first."""
    index = searcher.index
    with index.database.read():
        view = index.passages.view()
        among = _table_passages(searcher, view)
        if not among.any():
            return []
        plain = replace(searcher.options, post=())
        hits = hybrid.find(searcher, query, PASSAGES, plain, among)
        found: dict[tuple[int, int], Found] = {}
        documents: dict[int, Document] = {}
        for hit in hits:
            document_id = hit.document.id
            if document_id not in documents:
                documents[document_id] = index.document(document_id)
            document = documents[document_id]
            for blocks in tables(document):
                if _overlaps(hit.chunk, blocks):
                    found.setdefault((document_id, blocks[0].start), Found(document, blocks, hit))
            if len(found) >= MOST_TABLES:
                break
        return list(found.values())[:MOST_TABLES]


def _overlaps(chunk: Chunk, blocks: Sequence[Block]) -> bool:
    return any(b.start < chunk.end and b.end > chunk.start for b in blocks)


def _table_passages(searcher: Searcher, view: View) -> Mask:
    """The passages that hold part of a table, whatever the chunker calls them."""
    held = view.kept.get("tables")
    if held is not None:
        return held
    ids = []
    connection = searcher.index.database.connection
    with_tables = connection.execute(
        "SELECT id, blocks FROM documents WHERE blocks LIKE '%[\"table\"%'"
    ).fetchall()
    for document_id, blocks in with_tables:
        spans = [b[1:3] for b in json.loads(blocks) if b[0] == "table"]
        chunks = np.array(
            connection.execute(
                "SELECT id, start, end FROM chunks WHERE document_id = ?", (document_id,)
            ).fetchall(),
            np.int64,
        ).reshape(-1, 3)
        for start, end in spans:
            ids.append(chunks[(chunks[:, 1] < end) & (chunks[:, 2] > start), 0])
    wanted = np.concatenate(ids) if ids else np.empty(0, np.int64)
    mask = np.isin(view.ids, wanted)
    view.kept["tables"] = mask
    return mask


class Rows:
    """Rows of one table as hits: exact spans of the document's text."""

    def __init__(self, searcher: Searcher, found: Found, grid: Grid) -> None:
        self._found = found
        self._grid = grid
        connection = searcher.index.database.connection
        ids = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM chunks WHERE document_id = ? AND start < ? AND end > ?"
                " ORDER BY start, id",
                (found.hit.document.id, grid.end, grid.start),
            )
        ]
        self._chunks = sorted(searcher.index.chunks(ids).items(), key=lambda item: item[1][1].start)

    def answering(
        self, rows: Sequence[int], columns: Sequence[int], score: float, **parts: float
    ) -> list[Hit]:
        """The lines of these rows, one hit for each passage they are in, in the rows' order.

        `columns` are those whose cells are highlighted.
        """
        marks = sorted(
            (c.start, c.end) for r in rows for i in columns if (c := self._grid.rows[r][i]).text
        )
        lines: dict[int, None] = {}
        for row in rows:
            lines.update(dict.fromkeys(self._lines(row, columns)))
        by_chunk: dict[int, list[int]] = {}
        for line in lines:
            by_chunk.setdefault(self._chunk_of(line)[0], []).append(line)
        hits = []
        for chunk_id, held in by_chunk.items():
            spans = [self._grid.lines[n] for n in sorted(held)]
            inside = tuple(m for m in marks if any(s <= m[0] and m[1] <= e for s, e in spans))
            hit = self._hit(chunk_id, _joined(spans), score, parts)
            hits.append(replace(hit, highlights=inside))
        return hits

    def cited(self, rows: Sequence[int], columns: Sequence[int]) -> tuple[Hit, ...]:
        """The same lines as quotes: neighbouring ones together, and all where they are many."""
        lines = sorted({n for row in rows for n in self._lines(row, columns)})
        runs: list[list[int]] = []
        for line in lines:
            if runs and line == runs[-1][-1] + 1 and not self._parted(runs[-1][-1], line):
                runs[-1].append(line)
            else:
                runs.append([line])
        if len(runs) > MOST_CITED:
            runs = self._whole()
        hits = []
        for run in runs:
            span = self._grid.lines[run[0]][0], self._grid.lines[run[-1]][1]
            hits.append(self._hit(self._chunk_of(run[0])[0], [span], 1.0, {}))
        return tuple(hits)

    def _whole(self) -> list[list[int]]:
        """Every line, a run for each part of the table."""
        runs: list[list[int]] = [[0]]
        for line in range(1, len(self._grid.lines)):
            if self._parted(line - 1, line):
                runs.append([])
            runs[-1].append(line)
        return runs

    def _parted(self, line: int, other: int) -> bool:
        """Does something else than the table stand between two lines, such as a page's end?"""
        between = self._found.document.text[self._grid.lines[line][1] : self._grid.lines[other][0]]
        return bool(between.strip(" \t\n|:-"))

    def _lines(self, row: int, columns: Sequence[int]) -> list[int]:
        cells = self._grid.rows[row]
        wanted = columns if self._grid.turned else range(len(cells))
        return sorted({cells[c].line for c in wanted if cells[c].text})

    def _chunk_of(self, line: int) -> tuple[int, tuple[Source, Chunk]]:
        """The indexed passage that holds a line, or its beginning."""
        start = self._grid.lines[line][0]
        for chunk_id, (source, chunk) in self._chunks:
            if chunk.start <= start < chunk.end:
                return chunk_id, (source, chunk)
        return self._chunks[0]

    def _hit(
        self, chunk_id: int, spans: Sequence[tuple[int, int]], score: float, parts: dict[str, float]
    ) -> Hit:
        document = self._found.document
        source, chunk = dict(self._chunks)[chunk_id]
        start, end = spans[0][0], spans[-1][1]
        pages = [p.number for p in document.pages if p.start < end and p.end > start]
        rows = Chunk(
            text=BETWEEN.join(document.text[a:b] for a, b in spans),
            start=start,
            end=end,
            kind="table",
            prefix=self._prefix(),
            headings=chunk.headings,
            first_page=pages[0] if pages else None,
            last_page=pages[-1] if pages else None,
            parts=tuple(spans) if len(spans) > 1 else (),
        )
        return Hit(source, rows, chunk_id, score, parts)

    def _prefix(self) -> str:
        """Caption and header; where the header takes several rows, their names as one."""
        grid = self._grid
        header = grid.header
        if not grid.turned and any(c.named for c in grid.columns):
            names = [c.name if c.named else "" for c in grid.columns]
            cells = [name.replace("|", "\\|") for name in names]
            header = f"| {' | '.join(cells)} |\n|{' --- |' * len(names)}"
        return "\n".join(x for x in (grid.caption, header) if x)


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring lines as one span."""
    joined = [spans[0]]
    for before, span in pairwise(spans):
        if span[0] - before[1] <= 1:
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined
