"""One collection as one file: `llar export` and `llar import`, and what bundles need of both.

A collection is copied through SQLite's backup, which is one consistent moment of it, also while
others write. It comes in by one rename, after every byte and the file's own structure were checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from . import archive
from .archive import Archive, open_archive
from .collection import Collection
from .config import Config
from .errors import BundleError, CollectionBusy, CollectionError, ModelError
from .index.database import FILE, Database, collection_path, mapped
from .index.index import Index, collection_names
from .models.store import Store

KIND = "llar-collection"
STORED = ("ctranslate2", "llamacpp")  # backends whose models are files in the store


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written: bytes, SHA-256, and what it holds of the collection."""

    file: Path
    size: int
    sha256: str
    collection: str
    documents: int
    chunks: int
    embedder: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A collection that came in. `notes` say what is still missing for all of it to work."""

    collection: str
    documents: int
    chunks: int
    embedder: str
    replaced: bool
    unchanged: bool  # it was here already, the same
    notes: tuple[str, ...]


def export_collection(config: Config, name: str, file: Path) -> Exported:
    """Write the collection `name` as it is at this moment to `file`.

    Raises UnknownCollection; BundleError where `file` exists or cannot be written, and then
    leaves nothing behind.
    """
    with archive.create(file, KIND) as out, scratch(file) as folder:
        facts = snapshot(config, name, folder / FILE)
        out.add_file(FILE, folder / FILE)
        out.finish(KIND, {"collection": name, **facts})
    counts = facts["documents"], facts["chunks"], facts["embedder"]["name"]
    with archive.told(file):
        return Exported(file, file.stat().st_size, archive.sha256(file), name, *counts)


def import_collection(
    config: Config, file: Path, name: str | None = None, *, replace: bool = False
) -> Imported:
    """Make the collection in `file` one of this home, called `name` or as it was.

    Raises BundleError where the file is damaged, or where another collection of that name is
    here and `replace` is not set; nothing has changed then.
    """
    with open_archive(file, KIND) as found:
        name = name or found.manifest.get("collection")
        if not isinstance(name, str):
            raise BundleError(f"{str(file)!r} is damaged: its manifest names no collection")
        with Incoming(config) as incoming:
            state = incoming.stage(found, FILE, name, found.manifest, replace=replace)
            incoming.place()
    notes = check_collection(config, name)
    with contextlib.closing(Index.open(config, name)) as index:
        counts, embedder = index.counts(), index.embedder.name
    numbers = counts["documents"], counts["chunks"]
    return Imported(name, *numbers, embedder, state == "replaced", state == "unchanged", notes)


def snapshot(config: Config, name: str, target: Path) -> dict[str, Any]:
    """Copy a collection's database as of one moment; returns what a manifest says of it."""
    with contextlib.closing(Index.open(config, name)) as index:
        database = index.database
        with mapped(database.path), contextlib.closing(sqlite3.connect(target)) as copy:
            database.connection.backup(copy)  # all pages in one step: one moment, no restarts
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, no companions
            return describe(copy)


def describe(connection: sqlite3.Connection) -> dict[str, Any]:
    """What a collection holds; `content` is equal for equal documents, files and vectors' model."""
    digest = hashlib.sha256()
    for query in (
        "SELECT key, value FROM manifest WHERE key IN ('embedder', 'chunker') ORDER BY 1",
        "SELECT id, sha256, title, language, length(text) FROM documents ORDER BY id",
        "SELECT path, document_id, metadata FROM files ORDER BY path",
        "SELECT path FROM roots ORDER BY path",
        "SELECT document_id, first_chunk, count, length(data) FROM vectors ORDER BY document_id",
    ):
        for row in connection.execute(query):
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
    counts = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks)"
    documents, chunks = connection.execute(counts).fetchone()
    [embedder] = connection.execute("SELECT value FROM manifest WHERE key = 'embedder'").fetchone()
    return {
        "documents": documents,
        "chunks": chunks,
        "embedder": json.loads(embedder),
        "content": digest.hexdigest(),
    }


