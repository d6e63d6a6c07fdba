"""Bytes to text: which encoding, and which characters may not go on."""

from __future__ import annotations

import codecs
import re
from unicodedata import category

from ..errors import DocumentError

_MARKS = (  # longest first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Control characters other than tab and line feed, lone surrogates and the two noncharacters
# that stand for a reversed byte order mark: none can be searched for or shown.
_UNUSABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85]")
_WIDE_SAMPLE = 4096
_WESTERN = {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}
_NEVER = bytes({*range(9), *range(14, 27), *range(28, 32)})  # never in text of single bytes
_PRINTED = bytes(range(32, 127)) + b"\t\n\r"
_USUAL = re.compile(  # scripts that files are written in; three fifths of all characters
    "[\\t\\n\\r -~\u00a0-\u06ff\u0900-\u0eff\u10a0-\u11ff\u1e00-\u1fff\u2010-\u205e\u20a0-\u22ff"
    "\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
_SPACES = "\t\n\r\x0b\x0c"
_JAPANESE = (b"\x1b$B", b"\x1b$@")  # how ISO-2022-JP, seven bits wide, begins a run of its own


def decode(data: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The text in `data` with "\\n" line ends, and notes on what had to be assumed or left out.

    Tried in turn: byte order mark, `declared` (a charset the file names), strict UTF-8, UTF-16
    or UTF-32 without a mark, and what the bytes are most like (chardet). Nothing is replaced:
    raises DocumentError where no encoding fits the bytes.
    """
    text, notes = _decode(data, declared)
    text = _LINE_ENDS.sub("\n", text)
    text, removed = _UNUSABLE.subn("", text)
    if removed:
        notes.append(f"{removed} control characters were left out")
    own = text.count("\ufffd")
    if own:
        notes.append(f"{own} characters were already lost (U+FFFD) in the file itself")
    return text, tuple(notes)


def usable(text: str) -> tuple[str, int]:
    """`text` with every unusable character as one space, and how many there were.

    The length stays, so offsets into the text stay true.
    """
    return _UNUSABLE.subn(" ", text)


def is_wide(data: bytes) -> str | None:
    """The UTF-16 or UTF-32 flavour of `data`, by its mark or by where its zero bytes are."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return None if name == "utf-8" else name
    head = data[: _WIDE_SAMPLE - _WIDE_SAMPLE % 4]
    if len(head) < 4 or not head.strip(b"\0") or len(head.translate(None, _NEVER)) == len(head):
        return None
    zeros = [head[lane::4].count(0) / len(head[lane::4]) for lane in range(4)]
    full, none = 0.7, 0.2  # Western text: nearly all high bytes are 0, hardly any low byte is
    if any(none < share <= full for share in zeros):
        return _likeliest_wide(head)
    shape = "".join("0" if share > full else "x" for share in zeros)
    return _WESTERN.get(shape) or _likeliest_wide(head)


def _likeliest_wide(head: bytes) -> str | None:
    """The flavour in which bytes that no single-byte text holds make sense in any script.

    In the wrong order of bytes they hardly ever do: letters scatter over all of Unicode, among
    them characters that do not exist. Single-byte text with a few stray bytes is mostly ASCII.
    """
    strays = len(head) - len(head.translate(None, _NEVER))
    ascii_only = len(head) - len(head.translate(None, _PRINTED))
    if strays < 0.01 * len(head) or ascii_only > 0.7 * len(head):
        return None
    found: list[tuple[float, str]] = []
    for name in _WESTERN.values():
        try:
            text = codecs.getincrementaldecoder(name)().decode(head)  # it may end in mid-character
        except UnicodeDecodeError:
            continue
        if not text:
            continue
        strange = sum(c not in _SPACES and category(c) in ("Cc", "Cn", "Co", "Cs") for c in text)
        usual = len(_USUAL.findall(text)) / len(text)
        if strange <= 0.005 * len(text) and usual > 0.9:
            found.append((usual, name))
    return max(found, default=(0.0, None))[1]


def _decode(data: bytes, declared: str | None) -> tuple[str, list[str]]:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _strictly(data[len(mark) :], name), []
    notes: list[str] = []
    if declared:
        text = _as_declared(data, declared)
        if text is not None:
            return text, notes
        notes.append(f"the file is not in the encoding it names ({declared!r})")
    wide = is_wide(data)
    if wide:
        return _strictly(data, wide), [*notes, f"no byte order mark; read as {wide}"]
    if any(escape in data for escape in _JAPANESE) and data.isascii():
        text = _as_declared(data, "iso2022_jp_2")
        if text is not None:
            return text, [*notes, "no encoding declared; read as ISO-2022-JP, by its escapes"]
    try:
        return data.decode("utf-8"), notes
    except UnicodeDecodeError:
        text, name = _likeliest(data)
        return text, [
            *notes,
            f"no encoding declared; read as {name}, which its bytes are most like",
        ]


def _strictly(data: bytes, name: str) -> str:
    try:
        return data.decode(name)
    except UnicodeDecodeError as e:
        raise DocumentError(
            f"is marked as {name} but byte {e.start} does not fit it ({e.reason})"
        ) from e


def _as_declared(data: bytes, declared: str) -> str | None:
    name = declared.strip().strip("\"'").lower()
    # Browsers read these labels as windows-1252, and authors mean what their browser shows
    # (encoding.spec.whatwg.org, "Names and labels").
    if name in ("iso-8859-1", "iso8859-1", "latin1", "latin-1", "us-ascii", "ascii"):
        name = "cp1252"
    # A page that could be read far enough to find "utf-16" in it is not UTF-16 (same place).
    if name.startswith(("utf-16", "utf16", "utf-32", "utf32")) and is_wide(data) is None:
        return None
    try:
        return data.decode(name)
    except (LookupError, UnicodeError):
        return None


def _likeliest(data: bytes) -> tuple[str, str]:
    import chardet

    seen = chardet.detect(data)["encoding"]
    names = [seen] if seen else []
    if seen is None or seen.lower() in ("iso-8859-1", "windows-1252", "ascii", "utf-8"):
        names.insert(0, "cp1252")
    for name in names:
        try:
            return data.decode(name), name
        except (LookupError, UnicodeError):
            continue
    raise DocumentError("is text in an encoding that could not be recognised; save it as UTF-8")
