"""Outlook messages, old office files, and text in every common encoding."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import olefile
import pytest
import xlwt

from llar.config import Config
from llar.documents import load
from llar.documents.decode import decode, is_wide
from llar.documents.detect import detect
from llar.documents.legacy import parse_xls
from llar.documents.msg import parse, unpack_rtf
from llar.documents.reading import Limits
from llar.errors import DocumentError, UnsupportedFormat

pytestmark = pytest.mark.slow

CONFIG = Config(parse_workers=1)
LIMITS = Limits(max_bytes=512 << 20)
_END = 0xFFFFFFFE  # of a chain of sectors
Tree = dict[str, "bytes | Tree"]


def _ole(tree: Tree) -> bytes:
    """A compound file of 512-byte sectors that holds `tree` ([MS-CFB])."""
    entries: list[tuple[str, int, bytes, list[int]]] = []

    def walk(name: str, kind: int, held: bytes | Tree) -> int:
        place = len(entries)
        children: list[int] = []
        entries.append((name, kind, held if isinstance(held, bytes) else b"", children))
        if isinstance(held, dict):
            ordered = sorted(held.items(), key=lambda i: (len(i[0]), i[0].upper()))
            children += [walk(n, 2 if isinstance(h, bytes) else 1, h) for n, h in ordered]
        return place

    walk("Root Entry", 5, tree)
    fat: list[int] = []
    body = bytearray()

    def store(data: bytes, size: int, chain: list[int], into: bytearray) -> int:
        count = -(-len(data) // size)
        start = len(chain) if count else _END
        chain += [*range(len(chain) + 1, len(chain) + count), _END] if count else []
        into += data.ljust(size * count, b"\0")
        return start

    small: list[int] = []  # streams below 4096 bytes live in one stream, in sectors of 64 bytes
    small_body = bytearray()
    starts = [
        store(data, 64, small, small_body) if len(data) < 4096 else store(data, 512, fat, body)
        for _, _, data, _ in entries
    ]
    starts[0] = store(bytes(small_body), 512, fat, body)
    sizes = [len(small_body), *(len(data) for _, _, data, _ in entries[1:])]
    small_table = b"".join(struct.pack("<I", n) for n in small)
    small_table += b"\xff" * (-len(small_table) % 512)
    first_small = store(small_table, 512, fat, body)
    siblings = [0xFFFFFFFF] * len(entries)
    for *_, children in entries:
        for left, right in pairwise(children):
            siblings[left] = right
    directory = bytearray()
    for i, (name, kind, _, children) in enumerate(entries):
        raw = name.encode("utf-16-le") + b"\0\0"
        child = children[0] if children else 0xFFFFFFFF
        directory += raw.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ", len(raw), kind, 1, 0xFFFFFFFF, siblings[i], child, b"", 0, 0, 0,
            starts[i], sizes[i],
        )  # fmt: skip
    directory += bytes(-len(directory) % 512)
    first_directory = store(bytes(directory), 512, fat, body)
    sectors = 1
    while sectors * 128 < len(fat) + sectors:
        sectors += 1
    first_fat = len(fat)
    fat += [0xFFFFFFFD] * sectors
    table = b"".join(struct.pack("<I", n) for n in fat).ljust(sectors * 512, b"\xff")
    header = olefile.MAGIC + bytes(16) + struct.pack(
        "<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, sectors, first_directory, 0, 4096,
        first_small, len(small_table) // 512, _END, 0, first_fat,
    )  # fmt: skip
    for n in range(1, 109):
        header += struct.pack("<I", first_fat + n if n < sectors else 0xFFFFFFFF)
    return bytes(header + body + table)


def _numbers(header: int, code_page: int = 0, sent: datetime | None = None) -> bytes:
    out = bytearray(header)
    if code_page:
        out += struct.pack("<HHIII", 3, 0x3FFD, 0, code_page, 0)
    if sent:
        ticks = round((sent - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000
        out += struct.pack("<HHIQ", 0x40, 0x0039, 0, ticks)
    return bytes(out)


def _wide(**properties: str) -> Tree:
    return {
        f"__substg1.0_{tag.removeprefix('p')}001F": text.encode("utf-16-le")
        for tag, text in properties.items()
    }


# The example of [MS-OXRTFCP] 4.1.1, and what it says this unpacks to.
_PACKED = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232"
    "0af32068656c090020627705b06c647d0a800fa0"
)
_UNPACKED = b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_message_with_attachments_and_a_message_inside() -> None:
    inner: Tree = {
        **_wide(p0037="Inner subject", p1000="Inner body."),
        "__properties_version1.0": _numbers(24),
    }
    sent = datetime(2024, 3, 1, 9, 15, tzinfo=UTC)
    message = _ole(
        {
            **_wide(p0037="Reunió de març", p0C1A="Jordi Mas", p0C1F="jordi@example.org"),
            **_wide(p0E04="Ana <ana@example.org>", p1000="Hola,\r\n\r\nÉs dijous.\r\n"),
            "__properties_version1.0": _numbers(32, 65001, sent),
            "__attach_version1.0_#00000000": {
                **_wide(p3707="notes.txt"),
                "__substg1.0_37010102": b"27 days of leave.",
                "__properties_version1.0": _numbers(8),
            },
            "__attach_version1.0_#00000001": {
                **_wide(p3001="Inner"),
                "__substg1.0_3701000D": inner,
                "__properties_version1.0": _numbers(8),
            },
            "__attach_version1.0_#00000002": {
                **_wide(p3707="x.ogg"),
                "__substg1.0_37010102": b"OggS" + bytes(60),
                "__properties_version1.0": _numbers(8),
            },
        }
    )
    assert detect(message, "a") == "msg"
    parsed = parse(message, LIMITS)
    assert parsed.text == (
        "# Reunió de març\n\nFrom: Jordi Mas <jordi@example.org>\nTo: Ana <ana@example.org>\n"
        "Date: 2024-03-01T09:15:00+00:00\nSubject: Reunió de març\n\nHola,\n\nÉs dijous.\n\n"
        "# notes.txt\n\n27 days of leave.\n\n"
        "# Inner\n\n# Inner subject\n\nSubject: Inner subject\n\nInner body."
    )
    assert (parsed.title, parsed.created) == ("Reunió de març", "2024-03-01T09:15:00+00:00")
    assert parsed.author == "Jordi Mas <jordi@example.org>"
    assert parsed.notes == (
        "attachment 'notes.txt' (17 bytes) was read as txt",
        "attachment 'Inner' was read as msg",
        "attachment 'x.ogg' (64 bytes) was not read: is a sound recording",
    )


def test_html_and_rich_bodies_and_code_pages() -> None:
    html = _ole(
        {
            "__substg1.0_0037001E": "Отчёт".encode("cp1251"),
            "__substg1.0_10130102": "<p>Доза <b>4 г</b></p>".encode("cp1251"),
            "__properties_version1.0": _numbers(32, 1251)
            + struct.pack("<HHIII", 3, 0x3FDE, 0, 1251, 0),
        }
    )
    assert parse(html, LIMITS).text == "# Отчёт\n\nSubject: Отчёт\n\nДоза 4 г"
    rich = _ole(
        {
            **_wide(p0037="Rich"),
            "__substg1.0_10090102": _PACKED,
            "__properties_version1.0": _numbers(32),
        }
    )
    assert parse(rich, LIMITS).text == "# Rich\n\nSubject: Rich\n\nhello world"


def test_compressed_rtf() -> None:
    assert unpack_rtf(_PACKED) == _UNPACKED
    # [MS-OXRTFCP] 4.2: a run that reaches into what it writes itself.
    run = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert unpack_rtf(run) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    plain = struct.pack("<IIII", 17, 5, 0x414C454D, 0) + b"{\\rt}"
    assert unpack_rtf(plain) == b"{\\rt}"


@pytest.mark.parametrize("cut", [100, 600, 1500])
def test_damaged_messages(cut: int) -> None:
    whole = _ole({**_wide(p0037="S", p1000="Body"), "__properties_version1.0": _numbers(32)})
    with pytest.raises(DocumentError):
        parse(whole[:cut], LIMITS)


@pytest.mark.data
def test_messages_made_elsewhere(data: Path) -> None:
    file = data / "formats" / "email" / "sources" / "msg_with_attachment.msg"
    document = load(file, CONFIG)
    assert document.title == "Email with Attachment"
    assert document.created == "2026-05-20T10:30:00+00:00"
    assert "# test.txt\n\nThis is a test attachment file." in document.text
    assert "attachment 'report.pdf' (26 bytes) was not read" in document.notes[1]


def test_old_workbook(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Costs")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    percent = xlwt.easyxf(num_format_str="0.0%")
    for column, title in enumerate(("Item", "Bought", "Share", "Units", "Stock")):
        sheet.write(0, column, title)
    sheet.write(1, 0, "Guantes")
    sheet.write(1, 1, date(2024, 1, 31), day)
    sheet.write(1, 2, 0.125, percent)
    sheet.write(1, 3, 1200)
    sheet.write(1, 4, True)
    sheet.write_merge(2, 3, 0, 0, "Máscaras")
    sheet.write(2, 3, 7.5)
    sheet.write(3, 3, -2)
    book.add_sheet("Empty")
    book.save(str(tmp_path / "costs.xls"))
    document = load(tmp_path / "costs.xls", CONFIG)
    assert document.format == "xls"
    assert document.text == (
        "# Costs\n\n| Item | Bought | Share | Units | Stock |\n| --- | --- | --- | --- | --- |\n"
        "| Guantes | 2024-01-31 | 12.5% | 1200 | TRUE |\n"
        "| Máscaras |  |  | 7.5 |  |\n| Máscaras |  |  | -2 |  |"
    )
    data = (tmp_path / "costs.xls").read_bytes()
    with pytest.raises(DocumentError, match="damaged Excel workbook"):
        parse_xls(data[:2000], "cut.xls")


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("WordDocument", "is an old Word document (.doc); convert it with: soffice --headless"),
        ("PowerPoint Document", "--convert-to pptx FILE"),
        ("Something", "is an OLE file of no kind llar reads"),
    ],
)
def test_old_documents_name_their_remedy(stream: str, words: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        detect(_ole({stream: b"x"}), "a.doc")
    assert words in caught.value.message


JAPANESE = (
    "薬は一日三回、食後に飲んでください。最大量は一日四グラムです。"
    "看護師は毎朝、薬の一覧を確認します。足りないものはすぐに注文されます。"
)
SIMPLE = (
    "药物每天服用三次,饭后服用。最大剂量为每天四克。护士每天早上检查药品清单。"
    "缺少的药品会立即订购。"
)
TRADITIONAL = (
    "藥物每天服用三次,飯後服用。最大劑量為每天四克。護士每天早上檢查藥品清單。"
    "缺少的藥品會立即訂購。"
)
KOREAN = (
    "약은 하루에 세 번 식사 후에 복용하십시오. 최대 용량은 하루 4그램입니다. "
    "간호사는 매일 아침 약 목록을 확인합니다."
)
RUSSIAN = (
    "Лекарство принимают три раза в день после еды. Максимальная доза составляет четыре грамма "
    "в сутки. Медсестра каждое утро проверяет список."
)
ARABIC = (
    "يؤخذ الدواء ثلاث مرات في اليوم بعد الطعام. الجرعة القصوى هي أربعة غرامات في اليوم. "
    "تراجع الممرضة القائمة كل صباح."
)
HEBREW = (
    "התרופה נלקחת שלוש פעמים ביום אחרי האוכל. המינון המרבי הוא ארבעה גרם ביום. "
    "האחות בודקת את הרשימה בכל בוקר."
)
GREEK = "Το φάρμακο λαμβάνεται τρεις φορές την ημέρα. Η μέγιστη δόση είναι τέσσερα γραμμάρια."
HUNGARIAN = (
    "A gyógyszert naponta háromszor, étkezés után kell bevenni. A legnagyobb adag négy gramm "
    "naponta. A nővér minden reggel ellenőrzi a hűtőt és az őrlőt."
)
SPANISH = "La dosis máxima es de cuatro gramos al día; los niños reciben la mitad, según el médico."
ENCODINGS = {
    "shift_jis": JAPANESE, "euc_jp": JAPANESE, "iso2022_jp": JAPANESE, "gb18030": SIMPLE,
    "big5": TRADITIONAL, "euc_kr": KOREAN, "koi8_r": RUSSIAN,
    "cp1251": RUSSIAN, "cp1256": ARABIC, "iso8859-6": ARABIC, "iso8859-8": HEBREW,
    "cp1255": HEBREW, "iso8859-7": GREEK, "cp1250": HUNGARIAN, "iso8859-2": HUNGARIAN,
    "cp1252": SPANISH, "mac_roman": SPANISH, "cp437": SPANISH,
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_that_nothing_declares(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "text.txt").write_bytes(ENCODINGS[encoding].encode(encoding))
    document = load(tmp_path / "text.txt", CONFIG)
    assert document.text == ENCODINGS[encoding]
    assert len(document.notes) == 1
    assert "read as" in document.notes[0]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", [JAPANESE, SIMPLE, KOREAN, RUSSIAN, ARABIC, HEBREW, GREEK, SPANISH]
)
def test_wide_text_without_a_mark(tmp_path: Path, encoding: str, text: str) -> None:
    (tmp_path / "text.txt").write_bytes(text.encode(encoding))
    document = load(tmp_path / "text.txt", CONFIG)
    assert document.text == text
    assert document.notes == (f"no byte order mark; read as {encoding}",)


def test_what_is_not_wide() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", RUSSIAN * 9)
    assert is_wide(archive.getvalue()) is None
    assert is_wide(bytes(range(256)) * 16) is None
    assert is_wide(b"Plain text with a stray \x01 and a \x02 in it, twice: \x01.") is None
    assert decode(b"Plain text with a stray \x01.")[1] == ("1 control characters were left out",)


def test_right_to_left_text_keeps_its_logical_order(tmp_path: Path) -> None:
    page = f'<html dir="rtl"><body><h1>הוראות</h1><p>{HEBREW}</p><p>{ARABIC}</p></body></html>'
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    document = load(tmp_path / "page.html", CONFIG)
    assert document.text == f"# הוראות\n\n{HEBREW}\n\n{ARABIC}"
