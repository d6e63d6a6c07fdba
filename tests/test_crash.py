"""Kills, crowds, full and read-only disks, jumping clocks and odd names: nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import Crashes, crowd, jumping_clock
from hub import serve, use

import llar
from llar import Collection, load_config
from llar.errors import CollectionError
from llar.index.doctor import check

pytestmark = pytest.mark.slow

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def config(home: Path) -> llar.Config:
    (home / "llar.toml").write_text(
        'embedder = "fake:hash"\nchat_model = "fake:quote"\nparse_workers = 1\n'
    )
    return load_config()


@pytest.mark.slow
def test_killed_at_random_moments(
    config: llar.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dozen kills, under clocks that jump; the long form is bench/crash.py."""
    crashes = Crashes(config, tmp_path / "docs", seed=5, clock=jumping_clock(tmp_path))
    for _ in range(2):
        for what in ("add", "sync", "remove", "reembed"):
            crashes.round(what)
    crashes.round("add", told=1)  # random moments may all miss the middle; this one does not
    assert crashes.midway > 0
    with serve() as hub:
        use(hub, monkeypatch)
        for _ in range(3):
            crashes.pull_round(hub)


@pytest.mark.slow
def test_two_writers_and_four_readers(config: llar.Config, tmp_path: Path) -> None:
    did = crowd(config, tmp_path / "docs", 3.0)
    assert did["searches"] > 10
    assert did["writes"] > 4


def _llar(*args: str | Path, under: str = "") -> subprocess.CompletedProcess[str]:
    """`llar ARGS`; `under` are shell commands before it, in a mount namespace of its own."""
    command = [sys.executable, "-m", "llar", *map(str, args)]
    if under:
        command = ["unshare", "-m", "sh", "-ec", f'{under}\nexec "$@"', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _can_mount() -> bool:
    return bool(shutil.which("unshare")) and (
        subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )


READ_ONLY = "mount --bind {0} {0} && mount -o remount,ro,bind {0}"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["closed", "killed", "copied without its log's index"])
def test_a_read_only_disk(
    state: str, config: llar.Config, home: Path, notes: Path, tmp_path: Path
) -> None:
    """Everything that only reads works; writing says clearly why it does not."""
    if not _can_mount():
        pytest.skip("needs the right to mount")
    assert _llar("add", notes).returncode == 0
    log = home / "collections" / "default" / "collection.db-wal"
    if state != "closed":
        killed = textwrap.dedent(
            f"""
            import os, llar
            docs = llar.Collection()
            docs.add({str(notes / "late.txt")!r})
            os._exit(9)
            """
        )
        (notes / "late.txt").write_text("Parking is free for nurses.")
        subprocess.run([sys.executable, "-c", killed], check=False)
        assert log.stat().st_size > 0
    if state.startswith("copied"):
        Path(str(log).replace("-wal", "-shm")).unlink()
    under = READ_ONLY.format(home)
    search = _llar("search", "annual leave", under=under)
    if state.startswith("copied"):  # what is in the log can be read nowhere: better to say so
        assert search.returncode == 1
        assert "was not closed cleanly and cannot be recovered" in search.stderr
        assert "fix: copy" in search.stderr
        return
    assert search.returncode == 0, search.stderr
    assert "27 days" in search.stdout
    assert "27 days" in _llar("ask", "How many days of annual leave?", under=under).stdout
    documents = 2 if state == "closed" else 3
    assert f"{documents} in {documents} files" in _llar("status", under=under).stdout
    assert f"{documents} documents" in _llar("collections", under=under).stdout
    assert _llar("doctor", "-c", "default", under=under).returncode == 0
    if state == "killed":
        assert "nurses" in _llar("search", "parking", under=under).stdout
    (notes / "new.txt").write_text("New.")
    for command in (["add", notes], ["sync"], ["remove", notes / "fire.md"], ["reembed"]):
        refused = _llar(*command, under=under)
        assert refused.returncode == 1
        assert "may not be written" in refused.stderr, (command, refused.stderr)
        assert "Traceback" not in refused.stderr
    fresh = _llar("add", notes, "-c", "fresh", under=under)
    assert fresh.returncode == 1
    assert "Read-only file system" in fresh.stderr
    assert check(config, "default") == []


