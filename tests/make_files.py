"""Office files and messages for tests, written by the libraries that most programs use."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

WORD = nsdecls("w")


def write_docx(path: Path) -> None:
    """A Word file with everything that llar promises to read."""
    document: Any = docx.Document()
    properties = document.core_properties
    properties.title = "Manual de dosis"
    properties.author = "Núria Pla"
    properties.created = datetime(2024, 3, 5, 8, 30)
    properties.modified = datetime(2024, 4, 6, 9, 0)
    properties.keywords = "dosis, nens"
    section = document.sections[0]
    section.header.paragraphs[0].text = "Hospital de prova"
    section.footer.paragraphs[0].text = "Confidencial"
    document.add_heading("Paracetamol", level=1)
    paragraph = document.add_paragraph("Prengui'l amb ")
    paragraph.add_run("aigua")
    paragraph.add_run(". Concentració 10")
    raised = paragraph.add_run("9")
    raised.font.superscript = True
    paragraph.add_run("/L.")
    hidden = paragraph.add_run("SECRET")
    hidden.font.hidden = True
    document.add_heading("Com prendre'l", level=2)
    document.add_paragraph("Adults", style="List Bullet")
    document.add_paragraph("Nens", style="List Bullet")
    document.add_paragraph("sota 12 anys", style="List Bullet 2")
    document.add_paragraph("primer", style="List Number")
    document.add_paragraph("segon", style="List Number")
    document.add_paragraph("Taula 1. Dosis per edat", style="Caption")
    _dose_table(document)
    document.add_paragraph("Després de la taula.")
    _tracked_changes(document)
    _text_box(document)
    document.add_comment(paragraph.runs, text="Revisar", author="Joan", initials="J")
    document.save(str(path))


def _dose_table(document: Any) -> None:
    table = document.add_table(rows=4, cols=3)
    texts = [
        ["Edat", "Dosi", ""],
        ["", "oral", "parenteral"],
        ["Adults", "1 g | 6 h", "2 g\n8 h"],
        ["Nens", "", "0,5 g"],
    ]
    for row, cells in zip(table.rows, texts, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    table.cell(0, 1).merge(table.cell(0, 2))  # a header over two columns
    table.cell(0, 0).merge(table.cell(1, 0))  # a header over two rows
    inner = table.cell(3, 1).add_table(rows=2, cols=2)
    for place, text in zip(((0, 0), (0, 1), (1, 0), (1, 1)), ("a", "b", "c", "d"), strict=True):
        inner.cell(*place).text = text


def _tracked_changes(document: Any) -> None:
    document.element.body.insert(
        -1,
        parse_xml(
            f"<w:p {WORD}><w:r><w:t xml:space='preserve'>La dosi és </w:t></w:r>"
            "<w:del w:id='1' w:author='x'><w:r><w:delText>tres</w:delText></w:r></w:del>"
            "<w:ins w:id='2' w:author='x'><w:r><w:t>quatre</w:t></w:r></w:ins>"
            "<w:r><w:t xml:space='preserve'> grams.</w:t></w:r></w:p>"
        ),
    )


def _text_box(document: Any) -> None:
    document.element.body.insert(
        -1,
        parse_xml(
            f"<w:p {nsdecls('w', 'wp', 'a')} "
            "xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006' "
            "xmlns:v='urn:schemas-microsoft-com:vml' "
            "xmlns:wps='http://schemas.microsoft.com/office/word/2010/wordprocessingShape'>"
            "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wp:inline><a:graphic>"
            "<a:graphicData><wps:wsp><wps:txbx><w:txbxContent><w:p><w:r><w:t>Dins la caixa</w:t>"
            "</w:r></w:p></w:txbxContent></wps:txbx></wps:wsp></a:graphicData></a:graphic>"
            "</wp:inline></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent>"
            "<w:p><w:r><w:t>Dins la caixa</w:t></w:r></w:p></w:txbxContent></v:textbox></w:pict>"
            "</mc:Fallback></mc:AlternateContent></w:r></w:p>"
        ),
    )


def write_docx_with_footnote(path: Path) -> None:
    """A Word file with a footnote and numbered headings, which the library cannot write itself."""
    document: Any = docx.Document()
    document.add_paragraph("x")
    buffer = io.BytesIO()
    document.save(buffer)
    body = (
        "<w:p><w:pPr><w:pStyle w:val='Heading1'/><w:numPr><w:ilvl w:val='0'/><w:numId w:val='9'/>"
        "</w:numPr></w:pPr><w:r><w:t>Scope</w:t></w:r></w:p>"
        "<w:p><w:r><w:t>Take one</w:t></w:r><w:r><w:footnoteReference w:id='2'/></w:r>"
        "<w:r><w:t xml:space='preserve'> daily.</w:t></w:r></w:p>"
        "<w:p><w:pPr><w:pStyle w:val='Heading1'/><w:numPr><w:ilvl w:val='0'/><w:numId w:val='9'/>"
        "</w:numPr></w:pPr><w:r><w:t>Duties</w:t></w:r></w:p>"
        "<w:p><w:pPr><w:pStyle w:val='Heading2'/><w:numPr><w:ilvl w:val='1'/><w:numId w:val='9'/>"
        "</w:numPr></w:pPr><w:r><w:t>Nurses</w:t></w:r></w:p>"
    )
    footnotes = (
        f"<w:footnotes {WORD}><w:footnote w:id='2'><w:p><w:r><w:t>With food.</w:t></w:r></w:p>"
        "</w:footnote></w:footnotes>"
    )
    numbering = (
        f"<w:numbering {WORD}><w:abstractNum w:abstractNumId='4'>"
        "<w:lvl w:ilvl='0'><w:start w:val='1'/><w:numFmt w:val='upperRoman'/>"
        "<w:lvlText w:val='%1.'/></w:lvl>"
        "<w:lvl w:ilvl='1'><w:start w:val='1'/><w:numFmt w:val='decimal'/>"
        "<w:lvlText w:val='%1.%2'/></w:lvl></w:abstractNum>"
        "<w:num w:numId='9'><w:abstractNumId w:val='4'/></w:num></w:numbering>"
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    rewrite_zip(
        buffer.getvalue(),
        path,
        {
            "word/footnotes.xml": footnotes,
            "word/numbering.xml": numbering,
            "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": lambda old: old.replace(
                "</Relationships>",
                f'<Relationship Id="rIdF" Type="{kind}" Target="footnotes.xml"/></Relationships>',
            ),
        },
    )


def write_pptx(path: Path) -> None:
    """Three slides: bullets and notes; a table; two columns of boxes, a group and a chart."""
    deck: Any = pptx.Presentation()
    deck.core_properties.title = "Training"
    deck.core_properties.author = "Ada"
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Washing hands"
    frame = slide.placeholders[1].text_frame
    frame.text = "Wet"
    for text, level in (("Soap", 0), ("twenty seconds", 1), ("Rinse", 0)):
        paragraph = frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    slide.notes_slide.notes_text_frame.text = "Show the poster."
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Doses"
    table = slide.shapes.add_table(3, 3, Inches(1), Inches(2), Inches(6), Inches(2)).table
    for row, cells in enumerate(
        (["Age", "Dose", ""], ["", "oral", "iv"], ["Adults", "1 g", "2 g"])
    ):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(0, 0).merge(table.cell(1, 0))
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    for left, top, text in (
        (5, 1, "right top"),
        (1, 3, "left bottom"),
        (1, 1, "left top"),
        (5, 3, "right bottom"),
    ):
        box = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(3), Inches(1))
        box.text_frame.text = text
    group = slide.shapes.add_group_shape()
    inside = group.shapes.add_textbox(Inches(1), Inches(5), Inches(7), Inches(0.5))
    inside.text_frame.text = "in a group"
    data: Any = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["2022", "2023"]
    data.add_series("Visits", (10, 20))
    frame = slide.shapes.add_chart(
        XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(6), Inches(7), Inches(1), data
    )
    frame.chart.has_title = True
    frame.chart.chart_title.text_frame.text = "Visits a year"
    deck.save(str(path))


def write_xlsx(path: Path) -> None:
    """Two tables on a sheet with titles, dates, percent, currency; a hidden sheet; a formula."""
    book: Any = openpyxl.Workbook()
    book.properties.title = "Budget"
    book.properties.creator = "Pau"
    sheet = book.active
    sheet.title = "Costs"
    sheet["A1"] = "Budget 2024"
    sheet.merge_cells("A1:D1")
    for column, text in enumerate(("Item", "When", "Share", "Price"), start=1):
        sheet.cell(2, column, text)
    rows = (("Gloves", date(2024, 1, 31), 0.125, 1234.5), ("Masks", date(2024, 2, 1), 0.5, 8))
    for row, values in enumerate(rows, start=3):
        for column, value in enumerate(values, start=1):
            sheet.cell(row, column, value)
        sheet.cell(row, 3).number_format = "0.0%"
        sheet.cell(row, 4).number_format = '#,##0.00 "€"'
    sheet["A7"] = "Group"
    sheet["B7"] = "Name"
    sheet["A8"] = "North"
    sheet["B8"] = "Anna | Pere"
    sheet["B9"] = "two\nlines"
    sheet.merge_cells("A8:A9")
    sheet["A11"] = "Remarks follow by mail."
    other = book.create_sheet("Hidden")
    other.sheet_state = "hidden"
    other["A1"] = "at"
    other["B1"] = "ok"
    other["A2"] = time(14, 30)
    other["B2"] = True
    other["A3"] = datetime(2024, 5, 6, 7, 8, 9)
    other["B3"] = "=1+1"
    other["A4"] = 0.1 + 0.2
    other["B4"] = "#N/A"
    book.save(str(path))


def write_eml(path: Path, attachments: Mapping[str, bytes]) -> None:
    """A message with a plain and an HTML body and attachments."""
    message = EmailMessage()
    message["From"] = "Jordi Mas <jordi@example.org>"
    message["To"] = "Ana <ana@example.org>, Leo <leo@example.org>"
    message["Subject"] = "Reunió de març – canvis"
    message["Date"] = datetime(2024, 3, 1, 9, 15, tzinfo=UTC)
    message.set_content("Hola,\n\nLa reunió és dijous.\n")
    message.add_alternative("<p>Hola,</p><p>La reunió és <b>dijous</b>.</p>", subtype="html")
    for name, data in attachments.items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    path.write_bytes(message.as_bytes())


def rewrite_zip(source: bytes, path: Path, parts: Mapping[str, Any]) -> None:
    """Copy a zip with some parts replaced, added, changed by a function, or left out (None)."""
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name not in parts:
                new.writestr(name, old.read(name))
            elif callable(parts[name]):
                new.writestr(name, parts[name](old.read(name).decode()))
        for name, content in parts.items():
            if content is not None and not callable(content):
                new.writestr(name, content, zipfile.ZIP_DEFLATED)


def docx_bomb(path: Path, megabytes: int) -> None:
    """A Word file of some kilobytes whose body unpacks to many megabytes of one paragraph."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_minimal_types(archive)
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            part.write(f"<w:document {WORD}><w:body><w:p><w:r><w:t>".encode())
            for _ in range(megabytes):
                part.write(b"A" * (1 << 20))
            part.write(b"</w:t></w:r></w:p></w:body></w:document>")


