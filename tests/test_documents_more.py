"""OpenDocument, e-books, JSON, rich text, source code."""

from __future__ import annotations

from pathlib import Path

import make_files
import pytest

from llar.documents.parsed import ParsedText
from llar.documents.reading import Limits, parse, read_document, recognise
from llar.errors import DocumentError, LockedDocument, UnsupportedFormat
from llar.records import Document

pytestmark = pytest.mark.slow

LIMITS = Limits(max_bytes=512 << 20)


def pieces(parsed: ParsedText | Document) -> list[tuple[str, str]]:
    return [(b.kind, parsed.text[b.start : b.end]) for b in parsed.blocks]


def test_open_document_text(tmp_path: Path) -> None:
    make_files.write_odf(
        tmp_path / "a.odt",
        "text",
        '<text:p text:style-name="P1">Acta</text:p><text:h text:outline-level="2">Punts</text:h>'
        '<text:p>10<text:span text:style-name="T1">9</text:span>/L<text:s text:c="2"/>més'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Peu"
        "</text:p></text:note-body></text:note>.<text:line-break/>fi</text:p>"
        '<text:list text:style-name="L1"><text:list-item><text:p>u</text:p><text:list>'
        "<text:list-item><text:p>dins</text:p></text:list-item></text:list></text:list-item>"
        "<text:list-item><text:p>dos</text:p></text:list-item></text:list>"
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:p>Taula 1. Dosis</text:p><table:table><table:table-header-rows><table:table-row>"
        '<table:table-cell table:number-rows-spanned="2"><text:p>Edat</text:p></table:table-cell>'
        '<table:table-cell table:number-columns-spanned="2"><text:p>Dosi</text:p>'
        "</table:table-cell><table:covered-table-cell/></table:table-row>"
        "</table:table-header-rows><table:table-row><table:covered-table-cell/><table:table-cell>"
        "<text:p>oral</text:p></table:table-cell><table:table-cell><text:p>iv</text:p>"
        "</table:table-cell></table:table-row></table:table>",
        '<style:style style:name="P1" style:parent-style-name="Title"/>'
        '<style:style style:name="T1"><style:text-properties style:text-position="super 58%"/>'
        '</style:style><text:list-style style:name="L1"><text:list-level-style-number '
        'text:level="1" style:num-format="1"/></text:list-style>',
    )
    document = read_document(tmp_path / "a.odt", LIMITS)
    assert pieces(document) == [
        ("heading", "# Acta"),
        ("heading", "## Punts"),
        ("text", "10⁹/L més[^1].\nfi"),
        ("list", "1. u\n   - dins\n2. dos"),
        ("text", "Taula 1. Dosis"),
        ("table", "| Edat | Dosi | Dosi |\n| --- | --- | --- |\n| Edat | oral | iv |"),
        ("text", "[^1]: Peu"),
    ]
    assert document.blocks[5].caption == "Taula 1. Dosis"
    assert (document.format, document.title, document.author) == ("odt", "Acta", "Eva")
    assert document.created == "2024-02-03T04:05:06"


def test_open_document_sheet_with_repeated_cells(tmp_path: Path) -> None:
    make_files.write_odf(
        tmp_path / "a.ods",
        "spreadsheet",
        '<table:table table:name="Full"><table:table-row><table:table-cell><text:p>Any</text:p>'
        "</table:table-cell><table:table-cell><text:p>Valor</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="16382"/></table:table-row>'
        '<table:table-row table:number-rows-repeated="2"><table:table-cell '
        'office:date-value="2024-01-31"><text:p>31/01/24</text:p></table:table-cell>'
        "<table:table-cell><text:p>7 %</text:p></table:table-cell></table:table-row>"
        '<table:table-row table:number-rows-repeated="1048000"><table:table-cell '
        'table:number-columns-repeated="16384"/></table:table-row></table:table>',
    )
    assert pieces(read_document(tmp_path / "a.ods", LIMITS)) == [
        ("heading", "# Full"),
        (
            "table",
            "| Any | Valor |\n| --- | --- |\n| 2024-01-31 | 7 % |\n| 2024-01-31 | 7 % |",
        ),
    ]


def test_open_document_slides(tmp_path: Path) -> None:
    make_files.write_odf(
        tmp_path / "a.odp",
        "presentation",
        '<draw:page draw:name="Un"><draw:frame><draw:text-box><text:p>cos</text:p></draw:text-box>'
        '</draw:frame><draw:frame presentation:class="title"><draw:text-box><text:p>Títol</text:p>'
        "</draw:text-box></draw:frame><presentation:notes><draw:frame><draw:text-box><text:p>nota"
        "</text:p></draw:text-box></draw:frame></presentation:notes></draw:page><draw:page "
        'draw:name="Dos"><draw:frame><draw:image/></draw:frame></draw:page>',
    )
    document = read_document(tmp_path / "a.odp", LIMITS)
    assert [document.text[p.start : p.end] for p in document.pages] == [
        "# Títol\n\ncos\n\nNotes: nota",
        "",
    ]
    assert [(p.number, p.label) for p in document.pages] == [(1, "Un"), (2, "Dos")]
    assert document.notes == ("pictures, which were not read: 1",)


