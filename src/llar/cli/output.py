"""What several commands print the same way. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..records import to_json

if TYPE_CHECKING:
    from ..collection import Collection
    from ..index.ingest import Progress
    from ..records import Source

_SURROGATE = re.compile("[\ud800-\udfff]")
Command = TypeVar("Command", bound=Callable[..., Any])


def collection_option(command: Command) -> Command:
    """-c NAME, the collection to work on."""
    return click.option(
        "-c", "--collection", metavar="NAME", help="Collection (default: the configured one)."
    )(command)


def json_option(command: Command) -> Command:
    """--json, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        command
    )


def filter_option(command: Command) -> Command:
    """--filter KEY=VALUE, repeatable."""
    return click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="COND",
        help="Only documents with KEY=VALUE; also != > >= < <= and ~ (contains). Repeatable.",
    )(command)


def as_option(command: Command) -> Command:
    """--as NAMES, to try out what somebody may see."""
    return click.option(
        "--as",
        "seen_as",
        metavar="NAMES",
        help="Answer as for user:NAME,group:NAME ...: without the documents they may not read.",
    )(command)


def as_seen(opened: Collection, names: str | None) -> Collection:
    """The collection as the reader of --as sees it; as it is without one."""
    if names is None:
        return opened
    from ..index.access import reader

    return opened.seen_by(reader(names))


def print_json(record: Any) -> None:
    """A record on stdout as one JSON document."""
    text = json.dumps(to_json(record), ensure_ascii=False, indent=2)
    # Bytes of a path that are no UTF-8: as JSON writes what it may not hold as it is.
    click.echo(_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def where(source: Source, page: int | None, last_page: int | None = None) -> str:
    """A document and page, for people."""
    file = source.path.rsplit("/", 1)[-1]
    name = f"{source.title} ({file})" if source.title and source.title != file else file
    if page is None:
        return clean(name)
    marked = any(source.is_recognised(n) for n in range(page, (last_page or page) + 1))
    mark = " (recognised text)" if marked else ""
    pages = f"page {page}" if last_page in (None, page) else f"pages {page}-{last_page}"
    return clean(f"{name}, {pages}{mark}")


def clean(text: str, *, lines: bool = False) -> str:
    """Text that cannot steer a terminal or forge a line: control characters as escapes.

    With `lines` line ends stay, for passages of a document.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def counted(number: int, what: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(count: float) -> str:
    """Bytes for people, base 1024."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


class Bar:
    """Progress of an add on a terminal's last line; prints nothing where stderr is none."""

    def __init__(self, *, quiet: bool) -> None:
        self._on = sys.stderr.isatty() and not quiet
        self._last = 0.0

    def __call__(self, p: Progress) -> None:
        """Show where it stands, at most ten times a second."""
        now = time.monotonic()
        if not self._on or (now - self._last < 0.1 and p.done < p.total):
            return
        self._last = now
        rate = p.done / p.seconds if p.seconds else 0.0
        left = f", {p.seconds_left:.0f} s left" if p.seconds_left is not None else ""
        line = (
            f"{p.done}/{p.total} files, {size(p.done_bytes)} of {size(p.total_bytes)}, "
            f"{p.chunks} chunks, {rate:.1f} files/s{left}"
        )
        width = shutil.get_terminal_size().columns
        click.echo("\r" + line[: width - 1].ljust(width - 1), nl=False, err=True)

    def close(self) -> None:
        """Leave the terminal's line clean."""
        if self._on and self._last:
            click.echo(
                "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", nl=False, err=True
            )
