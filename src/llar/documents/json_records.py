"""JSON and JSON lines: each record as lines of "name: value", so that it can be read and quoted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .compose import Composer
from .decode import decode
from .parsed import ParsedText
from .plain import parse_text


def parse(data: bytes, name: str) -> ParsedText:
    """One block per record of a list or of a file with a record per line, else one for all.

    Names of nested values are joined by dots. A file that is no JSON is read as plain text, and
    a note says so.
    """
    text, notes = decode(data)
    try:
        records = list(_records(text))
    except ValueError as e:
        parsed = parse_text(data, name)
        note = f"is no valid JSON ({e}); it was read as plain text"
        return ParsedText(parsed.text, parsed.blocks, notes=(*parsed.notes, note))
    out = Composer()
    for record in records:
        out.text("\n".join(_lines("", record)))
    text, blocks, _ = out.finish()
    return ParsedText(text=text, blocks=blocks, notes=notes)


def _records(text: str) -> Iterator[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        yield from _lines_as_records(text)
        return
    if isinstance(whole, list):
        yield from whole
    else:
        yield whole


def _lines_as_records(text: str) -> Iterator[Any]:
    """A record per line; the first broken line says where, as nothing may be lost."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError as e:
            raise ValueError(f"line {number}: {e}") from e


def _lines(prefix: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _lines(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, inner in enumerate(value, start=1):
            yield from _lines(f"{prefix}.{number}" if prefix else str(number), inner)
    else:
        shown = ", ".join(map(_shown, value)) if isinstance(value, list) else _shown(value)
        if shown:
            yield f"{prefix}: {shown}" if prefix else shown


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or value == {} else json.dumps(value)
