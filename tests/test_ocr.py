"""Scanned PDFs and pictures: what is recognised, marked, and said where it cannot be."""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from liteparse import LiteParse
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from llar.cli import cli
from llar.config import Config
from llar.documents import load
from llar.documents.image import parse
from llar.errors import DocumentError, LimitExceeded

pytestmark = pytest.mark.slow

TESSDATA = Path("/usr/share/tesseract-ocr/5/tessdata")
WANTED = [TESSDATA / f"{name}.traineddata" for name in ("eng", "spa")]
CONFIG = Config(parse_workers=1, ocr_languages="eng+spa", tessdata=str(TESSDATA))
LINES = (
    "El paracetamol se administra cada ocho horas.",
    "La dosis máxima es de cuatro gramos al día.",
    "Los niños de menos de diez kilos reciben la mitad.",
    "La enfermera anota la hora en la hoja de la planta.",
)

needs_data = pytest.mark.skipif(
    not all(file.is_file() for file in WANTED),
    reason="needs the Debian packages tesseract-ocr-eng and tesseract-ocr-spa",
)


def _write_text(canvas: Canvas, lines: tuple[str, ...]) -> None:
    canvas.setFont("Helvetica", 14)
    for i, line in enumerate(lines):
        canvas.drawString(72, 720 - 24 * i, line)
    canvas.showPage()


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Image.Image:
    """LINES on a page, as a scanner at 200 dots per inch would see them."""
    file = tmp_path_factory.mktemp("scan") / "page.pdf"
    canvas = Canvas(str(file), pagesize=(595, 842))
    _write_text(canvas, LINES)
    canvas.save()
    (shot,) = LiteParse(dpi=200, ocr_enabled=False, quiet=True).screenshot(file)
    return Image.open(io.BytesIO(shot.image_bytes)).convert("L")


def _scanned_pdf(path: Path, *pictures: Image.Image) -> Path:
    canvas = Canvas(str(path))
    for picture in pictures:
        size = (picture.width * 0.36, picture.height * 0.36)
        canvas.setPageSize(size)
        canvas.drawImage(ImageReader(picture), 0, 0, *size)
        canvas.showPage()
    canvas.save()
    return path


def _words(text: str) -> list[str]:
    """Words without accents, which Tesseract misses now and then."""
    plain = unicodedata.normalize("NFD", text.replace("#", " "))
    return "".join(c for c in plain if not unicodedata.combining(c)).split()


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("turn", [180, 270, -7, 93])  # 0: the other tests
def test_scanned_page_whichever_way_it_lies(tmp_path: Path, scan: Image.Image, turn: int) -> None:
    turned = scan.rotate(turn, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    document = load(_scanned_pdf(tmp_path / "scan.pdf", turned), CONFIG)
    assert _words(document.text) == _words(" ".join(LINES))
    assert document.metadata["recognised"] == "1"
    assert document.language == "es"
    (note,) = document.notes
    start = "page 1: recognised text (OCR), languages eng+spa, mean confidence 0.9"
    assert note.startswith(start)


@needs_data
def test_only_pages_without_a_text_layer_are_recognised(tmp_path: Path, scan: Image.Image) -> None:
    canvas = Canvas(str(tmp_path / "mixed.pdf"), pagesize=(595, 842))
    _write_text(canvas, ("The first page has text of its own: rn m 0O 1lI.",))
    canvas.drawImage(ImageReader(scan), 0, 0, 595, 842)
    canvas.showPage()
    canvas.showPage()  # an empty page
    canvas.save()
    document = load(tmp_path / "mixed.pdf", CONFIG)
    first, second, third = (document.text[p.start : p.end] for p in document.pages)
    assert first == "The first page has text of its own: rn m 0O 1lI."
    assert _words(second) == _words(" ".join(LINES))
    assert third == ""
    assert document.metadata["recognised"] == "2"
    assert len(document.notes) == 1


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "bmp", "gif", "webp"])
def test_pictures_of_text(tmp_path: Path, scan: Image.Image, kind: str) -> None:
    file = tmp_path / f"scan.{kind}"
    scan.save(file, kind)
    document = load(file, CONFIG)
    assert document.format == kind
    assert _words(document.text) == _words(" ".join(LINES))
    assert document.metadata["recognised"] == "1"


@needs_data
@pytest.mark.slow
def test_every_page_of_a_tiff_and_the_first_frame_of_a_moving_picture(
    tmp_path: Path, scan: Image.Image
) -> None:
    pages = [scan.crop((0, 0, scan.width, 480)), scan]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    document = load(tmp_path / "two.tif", CONFIG)
    assert [p.number for p in document.pages] == [1, 2]
    assert document.metadata["recognised"] == "1-2"
    first, second = (_words(document.text[p.start : p.end]) for p in document.pages)
    assert second[: len(first)] == first == _words(" ".join(LINES))[: len(first)]
    assert len(first) >= 14
    pages[0].save(tmp_path / "moving.gif", save_all=True, append_images=[pages[0].rotate(180)])
    moving = load(tmp_path / "moving.gif", CONFIG)
    assert _words(moving.text) == first
    assert "is a moving picture: the first of its 2 frames was read" in moving.notes