def test_encrypted_open_document_is_locked(tmp_path: Path) -> None:
    make_files.write_odf(tmp_path / "a.odt", "text", "<text:p>x</text:p>")
    make_files.rewrite_zip(
        (tmp_path / "a.odt").read_bytes(),
        tmp_path / "b.odt",
        {"META-INF/manifest.xml": "<m><file-entry><encryption-data/></file-entry></m>"},
    )
    with pytest.raises(LockedDocument):
        read_document(tmp_path / "b.odt", LIMITS)


def test_book_chapters_in_the_order_of_the_spine(tmp_path: Path) -> None:
    make_files.write_epub(
        tmp_path / "a.epub",
        {
            "z.xhtml": "<html><body><h1>Primer</h1><p>u</p></body></html>",
            "a.xhtml": "<html><body><h1>Segon</h1>"
            "<table><tr><th>a<th>b<tr><td>1<td>2</table></body></html>",
        },
    )
    document = read_document(tmp_path / "a.epub", LIMITS)
    assert pieces(document) == [
        ("heading", "# Primer"),
        ("text", "u"),
        ("heading", "# Segon"),
        ("table", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
    ]
    assert (document.title, document.author, document.language) == ("Llibre", "Mercè, Joan", "ca")
    assert document.created == "1962"
    assert document.notes == ("chapter 'OPS/lost.xhtml' is missing from the book",)


@pytest.mark.parametrize(
    ("source", "blocks"),
    [
        ('[{"q": "Què?", "a": "Això\\n\\ni més"}, {"q": "On?"}]',
         ["q: Què?\na: Això\ni més", "q: On?"]),
        ('{"q": 1, "n": {"x": true, "y": null}}\n{"l": [1, "b"]}\n',
         ["q: 1\nn.x: true", "l: 1, b"]),
        ('{"rows": [{"a": 1}, {"a": 2.5}]}', ["rows.1.a: 1\nrows.2.a: 2.5"]),
        ('"just text"', ["just text"]),
    ],
)  # fmt: skip
def test_json_records(source: str, blocks: list[str]) -> None:
    parsed = parse("json", source.encode(), "a.json", LIMITS)
    assert [text for _, text in pieces(parsed)] == blocks
    assert parsed.notes == ()


def test_broken_json_is_read_as_text_and_told() -> None:
    parsed = parse("json", b'{"a": 1}\n{"b": \n', "a.jsonl", LIMITS)
    assert parsed.text == '{"a": 1}\n{"b": \n'
    assert parsed.notes[0].startswith("is no valid JSON (line 2: ")


def test_rich_text() -> None:
    source = (
        rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset238 Arial CE;}}"
        rb"{\info{\title Manual d\'fas}{\author N\'faria}}"
        rb"\pard\outlinelevel0 T\'edtol\par\pard Adult\'e9s: \u8805?4 g {\b cada} dia\line m\'e9s"
        rb"\par{\f1 gy\'f3gyszer \'f5}\par{\v hidden}{\*\unknown gone}{\pict 89504e47}\par"
        rb"\pard\ls1 one\par two\par"
        rb"\trowd\pard\intbl Edat\cell Dosi\cell\row"
        rb"\trowd\pard\intbl Nens\cell 1 g\par daily\cell\row"
        rb"\pard after \{x\}\par}"
    )
    assert recognise(source, "a.doc") == "rtf"
    parsed = parse("rtf", source, "a.rtf", LIMITS)
    assert pieces(parsed) == [
        ("heading", "# Títol"),
        ("text", "Adultés: ≥4 g cada dia\nmés"),
        ("text", "gyógyszer ő"),
        ("list", "- one\n- two"),
        ("table", "| Edat | Dosi |\n| --- | --- |\n| Nens | 1 g daily |"),
        ("text", "after {x}"),
    ]
    assert (parsed.title, parsed.author) == ("Manual dús", "Núria")
    assert parsed.notes == ("pictures, which were not read: 1",)


def test_cut_off_rich_text_says_so() -> None:
    parsed = parse("rtf", rb"{\rtf1 {\b start", "a.rtf", LIMITS)
    assert parsed.text == "start"
    assert parsed.notes == ("the file is cut off: some of its groups never end",)
    with pytest.raises(DocumentError, match="groups deep"):
        parse("rtf", rb"{\rtf1" + b"{" * 100_000, "a.rtf", LIMITS)


def test_source_code_in_blocks_by_definition() -> None:
    source = "import os\n\n\ndef one():\n    x = 1\n\n    return x\n\n\ndef two():\n    pass\n"
    assert recognise(source.encode(), "a.py") == "code"
    parsed = parse("code", source.encode(), "a.py", LIMITS)
    assert parsed.text == source
    assert pieces(parsed) == [
        ("code", "import os"),
        ("code", "def one():\n    x = 1\n\n    return x"),
        ("code", "def two():\n    pass"),
    ]
    assert parsed.metadata == {"programming_language": "python"}
    with pytest.raises(UnsupportedFormat, match="never expanded"):
        recognise(b'<!DOCTYPE x [<!ENTITY a "b">]><x/>', "a.xml")


def test_dates_that_are_not_iso_become_notes(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("---\ndate: 3 de març de 2024\n---\nText.\n")
    document = read_document(path, LIMITS)
    assert document.created is None
    assert document.notes == ("the date it was created is not in ISO 8601: '3 de març de 2024'",)
    assert document.metadata["date"] == "3 de març de 2024"