def minimal_docx(path: Path, body: str, before: str = "") -> None:
    """A Word file of three parts with a given body; `before` stands in front of its root."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_minimal_types(archive)
        archive.writestr(
            "word/document.xml",
            f"{before}<w:document {WORD}><w:body>{body}</w:body></w:document>",
        )


def _write_minimal_types(archive: zipfile.ZipFile) -> None:
    archive.writestr(
        "[Content_Types].xml",
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.'
        'openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    )
    archive.writestr(
        "_rels/.rels",
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships/officeDocument" Target="word/document.xml"/></Relationships>',
    )


ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def write_odf(path: Path, kind: str, body: str, styles: str = "") -> None:
    """An OpenDocument file ("text", "spreadsheet", "presentation") with a given body."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr(
            "content.xml",
            f"<office:document-content {ODF}><office:automatic-styles>{styles}"
            f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}>"
            "</office:body></office:document-content>",
        )
        archive.writestr(
            "meta.xml",
            f"<office:document-meta {ODF}><office:meta><dc:title>Acta</dc:title>"
            "<meta:initial-creator>Eva</meta:initial-creator><meta:creation-date>"
            "2024-02-03T04:05:06</meta:creation-date></office:meta></office:document-meta>",
        )


def write_epub(path: Path, chapters: Mapping[str, str]) -> None:
    """An e-book whose spine lists `chapters`, and one that is in the spine but not in the zip."""
    names = [*chapters, "lost.xhtml"]
    items = "".join(f'<item id="i{n}" href="{name}"/>' for n, name in enumerate(names))
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(names)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OPS/book.opf",
            '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Llibre'
            "</dc:title><dc:creator>Mercè</dc:creator><dc:creator>Joan</dc:creator>"
            "<dc:language>ca</dc:language><dc:date>1962</dc:date></metadata>"
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        )
        for name, markup in chapters.items():
            archive.writestr(f"OPS/{name}", markup)
