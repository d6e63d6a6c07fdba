"""Word, PowerPoint and Excel files written by the usual libraries, read by llar."""

from __future__ import annotations

from pathlib import Path

import make_files
import pytest

from llar.documents.parsed import ParsedText
from llar.documents.reading import Limits, parse, read_document, recognise
from llar.documents.reading_order import Box, in_reading_order
from llar.errors import DocumentError, LimitExceeded, LockedDocument, UnsupportedFormat
from llar.records import Document

pytestmark = pytest.mark.slow

LIMITS = Limits(max_bytes=512 << 20)


def read(path: Path) -> Document:
    return read_document(path, LIMITS)


def pieces(document: Document | ParsedText) -> list[tuple[str, str]]:
    return [(b.kind, document.text[b.start : b.end]) for b in document.blocks]


def test_word_file_block_by_block(tmp_path: Path) -> None:
    make_files.write_docx(tmp_path / "a.docx")
    document = read(tmp_path / "a.docx")
    assert pieces(document) == [
        ("heading", "# Paracetamol"),
        ("text", "Prengui'l amb aigua. Concentració 10⁹/L."),
        ("heading", "## Com prendre'l"),
        ("list", "- Adults\n- Nens\n   - sota 12 anys\n1. primer\n2. segon"),
        ("text", "Taula 1. Dosis per edat"),
        (
            "table",
            "| Edat | Dosi | Dosi |\n| --- | --- | --- |\n| Edat | oral | parenteral |\n"
            "| Adults | 1 g \\| 6 h | 2 g 8 h |\n| Nens | a b c d | 0,5 g |",
        ),
        ("table", "| a | b |\n| --- | --- |\n| c | d |"),
        ("text", "Després de la taula."),
        ("text", "La dosi és quatre grams."),
        ("text", "Dins la caixa"),
        ("text", "Hospital de prova"),
        ("text", "Confidencial"),
    ]
    assert document.blocks[5].caption == "Taula 1. Dosis per edat"
    assert document.format == "docx"
    assert document.title == "Manual de dosis"
    assert document.author == "Núria Pla"
    assert document.created == "2024-03-05T08:30:00Z"
    assert document.modified == "2024-04-06T09:00:00Z"
    assert document.language == "ca"
    assert document.pages == ()
    assert document.metadata["keywords"] == "dosis, nens"
    assert document.notes == (
        "comments, which are not in the text: 1",
        "hidden pieces of text, which were left out: 1",
    )


def test_word_numbers_and_footnotes_are_text(tmp_path: Path) -> None:
    make_files.write_docx_with_footnote(tmp_path / "a.docx")
    assert [text for _, text in pieces(read(tmp_path / "a.docx"))] == [
        "# I. Scope",
        "Take one[^1] daily.",
        "# II. Duties",
        "## II.1 Nurses",
        "[^1]: With food.",
    ]


def test_slides_are_pages(tmp_path: Path) -> None:
    make_files.write_pptx(tmp_path / "a.pptx")
    document = read(tmp_path / "a.pptx")
    slides = [document.text[p.start : p.end] for p in document.pages]
    assert [p.number for p in document.pages] == [1, 2, 3]
    assert slides[0] == (
        "# Washing hands\n\n- Wet\n- Soap\n   - twenty seconds\n- Rinse\n\nNotes: Show the poster."
    )
    assert slides[1] == (
        "# Doses\n\n| Age | Dose | Dose |\n| --- | --- | --- |\n| Age | oral | iv |\n"
        "| Adults | 1 g | 2 g |"
    )
    assert slides[2] == (
        "left top\n\nleft bottom\n\nright top\n\nright bottom\n\nin a group\n\nVisits a year\n\n"
        "|  | Visits |\n| --- | --- |\n| 2022 | 10 |\n| 2023 | 20 |"
    )
    captions = [b.caption for b in document.blocks if b.kind == "table"]
    assert captions == ["Doses", "Visits a year"]
    assert (document.title, document.author) == ("Training", "Ada")


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        # A title over two columns: the title, then each column from the top.
        ({"r2": (6, 6, 9, 8), "l1": (1, 2, 4, 4), "title": (1, 0, 9, 1), "r1": (6, 2, 9, 5),
          "l2": (1, 5, 4, 8)}, ["title", "l1", "l2", "r1", "r2"]),
        # Rows that reach over the gutter stay rows.
        ({"b": (0, 4, 9, 5), "a": (0, 0, 9, 1), "c": (0, 6, 9, 7)}, ["a", "b", "c"]),
        # A box without a place follows the one before it.
        ({"b": (0, 4, 9, 5), "loose": None, "a": (0, 0, 9, 1)}, ["a", "b", "loose"]),
    ],
)  # fmt: skip
def test_reading_order(boxes: dict[str, Box | None], expected: list[str]) -> None:
    assert in_reading_order([(box, name) for name, box in boxes.items()]) == expected


