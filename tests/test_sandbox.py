"""Parsing in child processes: every file once, limits that hold, failures that stay alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import make_files
import pytest

from llar.config import Config
from llar.documents import Parsers, load
from llar.documents.frames import send, take
from llar.documents.reading import Limits, read_document
from llar.documents.sandbox import _document
from llar.errors import DocumentError, LimitExceeded, LlarError, UnsupportedFormat
from llar.records import Document

pytestmark = pytest.mark.slow

CONFIG = Config(parse_workers=2)


def slow_file(path: Path, rows: int = 400_000) -> Path:
    """A file that takes seconds to read."""
    path.write_text("a,b\n" + "".join(f"{n},x {n}\n" for n in range(rows)))
    return path


def children_of(process: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        found.update(int(pid) for pid in (task / "children").read_text().split())
    return found


def wait_for(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_a_file_comes_back_as_it_was_read(tmp_path: Path) -> None:
    make_files.write_docx(tmp_path / "a.docx")
    make_files.write_pptx(tmp_path / "b.pptx")
    for name in ("a.docx", "b.pptx"):
        direct = read_document(tmp_path / name, Limits(1 << 30))
        assert load(tmp_path / name, CONFIG) == direct


def test_every_file_once_and_few_at_a_time(tmp_path: Path) -> None:
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for n in range(60):
            path = tmp_path / f"{n}.txt"
            path.write_text("" if n % 10 == 7 else f"text number {n}")
            taken += 1
            yield path

    documents: dict[Path, Document] = {}
    failed: dict[Path, DocumentError] = {}
    with Parsers(CONFIG) as parsers:
        for path, outcome in parsers.parse(paths()):
            assert taken <= len(documents) + len(failed) + 3
            if isinstance(outcome, DocumentError):
                assert path not in failed
                failed[path] = outcome
            else:
                assert path not in documents
                documents[path] = outcome
    assert len(documents) == 54
    assert documents[tmp_path / "3.txt"].text == "text number 3"
    assert {path.name for path in failed} == {f"{n}7.txt" for n in ("", 1, 2, 3, 4, 5)}
    empty = tmp_path / "7.txt"
    assert str(failed[empty]) == f"{str(empty)!r}: is empty"


def test_one_child_for_one_file_and_none_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    before = children_of(os.getpid())
    with Parsers(CONFIG) as parsers:
        assert children_of(os.getpid()) == before
        assert len(list(parsers.parse([tmp_path / "a.txt"]))) == 1
        assert len(children_of(os.getpid()) - before) == 1
    assert children_of(os.getpid()) == before


def test_errors_keep_their_kind_and_name_the_file_on_one_line(tmp_path: Path) -> None:
    odd = tmp_path / "new\nline.ogg"
    odd.write_bytes(b"OggS" + bytes(99))
    with pytest.raises(UnsupportedFormat) as caught:
        load(odd, CONFIG)
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith("new\\nline.ogg': is a sound recording")
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xf1o.txt"))
    latin.write_text("It has a name that is not UTF-8.")
    found = load(latin, CONFIG)
    assert (found.source, found.text) == (str(latin), "It has a name that is not UTF-8.")
    with pytest.raises(DocumentError, match="does not exist"):
        load(tmp_path / "missing", CONFIG)


@pytest.mark.slow
def test_time_limit_ends_one_file_only(tmp_path: Path) -> None:
    slow = slow_file(tmp_path / "a.csv", rows=3_000_000)
    (tmp_path / "b.txt").write_text("quick")
    config = replace(CONFIG, parse_timeout=2.0, parse_workers=1)
    start = time.monotonic()
    with Parsers(config) as parsers:
        outcomes = dict(parsers.parse([slow, tmp_path / "b.txt"]))
    assert time.monotonic() - start < 15
    assert isinstance(outcomes[slow], LimitExceeded)
    assert str(outcomes[slow]).splitlines() == [
        f"{str(slow)!r}: took longer than 2 s to read",
        "fix: set parse_timeout higher in llar.toml or LLAR_PARSE_TIMEOUT",
    ]
    assert isinstance(outcomes[tmp_path / "b.txt"], Document)


@pytest.mark.slow
def test_memory_limit_ends_one_file_only(tmp_path: Path) -> None:
    big = tmp_path / "a.txt"
    big.write_bytes(b"words and words " * (12 << 20))  # 192 MiB; its parse holds several copies
    (tmp_path / "b.txt").write_text("small")
    config = replace(CONFIG, parse_memory_mb=500, parse_workers=1)
    with Parsers(config) as parsers:
        outcomes = dict(parsers.parse([big, tmp_path / "b.txt"]))
    assert isinstance(outcomes[big], LimitExceeded)
    assert "more memory than parse_memory_mb allows" in str(outcomes[big])
    assert isinstance(outcomes[tmp_path / "b.txt"], Document)


def test_too_little_memory_for_a_library_is_said_to_be_that(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(LimitExceeded, match="more memory"):
        load(tmp_path / "a.txt", replace(CONFIG, parse_memory_mb=8))


def test_sparse_file_is_refused_without_reading_it_as_text(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(UnsupportedFormat, match="only zero bytes"):
        load(tmp_path / "a.txt", CONFIG)


def test_a_child_that_dies_costs_its_file_and_is_replaced(tmp_path: Path) -> None:
    slow = slow_file(tmp_path / "a.csv", rows=2_000_000)
    (tmp_path / "b.txt").write_text("next")
    before = children_of(os.getpid())

    def kill_when_busy() -> None:
        wait_for(lambda: children_of(os.getpid()) - before)
        (child,) = children_of(os.getpid()) - before
        time.sleep(1)
        os.kill(child, signal.SIGSEGV)

    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    with Parsers(replace(CONFIG, parse_workers=1)) as parsers:
        outcomes = dict(parsers.parse([slow, tmp_path / "b.txt"]))
    killer.join()
    assert str(outcomes[slow]) == f"{str(slow)!r}: its parser crashed (SIGSEGV)"
    assert isinstance(outcomes[tmp_path / "b.txt"], Document)


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    slow = slow_file(tmp_path / "a.csv", rows=3_000_000)
    program = (
        "from pathlib import Path\nfrom llar.config import Config\n"
        "from llar.documents import Parsers\n"
        f"with Parsers(Config()) as p: list(p.parse([Path({str(slow)!r})]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    wait_for(lambda: children_of(parent.pid))
    (child,) = children_of(parent.pid)
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    wait_for(lambda: not _is_running(child), seconds=5)


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = slow_file(tmp_path / "a.csv")
    done = threading.Event()

    def keep_writing() -> None:
        with path.open("a") as file:
            while not done.wait(0.01):
                file.write("1,2\n")
                file.flush()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with pytest.raises(DocumentError, match="changed while it was being read"):
            load(path, CONFIG)
    finally:
        done.set()
        writer.join()


def test_stopping_early_leaves_the_parsers_usable(tmp_path: Path) -> None:
    paths = []
    for n in range(5):
        paths.append(tmp_path / f"{n}.txt")
        paths[-1].write_text(f"n {n}")
    with Parsers(CONFIG) as parsers:
        outcomes = parsers.parse(paths)
        next(outcomes)
        with pytest.raises(LlarError, match="one Parsers per thread"):
            next(parsers.parse(paths))
        outcomes.close()
        assert {path for path, _ in parsers.parse(paths)} == set(paths)


def test_parsers_outlive_the_thread_that_started_their_children(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with Parsers(CONFIG) as parsers:
        thread = threading.Thread(target=lambda: list(parsers.parse([tmp_path / "a.txt"])))
        thread.start()
        thread.join()
        ((_, outcome),) = parsers.parse([tmp_path / "a.txt"])
    assert isinstance(outcome, Document)


def test_a_child_that_cannot_start_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "no python here"))
    with pytest.raises(LlarError, match="could not be started") as caught:
        load(tmp_path / "a.txt", CONFIG)
    assert not isinstance(caught.value, DocumentError)


FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a name look-up": "import socket; socket.getaddrinfo('localhost', 80)",
    "a program": "import subprocess; subprocess.run(['true'])",
    "a shell": "import os; os.system('true')",
    "a fork": "import os; os.fork()",
    "writing": "open('written', 'w')",
    "appending": "import os; os.open('written', os.O_WRONLY | os.O_APPEND | os.O_CREAT)",
    "removing": "import os; os.remove('kept')",
    "renaming": "import os; os.rename('kept', 'moved')",
    "a folder": "import os; os.mkdir('made')",
    "killing": "import os; os.kill(os.getppid(), 0)",
}


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_a_child_gives_up(code: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    program = (
        f"import sys\nfrom llar.documents.worker import audit\nsys.addaudithook(audit)\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PermissionError: a parser may not" in done.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name != "llar-home"] == ["kept"]


def test_limits_are_set_in_the_child(tmp_path: Path) -> None:
    slow = slow_file(tmp_path / "a.csv", rows=3_000_000)
    before = children_of(os.getpid())
    with Parsers(replace(CONFIG, parse_memory_mb=1500, parse_workers=1)) as parsers:
        thread = threading.Thread(target=lambda: next(parsers.parse([slow]), None))
        thread.start()
        wait_for(lambda: children_of(os.getpid()) - before)
        (child,) = children_of(os.getpid()) - before
        limits: dict[str, str] = {}

        def read_limits() -> bool:
            for line in Path(f"/proc/{child}/limits").read_text().splitlines()[1:]:
                limits[line[:25].strip()] = line[26:46].strip()
            return limits["Max core file size"] == "0" and limits["Max cpu time"] != "unlimited"

        wait_for(read_limits)
        assert limits["Max address space"] == str(1500 << 20)
        assert limits["Max open files"] == "128"
        assert os.getsid(child) == child
        os.kill(child, signal.SIGKILL)
        thread.join()


GOOD = {
    "text": "# A\n\nb", "format": "md", "size": 6, "sha256": "0", "title": None, "author": None,
    "created": None, "modified": None, "language": "en", "metadata": {"n": 1}, "notes": ["x"],
    "pages": [{"number": 1, "start": 0, "end": 6, "label": None}],
    "blocks": [{"kind": "heading", "start": 0, "end": 3, "level": 1, "caption": None}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"text": 1},
        {"notes": [1]},
        {"metadata": {"n": [1]}},
        {"pages": [{"number": 1, "start": 0, "end": 7, "label": None}]},
        {"blocks": [{"kind": "virus", "start": 0, "end": 3, "level": 1, "caption": None}]},
        {"blocks": [{"kind": "text", "start": 3, "end": 1, "level": 0, "caption": None}]},
        {"blocks": GOOD["blocks"] * 2},  # type: ignore[operator]
        {"blocks": {}},
        {"blocks": [[]]},
    ],
)
def test_answers_of_a_wrong_shape_are_refused(change: dict[str, object]) -> None:
    path = Path("/a")
    assert _document({"document": GOOD}, path).blocks[0].kind == "heading"
    with pytest.raises(DocumentError, match="wrong shape"):
        _document({"document": GOOD | change}, path)
    with pytest.raises(DocumentError):
        _document({"error": "SystemExit", "message": "x"}, path)


def test_frames() -> None:
    import io

    stream = io.BytesIO()
    send(stream, {"a": "é\udce9"})
    send(stream, {})
    data = stream.getvalue()
    buffer = bytearray()
    found = []
    for byte in data:
        buffer.append(byte)
        message = take(buffer, 100)
        if message is not None:
            found.append(message)
    assert found == [{"a": "é\udce9"}, {}]
    with pytest.raises(ValueError, match="expected at most 3"):
        take(bytearray(b"\0\0\0\4true"), 3)
    with pytest.raises(ValueError, match="no object"):
        take(bytearray(b"\0\0\0\4true"), 4)
