"""Files that people send: names that cannot lead anywhere else, bytes that are never half there."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from llar.errors import Conflict, NotThere, Overloaded, QueryError, TooLarge
from llar.serve.uploads import STAGED, Incoming, Staged, Uploads, pieces, safe_name


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", upload_mb=1)


def sent(uploads: Uploads, name: str, data: bytes) -> Staged:
    incoming = uploads.incoming(name)
    incoming.write(data)
    return incoming.finish()


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a.pdf", "a.pdf"),
        ("Año 2024/más/informe final.pdf", "Año 2024/más/informe final.pdf"),
        ("An\u0303o.txt", "Año.txt"),  # n and a combining tilde, as macOS sends it
        ("folder\\file.txt", "folder/file.txt"),  # as Windows writes folders
        ("a..b.txt", "a..b.txt"),
        ("console.txt", "console.txt"),  # only whole names are devices
        ("x" * 236 + ".txt", "x" * 236 + ".txt"),
    ],
)
def test_names_that_are_taken(given: str, stored: str) -> None:
    assert safe_name(given) == stored


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "empty part"),
        ("../x.txt", "'..'"),
        ("a/../../x.txt", "'..'"),
        ("a/./x.txt", "'.'"),
        ("a//x.txt", "empty part"),
        ("a/", "empty part"),
        ("..\\..\\x.txt", "'..'"),
        ("/etc/passwd", "relative"),
        ("\\\\server\\share\\x", "relative"),
        ("C:\\x.txt", "relative"),
        ("c:x.txt", "relative"),
        ("a\0.txt", "control"),
        ("a\n.txt", "control"),
        ("a\x7f.txt", "control"),
        ("gpj.\u202exe.txt", "control"),  # shown backwards: "txt.exe"
        ("NUL", "device"),
        ("docs/com1.txt", "device"),
        ("LPT9.tar.gz", "device"),
        ("a /x.txt", "space or dot"),
        ("x.txt.", "space or dot"),
        (".htaccess", "hidden"),
        (".git/config", "hidden"),
        ("~$report.docx", "hidden"),
        ("x" * 237 + ".txt", "241 bytes"),
        ("ñ" * 130, "260 bytes"),
        ("/".join(["d"] * 33), "33 parts"),
        ("/".join(["x" * 200] * 11), "bytes; at most 2000"),
        ("\udcff.txt", "UTF-8"),
    ],
)
def test_names_that_are_refused(given: str, why: str) -> None:
    with pytest.raises(QueryError, match=why.replace(".", r"\.")):
        safe_name(given)


def test_a_file_is_staged_whole_with_its_hash(uploads: Uploads) -> None:
    data = os.urandom(100_000)
    incoming = uploads.incoming("dir/x.PDF")
    for piece in pieces(io.BytesIO(data)):
        incoming.write(piece)
    staged = incoming.finish()
    assert staged.size == 100_000
    assert staged.sha256 == hashlib.sha256(data).hexdigest()
    assert staged.place.endswith(".PDF")  # the suffix tells parsers the format
    assert uploads.staged_path(staged.place).read_bytes() == data
    assert uploads.staged_path(staged.place).stat().st_mode & 0o077 == 0


def test_pieces_of_an_iterable_and_of_bytes() -> None:
    assert list(pieces([b"a", b"b"])) == [b"a", b"b"]
    assert list(pieces(b"ab")) == [b"ab"]
    assert list(pieces(io.BytesIO(b"x" * (1 << 20) + b"y"))) == [b"x" * (1 << 20), b"y"]


def test_more_than_the_limit_is_refused_and_gone(uploads: Uploads) -> None:
    incoming = uploads.incoming("x.txt")
    incoming.write(b"x" * (1 << 20))  # exactly upload_mb is taken
    with pytest.raises(TooLarge, match="more than 1 MiB"):
        incoming.write(b"x")
    assert list((uploads.folder / STAGED).iterdir()) == []


def test_an_empty_file_is_refused_and_gone(uploads: Uploads) -> None:
    with pytest.raises(QueryError, match="empty"):
        uploads.incoming("x.txt").finish()
    assert list((uploads.folder / STAGED).iterdir()) == []


def test_a_disk_that_is_nearly_full_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match="MiB left") as refused:
        Incoming(tmp_path, "x.txt", 1 << 20, spare=1 << 62)
    assert list(tmp_path.iterdir()) == [tmp_path / "llar-home"]
    assert refused.value.retry_after == 600


def test_a_new_version_takes_the_place_of_the_old(uploads: Uploads) -> None:
    for text in (b"one", b"two"):
        staged = sent(uploads, "a/b/x.txt", text)
        path = uploads.settle(staged.place, "c", "a/b/x.txt")
        assert path == uploads.folder / "c" / "a" / "b" / "x.txt"
        assert path.read_bytes() == text
    assert list((uploads.folder / STAGED).iterdir()) == []


def test_settling_again_after_a_crash_changes_nothing(uploads: Uploads) -> None:
    staged = sent(uploads, "x.txt", b"one")
    path = uploads.settle(staged.place, "c", "x.txt")
    assert uploads.settle(staged.place, "c", "x.txt") == path
    with pytest.raises(NotThere, match=r"'y\.txt' are gone"):
        uploads.settle(staged.place, "c", "y.txt")


def test_a_folder_and_a_file_cannot_have_one_name(uploads: Uploads) -> None:
    uploads.settle(sent(uploads, "x", b"1").place, "c", "a/x")
    with pytest.raises(Conflict, match="'a' is the name of a folder"):
        uploads.settle(sent(uploads, "x", b"1").place, "c", "a")
    with pytest.raises(Conflict, match="'a/x' is a file here"):
        uploads.settle(sent(uploads, "x", b"1").place, "c", "a/x/y")


def test_removing_takes_empty_folders_along_and_nothing_else(
    uploads: Uploads, tmp_path: Path
) -> None:
    for name in ("a/b/x.txt", "a/y.txt"):
        uploads.settle(sent(uploads, name, b"1").place, "c", name)
    mine = tmp_path / "mine.txt"
    mine.write_text("indexed by the command line")
    uploads.remove(str(mine))
    assert mine.exists()
    uploads.remove(str(uploads.path("c", "a/b/x.txt")))
    assert not (uploads.folder / "c" / "a" / "b").exists()
    assert uploads.path("c", "a/y.txt").exists()
    uploads.remove(str(uploads.path("c", "a/y.txt")))
    assert (uploads.folder / "c").is_dir()
    assert list((uploads.folder / "c").iterdir()) == []


def test_what_no_job_wants_is_swept(uploads: Uploads) -> None:
    kept, left = sent(uploads, "a", b"1"), sent(uploads, "b", b"2")
    assert uploads.sweep({kept.place}) == 1
    assert uploads.staged_path(kept.place).exists()
    assert not uploads.staged_path(left.place).exists()
