"""The doctor finds every kind of damage, says what mends it, and mends it."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub import gguf

import llar
from llar import Collection, load_config
from llar.errors import CollectionError, UnknownCollection
from llar.index.database import FILE
from llar.index.doctor import Problem, check, check_folders, check_models
from llar.index.index import Index
from llar.index.repair import repair, repair_folders
from llar.models.pull import pull

pytestmark = pytest.mark.slow

TOPICS = ("anchors", "bridges", "candles", "dolphins", "engines")


@pytest.fixture
def config(home: Path) -> llar.Config:
    (home / "llar.toml").write_text('embedder = "fake:hash"\nchunk_tokens = 40\nlock_timeout = 3\n')
    return load_config()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Five documents of two or more passages, each about one topic, and one with a table; and
    the file of a healthy collection of them. Neither may be changed."""
    home = tmp_path_factory.mktemp("made")
    folder = home / "docs"
    folder.mkdir()
    for n, topic in enumerate(TOPICS):
        body = "\n\n".join(
            f"Paragraph {p} tells of {topic} and of number {n}{p}, and so on, at some length, "
            "until it is long enough to be a passage of its own in this collection."
            for p in range(3)
        )
        (folder / f"{topic}.md").write_text(f"# All about {topic}\n\n{body}\n")
    (folder / "table.md").write_text("# Doses\n\n| who | dose |\n|---|---|\n| adults | 1 g |\n")
    config = load_config({"home": home, "embedder": "fake:hash", "chunk_tokens": 40}, env={})
    with Collection("c", config=config) as docs:
        docs.add(folder, metadata={"year": 2024})
        return folder, docs.index.database.path


@pytest.fixture
def folder(made: tuple[Path, Path]) -> Path:
    """The folder of the documents."""
    return made[0]


@pytest.fixture
def path(config: llar.Config, made: tuple[Path, Path]) -> Path:
    """The file of a healthy collection `c` of this test's own."""
    copy = config.collections_dir / "c" / FILE
    copy.parent.mkdir(parents=True)
    shutil.copy(made[1], copy)
    return copy