def test_workbook_sheet_by_sheet(tmp_path: Path) -> None:
    make_files.write_xlsx(tmp_path / "a.xlsx")
    document = read(tmp_path / "a.xlsx")
    assert pieces(document) == [
        ("heading", "# Costs"),
        ("text", "Budget 2024"),
        (
            "table",
            "| Item | When | Share | Price |\n| --- | --- | --- | --- |\n"
            "| Gloves | 2024-01-31 | 12.5% | 1234.50 € |\n| Masks | 2024-02-01 | 50.0% | 8.00 € |",
        ),
        (
            "table",
            "| Group | Name |\n| --- | --- |\n| North | Anna \\| Pere |\n| North | two lines |",
        ),
        ("text", "Remarks follow by mail."),
        ("heading", "# Hidden"),
        (
            "table",
            "| at | ok |\n| --- | --- |\n| 14:30 | TRUE |\n| 2024-05-06 07:08:09 | =1+1 |\n"
            "| 0.3 | #N/A |",
        ),
    ]
    captions = [b.caption for b in document.blocks if b.kind == "table"]
    assert captions == ["Budget 2024", "Costs", "Hidden"]
    assert document.notes == (
        "sheet 'Hidden' is hidden; it was read too",
        "formulas without a stored value, which stand there themselves: 1",
    )


def test_far_corner_costs_nothing(tmp_path: Path) -> None:
    """A sheet of 17 thousand million places with three cells, one merged over nearly all."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"] = "first"
    sheet["C3"] = "wide"
    sheet["XFD1048576"] = "last"
    book.save(tmp_path / "b.xlsx")
    merge = '<mergeCells><mergeCell ref="C3:XFD1048000"/></mergeCells>'
    make_files.rewrite_zip(
        (tmp_path / "b.xlsx").read_bytes(),
        tmp_path / "a.xlsx",
        {
            "xl/worksheets/sheet1.xml": lambda old: old.replace(
                "</sheetData>", f"</sheetData>{merge}"
            )
        },
    )
    found = [text for _, text in pieces(read(tmp_path / "a.xlsx"))]
    assert found == ["# Sheet", "first", "wide", "wide", "last"]


@pytest.mark.parametrize(
    ("raw", "code", "shown"),
    [
        ("45322", "yyyy-mm-dd", "2024-01-31"),
        ("45322.5", "d/m/yy h:mm", "2024-01-31 12:00"),
        ("60", "dd/mm/yyyy", "1900-02-28"),  # the day that Excel invented is not in the calendar
        ("1", "dd/mm/yyyy", "1900-01-01"),
        ("0.75", "h:mm AM/PM", "18:00"),
        ("1.5", "[h]:mm:ss", "36:00:00"),
        ("0.256", "0%", "26%"),
        ("-5", '"$"#,##0.00', "-$5.00"),
        ("1234.5", "#,##0.00\\ [$kr-414]", "1234.50 kr"),
        ("0.1", "General", "0.1"),
        ("0.30000000000000004", "General", "0.3"),
        ("12345678901234567890", "0", "12345678901234567890"),
        ("1000000", '#,##0 "mg"', "1000000"),
        ("3", "[Red]0;[Blue]-0", "3"),
    ],
)
def test_numbers_as_workbooks_show_them(raw: str, code: str, shown: str) -> None:
    from llar.documents.number_formats import NumberFormats, read_format

    assert NumberFormats([read_format(code)]).show(raw, "0") == shown


def test_templates_and_macro_files_are_office_files(tmp_path: Path) -> None:
    make_files.write_docx(tmp_path / "a.docx")
    data = (tmp_path / "a.docx").read_bytes()
    for kind in ("template.main", "document.macroEnabled.main"):
        make_files.rewrite_zip(
            data,
            tmp_path / "b.bin",
            {
                "[Content_Types].xml": lambda old, kind=kind: old.replace(
                    "wordprocessingml.document.main", f"wordprocessingml.{kind}"
                )
            },
        )
        assert read(tmp_path / "b.bin").format == "docx"


def test_bombs_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    make_files.docx_bomb(tmp_path / "bomb.docx", megabytes=200)
    assert (tmp_path / "bomb.docx").stat().st_size < 1 << 20
    with pytest.raises(LimitExceeded, match="times its size"):
        read(tmp_path / "bomb.docx")
    entities = '<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    make_files.minimal_docx(
        tmp_path / "xml.docx", "<w:p><w:r><w:t>&b;</w:t></w:r></w:p>", before=entities
    )
    with pytest.raises(DocumentError, match="declares a document type"):
        read(tmp_path / "xml.docx")


def test_damaged_files_say_what_is_wrong(tmp_path: Path) -> None:
    make_files.write_docx(tmp_path / "a.docx")
    data = (tmp_path / "a.docx").read_bytes()
    with pytest.raises(DocumentError, match="damaged or cut-off zip"):
        recognise(data[: len(data) // 2], "a.docx")
    make_files.rewrite_zip(data, tmp_path / "b.docx", {"word/document.xml": None})
    with pytest.raises(DocumentError, match=r"without its main part 'word/document.xml'"):
        read(tmp_path / "b.docx")
    make_files.rewrite_zip(data, tmp_path / "c.docx", {"word/document.xml": "<w:document"})
    with pytest.raises(DocumentError, match="not well-formed XML"):
        read(tmp_path / "c.docx")
    broken = bytearray(data)
    where = broken.find(b"word/document.xml") + 200
    broken[where : where + 40] = b"\xff" * 40
    with pytest.raises(DocumentError):
        parse("docx", bytes(broken), "d.docx", LIMITS)


def test_old_and_locked_office_files() -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    with pytest.raises(LockedDocument, match="encrypted"):
        recognise(ole + "EncryptedPackage".encode("utf-16-le"), "a.docx")
    with pytest.raises(UnsupportedFormat, match=r"\(.doc\); convert it with: soffice"):
        recognise(ole + "WordDocument".encode("utf-16-le"), "a.doc")
