"""`llar add | sync | remove | status | collections`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence, Sized
from typing import TYPE_CHECKING, TextIO

import click

from ..config import Config
from ..records import MetadataValue
from . import PARTLY
from .output import Bar, clean, collection_option, counted, json_option, print_json, size

if TYPE_CHECKING:
    from ..index.ingest import Report

password_option = click.option(
    "--password-file",
    metavar="FILE",
    type=click.File(encoding="utf-8"),
    help="File whose first line opens locked files; - asks for it.",
)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@collection_option
@click.option(
    "--chunker",
    metavar="NAME[:K=V,...]",
    help="How a new collection splits documents (default: configured).",
)
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata of these files.")
@password_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    paths: Sequence[str],
    collection: str | None,
    chunker: str | None,
    meta: Sequence[str],
    password_file: TextIO | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Index files and folders, recursively.

    Running it again costs little: what is unchanged is recognised by its content, changed files
    are replaced. A file that cannot be read is reported in one line and the rest is indexed; the
    exit code is then 3.

    Chunkers: structure (or recursive), token, word, sentence, sentence-window, semantic,
    double-pass, parent-child, late. One with parameters is sentence-window:window=2 for example.
    Their size is the setting chunk_tokens.
    """
    from ..collection import Collection

    metadata = _metadata(meta)
    password = _password(password_file)
    bar = Bar(quiet=quiet)
    with Collection(collection, config=ctx.obj) as opened:
        try:
            report = opened.add(
                paths, metadata=metadata, progress=bar, password=password, chunker=chunker
            )
        finally:
            bar.close()
    return _finish(report, as_json)


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@collection_option
@click.option("--watch", is_flag=True, help="Go on, and keep up with every change.")
@click.option(
    "--interval",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.05),
    help="Seconds between two looks at the folders.",
)
@password_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@click.pass_context
def sync(
    ctx: click.Context,
    paths: Sequence[str],
    collection: str | None,
    watch: bool,
    interval: float,
    password_file: TextIO | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Make a collection match its folders.

    Like add for every folder that was ever added (or for PATH...), and forgets files that are no
    longer there. A folder that is missing altogether is an error: its disk may not be mounted.

    With --watch it goes on and prints a line for every change (with --json a line of JSON). It
    looks at the folders every few seconds, so it works on network drives too, and takes in a file
    once it was the same for one interval. A folder that vanishes is told once and removes
    nothing. Ctrl-C ends it (exit code 130), and so does a termination signal (exit code 0).
    """
    from ..collection import Collection

    if watch and password_file:
        raise click.UsageError("--password-file does not go with --watch")
    if watch:
        return _watch(ctx.obj, collection, paths, interval, as_json)
    password = _password(password_file)
    bar = Bar(quiet=quiet)
    with Collection(collection, config=ctx.obj) as opened:
        try:
            report = opened.sync(paths, progress=bar, password=password)
        finally:
            bar.close()
    return _finish(report, as_json)


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@collection_option
@click.option("--all", "everything", is_flag=True, help="Delete the whole collection.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting a collection.")
@click.pass_context
def remove(
    ctx: click.Context, paths: Sequence[str], collection: str | None, everything: bool, yes: bool
) -> None:
    """Forget files, folders with all below them, or a whole collection.

    The files themselves are not touched. What still stands in a folder that sync follows is
    added again by the next sync; remove the folder to stop following it.
    """
    from ..collection import Collection
    from ..index.index import delete_collection

    config: Config = ctx.obj
    name = collection or config.collection
    if everything == bool(paths):
        raise click.UsageError("give PATH... or --all")
    if everything:
        if not yes:
            click.confirm(f"Delete collection {name!r} with all it holds?", abort=True)
        delete_collection(config, name)
        if (config.home / "server" / "accounts.db").exists():
            from ..serve.accounts import Accounts

            with contextlib.closing(Accounts(config)) as accounts:
                accounts.forget_collection(name)  # the next of that name is another one
        click.echo(f"deleted collection {name}")
        return
    with Collection(name, config=config) as opened:
        gone = opened.remove(paths)
    click.echo(f"forgot {counted(len(gone), 'file')}")


@click.command()
@collection_option
@click.option("--embedder", metavar="BACKEND:NAME", help="The new embedder (default: configured).")
@click.option(
    "--chunker",
    metavar="NAME[:K=V,...]",
    help="The new chunker, as of llar add (default: the collection's own).",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def reembed(
    ctx: click.Context,
    collection: str | None,
    embedder: str | None,
    chunker: str | None,
    quiet: bool,
) -> None:
    """Give a collection another embedder, chunker or chunk size.

    Every document is chunked and embedded anew beside the old passages, which answer searches
    until the new ones take their place at the end. An interrupted run is continued.
    """
    from ..collection import Collection

    bar = Bar(quiet=quiet)
    with Collection(collection, config=ctx.obj) as opened:
        try:
            chunks = opened.reembed(embedder, chunker=chunker, progress=bar)
        finally:
            bar.close()
        name, spec = opened.index.embedder.name, opened.index.spec
    click.echo(f"{counted(chunks, 'chunk')} by {spec}, embedded by {name}")


@click.command()
@collection_option
@click.option("--files", "list_files", is_flag=True, help="List every file.")
@json_option
@click.pass_context
def status(ctx: click.Context, collection: str | None, list_files: bool, as_json: bool) -> None:
    """Show what a collection holds and what could not be read."""
    from ..index.index import Index

    config: Config = ctx.obj
    index = Index.open(config, collection or config.collection)
    state = {
        "collection": index.name,
        "path": str(index.database.path),
        **index.counts(),
        "languages": index.languages(),
        "embedder": index.embedder,
        "chunker": dict(index.chunker),
        "roots": index.roots(),
        "notes": index.notes(),
        "failed": {path: error for path, error, _ in index.failures()},
    }
    if list_files:
        state["file_list"] = list(index.files())
    if as_json:
        print_json(state)
        return
    counts = index.counts()
    languages = ", ".join(f"{k or 'unknown'} {v}" for k, v in sorted(index.languages().items()))
    click.echo(f"collection  {index.name}  ({index.database.path})")
    click.echo(
        f"documents   {counts['documents']} in {counted(counts['files'], 'file')}, "
        f"{size(counts['bytes'])}"
    )
    click.echo(
        f"chunks      {counts['chunks']} by {index.spec}, "
        f"at most {index.spec.max_tokens} tokens each"
    )
    click.echo(f"languages   {languages or 'none'}")
    click.echo(f"embedder    {index.embedder.name}, {index.embedder.dimension} dimensions")
    for root in index.roots():
        click.echo(f"follows     {clean(root)}")
    for _, error, at in index.failures():
        click.echo(f"failed      {clean(error)} ({at})")
    for path, notes in index.notes().items():
        for note in notes:
            click.echo(f"note        {clean(path)}: {clean(note)}")
    if list_files:
        for file in index.files():
            extra = "".join(f"  {k}={v}" for k, v in sorted(file.metadata.items()))
            click.echo(f"file        {clean(file.path)}{clean(extra)}")


@click.command()
@json_option
@click.pass_context
def collections(ctx: click.Context, as_json: bool) -> None:
    """List the collections."""
    from ..index.index import Index, collection_names

    config: Config = ctx.obj
    found = [(name, Index.open(config, name).counts()) for name in collection_names(config)]
    if as_json:
        print_json([{"collection": name, **counts} for name, counts in found])
        return
    for name, counts in found:
        held = counted(counts["documents"], "document"), counted(counts["chunks"], "chunk")
        click.echo(f"{name}  {', '.join(held)}")
    if not found:
        click.echo("there are no collections yet; make one with: llar add PATH", err=True)


def _watch(
    config: Config, collection: str | None, paths: Sequence[str], interval: float, as_json: bool
) -> int:
    """Print what changes until a signal ends it."""
    import json
    import signal
    import threading

    from ..collection import Collection
    from ..records import to_json
    from ..watch import watch

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with Collection(collection, config=config) as opened:
            for n, report in enumerate(watch(opened, interval, stop, paths=paths)):
                if as_json:
                    click.echo(json.dumps(to_json(report), ensure_ascii=False))
                    continue
                for line in _changes(report):
                    click.echo(line)
                if n == 0:
                    click.echo(f"watching {', '.join(map(clean, paths or opened.index.roots()))}")
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _changes(report: Report) -> Iterator[str]:
    """One line for each change."""
    for what, found in (
        ("added", report.added),
        ("updated", report.updated),
        ("copy", report.duplicates),
        ("removed", report.removed),
    ):
        yield from (f"{what:<8} {_line(path)}" for path in found)
    yield from (f"moved    {_line(old)} -> {_line(new)}" for old, new in report.moved)
    yield from (f"failed   {_line(error)}" for error in report.failed.values())
    for path, notes in report.notes.items():
        yield from (f"note     {_line(path)}: {_line(note)}" for note in notes)


def _line(text: str) -> str:
    """Text on one line, whatever a file is called."""
    return clean(text).replace("\n", "\\n")


def _password(file: TextIO | None) -> str | None:
    """The first line of a file, or what is typed unseen where "-" stands for a terminal."""
    if file is None:
        return None
    if file is sys.stdin and sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    try:
        password = file.readline().rstrip("\r\n")
    except UnicodeDecodeError as e:
        raise click.BadParameter("is not UTF-8", param_hint="--password-file") from e
    if not password:
        raise click.BadParameter("holds no password", param_hint="--password-file")
    return password


def _metadata(pairs: Sequence[str]) -> dict[str, MetadataValue]:
    from ..index.filters import RESERVED, parse_value

    metadata: dict[str, MetadataValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{pair!r}: expected KEY=VALUE", param_hint="--meta")
        if key.strip() in RESERVED:
            said = f"{key.strip()!r} is what the document itself says; choose another key"
            raise click.BadParameter(said, param_hint="--meta")
        metadata[key.strip()] = parse_value(value.strip())
    return metadata


def _finish(report: object, as_json: bool) -> int:
    from ..index.ingest import Report

    assert isinstance(report, Report)
    if as_json:
        print_json(report)
    else:
        counts: dict[str, Sized] = {
            "added": report.added,
            "updated": report.updated,
            "moved": report.moved,
            "duplicate" + "s" * (len(report.duplicates) != 1): report.duplicates,
            "removed": report.removed,
            "unchanged": report.unchanged,
            "failed": report.failed,
        }
        parts = [f"{len(found)} {name}" for name, found in counts.items() if found]
        click.echo(
            f"{', '.join(parts) or 'nothing to do'}: "
            f"{counted(report.chunks, 'new chunk')} in {report.seconds:.1f} s"
        )
    for path, notes in report.notes.items():
        for note in notes:
            click.echo(f"note: {clean(path)}: {clean(note)}", err=True)
    for error in report.failed.values():
        click.echo(f"failed: {clean(error)}", err=True)
    return PARTLY if report.failed else 0
