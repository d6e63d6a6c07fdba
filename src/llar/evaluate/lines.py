"""Files of lines, read strictly: each line that cannot be used is named, none is passed over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EvaluationError

MOST_NAMED = 20  # lines one message names; it says how many more there are


class Problems:
    """What is wrong with one file, line by line, told in one error at its end."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: list[tuple[int, str]] = []

    def add(self, line: int, what: str) -> None:
        """Note one; `line` counts from 1."""
        self.found.append((line, what))

    def check(self) -> None:
        """Raise EvaluationError where there are any, naming file and line of each."""
        if not self.found:
            return
        named = [f"{self.file}:{line}: {what}" for line, what in self.found[:MOST_NAMED]]
        if len(self.found) == 1:
            raise EvaluationError(named[0])
        more = len(self.found) - len(named)
        if more:
            named.append(f"... and {more} more")
        head = f"{len(self.found)} problems in {str(self.file)!r}:"
        raise EvaluationError("\n  ".join([head, *named]))


def read_text(file: Path) -> str:
    """A UTF-8 file, its byte order mark left out. Raises EvaluationError where it is none."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise EvaluationError(f"{file}:{line}: is not UTF-8 text (byte {e.start})") from None
    except OSError as e:
        raise EvaluationError(f"{str(file)!r} cannot be read: {e.strerror}") from e


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of each line that is not blank; only "\\n" ends one."""
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def objects(file: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a file of JSON lines; what is no object goes to `problems`."""
    for number, line in lines(file):
        try:
            row = parse(line)
        except ValueError as e:
            problems.add(number, f"is not valid JSON: {e}")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            problems.add(number, f"expected a JSON object, got {line.strip()[:40]!r}")


def parse(text: str) -> Any:
    """JSON as the standard has it: no NaN, no key twice. Raises ValueError."""
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands there twice")
    return row
