"""llar keys: API keys for programs."""

from __future__ import annotations

import click

from ...config import Config
from ..output import json_option, print_json
from .shared import accounts_of, columns, day, note
from .users import ROLES


@click.group()
def keys() -> None:
    """Make, list and revoke API keys. A program sends one as `Authorization: Bearer KEY`."""


@keys.command()
@click.argument("user")
@click.option("--name", "label", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=365.0,
    show_default=True,
    metavar="N",
    help="Days that it is valid; 0 for ever.",
)
@click.option("--role", type=click.Choice(ROLES), help="The most it may do; at most the user's.")
@click.option(
    "-c",
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Only this collection. Repeatable. Such a key is never an admin's.",
)
@json_option
@click.pass_obj
def add(
    config: Config, user: str, label: str, days: float, role: str | None,
    collections: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Make a key for a user and print it: it is shown this once and kept nowhere."""
    with accounts_of(config) as accounts:
        key, secret = accounts.add_key(
            user, label, days=days or None, role=role, collections=collections or None
        )
    note(config, "key made", f"{key.user} {key.id}")
    if as_json:
        print_json({"key": secret, "id": key.id, "expires": _iso(key.expires)})
        return
    click.echo(secret)
    click.echo(
        f"for {key.user}, valid until {day(key.expires)}; write it down, it is not shown again"
        if key.expires
        else f"for {key.user}, valid until it is revoked; write it down, it is not shown again",
        err=True,
    )


@keys.command("list")
@click.argument("user", required=False)
@json_option
@click.pass_obj
def list_(config: Config, user: str | None, as_json: bool) -> None:
    """List the keys of a user, or of all, by how they begin."""
    with accounts_of(config) as accounts:
        found = accounts.keys(accounts.user(user).name if user else None)
    if as_json:
        print_json([
            {
                "id": k.id, "user": k.user, "name": k.label, "role": k.role,
                "collections": list(k.collections) if k.collections is not None else None,
                "created": _iso(k.created), "expires": _iso(k.expires),
                "last_used": _iso(k.last_used),
            }
            for k in found
        ])  # fmt: skip
        return
    rows = [("KEY", "USER", "NAME", "AT MOST", "COLLECTIONS", "EXPIRES", "LAST USED")]
    rows += [
        (
            f"{k.id}...", k.user, k.label, k.role or "-",
            " ".join(k.collections) if k.collections is not None else "all",
            day(k.expires), day(k.last_used),
        )
        for k in found
    ]  # fmt: skip
    click.echo(columns(rows) if found else "no keys yet; make one with: llar keys add USER")


@keys.command()
@click.argument("key")
@click.pass_obj
def revoke(config: Config, key: str) -> None:
    """End a key at once; KEY is how it begins, as llar keys list shows it."""
    with accounts_of(config) as accounts:
        gone = accounts.revoke_key(key.removesuffix("..."))
    note(config, "key revoked", f"{gone.user} {gone.id}")
    click.echo(f"revoked {gone.id}... of {gone.user}")


def _iso(when: object) -> str | None:
    return when.isoformat() if hasattr(when, "isoformat") else None
