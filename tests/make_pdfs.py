"""Writes the PDFs that the tests read: prose, columns, and tables in many drawings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

Rows = Sequence[Sequence[str]]

DOSES = (
    ("", "Vía oral o rectal (paracetamol)", "Vía parenteral (propacetamol)"),
    ("Adultos", "325-650mg/4-6h o 500-1000mg/6-8h, máximo 4 g/día", "1-2g/4-6h, máximo 8g/día"),
    (
        "Niños",
        "10-15 mg/kg/4-6h, máximo 60mg/kg/día",
        "1-2g/4-6h, máximo 8g/día, sólo en mayores de 13 años o 50 kg",
    ),
)

PROSE = (
    "The ward keeps its own list of medicines and checks it every Monday morning before the round. "
    "Each entry names the product, the strength, the batch and the date after which it must not be "
    "given to anybody. A nurse signs the list and the pharmacist reads it within two working days. "
    "Whatever is missing is ordered at once, and whatever has expired goes back to the pharmacy in "
    "a closed box that nobody opens again. Doubtful entries are settled by telephone the same day. "
)

_THIN = 0.6
_HEAD = ("LINEBELOW", (0, 0), (-1, 0), _THIN, colors.black)
_TOP = ("LINEABOVE", (0, 0), (-1, 0), _THIN, colors.black)
_BOTTOM = ("LINEBELOW", (0, -1), (-1, -1), _THIN, colors.black)

# How a table may be drawn: the reportlab commands for each.
DRAWINGS: dict[str, list[Any]] = {
    "ruled": [("GRID", (0, 0), (-1, -1), _THIN, colors.black)],
    "unruled": [],
    "booktabs": [_TOP, _HEAD, _BOTTOM],
    "header line": [_HEAD],
    "rows": [("LINEBELOW", (0, 0), (-1, -1), _THIN, colors.black), _TOP],
    "columns": [("INNERGRID", (0, 0), (-1, 0), _THIN, colors.black),
                ("LINEAFTER", (0, 0), (-2, -1), _THIN, colors.black), _HEAD],
    "frame": [("BOX", (0, 0), (-1, -1), _THIN, colors.black)],
    "open sides": [("INNERGRID", (0, 0), (-1, -1), _THIN, colors.black)],
    "shaded": [("ROWBACKGROUNDS", (0, 0), (-1, -1), [colors.lightgrey, colors.white])],
}  # fmt: skip


def table_pdf(
    path: Path,
    rows: Rows,
    drawing: str = "ruled",
    *,
    font: str = "Helvetica",
    size: float = 10,
    widths: Sequence[float] | None = None,
    padding: float = 4,
    bold_header: bool = True,
    valign: str = "TOP",
    centred: bool = False,
    spans: Sequence[tuple[tuple[int, int], tuple[int, int]]] = (),
    before: Sequence[str] = ("A line of prose stands above the table and is no part of it.",),
    after: Sequence[str] = ("And one below, which also is not part of the table at all.",),
    push_down: float = 0,
    repeat_header: bool = False,
) -> Path:
    """One table between paragraphs. `widths` in points make cells wrap; `push_down` in points of
    empty space makes the table run over the page's end."""
    bold = {"Helvetica": "Helvetica-Bold", "Times-Roman": "Times-Bold", "Courier": "Courier-Bold"}
    body = ParagraphStyle("body", fontName=font, fontSize=size, leading=1.2 * size)
    head = ParagraphStyle("head", body, fontName=bold[font] if bold_header else font)
    if centred:
        body.alignment = head.alignment = TA_CENTER
    prose = ParagraphStyle("prose", body, spaceBefore=12, spaceAfter=12, alignment=0)
    if widths:
        cells: Any = [
            [Paragraph(text, head if r == 0 else body) for text in row]
            for r, row in enumerate(rows)
        ]
    else:
        cells = [list(row) for row in rows]
    commands = [
        ("FONT", (0, 0), (-1, -1), font, size, 1.2 * size),
        ("FONT", (0, 0), (-1, 0), bold[font] if bold_header else font, size, 1.2 * size),
        ("VALIGN", (0, 0), (-1, -1), valign),
        ("TOPPADDING", (0, 0), (-1, -1), padding / 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), padding / 2),
        ("LEFTPADDING", (0, 0), (-1, -1), padding),
        ("RIGHTPADDING", (0, 0), (-1, -1), padding),
        *(("SPAN", a, b) for a, b in spans),
        *((("ALIGN", (0, 0), (-1, -1), "CENTER"),) if centred else ()),
        *DRAWINGS[drawing],
    ]
    table = Table(
        cells, colWidths=widths, repeatRows=int(repeat_header), style=TableStyle(commands)
    )
    story = [
        *(Paragraph(text, prose) for text in before),
        Spacer(1, push_down),
        table,
        *(Paragraph(text, prose) for text in after),
    ]
    _template(path).build(story)
    return path


def prose_pdf(
    path: Path,
    pages: int,
    *,
    columns: int = 1,
    header: str = "",
    footer: str = "",
    size: float = 10,
) -> Path:
    """Justified running text, with a running header and footer (`{page}` is the number)."""
    style = ParagraphStyle("prose", fontName="Times-Roman", fontSize=size, leading=1.2 * size,
                           alignment=TA_JUSTIFY, spaceAfter=0.6 * size)  # fmt: skip
    canvas = Canvas(str(path), pagesize=A4, invariant=1)
    width, height = A4
    gap = 0.7 * cm
    column = (width - 4 * cm - (columns - 1) * gap) / columns
    count = 0
    for page in range(1, pages + 1):
        canvas.setFont("Helvetica", 8)
        canvas.drawString(2 * cm, height - 1.3 * cm, header.format(page=page))
        canvas.drawCentredString(width / 2, 1.2 * cm, footer.format(page=page))
        for c in range(columns):
            top = height - 2.2 * cm
            while top > 5 * cm:
                count += 1
                paragraph = Paragraph(f"Item {count} of the text. {PROSE}", style)
                _, needed = paragraph.wrap(column, height)
                paragraph.drawOn(canvas, 2 * cm + c * (column + gap), top - needed)
                top -= needed + style.spaceAfter
        canvas.showPage()
    canvas.save()
    return path


def lines_pdf(
    path: Path,
    lines: Sequence[tuple[float, float, str]],
    *,
    font: str = "Helvetica",
    size: float = 10,
) -> Path:
    """Texts at (x, y from the top) in points, nothing else."""
    canvas = Canvas(str(path), pagesize=A4, invariant=1)
    canvas.setFont(font, size)
    for x, y, text in lines:
        canvas.drawString(x, A4[1] - y, text)
    canvas.save()
    return path


def _template(path: Path) -> SimpleDocTemplate:
    return SimpleDocTemplate(
        str(path), pagesize=A4, leftMargin=2 * cm, rightMargin=2 * cm, topMargin=2 * cm,
        bottomMargin=2 * cm, invariant=1,
    )  # fmt: skip
