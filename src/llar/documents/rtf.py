"""Rich Text Format: text, headings, lists and tables, from the format's control words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..errors import DocumentError
from .compose import Composer
from .parsed import ParsedText

_TOKEN = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,10})?[ ]?"  # a control word with its number
    rb"|\\'([0-9a-fA-F]{2})|\\([^a-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
# Groups whose content is not text: tables of fonts, pictures, hidden instructions ...
_SILENT = frozenset(
    b"fonttbl colortbl filetbl pict object themedata colorschememapping datastore latentstyles "
    b"listtable listoverridetable rsidtbl generator xmlnstbl fldinst bkmkstart bkmkend info "
    b"revtbl pntext listtext template nonshppict annotation atnid atnauthor mmathPr wgrffmtfilter "
    b"operator userprops stylesheet".split()
)
_CODE_PAGES = {  # \fcharset of a font to a codec
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gbk", 136: "big5",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_CHARACTERS = {
    b"tab": " ", b"line": "\n", b"emdash": "—", b"endash": "–", b"lquote": "‘", b"rquote": "’",
    b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•", b"emspace": " ", b"enspace": " ",
}  # fmt: skip
_HEAD = 200_000  # bytes in which the fonts and the information group stand
_DEEPEST = 2_000


@dataclass(slots=True)
class _State:
    """What a group inherits and gives back at its end."""

    silent: bool = False
    hidden: bool = False
    codec: str = "cp1252"
    skip: int = 1  # bytes that stand for a Unicode character in programs that know none
    level: int = 0  # of a heading
    in_table: bool = False
    listed: bool = False


def parse(data: bytes, name: str) -> ParsedText:
    """The visible text of an RTF file with its title, author and dates."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise DocumentError("is no RTF file: it does not begin with {\\rtf")
    reader = _Reader(dict(_fonts(data)))
    reader.read(data)
    text, blocks, _ = reader.out.finish()
    return ParsedText(
        text=text,
        blocks=blocks,
        title=_info(data, b"title"),
        author=_info(data, b"author"),
        notes=tuple(reader.notes),
    )


@dataclass(slots=True)
class _Reader:
    fonts: dict[int, str]
    out: Composer = field(default_factory=Composer)
    notes: list[str] = field(default_factory=list)
    _state: _State = field(default_factory=_State)
    _stack: list[_State] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _bytes: bytearray = field(default_factory=bytearray)  # of a code page, to be decoded together
    _skip: int = 0
    _starred: bool = False
    _row: list[str] = field(default_factory=list)
    _rows: list[list[str]] = field(default_factory=list)
    _items: list[str] = field(default_factory=list)
    _pictures: int = 0

    def read(self, data: bytes) -> None:
        """Go through all tokens once."""
        end = 0
        for match in _TOKEN.finditer(data):
            end = match.end()
            word, number, code, symbol, brace, text = match.groups()
            if word is not None:
                self._word(word, int(number) if number is not None else None)
                if word == b"bin" and number:
                    self.notes.append("binary data inside was left out")
            elif code is not None:
                self._byte(int(code, 16))
            elif symbol is not None:
                self._symbol(symbol)
            elif brace is not None:
                self._brace(brace)
            elif text is not None:
                self._plain(text)
        self._end_paragraph()
        self._end_table()
        self._end_list()
        if self._stack:
            self.notes.append("the file is cut off: some of its groups never end")
        if self._pictures:
            self.notes.append(f"pictures, which were not read: {self._pictures}")
        if not end:
            raise DocumentError("is no RTF file that can be read")

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._starred = False
        if brace == b"{":
            if len(self._stack) >= _DEEPEST:
                raise DocumentError(f"is nested more than {_DEEPEST} groups deep")
            self._stack.append(self._state)
            self._state = replace(self._state)
        elif self._stack:
            self._state = self._stack.pop()

    def _word(self, word: bytes, number: int | None) -> None:
        starred, self._starred = self._starred, False
        state = self._state
        if word == b"u" and number is not None:
            self._unicode(number)
            return
        self._flush()
        self._skip = 0
        if word in _SILENT or (starred and word not in (b"shppict", b"shpinst")):
            self._pictures += word == b"pict" and not state.silent
            state.silent = True
        elif word in _CHARACTERS:
            self._write(_CHARACTERS[word])
        elif word == b"uc":
            state.skip = number or 0
        elif word == b"ansicpg" and number:
            state.codec = _codec(f"cp{number}")
        elif word == b"f" and number is not None:
            state.codec = self.fonts.get(number, state.codec)
        elif word == b"v":
            state.hidden = number != 0
        elif not state.silent:
            self._structure(word, number)

    def _structure(self, word: bytes, number: int | None) -> None:
        state = self._state
        if word == b"pard":
            state.level, state.in_table, state.listed = 0, False, False
        elif word == b"outlinelevel" and number is not None and number < 9:
            state.level = number + 1
        elif word == b"ls" and number:
            state.listed = True
        elif word == b"intbl":
            state.in_table = True
        elif word in (b"cell", b"nestcell"):
            self._row.append("".join(self._text))
            self._text.clear()
        elif word in (b"row", b"nestrow"):
            if self._row:
                self._end_list()
                self._rows.append(self._row)
                self._row = []
        elif word in (b"par", b"sect", b"page"):
            if state.in_table and (self._row or self._text):
                self._write(" ")
            else:
                self._end_paragraph()

    def _end_paragraph(self) -> None:
        self._flush()
        text = "".join(self._text).strip()
        self._text.clear()
        if not text:
            return
        if not self._state.in_table:
            self._end_table()
        if self._state.listed:
            self._items.append("- " + " ".join(text.split("\n")))
            return
        self._end_list()
        if self._state.level:
            self.out.heading(text, self._state.level)
        else:
            self.out.text(text)

    def _end_table(self) -> None:
        if self._row:
            self._rows.append(self._row)
            self._row = []
        if self._rows:
            self.out.table(self._rows)
            self._rows = []

    def _end_list(self) -> None:
        if self._items:
            self.out.list(self._items)
            self._items = []

    def _plain(self, text: bytes) -> None:
        self._starred = False
        skipped = min(self._skip, len(text))
        self._skip -= skipped
        self._bytes += text[skipped:]

    def _byte(self, byte: int) -> None:
        if self._skip:
            self._skip -= 1
        else:
            self._bytes.append(byte)

    def _unicode(self, number: int) -> None:
        self._flush()
        self._skip = self._state.skip
        self._write(chr(number + 0x10000 if number < 0 else number))

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._starred = True
        elif symbol in (b"\\", b"{", b"}"):
            self._byte(symbol[0])
        elif symbol in (b"\r", b"\n"):
            self._word(b"par", None)
        else:
            self._flush()
            self._write({b"~": "\u00a0", b"_": "-"}.get(symbol, ""))

    def _flush(self) -> None:
        """Decode the bytes gathered in the code page of the font at hand."""
        if self._bytes:
            raw = bytes(self._bytes)
            self._bytes.clear()
            try:
                self._write(raw.decode(self._state.codec))
            except UnicodeDecodeError:
                self._write(raw.decode("cp1252", "backslashreplace"))
                self.notes.append(f"bytes that are not {self._state.codec} are shown by number")

    def _write(self, text: str) -> None:
        if not self._state.silent and not self._state.hidden:
            self._text.append(text)


def _fonts(data: bytes) -> Iterator[tuple[int, str]]:
    """The code page of each font in the font table."""
    for match in re.finditer(rb"\\f(\d{1,5})[^{};]{0,200}?\\fcharset(\d{1,3})", data[:_HEAD]):
        codec = _CODE_PAGES.get(int(match[2]))
        if codec:
            yield int(match[1]), codec


def _info(data: bytes, name: bytes) -> str | None:
    """A text of the information group, which never holds groups of its own."""
    data = data[:_HEAD]
    match = re.search(rb"\{\\info\b.*?\{\\" + name + rb" ([^{}]*)\}", data, re.DOTALL)
    if match is None:
        return None
    page = re.search(rb"\\ansicpg(\d+)", data)
    reader = _Reader({})
    reader._state.codec = _codec(f"cp{int(page[1])}") if page else "cp1252"
    reader.read(match[1])
    return reader.out.finish()[0] or None


def _codec(name: str) -> str:
    try:
        b"".decode(name)
    except LookupError:
        return "cp1252"
    return name
