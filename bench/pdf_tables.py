"""How many table cells of PDFs come out beside and below the right neighbours.

ICDAR 2013 tables (../shared/data/tables), scored by the script there: relations between
neighbouring cells, per document, then averaged. Two readings of our tables: "Markdown" is what a
document's text holds, where a spanning cell is repeated and each repeat counts as a wrong pair;
"cells" keeps a spanning cell as one, as the ground truth does.

    python bench/pdf_tables.py                # every document, worst first, and the means
    python bench/pdf_tables.py --show eu-012  # and the tables of one document
    python bench/pdf_tables.py --bare         # with all rules hidden: how the text alone does
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from llar.documents import pdf_page
from llar.documents.markdown_table import cells
from llar.documents.parsed import ParsedText
from llar.documents.pdf import parse_pdf, read_page
from llar.documents.pdf_grid import Table
from llar.documents.pdf_layout import lay_out

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "tables"
Relations = dict[tuple[int, int], tuple[str, tuple[int, int]]]


class Score(NamedTuple):
    """One document's result."""

    name: str
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def load_scorer(folder: Path) -> ModuleType:
    """The scoring script that lies beside the data."""
    spec = importlib.util.spec_from_file_location("score_adjacency", folder / "score_adjacency.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gold(scorer: ModuleType, file: Path) -> list[Relations]:
    """The true cells; a PDF named ...a has those of ...b as well."""
    found: list[Relations] = scorer.gt_tables(str(file))
    if file.stem.endswith("a"):
        found += scorer.gt_tables(str(file.with_name(file.stem[:-1] + "b.pdf")))
    return found


def written(document: ParsedText) -> list[list[list[str]]]:
    """The tables in a document's Markdown."""
    tables = []
    for block in document.blocks:
        if block.kind == "table":
            lines = document.text[block.start : block.end].split("\n")
            tables.append([cells(line) for i, line in enumerate(lines) if i != 1])
    return tables


def spanned(scorer: ModuleType, table: Table) -> Relations:
    """A table's cells by place; a spanning one has one identity wherever it spans."""
    return {
        (row, column): (scorer.norm(cell.text), (cell.row, cell.column))
        for cell in table.cells
        if scorer.norm(cell.text)
        for row in range(cell.row, cell.row + cell.row_span)
        for column in range(cell.column, cell.column + cell.column_span)
    }


def mean(scores: list[Score]) -> str:
    """Mean precision and recall over documents, and their F1."""
    total = Score(
        "",
        sum(s.precision for s in scores) / len(scores),
        sum(s.recall for s in scores) / len(scores),
    )
    return f"P {total.precision:.3f}  R {total.recall:.3f}  F1 {total.f1:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--show", help="print the tables of this document")
    parser.add_argument("--bare", action="store_true", help="hide all rules")
    options = parser.parse_args()
    files = sorted(DATA.glob("*/*.pdf"))
    if not files:
        sys.exit(f"no PDFs in {DATA}")
    if options.bare:
        pdf_page.read_rules = lambda *_: ([], [])
    scorer = load_scorer(DATA)
    by_text: list[Score] = []
    by_cell: list[Score] = []
    for file in files:
        truth = gold(scorer, file)
        document = parse_pdf(file)
        laid = [lay_out(read_page(file, page.number)) for page in document.pages]
        tables = [p.table for page in laid for p in page.parts if p.table is not None]
        grids = [scorer.rows_to_grid(rows) for rows in written(document)]
        for scores, found in (
            (by_text, grids),
            (by_cell, [spanned(scorer, t) for t in tables]),
        ):
            right, claimed, true = scorer.score(found, truth)
            scores.append(Score(file.stem, right / claimed if claimed else 0.0, right / true))
        if options.show == file.stem:
            for rows in written(document):
                print(*rows, sep="\n", end="\n\n")
    print("document   Markdown: P      R     F1    cells: P      R     F1")
    for text, cell in sorted(zip(by_text, by_cell, strict=True), key=lambda s: s[0].f1):
        print(
            f"{text.name:12} {text.precision:11.3f} {text.recall:6.3f} {text.f1:6.3f}"
            f" {cell.precision:11.3f} {cell.recall:6.3f} {cell.f1:6.3f}"
        )
    print(f"{len(files)} documents  Markdown {mean(by_text)}   cells {mean(by_cell)}")


if __name__ == "__main__":
    main()
