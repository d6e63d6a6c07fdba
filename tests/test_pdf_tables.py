"""Tables of PDFs: every cell in its row and column, however the table is drawn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from make_pdfs import DOSES, DRAWINGS, PROSE, lines_pdf, prose_pdf, table_pdf

from llar.documents.markdown_table import cells, is_delimiter
from llar.documents.parsed import ParsedText
from llar.documents.pdf import parse_pdf
from llar.documents.pdf_grid import is_value

pytestmark = pytest.mark.slow

Grid = list[list[str]]

DOSE_TABLE = [list(row) for row in DOSES]
SALES = (
    ("Product", "2021", "2022", "2023"),
    ("Bandages", "1 204", "1 310", "1 287"),
    ("Syringes", "980", "1 015", "n.a."),
    ("Gloves, sterile", "12.5%", "-", "14.1%"),
    ("Gauze", "77", "81", "90"),
)


def tables(document: ParsedText) -> list[Grid]:
    """The document's tables as rows of cells, read back from its Markdown."""
    found = []
    for block in document.blocks:
        if block.kind == "table":
            lines = document.text[block.start : block.end].split("\n")
            assert is_delimiter(lines[1])
            found.append([cells(line) for i, line in enumerate(lines) if i != 1])
    return found


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("widths", [(60, 220, 200), (70, 150, 150), (75, 110, 110)], ids=str)
def test_the_dose_table_keeps_every_cell(
    tmp_path: Path, drawing: str, widths: Sequence[float]
) -> None:
    file = table_pdf(tmp_path / "doses.pdf", DOSES, drawing, widths=widths)
    document = parse_pdf(file)
    assert tables(document) == [DOSE_TABLE]
    # The paragraphs around it stay paragraphs, before and after.
    kinds = [b.kind for b in document.blocks]
    assert kinds == ["text", "table", "text"]


@pytest.mark.slow
@pytest.mark.parametrize("drawing", DRAWINGS)
def test_the_dose_table_in_many_settings(tmp_path: Path, drawing: str) -> None:
    settings = itertools.product(
        ("Helvetica", "Times-Roman", "Courier"),
        (8, 11),
        ((60, 220, 200), (60, 150, 150), (70, 110, 110)),
        (4, 10),
        (True, False),
        ("TOP", "MIDDLE"),
        (True, False),
    )
    fitting = [
        row for row in settings
        # "Adultos" itself does not fit its column there
        if row[:2] != ("Courier", 11) or (row[2][1] != 110 and row[3] != 10)
    ]  # fmt: skip
    # Every fifth holds any three values that occur together; each drawing starts at another.
    some = fitting[list(DRAWINGS).index(drawing) % 5 :: 5]
    assert _threes(some) == _threes(fitting)
    wrong = []
    for font, size, widths, padding, bold, valign, centred in some:
        file = table_pdf(
            tmp_path / "doses.pdf", DOSES, drawing, font=font, size=size, widths=widths,
            padding=padding, bold_header=bold, valign=valign, centred=centred,
        )  # fmt: skip
        if tables(parse_pdf(file)) != [DOSE_TABLE]:
            wrong.append((font, size, widths, padding, bold, valign, centred))
    assert not wrong


def _threes(settings: Sequence[tuple[Any, ...]]) -> set[Any]:
    return {three for row in settings for three in itertools.combinations(enumerate(row), 3)}


@pytest.mark.parametrize("repeat", [True, False], ids=["header repeated", "header absent"])
@pytest.mark.parametrize("drawing", DRAWINGS)
def test_the_dose_table_across_a_page_break(tmp_path: Path, drawing: str, repeat: bool) -> None:
    file = table_pdf(
        tmp_path / "doses.pdf", DOSES, drawing, widths=(70, 150, 150), size=11,
        push_down=600, repeat_header=repeat,
        before=("Tabla 2. Dosis de analgésicos.",),
    )  # fmt: skip
    document = parse_pdf(file)
    assert tables(document) == [[DOSE_TABLE[0], DOSE_TABLE[1]], [DOSE_TABLE[0], DOSE_TABLE[2]]]
    first, second = (b for b in document.blocks if b.kind == "table")
    assert document.pages[0].start <= first.start < first.end <= document.pages[0].end
    assert document.pages[1].start <= second.start < second.end <= document.pages[1].end


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("padding", [5, 12, 20])
def test_values_in_narrow_and_wide_columns(tmp_path: Path, drawing: str, padding: float) -> None:
    file = table_pdf(tmp_path / "sales.pdf", SALES, drawing, padding=padding)
    assert tables(parse_pdf(file)) == [[list(row) for row in SALES]]


def test_merged_headers_are_repeated_over_their_columns(tmp_path: Path) -> None:
    rows = (
        ("Country", "2006", "", "2007", ""),
        ("", "N", "% Pos", "N", "% Pos"),
        ("Austria", "109", "0.9", "93", "1.1"),
        ("Germany", "123", "0.8", "290", "0.7"),
        ("Spain", "36", "0", "40", "0"),
    )
    spans = (((1, 0), (2, 0)), ((3, 0), (4, 0)), ((0, 0), (0, 1)))
    expected = [
        ["Country", "2006", "2006", "2007", "2007"],
        ["Country", "N", "% Pos", "N", "% Pos"],
        ["Austria", "109", "0.9", "93", "1.1"],
        ["Germany", "123", "0.8", "290", "0.7"],
        ["Spain", "36", "0", "40", "0"],
    ]
    ruled = table_pdf(tmp_path / "a.pdf", rows, "ruled", spans=spans, centred=True, padding=12)
    assert tables(parse_pdf(ruled)) == [expected]
    bare = table_pdf(tmp_path / "b.pdf", rows, "unruled", spans=spans, centred=True, padding=12)
    expected[1][0] = ""  # without rules nothing says that the label reaches down
    assert tables(parse_pdf(bare)) == [expected]


