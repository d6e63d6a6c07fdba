"""What the commands that look inside share: options of pictures, and numbers as arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

__all__ = ["NUMBERS", "no_typos", "plot_option", "theme_option", "wrote"]

Command = TypeVar("Command", bound=Callable[..., Any])

# "-0.5" is a number, not an option: click hands on what it does not know.
NUMBERS = {"ignore_unknown_options": True}


def plot_option(command: Command) -> Command:
    """--plot FILE, a picture."""
    return click.option(
        "--plot",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Draw it to a .png, .svg or .pdf.",
    )(command)


def theme_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--theme light or dark, of the picture; refused where there is none."""

    @functools.wraps(command)
    def checked(*args: Any, **kwargs: Any) -> Any:
        source = click.get_current_context().get_parameter_source("theme")
        if source is ParameterSource.COMMANDLINE and not (
            kwargs.get("plot") or kwargs.get("picture")
        ):
            raise click.UsageError("--theme is of a picture; it needs --plot")
        return command(*args, **kwargs)

    return click.option(
        "--theme",
        type=click.Choice(["light", "dark"]),
        default="light",
        show_default=True,
        help="Colours of the picture.",
    )(checked)


def no_typos(ctx: click.Context, values: Sequence[str]) -> None:
    """Refuse an argument that was meant as an option, where unknown ones are handed on."""
    for value in values:
        if value.startswith("--"):
            known = [name for p in ctx.command.params for name in p.opts if name.startswith("--")]
            import difflib

            near = difflib.get_close_matches(value.split("=")[0], known, n=3)
            raise click.NoSuchOption(value.split("=")[0], possibilities=near, ctx=ctx)


def wrote(file: Path) -> None:
    """Say which file was written."""
    click.echo(f"wrote {file}", err=True)
