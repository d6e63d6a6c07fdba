"""llar users: who may sign in."""

from __future__ import annotations

from typing import Any

import click

from ...config import Config
from ..output import counted, json_option, print_json
from .shared import accounts_of, audit_of, columns, day, note, read_password

ROLES = ("reader", "editor", "admin")
_role = click.option(
    "--role", type=click.Choice(ROLES), help="reader reads, editor edits, admin does everything."
)
_groups = click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="A group to be in. Repeatable."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def users() -> None:
    """Add, change, list, remove and forget users. A running server notices at once.

    As soon as there is one user, everybody has to sign in. What somebody may read is given by
    llar access; an admin reads everything.
    """


@users.command()
@click.argument("name")
@_role
@_groups
@click.option(
    "--no-password",
    is_flag=True,
    help="For somebody who signs in with OpenID Connect or through a proxy, or by key only.",
)
@click.pass_obj
def add(
    config: Config, name: str, role: str | None, groups: tuple[str, ...], no_password: bool
) -> None:
    """Add a user (a reader, if not said otherwise).

    The password is asked for at a terminal, or is the first line of stdin. It needs 15
    characters or more, of any kind.
    """
    with accounts_of(config) as accounts:
        password = None if no_password else read_password()
        user = accounts.add_user(name, password, role=role or "reader", groups=groups)
        note(config, "user added", f"{user.name} as {user.role}")
        click.echo(f"added {user.name} ({user.role})")
        if user.role != "admin" and not any(u.role == "admin" for u in accounts.users()):
            click.echo("there is no admin yet; see: llar users change --help", err=True)


@users.command("list")
@json_option
@click.pass_obj
def list_(config: Config, as_json: bool) -> None:
    """List the users with their roles, groups and last sign-in (UTC)."""
    with accounts_of(config) as accounts:
        found = accounts.users()
    if as_json:
        print_json([_facts(user) for user in found])
        return
    rows = [("NAME", "ROLE", "GROUPS", "SIGNS IN BY", "LAST SIGN-IN", "")]
    for user in found:
        ways = [way for way, has in (("password", user.has_password), ("sso", user.subject)) if has]
        rows.append((
            user.name, user.role, " ".join((*user.groups, *user.sso_groups)),
            " ".join(ways) or "-", day(user.last_sign_in), "disabled" if user.disabled else "",
        ))  # fmt: skip
    click.echo(columns(rows) if found else "no users yet; add one with: llar users add NAME")


@users.command()
@click.argument("name")
@_role
@_groups
@click.option("--no-groups", is_flag=True, help="Take them out of all groups given here.")
@click.option("--disable/--enable", "disabled", default=None, help="Keep them out, or let them in.")
@click.pass_obj
def change(
    config: Config,
    name: str,
    role: str | None,
    groups: tuple[str, ...],
    no_groups: bool,
    disabled: bool | None,
) -> None:
    """Change a user's role or groups (those given replace the old ones), or keep them out."""
    if groups and no_groups:
        raise click.UsageError("--group and --no-groups exclude each other")
    if role is None and not groups and not no_groups and disabled is None:
        raise click.UsageError("say what to change: --role, --group, --no-groups, --disable")
    with accounts_of(config) as accounts:
        user = accounts.change_user(
            name, role=role, groups=groups if groups or no_groups else None, disabled=disabled
        )
    state = "disabled" if user.disabled else user.role
    note(config, "user changed", f"{user.name} is {state}")
    click.echo(f"{user.name} is {state}, in {', '.join(user.groups) or 'no group'}")


@users.command()
@click.argument("name")
@click.pass_obj
def password(config: Config, name: str) -> None:
    """Give a user a new password, read as by add. Their sessions end; their keys stay."""
    with accounts_of(config) as accounts:
        user = accounts.user(name)
        accounts.set_password(user.name, read_password())
    note(config, "password set", user.name)
    click.echo(f"{user.name} has a new password")


@users.command()
@click.argument("name")
@_yes
@click.pass_obj
def remove(config: Config, name: str, yes: bool) -> None:
    """Remove a user with their keys, sessions and grants.

    Their conversations and the audit log stay; llar users forget deletes those too. Somebody
    who comes by single sign-on is made anew when they come again: to keep them out, disable
    them.
    """
    with accounts_of(config) as accounts:
        user = accounts.user(name)
        if not yes:
            click.confirm(f"Remove {user.name}?", abort=True)
        accounts.remove_user(user.name)
        left = accounts.users()
    note(config, "user removed", user.name)
    click.echo(f"removed {user.name}")
    if not left:
        click.echo("there are no users left: on a loopback address nobody has to sign in", err=True)


@users.command()
@click.argument("name")
@_yes
@click.pass_obj
def forget(config: Config, name: str, yes: bool) -> None:
    """Delete all that the server holds of a person, also after they were removed.

    That is the account with keys, sessions and grants, their conversations, feedback and
    finished jobs. In the audit log their entries stay under a made-up name, without questions,
    details and addresses. What they put into collections stays.
    """
    from ...serve.engines import Engines
    from ...serve.forget import forget as run
    from ...serve.history import History
    from ...serve.library import Library
    from ...serve.who import LOCAL

    if not yes:
        click.confirm(f"Delete all that is held of {name}?", abort=True)
    with accounts_of(config) as accounts, audit_of(config) as audit:
        engines = Engines(config)
        history = History(config)
        library = Library(config, engines, accounts)
        try:
            conversations, entries = run(
                LOCAL, name, accounts=accounts, audit=audit, history=history, library=library
            )
        finally:
            library.close()
            history.close()
            engines.close()
    click.echo(
        f"forgot {name}: {counted(conversations, 'conversation')} deleted,"
        f" {entries} in the audit log made nameless"
    )


def _facts(user: Any) -> dict[str, Any]:
    return {
        "name": user.name, "role": user.role, "groups": list(user.groups),
        "sso_groups": list(user.sso_groups), "has_password": user.has_password,
        "disabled": user.disabled, "created": user.created.isoformat(),
        "last_sign_in": user.last_sign_in.isoformat() if user.last_sign_in else None,
    }  # fmt: skip
