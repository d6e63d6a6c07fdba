"""Archives of documents: every member read, none trusted; and passwords for what is locked."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
from email.message import EmailMessage
from pathlib import Path

import make_files
import make_pdfs
import pytest
from reportlab.lib import pdfencrypt
from reportlab.pdfgen.canvas import Canvas

from llar.config import Config
from llar.documents import load
from llar.documents.detect import detect
from llar.errors import DocumentError, LimitExceeded

pytestmark = pytest.mark.slow

CONFIG = Config(parse_workers=1)
FILES = {
    "leave.txt": b"Staff have 27 days of annual leave.",
    "rules/fire.md": b"# Fire\n\nThe alarm is tested on Mondays.",
    "rules/costs.csv": b"item,price\nGloves,12\nMasks,30\n",
}
TEXT = (
    "# leave.txt\n\nStaff have 27 days of annual leave.\n\n"
    "# rules/fire.md\n\n# Fire\n\nThe alarm is tested on Mondays.\n\n"
    "# rules/costs.csv\n\n| item | price |\n| --- | --- |\n| Gloves | 12 |\n| Masks | 30 |"
)


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2", "xz"])
def test_every_member_is_read(tmp_path: Path, kind: str) -> None:
    tar = _tar(FILES)
    data = {
        "zip": _zip(FILES),
        "tar": tar,
        "gz": gzip.compress(tar),
        "bz2": bz2.compress(tar),
        "xz": lzma.compress(tar),
    }[kind]
    file = tmp_path / "papers.bin"  # the bytes tell, not the name
    file.write_bytes(data)
    document = load(file, CONFIG)
    assert document.format == kind
    assert document.text == TEXT
    assert document.metadata == {"members": 3}
    assert document.notes == ()
    tables = [b for b in document.blocks if b.kind == "table"]
    assert [document.text[b.start : b.end].split("\n")[0] for b in tables] == ["| item | price |"]


def test_one_compressed_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(FILES["leave.txt"]))
    document = load(tmp_path / "notes.txt.gz", CONFIG)
    assert document.text == "# notes.txt\n\nStaff have 27 days of annual leave."


def test_documents_of_every_kind_and_archives_inside(tmp_path: Path) -> None:
    make_pdfs.table_pdf(tmp_path / "dosis.pdf", make_pdfs.DOSES)
    make_files.write_xlsx(tmp_path / "costs.xlsx")
    inner = _tar({"deep/dosis.pdf": (tmp_path / "dosis.pdf").read_bytes()})
    outer = _zip(
        {
            "a/inner.tgz": gzip.compress(inner),
            "costs.xlsx": (tmp_path / "costs.xlsx").read_bytes(),
            "sound.ogg": b"OggS" + bytes(60),
            "empty.txt": b"",
            "__MACOSX/._x": b"rubbish",
            ".git/config": b"rubbish",
        }
    )
    (tmp_path / "all.zip").write_bytes(outer)
    document = load(tmp_path / "all.zip", CONFIG)
    assert "# a/inner.tgz\n\n# deep/dosis.pdf\n\n" in document.text
    assert "325-650mg/4-6h o 500-1000mg/6-8h, máximo 4 g/día" in document.text
    assert "| Gloves | 2024-01-31 | 12.5% | 1234.50 € |" in document.text
    assert "rubbish" not in document.text
    assert document.notes[:2] == (
        "'sound.ogg' was not read: is a sound recording",
        "'empty.txt' was not read: is empty",
    )
    assert document.metadata == {"members": 2}


def test_depth_count_and_size_are_bounded(tmp_path: Path) -> None:
    data = FILES["leave.txt"]
    for _ in range(5):
        data = _zip({"leave.txt": FILES["leave.txt"], "inner.zip": data})
    (tmp_path / "deep.zip").write_bytes(data)
    deep = load(tmp_path / "deep.zip", CONFIG)
    assert deep.text.count("27 days") == 3
    assert deep.notes == (
        "inner.zip: inner.zip: 'inner.zip' was not read: lies more than 3 archives deep",
    )
    (tmp_path / "many.zip").write_bytes(_zip({f"{i}.txt": b"Text %d." % i for i in range(9)}))
    few = Config(parse_workers=1, archive_members=4)
    many = load(tmp_path / "many.zip", few)
    assert many.metadata == {"members": 4}
    assert many.notes == (
        "the rest of the archive was not read: holds more files than archive_members allows",
    )
    (tmp_path / "big.tgz").write_bytes(
        gzip.compress(_tar({"a.txt": b"Small.", "b.txt": b"word " * 500_000}))
    )
    big = load(tmp_path / "big.tgz", Config(parse_workers=1, archive_mb=1))
    assert big.text == "# a.txt\n\nSmall."
    assert big.notes == (
        "the rest of the archive was not read: unpacks to more than archive_mb allows",
    )


@pytest.mark.slow
def test_bombs(tmp_path: Path) -> None:
    zeros = bytes(200 << 20)
    (tmp_path / "zeros.zip").write_bytes(_zip({"zeros.txt": zeros}))
    with pytest.raises(LimitExceeded, match="unpacks to"):
        load(tmp_path / "zeros.zip", CONFIG)
    (tmp_path / "zeros.xz").write_bytes(lzma.compress(zeros, preset=0))
    with pytest.raises(LimitExceeded, match="unpacks to"):
        load(tmp_path / "zeros.xz", CONFIG)


def test_hostile_names_and_links_are_only_names(tmp_path: Path) -> None:
    names = (
        "../../etc/passwd.txt",
        "/root/x.txt",
        "C:\\a\\b.txt",
        "new\nline\x1b[31m.txt",
        "a" * 300,
    )
    (tmp_path / "names.zip").write_bytes(_zip(dict.fromkeys(names, b"Harmless text.")))
    document = load(tmp_path / "names.zip", CONFIG)
    assert document.text.count("Harmless text.") == 5
    assert "# ../../etc/passwd.txt\n" in document.text
    assert "\x1b" not in document.text
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        device = tarfile.TarInfo("null")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
        entry = tarfile.TarInfo("text.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"Text."))
    (tmp_path / "links.tar").write_bytes(out.getvalue())
    assert load(tmp_path / "links.tar", CONFIG).text == "# text.txt\n\nText."
    assert {p.name for p in tmp_path.iterdir()} == {"names.zip", "links.tar", "llar-home"}


def test_damaged_archives(tmp_path: Path) -> None:
    whole = gzip.compress(_tar({**FILES, "noise.txt": bytes(range(32, 127)) * 900}), 9)
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) - 60])
    cut = load(tmp_path / "cut.tgz", CONFIG)
    assert cut.text.startswith(TEXT)
    assert cut.notes[0].startswith("the rest of the gz archive is damaged")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"word " * 99)[:20])
    with pytest.raises(DocumentError, match="is a damaged gz archive"):
        load(tmp_path / "cut.gz", CONFIG)
    (tmp_path / "none.zip").write_bytes(_zip({"a.ogg": b"OggS" + bytes(60)}))
    with pytest.raises(DocumentError, match=r"holds nothing that can be read \('a.ogg' was not"):
        load(tmp_path / "none.zip", CONFIG)


def _locked_zip(password: bytes, name: str, data: bytes) -> bytes:
    """A zip with one member under the old zip encryption (PKWARE APPNOTE 6.1)."""
    plain = _zip({name: data}, zipfile.ZIP_STORED)
    info = zipfile.ZipFile(io.BytesIO(plain)).infolist()[0]
    keys = [0x12345678, 0x23456789, 0x34567890]
    crcs = [zipfile._gen_crc(i) for i in range(256)]  # type: ignore[attr-defined]

    def update(byte: int) -> None:
        keys[0] = (keys[0] >> 8) ^ crcs[(keys[0] ^ byte) & 0xFF]
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = (keys[2] >> 8) ^ crcs[(keys[2] ^ (keys[1] >> 24)) & 0xFF]

    for byte in password:
        update(byte)
    secret = bytearray()
    for byte in bytes(11) + bytes([info.CRC >> 24]) + data:
        k = keys[2] | 2
        secret.append(byte ^ (((k * (k ^ 1)) >> 8) & 0xFF))
        update(byte)
    start = 30 + len(name)
    raw = bytearray(plain[:start] + secret + plain[start + len(data) :])
    for place in (0, raw.find(b"PK\x01\x02")):
        flags, size = (6, 18) if place == 0 else (8, 20)
        raw[place + flags] |= 1
        raw[place + size : place + size + 4] = (len(data) + 12).to_bytes(4, "little")
    end = raw.find(b"PK\x05\x06")
    raw[end + 16 : end + 20] = raw.find(b"PK\x01\x02").to_bytes(4, "little")
    return bytes(raw)


def test_locked_members(tmp_path: Path) -> None:
    file = tmp_path / "locked.zip"
    file.write_bytes(_locked_zip(b"s3cret", "leave.txt", FILES["leave.txt"]))
    assert load(file, CONFIG, password="s3cret").text.endswith("27 days of annual leave.")
    with pytest.raises(DocumentError, match=r"is locked with a password .give it with: llar add"):
        load(file, CONFIG)
    with pytest.raises(DocumentError, match="the given password does not open it"):
        load(file, CONFIG, password="other")


def test_a_mailbox(tmp_path: Path) -> None:
    box = b""
    for subject, body in (("Leave", "27 days.\n\nFrom now on, ask Ana.\n"), ("Fire", "Mondays.\n")):
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "a@example.org", "b@x.org", subject
        message.set_content(body)
        raw = message.as_bytes().replace(b"\nFrom now", b"\n>From now")
        box += b"From a@example.org Fri Mar  1 09:15:00 2024\n" + raw + b"\n"
    assert detect(box, "inbox") == "mbox"
    (tmp_path / "inbox").write_bytes(box)
    document = load(tmp_path / "inbox", CONFIG)
    assert document.metadata == {"members": 2}
    assert "# message 1\n\n# Leave\n\n" in document.text
    assert "From now on, ask Ana." in document.text
    assert document.text.endswith("Mondays.")


def _llar(*args: str | Path, code: int = 0, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llar", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, input=said, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_password_file_opens_locked_files_and_is_kept_nowhere(home: Path, tmp_path: Path) -> None:
    (home / "llar.toml").write_text('embedder = "fake:hash"\nchat_model = "fake:quote"\n')
    folder = tmp_path / "papers"
    folder.mkdir()
    lock = pdfencrypt.StandardEncryption("Opensesame-77", canPrint=0, strength=128)
    canvas = Canvas(str(folder / "locked.pdf"), encrypt=lock)
    canvas.drawString(72, 700, "Staff have 27 days of annual leave.")
    canvas.save()
    refused = _llar("add", folder, code=3)
    assert (
        "is locked with a password (give it with: llar add --password-file FILE" in refused.stderr
    )
    (tmp_path / "secret").write_text("Opensesame-77\n")
    _llar("add", "--password-file", tmp_path / "secret", folder)
    hits = json.loads(_llar("search", "annual leave", "--json").stdout)
    assert hits[0]["text"] == "Staff have 27 days of annual leave."
    kept = [p for p in home.rglob("*") if p.is_file() and b"Opensesame-77" in p.read_bytes()]
    assert kept == []
    _llar("remove", "--all", "--yes")
    _llar("add", "--password-file", "-", folder, said="Opensesame-77\n")
    assert "holds no password" in _llar("add", "--password-file", "-", folder, code=2).stderr

    lock = pdfencrypt.StandardEncryption("Opensesame-77", canPrint=0, strength=128)
    canvas = Canvas(str(folder / "locked.pdf"), encrypt=lock)
    canvas.drawString(72, 700, "Staff have 29 days of annual leave.")
    canvas.save()
    _llar("sync", code=3)
    _llar("sync", "--password-file", tmp_path / "secret")
    hits = json.loads(_llar("search", "annual leave", "--json").stdout)
    assert [h["text"] for h in hits] == ["Staff have 29 days of annual leave."]
