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
from llar.index.ingest import Progress
from llar.index.migrate import Steps, back_up, migrate
from llar.index.repair import repair

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> llar.Config:
    return load_config({"embedder": "fake:hash"})


@pytest.fixture
def older(config: llar.Config, tmp_path: Path) -> Path:
    """A collection of schema 0, as if `roots` had once been `places` and had had a note."""
    (tmp_path / "leave.txt").write_text("Staff have 27 days of annual leave.")
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "leave.txt")
        path = docs.index.database.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE roots RENAME TO places")
        connection.execute("ALTER TABLE places ADD COLUMN note TEXT")
        connection.execute("UPDATE manifest SET value = '0' WHERE key = 'schema'")
        connection.commit()
    return path


def _drop_note(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE places DROP COLUMN note")


def _rename(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE places RENAME TO roots")


STEPS: Steps = {0: _drop_note, 1: _rename}


_CHUNKS_1 = """
CREATE TABLE chunks{0} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  start INTEGER NOT NULL, end INTEGER NOT NULL, kind TEXT NOT NULL,
  prefix TEXT NOT NULL, headings TEXT NOT NULL, first_page INTEGER, last_page INTEGER,
  text TEXT NOT NULL
);
CREATE INDEX chunks{0}_document ON chunks{0}(document_id);
INSERT INTO chunks{0} SELECT id, document_id, start, end, kind, prefix, headings, first_page,
  last_page, text FROM new{0};
DROP TABLE new{0};
"""


def to_schema_1(path: Path) -> None:
    """Make a collection what the first release wrote, a re-embedding under way included."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for suffix in ("", "_next"):
            if connection.execute(
                "SELECT 1 FROM sqlite_schema WHERE name = ?", (f"chunks{suffix}",)
            ).fetchone():
                connection.execute(f"DROP INDEX chunks{suffix}_document")
                connection.execute(f"ALTER TABLE chunks{suffix} RENAME TO new{suffix}")
                connection.executescript(_CHUNKS_1.format(suffix))
        for key in ("chunker", "next"):
            connection.execute(
                "UPDATE manifest SET value = replace(value, ', \"overlap\": 0', '') WHERE key = ?",
                (key,),
            )
        connection.execute("UPDATE manifest SET value = '1' WHERE key = 'schema'")
        connection.commit()


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


def test_from_schema_1(config: llar.Config, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\n" + "Staff have 27 days of annual leave. " * 60)
    (folder / "fire.txt").write_text("The alarm is tested on Mondays.")
    with Collection("c", config=config) as docs:
        docs.add(folder)
        path = docs.index.database.path
        hits, facts = docs.search("annual leave"), docs.index.chunker
        new = docs.index.chunks([1, 2, 3])
    to_schema_1(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT key, value FROM manifest").fetchall()
    assert dict(rows)["chunker"] == '{"name": "structure", "max_tokens": 160}'
    before = _dump(path)
    with Collection("c", config=config) as docs:
        assert docs.search("annual leave") == hits  # keywords and positions included
        assert docs.index.chunks([1, 2, 3]) == new
        assert docs.index.spec.as_manifest() == facts
        assert docs.add(folder).unchanged == [str(folder / "fire.txt"), str(folder / "leave.md")]
    assert check(config, "c") == []
    [backup] = [p for p in path.parent.iterdir() if "backup" in p.name]
    assert _dump(backup) == before


def test_the_doctor_and_other_schemas(config: llar.Config, tmp_path: Path) -> None:
    (tmp_path / "leave.txt").write_text("Staff have 27 days of annual leave.")
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "leave.txt")
        path = docs.index.database.path
    to_schema_1(path)
    assert check(config, "c") == []  # brought to the present one, as by any other command
    assert len(list(path.parent.glob("*.backup-*"))) == 1
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE manifest SET value = '99' WHERE key = 'schema'")
        connection.commit()
    before = _dump(path)
    [problem] = check(config, "c")
    assert "schema 99, written by a newer llar" in problem.what
    assert problem.fix == "pip install --upgrade llar"
    assert repair(config, "c", [problem]) == []
    assert _dump(path) == before


def test_a_damaged_file_of_schema_1_is_salvaged(config: llar.Config, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(f"Note {n} is about subject {n}.")
    with Collection("c", config=config) as docs:
        docs.add([tmp_path / f"{n}.txt" for n in range(3)])
        path = docs.index.database.path
        chunks = docs.index.chunks([1, 2, 3])
    to_schema_1(path)
    with path.open("r+b") as file:
        file.write(b"x" * 16)
    problems = check(config, "c")
    assert problems
    done = repair(config, "c", problems)
    assert done == [
        "copied every readable row into a new file; the damaged one is kept as .backup",
        "made the words of 3 passages anew",
        "made the keywords of 3 documents anew",
    ]
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        assert docs.index.chunks([1, 2, 3]) == chunks


def test_a_reembedding_that_schema_1_began_goes_on(config: llar.Config, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(f"Note {n} is about subject {n}.")
    with Collection("c", config=config) as docs:
        docs.add([tmp_path / f"{n}.txt" for n in range(3)])
        path = docs.index.database.path

        def stop(progress: Progress) -> None:
            if progress.done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            docs.reembed("fake:hash-32", progress=stop)
    to_schema_1(path)
    seen = []
    with Collection("c", config=config) as docs:
        assert docs.reembed("fake:hash-32", progress=lambda p: seen.append(p.total)) == 3
        assert seen == [1]  # two were done
        assert docs.index.chunks([1])[1][1].keywords == ("note", "subject")
    assert check(config, "c") == []


def test_a_step_that_fails_changes_nothing(config: llar.Config, older: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM documents")
        connection.execute("no SQL")

    def orphan(connection: sqlite3.Connection) -> None:
        _rename(connection)
        connection.execute("DELETE FROM documents")

    before = _dump(older)
    with pytest.raises(CollectionError, match="syntax error"):
        migrate(older, lock_timeout=1.0, steps={0: _drop_note, 1: fail})
    assert _dump(older) == before
    with pytest.raises(CollectionError, match="without their document; nothing was changed"):
        migrate(older, lock_timeout=1.0, steps={0: _drop_note, 1: orphan})
    assert _dump(older) == before


def test_no_way_from_there_is_refused_before_anything(config: llar.Config, older: Path) -> None:
    before = _dump(older)
    with pytest.raises(SchemaMismatch, match="schema 0; this llar reads schema 2 and knows no"):
        migrate(older, lock_timeout=1.0, steps={1: _rename})
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
