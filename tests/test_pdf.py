"""PDFs: text in reading order, headings, pages, what the file says about itself, and refusals."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from make_pdfs import PROSE, lines_pdf, prose_pdf
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from llar.documents.parsed import ParsedText
from llar.documents.pdf import parse_pdf
from llar.documents.pdf_info import iso_date
from llar.documents.pdf_layout import SPLIT_WORD
from llar.documents.pdf_locate import locate
from llar.documents.pdf_text import resolve
from llar.errors import DocumentError, LockedDocument

# A grey picture of 2 x 2 points, the smallest that fills a page when stretched.
GREY = b"P5 2 2 255 " + bytes([128] * 4)


def check_spans(document: ParsedText) -> None:
    """Pages in order over all blocks, blocks in order over all text."""
    position = 0
    for block in document.blocks:
        assert position <= block.start < block.end <= len(document.text)
        assert not document.text[position : block.start].strip()
        position = block.end
    assert not document.text[position:].strip()
    numbers = [page.number for page in document.pages]
    assert numbers == list(range(1, len(numbers) + 1))
    for page, following in zip(document.pages, document.pages[1:], strict=False):
        assert page.start <= page.end <= following.start
        if following.start < following.end:
            assert document.text[page.end : following.start] in ("\n\n", "")


def test_headings_paragraphs_and_lists(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    for font, size, y, text in (
        ("Helvetica-Bold", 18, 780, "Ward handbook"),
        ("Helvetica-Bold", 13, 740, "1 Medicines"),
        (
            "Helvetica",
            10,
            715,
            "Medicines are counted every Monday, and the nurse who counts them al-",
        ),
        ("Helvetica", 10, 703, "so signs the list. Missing boxes are ordered the same day."),
        ("Helvetica", 10, 680, "A second paragraph begins after a gap."),
        ("Helvetica", 10, 655, "\u2022 wash hands"),
        ("Helvetica", 10, 643, "\u2022 put on gloves"),
        ("Helvetica-Bold", 13, 610, "2 Visits"),
        ("Helvetica", 10, 585, "Visitors come between 15 and 19 h."),
    ):
        canvas.setFont(font, size)
        canvas.drawString(60, y, text)
    canvas.save()
    document = parse_pdf(tmp_path / "x.pdf")
    assert document.text.split("\n\n") == [
        "# Ward handbook",
        "## 1 Medicines",
        "Medicines are counted every Monday, and the nurse who counts them also signs the list. "
        "Missing boxes are ordered the same day.",
        "A second paragraph begins after a gap.",
        "- wash hands\n- put on gloves",
        "## 2 Visits",
        "Visitors come between 15 and 19 h.",
    ]
    assert [(b.kind, b.level) for b in document.blocks] == [
        ("heading", 1),
        ("heading", 2),
        ("text", 0),
        ("text", 0),
        ("list", 0),
        ("heading", 2),
        ("text", 0),
    ]
    check_spans(document)


def test_code_keeps_its_lines_and_indentation(tmp_path: Path) -> None:
    lines = [
        (60.0, 80.0, "def add(a, b):"),
        (84.0, 92.0, "return a + b"),
        (60.0, 104.0, "add(1, 2)"),
    ]
    document = parse_pdf(lines_pdf(tmp_path / "x.pdf", lines, font="Courier", size=10))
    # Courier is 0.6 em wide: 24 points are four letters.
    assert document.text == "```\ndef add(a, b):\n    return a + b\nadd(1, 2)\n```"
    assert [b.kind for b in document.blocks] == ["code"]


def test_pages_are_exact_and_running_lines_are_not_repeated(tmp_path: Path) -> None:
    file = prose_pdf(tmp_path / "x.pdf", 4, header="Ward rules, issue 7", footer="Page {page} of 4")
    document = parse_pdf(file)
    check_spans(document)
    assert len(document.pages) == 4
    assert document.text.count("Ward rules, issue 7") == 1
    assert document.text.startswith("Ward rules, issue 7\n\n")
    assert document.text.count("Page 1 of 4") == 1
    assert "Page 2 of 4" not in document.text
    assert document.metadata["running_lines"] == "Ward rules, issue 7 / Page 1 of 4"
    items = document.text.count("Item ")
    assert document.text.count(PROSE.strip()) == items
    for page in document.pages:
        assert document.text[page.start : page.end].count("Item ") == items // 4


def test_lines_that_repeat_on_two_pages_stay(tmp_path: Path) -> None:
    document = parse_pdf(prose_pdf(tmp_path / "x.pdf", 2, header="Ward rules, issue 7"))
    assert document.text.count("Ward rules, issue 7") == 2
    assert "running_lines" not in document.metadata


@pytest.mark.slow
def test_more_pages_than_the_library_reads_by_itself(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=(200, 100))
    for number in range(1, 1104):
        canvas.drawString(20, 50, f"This is sheet {number * 7919}")
        canvas.showPage()
    canvas.save()
    document = parse_pdf(tmp_path / "x.pdf")
    assert len(document.pages) == 1103
    last = document.pages[-1]
    assert document.text[last.start : last.end] == f"This is sheet {1103 * 7919}"


def test_page_labels(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"))
    canvas.addPageLabel(0, style="ROMAN_LOWER", start=4)
    canvas.addPageLabel(1, style="ARABIC", start=1)
    for text in ("Preface", "Chapter"):
        canvas.drawString(60, 700, text)
        canvas.showPage()
    canvas.save()
    assert [p.label for p in parse_pdf(tmp_path / "x.pdf").pages] == ["iv", "1"]


def test_small_print_and_page_numbers_are_kept(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 2)
    canvas.drawString(60, 700, "Batch 4711")
    canvas.setFont("Helvetica", 10)
    canvas.drawString(60, 600, "Text of a usual size")
    canvas.drawCentredString(A4[0] / 2, 30, "96")
    canvas.save()
    assert parse_pdf(tmp_path / "x.pdf").text == "Batch 4711\n\nText of a usual size\n\n96"


@pytest.mark.parametrize("seed", range(12))
def test_no_word_is_lost(tmp_path: Path, seed: int) -> None:
    """Words and rules thrown on pages at random, no two words over each other."""
    chance = random.Random(seed)
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    drawn: list[str] = []
    for _ in range(3):
        for y in range(40, 800, chance.choice([13, 17, 24])):
            for x in sorted(chance.sample(range(40, 500, 70), chance.randrange(4))):
                drawn.append(f"w{len(drawn) + 1000}")
                canvas.setFont(chance.choice(["Helvetica", "Courier"]), chance.choice([7, 9, 10]))
                canvas.drawString(x, y, drawn[-1])
        for _ in range(chance.choice([0, 4, 30])):
            x, y = chance.randrange(40, 500), chance.randrange(40, 800)
            down = chance.random() < 0.5
            canvas.line(x, y, x if down else x + 200, y - 100 if down else y)
        canvas.showPage()
    canvas.save()
    document = parse_pdf(tmp_path / "x.pdf")
    check_spans(document)
    found = Counter(re.findall(r"w\d+", document.text))
    # A cell that spans is written more than once; none may be missing.
    assert set(drawn) <= set(found)


def test_typographic_marks_are_kept(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    canvas.drawString(60, 700, "“Take” 10–15 mg – no more, the doctor’s rule")
    canvas.save()
    assert parse_pdf(tmp_path / "x.pdf").text == "“Take” 10–15 mg – no more, the doctor’s rule"


@pytest.mark.data
def test_raised_numerators_are_kept(data: Path) -> None:
    text = parse_pdf(data / "formats" / "pdf" / "sources" / "amt_handbook_sample.pdf").text
    for true in ("No. 6 up to 1⁄4 inch", "from 1⁄4 inch to 1⁄6 inch", "up to 3⁄8 inch"):
        assert true in text


def test_text_that_runs_up_the_page_is_turned(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    canvas.rotate(90)
    canvas.drawString(100, -100, "The first line of a sheet set sideways.")
    canvas.drawString(100, -114, "Its second line stands below.")
    canvas.save()
    text = parse_pdf(tmp_path / "x.pdf").text
    assert " ".join(text.split()) == (
        "The first line of a sheet set sideways. Its second line stands below."
    )


def test_what_the_file_says_about_itself(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), invariant=1)
    canvas.setTitle("Guía de analgésicos")
    canvas.setAuthor("Comisión de Farmacia")
    canvas.setSubject("Dosis")
    canvas.setKeywords("dolor, niños")
    canvas.drawString(60, 700, "Texto")
    canvas.save()
    document = parse_pdf(tmp_path / "x.pdf")
    assert document.title == "Guía de analgésicos"
    assert document.author == "Comisión de Farmacia"
    assert document.created == "2000-01-01T00:00:00+00:00"
    assert document.metadata["subject"] == "Dosis"
    assert document.metadata["keywords"] == "dolor, niños"
    assert document.metadata["pages"] == 1


def test_placeholders_are_no_title(tmp_path: Path) -> None:
    document = parse_pdf(lines_pdf(tmp_path / "x.pdf", [(60, 80, "Text")]))
    assert document.title is None  # reportlab writes "untitled" and "anonymous"
    assert document.author is None


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("D:20130405135943+02'00'", "2013-04-05T13:59:43+02:00"),
        ("D:20130405135943Z", "2013-04-05T13:59:43+00:00"),
        ("D:20130405135943-05'30", "2013-04-05T13:59:43-05:30"),
        ("D:201304051359", "2013-04-05T13:59:00"),
        ("D:201304", "2013-04-01"),
        ("D:2013", "2013-01-01"),
        ("D:20131405", None),
        ("5 April 2013", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(written: str | None, iso: str | None) -> None:
    assert iso_date(written) == iso


@pytest.mark.parametrize(
    ("split", "whole"),
    [
        ("el medica|mento x", "el medicamento x"),  # the whole word occurs elsewhere
        ("a double|blind x", "a double-blind x"),  # both halves are words
        ("a follow|up x", "a follow-up x"),  # written so elsewhere
        ("the Sámi|speaking x", "the Sámi-speaking x"),  # ends other compounds
        ("a hospi|tal x", "a hospital x"),  # nothing is known of it
    ],
)
def test_split_words(split: str, whole: str) -> None:
    known = {"medicamento": 2, "double": 1, "blind": 3, "follow-up": 1, "-speaking": 1}
    assert resolve(split.replace("|", SPLIT_WORD), Counter(known)) == whole


def test_a_page_without_a_text_layer_is_noted(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    canvas.drawString(60, 700, "A page with text")
    canvas.showPage()
    canvas.drawImage(ImageReader(io.BytesIO(GREY)), 0, 0, *A4)
    canvas.showPage()
    canvas.showPage()  # blank: nothing to read, nothing to note
    canvas.save()
    document = parse_pdf(tmp_path / "x.pdf")
    assert document.notes == ("page 2: no text layer (scanned?)",)
    assert document.text == "A page with text"
    assert [p.number for p in document.pages] == [1, 2, 3]
    check_spans(document)


def test_form_values_are_read_once(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=A4)
    canvas.drawString(60, 700, "Admission form of the ward")
    canvas.acroForm.textfield(name="Allergies", value="penicillin", x=60, y=600, width=200)
    canvas.acroForm.textfield(name="Remarks", value="", x=60, y=500, width=200)
    canvas.save()
    text = parse_pdf(tmp_path / "x.pdf").text
    assert text.count("penicillin") == 1  # drawn in its field
    assert "Remarks" not in text


@pytest.mark.data
def test_form_values_that_no_reader_has_drawn_yet(data: Path) -> None:
    folder = data / "hostile" / "pdf_malformed_qpdf"
    document = parse_pdf(folder / "form-no-need-appearances-filled.pdf")
    assert document.text == "- Text Box 1: 3.14 ÷ 0\n- Text Box 2: 3.14 ÷ 0"


def test_locked_files(tmp_path: Path) -> None:
    file = tmp_path / "x.pdf"
    canvas = Canvas(str(file), encrypt=StandardEncryption("rövid", ownerPassword="owner"))
    canvas.setTitle("Secret title")
    canvas.drawString(60, 700, "Secret text")
    canvas.save()
    with pytest.raises(LockedDocument, match="locked with a password"):
        parse_pdf(file)
    with pytest.raises(LockedDocument, match="does not open it"):
        parse_pdf(file, password="wrong")
    document = parse_pdf(file, password="owner")
    assert (document.text, document.title) == ("Secret text", "Secret title")


@pytest.mark.data
def test_a_locked_file_made_elsewhere(data: Path) -> None:
    file = data / "formats" / "pdf_password" / "sources" / "2206.01062_pg3.pdf"
    with pytest.raises(LockedDocument):
        parse_pdf(file, password="12345")
    document = parse_pdf(file, password="1234")
    assert document.title == (
        "DocLayNet: A Large Human-Annotated Dataset for Document-Layout Analysis"
    )
    # Left column to its end, then the right one.
    order = ["to a minimum, since they", "Table 1 shows the overall", "Despite being cost-intense"]
    places = [document.text.index(text) for text in order]
    assert places == sorted(places)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"%PDF-1.4\n%%EOF", b"no PDF at all"])
def test_broken_files_say_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.pdf"
    file.write_bytes(content)
    with pytest.raises(DocumentError, match="can be read"):
        parse_pdf(file)


@pytest.mark.data
@pytest.mark.slow
def test_malformed_files_give_text_or_one_error(data: Path) -> None:
    """Each in a process of its own, as one of them overflows the stack of the PDF library."""
    code = (
        "import sys; from pathlib import Path; from llar.documents.pdf import parse_pdf;"
        "from llar.errors import DocumentError\n"
        "for name in sys.argv[1:]:\n"
        "    try: print('text', len(parse_pdf(Path(name)).pages), flush=True)\n"
        "    except DocumentError as e: print('error', str(e).count('\\n'), flush=True)\n"
    )
    files = sorted((data / "hostile" / "pdf_malformed_qpdf").glob("*.pdf"))
    assert len(files) > 90
    lines: list[str] = []
    while len(lines) < len(files):
        rest = [str(f) for f in files[len(lines) :]]
        run = subprocess.run(
            [sys.executable, "-c", code, *rest], capture_output=True, text=True, check=False
        )
        lines += run.stdout.splitlines()
        if run.returncode:
            assert run.returncode < 0, run.stderr  # killed by a signal, not a stray exception
            lines.append(f"crash {files[len(lines)].name}")
    assert [line for line in lines if line.startswith("crash")] == ["crash outlines-with-loop.pdf"]
    assert sum(line.startswith("text") for line in lines) > 70


def test_locating_a_quote(tmp_path: Path) -> None:
    lines = [(60.0, 100.0, "The dose for adults is 325 mg"), (60.0, 114.0, "every six hours.")]
    file = lines_pdf(tmp_path / "x.pdf", lines, font="Courier", size=10)
    # Courier: 6 points a letter. "325 mg" begins after 23 letters, "every six" holds 9.
    boxes = locate(file, 1, "325 mg every six")
    assert len(boxes) == 2
    (x, y, width, height), (x2, y2, width2, _) = boxes
    assert (round(x), round(width)) == (60 + 23 * 6, 6 * 6)
    assert (round(x2), round(width2)) == (60, 9 * 6)
    assert y < 100 < y + height + 1  # the baseline lies in the box
    assert y2 > y
    assert locate(file, 1, "not there") == []
    with pytest.raises(DocumentError, match="no page 2"):
        locate(file, 2, "325 mg")


def test_locating_a_cell_of_two_lines(tmp_path: Path) -> None:
    lines = [
        (60.0, 100.0, "325 mg daily,"), (300.0, 100.0, "1 g daily"),  # a row, line by line
        (60.0, 114.0, "at most 4 g"), (60.0, 400.0, "at most 4 g"),
    ]  # fmt: skip
    file = lines_pdf(tmp_path / "x.pdf", lines, font="Courier", size=10)
    boxes = locate(file, 1, "| 325 mg daily, at most 4 g | 1 g daily |")
    # Courier: 6 points a letter. The first line goes from 60 to the end of 9 letters at 300.
    places = [(round(x), round(x + w)) for x, _, w, _ in boxes]
    assert places == [(60, 300 + 9 * 6), (60, 60 + 11 * 6)]
    assert boxes[1][1] < 114 < boxes[1][1] + boxes[1][3] + 1  # and not the one at 400
    assert locate(file, 1, "| 325 mg daily, at most 9 g | 1 g daily |") == []
