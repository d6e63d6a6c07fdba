"""Following folders: real files, real changes, short intervals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llar.collection import Collection
from llar.config import load
from llar.documents import find_files, is_ignored
from llar.errors import CollectionError, UnknownCollection
from llar.index.ingest import Report
from llar.watch import watch

pytestmark = pytest.mark.slow

TICK = 0.05
SAMPLES = Path(__file__).parent.parent / "samples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shared drive"
    folder.mkdir()
    (folder / "a.txt").write_text("The alarm is tested on Mondays.")
    (folder / "b.txt").write_text("Staff have 27 days of annual leave.")
    return folder


@pytest.fixture
def docs(home: Path, folder: Path) -> Iterator[Collection]:
    config = load({"embedder": "fake:hash", "lock_timeout": 0.2, "parse_workers": 1})
    with Collection(config=config) as collection:
        collection.add(folder)
        yield collection


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Ends a watch that never says what a test waits for, so that `next` fails."""
    event = threading.Event()
    timer = threading.Timer(30, event.set)
    timer.start()
    yield event
    timer.cancel()


def begin(docs: Collection, stop: threading.Event, tick: float = TICK) -> Iterator[Report]:
    """A watch after its first pass, which had nothing to do."""
    reports = watch(docs, tick, stop)
    first = next(reports)
    assert (first.added, first.updated, first.removed, first.failed) == ([], [], [], {})
    return reports


def files(docs: Collection) -> dict[str, str]:
    """Name -> text of all that is in the collection."""
    return {Path(f.path).name: docs.index.document(f.document_id).text for f in docs.index.files()}


