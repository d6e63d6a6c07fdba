"""What a file is: by its bytes first, and by its suffix only among kinds of plain text."""

from __future__ import annotations

import re
from pathlib import PurePath

from ..errors import LockedDocument, UnsupportedFormat
from .code import LANGUAGES
from .decode import is_wide
from .office import zip_format

# Suffixes that choose between kinds of text; the bytes cannot tell these apart.
TEXT_SUFFIXES = {
    ".md": "md",
    ".markdown": "md",
    ".mdown": "md",
    ".mkd": "md",
    ".rst": "rst",
    ".rest": "rst",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".htm": "html",
    ".html": "html",
    ".xhtml": "html",
    ".eml": "eml",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
} | dict.fromkeys(LANGUAGES, "code")

_MAGIC: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes, what a person calls it
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"BM", "a bitmap picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "a sound recording"),
    (8, b"AVI ", "a video"),
    (4, b"ftyp", "a video or picture (MP4, HEIC)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska)"),
    (0, b"ID3", "a sound recording"),
    (0, b"OggS", "a sound recording"),
    (0, b"fLaC", "a sound recording"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"(\xb5/\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a rar archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a Windows program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\0asm", "a program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"GGUF", "a language model"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"\0\1\0\0\0", "a font"),
    (0, b"OTTO", "a font"),
    (0, b"%!PS", "a PostScript file"),
)
_NEVER_TEXT = frozenset(
    (".pdf", ".docx", ".pptx", ".xlsx", ".odt", ".ods", ".odp", ".epub", ".rtf")
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEAD = 65_536
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1b")) + b"\x7f"
_MOST_CONTROL = 0.05  # of the head; encrypted or compressed bytes have 0.1
# Atomic groups: a comment may hold what looks like another, and trying both ways never ends.
_COMMENT = rb"(?><!--.*?-->)\s*+"
_PROLOGUE = rb"\s*+(?:<\?xml[^>]*>\s*+)?(?:" + _COMMENT + rb")*+"
_WEB_PAGE = re.compile(_PROLOGUE + rb"<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_HTML_PART = re.compile(
    _PROLOGUE + rb"<(?:head|body|title|h1|table|div|p)\b", re.IGNORECASE | re.DOTALL
)
_XML = re.compile(rb"\s*+(?:<\?[a-z]|<!DOCTYPE\b|(?:" + _COMMENT + rb")++<[a-z])", re.DOTALL)
_HEADER = re.compile(rb"[!-9;-~]+:[ \t]?[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")
_DIRECTIVE = re.compile(rb"(?m)^\.\. (?:[a-z][\w:-]*::|_[^:\n]+:[ \t]*$)")
_UNDERLINE = re.compile(rb"(?m)^\S[^\n]*\n(={4,}|-{4,})[ \t]*$")
_MARKUP = re.compile(rb"``[^`\n]+``|:[a-z]+:`[^`\n]+`")
_MAIL_HEADERS = {
    b"from", b"to", b"cc", b"subject", b"date", b"received", b"return-path", b"message-id",
    b"mime-version", b"delivered-to", b"content-type", b"reply-to", b"sender", b"x-mozilla-status",
}  # fmt: skip


def detect(data: bytes, name: str) -> str:
    """The format of `data` ("pdf", "docx", "html" ...); `name` is the file's, for its suffix.

    Raises UnsupportedFormat, saying what the bytes seem to be, LockedDocument for an encrypted
    office file, and LimitExceeded for a zip that no honest office program writes.
    """
    head = data[:_HEAD]
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _in_zip(data)
    if head.startswith(_OLE):
        raise _old_office(data)
    suffix = PurePath(name).suffix.lower()
    if is_wide(head) is None:
        _refuse_binary(head)
        if _is_mail(head):
            return "eml"
    else:
        head = head.replace(b"\0", b"")
    kind = TEXT_SUFFIXES.get(suffix)
    markup = head.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    if markup.lstrip().startswith(b"{\\rtf"):
        return "rtf"
    if _WEB_PAGE.match(markup) or (kind not in ("md", "rst", "code") and _HTML_PART.match(markup)):
        return "html"
    if _XML.match(markup) and kind in (None, "code"):
        if b"<!ENTITY" in head:
            raise UnsupportedFormat("is XML data that declares entities, which are never expanded")
        if kind is None:
            raise UnsupportedFormat("is XML data of no kind llar reads")
    if suffix in _NEVER_TEXT:
        raise UnsupportedFormat(f"is named {suffix} but holds nothing of that kind")
    return kind or ("rst" if _is_rst(head) else "txt")


def _in_zip(data: bytes) -> str:
    found = zip_format(data)
    if found is None:
        raise UnsupportedFormat("is a zip archive, not a document; unpack it and add that")
    return found


def _old_office(data: bytes) -> UnsupportedFormat | LockedDocument:
    def named(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if named("EncryptedPackage"):
        return LockedDocument("is encrypted; open it with its password and save it without one")
    for stream, kind, new in (
        ("WordDocument", "an old Word document (.doc)", ".docx"),
        ("Workbook", "an old Excel workbook (.xls)", ".xlsx"),
        ("PowerPoint Document", "an old PowerPoint presentation (.ppt)", ".pptx"),
        ("__substg1.0_", "an Outlook message (.msg)", ".eml"),
    ):
        if named(stream):
            return UnsupportedFormat(f"is {kind}; save it as {new}")
    return UnsupportedFormat("is an OLE file of no kind llar reads")


def _refuse_binary(head: bytes) -> None:
    for offset, magic, kind in _MAGIC:
        # Two letters may begin a sentence; the longer signatures cannot.
        if head.startswith(magic, offset) and (len(magic) > 2 or not _mostly_text(head)):
            raise UnsupportedFormat(f"is {kind}")
    if head and not head.strip(b"\0"):
        raise UnsupportedFormat("holds only zero bytes")
    if not _mostly_text(head):
        raise UnsupportedFormat("is binary data of no kind llar reads")


def _mostly_text(head: bytes) -> bool:
    return len(head) - len(head.translate(None, _CONTROL)) <= _MOST_CONTROL * len(head)


def _is_mail(head: bytes) -> bool:
    """Whether the bytes begin with at least two header lines that mail programs write."""
    position = len(head) - len(head.lstrip(b"\r\n"))
    if head.startswith(b"From ", position):  # the line that mbox puts before a message
        position = head.find(b"\n", position) + 1
    known: set[bytes] = set()
    for _ in range(200):
        match = _HEADER.match(head, position)
        if match is None:
            break
        known.add(match.group().split(b":", 1)[0].lower())
        position = match.end()
    return len(known & _MAIL_HEADERS) >= 2


def _is_rst(head: bytes) -> bool:
    """Whether text is reStructuredText: a directive or target, or its markup below a heading."""
    return _DIRECTIVE.search(head) is not None or (
        _UNDERLINE.search(head) is not None and _MARKUP.search(head) is not None
    )
