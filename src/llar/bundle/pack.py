"""Packing: models, collections, settings, prompts, wheels and an installer into one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from .. import archive, transfer
from ..archive import Watch, Writer
from ..config import Config, load
from ..errors import ModelCorrupt
from ..index.database import FILE
from ..index.index import collection_names
from ..models.store import RECORD, InstalledModel, Store
from . import wheels as wheel_files

KIND = "llar-bundle"
PLATFORM = "manylinux_2_28_x86_64"
PYTHON = "3.11"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was written. `notes` say what it does not hold although it may be missed."""

    file: Path
    size: int
    sha256: str
    models: tuple[str, ...]
    collections: tuple[str, ...]
    settings: tuple[str, ...]
    wheels: int
    notes: tuple[str, ...]


def create(
    config: Config,
    file: Path,
    *,
    models: Sequence[str] | None = None,
    collections: Sequence[str] | None = None,
    platform: str = PLATFORM,
    python: str = PYTHON,
    wheels: bool = True,
    watch: Watch | None = None,
) -> Bundle:
    """Write a bundle to `file`; nothing is left behind where that fails.

    `models` are names in the store (default: the configured ones and the embedders of the
    collections), `collections` names of collections (default: all). `platform` is the wheel tag
    and `python` the version of the machine it goes to. Uses the network for wheels only, through
    pip. Raises BundleError, ModelNotInstalled, ModelCorrupt, UnknownCollection.
    """
    if wheels:  # before any work
        wheel_files.platforms(platform)
        wheel_files.target_environment(platform, python)
    chosen = list(dict.fromkeys(collection_names(config) if collections is None else collections))
    tell = watch or (lambda name, done, total: None)
    with archive.create(file, KIND) as out, transfer.scratch(file) as folder:
        held = {}
        for n, name in enumerate(chosen):
            tell(f"collection {name}", n, len(chosen))
            held[name] = transfer.snapshot(config, name, folder / FILE)
            out.add_file(f"collections/{name}/{FILE}", folder / FILE)
            (folder / FILE).unlink()
        embedders = [facts["embedder"]["name"] for facts in held.values()]
        packed, notes = _choose(config, models, embedders)
        for n, model in enumerate(packed):
            tell(f"model {model.name}", n, len(packed))
            _add_model(out, model)
        settings, more = _add_settings(out, config)
        count = 0
        if wheels:
            tell("wheels", 0, 1)
            for wheel in wheel_files.fetch(folder, platform, python):
                out.add_file(f"wheels/{wheel.name}", wheel)
                count += 1
        script = resources.files(__package__) / "install.sh"
        out.add("install.sh", script.read_bytes(), executable=True)
        facts: dict[str, Any] = {
            "models": {m.full_name: {"kind": m.kind, "licence": m.licence, "source": m.source}
                       for m in packed},
            "collections": held,
            "settings": settings,
            "wheels": {"platform": platform, "python": python} if wheels else None,
        }  # fmt: skip
        out.finish(KIND, facts)
    with archive.told(file):
        size, digest = file.stat().st_size, archive.sha256(file)
    names = tuple(m.full_name for m in packed)
    return Bundle(file, size, digest, names, tuple(chosen), tuple(settings), count, (*notes, *more))


def _choose(
    config: Config, models: Sequence[str] | None, embedders: Sequence[str]
) -> tuple[list[InstalledModel], list[str]]:
    """The models to pack, and notes on those that are wanted and not packed."""
    store, notes = Store(config.models_dir), []
    wanted = list(dict.fromkeys([config.chat_model, config.embedder, *embedders]))
    on_servers = [n for n in wanted if n.partition(":")[0] not in transfer.STORED]
    if models is None:
        chosen = [store.get(n) for n in wanted if n not in on_servers]
        elsewhere = [name for name in on_servers if not name.startswith("fake:")]
        notes += [f"{name!r} is no model in the store, so it is not packed" for name in elsewhere]
    else:
        chosen = [store.get(n) for n in models]
        have = {m.full_name for m in chosen}
        left = [name for name in wanted if name not in have and name not in on_servers]
        notes += [f"{name!r} is used here and was not chosen, so it is not packed" for name in left]
    return list({m.name: m for m in chosen}.values()), notes


def _add_model(out: Writer, model: InstalledModel) -> None:
    out.add_file(f"models/{model.name}/{RECORD}", model.folder / RECORD)
    for file, expected in model.files.items():
        member = out.add_file(f"models/{model.name}/{file}", model.folder / file)
        if member.sha256 != expected:
            raise ModelCorrupt(
                f"model {model.name!r} is damaged: {file} has SHA-256 {member.sha256}, its record "
                f"{expected}; nothing was packed",
                fix=f"llar models verify {model.name}",
            )


def _add_settings(out: Writer, config: Config) -> tuple[list[str], list[str]]:
    """llar.toml and the user's prompts; notes on settings in force that are in neither."""
    added = []
    files = [config.home / "llar.toml", *sorted((config.home / "prompts").glob("*.txt"))]
    for path in files:
        if path.is_file():
            name = path.relative_to(config.home).as_posix()
            with archive.told(path):
                out.add(f"settings/{name}", path.read_bytes())
            added.append(name)
    on_disk = load({"home": config.home}, env={})
    elsewhere = [
        f.name
        for f in fields(Config)
        if f.name != "home"
        and (f.metadata["secret"] or getattr(config, f.name) != getattr(on_disk, f.name))
        and getattr(config, f.name)
    ]
    if not elsewhere:
        return added, []
    note = f"set here outside llar.toml, so not packed: {', '.join(elsewhere)}"
    return added, [note]
