"""Unpacking: what a bundle holds into LLAR_HOME, checked first, staged, and then renamed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .. import archive
from ..archive import Archive, Watch, open_archive
from ..config import Config, load
from ..errors import BundleError, ConfigError, ModelError
from ..index.database import FILE
from ..models import weights
from ..models.store import RECORD, InstalledModel, Store, check_name, disk, sync
from ..transfer import Incoming, check_collection
from .pack import KIND

_LAYOUT = re.compile(
    r"install\.sh|wheels/[^/]+\.whl|models/[^/]+/.+|collections/[^/]+/collection\.db|"
    r"settings/llar\.toml|settings/prompts/[^/]+\.txt"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What a bundle brought: name -> "new", "replaced" or "unchanged"; all of it was tried out."""

    models: dict[str, str]
    collections: dict[str, str]
    settings: dict[str, str]
    notes: tuple[str, ...]


def verify(file: Path, *, watch: Watch | None = None) -> dict[str, Any]:
    """Check every byte of a bundle, a file or the folder it was unpacked into.

    Returns its manifest. Raises BundleError, naming the member that is wrong.
    """
    with _open(file) as found:
        found.verify(watch)
        return found.manifest


def install(
    config: Config, file: Path, *, replace: bool = False, watch: Watch | None = None
) -> Installed:
    """Bring a bundle's models, collections and settings into this home and try them out.

    Raises BundleError where a byte is wrong, or where something else of the same name is here
    and `replace` is not set; nothing has changed then. An install that was killed half-way is
    completed by the next: what is the same already is left alone.
    """
    with _open(file) as found, contextlib.ExitStack() as stack:
        found.verify(watch)
        incoming = stack.enter_context(Incoming(config))
        models = _Models(config, found, replace)
        settings = _Settings(config, found, replace)
        held = _collections(found)
        for name, facts in held.items():
            incoming.compare(name, facts, replace=replace)
        stack.enter_context(models)
        states = {
            name: incoming.stage(found, f"collections/{name}/{FILE}", name, facts, replace=replace)
            for name, facts in held.items()
        }
        models.place()
        incoming.place()
        settings.place()
    now = load({"home": config.home}, env={})
    store = Store(config.models_dir)
    for name in models.states:
        store.verify(name)
    notes = [note for name in states for note in check_collection(now, name)]
    return Installed(models.states, states, settings.states, tuple(notes))


@contextlib.contextmanager
def _open(file: Path) -> Iterator[Archive]:
    with open_archive(file, KIND) as found:
        for name in found.members:
            if not _LAYOUT.fullmatch(name):
                raise BundleError(
                    f"{str(file)!r} holds {name!r}, which has no place in a bundle; refused"
                )
        yield found


def _collections(found: Archive) -> dict[str, dict[str, Any]]:
    held = found.manifest.get("collections")
    inside = {name.split("/")[1] for name in found.names("collections/")}
    lists = isinstance(held, dict) and all(isinstance(facts, dict) for facts in held.values())
    if not isinstance(held, dict) or not lists or set(held) != inside:
        raise BundleError(
            f"{str(found.path)!r}: its manifest lists other collections than it holds"
        )
    return held