def test_without_data_one_note_names_the_package(tmp_path: Path, scan: Image.Image) -> None:
    config = Config(parse_workers=1, tessdata=str(tmp_path))
    pdf = load(_scanned_pdf(tmp_path / "scan.pdf", scan), config)
    what = (
        f"pictures of text were not recognised: no Tesseract data in {str(tmp_path)!r} "
        "(install the Debian package tesseract-ocr-eng, or set tessdata)"
    )
    assert pdf.notes == (what, "page 1: no text layer (scanned?)", "no text was found in it")
    assert "recognised" not in pdf.metadata
    scan.save(tmp_path / "scan.png")
    assert load(tmp_path / "scan.png", config).notes == (what, "no text was found in it")


@needs_data
def test_a_language_that_is_not_installed_is_named(tmp_path: Path, scan: Image.Image) -> None:
    scan.save(tmp_path / "scan.png")
    config = Config(parse_workers=1, tessdata=str(TESSDATA), ocr_languages="spa+zza")
    document = load(tmp_path / "scan.png", config)
    assert _words(document.text) == _words(" ".join(LINES))
    assert "languages spa," in document.notes[0]
    assert document.notes[1].startswith("language 'zza' was not used to recognise text")
    assert "tesseract-ocr-zza" in document.notes[1]


@needs_data
def test_pages_that_there_is_no_time_for_are_named(tmp_path: Path, scan: Image.Image) -> None:
    config = Config(
        parse_workers=1, tessdata=str(TESSDATA), ocr_languages="eng+spa", ocr_seconds=0.001
    )
    document = load(_scanned_pdf(tmp_path / "three.pdf", scan, scan, scan), config)
    assert document.metadata["recognised"] == "1"
    assert "pages 2-3: not recognised, 0.001 s were used up (set ocr_seconds higher)" in (
        document.notes
    )
    assert _words(document.text) == _words(" ".join(LINES))


@needs_data
@pytest.mark.slow
def test_recognition_may_take_longer_than_parsing(tmp_path: Path, scan: Image.Image) -> None:
    config = Config(
        parse_workers=1,
        tessdata=str(TESSDATA),
        ocr_languages="eng+spa",
        parse_timeout=2.0,
        ocr_seconds=300.0,
    )
    document = load(_scanned_pdf(tmp_path / "many.pdf", *[scan] * 5), config)
    assert document.metadata["recognised"] == "1-5"


def _header_only_png(width: int, height: int) -> bytes:
    file = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for name, body in ((b"IHDR", header), (b"IDAT", b"")):
        file += struct.pack(">I", len(body)) + name + body
        file += struct.pack(">I", zlib.crc32(name + body))
    return file


def test_hostile_pictures() -> None:
    with pytest.raises(LimitExceeded, match="is a picture of 60000 x 60000 pixels"):
        parse(_header_only_png(60_000, 60_000) + bytes(99), "png", None)
    with pytest.raises(DocumentError, match="is a damaged jpeg picture"):
        parse(b"\xff\xd8\xff\xe0" + bytes(99), "jpeg", None)
    whole = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(whole, "png")
    with pytest.raises(DocumentError, match="is a damaged png picture"):
        parse(whole.getvalue()[:20_000], "png", None)


@needs_data
def test_citations_of_recognised_text_are_marked(
    home: Path, tmp_path: Path, scan: Image.Image
) -> None:
    (home / "llar.toml").write_text(
        f'embedder = "fake:hash"\nchat_model = "fake:quote"\ntessdata = "{TESSDATA}"\n'
    )
    folder = tmp_path / "papers"
    folder.mkdir()
    _scanned_pdf(folder / "dosis.pdf", scan)
    (folder / "otro.txt").write_text("El almuerzo se sirve a la una en el comedor grande.")
    _llar("add", str(folder))
    asked = _llar("ask", "¿Cuál es la dosis máxima al día?")
    assert "dosis.pdf, page 1 (recognised text): “" in asked, asked
    found = _llar("search", "¿Cuándo se sirve el almuerzo?")
    place = next(line for line in found.split("\n") if "otro.txt" in line)
    assert "(recognised text)" not in place


def _llar(*args: str) -> str:
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    return done.stdout


@needs_data
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["linn.png", "rotated_skew.pdf"])  # more: bench ocr
def test_a_real_scan_against_its_text(data: Path, name: str) -> None:
    truth = Counter(_words((data / "scans" / "linn.txt").read_text(encoding="utf-8")))
    document = load(data / "scans" / name, Config(parse_workers=1, tessdata=str(TESSDATA)))
    found = Counter(_words(document.text))
    assert (truth & found).total() / truth.total() >= 0.93
    assert (truth & found).total() / found.total() >= 0.93
