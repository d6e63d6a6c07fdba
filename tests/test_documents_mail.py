"""E-mail messages: headers, the better body, attachments."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import make_files
import make_pdfs
import pytest

from llar.config import Config
from llar.documents import load
from llar.documents.mail import parse
from llar.documents.reading import Limits, read_document
from llar.errors import DocumentError

pytestmark = pytest.mark.slow

CONFIG = Config(parse_workers=1)
LIMITS = Limits(max_bytes=512 << 20)


def test_message_with_attachments(tmp_path: Path) -> None:
    make_files.write_xlsx(tmp_path / "costs.xlsx")
    make_files.write_eml(
        tmp_path / "a.eml",
        {"costos.xlsx": (tmp_path / "costs.xlsx").read_bytes(), "x.bin": bytes(range(256)) * 9},
    )
    document = read_document(tmp_path / "a.eml", LIMITS)
    assert document.text.startswith(
        "# Reunió de març – canvis\n\nFrom: Jordi Mas <jordi@example.org>\n"
        "To: Ana <ana@example.org>, Leo <leo@example.org>\nDate: Fri, 01 Mar 2024 09:15:00 +0000\n"
        "Subject: Reunió de març – canvis\n\nHola,\n\nLa reunió és dijous.\n\n"
        "# costos.xlsx\n\n# Costs"
    )
    assert "| Gloves | 2024-01-31 | 12.5% | 1234.50 € |" in document.text
    assert document.title == "Reunió de març – canvis"
    assert document.author == "Jordi Mas <jordi@example.org>"
    assert document.created == "2024-03-01T09:15:00+00:00"
    assert document.metadata == {
        "from": "Jordi Mas <jordi@example.org>",
        "to": "Ana <ana@example.org>, Leo <leo@example.org>",
        "date": "2024-03-01T09:15:00+00:00",
        "subject": "Reunió de març – canvis",
    }
    assert document.notes[0].startswith("attachment 'costos.xlsx' (")
    assert document.notes[0].endswith("was read as xlsx")
    assert document.notes[-1] == (
        "attachment 'x.bin' (2304 bytes) was not read: is binary data of no kind llar reads"
    )


def test_pdf_under_any_name_and_as_an_attachment(tmp_path: Path) -> None:
    make_pdfs.table_pdf(tmp_path / "dosis.pdf", make_pdfs.DOSES)
    direct = load(tmp_path / "dosis.pdf", CONFIG)
    data = (tmp_path / "dosis.pdf").read_bytes()
    (tmp_path / "renamed.txt").write_bytes(data)
    renamed = load(tmp_path / "renamed.txt", CONFIG)
    assert (renamed.format, renamed.text, renamed.blocks) == ("pdf", direct.text, direct.blocks)
    make_files.write_eml(tmp_path / "a.eml", {"dosis.pdf": data})
    mail = load(tmp_path / "a.eml", CONFIG)
    assert mail.text.endswith(f"# dosis.pdf\n\n{direct.text}")
    assert "máximo 60mg/kg/día" in mail.text


def test_html_body_and_attached_messages_to_a_depth() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", "level 0"
    message.set_content("<h2>Plan</h2><p>Only <b>HTML</b>.</p>", subtype="html")
    for level in range(1, 5):
        outer = EmailMessage()
        outer["From"], outer["Subject"] = "a@example.org", f"level {level}"
        outer.set_content("body of " + outer["Subject"])
        outer.add_attachment(message, filename=f"level{level - 1}.eml")
        message = outer
    parsed = parse(message.as_bytes(), LIMITS)
    for level in (4, 3, 2):
        assert f"body of level {level}" in parsed.text
    assert "body of level 1" not in parsed.text
    assert any("lies too many files deep" in note for note in parsed.notes)
    innermost = (
        b"From: a@x\nSubject: s\nContent-Type: text/html\n\n<h2>Plan</h2><p>Only <b>H</b>.</p>"
    )
    assert parse(innermost, LIMITS).text.endswith("## Plan\n\nOnly H.")


def test_broken_messages_still_give_their_text() -> None:
    raw = (
        b"From: =?utf-8?q?caf=C3=A9?= <a@x>\nSubject: =?iso-8859-1?Q?=E1?= =?nonsense?X?y?=\n"
        b"Date: yesterday\nTo: \xe9\xe8 <b@x>\nContent-Type: text/plain; charset=klingon\n\n"
        b"caf\xc3\xa9\n"
    )
    parsed = parse(raw, LIMITS)
    assert "café <a@x>" in parsed.text
    assert parsed.text.endswith("café")
    assert parsed.created is None
    assert any("'yesterday' is no date" in note for note in parsed.notes)
    assert any("'klingon'" in note for note in parsed.notes)


def test_cut_off_multipart_and_no_mail_at_all() -> None:
    cut = (
        b"From: a@x\nSubject: cut\nContent-Type: multipart/mixed; boundary=B\n\n--B\n"
        b"Content-Type: text/plain\n\nfirst part\n"
    )
    assert "first part" in parse(cut, LIMITS).text
    with pytest.raises(DocumentError, match="none of the usual headers"):
        parse(b"\n\nplain text", LIMITS)