def test_an_immutable_connection_sees_what_others_write(
    config: llar.Config, home: Path, notes: Path
) -> None:
    """A reader without the right to write is not left with an old view."""
    if not IS_ROOT:
        pytest.skip("needs to become another user")
    with Collection("c", config=config) as docs:
        docs.add(notes)
    code = textwrap.dedent(
        """
        import os, sys, llar
        with llar.Collection("c") as docs:  # loads all that nobody else may read
            docs.search("leave", mode="lexical")
        os.setuid(65534)
        docs = llar.Collection("c")
        print(len(docs.search("leave alarm parking", mode="lexical")), flush=True)
        sys.stdin.readline()
        print(len(docs.search("leave alarm parking", mode="lexical")), flush=True)
        """
    )
    for folder in (home, home / "collections", home / "collections" / "c", *home.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    reader = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout is not None
    first = reader.stdout.readline()
    (notes / "late.txt").write_text("Parking is free.")
    with Collection("c", config=config) as docs:
        docs.add(notes)
    out, err = reader.communicate("\n")
    assert (first, out, reader.returncode) == ("2\n", "3\n", 0), err


@pytest.mark.slow
def test_a_full_disk(config: llar.Config, tmp_path: Path, home: Path) -> None:
    """A clear error, and every document stored before is there; with space it goes on."""
    if not _can_mount():
        pytest.skip("needs the right to mount")
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        text = "\n\n".join(f"Paragraph {i} of file {n} is about topic{n}." for i in range(80))
        (folder / f"{n:02}.txt").write_text(text)
    where = tmp_path / "small"
    where.mkdir()
    script = textwrap.dedent(
        f"""
        mount -t tmpfs -o size=900k tmpfs {where}
        cp {home}/llar.toml {where}
        export LLAR_HOME={where}
        "$@" add {folder} && exit 9
        "$@" doctor -c default
        "$@" status --json
        "$@" search topic0
        mount -o remount,size=30m {where}
        "$@" add {folder}
        "$@" doctor -c default
        """
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-m", "llar"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the disk is full" in done.stderr
    assert "fix: free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("checked default: 0 problems") == 2
    state = json.loads(done.stdout[done.stdout.index("{") : done.stdout.index("\n}") + 2])
    assert 0 < state["documents"] < 60
    assert f"{60 - state['documents']} added, {state['documents']} unchanged" in done.stdout


def test_a_file_size_limit_is_a_clear_error(
    config: llar.Config, tmp_path: Path, notes: Path
) -> None:
    code = textwrap.dedent(
        f"""
        import resource, llar
        docs = llar.Collection("c")
        docs.add({str(notes)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        try:
            for n in range(40):
                with open({str(tmp_path)!r} + f"/{{n}}.txt", "w") as file:
                    file.write(" ".join(f"word{{n}}x{{i}}" for i in range(2000)))
                docs.add({str(tmp_path)!r} + f"/{{n}}.txt")
        except llar.LlarError as e:
            print(e)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the disk is full or the file too large" in done.stdout, done.stdout + done.stderr
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        assert "27 days" in docs.search("annual leave", k=1)[0].chunk.text
        assert docs.add(tmp_path / "0.txt").failed == {}


def test_times_of_files_do_not_matter(config: llar.Config, notes: Path) -> None:
    """What changed is known by content, whatever a clock says."""
    with Collection("c", config=config) as docs:
        docs.add(notes)
        for stamp in (0, 4_000_000_000):
            os.utime(notes / "fire.md", (stamp, stamp))
            report = docs.sync()
            assert (len(report.unchanged), report.updated) == (2, [])
        (notes / "fire.md").write_text("# Fire\n\nThe alarm is tested on Tuesdays.\n")
        os.utime(notes / "fire.md", (1, 1))
        assert len(docs.sync().updated) == 1
        assert "Tuesdays" in docs.search("alarm", k=1)[0].chunk.text
    assert check(config, "c") == []


NAMES = (b"new\nline.txt", b"bell\x07 and \x1b[31mred.txt", b"caf\xe9.txt", b"na\xc3\xafve.txt",
         b"\xff\xfe\\xff.txt", b"quote'\"; DROP TABLE files.txt", b" .txt",
         b"%s {} $HOME.txt")  # fmt: skip


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    """A folder of files with names of any bytes; the third and fifth are no UTF-8."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for n, name in enumerate(NAMES):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(f"Number{n} is a boat.")
    yield folder
    shutil.rmtree(os.fsencode(folder))


def test_names_of_any_bytes(config: llar.Config, odd: Path) -> None:
    with Collection("c", config=config) as docs:
        report = docs.add(odd)
        assert report.failed == {}
        assert {os.fsencode(p).rpartition(b"/")[2] for p in report.added} == set(NAMES)
        assert len(docs.add(odd).unchanged) == len(NAMES)
        for n, name in enumerate(NAMES):
            [hit] = docs.search(f"number{n}", mode="lexical")
            assert os.fsencode(hit.document.path) == os.fsencode(odd) + b"/" + name
        assert os.fsencode(docs.search("number2", filters=["path~caf"])[0].document.path)[-8:] == (
            b"caf\xe9.txt"
        )
        latin = next(p for p in odd.iterdir() if os.fsencode(p).endswith(b"caf\xe9.txt"))
        moved = latin.with_name(os.fsdecode(b"caf\xe8.txt"))
        latin.rename(moved)
        assert docs.sync().moved == [(str(latin), str(moved))]
        moved.write_bytes(b"%PDF-1.7 broken")
        assert len(docs.sync().failed) == 1
        assert docs.index.failures()[0][0] == str(moved)
        assert check(config, "c") == []
        assert docs.remove([moved]) == [str(moved)]
        assert docs.add([odd]).failed
        docs.remove(odd)
        assert docs.index.counts()["files"] == docs.index.counts()["failures"] == 0


def test_names_of_any_bytes_on_the_command_line(config: llar.Config, odd: Path) -> None:
    added = _llar("add", odd, "--json")
    assert added.returncode == 0, added.stderr
    assert sorted(
        os.fsencode(p).rpartition(b"/")[2] for p in json.loads(added.stdout)["added"]
    ) == (sorted(NAMES))
    for command in (["status", "--files"], ["search", "boat", "-k", "20"], ["doctor"]):
        done = _llar(*command)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
    assert "boat" in _llar("ask", "What is number2?").stdout
    found = json.loads(_llar("search", "number2", "-k", "1", "--json").stdout)
    assert os.fsencode(found[0]["document"]["path"]).endswith(b"/caf\xe9.txt")
    with pytest.raises(CollectionError):
        Collection("a\nb", config=config).add(odd)


def test_copies_that_move_are_each_a_move(config: llar.Config, tmp_path: Path) -> None:
    """Which of many equal files are gone is looked up once, not once per copy."""
    folder = tmp_path / "copies"
    folder.mkdir()
    for n in range(6):
        (folder / f"{n}.txt").write_text("The same boat.")
    with Collection("c", config=config) as docs:
        assert len(docs.add(folder).duplicates) == 5
        for n in range(2):
            (folder / f"{n}.txt").rename(folder / f"new{n}.txt")
        (folder / "more.txt").write_text("The same boat.")
        report = docs.sync()
        assert sorted(Path(a).name for a, _ in report.moved) == ["0.txt", "1.txt"]
        assert len(report.duplicates) == 1
        assert (report.removed, len(report.unchanged)) == ([], 4)
        assert docs.index.counts()["files"] == 7
    assert check(config, "c") == []
