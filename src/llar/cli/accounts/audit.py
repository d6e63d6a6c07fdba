"""llar audit: what was asked and done on the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ...config import Config
from ...errors import ServeError
from ..output import clean, counted, json_option, print_json
from .shared import audit_of

Command = TypeVar("Command", bound=Callable[..., Any])


def _day(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """YYYY-MM-DD, or a time with its zone; in UTC."""
    from ...serve.audit import parse_day

    try:
        return None if value is None else parse_day(value)
    except ServeError as e:
        raise click.BadParameter(e.message, ctx, param) from None


def _filters(command: Command) -> Command:
    """The options that choose entries."""
    for option in (
        click.option("--until", callback=_day, metavar="DATE", help="Before that day (UTC)."),
        click.option("--since", callback=_day, metavar="DATE", help="From that day on (UTC)."),
        click.option("--action", metavar="NAME", help="Of that action: ask, search, signed in..."),
        click.option("-c", "--collection", metavar="NAME", help="Of that collection."),
        click.option("--user", metavar="NAME", help="Of that user."),
    ):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """Show, export and prune the audit log: who asked what of which collection, and when."""


@audit.command()
@_filters
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many."
)
@json_option
@click.pass_obj
def show(
    config: Config, user: str | None, collection: str | None, action: str | None,
    since: datetime | None, until: datetime | None, limit: int, as_json: bool,
) -> None:  # fmt: skip
    """Show the newest entries, the newest last."""
    with audit_of(config) as log:
        found = log.entries(
            user=user, collection=collection, action=action, since=since, until=until, limit=limit
        )
    if as_json:
        print_json([_facts(entry) for entry in found])
        return
    for entry in reversed(found):
        parts = [f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.user, entry.action]
        parts += [p for p in (entry.collection, entry.detail, entry.address) if p]
        click.echo("  ".join(map(clean, parts)))
        if entry.question:
            click.echo(f"    {clean(entry.question)}")
        for document in entry.documents:
            click.echo(f"    - {clean(document.path)}")
    if len(found) == limit:
        click.echo(f"these are the newest {limit}; see --limit and llar audit export", err=True)


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(("csv", "jsonl")),
    help="What to write; by the file's name if not given.",
)
@_filters
@click.pass_obj
def export(
    config: Config, file: str, form: str | None, user: str | None, collection: str | None,
    action: str | None, since: datetime | None, until: datetime | None,
) -> None:  # fmt: skip
    """Write entries to FILE (- is stdout) as CSV or as lines of JSON, the newest first."""
    kind = form or Path(file).suffix.removeprefix(".")
    if kind not in ("csv", "jsonl"):
        raise click.UsageError("say --format csv or jsonl, or name the file so")
    with audit_of(config) as log:
        lines = log.export(
            "csv" if kind == "csv" else "jsonl",
            user=user, collection=collection, action=action, since=since, until=until,
        )  # fmt: skip
        if file == "-":
            for line in lines:
                sys.stdout.write(line)
            return
        count = -1 if kind == "csv" else 0
        try:
            with Path(file).open("x", encoding="utf-8", newline="") as out:
                for line in lines:
                    out.write(line)
                    count += 1
        except FileExistsError:
            raise ServeError(f"{file} is there already; expected a new file") from None
        except OSError as e:
            raise ServeError(f"{file} cannot be written: {e.strerror}") from e
    click.echo(f"wrote {counted(count, 'entry') if count == 1 else f'{count} entries'} to {file}")


@audit.command()
@click.option("--before", callback=_day, required=True, metavar="DATE", help="Older than that day.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def prune(config: Config, before: datetime, yes: bool) -> None:
    """Delete old entries for good. What is older than audit_days goes by itself every day."""
    if not yes:
        click.confirm(f"Delete all entries before {before:%Y-%m-%d}?", abort=True)
    from ...serve.who import LOCAL

    with audit_of(config) as log:
        count = log.prune(before)
        log.record(LOCAL, "audit pruned", detail=f"before {before:%Y-%m-%d}")
    click.echo(f"deleted {count} entries")


def _facts(entry: Any) -> dict[str, Any]:
    return {
        "id": entry.id, "at": entry.at.isoformat(), "user": entry.user, "via": entry.via,
        "action": entry.action, "collection": entry.collection, "question": entry.question,
        "documents": [{"id": d.id, "path": d.path} for d in entry.documents],
        "detail": entry.detail, "address": entry.address,
    }  # fmt: skip
