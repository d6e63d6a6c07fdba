"""Writes the sample documents beside it. They are invented; no real clinic or drug is meant.

Run with the development environment: .venv/bin/python samples/make.py
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import docx
import openpyxl
from fpdf import FPDF
from openpyxl.styles import Font

HERE = Path(__file__).parent
DAY = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


LEAFLET = (
    ("1. Qué es y para qué se utiliza", (
        "El paracetamol alivia el dolor leve o moderado y baja la fiebre. No es un "
        "antiinflamatorio y no sustituye el consejo de su médico.",
    )),
    ("2. Qué necesita saber antes de tomarlo", (
        "No tome este medicamento si es alérgico al paracetamol o si padece una enfermedad "
        "grave del hígado. Consulte a su médico si bebe alcohol a diario: tres o más bebidas "
        "al día pueden dañar el hígado junto con el paracetamol.",
        "Durante el embarazo puede tomarse la dosis más baja que alivie el dolor y durante el "
        "menor tiempo posible.",
    )),
    ("3. Cómo tomarlo", (
        "Trague los comprimidos con un vaso de agua. Espere al menos 4 horas entre dos tomas. "
        "Si toma más de lo debido, acuda a un centro médico aunque no note síntomas.",
    )),
    ("4. Posibles efectos adversos", (
        "Raros, hasta 1 de cada 1.000 personas: malestar, tensión baja y aumento de las "
        "transaminasas. Muy raros, hasta 1 de cada 10.000: erupción de la piel y reacciones "
        "alérgicas graves.",
    )),
    ("5. Conservación", (
        "Conservar por debajo de 30 °C y fuera de la vista y del alcance de los niños. No "
        "utilizar después de la fecha de caducidad que aparece en la caja.",
    )),
)  # fmt: skip
DOSES = (
    ("", "Vía oral o rectal (paracetamol)", "Vía parenteral (propacetamol)"),
    (
        "Adultos",
        "325-650mg/4-6h o 500-1000mg/6-8h, máximo 4 g/día",
        "1-2g/4-6h, máximo 8g/día",
    ),
    (
        "Niños",
        "10-15 mg/kg/4-6h, máximo 60mg/kg/día",
        "1-2g/4-6h, máximo 8g/día, sólo en mayores de 13 años o 50 kg",
    ),
)


def leaflet() -> None:
    """A Spanish drug leaflet with the dose table, as PDF."""
    pdf = FPDF(format="A4")
    pdf.set_title("Prospecto: Paracetamol Llar 500 mg")
    pdf.set_author("Farmacia Llar")
    pdf.set_lang("es")
    pdf.set_creation_date(DAY)
    pdf.set_margin(22)
    pdf.add_page()
    pdf.set_font("helvetica", "B", 18)
    pdf.multi_cell(0, 9, "Paracetamol Llar 500 mg comprimidos", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", size=11)
    pdf.multi_cell(0, 7, "Prospecto: información para el paciente", new_x="LMARGIN", new_y="NEXT")
    for heading, paragraphs in LEAFLET:
        pdf.ln(4)
        pdf.set_font("helvetica", "B", 13)
        pdf.multi_cell(0, 8, heading, new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("helvetica", size=11)
        if heading.startswith("3"):
            pdf.multi_cell(0, 7, "Tabla 1. Dosis por vía y edad", new_x="LMARGIN", new_y="NEXT")
            with pdf.table(DOSES, col_widths=(22, 72, 72), text_align="LEFT", line_height=6):
                pass
            pdf.ln(3)
        for paragraph in paragraphs:
            pdf.multi_cell(0, 6, paragraph, align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(2)
    pdf.output(str(HERE / "paracetamol.pdf"))


def regulations() -> None:
    """The rules of a Catalan library, as docx."""
    document = docx.Document()
    properties = document.core_properties
    properties.title, properties.author, properties.language = (
        "Reglament de la Biblioteca Municipal",
        "Ajuntament de Vallclara",
        "ca",
    )
    properties.created = properties.modified = DAY
    document.add_heading("Reglament de la Biblioteca Municipal", 0)
    document.add_paragraph(
        "Aquest reglament regula l'ús de la biblioteca i els serveis que ofereix a tots els veïns."
    )
    document.add_heading("Horari", 1)
    hours = document.add_table(rows=1, cols=3, style="Table Grid")
    for cell, text in zip(hours.rows[0].cells, ("Dia", "Matí", "Tarda"), strict=True):
        cell.text = text
    for row in (
        ("Dilluns a dijous", "9.30 a 13.30", "16.00 a 20.30"),
        ("Divendres", "9.30 a 13.30", "16.00 a 19.00"),
        ("Dissabte", "10.00 a 14.00", "tancat"),
    ):
        for cell, text in zip(hours.add_row().cells, row, strict=True):
            cell.text = text
    document.add_heading("Préstec", 1)
    document.add_paragraph(
        "El carnet és gratuït. Cada persona pot endur-se fins a 15 documents durant 30 dies. El "
        "préstec es pot renovar tres vegades si ningú més ha reservat el document."
    )
    document.add_paragraph(
        "Qui torna un document amb retard perd un dia de préstec per cada dia i document. No es "
        "cobren multes."
    )
    document.add_heading("Sales d'estudi", 1)
    document.add_paragraph(
        "Hi ha quatre sales d'estudi per a grups de fins a sis persones. Es reserven al taulell o "
        "per telèfon, per un màxim de dues hores al dia."
    )
    document.save(str(HERE / "biblioteca.docx"))


def inventory() -> None:
    """An inventory of equipment, as xlsx."""
    book = openpyxl.Workbook()
    book.properties.creator, book.properties.created = "Facilities", DAY
    book.properties.modified, book.properties.title = DAY, "Equipment inventory"
    sheet = book.active
    assert sheet is not None
    sheet.title = "Equipment"
    sheet.append(["Asset", "Item", "Room", "Bought", "Price (EUR)", "Next service"])
    for row in (
        (
            "A-101",
            "Ultrasound scanner",
            "Room 12",
            dt.date(2023, 5, 4),
            18400,
            dt.date(2026, 11, 30),
        ),
        ("A-102", "Autoclave", "Room 3", dt.date(2021, 9, 17), 6250, dt.date(2026, 6, 15)),
        ("A-103", "Defibrillator", "Reception", dt.date(2024, 1, 22), 1490, dt.date(2026, 7, 1)),
        ("A-104", "Vaccine refrigerator", "Room 7", dt.date(2022, 3, 8), 2875, dt.date(2026, 9, 9)),
        (
            "A-105",
            "Backup generator",
            "Basement",
            dt.date(2019, 11, 2),
            22300,
            dt.date(2026, 5, 20),
        ),
    ):
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    book.save(HERE / "inventory.xlsx")


if __name__ == "__main__":
    leaflet()
    regulations()
    inventory()
