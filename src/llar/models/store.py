"""The model store: one folder per model under LLAR_HOME/models, each with a model.json.

A model is there when its folder is: everything is prepared in `.partial/NAME` and renamed into
place. `.partial/NAME.lock` is held by whoever changes NAME.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import ModelCorrupt, ModelError, ModelNotInstalled, PullError
from . import catalogue
from .catalogue import KINDS, Kind

SCHEMA = 1
RECORD = "model.json"
PARTIAL = ".partial"
CONVERTED = ".converted"  # what engines made from models: NAME-KEY-*; made again on demand
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A complete model in the store, as its model.json says it is."""

    name: str
    kind: Kind
    backend: str
    folder: Path
    files: Mapping[str, str]  # file name, relative to `folder` -> SHA-256
    context: int  # tokens; 0 where neither catalogue nor files say
    languages: tuple[str, ...]  # ISO 639-1; ("*",) for a multilingual model; () unknown
    pooling: str  # "mean", "cls" or "last"; "" for what has none
    query_prefix: str
    document_prefix: str
    licence: str  # "" unknown
    source: str  # as llar.models.sources writes it

    @property
    def full_name(self) -> str:
        """The model as every command and setting names it: backend:name."""
        return f"{self.backend}:{self.name}"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum((self.folder / f).stat().st_size for f in self.files)


class Store:
    """The models in one folder. Safe to use from several processes."""

    def __init__(self, models_dir: Path) -> None:
        self.folder = models_dir

    def names(self) -> tuple[str, ...]:
        """Short names of the models that are here, sorted."""
        if not self.folder.is_dir():
            return ()
        found = (p.parent.name for p in self.folder.glob(f"*/{RECORD}"))
        return tuple(sorted(n for n in found if _NAME.fullmatch(n)))

    def list(self) -> tuple[InstalledModel, ...]:
        """Every model that is here, by name. Raises ModelCorrupt for a record it cannot read."""
        return tuple(self._read(n) for n in self.names())

    def get(self, name: str) -> InstalledModel:
        """The model called `name` or `backend:name`.

        Raises ModelNotInstalled when the catalogue knows it, UnknownModel when nobody does, and
        ModelCorrupt when its files are not those of its record (presence and size; `verify`
        looks deeper).
        """
        backend, colon, short = name.rpartition(":")
        if _NAME.fullmatch(short) and (self.folder / short / RECORD).is_file():
            model = self._read(short)
            if not colon or backend == model.backend:
                return model
        entry = catalogue.find(name)
        if entry is None:
            raise catalogue.unknown(name, self._full_names())
        raise ModelNotInstalled(
            f"model {entry.full_name!r} is not installed", fix=f"llar models pull {entry.name}"
        )

    def remove(self, name: str, seconds: float = 60.0) -> None:
        """Delete a model, however broken, and what is left of an unfinished pull of it.

        Raises as `get` where there is neither, and PullError when another process works on it for
        more than `seconds`. A process that has the model open keeps it.
        """
        short = name.rpartition(":")[2]
        known = _NAME.fullmatch(short) and (self.folder / short).is_dir()
        if not known and short not in self.unfinished():
            self.get(name)
        with disk(ModelError), self.lock(short, seconds):
            if (self.folder / short).is_dir():
                gone = self.partial / f"{short}.{uuid.uuid4().hex}.removed"
                (self.folder / short).rename(gone)
                for folder in (self.folder / CONVERTED).glob("*"):
                    if re.match(re.escape(short) + r"-[0-9a-f]{12}-", folder.name):
                        shutil.rmtree(folder)
            self.clean(short)

    def verify(self, name: str) -> InstalledModel:
        """Hash every file again and parse the model's header. Raises ModelCorrupt."""
        from . import weights

        model = self.get(name)
        for file, expected in model.files.items():
            with disk(ModelError):
                actual = sha256(model.folder / file)
            if actual != expected:
                raise _corrupt(
                    model.name,
                    f"{file} has SHA-256 {actual}, its record {expected}",
                    model.source,
                )
        weights.inspect(model.folder)
        return model

    def install(self, staged: Path, record: Mapping[str, Any]) -> InstalledModel:
        """Make the files in `staged` (same disk as the store) a model, all at once.

        `record` has InstalledModel's fields, less `folder` and `files`: those are taken from what
        is there. The caller holds the model's lock. `staged` is gone afterwards.
        """
        name = check_name(record["name"])
        if (self.folder / name).exists():
            raise PullError(f"there already is a model {name!r}", fix=f"llar models remove {name}")
        (staged / RECORD).unlink(missing_ok=True)  # of a try that was killed just before the end
        paths = sorted(p for p in staged.rglob("*") if p.is_file())
        files = {
            p.relative_to(staged).as_posix(): {"sha256": sha256(p), "size": p.stat().st_size}
            for p in paths
        }
        text = json.dumps({"schema": SCHEMA, **record, "files": files}, indent=2)
        (staged / RECORD).write_text(text + "\n", encoding="utf-8")
        _parse(name, staged)  # a record that could not be read again must not get in
        for path in [*paths, staged / RECORD, *{p.parent for p in paths}, staged]:
            sync(path)
        staged.rename(self.folder / name)
        sync(self.folder)
        return self._read(name)

    @property
    def partial(self) -> Path:
        """Where unfinished work lies; made on demand."""
        folder = self.folder / PARTIAL
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def unfinished(self) -> dict[str, int]:
        """Pulls that were started and not finished: name -> bytes on disk."""
        found = {}
        root = self.folder / PARTIAL
        for folder in sorted(root.iterdir()) if root.is_dir() else []:
            if folder.is_dir() and not folder.name.endswith(".removed"):
                found[folder.name] = 0
                for path in folder.rglob("*"):
                    with contextlib.suppress(FileNotFoundError):  # a pull goes on meanwhile
                        found[folder.name] += path.stat().st_size if path.is_file() else 0
        return found

    @contextlib.contextmanager
    def lock(self, name: str, seconds: float) -> Iterator[None]:
        """Hold `name` for one process; a killed one lets go. Raises PullError after `seconds`."""
        import filelock  # it loads asyncio and ssl

        lock = filelock.FileLock(self.partial / f"{name}.lock", timeout=seconds)
        try:
            with lock:
                yield
        except filelock.Timeout:
            raise PullError(
                f"another process has been pulling or removing {name!r} for over {seconds:g} s; "
                "wait for it, or raise the setting lock_timeout"
            ) from None

    def clean(self, name: str) -> None:
        """Delete leftovers of `name`; the caller holds its lock."""
        for folder in [self.partial / name, *self.partial.glob(f"{name}.{'?' * 32}.removed")]:
            if folder.is_dir():
                shutil.rmtree(folder)

    def _full_names(self) -> Iterator[str]:
        for name in self.names():
            with contextlib.suppress(ModelError):  # only suggests names; `get` reports what is bad
                yield self._read(name).full_name

    def _read(self, name: str) -> InstalledModel:
        return _parse(name, self.folder / name)


