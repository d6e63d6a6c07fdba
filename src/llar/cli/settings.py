"""`llar config`."""

from __future__ import annotations

from dataclasses import fields

import click

from ..config import Config
from .output import json_option, print_json


@click.command()
@json_option
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Show every setting with the value in force.

    Change one for good in LLAR_HOME/llar.toml, for a shell with its LLAR_ variable, and for one
    call with: llar --set KEY=VALUE ...
    """
    found: Config = ctx.obj
    values = {
        f.name: ("(set)" if getattr(found, f.name) else "")
        if f.metadata["secret"]
        else getattr(found, f.name)
        for f in fields(Config)
    }
    if as_json:
        print_json({name: str(v) if name == "home" else v for name, v in values.items()})
        return
    for f in fields(Config):
        click.echo(f"{f.name} = {values[f.name]}")
        click.echo(f"    {f.metadata['about']} LLAR_{f.name.upper()}")
