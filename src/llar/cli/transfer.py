"""`llar export` and `llar import`: one collection as one file."""

from __future__ import annotations

from pathlib import Path

import click

from ..config import Config
from .output import clean, collection_option, counted, json_option, print_json, size


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@collection_option
@json_option
@click.pass_obj
def export(config: Config, file: Path, collection: str | None, as_json: bool) -> None:
    """Write one collection to one file, as of this moment, also while others write."""
    from ..transfer import export_collection

    made = export_collection(config, collection or config.collection, file)
    if as_json:
        names = ("size", "sha256", "collection", "documents", "chunks", "embedder")
        print_json({"file": str(made.file), **{name: getattr(made, name) for name in names}})
        return
    click.echo(
        f"{clean(str(file))}  {size(made.size)}: {counted(made.documents, 'document')}, "
        f"{counted(made.chunks, 'chunk')}, vectors of {made.embedder}"
    )
    click.echo(f"SHA-256  {made.sha256}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-c", "--collection", metavar="NAME", help="What to call it (default: as it was).")
@click.option("--replace", is_flag=True, help="Put it in the place of the collection that is here.")
@json_option
@click.pass_obj
def import_(
    config: Config, file: Path, collection: str | None, replace: bool, as_json: bool
) -> None:
    """Take in a collection that `llar export` wrote.

    Every byte is checked before anything changes. A different collection of that name is never
    overwritten unless --replace. For models there is: llar models import
    """
    from ..transfer import import_collection

    done = import_collection(config, file, collection, replace=replace)
    if as_json:
        print_json(done)
        return
    how = "is here already" if done.unchanged else "replaced" if done.replaced else "imported"
    click.echo(
        f"{done.collection} {how}: {counted(done.documents, 'document')}, "
        f"{counted(done.chunks, 'chunk')}, vectors of {done.embedder}"
    )
    for note in done.notes:
        click.echo(f"note: {clean(note)}", err=True)
