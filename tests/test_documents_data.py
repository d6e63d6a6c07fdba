"""Real files and their ground truth, read elsewhere by another program; real hostile files."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llar.config import Config
from llar.documents import Parsers, find_files
from llar.documents.markdown_table import cells, is_delimiter
from llar.errors import DocumentError
from llar.records import Document

pytestmark = [pytest.mark.data, pytest.mark.slow]

CONFIG = Config(parse_workers=1)
NO_PICTURES = Config(parse_workers=1, tessdata="/nowhere")


def read_all(
    *folders: Path, config: Config = CONFIG
) -> tuple[dict[Path, Document], dict[Path, DocumentError]]:
    documents: dict[Path, Document] = {}
    failed: dict[Path, DocumentError] = {}

    def report(path: Path, error: DocumentError) -> None:
        failed[path] = error

    with Parsers(config) as parsers:
        for path, outcome in parsers.parse(find_files(folders, report=report)):
            if isinstance(outcome, DocumentError):
                failed[path] = outcome
            else:
                documents[path] = outcome
    return documents, failed


def tables_of(document: Document) -> list[list[list[str]]]:
    found = []
    for block in document.blocks:
        if block.kind == "table":
            lines = document.text[block.start : block.end].split("\n")
            found.append([cells(line) for number, line in enumerate(lines) if number != 1])
    return found


def check_shape(document: Document) -> None:
    """What the records promise: ordered blocks over all text, square tables, pages inside."""
    position = 0
    for block in document.blocks:
        assert position <= block.start < block.end <= len(document.text)
        assert not document.text[position : block.start].strip() or position == 0
        position = block.end
        if block.kind == "table":
            lines = document.text[block.start : block.end].split("\n")
            assert is_delimiter(lines[1])
            if document.format != "md":
                assert len({len(cells(line)) for line in lines}) == 1
        assert (block.level > 0) == (block.kind == "heading")
    assert not document.text[position:].strip()


def plain(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()


def truth_grid(table: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [
        (row, column, plain(cell["text"]))
        for cell in table["data"]["table_cells"]
        for row in range(cell["start_row_offset_idx"], cell["end_row_offset_idx"])
        for column in range(cell["start_col_offset_idx"], cell["end_col_offset_idx"])
        if plain(cell["text"])
    ]


def cells_in_place(truth: list[tuple[int, int, str]], tables: list[list[list[str]]]) -> int:
    """Most cells of a true table that one of ours has in the same place, a title row apart."""

    def hits(table: list[list[str]], shift: int) -> int:
        return sum(
            0 <= row - shift < len(table)
            and column < len(table[row - shift])
            and plain(table[row - shift][column]) == text
            for row, column, text in truth
        )

    return max((hits(table, shift) for table in tables for shift in (0, 1)), default=0)


# What is known to differ: formulas, which the truth writes in LaTeX; a table of one column, which
# is a list to us; titles that the truth counts as tables of one cell.
@pytest.mark.parametrize(
    ("kind", "least"), [("docx", 11), ("pptx", 42), ("xlsx", 97), ("html", 136), ("csv", 373)]
)
def test_cells_are_in_their_rows_and_columns(data: Path, kind: str, least: int) -> None:
    documents, _ = read_all(data / "formats" / kind / "sources")
    found = 0
    for path, document in documents.items():
        check_shape(document)
        truth = data / "formats" / kind / "groundtruth" / f"{path.name}.json"
        if truth.is_file():
            for table in json.loads(truth.read_text())["tables"]:
                found += cells_in_place(truth_grid(table), tables_of(document))
    assert found >= least


@pytest.mark.parametrize("kind", ["docx", "pptx", "xlsx", "csv"])
def test_no_word_of_the_truth_is_missing(data: Path, kind: str) -> None:
    documents, failed = read_all(data / "formats" / kind / "sources")
    assert not failed
    for path, document in documents.items():
        truth = data / "formats" / kind / "groundtruth" / f"{path.name}.json"
        if not truth.is_file() or re.search("omml|equation|comments|checkboxes|chart", path.name):
            continue  # formulas in LaTeX, comments (a note with us), captions of pictures
        texts = [text["text"] for text in json.loads(truth.read_text())["texts"]]
        ours = Counter(re.findall(r"\w+", document.text.lower()))
        theirs = Counter(re.findall(r"\w+", " ".join(texts).lower()))
        missing = theirs - ours
        assert sum(missing.values()) <= 0.02 * sum(theirs.values()), (path.name, missing)


def test_hostile_files_cost_one_line_each(data: Path) -> None:
    folder = data / "hostile"
    folders = folder / "emails_mailparser", folder / "xml_bombs_defusedxml"
    documents, failed = read_all(*folders, config=NO_PICTURES)  # text in pictures: test_ocr.py
    assert len(documents) + len(failed) == len([p for p in folder.glob("[ex]*/*") if p.is_file()])
    for path, error in failed.items():
        assert error.message.startswith(f"{str(path)!r}: ")
        assert "\n" not in error.message
    messages = [d for d in documents.values() if d.format == "eml"]
    assert len(messages) == 22
    assert all(document.text.strip() for document in messages)
    assert documents[folder / "emails_mailparser" / "mail_outlook_1"].format == "msg"
    for name in ("cyclic.xml", "quadratic.xml", "xmlbomb.xml", "external.xml"):
        assert "never expanded" in failed[folder / "xml_bombs_defusedxml" / name].message


@pytest.mark.slow
def test_whole_corpus_is_read_and_well_formed(data: Path) -> None:
    documents, failed = read_all(data / "corpus")
    assert not failed
    formats = Counter(document.format for document in documents.values())
    assert formats["html"] == 254
    assert formats["rst"] >= 630
    for document in documents.values():
        check_shape(document)
    languages = Counter(
        document.language for path, document in documents.items() if "ca-ES" in path.parts
    )
    assert languages["ca"] >= 100  # the others are still in English
    fields = documents[data / "corpus" / "django_en" / "ref" / "models" / "fields.txt"]
    assert fields.title == "Model field reference"