@contextlib.contextmanager
def scratch(file: Path) -> Iterator[Path]:
    """A folder for work in progress beside `file`, on whose disk the room is needed anyway."""
    with archive.told(file):
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Incoming:
    """Collections on their way in: staged beside the others, checked, then renamed into place."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._staged: list[tuple[str, Path]] = []
        self._folder = config.collections_dir / ".incoming"
        self._lock = filelock.FileLock(f"{self._folder}.lock", timeout=config.lock_timeout)

    def __enter__(self) -> Incoming:
        with archive.told(self._folder):
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except filelock.Timeout:
                raise CollectionBusy(
                    f"another process is importing into {str(self._folder.parent)!r}",
                    fix="try again, or raise LLAR_LOCK_TIMEOUT (seconds)",
                ) from None
            shutil.rmtree(self._folder, ignore_errors=True)  # of one that was killed
            self._folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)
        self._lock.release()

    def stage(
        self, found: Archive, member: str, name: str, facts: dict[str, Any], *, replace: bool
    ) -> str:
        """Unpack and check one; returns "new", "replaced" or "unchanged" (then nothing is staged).

        Raises BundleError where a different collection of that name is here and not to be replaced.
        """
        state = self.compare(name, facts, replace=replace)
        if state != "unchanged":
            target = self._folder / str(len(self._staged)) / FILE
            with archive.told(target):
                found.extract(member, target)
            _check_file(found.path, target, name, self.config)
            self._staged.append((name, target.parent))
        return state

    def compare(self, name: str, facts: dict[str, Any], *, replace: bool) -> str:
        """What staging this collection would do, without doing it."""
        collection_path(self.config, name)
        if name not in collection_names(self.config):
            return "new"
        with (
            contextlib.closing(Index.open(self.config, name)) as index,
            index.database.read() as connection,
        ):
            here = describe(connection)
        if here["content"] == facts.get("content"):
            return "unchanged"
        if not replace:
            raise BundleError(
                f"there is another collection {name!r} here ({here['documents']} documents); "
                "nothing was changed",
                fix="repeat with --replace to put this one in its place; `llar import` can also "
                "give it another name, with -c NAME",
            )
        return "replaced"

    def place(self) -> list[str]:
        """Rename what was staged into place, one by one; returns the names."""
        for name, folder in self._staged:
            target = collection_path(self.config, name)
            with archive.told(target):
                old = target.with_name(f".{name}.deleted")
                if old.exists():
                    shutil.rmtree(old)
                if target.exists():
                    target.rename(old)
                try:
                    folder.rename(target)
                except OSError:
                    if old.exists():
                        old.rename(target)
                    raise
                if old.exists():
                    shutil.rmtree(old)
        return [name for name, _ in self._staged]


def check_collection(config: Config, name: str) -> tuple[str, ...]:
    """Open a collection and search it for words that it holds.

    Returns what is missing for meaning-based search to work, which is no error: it can be pulled.
    Raises CollectionError where it does not find what it holds.
    """
    with Collection(name, config=config) as collection:
        rows = collection.index.database.connection.execute(
            "SELECT text FROM chunks ORDER BY length(text) DESC LIMIT 1"
        ).fetchall()
        missing = missing_embedder(config, collection.index.embedder.name)
        words = " ".join(re.findall(r"\w{3,}", str(rows[0][0]))[:20] if rows else ())
        if words:
            hits = collection.search(words, mode="lexical" if missing else "hybrid")
            if not hits:
                raise CollectionError(
                    f"collection {name!r} does not find words that it holds: {words!r}",
                    fix=f"llar doctor -c {name} --repair",
                )
    return (f"collection {name!r}: {missing}",) if missing else ()


def missing_embedder(config: Config, full_name: str) -> str:
    """Why the embedder cannot be used here without more ado; empty where it can."""
    backend = full_name.partition(":")[0]
    if backend == "fake":
        return ""
    if backend not in STORED:
        return f"its embedder {full_name!r} is on a server; set LLAR_OPENAI_BASE_URL to reach it"
    try:
        Store(config.models_dir).get(full_name)
    except ModelError as e:
        name = full_name.partition(":")[2]
        return (
            f"its embedder {full_name!r} is not installed here ({e.message}); "
            f"get it with: {e.fix or f'llar models pull {name}'}"
        )
    return ""


def _check_file(source: Path, staged: Path, name: str, config: Config) -> None:
    """Refuse a database that is no collection, is damaged, or carries code of its own."""
    with mapped(staged), contextlib.closing(sqlite3.connect(staged)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        try:
            foreign = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')"
            ).fetchall()
            [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as e:
            foreign, verdict = [], str(e)
    if foreign or verdict != "ok":
        why = f"it has a trigger or view {foreign[0][0]!r}" if foreign else verdict
        raise BundleError(f"{str(source)!r}: collection {name!r} is refused: {why}")
    Database(staged.parent, lock_timeout=config.lock_timeout).close()  # manifest and schema