def _parse(name: str, folder: Path) -> InstalledModel:
    """Read a model.json and compare it with what lies beside it."""
    try:
        table = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if table["schema"] != SCHEMA:
            raise ModelError(
                f"model {name!r} was stored by another version of llar: {RECORD} has schema "
                f"{table['schema']!r}, this one reads {SCHEMA}"
            )
        files = {str(f): (str(v["sha256"]), int(v["size"])) for f, v in table["files"].items()}
        model = InstalledModel(
            name=str(table["name"]),
            kind=table["kind"],
            backend=str(table["backend"]),
            folder=folder,
            files=MappingProxyType({f: sha for f, (sha, _) in files.items()}),
            context=int(table["context"]),
            languages=tuple(map(str, table["languages"])),
            pooling=str(table["pooling"]),
            query_prefix=str(table["query_prefix"]),
            document_prefix=str(table["document_prefix"]),
            licence=str(table["licence"]),
            source=str(table["source"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise _corrupt(name, f"its {RECORD} cannot be read ({e!r})") from e
    if model.name != name or model.kind not in KINDS:
        raise _corrupt(name, f"its {RECORD} says it is the {model.kind} {model.name!r}")
    for file, (_, size) in files.items():
        path = folder / file
        actual = path.stat().st_size if path.is_file() else None
        if actual != size:
            found = "is missing" if actual is None else f"has {actual} bytes, its record {size}"
            raise _corrupt(name, f"{file} {found}", model.source)
    return model


def _corrupt(name: str, why: str, source: str = "") -> ModelCorrupt:
    again = f"pull {name}"
    if source.startswith("file:"):
        again = f"import {shlex.quote(source.removeprefix('file:'))} --name {name}"
    elif source and not catalogue.find(name):
        again = f"pull {shlex.quote(source)} --name {name}"
    return ModelCorrupt(
        f"model {name!r} is damaged: {why}",
        fix=f"llar models remove {name} && llar models {again}",
    )


@contextlib.contextmanager
def disk(error: type[ModelError]) -> Iterator[None]:
    """Tell what the disk refused as an `error`."""
    try:
        yield
    except OSError as e:
        where = f" ({e.filename})" if e.filename else ""
        again = "free some and run the same command again" if e.errno == errno.ENOSPC else None
        raise error(f"the disk refused: {e.strerror or e}{where}", fix=again) from e


def check_name(name: str) -> str:
    """The name itself, if it can be a model's: it is a folder's name and part of backend:name."""
    if not _NAME.fullmatch(name) or name.endswith((".lock", ".removed")):
        raise PullError(
            f"{name!r} cannot be a model's name; expected small letters, digits, '.', '_' and '-', "
            "at most 100, the first one a letter or digit"
        )
    return name


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have a file's or folder's content on the disk before going on (folders: not on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