class _Models:
    """The bundle's models, staged in the store's own corner for unfinished work.

    The lock of `Incoming` is held meanwhile.
    """

    def __init__(self, config: Config, found: Archive, replace: bool) -> None:
        self.store = Store(config.models_dir)
        self.seconds = config.lock_timeout
        self.found = found
        self.states: dict[str, str] = {}
        self._staged: dict[str, tuple[Path, dict[str, Any]]] = {}
        for name in dict.fromkeys(n.split("/")[1] for n in found.names("models/")):
            self.states[check_name(name)] = self._compare(name, replace)

    def _files(self, name: str) -> dict[str, str]:
        """The model's files in the bundle with their hashes, without its record."""
        top = f"models/{name}/"
        members = self.found.names(top)
        return {n.removeprefix(top): self.found.members[n].sha256 for n in members
                if n != top + RECORD}  # fmt: skip

    def _compare(self, name: str, replace: bool) -> str:
        if name not in self.store.names():
            return "new"
        with contextlib.suppress(ModelError):  # a damaged one is not the same
            if dict(self.store.get(name).files) == self._files(name):
                return "unchanged"
        if not replace:
            raise BundleError(
                f"there is another model {name!r} here; nothing was changed",
                fix="repeat with --replace to put the bundle's in its place",
            )
        return "replaced"

    def __enter__(self) -> _Models:
        """Unpack all that is not here, each into a folder of its own."""
        with disk(ModelError):
            self.corner = self.store.partial / ".bundle.removed"  # never taken for a pull
            shutil.rmtree(self.corner, ignore_errors=True)  # of an install that was killed
            self.corner.mkdir()
        try:
            for name, state in self.states.items():
                if state != "unchanged":
                    self._stage(name)
        except BaseException:
            shutil.rmtree(self.corner)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.corner)

    def _stage(self, name: str) -> None:
        folder = self.corner / name
        with archive.told(folder):
            for file in self._files(name):
                self.found.extract(f"models/{name}/{file}", folder / file)
        try:
            record = json.loads(self.found.read(f"models/{name}/{RECORD}"))
            kept = {f.name: record[f.name] for f in fields(InstalledModel)
                    if f.name not in ("folder", "files")}  # fmt: skip
        except (KeyError, TypeError, ValueError) as e:
            raise BundleError(
                f"{str(self.found.path)!r}: 'models/{name}/{RECORD}' is no model's record ({e!r})"
            ) from e
        if kept["name"] != name:
            raise BundleError(
                f"{str(self.found.path)!r}: 'models/{name}/{RECORD}' is of {kept['name']!r}"
            )
        weights.inspect(folder)  # what is no model must not get in
        self._staged[name] = (folder, kept)

    def place(self) -> None:
        """Put each staged model into the store, as a pull would."""
        for name, (folder, record) in self._staged.items():
            with disk(ModelError), self.store.lock(name, self.seconds):
                here, old = self.store.folder / name, None
                if here.exists():
                    old = self.store.partial / f"{name}.{uuid.uuid4().hex}.removed"
                    here.rename(old)
                try:
                    self.store.install(folder, record)
                except BaseException:
                    if old is not None:
                        old.rename(here)
                    raise
                self.store.clean(name)


class _Settings:
    """llar.toml and the prompts."""

    def __init__(self, config: Config, found: Archive, replace: bool) -> None:
        self.home = config.home
        self.states: dict[str, str] = {}
        self._new: dict[str, bytes] = {}
        for member in found.names("settings/"):
            name = member.removeprefix("settings/")
            data, here = found.read(member), config.home / name
            if here.is_file() and here.read_bytes() == data:
                self.states[name] = "unchanged"
                continue
            self.states[name] = "replaced" if here.exists() else "new"
            if here.exists() and not replace:
                raise BundleError(
                    f"there is another {name} in {config.home}; nothing was changed",
                    fix="repeat with --replace to put the bundle's in its place",
                )
            self._new[name] = data
        if "llar.toml" in self._new:
            _try(found.path, self._new["llar.toml"])

    def place(self) -> None:
        """Write each beside its place and rename it there."""
        for name, data in self._new.items():
            target = self.home / name
            with archive.told(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
                draft.write_bytes(data)
                sync(draft)
                draft.replace(target)


def _try(bundle: Path, settings: bytes) -> None:
    """Refuse settings that this llar cannot read."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "llar.toml").write_bytes(settings)
        try:
            load({"home": folder}, env={})
        except ConfigError as e:
            why = e.message.replace(f"{folder}/", "")
            raise BundleError(f"{str(bundle)!r}: its settings are refused: {why}") from e