def test_cells_that_wrap_and_cells_that_are_empty(tmp_path: Path) -> None:
    rows = (
        ("Service", "Hours", "Remarks"),
        ("Outpatient clinic for diabetes", "8-15", ""),
        ("Laboratory", "7-20", "Samples are taken until noon and results follow the same day"),
        ("Night pharmacy", "", "Ring twice"),
        ("Radiology", "8-18", "By appointment only, except for patients of the emergency ward"),
    )
    for drawing in ("ruled", "unruled", "booktabs"):
        file = table_pdf(tmp_path / "x.pdf", rows, drawing, widths=(90, 60, 150), padding=6)
        assert tables(parse_pdf(file)) == [[list(row) for row in rows]], drawing


def test_pipes_in_cells_are_escaped(tmp_path: Path) -> None:
    rows = (("Key", "Command"), ("a", "x | y"), ("b", "z"), ("c", "|"))
    document = parse_pdf(table_pdf(tmp_path / "x.pdf", rows, "ruled"))
    assert "| a | x \\| y |" in document.text
    assert tables(document) == [[list(row) for row in rows]]


@pytest.mark.parametrize(
    ("caption", "place"),
    [
        ("Table 3: Sales by year", "before"),
        ("Tabla 2. Ventas por año", "before"),
        ("Taula 1. Vendes per any", "after"),
        ("2. táblázat", "after"),
    ],
)
def test_captions_stay_in_the_text_and_come_with_the_table(
    tmp_path: Path, caption: str, place: str
) -> None:
    around = {"before": ("Prose comes first here.",), "after": ("And prose ends it.",)}
    around[place] = (caption,)
    file = table_pdf(
        tmp_path / "x.pdf", SALES, "ruled", before=around["before"], after=around["after"]
    )
    document = parse_pdf(file)
    table = next(b for b in document.blocks if b.kind == "table")
    assert table.caption == caption
    assert document.text.count(caption) == 1


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("size", [8, 10, 12])
def test_prose_in_columns_keeps_its_order_and_is_no_table(
    tmp_path: Path, columns: int, size: float
) -> None:
    document = parse_pdf(prose_pdf(tmp_path / "x.pdf", 3, columns=columns, size=size))
    assert {b.kind for b in document.blocks} == {"text"}
    numbers = [int(p.split()[1]) for p in document.text.split("\n\n") if p.startswith("Item ")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5
    assert document.text.count(PROSE.strip()) == len(numbers)  # no line of another column inside


def test_lists_and_forms_are_no_tables(tmp_path: Path) -> None:
    items = ["Wash your hands", "Put on gloves", "Open the pack", "Check the date", "Sign"]
    lines = [(70.0, 80.0 + 16 * i, "•") for i in range(5)]
    lines += [(90.0, 80.0 + 16 * i, text) for i, text in enumerate(items)]
    lines += [(70.0, 220.0 + 16 * i, f"{i + 1}.") for i in range(5)]
    lines += [(90.0, 220.0 + 16 * i, text) for i, text in enumerate(items)]
    document = parse_pdf(lines_pdf(tmp_path / "x.pdf", lines))
    assert tables(document) == []
    held = [document.text[b.start : b.end] for b in document.blocks if b.kind == "list"]
    assert "\n".join(held).split("\n") == [
        *(f"- {text}" for text in items),
        *(f"{i + 1}. {text}" for i, text in enumerate(items)),
    ]


def test_a_table_of_contents_is_no_table(tmp_path: Path) -> None:
    lines = [
        entry
        for i in range(8)
        for entry in (
            (70.0, 80.0 + 16 * i, f"Chapter {i} " + ". " * (40 - i)),
            (500.0, 80.0 + 16 * i, str(7 * i + 3)),
        )
    ]
    assert tables(parse_pdf(lines_pdf(tmp_path / "x.pdf", lines))) == []


@pytest.mark.parametrize("text", ["12", "1,204.5", "12.5 %", "-", "n.a.", "(3.1)", "€ 20", "x"])
def test_values(text: str) -> None:
    assert is_value(text)


@pytest.mark.parametrize("text", ["", "Adultos", "1-2g/4-6h, máximo", "Total", "Q2 2006"])
def test_no_values(text: str) -> None:
    assert not is_value(text)


@pytest.mark.data
@pytest.mark.slow
def test_icdar_tables(data: Path) -> None:
    """Scored by the script beside the data; a repeated merged header counts as a wrong pair."""
    spec = spec_from_file_location("scorer", data / "tables" / "score_adjacency.py")
    assert spec is not None
    assert spec.loader is not None
    scorer = module_from_spec(spec)
    spec.loader.exec_module(scorer)
    precision: list[float] = []
    recall: list[float] = []
    for file in sorted((data / "tables" / "icdar2013_eu").glob("*.pdf")):
        truth = scorer.gt_tables(str(file))
        if file.stem.endswith("a"):
            truth += scorer.gt_tables(str(file.with_name(file.stem[:-1] + "b.pdf")))
        found = [scorer.rows_to_grid(rows) for rows in tables(parse_pdf(file))]
        right, claimed, true = scorer.score(found, truth)
        precision.append(right / claimed if claimed else 0.0)
        recall.append(right / true)
    assert len(precision) == 27
    p, r = sum(precision) / 27, sum(recall) / 27
    assert 2 * p * r / (p + r) >= 0.95, (p, r)
