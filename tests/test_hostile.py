"""Hostile and unlucky files on the command line; the long form is bench/hostile.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import make_hostile
import pytest
from hostile_check import Place
from make_hostile import Made, make

from llar import Collection, load_config
from llar.documents import hash_file
from llar.errors import DocumentError, LimitExceeded, UnsupportedFormat
from llar.index.index import collection_names

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    # What takes all the memory it may is ended sooner where that is less.
    return Place(tmp_path / "place", "fake:hash", memory_mb=512)


@pytest.mark.parametrize(
    "case", ["XML bombs", "PDF bombs", "deep nesting", "odd names", "links, pipes, devices"]
)
def test_bad_files_cost_one_line_each(case: str, place: Place, tmp_path: Path) -> None:
    """Exit code, lines, memory, what is left behind, and that every good file is found."""
    made = make(tmp_path / "docs", case)
    _, report = place.add("c", [tmp_path / "docs"], made)
    assert len(report["added"]) >= len(made.good)
    _, again = place.add("c", [tmp_path / "docs"], made)
    assert (again["added"], again["failed"]) == ([], report["failed"])


def test_what_may_not_be_read(place: Place, tmp_path: Path) -> None:
    made = make(tmp_path / "docs", "unreadable")
    try:
        _, report = place.add("c", [tmp_path / "docs"], made)
    finally:
        (tmp_path / "docs" / "closed").chmod(0o755)
    errors = report["failed"]
    assert all("permission denied" in errors[path] for path in made.bad)
    assert len(errors) == 2


def test_large_files_are_refused_without_being_read(place: Place, tmp_path: Path) -> None:
    """A terabyte of nothing would take many minutes to read."""
    folder = tmp_path / "docs"
    folder.mkdir()
    made = Made()
    make_hostile.sparse(folder, made, size=1 << 40)
    made.write(folder / "grown.txt")
    place.add("c", [folder], made)
    with (folder / "grown.txt").open("ab") as file:
        file.truncate(1 << 40)
    ran = place.llar("add", "-c", "c", "--json", folder)
    failed = json.loads(ran.out)["failed"]
    assert len(failed) == 4
    assert "has 1048576 MiB; at most 512 are read" in failed[str(folder / "a.pdf")]
    assert failed[str(folder / "grown.txt")].endswith("(the version indexed before is kept)")
    assert ran.seconds < 20
    place.find("c", made.good)


def test_files_that_are_none_any_more_when_they_are_hashed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsupportedFormat, match="named pipe"):
        hash_file(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)  # a pipe that somebody may yet write to
    try:
        with pytest.raises(UnsupportedFormat, match="named pipe"):
            hash_file(tmp_path / "pipe")
    finally:
        os.close(writer)
    with (tmp_path / "a").open("wb") as file:
        file.truncate(11)
    with pytest.raises(LimitExceeded, match="at most 0 are read"):
        hash_file(tmp_path / "a", 10)


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="needs to read the kernel's log")
def test_a_file_of_the_system_that_waits_is_an_error() -> None:
    try:
        hash_file(Path("/proc/kmsg"))
    except DocumentError as e:
        assert "could not be read" in e.message or "permission denied" in e.message  # noqa: PT017
    else:
        pytest.fail("the kernel's log has no end, so it has no hash")


def test_text_that_is_mostly_white_space_is_indexed(place: Place, tmp_path: Path) -> None:
    """List items with thousands of spaces before each: an item fits a passage, two do not."""
    folder = tmp_path / "docs"
    folder.mkdir()
    made = Made()
    made.write(folder / "a.md", "- {}\n" + "".join(" " * 3_000 + f"- item{n}\n" for n in range(30)))
    made.write(folder / "b.txt", "{}" + " " * 100_000 + "far\n" + "\t" * 50_000 + "away")
    place.add("c", [folder], made)


def test_a_document_of_too_many_passages_is_refused(place: Place, tmp_path: Path) -> None:
    """Their vectors are one row of the collection; the files beside are indexed."""
    folder = tmp_path / "docs"
    folder.mkdir()
    made = Made()
    (folder / "a.txt").write_text("a " * 200_001)
    made.bad.add(str(folder / "a.txt"))
    made.write(folder / "b.txt", "{}")
    with (place.home / "llar.toml").open("a") as settings:
        settings.write('chunker = "word:words=1,overlap=0"\n')
    _, report = place.add("c", [folder], made)
    assert "at most 200000 are indexed of one file" in report["failed"][str(folder / "a.txt")]


def test_a_heading_as_long_as_a_book_is_no_title(place: Place, tmp_path: Path) -> None:
    """A title is indexed with every passage: this one would make 60 MB of 300 kB."""
    folder = tmp_path / "docs"
    folder.mkdir()
    made = Made()
    made.write(folder / "a.md", "# {} " + "long heading " * 10_000 + "\n\n" + "A line.\n\n" * 2_000)
    place.add("c", [folder], made)
    config = load_config({"home": place.home})
    with Collection("c", config=config) as docs:
        [document] = docs.documents()
        assert document.title is None
        assert document.notes == ("its title has 130009 characters and is not taken for one",)
        assert docs.index.database.path.stat().st_size < 5 << 20


def test_a_date_beyond_all_calendars_costs_no_file(place: Place, tmp_path: Path) -> None:
    where = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=where) as folder:
        made = Made()
        path = Path(folder) / "a.txt"
        made.write(path)
        os.utime(path, (10**12, 10**12))  # the year 33,658; not every file system can store it
        place.add("c", [Path(folder)], made)
        if path.stat().st_mtime == 10**12:
            with Collection("c", config=load_config({"home": place.home})) as docs:
                assert docs.documents()[0].modified is None


def test_nothing_but_failures_makes_no_collection(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("no PDF")
    config = load_config({"home": place.home})
    assert place.llar("add", "-c", "c", tmp_path / "a.pdf").code == 3
    assert collection_names(config) == []
    assert list((place.home / "collections").iterdir()) == []
    (tmp_path / "b.txt").write_text("A boat.")
    with Collection("c", config=config) as docs:
        assert docs.add(tmp_path / "a.pdf").failed
        assert docs.add([tmp_path / "a.pdf", tmp_path / "b.txt"]).added
        assert docs.search("boat")
        assert len(docs.index.failures()) == 1
        assert docs.add(tmp_path / "a.pdf").failed
    assert collection_names(config) == ["c"]


def test_what_another_process_added_first_is_unchanged(place: Place, tmp_path: Path) -> None:
    """Two adds of the same new file: the second finds it there, and it is no copy."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("A boat.")
    config = load_config({"home": place.home})
    with Collection("c", config=config) as docs, Collection("c", config=config) as other:
        docs.add(tmp_path / "docs")
        (tmp_path / "docs" / "b.txt").write_text("Another boat.")
        (tmp_path / "docs" / "c.txt").write_text("A third.")

        def other_is_faster(_: object) -> None:
            other.add(tmp_path / "docs" / "c.txt")
            (tmp_path / "docs" / "d.txt").write_text("A third.")

        # a.txt is reported first, when c.txt was not looked for yet but the list is made.
        report = docs.add(tmp_path / "docs", progress=other_is_faster)
        assert sorted(map(os.path.basename, report.unchanged)) == ["a.txt", "c.txt"]
        assert list(map(os.path.basename, report.added)) == ["b.txt"]
        assert report.duplicates == []
        assert [os.path.basename(p) for p in docs.add(tmp_path / "docs").duplicates] == ["d.txt"]


def test_an_interruption_while_it_loads_is_no_traceback() -> None:
    """Ctrl-C comes at the first import of the command line."""
    program = textwrap.dedent(
        """
        import runpy, sys

        class Interrupted:
            def find_spec(self, name, path=None, target=None):
                if name == "llar.cli":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupted())
        sys.argv = ["llar", "--help"]
        runpy.run_module("llar", run_name="__main__")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
