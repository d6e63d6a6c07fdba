"""Markdown, reStructuredText, plain text and CSV; encodings; Markdown tables."""

from __future__ import annotations

import codecs
import time
from pathlib import Path

import pytest

from llar.documents.decode import decode
from llar.documents.markdown_table import Cell, cells, is_delimiter, render, spread
from llar.documents.parsed import ParsedText
from llar.documents.reading import Limits, parse, read_document
from llar.errors import DocumentError

LIMITS = Limits(max_bytes=512 << 20)
SPANISH = "¿Qué cantidad puede tomar un niño? Máximo 60 mg/kg al día.\n"
HUNGARIAN = (
    "Kérjük, mielőtt elkezdi szedni ezt a gyógyszert, olvassa el figyelmesen a tájékoztatót.\n"
)


def pieces(parsed: ParsedText) -> list[tuple[str, str]]:
    return [(b.kind, parsed.text[b.start : b.end]) for b in parsed.blocks]


def read(kind: str, source: str, name: str = "a") -> ParsedText:
    return parse(kind, source.encode(), name, LIMITS)


def test_markdown_blocks_are_spans_of_the_file() -> None:
    source = (
        "Title\n=====\n\nSome *text*\non two lines.\n\n## Doses\n\nTable 1. Doses by age\n\n"
        "| a | b |\n|---|---|\n| 1 \\| 2 | 3 |\n\n- one\n- two\n\n  more\n\n```python\nx = 1\n\n"
        "y = 2\n```\n\n    indented\n\n[ref]: http://example.org\n"
    )
    parsed = read("md", source)
    assert parsed.text == source
    assert pieces(parsed) == [
        ("heading", "Title\n====="),
        ("text", "Some *text*\non two lines."),
        ("heading", "## Doses"),
        ("text", "Table 1. Doses by age"),
        ("table", "| a | b |\n|---|---|\n| 1 \\| 2 | 3 |"),
        ("list", "- one\n- two\n\n  more"),
        ("code", "```python\nx = 1\n\ny = 2\n```"),
        ("code", "    indented"),
        ("text", "[ref]: http://example.org"),
    ]
    assert [b.level for b in parsed.blocks if b.kind == "heading"] == [1, 2]
    assert parsed.blocks[4].caption == "Table 1. Doses by age"


