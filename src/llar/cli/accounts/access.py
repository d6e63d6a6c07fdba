"""llar access: who may read and edit a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...config import Config
from ...errors import NotThere, UnknownCollection
from ..output import json_option, print_json
from .shared import accounts_of, columns, note

if TYPE_CHECKING:
    from ...serve.accounts import Access

_NAMES = "NAME..."


@click.group()
def access() -> None:
    """Say who may read and edit a collection: user:NAME, group:NAME or everyone.

    A collection without any grant is for admins only. Single documents are kept to some by
    their metadata `readers`.
    """


@access.command()
@click.argument("collection")
@click.argument("names", nargs=-1, required=True, metavar=_NAMES)
@click.option(
    "--role",
    type=click.Choice(("reader", "editor")),
    default="reader",
    show_default=True,
    help="A reader reads and asks; an editor also adds, changes and removes.",
)
@click.pass_obj
def grant(config: Config, collection: str, names: tuple[str, ...], role: Access) -> None:
    """Let users and groups read a collection, or edit it.

    To edit it, a user must be an editor by their own role too.
    """
    from ...index.index import collection_names

    if collection not in collection_names(config):
        have = ", ".join(collection_names(config)) or "none yet"
        raise UnknownCollection(
            f"there is no collection {collection!r} (there are: {have})",
            fix=f"llar add PATH -c {collection}",
        )
    with accounts_of(config) as accounts:
        accounts.grant(collection, names, role)
        for name in names:
            if not name.startswith("user:"):
                continue
            try:
                user = accounts.user(name.removeprefix("user:"))
            except NotThere:
                click.echo(f"there is no {name} yet", err=True)
                continue
            if role == "editor" and user.role == "reader":
                click.echo(f"{name} is a reader; to edit: llar users change {user.name}"
                           " --role editor", err=True)  # fmt: skip
    what = "edit" if role == "editor" else "read"
    note(config, "access granted", f"{' '.join(names)} may {what} {collection}")
    click.echo(f"{', '.join(names)} may {what} {collection}")


@access.command()
@click.argument("collection")
@click.argument("names", nargs=-1, required=True, metavar=_NAMES)
@click.pass_obj
def revoke(config: Config, collection: str, names: tuple[str, ...]) -> None:
    """Take back what was granted."""
    with accounts_of(config) as accounts:
        accounts.revoke(collection, names)
    note(config, "access revoked", f"{' '.join(names)} on {collection}")
    click.echo(f"{', '.join(names)}: no longer granted {collection}")


@access.command()
@click.argument("collection", required=False)
@json_option
@click.pass_obj
def show(config: Config, collection: str | None, as_json: bool) -> None:
    """Show who may do what with a collection, or with all."""
    with accounts_of(config) as accounts:
        found = accounts.grants(collection)
    if as_json:
        print_json(found)
        return
    rows = [("COLLECTION", "NAME", "MAY")]
    rows += [(g.collection, g.name, "edit" if g.role == "editor" else "read") for g in found]
    click.echo(columns(rows) if found else "nothing is granted: only admins may read")
