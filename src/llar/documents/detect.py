"""What a file is: by its bytes first, and by its suffix only among kinds of plain text."""

from __future__ import annotations

import re
from pathlib import PurePath

from ..errors import UnsupportedFormat
from .code import LANGUAGES
from .decode import is_wide
from .legacy import ole_format
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

_PICTURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (6, b"\0\0\0\0", "bmp"),
    (8, b"WEBP", "webp"),
)
_FIRST = {"bmp": b"BM", "bz2": b"BZh", "webp": b"RIFF"}  # what also begins text, or other files
PICTURES = frozenset(kind for _, _, kind in _PICTURES)
_ARCHIVES: tuple[tuple[int, bytes, str], ...] = (
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b\x08", "gz"),
    (4, b"1AY&SY", "bz2"),
    (0, b"\xfd7zXZ\0", "xz"),
)
ARCHIVES = frozenset({"bz2", "gz", "mbox", "tar", "xz", "zip"})
_MAGIC: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes, what a person calls it
    (8, b"WAVE", "a sound recording"),
    (8, b"AVI ", "a video"),
    (4, b"ftyp", "a video or picture (MP4, HEIC)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska)"),
    (0, b"ID3", "a sound recording"),
    (0, b"OggS", "a sound recording"),
    (0, b"fLaC", "a sound recording"),
    (0, b"(\xb5/\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a rar archive"),
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
_NEXT_MAIL = re.compile(rb"\n\r?\nFrom [^\r\n]+\r?\n[!-9;-~]+:")
_MAIL_HEADERS = {
    b"from", b"to", b"cc", b"subject", b"date", b"received", b"return-path", b"message-id",
    b"mime-version", b"delivered-to", b"content-type", b"reply-to", b"sender", b"x-mozilla-status",
}  # fmt: skip


def detect(data: bytes, name: str) -> str:
    """The format of `data` ("pdf", "docx", "html" ...); `name` is the file's, for its suffix.

    Raises UnsupportedFormat, saying what the bytes seem to be, LockedDocument for an encrypted
    office file, and LimitExceeded for a zip that no honest office program writes.
    """
    return _by_signature(data) or _kind_of_text(data, name)


def _by_signature(data: bytes) -> str | None:
    head = data[:_HEAD]
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return zip_format(data) or "zip"
    if head.startswith(_OLE):
        return ole_format(data)
    for offset, magic, kind in (*_PICTURES, *_ARCHIVES):
        if head.startswith(magic, offset) and head.startswith(_FIRST.get(kind, b"")):
            return kind
    return None


def _kind_of_text(data: bytes, name: str) -> str:
    head = data[:_HEAD]
    suffix = PurePath(name).suffix.lower()
    if is_wide(head) is None:
        _refuse_binary(head)
        if _is_mail(head):
            return "mbox" if _is_mailbox(head, data) else "eml"
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


def _is_mailbox(head: bytes, data: bytes) -> bool:
    """Whether mail is a whole mailbox: it begins as one, and a second message follows."""
    return head.lstrip(b"\r\n").startswith(b"From ") and _NEXT_MAIL.search(data, 5) is not None


def _is_rst(head: bytes) -> bool:
    """Whether text is reStructuredText: a directive or target, or its markup below a heading."""
    return _DIRECTIVE.search(head) is not None or (
        _UNDERLINE.search(head) is not None and _MARKUP.search(head) is not None
    )
