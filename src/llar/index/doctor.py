"""Looks deeply into collections and the model store for anything that is not as it should be.

What is wrong is a Problem; `llar.index.repair` mends those of a collection. Nothing is changed
here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import chunks as chunking
from ..config import Config
from ..errors import CollectionError, LlarError, ModelError, SchemaMismatch
from ..models import open_embedder
from ..models.interface import EmbedderIdentity
from ..models.store import Store
from .database import BROKEN, FILE, NEXT, SCHEMA, collection_path, connect, create_tables
from .examine import Examined, examine_documents
from .index import Index

SAMPLE = 16  # passages embedded again, to see that the vectors are of the embedder they name
LEAST_COSINE = 0.95  # int8 arithmetic in batches of other shapes; measured 0.99 and more
_PID = re.compile(rf"\.{re.escape(FILE)}\.(\d+)-.*")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be, in one line, and what mends it."""

    where: str  # "collection NAME" or "model NAME"
    what: str
    fix: str
    kind: str = ""  # tells `repair` what to do; "" where only the user can
    documents: tuple[int, ...] = ()
    harmless: bool = False  # left behind by something that was stopped; nothing is missing


@dataclass(slots=True)
class _Patient:
    """A collection's file while it is examined."""

    name: str
    connection: sqlite3.Connection
    tokens: int | None = None  # as the manifest has it
    spec: chunking.Spec | None = None  # the same
    problems: list[Problem] = field(default_factory=list)

    def note(self, kind: str, what: str, documents: tuple[int, ...] = ()) -> None:
        fix = f"llar doctor -c {self.name} --repair"
        self.problems.append(Problem(f"collection {self.name}", what, fix, kind, documents))


def check(config: Config, name: str) -> list[Problem]:
    """Everything that is wrong with one collection. Raises UnknownCollection.

    Every row is read and every passage's words are made anew; a sample of its vectors, too. An
    older collection is brought to the present schema first, as when it is opened.
    """
    path = collection_path(config, name) / FILE
    if not path.is_file():
        Index.open(config, name).close()  # raises, naming those there are
    problems = _leftovers(name, path)
    other = _other_schema(config, name, path)
    if other:
        return [*problems, other]
    try:
        connection, _ = connect(path, config.lock_timeout)
    except CollectionError as e:
        return [*problems, _unreadable(name, e.message)]
    connection.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
    patient = _Patient(name, connection, problems=problems)
    with contextlib.closing(connection):
        try:
            _examine(patient, config)
        except BROKEN as e:
            problems.append(_unreadable(name, str(e)))
    return problems


def _other_schema(config: Config, name: str, path: Path) -> Problem | None:
    """What keeps a whole collection of another schema from being read by this llar."""
    try:
        connection, _ = connect(path, config.lock_timeout)
        with contextlib.closing(connection):
            row = connection.execute("SELECT value FROM manifest WHERE key = 'schema'").fetchone()
        found = json.loads(row[0]) if row else None
    except (CollectionError, ValueError, *BROKEN):
        return None  # damaged: the examination tells how
    if not isinstance(found, int) or found == SCHEMA:
        return None
    try:
        Index.open(config, name).close()
    except SchemaMismatch as e:
        fix = e.fix or "llar --version"
        return Problem(f"collection {name}", " ".join(e.message.split()), fix)
    except CollectionError:
        return None  # its tables are not those of the schema it names
    return None


def check_models(config: Config) -> list[Problem]:
    """Every model of the store whose bytes are not those of its record."""
    store = Store(config.models_dir)
    problems = []
    for name in store.names():
        try:
            store.verify(name)
        except ModelError as e:
            fix = e.fix or f"llar models remove {name} && llar models pull {name}"
            problems.append(Problem(f"model {name}", e.message, fix))
    for name, size in store.unfinished().items():
        what = f"its pull was not finished; {size} bytes of it are here"
        fix = f"llar models pull {name} goes on; llar models remove {name} deletes it"
        problems.append(Problem(f"model {name}", what, fix, harmless=True))
    return problems


def check_folders(config: Config) -> list[Problem]:
    """What stopped creations and deletions left where the collections are."""
    what = "is left of a creation or deletion that was stopped"
    return [
        Problem(f"folder {folder}", what, "llar doctor --repair", "folder", harmless=True)
        for folder in stopped_folders(config)
    ]


def stopped_folders(config: Config) -> list[Path]:
    """Folders where collections are that hold none and that nobody is about to fill."""
    root = config.collections_dir
    return [
        folder
        for folder in (sorted(root.iterdir()) if root.is_dir() else [])
        if (folder.is_dir() and not (folder / FILE).exists())
        or (folder.name.startswith(".") and folder.name.endswith(".deleted"))
        if folder.name.endswith(".deleted") or set(folder.iterdir()) <= set(stale_drafts(folder))
    ]


