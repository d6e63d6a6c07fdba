"""What a pull tells its caller while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file is, or, with `note`, why a source was given up for the next one."""

    file: str
    done: int = 0  # bytes
    total: int | None = None  # bytes; None where nobody says
    note: str = ""


Watch = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Watch nothing."""
