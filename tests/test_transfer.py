"""One collection as one file: out, in, and everything that must be refused."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from llar import archive
from llar.collection import Collection
from llar.config import Config, load
from llar.errors import BundleError, CollectionBusy, LlarError, SchemaMismatch, UnknownCollection
from llar.index.index import collection_names
from llar.transfer import KIND, Incoming, export_collection, import_collection, snapshot

pytestmark = pytest.mark.slow

TEXTS = {
    "leave.txt": "Staff have 27 days of annual leave.",
    "fire.md": "# Fire\n\nThe alarm is tested on Mondays.\n",
    "parking.txt": "Parking costs two euros a day.",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a collection of three files, which lie beside it."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "notes").mkdir()
    for name, text in TEXTS.items():
        (folder / "notes" / name).write_text(text)
    config = load({"home": folder / "home", "embedder": "fake:hash"}, env={})
    with Collection("notes", config=config) as collection:
        report = collection.add(folder / "notes", metadata={"year": 2024})
    assert report.failed == {}
    return folder


@pytest.fixture
def here(original: Path, tmp_path: Path) -> Config:
    """A home of a test's own, with that collection."""
    home = shutil.copytree(original / "home", tmp_path / "here")
    return load({"home": home, "embedder": "fake:hash"}, env={})


@pytest.fixture
def there(tmp_path: Path) -> Config:
    """Another machine's home."""
    (tmp_path / "there").mkdir()
    return load({"home": tmp_path / "there", "embedder": "fake:hash"}, env={})


@pytest.fixture
def exported(here: Config, tmp_path: Path) -> Path:
    export_collection(here, "notes", tmp_path / "notes.tar")
    return tmp_path / "notes.tar"


def found(config: Config, name: str = "notes") -> list[tuple[str, float, str]]:
    with Collection(name, config=config) as collection:
        hits = collection.search("days of leave and the alarm", filters=["year=2024"])
    return [(hit.document.path, hit.score, hit.chunk.text) for hit in hits]


def untouched(config: Config) -> None:
    """Nothing was let in and nothing is left of the try."""
    assert collection_names(config) == []
    if config.collections_dir.exists():
        assert {p.name for p in config.collections_dir.iterdir()} <= {".incoming.lock"}


def test_a_collection_is_the_same_in_another_home(
    here: Config, there: Config, original: Path, tmp_path: Path
) -> None:
    file = tmp_path / "notes.tar"
    made = export_collection(here, "notes", file)
    assert (made.documents, made.chunks, made.embedder) == (3, 3, "fake:hash")
    assert made.size == file.stat().st_size
    assert made.sha256 == subprocess.run(
        ["sha256sum", file], capture_output=True, text=True, check=True
    ).stdout.split()[0]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir() if "notes.tar" in p.name] == ["notes.tar"]

    done = import_collection(there, file)
    assert (done.collection, done.documents, done.replaced, done.notes) == ("notes", 3, False, ())
    before = found(here)
    assert len(before) == 3
    assert found(there) == before
    with Collection("notes", config=there) as copy:
        assert {d.text for d in copy.documents()} >= {TEXTS["leave.txt"], TEXTS["parking.txt"]}
        assert copy.index.roots() == [str(original / "notes")]


