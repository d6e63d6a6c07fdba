"""reStructuredText: the file's text with its tables as Markdown tables, and blocks found in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..records import Block, BlockKind
from .captions import is_caption
from .decode import decode
from .markdown_table import render
from .parsed import ParsedText
from .rst_tables import csv_table, grid_table, list_table, simple_table

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_DIRECTIVE = re.compile(r"([ \t]*)\.\.[ \t]+([A-Za-z][\w:.-]*)::(?:[ \t]+(.*))?$")
_EXPLICIT = re.compile(r"[ \t]*\.\.(?:[ \t]|$)")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|(?:\d{1,3}|#|[a-zA-Z])[.)]|\((?:\d{1,3}|[a-zA-Z])\))[ \t]+\S")
_GRID = re.compile(r"[ \t]*\+(?:[-=]+\+)+[ \t]*$")
_SIMPLE = re.compile(r"[ \t]*={2,}(?:[ \t]+={2,})+[ \t]*$")
_FIELD = re.compile(r":([^:\n]+):(?:[ \t]+(.*))?$")
_CODE = frozenset(
    ("code", "code-block", "sourcecode", "console", "parsed-literal", "highlight", "literalinclude",
     "doctest", "testcode", "testoutput", "prompt", "ipython", "productionlist", "math")
)  # fmt: skip
_TABLES = frozenset(("list-table", "csv-table", "table"))


def parse(data: bytes, name: str) -> ParsedText:
    """Headings by their rules, code, lists, paragraphs; grid, simple, list and CSV tables."""
    text, notes = decode(data)
    reader = _Reader(text.split("\n"))
    reader.read()
    return ParsedText(
        text="\n".join(reader.out),
        blocks=tuple(reader.blocks),
        title=reader.title,
        author=reader.fields.get("author") or reader.fields.get("authors"),
        created=reader.fields.get("date"),
        metadata=reader.fields,
        notes=notes,
    )


@dataclass(slots=True)
class _Reader:
    """Goes through the lines once, copying them out; only tables are written anew."""

    lines: list[str]
    out: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    title: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    _length: int = 0  # of the text in `out`, with a line end behind each line
    _levels: list[str] = field(default_factory=list)  # adornment styles, highest heading first
    _literal: int | None = None  # indentation of the paragraph that ended in "::"
    _above: str | None = None  # a paragraph that reads like a caption, right above

    def read(self) -> None:
        """Read all lines."""
        at = 0
        while at < len(self.lines):
            if not self.lines[at].strip():
                self._copy(1, at)
                at += 1
                continue
            at = self._block(at)

    def _block(self, at: int) -> int:
        """Read one block that begins at a line; returns the line after it."""
        line = self.lines[at]
        indent = _indent(line)
        literal, self._literal = self._literal, None
        above, self._above = self._above, None
        if literal is not None and indent > literal:
            return self._emit("code", at, self._deeper(at, literal))
        heading = self._heading(at)
        if heading:
            return heading
        directive = _DIRECTIVE.match(line)
        if directive:
            return self._directive(at, directive)
        if _GRID.match(line) or _SIMPLE.match(line):
            return self._drawn_table(at, above)
        if _ITEM.match(line):
            return self._list(at)
        return self._paragraph(at)

    def _heading(self, at: int) -> int:
        """A heading with a rule below, or above and below; 0 where there is none."""
        line = self.lines[at]
        over = _ADORNMENT.match(line)
        if over and at + 2 < len(self.lines):
            text, under = self.lines[at + 1], self.lines[at + 2]
            if text.strip() and under.rstrip() == line.rstrip() and _has_word(text):
                return self._add_heading(at, at + 3, text, line.strip()[0] * 2)
        if at + 1 < len(self.lines) and not line[:1].isspace() and _has_word(line):
            under = self.lines[at + 1].rstrip()
            if _ADORNMENT.match(under) and len(under) >= min(len(line.rstrip()), 4):
                return self._add_heading(at, at + 2, line, under[0])
        return 0

    def _add_heading(self, at: int, end: int, text: str, style: str) -> int:
        if style not in self._levels:
            self._levels.append(style)
        if self.title is None:
            self.title = text.strip()
        return self._emit("heading", at, end, level=min(self._levels.index(style) + 1, 6))

    def _directive(self, at: int, match: re.Match[str]) -> int:
        indent, name, argument = _indent(self.lines[at]), match[2].lower(), match[3] or ""
        end = self._deeper(at, indent)
        if name in _CODE:
            return self._emit("code", at, end)
        body = self.lines[at + 1 : end]
        if name in _TABLES:
            rows = self._table_rows(name, body)
            if rows:
                caption = argument.strip() or None
                if caption:
                    self._write(caption, "text")
                    self._blank()
                self._write(render(rows), "table", caption)
                return end
        # Other directives (note, versionadded, a class's description) frame ordinary content.
        head = min(self._paragraph_end(at), end)
        self._emit("text", at, head)
        self._ends_in_colons(head - 1)
        return head

    def _table_rows(self, name: str, body: list[str]) -> list[list[str]]:
        if name == "list-table":
            return list_table(body)
        if name == "csv-table":
            return csv_table(body)
        drawn = [line for line in body if not _FIELD.match(line.strip())]
        while drawn and not drawn[0].strip():
            drawn.pop(0)
        if not drawn:
            return []
        if _GRID.match(drawn[0]):
            return grid_table(_trimmed(drawn))
        return simple_table(_trimmed(drawn)) if _SIMPLE.match(drawn[0]) else []

    def _drawn_table(self, at: int, caption: str | None) -> int:
        if _GRID.match(self.lines[at]):
            end = at
            while end < len(self.lines) and self.lines[end].lstrip()[:1] in ("+", "|"):
                end += 1
            rows = grid_table(self.lines[at:end])
        else:
            end = self._simple_end(at)
            rows = simple_table(self.lines[at:end])
        if not rows:
            return self._emit("text", at, max(end, at + 1))
        self._write(render(rows), "table", caption)
        return end

    def _simple_end(self, at: int) -> int:
        """The line after a simple table: its second rule without a text below, or its third."""
        rules = 0
        for number in range(at, len(self.lines)):
            if _SIMPLE.match(self.lines[number]):
                rules += 1
                below = self.lines[number + 1] if number + 1 < len(self.lines) else ""
                if rules > 1 and not below.strip():
                    return number + 1
        return at + 1

    def _list(self, at: int) -> int:
        indent = _indent(self.lines[at])
        end = at + 1
        while end < len(self.lines):
            line = self.lines[end]
            if not line.strip():
                after = end
                while after < len(self.lines) and not self.lines[after].strip():
                    after += 1
                if after == len(self.lines) or not self._continues(after, indent):
                    break
                if self._literal_above(end):
                    break  # what follows is code inside the item, a block of its own
                end = after
                continue
            if _indent(line) <= indent and not _ITEM.match(line):
                break
            if _indent(line) < indent or _DIRECTIVE.match(line):
                break
            end += 1
        self._emit("list", at, end)
        self._ends_in_colons(end - 1)
        return end

    def _continues(self, at: int, indent: int) -> bool:
        line = self.lines[at]
        if _DIRECTIVE.match(line) or _EXPLICIT.match(line):
            return False
        here = _indent(line)
        return here > indent or (here == indent and _ITEM.match(line) is not None)

    def _literal_above(self, blank: int) -> bool:
        return self.lines[blank - 1].rstrip().endswith("::")

    def _paragraph(self, at: int) -> int:
        end = self._paragraph_end(at)
        if self.lines[at].lstrip().startswith(">>> "):
            return self._emit("code", at, end)
        if _EXPLICIT.match(self.lines[at]):
            end = min(end, max(self._deeper(at, _indent(self.lines[at])), at + 1))
            return self._emit("text", at, end)
        if at == 0 or (self.title and len(self.blocks) == 1):
            self._read_fields(at, end)
        self._emit("text", at, end)
        self._ends_in_colons(end - 1)
        line = " ".join(self.lines[at:end]).strip()
        self._above = line if is_caption(line) else None
        return end

    def _read_fields(self, at: int, end: int) -> None:
        """Fields right below the title are the document's own: author, date ..."""
        matches = [_FIELD.match(line) for line in self.lines[at:end]]
        if all(matches):
            self.fields.update(
                {m[1].strip().lower(): (m[2] or "").strip() for m in matches if m and m[2]}
            )

    def _ends_in_colons(self, at: int) -> None:
        line = self.lines[at]
        if line.rstrip().endswith("::") and not _DIRECTIVE.match(line):
            first = at
            while first > 0 and self.lines[first - 1].strip():
                first -= 1
            whole = self.lines[at : at + 1] if _ITEM.match(line) else self.lines[first : at + 1]
            self._literal = min(map(_indent, whole))

    def _paragraph_end(self, at: int) -> int:
        end = at + 1
        while end < len(self.lines) and self.lines[end].strip():
            end += 1
        return end

    def _deeper(self, at: int, indent: int) -> int:
        """The line after everything indented more than `indent`, starting behind line `at`."""
        end = at + 1
        last = end
        while end < len(self.lines):
            if self.lines[end].strip():
                if _indent(self.lines[end]) <= indent:
                    break
                last = end + 1
            end += 1
        return last

    def _emit(self, kind: BlockKind, at: int, end: int, level: int = 0) -> int:
        """Copy lines out as one block."""
        start = self._length + (0 if kind == "code" else _indent(self.lines[at]))
        self._copy(end - at, at)
        last = self.out[-1]
        stop = self._length - 1 - (len(last) - len(last.rstrip()))
        self.blocks.append(Block(kind, start, stop, level))
        return end

    def _write(self, text: str, kind: BlockKind, caption: str | None = None) -> None:
        start = self._length
        for line in text.split("\n"):
            self.out.append(line)
            self._length += len(line) + 1
        self.blocks.append(Block(kind, start, self._length - 1, 0, caption))

    def _blank(self) -> None:
        self.out.append("")
        self._length += 1

    def _copy(self, count: int, at: int) -> None:
        for line in self.lines[at : at + count]:
            self.out.append(line)
            self._length += len(line) + 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _has_word(line: str) -> bool:
    return re.search(r"\w", line) is not None


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
