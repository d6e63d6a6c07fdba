"""What a file is, by its bytes; what is refused, and in which words."""

from __future__ import annotations

import re
from pathlib import Path

import make_files
import pytest

from llar.documents.detect import detect
from llar.documents.reading import recognise
from llar.errors import DocumentError, UnsupportedFormat


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"%PDF-1.7\n...", "report.txt", "pdf"),
        (b"\n\n%PDF-1.4", "x", "pdf"),
        (b"<!DOCTYPE html><title>x</title>", "x.txt", "html"),
        (b"\xef\xbb\xbf  <html><body>", "x", "html"),
        ("\ufeff<html><body>".encode("utf-16-be"), "x", "html"),
        (b'<?xml version="1.0"?>\n<!-- c -->\n<!DOCTYPE html PUBLIC "x"><html>', "x", "html"),
        (b"<p align=center>Badge</p>\n\n# Title", "README.md", "md"),
        (b"<p align=center>Badge</p>\n\n# Title", "README", "html"),
        (b"From: a@x\nTo: b@x\nSubject: s\n\nHello", "message", "eml"),
        (b"Return-Path: <a>\r\nReceived: by x\r\n\tfor y\r\nSubject: s\r\n\r\n", "m.txt", "eml"),
        (b"Subject: a poem\n\nby me", "poem.txt", "txt"),
        (b"a,b\n1,2\n", "x.csv", "csv"),
        (b"a\tb\n", "x.tsv", "csv"),
        (b"# Title\n", "x.md", "md"),
        (b"Title\n=====\n\n.. note:: x\n", "x.txt", "rst"),
        (b"Title\n=====\n\nUse ``x``.\n", "x.txt", "rst"),
        (b"Title\n=====\n\nplain\n", "x.txt", "txt"),
        (b"BMW and Mercedes", "x", "txt"),
        (b"MZ is what a program begins with", "x", "txt"),
        ("Añade 60 mg".encode("latin-1"), "x.TXT", "txt"),
        ("Añade 60 mg".encode("utf-16-le"), "x.txt", "txt"),
        (b"one\x00zero in a long line of text " * 9, "x.txt", "txt"),
    ],
)
def test_recognised(data: bytes, name: str, kind: str) -> None:
    assert detect(data, name) == kind


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x7fELF" + bytes(99), "a program"),
        (b"MZ" + bytes(99), "a Windows program"),
        (b"SQLite format 3\x00" + bytes(99), "an SQLite database"),
        (bytes(1000), "only zero bytes"),
        (bytes(range(256)) * 20, "binary data"),
        (b'<?xml version="1.0"?><data/>', "XML data of no kind"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "never expanded"),
    ],
)
def test_refused(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=re.escape(words)):
        detect(data, "file.bin")


def test_suffix_does_not_hide_what_a_file_is(tmp_path: Path) -> None:
    make_files.write_pptx(tmp_path / "a.pptx")
    assert recognise((tmp_path / "a.pptx").read_bytes(), "a.csv") == "pptx"


def test_comments_do_not_take_forever() -> None:
    assert detect(b"<!-- a -->" * 6_000 + b"text", "x") == "txt"
    assert detect(b"<!-- a -->" * 6_000 + b"<html>", "x") == "html"


def test_text_cannot_pass_for_a_pdf() -> None:
    with pytest.raises(UnsupportedFormat, match=r"named \.pdf but holds nothing of that kind"):
        detect(b"plain text", "a.PDF")


def test_empty_file_is_said_to_be_empty() -> None:
    with pytest.raises(DocumentError, match=r"^is empty$"):
        recognise(b"", "a.txt")