def test_any_tar_program_reads_it(exported: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", exported, "-C", tmp_path], check=True)
    manifest = json.loads((tmp_path / KIND / "manifest.json").read_text())
    [member] = manifest["members"]
    database = tmp_path / KIND / member["name"]
    assert member["size"] == database.stat().st_size
    assert archive.sha256(database) == member["sha256"]
    assert manifest["embedder"]["name"] == "fake:hash"
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM documents").fetchone() == (3,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_another_collection_is_never_overwritten_unasked(
    here: Config, there: Config, exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("Something else altogether.")
    with Collection("notes", config=there) as other:
        other.add(tmp_path / "other.txt")
    with pytest.raises(BundleError, match=r"another collection 'notes' here \(1 documents\)") as e:
        import_collection(there, exported)
    assert "--replace" in str(e.value.fix)
    with Collection("notes", config=there) as other:
        assert other.index.counts()["documents"] == 1
    assert import_collection(there, exported, "copy").collection == "copy"
    assert import_collection(there, exported, replace=True).replaced
    assert found(there) == found(there, "copy") == found(here)
    again = import_collection(there, exported)
    assert (again.unchanged, again.replaced) == (True, False)
    names = {p.name for p in there.collections_dir.iterdir()}
    assert names == {"notes", "copy", ".incoming.lock"}


def test_it_says_what_is_missing_to_search_by_meaning(
    here: Config, there: Config, tmp_path: Path
) -> None:
    with Collection("notes", config=here) as collection, collection.index.database.write() as db:
        identity = {**json.loads(_value(db, "embedder")), "name": "ctranslate2:all-minilm-l6-v2"}
        db.execute("UPDATE manifest SET value = ? WHERE key = 'embedder'", (json.dumps(identity),))
    export_collection(here, "notes", tmp_path / "n.tar")
    [note] = import_collection(there, tmp_path / "n.tar").notes
    assert "'ctranslate2:all-minilm-l6-v2' is not installed here" in note
    assert "llar models pull all-minilm-l6-v2" in note


def _value(connection: sqlite3.Connection, key: str) -> str:
    row = connection.execute("SELECT value FROM manifest WHERE key = ?", (key,)).fetchone()
    return str(row[0])


def test_an_existing_file_and_an_unknown_collection(here: Config, exported: Path) -> None:
    before = exported.read_bytes()
    with pytest.raises(BundleError, match="exists already"):
        export_collection(here, "notes", exported)
    assert exported.read_bytes() == before
    with pytest.raises(UnknownCollection, match="'nots'"):
        export_collection(here, "nots", exported.with_name("new.tar"))
    with pytest.raises(BundleError, match="Not a directory"):
        export_collection(here, "notes", exported / "in" / "no" / "folder.tar")
    with pytest.raises(BundleError, match="there is no file"):
        import_collection(here, exported.with_name("gone.tar"))
    assert {p.name for p in exported.parent.iterdir() if "tar" in p.name} == {"notes.tar"}


def test_a_snapshot_is_one_moment_while_others_write(here: Config, tmp_path: Path) -> None:
    """Every write adds one path and counts it in one transaction; each copy must agree."""
    stop = threading.Event()

    def write() -> None:
        with Collection("notes", config=here) as collection:
            n = 0
            while not stop.is_set():
                n += 1
                with collection.index.database.write() as db:
                    db.execute("INSERT INTO files VALUES (?, 1, '{}')", (f"/new/{n}",))
                    db.execute("INSERT OR REPLACE INTO manifest VALUES ('added', ?)", (str(n),))

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    try:
        for n in range(10):
            target = tmp_path / f"{n}.db"
            snapshot(here, "notes", target)
            db = sqlite3.connect(target)
            [files] = db.execute("SELECT count(*) FROM files WHERE path LIKE '/new/%'").fetchone()
            row = db.execute("SELECT value FROM manifest WHERE key = 'added'").fetchone()
            assert files == (int(row[0]) if row else 0)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts.append(files)
            db.close()
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_cut_file_is_refused_wherever_it_is_cut(there: Config, exported: Path) -> None:
    whole = exported.read_bytes()
    with tarfile.open(exported) as tar:
        end = tar.getmember(f"{KIND}/manifest.json")
        last = end.offset_data + end.size
    for size in (
        0,
        1,
        511,
        512,
        513,
        5000,
        len(whole) // 2,
        end.offset,
        end.offset + 100,
        last - 1,
    ):
        exported.write_bytes(whole[:size])
        with pytest.raises(BundleError) as e:
            import_collection(there, exported)
        if size > 600:
            assert "'collection.db'" in str(e.value) or "manifest.json" in str(e.value)
    untouched(there)


def test_an_altered_byte_is_found_and_the_member_named(there: Config, exported: Path) -> None:
    whole = bytearray(exported.read_bytes())
    at = bytes(whole).index(b"27 days")
    whole[at] ^= 1
    exported.write_bytes(whole)
    with pytest.raises(BundleError, match=r"'collection\.db' was altered"):
        import_collection(there, exported)
    untouched(there)


def repack(file: Path, change: Callable[[dict[str, bytes]], list[tarfile.TarInfo]]) -> Path:
    """The same archive with other members, the manifest's hashes set right for them."""
    with tarfile.open(file) as tar:
        held = {i.name: tar.extractfile(i).read() for i in tar}  # type: ignore[union-attr]
    extra = change(held)
    out = file.with_name("hostile.tar")
    with tarfile.open(out, "w") as tar:
        for name, data in held.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in extra:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return out


def relist(held: dict[str, bytes]) -> None:
    """Have the manifest list exactly what is held."""
    import hashlib

    top = f"{KIND}/"
    manifest = json.loads(held.pop(f"{top}manifest.json"))
    manifest["members"] = [
        {
            "name": name.removeprefix(top),
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for name, data in held.items()
    ]
    held[f"{top}manifest.json"] = json.dumps(manifest).encode()


@pytest.mark.parametrize(
    "name",
    [
        f"{KIND}/../../evil", "/etc/evil", "../evil", f"{KIND}/a/../../evil", "other/evil",
        f"{KIND}/c:evil", f"{KIND}/a\\..\\evil", f"{KIND}/nul", f"{KIND}//evil", f"{KIND}/a\nb",
        f"{KIND}/./evil",
    ],
)  # fmt: skip
def test_a_name_that_leads_outside_is_refused(
    there: Config, exported: Path, tmp_path: Path, name: str
) -> None:
    def change(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        held[name] = b"evil"
        relist(held)
        return []

    with pytest.raises(BundleError):
        import_collection(there, repack(exported, change))
    untouched(there)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    ("kind", "size"),
    [(tarfile.SYMTYPE, 0), (tarfile.LNKTYPE, 0), (tarfile.FIFOTYPE, 0), (tarfile.CHRTYPE, 0)],
)
def test_links_and_devices_are_refused(
    there: Config, exported: Path, kind: bytes, size: int
) -> None:
    def change(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        info = tarfile.TarInfo(f"{KIND}/link")
        info.type, info.linkname, info.size = kind, "/etc/passwd", size
        return [info]

    with pytest.raises(BundleError, match="'llar-collection/link' is not a plain file"):
        import_collection(there, repack(exported, change))
    untouched(there)


def test_a_member_twice_or_unlisted_or_missing_is_refused(there: Config, exported: Path) -> None:
    def add(name: str) -> Callable[[dict[str, bytes]], list[tarfile.TarInfo]]:
        info = tarfile.TarInfo(f"{KIND}/{name}")
        info.size = 5
        return lambda held: [info]

    with pytest.raises(BundleError, match=r"'collection\.db' is in it twice"):
        import_collection(there, repack(exported, add("collection.db")))
    with pytest.raises(BundleError, match="'extra' is in it but not listed"):
        import_collection(there, repack(exported, add("extra")))

    def drop(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        del held[f"{KIND}/collection.db"]
        return []

    with pytest.raises(BundleError, match=r"'collection\.db' is missing"):
        import_collection(there, repack(exported, drop))
    untouched(there)


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM files; END", BundleError,
         "trigger or view 't'"),
        ("CREATE VIEW v AS SELECT * FROM files", BundleError, "trigger or view 'v'"),
        ("UPDATE manifest SET value = 99 WHERE key = 'schema'", SchemaMismatch, "newer llar"),
        ("DROP TABLE manifest", LlarError, "manifest"),
    ],
)  # fmt: skip
def test_a_database_with_code_or_of_another_llar_is_refused(
    there: Config, exported: Path, tmp_path: Path, sql: str, error: type[LlarError], message: str
) -> None:
    def change(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        database = tmp_path / "changed.db"
        database.write_bytes(held[f"{KIND}/collection.db"])
        connection = sqlite3.connect(database)
        connection.execute(sql)
        connection.commit()
        connection.close()
        held[f"{KIND}/collection.db"] = database.read_bytes()
        relist(held)
        return []

    with pytest.raises(error, match=message):
        import_collection(there, repack(exported, change))
    untouched(there)


def test_what_is_no_exported_collection_says_so(there: Config, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("Not an archive at all. " * 100)
    with pytest.raises(BundleError, match="is no llar-collection"):
        import_collection(there, text)
    with archive.create(tmp_path / "bundle.tar", "llar-bundle") as out:
        out.finish("llar-bundle", {})
    with pytest.raises(BundleError, match="is no llar-collection but 'llar-bundle'"):
        import_collection(there, tmp_path / "bundle.tar")


def test_one_import_at_a_time(there: Config, exported: Path) -> None:
    impatient = load({"home": there.home, "embedder": "fake:hash", "lock_timeout": 0.1}, env={})
    with Incoming(there), pytest.raises(CollectionBusy, match="another process is importing"):
        import_collection(impatient, exported)
    assert import_collection(impatient, exported).documents == 3


def test_leftovers_of_a_killed_import_go_with_the_next(there: Config, exported: Path) -> None:
    left = there.collections_dir / ".incoming" / "0"
    left.mkdir(parents=True)
    (left / "collection.db").write_bytes(b"half")
    import_collection(there, exported)
    assert not left.parent.exists()


@pytest.mark.slow
def test_the_commands(here: Config, there: Config, original: Path, tmp_path: Path) -> None:
    def llar(home: Path, *args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "llar", "--home", home, *args],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    file = tmp_path / "out.tar"
    said = llar(here.home, "export", file, "-c", "notes").stdout
    assert "3 documents, 3 chunks, vectors of fake:hash" in said
    assert archive.sha256(file) in said
    assert llar(there.home, "import", file).stdout.startswith("notes imported: 3 documents")
    assert llar(there.home, "import", file).stdout.startswith("notes is here already")
    state = json.loads(llar(there.home, "import", file, "-c", "second", "--json").stdout)
    assert (state["collection"], state["replaced"]) == ("second", False)
    assert "27 days" in llar(there.home, "search", "annual leave", "-c", "second").stdout
    refused = llar(there.home, "import", original / "notes" / "fire.md", code=1).stderr
    assert refused.startswith("error: ")
    assert "Traceback" not in refused


def test_a_full_disk_leaves_nothing_behind(here: Config, tmp_path: Path) -> None:
    """A file may not grow past 64 kB here, which is less than the collection needs."""
    out = tmp_path / "small"
    out.mkdir()
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; exec "$@"', "bash", sys.executable, "-m", "llar",
         "--home", here.home, "export", out / "notes.tar", "-c", "notes"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert list(out.iterdir()) == []
