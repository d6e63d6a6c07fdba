"""What the commands about accounts share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ...config import Config
from ...errors import ServeError
from ..output import clean

if TYPE_CHECKING:
    from ...serve.accounts import Accounts
    from ...serve.audit import Audit


@contextmanager
def accounts_of(config: Config) -> Iterator[Accounts]:
    """The accounts, closed at the end."""
    from ...serve.accounts import Accounts

    accounts = Accounts(config)
    try:
        yield accounts
    finally:
        accounts.close()


@contextmanager
def audit_of(config: Config) -> Iterator[Audit]:
    """The audit log, closed at the end."""
    from ...serve.audit import Audit

    audit = Audit(config)
    try:
        yield audit
    finally:
        audit.close()


def note(config: Config, action: str, detail: str) -> None:
    """Write down what was changed from the command line."""
    from ...serve.who import LOCAL

    with audit_of(config) as audit:
        audit.record(LOCAL, action, detail=detail)


def read_password() -> str:
    """A new password, typed twice at a terminal or one line on stdin; never an argument."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    line = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not line:
        raise ServeError("no password came on stdin", fix="type it at a terminal, or pipe it in")
    return line


def day(when: datetime | None) -> str:
    """A date for people, in UTC."""
    return when.strftime("%Y-%m-%d") if when else "never"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns; what is in them cannot steer the terminal."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in cells)
    return "\n".join(line.rstrip() for line in lines)
