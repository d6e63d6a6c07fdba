"""Source code and configuration files: the text as it stands, in blocks of code."""

from __future__ import annotations

from pathlib import PurePath

from ..records import Block
from .compose import cover
from .decode import decode
from .parsed import ParsedText

LANGUAGES = {  # suffix -> what the programming language is called
    ".bash": "bash", ".bat": "batch", ".c": "c", ".cc": "c++", ".cfg": "ini", ".clj": "clojure",
    ".conf": "ini", ".cpp": "c++", ".cs": "c#", ".css": "css", ".dart": "dart", ".el": "lisp",
    ".erl": "erlang", ".ex": "elixir", ".exs": "elixir", ".f90": "fortran", ".go": "go",
    ".groovy": "groovy", ".h": "c", ".hpp": "c++", ".hs": "haskell", ".ini": "ini",
    ".java": "java", ".jl": "julia", ".js": "javascript", ".jsx": "javascript", ".kt": "kotlin",
    ".less": "css", ".lisp": "lisp", ".lua": "lua", ".m": "matlab", ".mjs": "javascript",
    ".ml": "ocaml", ".pas": "pascal", ".php": "php", ".pl": "perl", ".proto": "protobuf",
    ".ps1": "powershell", ".py": "python", ".pyi": "python", ".r": "r", ".rb": "ruby",
    ".rs": "rust", ".scala": "scala", ".scss": "css", ".sh": "bash", ".sql": "sql",
    ".swift": "swift", ".tf": "hcl", ".toml": "toml", ".ts": "typescript", ".tsx": "typescript",
    ".vb": "basic", ".xml": "xml", ".xsd": "xml", ".xsl": "xml", ".yaml": "yaml", ".yml": "yaml",
    ".zig": "zig", ".zsh": "bash",
}  # fmt: skip


def parse(data: bytes, name: str) -> ParsedText:
    """One block of code for each definition or section that begins at the left margin."""
    text, notes = decode(data)
    return ParsedText(
        text=text,
        blocks=tuple(_joined(text)),
        metadata={"programming_language": LANGUAGES[PurePath(name).suffix.lower()]},
        notes=notes,
    )


def _joined(text: str) -> list[Block]:
    """Runs of lines, each with the indented runs below it that it is the head of."""
    blocks: list[Block] = []
    for run in cover(text, ()):
        line = text.rfind("\n", 0, run.start) + 1
        if blocks and line < run.start:
            blocks[-1] = Block("code", blocks[-1].start, run.end)
        else:
            blocks.append(Block("code", line, run.end))
    return blocks
