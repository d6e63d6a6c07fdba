"""Questions made from source code: what a docstring or comment says, to find its function by."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..records import Document
from .make_text import Candidate
from .make_words import wording

__all__ = ["functions"]

_DEF = re.compile(
    r"^(?P<indent>[ \t]*)(?:async\s+)?def\s+(?P<name>\w+)\s*"
    r"\([^\n]*(?:\n(?!\s*def\b)[^\n]*){0,12}?:"
    r"[ \t]*(?:->[^\n]*)?\n\s*(?:r|u)?(?P<quote>\"\"\"|''')(?P<doc>.+?)(?P=quote)",
    re.MULTILINE | re.DOTALL,
)
_COMMENTED = re.compile(  # lines of comment, and a definition below them
    r"^(?P<comment>(?:[ \t]*(?://+|#+|--|\*|/\*+)[^\n]*\n)+)"
    r"[ \t]*(?:(?:public|private|protected|static|export|default|async|pub|inline|override|final"
    r"|virtual)\s+)*"
    r"(?:function\s+(?P<js>\w+)|func\s+(?:\([^)]*\)\s*)?(?P<go>\w+)|fn\s+(?P<rs>\w+)|def\s+(?P<rb>\w+)"
    r"|sub\s+(?P<pl>\w+)|(?P<sh>\w+)\s*\(\)\s*\{|[\w<>\[\],.*&:\s]+?[\s*&](?P<c>\w+)\s*\([^;{}]*\)"
    r"[^;{}\n]*\{)",
    re.MULTILINE,
)
_MARK = re.compile(r"^[ \t]*(?://+!?|#+|--+|/\*+|\*+/?)[ \t]?|\*/[ \t]*$", re.MULTILINE)
_KEYWORDS = frozenset(("if", "for", "while", "switch", "return", "else", "catch", "do"))


def functions(number: int, document: Document) -> Iterator[Candidate]:
    """Every function or method with a docstring, or a comment right above it, that says enough."""
    if document.format != "code":
        return
    found: dict[str, tuple[str, int, int]] = {}
    for match in _DEF.finditer(document.text):
        end = _end_of_indented(document.text, match.start(), len(match["indent"]))
        found.setdefault(match["name"], (_first_sentence(match["doc"]), match.start(), end))
    if not found:
        for match in _COMMENTED.finditer(document.text):
            name = next(n for n in match.groups()[1:] if n)
            said = _first_sentence(_MARK.sub("", match["comment"]))
            if name not in _KEYWORDS:
                end = _end_of_braces(document.text, match.end())
                found.setdefault(name, (said, match.start("comment"), end))
    for name, (text, start, end) in found.items():
        lead = len(document.text[start:end]) - len(document.text[start:end].lstrip())
        body = document.text[start:end].strip()
        if len(text.split()) >= 4 and not name.startswith("__") and body:
            asked = wording(document.language).code.format(text=text.rstrip("."))
            place = (number, start + lead, start + lead + len(body))
            yield Candidate(
                "code", asked, (name,), (place,),
                document.language, "rule: what its comment says", sentence=text,
            )  # fmt: skip


def _first_sentence(text: str) -> str:
    """The first sentence of a docstring or comment, on one line."""
    first = re.split(r"\n\s*\n", text.strip())[0]
    line = " ".join(first.split())
    return re.split(r"(?<=[.!?])\s", line)[0]


def _end_of_indented(text: str, start: int, indent: int) -> int:
    """Where the lines end that are indented deeper than the definition."""
    at = text.index(":", start)
    signature = text.index("\n", at) + 1 if "\n" in text[at:] else len(text)
    at = last = signature
    for line in text[signature:].splitlines(keepends=True):
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth <= indent and not line.lstrip().startswith((")", '"""', "'''")):
            break
        at += len(line)
        if line.strip():
            last = at
    return last


def _end_of_braces(text: str, start: int) -> int:
    """Where the braces close that are open at `start`; without any, the next empty line."""
    if "{" not in text[max(start - 1, 0) : start]:
        blank = text.find("\n\n", start)
        return blank if blank >= 0 else len(text)
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return at + 1
    return len(text)