def _sql(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _serious(problems: list[Problem]) -> list[Problem]:
    return [p for p in problems if not p.harmless]


def _check_all_found(config: llar.Config, folder: Path, topics: tuple[str, ...] = TOPICS) -> None:
    """Every document is there as its file has it, and found by its words and by its vectors."""
    with Collection("c", config=config) as docs:
        held = {Path(d.source).stem: d for d in docs.documents()}
        for topic in topics:
            assert held[topic].text == (folder / f"{topic}.md").read_text()
            for mode in ("lexical", "dense", "hybrid"):
                hits = docs.search(f"paragraph tells of {topic}", mode=mode, k=3)
                assert Path(hits[0].document.path).stem == topic, (topic, mode)


def test_a_healthy_collection_has_no_findings(config: llar.Config, path: Path) -> None:
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        docs.reembed("fake:hash-32")
        assert check(config, "c") == []
        docs.remove(docs.index.roots())
    assert check(config, "c") == []


def test_real_documents_have_no_findings(installed: Path) -> None:
    """PDF pages, tables, office files and the real embedder."""
    config = load_config()
    with Collection("real", config=config) as docs:
        docs.add(Path(__file__).parent.parent / "samples")
        assert docs.index.counts()["documents"] > 5
    assert check(config, "real") == []


LARGE = "SELECT document_id FROM chunks GROUP BY 1 HAVING count(*) > 1"
DAMAGES = {
    "text of a passage": ("UPDATE chunks SET text = 'other' WHERE id = 2", "differs from its text"),
    "offsets": ("UPDATE chunks SET start = start + 1 WHERE id = 1", "differs from its text"),
    "offsets outside": ("UPDATE chunks SET end = 99999 WHERE id = 1", "outside its text"),
    "offsets no number": ("UPDATE chunks SET end = 'x' WHERE id = 1", "offsets are no numbers"),
    "kind": ("UPDATE chunks SET kind = 'poem' WHERE id = 1", "kind or prefix is damaged"),
    "headings": ("UPDATE chunks SET headings = '[1' WHERE id = 1", "delimiter"),
    "pages of a passage": ("UPDATE chunks SET first_page = 7 WHERE id = 1", "names pages"),
    "passage missing": (f"DELETE FROM chunks WHERE id = (SELECT max(id) FROM chunks WHERE"
                        f" document_id IN ({LARGE}))", "a part of its text is in no passage"),
    "all passages missing": ("DELETE FROM chunks WHERE document_id = 1", "is in no passage"),
    "words other": ("UPDATE words SET terms = 'other words' WHERE rowid = 1", "words of its"),
    "words missing": ("DELETE FROM words WHERE rowid = 1", "have no row in 'words'"),
    "words too many": ("INSERT INTO words (rowid, terms) VALUES (999, 'x')", "to no passage"),
    "words beside their index": ("UPDATE words_content SET c0 = 'x' WHERE id = 1",
                                 "index of its words does not fit"),
    "index of words": ("UPDATE words_data SET block = x'00' WHERE id > 10",
                       "index of its words does not fit"),
    "vectors missing": ("DELETE FROM vectors WHERE document_id = 1", "has no vectors"),
    "vectors short": ("UPDATE vectors SET data = substr(data, 1, 10) WHERE document_id = 1",
                      "have 10 bytes"),
    "vectors not finite": ("UPDATE vectors SET data = CAST(x'0000c07f' || substr(data, 5) AS BLOB)",
                           "are no numbers"),
    "vectors of length 0": ("UPDATE vectors SET data = zeroblob(length(data))", "not of length 1"),
    "vectors of another kind": ("UPDATE vectors SET data = 'text'", "values of the wrong kind"),
    "vectors of others": ("UPDATE vectors SET data = (SELECT data FROM vectors v WHERE"
                          " v.count = vectors.count AND v.document_id != vectors.document_id)"
                          " WHERE count = (SELECT count FROM vectors GROUP BY 1 HAVING count(*) > 1"
                          " LIMIT 1)", "not those of its passages"),
    "vectors count": ("UPDATE vectors SET count = 9 WHERE document_id = 1", "9 passages from"),
    "vectors first": ("UPDATE vectors SET first_chunk = 77 WHERE document_id = 1", "from 77"),
    "tokens": ("UPDATE manifest SET value = '1' WHERE key = 'tokens'", "it counts 1 words"),
    "blocks": ("UPDATE documents SET blocks = '[[\"text\", 0, 9999, 0, null]]' WHERE id = 1",
               "blocks are damaged"),
    "blocks no JSON": ("UPDATE documents SET blocks = '{' WHERE id = 1", "blocks are damaged"),
    "page outside": ("UPDATE documents SET pages = '[[1, 0, 9999, null]]' WHERE id = 1",
                     "pages are damaged"),
    "hash": ("UPDATE documents SET sha256 = 'zz' WHERE id = 1", "its SHA-256 is 'zz'"),
    "text no UTF-8": ("UPDATE documents SET text = CAST(x'41ff' || substr(text, 3) AS TEXT)"
                      " WHERE id = 1", "not valid UTF-8"),
    "text changed": ("UPDATE documents SET text = 'X' || substr(text, 2) WHERE id = 1",
                     "differs from its text"),
    "title": ("UPDATE documents SET title = 'Other' WHERE id = 1", "words of its passages"),
    "metadata": ("UPDATE files SET metadata = '[]'", "metadata of a file of it is damaged"),
    "context": ("UPDATE chunks SET context = '[1, 2' WHERE id = 1", "delimiter"),
    "context elsewhere": ("UPDATE chunks SET context = '[0, 1]' WHERE id = 1", "to be read with"),
    "parts": ("UPDATE chunks SET parts = '[[0, 1], [1, 2]]' WHERE id = 1", "one after the other"),
    "parts no pairs": ("UPDATE chunks SET parts = '[[1, 2, 3]]' WHERE id = 1", "unpack"),
    "keywords other": ("UPDATE chunks SET keywords = '[\"x\"]' WHERE id = 1", "keywords are"),
    "keywords no texts": ("UPDATE chunks SET keywords = '[1]' WHERE id = 1", "are no texts"),
    "passage of nobody": ("INSERT INTO chunks SELECT 999, 999, start, end, kind, prefix, headings,"
                          " first_page, last_page, text, context, parts, keywords FROM chunks"
                          " WHERE id = 1",
                          "'chunks' belong to a document that is not there"),
    "vectors of nobody": ("INSERT INTO vectors VALUES (999, 9, 1, x'00')", "'vectors' belong"),
    "file of nobody": ("INSERT INTO files VALUES ('/x', 999, '{}')", "'files' belong"),
    "numbers used twice": ("UPDATE sqlite_sequence SET seq = 0", "numbers that are in use"),
    "re-embedding without plan": ("CREATE TABLE chunks_next (id)", "cannot be continued"),
    "plan without tables": ("INSERT INTO manifest VALUES ('next', '{')", "cannot be continued"),
    "table missing": ("DROP TABLE failures", "'failures' is missing"),
    "index missing": ("DROP INDEX chunks_document", "'chunks_document' is missing"),
    "column missing": ("ALTER TABLE documents DROP COLUMN author", "'documents' is missing or has"),
    **{
        f"manifest: {key}": (f"DELETE FROM manifest WHERE key = '{key}'", f"'{key}' is missing")
        for key in ("schema", "created", "embedder", "chunker", "languages", "generation",
                    "epoch", "tokens")
    },
    "manifest: embedder damaged": (
        "UPDATE manifest SET value = '{\"name\": 1}' WHERE key = 'embedder'", "'embedder' is"),
    "manifest: chunker damaged": (
        "UPDATE manifest SET value = '{\"name\": \"structure\", \"max_tokens\": 0}'"
        " WHERE key = 'chunker'", "'chunker' is"),
    "manifest: chunker unknown": (
        "UPDATE manifest SET value = '{\"name\": \"axe\", \"max_tokens\": 160}'"
        " WHERE key = 'chunker'", "'chunker' is"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_mended(
    damage: str, config: llar.Config, path: Path, folder: Path
) -> None:
    statement, expected = DAMAGES[damage]
    _sql(path, statement)
    problems = check(config, "c")
    assert any(expected in p.what for p in _serious(problems)), [p.what for p in problems]
    for problem in problems:
        assert "\n" not in problem.what
        assert problem.fix.startswith("llar ")
    done = repair(config, "c", problems)
    assert _serious(check(config, "c")) == [], done
    assert list(path.parent.glob(f"{FILE}.backup-*"))
    _check_all_found(config, folder)
    with Collection("c", config=config) as docs:
        report = docs.sync()
        assert (report.failed, report.removed) == ({}, [])
        assert len(report.unchanged) == 6


def test_without_the_file_the_stored_text_is_kept_and_the_loss_is_told(
    config: llar.Config, path: Path, folder: Path
) -> None:
    original = (folder / "anchors.md").read_text()
    _sql(
        path,
        "UPDATE files SET path = '/gone' || path",
        "UPDATE documents SET blocks = '{' WHERE id = (SELECT document_id FROM files"
        " WHERE path LIKE '%anchors.md')",
    )
    done = repair(config, "c", check(config, "c"))
    assert any(line.startswith("lost: ") and "anchors.md" in line for line in done), done
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        [found] = [d for d in docs.documents() if d.source.endswith("anchors.md")]
        assert found.text == original


def test_a_document_of_no_file_is_dropped_and_told(
    config: llar.Config, path: Path, folder: Path
) -> None:
    _sql(path, "DELETE FROM files WHERE path LIKE '%candles.md'")
    problems = check(config, "c")
    assert ["no file belongs to it" in p.what for p in problems] == [True]
    done = repair(config, "c", problems)
    assert any("All about candles" in line and line.startswith("dropped") for line in done)
    assert check(config, "c") == []
    _check_all_found(config, folder, tuple(t for t in TOPICS if t != "candles"))
    with Collection("c", config=config) as docs:
        assert len(docs.sync().added) == 1


def test_an_unfinished_reembedding_is_a_note_and_is_kept(config: llar.Config, path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(_: object) -> None:
        raise Stopped

    with Collection("c", config=config) as docs:
        with pytest.raises(Stopped):
            docs.reembed("fake:hash-32", progress=stop)
        [note] = check(config, "c")
        assert note.harmless
        assert "1 of 6 documents" in note.what
        assert "llar reembed -c c --embedder fake:hash-32" in note.fix
        assert repair(config, "c", [note]) == []
        docs.reembed("fake:hash-32")
    assert check(config, "c") == []


def test_drafts_of_dead_processes_are_notes_and_deleted(config: llar.Config, path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (path.parent / f".{FILE}.{dead.pid}-1").write_text("half")
    alive = path.parent / f".{FILE}.1-1"
    alive.write_text("being made")
    problems = check(config, "c")
    assert [p.harmless for p in problems] == [True]
    assert len(repair(config, "c", problems)) == 1
    assert check(config, "c") == []
    assert alive.exists()
    (config.collections_dir / "half").mkdir()
    (config.collections_dir / "half" / f".{FILE}.{dead.pid}-1").write_text("half")
    (config.collections_dir / ".old.deleted").mkdir()
    assert len(check_folders(config)) == 2
    repair_folders(config)
    assert check_folders(config) == []
    assert path.exists()


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_are_found_or_touch_nothing(
    seed: int, config: llar.Config, path: Path, folder: Path
) -> None:
    """200 random bytes in the middle of one page; every page is one that matters or is unused."""
    before = _rows(path)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    at = 4096 * (seed * pages // 12) + chance.randrange(0, 3800)
    data[at : at + 200] = chance.randbytes(200)
    path.write_bytes(data)
    problems = check(config, "c")
    if not problems:
        assert _rows(path) == before, "damage that was not found"
        return
    done = repair(config, "c", problems)
    assert _serious(check(config, "c")) == [], done
    with Collection("c", config=config) as docs:
        docs.add(folder)
    assert check(config, "c") == []
    _check_all_found(config, folder)


def _rows(path: Path) -> dict[str, list[Any]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = ("documents", "files", "chunks", "vectors", "manifest", "roots")
        rows = {n: connection.execute(f"SELECT * FROM {n}").fetchall() for n in names}
        rows["words"] = connection.execute("SELECT rowid, terms FROM words").fetchall()
        rows["vocabulary"] = connection.execute("SELECT * FROM vocabulary").fetchall()
    return rows


def test_a_destroyed_header_is_mended(config: llar.Config, path: Path, folder: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(CollectionError, match=r"is damaged(.|\n)*llar doctor -c c --repair"):
        Index.open(config, "c")
    done = repair(config, "c", check(config, "c"))
    assert not any(line.startswith("lost") for line in done), done
    assert check(config, "c") == []
    _check_all_found(config, folder)


def test_nothing_readable_is_refused_and_left(config: llar.Config, path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(CollectionError, match="nothing can be read"):
        repair(config, "c", check(config, "c"))
    assert set(path.read_bytes()) == {255}


def test_an_embedder_that_changed_or_is_gone_is_told(config: llar.Config, path: Path) -> None:
    with Index.open(config, "c").database.write() as connection:
        pinned = json.loads(
            connection.execute("SELECT value FROM manifest WHERE key = 'embedder'").fetchone()[0]
        )
        for change, expected in (
            ({"sha256": "0" * 64}, "is not the model its vectors are of"),
            ({"name": "ctranslate2:all-minilm-l6-v2"}, "its embedder cannot be opened"),
        ):
            connection.execute(
                "UPDATE manifest SET value = ? WHERE key = 'embedder'",
                (json.dumps({**pinned, **change}),),
            )
            connection.execute("COMMIT")
            [problem] = check(config, "c")
            assert expected in problem.what
            assert problem.fix.startswith(("llar reembed", "llar models pull"))
            connection.execute("BEGIN")


def test_damaged_and_unfinished_models_are_told(config: llar.Config, tmp_path: Path) -> None:
    source = tmp_path / "tiny.gguf"
    source.write_bytes(gguf())
    pull(f"file:{source}", config, name="tiny")
    assert check_models(config) == []
    [weights] = (config.models_dir / "tiny").glob("*.gguf")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (config.models_dir / ".partial" / "other").mkdir(parents=True)
    (config.models_dir / ".partial" / "other" / "x.part").write_bytes(b"123")
    damaged, unfinished = check_models(config)
    assert "SHA-256" in damaged.what
    assert "llar models remove tiny" in damaged.fix
    assert not damaged.harmless
    assert unfinished.harmless
    assert "3 bytes" in unfinished.what


def test_an_unknown_collection_is_refused(config: llar.Config) -> None:
    with pytest.raises(UnknownCollection):
        check(config, "nope")


def _llar(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llar", "doctor", *args], capture_output=True, text=True, check=False
    )


def test_the_command(config: llar.Config, path: Path) -> None:
    healthy = _llar()
    assert (healthy.returncode, healthy.stdout) == (0, "checked c and the models: 0 problems\n")
    _sql(path, "UPDATE manifest SET value = '1' WHERE key = 'tokens'")
    found = _llar("-c", "c")
    assert found.returncode == 1
    assert found.stdout.startswith("problem: collection c: it counts 1 words, but holds ")
    assert "fix: llar doctor -c c --repair" in found.stdout
    mended = _llar("-c", "c", "--repair", "--json")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    told = json.loads(mended.stdout)
    assert [p["kind"] for p in told["found"]] == ["tokens"]
    assert (told["left"], told["checked"]) == ([], ["c"])
    assert any("kept a backup" in line for line in told["done"])
    assert _llar().returncode == 0
    assert _llar("-c", "nope").returncode == 1