def test_html_tables_in_markdown_become_markdown() -> None:
    parsed = read(
        "md",
        "# T\n\n<table>\n<tr><th>a</th><th>b</th></tr>\n\n<tr><td>1</td><td>2</td></tr>\n"
        "</table>\n\nAfter.\n\n```\n<table><tr><td>code</td></tr></table>\n```\n",
    )
    assert pieces(parsed) == [
        ("heading", "# T"),
        ("table", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("text", "After."),
        ("code", "```\n<table><tr><td>code</td></tr></table>\n```"),
    ]


def test_front_matter_is_typed_metadata_and_no_block() -> None:
    parsed = read(
        "md",
        "---\ntitle: Guia\ndate: 2024-03-01\nlang: no\nyear: 2023\nweight: 1.5\ndraft: true\n"
        "time: 12:30\ncode: 010\ntags: [a, b]\nwho: {name: Ana}\nempty:\n---\nBody.\n",
    )
    assert dict(parsed.metadata) == {
        "title": "Guia",
        "date": "2024-03-01",
        "lang": "no",  # Norwegian, not false
        "year": 2023,
        "weight": 1.5,
        "draft": True,
        "time": "12:30",
        "code": "010",
        "tags": "a, b",
        "who.name": "Ana",
    }
    assert (parsed.title, parsed.created, parsed.language) == ("Guia", "2024-03-01", "no")
    assert pieces(parsed) == [("text", "Body.")]


def test_front_matter_that_is_none_or_hostile() -> None:
    assert pieces(read("md", "---\n\nA rule above.\n")) == [
        ("text", "---"),
        ("text", "A rule above."),
    ]
    toml = read("md", '+++\ntitle = "T"\nn = 3\n+++\nx\n')
    assert dict(toml.metadata) == {"title": "T", "n": 3}
    bomb = read("md", "---\na: &a [x, x]\nb: [*a, *a]\n---\nx\n")
    assert "alias" in bomb.notes[0]
    assert "".join(text for _, text in pieces(bomb)).endswith("x")


def test_rst_blocks() -> None:
    parsed = read(
        "rst",
        "=====\nGuide\n=====\n\n:author: Ada\n\nIntro::\n\n    code\n\n    more\n\nDoses\n-----\n\n"
        "* one\n* two\n\n  and more\n\n.. code-block:: python\n\n   x = 1\n\n"
        ".. note:: Take care.\n\n   Always.\n\n>>> 1 + 1\n2\n",
    )
    assert pieces(parsed) == [
        ("heading", "=====\nGuide\n====="),
        ("text", ":author: Ada"),
        ("text", "Intro::"),
        ("code", "    code\n\n    more"),
        ("heading", "Doses\n-----"),
        ("list", "* one\n* two\n\n  and more"),
        ("code", ".. code-block:: python\n\n   x = 1"),
        ("text", ".. note:: Take care."),
        ("text", "Always."),
        ("code", ">>> 1 + 1\n2"),
    ]
    assert [b.level for b in parsed.blocks if b.kind == "heading"] == [1, 2]
    assert (parsed.title, parsed.author) == ("Guide", "Ada")


@pytest.mark.parametrize(
    ("source", "table"),
    [
        (
            "+------+-----------+\n| Age  | Dose      |\n|      +-----+-----+\n"
            "|      | oral| iv  |\n+======+=====+=====+\n| Old  | 1 g | 2 g |\n"
            "| folk |     |     |\n+------+-----+-----+\n",
            "| Age | Dose | Dose |\n| --- | --- | --- |\n| Age | oral | iv |\n"
            "| Old folk | 1 g | 2 g |",
        ),
        (
            "=====  ====  ====\nAge      Dose\n-----  ----------\n  x    oral   iv\n"
            "=====  ====  ====\nOld    1 g   2 g\n       more\n=====  ====  ====\n",
            "| Age | Dose | Dose |\n| --- | --- | --- |\n| x | oral | iv |\n"
            "| Old | 1 g more | 2 g |",
        ),
        (
            ".. list-table:: Doses\n   :header-rows: 1\n\n   * - Age\n     - Dose\n   * - Old\n"
            "       folk\n     - 1 g | 2 g\n",
            "| Age | Dose |\n| --- | --- |\n| Old folk | 1 g \\| 2 g |",
        ),
        (
            '.. csv-table::\n   :header: Age, Dose\n\n   Old, "1, 2"\n   Young, 3\n',
            "| Age | Dose |\n| --- | --- |\n| Old | 1, 2 |\n| Young | 3 |",
        ),
    ],
    ids=["grid", "simple", "list", "csv"],
)
def test_rst_tables_become_markdown(source: str, table: str) -> None:
    parsed = read("rst", f"Before.\n\n{source}\nAfter.\n")
    tables = [text for kind, text in pieces(parsed) if kind == "table"]
    assert tables == [table]
    assert parsed.text.startswith("Before.\n\n")
    assert parsed.text.endswith("\nAfter.\n")


def test_plain_text_structure() -> None:
    parsed = read("txt", "Title\n=====\nfirst\n\nsecond line\nof it\n\n1. one\n2. two\n")
    assert pieces(parsed) == [
        ("heading", "Title\n====="),
        ("text", "first"),
        ("text", "second line\nof it"),
        ("list", "1. one\n2. two"),
    ]


@pytest.mark.parametrize(
    ("source", "name", "table"),
    [
        ('name,dose\n"Mas, Ana","1 | 2"\n', "a.csv",
         "| name | dose |\n| --- | --- |\n| Mas, Ana | 1 \\| 2 |"),
        ("nom;pes\nAna;1,5\nLeo;2,5\n", "a.csv",
         "| nom | pes |\n| --- | --- |\n| Ana | 1,5 |\n| Leo | 2,5 |"),
        ("a\tb\n1\t\n", "a.tsv", "| a | b |\n| --- | --- |\n| 1 |  |"),
        ("1,2\n3,4\n", "a.csv", "|  |  |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"),
        ("x,2019,2020\ncosts,1,2\n", "a.csv",
         "| x | 2019 | 2020 |\n| --- | --- | --- |\n| costs | 1 | 2 |"),
        ("word\nother\n", "a.csv", "| word |\n| --- |\n| other |"),
    ],
    ids=["quotes", "semicolon", "tab", "no header", "years", "one column"],
)  # fmt: skip
def test_csv(source: str, name: str, table: str) -> None:
    parsed = read("csv", source, name)
    assert parsed.text == table
    assert [b.kind for b in parsed.blocks] == ["table"]


def test_uneven_csv_is_squared_and_told() -> None:
    parsed = read("csv", "a,b\n1\n2,3\n4,5,6\n")
    assert parsed.text.split("\n")[2:] == ["| 1 |  |  |", "| 2 | 3 |  |", "| 4 | 5 | 6 |"]
    assert parsed.notes == ("2 of 4 records do not have 2 fields like the others",)


@pytest.mark.slow
def test_large_csv_takes_linear_time() -> None:
    rows = "".join(f"{n},name {n},{n * 3}\n" for n in range(200_000))
    start = time.perf_counter()
    parsed = read("csv", "id,name,price\n" + rows)
    assert time.perf_counter() - start < 10
    assert parsed.text.endswith("| 199999 | name 199999 | 599997 |")
    assert parsed.text.count("\n") == 200_001


@pytest.mark.parametrize(
    ("data", "text", "note"),
    [
        (SPANISH.encode(), SPANISH, None),
        (codecs.BOM_UTF8 + SPANISH.encode(), SPANISH, None),
        (codecs.BOM_UTF16_LE + SPANISH.encode("utf-16-le"), SPANISH, None),
        (codecs.BOM_UTF16_BE + SPANISH.encode("utf-16-be"), SPANISH, None),
        (codecs.BOM_UTF32_LE + SPANISH.encode("utf-32-le"), SPANISH, None),
        (SPANISH.encode("utf-16-le"), SPANISH, "utf-16-le"),
        (SPANISH.encode("latin-1"), SPANISH, "ISO-8859-1|cp1252"),
        (HUNGARIAN.encode("cp1250"), HUNGARIAN, "Windows-1250"),
        ("Перед применением прочитайте инструкцию.\n".encode("koi8-r"),
         "Перед применением прочитайте инструкцию.\n", "KOI8-R"),
        ("この薬を使う前に、この説明書をよく読んでください。\n".encode("shift_jis"),
         "この薬を使う前に、この説明書をよく読んでください。\n", "CP932|Shift"),
        (b"caf\xe9", "café", "1252"),
        (b"a\r\nb\rc\n", "a\nb\nc\n", None),
    ],
)  # fmt: skip
def test_encodings(data: bytes, text: str, note: str | None) -> None:
    decoded, notes = decode(data)
    assert decoded == text
    assert len(notes) == (note is not None)
    if note:
        assert any(name in notes[0] for name in note.split("|")), notes


def test_declared_encoding_wins_where_it_fits_and_is_told_where_not() -> None:
    assert decode("é".encode("cp850"), "cp850") == ("é", ())
    text, notes = decode("és".encode(), "ascii")
    assert text == "Ã©s"  # browsers read "ascii" as windows-1252, and so does llar
    assert notes == ()
    text, notes = decode("día".encode(), "utf-16")
    assert (text, notes) == ("día", ("the file is not in the encoding it names ('utf-16')",))
    text, notes = decode(SPANISH.encode("latin-1"), "utf-8")
    assert text == SPANISH
    assert len(notes) == 2


def test_what_cannot_be_shown_is_left_out_and_told() -> None:
    text, notes = decode(b"a\x00b\x07c\x1bd \xef\xbf\xbd")
    assert text == "abcd \ufffd"
    assert notes == (
        "3 control characters were left out",
        "1 characters were already lost (U+FFFD) in the file itself",
    )
    with pytest.raises(DocumentError, match="marked as utf-16-le but byte"):
        decode(codecs.BOM_UTF16_LE + b"a\x00\x00\xd8")


def test_table_round_trip() -> None:
    rows = [["a", "b|c", "d\\"], ["", "\\|", "x\n y"], ["1", "2", ""]]
    lines = render(rows).split("\n")
    assert is_delimiter(lines[1])
    assert not is_delimiter(lines[0])
    back = [cells(line) for i, line in enumerate(lines) if i != 1]
    assert back == [["a", "b|c", "d\\"], ["", "\\|", "x y"], ["1", "2", ""]]


def test_render_squares_and_keeps_an_empty_header() -> None:
    assert render([["", ""], ["1"]]) == "|  |  |\n| --- | --- |\n| 1 |  |"
    assert render([["", " "]]) == ""
    assert render([]) == ""


def test_spans_are_written_out() -> None:
    grid = spread(
        [
            [Cell("a", rows=2), Cell("b", columns=2)],
            [Cell("c"), Cell("d", rows=0)],
            [Cell("e", columns=2)],
        ]
    )
    assert grid == [["a", "b", "b"], ["a", "c", "d"], ["e", "e", "d"]]
    assert spread([[Cell("x", columns=10**9)]], widest=3) == [["x", "x", "x"]]


def test_document_of_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "nota.txt"
    path.write_bytes(SPANISH.encode("latin-1") * 3)
    document = read_document(path, LIMITS)
    assert document.text == SPANISH * 3
    assert document.language == "es"
    assert document.size == len(SPANISH) * 3
    assert document.source == str(path)
    assert document.title is None
    assert document.modified is not None
    assert document.modified.endswith("+00:00")
