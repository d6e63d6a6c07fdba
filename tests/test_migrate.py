"""Older schemas become the present one in one step after a backup, or stay as they are."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

import llar
from llar import Collection, load_config
from llar.errors import CollectionError, SchemaMismatch
from llar.index.database import SCHEMA
from llar.index.doctor import check
from llar.index.index import Index
from llar.index.migrate import Steps, back_up, migrate

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> llar.Config:
    return load_config({"embedder": "fake:hash"})


@pytest.fixture
def older(config: llar.Config, tmp_path: Path) -> Path:
    """A collection of schema -1, as if `roots` had once been `places` and had had a note."""
    (tmp_path / "leave.txt").write_text("Staff have 27 days of annual leave.")
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "leave.txt")
        path = docs.index.database.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE roots RENAME TO places")
        connection.execute("ALTER TABLE places ADD COLUMN note TEXT")
        connection.execute("UPDATE manifest SET value = '-1' WHERE key = 'schema'")
        connection.commit()
    return path


def _drop_note(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE places DROP COLUMN note")


def _rename(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE places RENAME TO roots")


STEPS: Steps = {-1: _drop_note, 0: _rename}


def _dump(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if "words_" not in line]


def test_two_steps_with_a_backup_first(config: llar.Config, older: Path) -> None:
    before = _dump(older)
    backup = migrate(older, lock_timeout=1.0, steps=STEPS)
    assert backup is not None
    assert backup.name.startswith("collection.db.backup-")
    assert _dump(backup) == before
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        assert docs.index.database.manifest("schema") == SCHEMA
        assert docs.index.roots() == [docs.documents()[0].source]
        assert "27 days" in docs.search("annual leave")[0].chunk.text
    assert migrate(older, lock_timeout=1.0, steps=STEPS) is None
    shutil.copy(backup, older)
    assert migrate(older, lock_timeout=1.0, steps=STEPS) is not None  # a backup is a collection


def test_a_step_that_fails_changes_nothing(config: llar.Config, older: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM documents")
        connection.execute("no SQL")

    def orphan(connection: sqlite3.Connection) -> None:
        _rename(connection)
        connection.execute("DELETE FROM documents")

    before = _dump(older)
    with pytest.raises(CollectionError, match="syntax error"):
        migrate(older, lock_timeout=1.0, steps={-1: _drop_note, 0: fail})
    assert _dump(older) == before
    with pytest.raises(CollectionError, match="without their document; nothing was changed"):
        migrate(older, lock_timeout=1.0, steps={-1: _drop_note, 0: orphan})
    assert _dump(older) == before


def test_no_way_from_there_is_refused_before_anything(config: llar.Config, older: Path) -> None:
    before = _dump(older)
    with pytest.raises(SchemaMismatch, match="schema -1; this llar reads schema 1 and knows no"):
        migrate(older, lock_timeout=1.0, steps={0: _rename})
    with pytest.raises(SchemaMismatch, match="knows no way"):
        Index.open(config, "c")
    assert _dump(older) == before
    assert [p.name for p in older.parent.iterdir() if "backup" in p.name] == []


def test_a_backup_holds_what_is_only_in_the_log(config: llar.Config, tmp_path: Path) -> None:
    (tmp_path / "fire.txt").write_text("The alarm is tested on Mondays.")
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "fire.txt")
        path = docs.index.database.path
        assert Path(f"{path}-wal").stat().st_size > 0
        copy = back_up(path)
        other = config.collections_dir / "copy" / "collection.db"
        other.parent.mkdir()
        copy.rename(other)
        with Collection("copy", config=config) as same:
            assert same.documents() == docs.documents()
        assert check(config, "copy") == []
        assert back_up(path) != back_up(path)