def test_what_happened_before_the_watch_is_found_first(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    (folder / "b.txt").unlink()
    (folder / "c.txt").write_text("Parking is free.")
    first = next(watch(docs, TICK, stop))
    assert first.added == [str(folder / "c.txt")]
    assert first.removed == [str(folder / "b.txt")]
    assert first.unchanged == [str(folder / "a.txt")]


@pytest.mark.slow
def test_new_changed_renamed_copied_and_deleted_files(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    reports = begin(docs, stop)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "c.txt").write_text("Parking is free.")
    report = next(reports)
    assert report.added == [str(folder / "deep" / "er" / "c.txt")]
    assert report.unchanged == []  # the others were not read

    (folder / "a.txt").write_text("The alarm is tested on Tuesdays.")
    report = next(reports)
    assert (report.updated, report.chunks) == ([str(folder / "a.txt")], 1)

    (folder / "b.txt").rename(folder / "leave.txt")
    report = next(reports)
    assert report.moved == [(str(folder / "b.txt"), str(folder / "leave.txt"))]
    assert (report.removed, report.chunks) == ([], 0)

    (folder / "deep").rename(folder / "deeper")
    report = next(reports)
    assert report.moved == [
        (str(folder / "deep" / "er" / "c.txt"), str(folder / "deeper" / "er" / "c.txt"))
    ]

    (folder / "copy.txt").write_bytes((folder / "leave.txt").read_bytes())
    assert next(reports).duplicates == [str(folder / "copy.txt")]

    (folder / "a.txt").unlink()
    report = next(reports)
    assert report.removed == [str(folder / "a.txt")]
    assert set(files(docs)) == {"leave.txt", "copy.txt", "c.txt"}
    assert docs.index.roots() == [str(folder)]


def test_a_file_saved_as_editors_do_is_an_update(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    """A temporary file beside it, renamed over it; same size and time, another inode."""
    reports = begin(docs, stop)
    before = (folder / "a.txt").stat()
    draft = folder / "a.txt.tmp"
    draft.write_text("The alarm is tested on Fridays.")
    os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert draft.stat().st_size == before.st_size
    draft.rename(folder / "a.txt")
    assert next(reports).updated == [str(folder / "a.txt")]
    assert "Fridays" in files(docs)["a.txt"]


IGNORED = (
    "~$report.docx", ".hidden", ".#report.txt", "report.txt~", "report.TMP", ".report.txt.swp",
    "report.swp", "film.part", "report.pdf.crdownload",
)  # fmt: skip


def test_temporary_files_are_left_out_everywhere(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    reports = begin(docs, stop)
    for name in IGNORED:
        (folder / name).write_text("half a rep")
    time.sleep(5 * TICK)
    (folder / "report.txt").write_text("The whole report.")
    assert next(reports).added == [str(folder / "report.txt")]
    found = {p.name for p in find_files([folder], report=lambda path, error: None)}
    assert found == {"a.txt", "b.txt", "report.txt"}
    assert all(map(is_ignored, IGNORED))
    assert not any(map(is_ignored, ("tmp", "part.txt", "a.tmp.txt", "$a", "~a")))


@pytest.mark.slow
def test_a_file_that_is_still_written_is_left_alone(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    reports = begin(docs, stop, tick=0.25)

    def write() -> None:
        with (folder / "log.txt").open("w") as out:
            for n in range(40):
                out.write(f"Line {n} of the log.\n")
                out.flush()
                time.sleep(0.03)

    writer = threading.Thread(target=write)
    writer.start()
    report = next(reports)
    assert not writer.is_alive(), "it was taken in before it was complete"
    writer.join()
    assert report.added == [str(folder / "log.txt")]
    assert files(docs)["log.txt"].count("of the log.") == 40
    (folder / "end.txt").write_text("The end.")
    assert next(reports).added == [str(folder / "end.txt")]


def test_a_folder_that_vanishes_removes_nothing_and_returns(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    reports = begin(docs, stop)
    away = folder.with_name("away")
    folder.rename(away)
    report = next(reports)
    [note] = report.notes[str(folder)]
    assert "is not there" in note
    assert report.removed == []
    assert set(files(docs)) == {"a.txt", "b.txt"}

    (away / "a.txt").unlink()
    (away / "c.txt").write_text("Written while nobody looked.")
    time.sleep(4 * TICK)  # told once: the next report is of its return
    away.rename(folder)
    report = next(reports)
    assert report.notes == {str(folder): ("can be seen again",)}
    report = next(reports)
    assert report.added == [str(folder / "c.txt")]
    assert report.removed == [str(folder / "a.txt")]


def test_an_empty_folder_is_taken_for_an_unmounted_disk(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    """A mount point without its disk is an empty folder; also when the watch begins."""
    away = folder.with_name("disk")
    folder.rename(away)
    folder.mkdir()
    reports = watch(docs, TICK, stop)
    report = next(reports)
    assert "is empty" in report.notes[str(folder)][0]
    assert set(files(docs)) == {"a.txt", "b.txt"}
    folder.rmdir()
    away.rename(folder)
    assert next(reports).notes == {str(folder): ("can be seen again",)}


def test_a_file_that_fails_is_told_once_and_tried_when_it_changes(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    reports = begin(docs, stop)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing")
    report = next(reports)
    assert list(report.failed) == [str(folder / "broken.pdf")]
    (folder / "c.txt").write_text("Parking is free.")
    report = next(reports)
    assert (report.added, report.failed) == ([str(folder / "c.txt")], {})
    assert [path for path, _, _ in docs.index.failures()] == [str(folder / "broken.pdf")]

    shutil.copy(SAMPLES / "paracetamol.pdf", folder / "broken.pdf")
    assert next(reports).added == [str(folder / "broken.pdf")]
    assert docs.index.failures() == []

    (folder / "link.txt").symlink_to(folder / "nowhere")
    assert "does not exist" in next(reports).failed[str(folder / "link.txt")]
    (folder / "link.txt").unlink()
    (folder / "d.txt").write_text("Something else.")
    assert next(reports).failed == {}
    assert docs.index.failures() == []


def test_a_collection_that_is_busy_is_tried_again(
    docs: Collection, folder: Path, stop: threading.Event
) -> None:
    reports = begin(docs, stop)
    other = sqlite3.connect(docs.index.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (folder / "c.txt").write_text("Parking is free.")
    assert "another process is writing" in next(reports).notes["default"][0]
    other.execute("ROLLBACK")
    other.close()
    report = next(reports)
    while "default" in report.notes:
        report = next(reports)
    assert report.added == [str(folder / "c.txt")]


def test_what_cannot_be_watched(home: Path, tmp_path: Path) -> None:
    config = load({"embedder": "fake:hash"})
    with Collection("nothing", config=config) as collection, pytest.raises(UnknownCollection):
        next(watch(collection))
    (tmp_path / "x.txt").write_text("x")
    with Collection(config=config) as collection:
        collection.add(tmp_path / "x.txt")
        with pytest.raises(CollectionError, match="is not there"):
            next(watch(collection, paths=[tmp_path / "typo"]))
        with pytest.raises(ValueError, match="above 0"):
            next(watch(collection, 0))
        collection.index.remove_roots([str(tmp_path / "x.txt")])
        with pytest.raises(CollectionError, match="nothing was ever added"):
            next(watch(collection))


def test_a_single_file_can_be_followed(home: Path, tmp_path: Path, stop: threading.Event) -> None:
    file = tmp_path / "one.txt"
    file.write_text("The first version.")
    (tmp_path / "other.txt").write_text("Not followed.")
    with Collection(config=load({"embedder": "fake:hash"})) as docs:
        docs.add(file)
        reports = begin(docs, stop)
        file.write_text("The second version.")
        assert next(reports).updated == [str(file)]
        file.unlink()
        assert next(reports).removed == [str(file)]
        assert files(docs) == {}


MOUNTED = """
import json, subprocess, sys, threading
from pathlib import Path
from llar.collection import Collection
from llar.config import load
from llar.watch import watch

folder = Path(sys.argv[1])
disk = folder / "disk"
disk.mkdir(parents=True)
subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
(disk / "on-disk.txt").write_text("On the disk.")
(folder / "beside.txt").write_text("Beside it.")
stop = threading.Event()
threading.Timer(30, stop.set).start()
with Collection(config=load({"embedder": "fake:hash"})) as docs:
    docs.add(folder)
    reports = watch(docs, 0.05, stop)
    next(reports)
    subprocess.run(["umount", disk], check=True)
    (folder / "beside.txt").unlink()
    notes, removed = {}, []
    while not removed:
        report = next(reports)
        notes |= report.notes
        removed += report.removed
    left = [f.path for f in docs.index.files()]
    print(json.dumps([notes, removed, left]))
stop.set()
import os
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode != 0,
    reason="this machine does not let a user make mount namespaces",
)
def test_a_disk_inside_a_folder_is_unmounted(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", MOUNTED, folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    notes, removed, left = json.loads(done.stdout)
    assert list(notes) == [str(folder / "disk")]
    assert "no longer mounted" in notes[str(folder / "disk")][0]
    assert removed == [str(folder / "beside.txt")]
    assert left == [str(folder / "disk" / "on-disk.txt")]


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_command_prints_a_line_per_change_and_ends_on_a_signal(
    docs: Collection, folder: Path, home: Path, how: signal.Signals, code: int
) -> None:
    (home / "llar.toml").write_text('embedder = "fake:hash"\n')
    with subprocess.Popen(
        [sys.executable, "-m", "llar", "sync", "--watch", "--interval", "0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        timer = threading.Timer(30, process.kill)
        timer.start()
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == f"watching {folder}\n"
        (folder / "new\nline.txt").write_text("Parking is free.")
        assert process.stdout.readline() == f"added    {folder}/new\\nline.txt\n"
        (folder / "a.txt").rename(folder / "c.txt")
        assert process.stdout.readline() == f"moved    {folder}/a.txt -> {folder}/c.txt\n"
        (folder / "b.txt").unlink()
        assert process.stdout.readline() == f"removed  {folder}/b.txt\n"
        process.send_signal(how)
        said = process.stderr.read()
        assert process.wait() == code
        timer.cancel()
    assert said.strip() == ("stopped" if code else "")