def stale_drafts(folder: Path) -> list[Path]:
    """Drafts of a collection whose process is gone."""
    found = []
    for path in sorted(folder.glob(f".{FILE}.*")):
        match = _PID.fullmatch(path.name)
        if match is None or not _alive(int(match[1])):
            found.append(path)
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unreadable(name: str, why: str) -> Problem:
    what = f"SQLite cannot read all of it: {why}"
    return Problem(f"collection {name}", what, f"llar doctor -c {name} --repair", "file")


def _leftovers(name: str, path: Path) -> list[Problem]:
    return [
        Problem(
            f"collection {name}",
            f"{draft.name} is left of a creation or backup that was stopped",
            f"llar doctor -c {name} --repair",
            "draft",
            harmless=True,
        )
        for draft in stale_drafts(path.parent)
    ]


def _examine(patient: _Patient, config: Config) -> None:
    connection = patient.connection
    connection.execute("BEGIN")  # one view, whoever else writes meanwhile
    found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    for line in found if found != ["ok"] else []:
        patient.problems.append(_unreadable(patient.name, " ".join(line.split())))
    if patient.problems and patient.problems[-1].kind == "file":
        return
    if not _check_tables(patient):
        return
    embedder = _check_manifest(patient)
    _check_next(patient)
    _check_rows(patient)
    samples = _check_documents(patient, embedder)
    _check_orphans(patient)
    connection.execute("COMMIT")
    _check_word_index(patient)
    if embedder and patient.spec:
        _check_embedder(patient, config, embedder, patient.spec, samples)


def _check_tables(patient: _Patient) -> bool:
    """Whether every table is there with its columns."""
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        create_tables(model)
        expected = _shape(model)
    actual = _shape(patient.connection)
    missing = [name for name, columns in expected.items() if actual.get(name) != columns]
    for name in missing:
        patient.note("file", f"table or index {name!r} is missing or has other columns")
    return not missing


def _shape(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    rows = connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_autoindex%'"
    ).fetchall()
    return {
        name: [(c[1], c[2]) for c in connection.execute(f"PRAGMA table_info({name!r})")]
        if kind == "table"
        else connection.execute(f"PRAGMA index_info({name!r})").fetchall()
        for kind, name in rows
    }


def _check_manifest(patient: _Patient) -> EmbedderIdentity | None:
    """Check each key; returns the embedder where it can be understood."""
    rows = dict(patient.connection.execute("SELECT key, value FROM manifest").fetchall())
    faults = manifest_faults(rows)
    for key in faults:
        found = repr(rows[key])[:80] if key in rows else "missing"
        patient.note("manifest", f"its manifest's {key!r} is {found}")
    if "tokens" not in faults:
        patient.tokens = json.loads(rows["tokens"])
    if "chunker" not in faults:
        patient.spec = chunking.read_spec(json.loads(rows["chunker"]))
    return None if "embedder" in faults else _identity(json.loads(rows["embedder"]))


def manifest_faults(rows: Mapping[str, str]) -> list[str]:
    """The keys of a manifest whose values are missing or cannot be right."""
    faults = []
    for key, plausible in _PLAUSIBLE.items():
        try:
            sane = plausible(json.loads(rows[key]))
        except (KeyError, ValueError, TypeError, AttributeError, CollectionError):
            sane = False
        if not sane:
            faults.append(key)
    return faults


def _identity(value: Any) -> EmbedderIdentity:
    return EmbedderIdentity(**{**value, "languages": tuple(value["languages"])})


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_PLAUSIBLE: dict[str, Callable[[Any], bool]] = {
    "schema": lambda v: v == SCHEMA,
    "created": lambda v: bool(re.match(r"\d{4}-\d\d-\d\dT", v)),
    "embedder": lambda v: _identity(v).dimension > 0 and ":" in v["name"],
    "chunker": lambda v: chunking.read_spec(v).max_tokens >= 1,
    "languages": lambda v: isinstance(v, dict),
    "generation": _is_count,
    "epoch": _is_count,
    "tokens": _is_count,
}


def _check_next(patient: _Patient) -> None:
    """A re-embedding under way is whole: a plan and its three tables, or none of them."""
    plan = patient.connection.execute("SELECT value FROM manifest WHERE key = 'next'").fetchone()
    tables = patient.connection.execute(
        f"SELECT count(*) FROM sqlite_schema WHERE name IN ('chunks{NEXT}', 'vectors{NEXT}',"
        f" 'words{NEXT}')"
    ).fetchone()[0]
    target = None
    if plan:  # one that cannot be read is reported as damaged below
        with contextlib.suppress(ValueError, TypeError, KeyError, CollectionError):
            found = json.loads(plan[0])
            target = found["embedder"]["name"]
            spec = chunking.read_spec(found["chunker"])
    if plan and target and tables == 3:
        done, total = patient.connection.execute(
            f"SELECT (SELECT count(*) FROM vectors{NEXT}), (SELECT count(*) FROM documents)"
        ).fetchone()
        name = patient.name
        patient.problems.append(
            Problem(
                f"collection {name}",
                f"a re-embedding with {target} is unfinished: {done} of {total} documents",
                f"llar reembed -c {name} --embedder {target} --chunker {spec}"
                "   (goes on where it was)",
                harmless=True,
            )
        )
    elif plan or tables:
        patient.note("next", "a re-embedding left tables that cannot be continued")


