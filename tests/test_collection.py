"""Adding, replacing, moving, removing: what a collection holds after each."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import llar
from llar import Collection, load_config
from llar.errors import (
    CollectionError,
    EmbedderMismatch,
    QueryError,
    SchemaMismatch,
    UnknownCollection,
)
from llar.index import ingest
from llar.index.index import Index, delete_collection
from llar.index.ingest import Progress

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> llar.Config:
    return load_config({"embedder": "fake:hash", "chat_model": "fake:quote"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (folder / "fire.md").write_text("# Fire\n\nThe alarm is tested on Mondays.\n")
    return folder


def _paths(docs: Collection) -> list[str]:
    return [Path(f.path).name for f in docs.index.files()]


def test_adding_twice_changes_nothing(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        first = docs.add(folder)
        assert sorted(Path(p).name for p in first.added) == ["fire.md", "leave.txt"]
        generation = docs.index.counts()
        again = docs.add(folder)
        assert (again.added, len(again.unchanged), again.chunks) == ([], 2, 0)
        assert docs.index.counts() == generation
        assert docs.index.counts()["chunks"] == first.chunks == 2


def test_a_changed_file_is_replaced(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        (folder / "leave.txt").write_text("Staff have 30 days of annual leave.")
        report = docs.add(folder)
        assert [Path(p).name for p in report.updated] == ["leave.txt"]
        texts = [h.chunk.text for h in docs.search("annual leave")]
        assert any("30 days" in t for t in texts)
        assert not any("27 days" in t for t in texts)
        assert docs.index.counts()["documents"] == 2


def test_copies_share_a_document_and_moves_are_recognised(
    config: llar.Config, folder: Path
) -> None:
    with Collection("c", config=config) as docs:
        shutil.copy(folder / "leave.txt", folder / "twin.txt")
        report = docs.add(folder, metadata={"year": 2024})
        assert (len(report.added), len(report.duplicates)) == (2, 1)
        assert docs.index.counts() == {
            "files": 3, "documents": 2, "chunks": 2, "failures": 0, "bytes": 35 + 40,
        }  # fmt: skip
        (folder / "fire.md").rename(folder / "alarm.md")
        report = docs.add(folder)
        assert [(Path(a).name, Path(b).name) for a, b in report.moved] == [("fire.md", "alarm.md")]
        assert _paths(docs) == ["alarm.md", "leave.txt", "twin.txt"]
        moved = next(f for f in docs.index.files() if f.path.endswith("alarm.md"))
        assert moved.metadata["year"] == 2024
        docs.remove(folder / "twin.txt")
        assert docs.search("annual leave")[0].document.path.endswith("leave.txt")


def test_sync_forgets_what_is_gone(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        (folder / "fire.md").unlink()
        (folder / "new.txt").write_text("Parking is free.")
        report = docs.sync()
        assert [Path(p).name for p in report.removed] == ["fire.md"]
        assert [Path(p).name for p in report.added] == ["new.txt"]
        assert _paths(docs) == ["leave.txt", "new.txt"]
        assert docs.search("alarm", mode="lexical") == []


def test_a_missing_folder_does_not_empty_the_collection(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        shutil.move(folder, folder.with_name("unmounted"))
        with pytest.raises(CollectionError, match="is its disk mounted"):
            docs.sync()
        assert docs.index.counts()["files"] == 2


def test_remove_takes_files_and_folders(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        with pytest.raises(QueryError, match=r"did you mean .*leave\.txt"):
            docs.remove(folder / "leav.txt")
        assert docs.remove(folder / "leave.txt") == [str(folder / "leave.txt")]
        assert docs.remove(folder) == [str(folder / "fire.md")]
        assert docs.index.counts()["documents"] == docs.index.counts()["chunks"] == 0
        assert docs.index.database.manifest("tokens") == 0
        assert docs.search("alarm") == []


def test_a_removed_folder_is_no_longer_followed(config: llar.Config, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.txt").write_text("Deep down.")
    with Collection("c", config=config) as docs:
        docs.add(folder)
        docs.add(folder / "sub")
        docs.remove(folder)
        assert docs.index.roots() == []


def test_copies_of_a_broken_file_say_what_is_wrong(config: llar.Config, folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_bytes(b"")
    with Collection("c", config=config) as docs:
        failed = docs.add(folder).failed
    assert len(failed) == 2
    for path, why in failed.items():
        assert path in why
        assert "empty" in why


def test_deleting_under_a_writer_is_told_to_it(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        delete_collection(config, "c")
        (folder / "more.txt").write_text("One more.")
        with pytest.raises(CollectionError, match="deleted or replaced by another process"):
            docs.add(folder)


def test_a_broken_file_is_one_line_and_the_rest_is_indexed(
    config: llar.Config, folder: Path
) -> None:
    (folder / "bad.txt").write_bytes(b"%PDF-1.7\nthis is no pdf")
    with Collection("c", config=config) as docs:
        report = docs.add(folder)
        assert len(report.added) == 2
        [(path, why)] = report.failed.items()
        assert path.endswith("bad.txt")
        assert "\n" not in why
        assert [f[0] for f in docs.index.failures()] == [path]
        (folder / "bad.txt").write_text("now it is plain text")
        assert docs.add(folder).failed == {}
        assert docs.index.failures() == []


def test_a_file_that_breaks_keeps_its_old_version(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        (folder / "leave.txt").write_bytes(b"%PDF-1.7\nbroken now")
        [why] = docs.add(folder).failed.values()
        assert "the version indexed before is kept" in why
        assert docs.search("annual leave")[0].chunk.text.startswith("Staff have 27")


def test_progress_counts_every_file(config: llar.Config, folder: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7\nthis is no pdf")
    shutil.copy(folder / "leave.txt", folder / "twin.txt")
    seen: list[Progress] = []
    with Collection("c", config=config) as docs:
        docs.add(folder, progress=seen.append)
        docs.add(folder, progress=seen.append)
    assert [p.done for p in seen] == [1, 2, 3, 4] * 2
    assert {p.total for p in seen} == {4}
    assert (
        seen[3].done_bytes == seen[3].total_bytes == sum(f.stat().st_size for f in folder.iterdir())
    )


def test_what_is_stored_is_what_was_parsed(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder, metadata={"department": "hr"})
        for stored in docs.documents():
            fresh = llar.load_document(Path(stored.source), config)
            assert replace(stored, metadata=fresh.metadata) == fresh
            assert stored.metadata == {**fresh.metadata, "department": "hr"}


def test_vectors_and_chunks_line_up(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        for hit in docs.search("alarm tested", mode="dense", query="none"):
            stored = docs.embedder.embed_documents([hit.chunk.content])[0]
            asked = docs.embedder.embed_query("alarm tested")
            assert hit.parts["dense"] == pytest.approx(float(np.dot(stored, asked)), abs=1e-6)


def test_another_embedder_is_refused_with_the_remedy(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        other = llar.open_embedder(config, "fake:hash-32")
        with pytest.raises(EmbedderMismatch, match="llar reembed -c c"):
            ingest.add(docs.index, [folder], other, config)


def test_reembedding_swaps_vectors_and_chunks(config: llar.Config, folder: Path) -> None:
    other = replace(config, chunk_tokens=16)
    (folder / "long.txt").write_text(" ".join(f"Sentence {n} is here." for n in range(30)))
    with Collection("c", config=config) as reader, Collection("c", config=other) as writer:
        reader.add(folder)
        before = reader.search("annual leave", mode="dense")
        assert before[0].document.path.endswith("leave.txt")
        chunks = writer.reembed("fake:hash-32")
        assert chunks > reader.index.counts()["files"] + 5
        after = reader.search("annual leave", mode="dense")  # opened before, sees it all the same
        assert reader.index.embedder.dimension == 32
        assert after[0].document == before[0].document
        assert reader.search("annual leave", mode="lexical")[0].document == before[0].document
        _check_whole(reader)
        _check_tokens(reader)
        reader.remove(folder / "long.txt")
        assert reader.index.counts()["chunks"] == 2
        _check_tokens(reader)


def test_an_interrupted_reembedding_is_continued(config: llar.Config, folder: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(p: Progress) -> None:
        raise Stopped

    seen: list[Progress] = []
    with Collection("c", config=config) as docs:
        docs.add(folder)
        with pytest.raises(Stopped):
            docs.reembed("fake:hash-32", progress=stop)
        assert docs.index.embedder.name == "fake:hash"
        assert docs.search("annual leave")[0].document.path.endswith("leave.txt")
        (folder / "late.txt").write_text("This came between.")
        docs.add(folder)
        docs.remove(folder / "leave.txt")
        docs.reembed("fake:hash-32", progress=seen.append)
        assert docs.index.embedder.name == "fake:hash-32"
        assert seen[-1].total == 1  # late.txt; fire.md was done before
        assert _paths(docs) == ["fire.md", "late.txt"]
        _check_whole(docs)
        _check_tokens(docs)


def _check_tokens(docs: Collection) -> None:
    rows = docs.index.database.connection.execute("SELECT terms FROM words").fetchall()
    assert docs.index.database.manifest("tokens") == sum(len(r[0].split()) for r in rows)
    chunks = docs.index.database.connection.execute("SELECT count(*) FROM chunks").fetchone()[0]
    assert len(rows) == chunks


def test_a_collection_of_a_newer_llar_is_refused(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        path = docs.index.database.path
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE manifest SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(SchemaMismatch, match="a newer llar"):
        Index.open(config, "c")


def test_unknown_and_unusable_names(config: llar.Config) -> None:
    with pytest.raises(UnknownCollection, match="there are: none yet"):
        Collection("nope", config=config).search("x")
    for name in ("../evil", "", ".hidden", "a/b", "x" * 65):
        with pytest.raises(CollectionError, match="cannot name a collection"):
            Index.open(config, name)


def test_delete_removes_everything(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
    delete_collection(config, "c")
    assert llar.collection_names(config) == []
    assert list(config.collections_dir.iterdir()) == []


ADD = "import sys, llar; llar.Collection('c').add(sys.argv[1])"


@pytest.mark.slow
def test_killed_at_any_moment_it_holds_whole_documents(
    config: llar.Config, tmp_path: Path, home: Path
) -> None:
    (home / "llar.toml").write_text('embedder = "fake:hash"\n')
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        text = "\n\n".join(f"Paragraph {i} of file{n} is about topic{n}x{i}." for i in range(20))
        (folder / f"{n:02}.txt").write_text(text)
    whole: dict[str, int] = {}
    for delay in (0.25, 0.35, 0.45, 0.55, 0.7):
        child = subprocess.Popen([sys.executable, "-c", ADD, str(folder)])
        time.sleep(delay)
        child.kill()
        child.wait()
        if "c" not in llar.collection_names(config):
            continue
        with Collection("c", config=config) as docs:
            held = {Path(f.path).name for f in docs.index.files()}
            assert held >= whole.keys()
            whole = dict.fromkeys(held, 1)
            for document in docs.documents():
                assert document.text == Path(document.source).read_text()
            _check_whole(docs)
    with Collection("c", config=config) as docs:
        docs.add(folder)
        assert len(_paths(docs)) == 60
        _check_whole(docs)


def _check_whole(docs: Collection) -> None:
    """Every document has its chunks, each chunk its words, and vectors for all of them."""
    rows = docs.index.database.connection.execute(
        "SELECT documents.id, (SELECT count(*) FROM chunks WHERE document_id = documents.id),"
        " (SELECT count(*) FROM words WHERE rowid IN (SELECT id FROM chunks WHERE document_id ="
        " documents.id)), (SELECT count FROM vectors WHERE document_id = documents.id)"
        " FROM documents"
    ).fetchall()
    for _, chunks, words, vectors in rows:
        assert chunks == words == vectors > 0
    assert docs.index.database.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
def test_two_processes_add_while_one_searches(
    config: llar.Config, tmp_path: Path, home: Path
) -> None:
    (home / "llar.toml").write_text('embedder = "fake:hash"\n')
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        for n in range(25):
            (folder / f"{n}.txt").write_text(f"File {n} of {folder.name} is about ships.")
        (folder / "same.txt").write_text("Both folders hold this ship.")
    children = [subprocess.Popen([sys.executable, "-c", ADD, str(f)]) for f in folders]
    seen = []
    while any(child.poll() is None for child in children):
        if "c" in llar.collection_names(config):
            with Collection("c", config=config) as docs:
                seen.append(len(docs.search("ships", k=100)))
        time.sleep(0.02)
    assert [child.wait() for child in children] == [0, 0]
    assert seen == sorted(seen)
    with Collection("c", config=config) as docs:
        assert docs.index.counts()["files"] == 52
        assert docs.index.counts()["documents"] == 51
        assert len({h.chunk_id for h in docs.search("ships", k=100)}) == 51


def test_threads_share_a_collection(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder)
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(len(docs.search("annual leave"))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [2] * 8


def test_json_keeps_every_field_of_the_report(config: llar.Config, folder: Path) -> None:
    from llar.records import to_json

    with Collection("c", config=config) as docs:
        report = to_json(docs.add(folder))
    assert sorted(json.loads(json.dumps(report))["added"]) == [
        os.path.join(folder, "fire.md"), os.path.join(folder, "leave.txt"),
    ]  # fmt: skip
