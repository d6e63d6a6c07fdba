"""Which files a folder stands for, and files that change, vanish or are no files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from llar.documents import find_files, hash_file
from llar.documents.reading import Limits, read_document
from llar.errors import DocumentError, LimitExceeded, UnsupportedFormat

LIMITS = Limits(max_bytes=1 << 20)


class Reports(list[tuple[Path, DocumentError]]):
    def __call__(self, path: Path, error: DocumentError) -> None:
        self.append((path, error))


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_walk_is_sorted_and_skips_what_is_hidden(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a/b/c.txt", "c.txt", ".env", ".git/config", "CVS/Root",
             "~$report.docx", "a/.svn/x", "_darcs/y"]  # fmt: skip
    _touch(*(tmp_path / name for name in names))
    reports = Reports()

    def found(**how: bool) -> list[str]:
        files = find_files([tmp_path], report=reports, **how)
        return [str(f.relative_to(tmp_path)) for f in files]

    assert found() == ["a/b/c.txt", "a/z.txt", "b.txt", "c.txt"]
    assert sorted(found(hidden=True)) == sorted(names)
    assert reports == []


def test_named_files_are_taken_once_even_when_hidden(tmp_path: Path) -> None:
    _touch(tmp_path / "d" / ".env", tmp_path / "d" / "a.txt")
    files = find_files(
        [tmp_path / "d" / ".env", tmp_path / "d", tmp_path / "d" / "a.txt", tmp_path / "d"],
        report=Reports(),
    )
    assert [f.name for f in files] == [".env", "a.txt"]


def test_links_loops_and_what_is_no_file(tmp_path: Path) -> None:
    _touch(tmp_path / "d" / "a.txt", tmp_path / "out" / "b.txt")
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "out").symlink_to(tmp_path / "out")
    (tmp_path / "d" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d" / "self").symlink_to("self")
    os.mkfifo(tmp_path / "d" / "pipe")
    reports = Reports()
    files = list(find_files([tmp_path / "d", tmp_path / "missing"], report=reports))
    assert files == [tmp_path / "d" / "a.txt", tmp_path / "d" / "out" / "b.txt"]
    said = {path.name: error.message for path, error in reports}
    assert said.keys() == {"gone", "self", "pipe", "missing"}
    assert said["gone"].endswith("is a link to something that does not exist")
    assert said["missing"] == f"{str(tmp_path / 'missing')!r}: does not exist"
    assert "named pipe, not a file" in said["pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_reported(tmp_path: Path) -> None:
    _touch(tmp_path / "a.txt", tmp_path / "closed" / "b.txt")
    (tmp_path / "closed").chmod(0)
    reports = Reports()
    try:
        files = list(find_files([tmp_path], report=reports))
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert files == [tmp_path / "a.txt"]
    assert "permission denied" in reports[0][1].message


def test_walk_is_lazy_and_deep(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(150):
        folder = folder / "d"
    _touch(folder / "deep.txt", tmp_path / "a.txt")
    files = find_files([tmp_path], report=Reports())
    assert next(files) == tmp_path / "a.txt"
    assert next(files) == folder / "deep.txt"


def test_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "a") == expected
    with pytest.raises(DocumentError, match="does not exist"):
        hash_file(tmp_path / "b")


def test_reading_what_is_no_document(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsupportedFormat, match="named pipe"):
        read_document(tmp_path / "pipe", LIMITS)
    with pytest.raises(DocumentError, match="folder"):
        read_document(tmp_path, LIMITS)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(DocumentError):
            read_document(tmp_path / "s", LIMITS)
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(LimitExceeded, match="has 3 MiB; at most 1 are read"):
        read_document(tmp_path / "large.txt", LIMITS)