def _check_rows(patient: _Patient) -> None:
    """Rows that refer to documents that are not there, and numbers that would be used twice."""
    for table, count in patient.connection.execute(
        'SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1'
    ).fetchall():
        patient.note("orphans", f"{count} rows of {table!r} belong to a document that is not there")
    for table in ("documents", "chunks"):
        used, most = patient.connection.execute(
            "SELECT (SELECT max(seq) FROM sqlite_sequence WHERE name = ?),"
            f" (SELECT max(id) FROM {table})",
            (table,),
        ).fetchone()
        if most is not None and (used is None or used < most):
            patient.note("sequence", f"new {table} would get numbers that are in use")


def _check_documents(patient: _Patient, embedder: EmbedderIdentity | None) -> list[Examined]:
    """Report every faulty document, equal faults in one line; returns passages to embed again."""
    total = patient.connection.execute("SELECT count(*) FROM documents").fetchone()[0]
    every = max(1, total // SAMPLE)
    found: dict[tuple[str, str], list[int]] = {}
    names: dict[int, str] = {}
    samples = []
    tokens = 0
    for n, seen in enumerate(examine_documents(patient.connection, embedder)):
        tokens += seen.words
        for fault in seen.faults:
            found.setdefault(fault, []).append(seen.id)
            names[seen.id] = seen.document.source or seen.document.title or f"number {seen.id}"
        if n % every == 0 and seen.chunks and seen.first_vector is not None and not seen.faults:
            samples.append(seen)
    for (kind, why), ids in found.items():
        more = f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
        patient.note(kind, f"document {names[ids[0]]!r}{more}: {why}", tuple(ids))
    if not found and patient.tokens not in (None, tokens):
        patient.note("tokens", f"it counts {patient.tokens} words, but holds {tokens}")
    return samples


def _check_orphans(patient: _Patient) -> None:
    for what, of in (("words", "rowid"), ("chunks", "id")):
        other = "SELECT id FROM chunks" if what == "words" else "SELECT rowid FROM words"
        count = patient.connection.execute(
            f"SELECT count(*) FROM {what} WHERE {of} NOT IN ({other})"
        ).fetchone()[0]
        if count and what == "words":
            patient.note("words", f"{count} rows of 'words' belong to no passage")
        elif count:
            patient.note("words", f"{count} passages have no row in 'words'")


def _check_word_index(patient: _Patient) -> None:
    """Let FTS5 compare its index with its text; it asks for the right to write to do so."""
    try:
        patient.connection.execute("BEGIN IMMEDIATE")
        patient.connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as e:
        kind = e.sqlite_errorcode & 0xFF
        if kind == sqlite3.SQLITE_CORRUPT:
            patient.note("words", "the index of its words does not fit the words")
        elif kind != sqlite3.SQLITE_READONLY:  # then nobody can have harmed it, either
            raise
    finally:
        if patient.connection.in_transaction:
            patient.connection.execute("ROLLBACK")


def _check_embedder(
    patient: _Patient,
    config: Config,
    pinned: EmbedderIdentity,
    spec: chunking.Spec,
    samples: list[Examined],
) -> None:
    """The model of the manifest is here, is the same, and gives the vectors that are stored."""
    if not pinned.sha256:
        return  # behind a server: nothing to compare, and no call without being asked
    where = f"collection {patient.name}"
    try:
        model = open_embedder(config, pinned.name)
    except LlarError as e:
        fix = e.fix or f"llar reembed -c {patient.name}"
        patient.problems.append(Problem(where, f"its embedder cannot be opened: {e.message}", fix))
        return
    with contextlib.closing(model):
        if model.identity != pinned:
            what = f"{pinned.name} is not the model its vectors are of; that had SHA-256 "
            fix = f"llar reembed -c {patient.name} --embedder {pinned.name}"
            patient.problems.append(Problem(where, f"{what}{pinned.sha256[:12]}", fix))
            return
        for seen in samples:
            assert seen.first_vector is not None  # else it is no sample
            fresh = chunking.embed_first(seen.document, seen.chunks, spec, model)
            if float(np.dot(fresh, seen.first_vector)) < LEAST_COSINE:
                why = "its vectors are not those of its passages"
                patient.note("passages", f"document {seen.document.source!r}: {why}", (seen.id,))
