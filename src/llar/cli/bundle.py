"""llar bundle: a whole working system as one file, for a machine without a network."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..archive import Watch
from ..config import Config
from .output import clean, json_option, print_json, size

_quiet = click.option("--quiet", is_flag=True, help="No progress.")


@click.group()
def bundle() -> None:
    """Pack models, collections, settings and llar itself, for a closed network."""


@bundle.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--models",
    "models",
    multiple=True,
    metavar="NAME,...",
    help="Models to pack (default: the configured ones and the collections' embedders).",
)
@click.option(
    "--collections", multiple=True, metavar="NAME,...", help="Collections to pack (default: all)."
)
@click.option("--no-models", is_flag=True, help="Pack no models.")
@click.option("--no-collections", is_flag=True, help="Pack no collections.")
@click.option("--no-wheels", is_flag=True, help="Pack no wheels: the other machine has llar.")
@click.option(
    "--platform",
    default="manylinux_2_28_x86_64",
    show_default=True,
    metavar="TAG",
    help="The other machine, as a wheel's tag.",
)
@click.option(
    "--python",
    default="3.11",
    show_default=True,
    metavar="3.N",
    help="The other machine's Python.",
)
@_quiet
@json_option
@click.pass_obj
def create(
    config: Config,
    file: Path,
    models: Sequence[str],
    collections: Sequence[str],
    no_models: bool,
    no_collections: bool,
    no_wheels: bool,
    platform: str,
    python: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a bundle, one tar file.

    Collections are packed as of one moment, also while others write. Settings are llar.toml and
    your prompts, never secrets. The wheels of llar and all it needs come through pip from your
    package index; beside `llar models pull` this is the only command that uses a network, and
    --no-wheels does without.

    On the other machine: tar xf FILE && sh llar-bundle/install.sh
    """
    from ..bundle import create as run

    if (models and no_models) or (collections and no_collections):
        raise click.UsageError("a list of names and its --no- option exclude each other")
    with _progress(quiet) as watch:
        made = run(
            config,
            file,
            models=[] if no_models else _names(models),
            collections=[] if no_collections else _names(collections),
            platform=platform,
            python=python,
            wheels=not no_wheels,
            watch=watch,
        )
    if as_json:
        print_json({**_fields(made), "file": str(made.file)})
        return
    click.echo(f"{clean(str(made.file))}  {size(made.size)}")
    click.echo(f"models       {', '.join(made.models) or 'none'}")
    click.echo(f"collections  {', '.join(made.collections) or 'none'}")
    click.echo(f"settings     {', '.join(made.settings) or 'none'}")
    click.echo(
        f"wheels       {f'{made.wheels}, {platform}, Python {python}' if made.wheels else 0}"
    )
    click.echo(f"SHA-256      {made.sha256}")
    _notes(made.notes)


@bundle.command()
@click.argument("file", type=click.Path(path_type=Path))
@_quiet
@click.pass_obj
def verify(config: Config, file: Path, quiet: bool) -> None:
    """Check every byte of a bundle, packed or unpacked."""
    from ..bundle import verify as run

    with _progress(quiet) as watch:
        manifest = run(file, watch=watch)
    members, made = manifest["members"], clean(str(manifest.get("created", "an unknown date")))
    total = size(sum(m["size"] for m in members))
    click.echo(f"{clean(str(file))} ok: {len(members)} files, {total}, of {made}")


@bundle.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Put the bundle's in the place of what is here.")
@_quiet
@json_option
@click.pass_obj
def install(config: Config, file: Path, replace: bool, quiet: bool, as_json: bool) -> None:
    """Take in a bundle's models, collections and settings, and try them out.

    FILE is the bundle or the folder it was unpacked into. Every byte is checked before anything
    changes. What is here and different is refused unless --replace; what is the same is left.
    """
    from ..bundle import install as run

    with _progress(quiet) as watch:
        done = run(config, file, replace=replace, watch=watch)
    if as_json:
        print_json(_fields(done))
        return
    for kind, states in (
        ("model", done.models),
        ("collection", done.collections),
        ("setting", done.settings),
    ):
        for name, state in states.items():
            click.echo(f"{kind:<10}  {clean(name)}  {state}, checked")
    _notes(done.notes)


def _fields(record: object) -> dict[str, object]:
    import dataclasses

    assert dataclasses.is_dataclass(record)
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def _names(given: Sequence[str]) -> list[str] | None:
    """Names from repeated options and comma-separated lists; None where none was given."""
    names = [name.strip() for part in given for name in part.split(",") if name.strip()]
    return names or None


def _notes(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {clean(note)}", err=True)


@contextmanager
def _progress(quiet: bool) -> Iterator[Watch | None]:
    """One line on a terminal's stderr that says what is being worked on."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    width = 0

    def show(name: str, done: int, total: int) -> None:
        nonlocal width
        text = clean(f"{name}  {100 * done // total if total else 100} %")[:79]
        click.echo("\r" + text.ljust(width), nl=False, err=True)
        width = len(text)

    try:
        yield show
    finally:
        click.echo("\r" + " " * width + "\r", nl=False, err=True)
