"""Collections behind a server: who may do what, uploads that are indexed, originals, pages."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny_gguf
from PIL import Image

from llar.collection import Collection
from llar.config import Config, load
from llar.documents.show import page_picture, quote_boxes
from llar.errors import (
    Conflict,
    DocumentError,
    EvaluationError,
    Forbidden,
    NotThere,
    QueryError,
    UnknownCollection,
)
from llar.evaluate.make import make
from llar.evaluate.questions import Question
from llar.index.index import delete_collection
from llar.records import MetadataValue
from llar.serve.accounts import Accounts
from llar.serve.engines import Engines
from llar.serve.job_records import Job
from llar.serve.jobs import Jobs, Paused, Task
from llar.serve.library import Library
from llar.serve.parsing import Parsing
from llar.serve.question_sets import QuestionSets
from llar.serve.who import LOCAL, Identity

EVA = Identity("eva", "editor", frozenset({"library"}))
HUGO = Identity("hugo", "editor", frozenset({"hr"}))
PAU = Identity("pau", "reader")
HR = {"readers": "group:hr"}


@dataclass
class Served:
    """A library with its accounts, as a server has them."""

    library: Library
    accounts: Accounts
    config: Config

    def done(self, job: Job) -> Job:
        """The job when it is finished."""
        version = -1
        while (job := self.library.job(LOCAL, job.id)).is_open:
            version = self.library.changes(version, seconds=5)
        return job

    def send(
        self, name: str, data: bytes, *, by: Identity = LOCAL, collection: str = "c",
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> Job:  # fmt: skip
        """Upload a file and wait until it is dealt with."""
        stream = io.BytesIO(data)
        return self.done(self.library.upload(by, collection, name, stream, metadata=metadata))

    def state(self, job: Job) -> tuple[str, str]:
        """What became of the last file of an upload, and why."""
        file = self.library.job_files(LOCAL, job.id)[-1]
        return file.state, file.error

    def paths(self) -> list[str]:
        """The documents of the collection."""
        return [row.path for row in self.library.documents(LOCAL, "c").rows]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One library for all tests of this file."""
    home = tmp_path_factory.mktemp("library")
    flags = {"home": home, "embedder": "fake:hash", "chat_model": "fake:quote", "parse_workers": 1}
    config = load(flags, env={})
    engines, accounts = Engines(config), Accounts(config)
    library = Library(config, engines, accounts)
    library.start()
    yield Served(library, accounts, config)
    library.close()
    engines.close()
    accounts.close()


@pytest.fixture
def served(server: Served) -> Iterator[Served]:
    """The same with nothing in it but an empty collection "c"."""
    server.library.create(LOCAL, "c")
    yield server
    for name in server.library.names(LOCAL):
        server.library.delete(LOCAL, name)
    for job in server.library.jobs(LOCAL):
        server.library.forget_job(LOCAL, job.id)


def pdf(*lines: str, rotate: int = 0) -> bytes:
    """A PDF of one page, 400 x 600 points, with these lines at x = 50, 100 points apart."""
    shown = "".join(f"1 0 0 1 50 {500 - 100 * n} Tm ({t}) Tj " for n, t in enumerate(lines))
    content = f"BT /F 12 Tf {shown}ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 600]/Contents 4 0 R/Rotate %d"
        b"/Resources<</Font<</F 5 0 R>>>>>>" % rotate,
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n"
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    return bytes(out)


# -- collections ---------------------------------------------------------------------------


def test_names_are_those_that_one_may_read(served: Served) -> None:
    library = served.library
    library.create(LOCAL, "d", chunker="sentence")
    assert library.names(LOCAL) == ["c", "d"]
    assert library.names(EVA) == []
    served.accounts.grant("d", ["group:library"])
    assert library.names(EVA) == ["d"]
    assert library.about("d", EVA).chunker.startswith("sentence")
    assert not library.about("d", EVA).may_edit
    with pytest.raises(Conflict):
        library.create(LOCAL, "d")
    for identity in (EVA, PAU):
        with pytest.raises(Forbidden):
            library.create(identity, "e")
        with pytest.raises(Forbidden):
            library.delete(identity, "d")
    limited = Identity("root", "admin", via="key", collections=frozenset({"c"}))
    assert library.names(limited) == ["c"]
    with pytest.raises(Forbidden, match="limited"):
        library.create(limited, "e")


def test_forbidden_and_missing_collections_are_told_in_the_same_words(served: Served) -> None:
    said = []
    for name in ("c", "nothing"):
        with pytest.raises(UnknownCollection) as refused:
            served.library.open(name, PAU)
        said.append(str(refused.value).replace(repr(name), "NAME"))
    assert said[0] == said[1] == "there is no collection NAME (there are: none yet)"


@pytest.mark.slow
def test_a_collection_that_another_process_makes_or_deletes_is_noticed(
    served: Served, notes: Path
) -> None:
    library = served.library
    subprocess.run(
        [sys.executable, "-m", "llar", "add", "--quiet", "-c", "cli", str(notes)],
        env={**os.environ, "LLAR_HOME": str(served.config.home), "LLAR_EMBEDDER": "fake:hash"},
        check=True,
    )
    assert library.names(LOCAL) == ["c", "cli"]
    assert len(library.open("cli", LOCAL).search("annual leave")) > 0
    delete_collection(served.config, "cli")
    assert library.names(LOCAL) == ["c"]
    with pytest.raises(UnknownCollection):
        library.open("cli", LOCAL)
    with Collection("cli", config=served.config) as again:
        again.add(notes / "fire.md")
    assert [row.name for row in library.documents(LOCAL, "cli").rows] == ["fire.md"]


@pytest.mark.slow
def test_deleting_takes_along_all_that_quotes_the_documents(served: Served) -> None:
    home, library = served.config.home, served.library
    served.accounts.grant("c", ["user:pau"])
    job = served.send("a/x.txt", b"Staff have 27 days of leave.")
    failed = served.send("bad.pdf", b"%PDF-1.4 no")
    asked = [Question("1", "How many days?", documents={"a/x.txt": 1.0})]
    for name in ("c", "other"):
        if name != "c":
            library.create(LOCAL, name)
            served.send("a/x.txt", b"Staff have 27 days of leave.", collection=name)
        library.sets.save_questions(LOCAL, name, "leave", asked, version=None)
        measured = served.done(library.runs.start(LOCAL, name, "leave"))
        assert (measured.state, measured.error) == ("done", "")
    library.delete(LOCAL, "c")
    library.create(LOCAL, "c")  # another one, of the same name
    assert library.sets.question_sets(LOCAL, "c") == []
    assert library.runs.runs(LOCAL, "c") == []
    assert [row.name for row in library.sets.question_sets(LOCAL, "other")] == ["leave"]
    assert len(library.runs.runs(LOCAL, "other")) == 1
    library.delete(LOCAL, "c")
    library.delete(LOCAL, "other")
    assert served.library.names(LOCAL) == []
    assert not list((home / "server" / "uploads").rglob("*.txt"))
    assert not list((home / "server" / "uploads").rglob("*.pdf"))
    assert served.accounts.grants("c") == []
    for gone in (job, failed):
        with pytest.raises(NotThere):
            served.library.job(LOCAL, gone.id)


# -- uploads -------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_upload_is_found_and_cited_afterwards(served: Served) -> None:
    job = served.send("personal/vacaciones 2024.txt", b"Staff have 27 days of annual leave.")
    assert (job.state, job.done, job.total, job.failed) == ("done", 1, 1, 0)
    assert served.paths() == ["personal/vacaciones 2024.txt"]
    [hit] = served.library.open("c", LOCAL).search("annual leave")
    assert hit.chunk.text == "Staff have 27 days of annual leave."
    row = served.library.documents(LOCAL, "c").rows[0]
    assert (row.name, row.uploaded, row.format, row.chunks) == (
        "vacaciones 2024.txt", True, "txt", 1,
    )  # fmt: skip


@pytest.mark.slow
def test_equal_content_is_noticed_and_known_by_both_names(served: Served) -> None:
    text = b"The alarm is tested on Mondays."
    first = served.send("a.txt", text)
    again = served.send("a.txt", text)
    other = served.send("b.txt", text)
    files = [served.library.job_files(LOCAL, job.id)[-1] for job in (first, again, other)]
    assert [f.state for f in files] == ["done", "unchanged", "duplicate"]
    assert len({f.document for f in files}) == 1
    [row] = served.library.documents(LOCAL, "c").rows
    assert (row.path, row.copies) == ("a.txt", ("b.txt",))


@pytest.mark.slow
def test_two_equal_files_in_one_batch(served: Served) -> None:
    text = b"The alarm is tested on Mondays."
    for name in ("a.txt", "b.txt", "c.txt"):
        job = served.library.upload(LOCAL, "c", name, io.BytesIO(text))
    served.done(job)
    states = sorted(f.state for f in served.library.job_files(LOCAL, job.id))
    assert states == ["done", "duplicate", "duplicate"]


@pytest.mark.slow
def test_a_new_version_replaces_only_when_it_can_be_read(served: Served) -> None:
    served.send("rules.pdf", pdf("The alarm is tested on Mondays"))
    old = served.library.documents(LOCAL, "c").rows[0]
    broken = served.send("rules.pdf", b"%PDF-1.4 this is no PDF")
    assert (broken.state, broken.failed) == ("done", 1)
    [file] = served.library.job_files(LOCAL, broken.id)
    assert (file.state, file.document) == ("failed", None)
    assert file.error.startswith("is no PDF that can be read")  # and no path of the server
    with served.library.file(LOCAL, "c", old.id) as original:
        assert original.stream.read() == pdf("The alarm is tested on Mondays")
    served.send("rules.pdf", pdf("The alarm is tested on Fridays"))
    [new] = served.library.documents(LOCAL, "c").rows
    assert "Fridays" in served.library.document(LOCAL, "c", new.id).text
    with served.library.file(LOCAL, "c", new.id) as original:
        assert original.stream.read() == pdf("The alarm is tested on Fridays")


@pytest.mark.slow
def test_what_failed_can_be_tried_again(served: Served) -> None:
    home = served.config.home
    job = served.send("x.txt", b"\x00\x01\x02\x03 binary")
    assert job.failed == 1
    [file] = served.library.job_files(LOCAL, job.id)
    staged = home / "server" / "uploads" / ".staged" / file.staged
    assert staged.read_bytes() == b"\x00\x01\x02\x03 binary"  # kept for that
    job = served.done(served.library.retry(LOCAL, job.id))
    assert (job.state, job.failed) == ("done", 1)
    served.library.forget_job(LOCAL, job.id)
    assert not staged.exists()


@pytest.mark.slow
def test_only_editors_of_a_collection_may_send(served: Served) -> None:
    served.accounts.grant("c", ["user:eva", "user:pau"])
    for identity in (EVA, PAU):
        with pytest.raises(Forbidden, match="may read 'c', but not change it"):
            served.library.upload(identity, "c", "x.txt", io.BytesIO(b"x"))
    served.accounts.grant("c", ["user:eva", "user:pau"], "editor")
    job = served.send("x.txt", b"Staff have 27 days.", by=EVA)
    assert job.user == "eva"
    with pytest.raises(Forbidden):  # the role is the ceiling
        served.library.upload(PAU, "c", "x.txt", io.BytesIO(b"x"))
    with pytest.raises(NotThere):  # others' jobs are not there
        served.library.job(PAU, job.id)
    assert served.library.jobs(PAU) == []
    assert [j.id for j in served.library.jobs(EVA)] == [job.id]


@pytest.mark.slow
def test_documents_hidden_from_a_reader_are_not_there(served: Served) -> None:
    served.accounts.grant("c", ["user:pau"])
    upload = served.library.upload
    upload(LOCAL, "c", "open.txt", io.BytesIO(b"Leave is 27 days."))
    job = upload(LOCAL, "c", "hr.txt", io.BytesIO(b"Leave of the mayor is 90 days."),
                 metadata={"readers": "group:hr"})  # fmt: skip
    served.done(job)
    by_path = {row.path: row.id for row in served.library.documents(LOCAL, "c").rows}
    assert [row.path for row in served.library.documents(PAU, "c").rows] == ["open.txt"]
    assert served.library.about("c", PAU).documents == 1
    hidden = by_path["hr.txt"]
    library = served.library
    calls = (
        library.row, library.document, library.chunks, library.file, library.page_image,
        library.boxes,
    )  # fmt: skip
    for call in calls:
        further = (1,) if call == library.page_image else (0, 5) if call == library.boxes else ()
        said = []
        for number in (hidden, 999):
            with pytest.raises(NotThere) as refused:
                call(PAU, "c", number, *further)
            said.append(str(refused.value).replace(str(number), "N"))
        assert said[0] == said[1]
    with pytest.raises(QueryError, match="readers"):
        upload(LOCAL, "c", "x.txt", io.BytesIO(b"x"), metadata={"readers": "grup:hr"})
    served.accounts.grant("c", ["user:eva"], "editor")
    with pytest.raises(NotThere):
        library.remove_document(EVA, "c", hidden)
    with pytest.raises(NotThere):
        library.reindex(EVA, "c", [hidden])
    with pytest.raises(NotThere):
        library.set_metadata(EVA, "c", hidden, {"readers": "everyone"})


# -- uploads beside what is hidden ---------------------------------------------------------


@pytest.mark.slow
def test_bytes_of_a_hidden_document_are_stored_like_any_others(served: Served) -> None:
    """Nothing that the sender is shown differs from what new bytes would have given."""
    library, text = served.library, b"The mayor has 90 days of leave."
    served.accounts.grant("c", ["user:eva", "user:hugo"], "editor")
    served.send("a.txt", text, metadata={**HR, "case": "4711"})
    [before] = library.documents(LOCAL, "c").rows
    with library.whole("c").index.database.write() as connection:  # it came long ago
        connection.execute("UPDATE documents SET added = '2020-01-01T00:00:00+00:00'")
    jobs = [served.send(n, t, by=EVA) for n, t in (("b.txt", text), ("new.txt", b"Doors close."))]
    assert [served.state(job) for job in jobs] == [("done", "")] * 2
    same, new = library.documents(EVA, "c").rows
    assert (same.path, same.copies, same.metadata) == ("b.txt", (), new.metadata)
    assert before.id < same.id < new.id
    assert "2020" < same.added[:4] == new.added[:4]
    assert library.document(EVA, "c", same.id).text == text.decode()
    [row, _] = library.documents(HUGO, "c").rows  # who sees both finds one document, as before
    assert (row.path, row.copies, row.id) == ("a.txt", ("b.txt",), same.id)
    assert row.metadata == {**before.metadata}
    assert [hit.document.id for hit in library.open("c", HUGO).search("mayor", k=1)] == [row.id]
    again = served.send("c.txt", text, by=EVA)
    assert served.state(again) == ("duplicate", "")  # of the one that eva sees, as which it is
    [one, _] = library.documents(EVA, "c").rows
    assert (one.path, one.copies, one.metadata) == ("b.txt", ("c.txt",), same.metadata)
    served.done(library.remove_document(EVA, "c", one.id))
    assert [(r.path, r.copies) for r in library.documents(LOCAL, "c").rows] == [
        ("a.txt", ()), ("new.txt", ()),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_hidden_document_is_not_replaced_under_its_name(served: Served) -> None:
    library = served.library
    served.accounts.grant("c", ["user:eva", "user:hugo"], "editor")
    taken = "the name 'hr.txt' is taken; send the file under another one"
    late = library.incoming(EVA, "c", "hr.txt")  # it comes while there is nothing of that name
    served.send("hr.txt", b"The mayor has 90 days.", by=EVA, metadata=HR)
    with pytest.raises(Conflict) as refused:
        library.incoming(EVA, "c", "hr.txt")
    assert str(refused.value) == taken
    late.take([b"The mayor has no leave."])
    job = served.done(late.finish()[0])
    assert (served.state(job), job.failed) == (("failed", taken), 1)
    [row] = library.documents(HUGO, "c").rows
    assert library.document(HUGO, "c", row.id).text == "The mayor has 90 days."
    with library.file(HUGO, "c", row.id) as original:
        assert original.stream.read() == b"The mayor has 90 days."
    served.send("hr.txt", b"The mayor has 30 days.", by=HUGO)  # who may read it may replace it
    [row] = library.documents(HUGO, "c").rows
    assert library.document(HUGO, "c", row.id).text == "The mayor has 30 days."
    assert row.metadata["readers"] == "group:hr"
    assert library.documents(EVA, "c").rows == []


@pytest.mark.slow
def test_a_hidden_upload_that_a_kill_cut_short_is_finished(served: Served) -> None:
    """Its bytes were put in their place, and it was not noted before the server was killed."""
    served.accounts.grant("c", ["user:eva"], "editor")
    job = served.send("hr.txt", b"The mayor has 90 days.", by=EVA, metadata=HR)
    [file] = served.library.job_files(LOCAL, job.id)
    served.library._jobs.settle(file, "failed")
    job = served.done(served.library.retry(EVA, job.id))
    assert (served.state(job), job.failed) == (("done", ""), 0)
    [row] = served.library.documents(LOCAL, "c").rows
    assert (row.path, row.metadata["readers"]) == ("hr.txt", "group:hr")


# -- documents -----------------------------------------------------------------------------


@pytest.mark.slow
def test_lists_are_searched_sorted_and_cut(served: Served) -> None:
    for name, size in (("b/two.txt", 20), ("a/one.txt", 30), ("c.txt", 10)):
        job = served.library.upload(LOCAL, "c", name, io.BytesIO(f"{name} ".encode() * size))
    served.done(job)
    listed = served.library.documents
    assert [r.path for r in listed(LOCAL, "c").rows] == ["a/one.txt", "b/two.txt", "c.txt"]
    by_size = listed(LOCAL, "c", order="size", descending=True).rows
    assert [r.path for r in by_size] == ["a/one.txt", "b/two.txt", "c.txt"]
    page = listed(LOCAL, "c", start=1, limit=1)
    assert ([r.path for r in page.rows], page.total) == (["b/two.txt"], 3)
    found = listed(LOCAL, "c", text="TWO")
    assert ([r.path for r in found.rows], found.total) == (["b/two.txt"], 1)


@pytest.mark.slow
def test_metadata_is_changed_and_taken_away(served: Served) -> None:
    served.send("x.txt", b"Staff have 27 days.")
    [row] = served.library.documents(LOCAL, "c").rows
    changed = served.library.set_metadata(LOCAL, "c", row.id, {"year": 2024, "area": "staff"})
    assert (changed.metadata["year"], changed.metadata["area"]) == (2024, "staff")
    assert len(served.library.open("c", LOCAL).search("days", filters=["year>=2024"])) == 1
    changed = served.library.set_metadata(LOCAL, "c", row.id, {"year": None})
    assert "year" not in changed.metadata
    with pytest.raises(QueryError, match="'title'"):
        served.library.set_metadata(LOCAL, "c", row.id, {"title": "x"})


@pytest.mark.slow
def test_removing_deletes_uploads_and_leaves_other_files(served: Served, notes: Path) -> None:
    served.send("x.txt", b"Staff have 27 days.")
    served.library.whole("c").add(notes)
    rows = served.library.documents(LOCAL, "c").rows
    assert [r.path for r in rows] == ["notes/fire.md", "notes/leave.txt", "x.txt"]
    assert [r.uploaded for r in rows] == [False, False, True]
    job = served.done(served.library.remove_document(LOCAL, "c", *(r.id for r in rows)))
    assert (job.state, job.title, job.result) == ("done", "3 documents", {"removed": 3})
    assert served.paths() == []
    assert (notes / "fire.md").exists()
    assert not (served.config.home / "server" / "uploads" / "c" / "x.txt").exists()


@pytest.mark.slow
def test_reindexing_reads_files_again_and_keeps_what_is_known_of_them(
    served: Served, notes: Path
) -> None:
    served.send("x.txt", b"Staff have 27 days.")
    served.library.whole("c").add(notes, metadata={"area": "staff"})
    (notes / "leave.txt").write_text("Staff have 30 days of annual leave.")
    (notes / "fire.md").unlink()
    job = served.done(served.library.reindex(LOCAL, "c"))
    states = {f.name: f.state for f in served.library.job_files(LOCAL, job.id)}
    assert states == {"notes/fire.md": "failed", "notes/leave.txt": "done", "x.txt": "done"}
    rows = {r.path: r for r in served.library.documents(LOCAL, "c").rows}
    leave, fire = rows["notes/leave.txt"], rows["notes/fire.md"]
    assert "30 days" in served.library.document(LOCAL, "c", leave.id).text
    assert leave.metadata["area"] == "staff"
    assert "Mondays" in served.library.document(LOCAL, "c", fire.id).text  # as it was
    index = served.library.whole("c").index
    assert index.counts()["chunks"] == 3
    with pytest.raises(NotThere):
        served.library.reindex(LOCAL, "c", [12345])


@pytest.mark.slow
def test_syncing_follows_the_folders_of_the_command_line(served: Served, notes: Path) -> None:
    with pytest.raises(QueryError, match="nothing to follow"):
        served.library.sync(LOCAL, "c")
    served.library.whole("c").add(notes)
    served.send("up.txt", b"Sent to the server.")
    (notes / "fire.md").unlink()
    (notes / "new.txt").write_text("A new note.")
    job = served.done(served.library.sync(LOCAL, "c"))
    assert (job.result["added"], job.result["removed"], job.result["unchanged"]) == (1, 1, 1)
    assert served.paths() == ["notes/leave.txt", "notes/new.txt", "up.txt"]


@pytest.mark.slow
def test_reembedding_is_for_admins_and_keeps_the_collection_usable(served: Served) -> None:
    served.send("x.txt", b"Staff have 27 days. They may carry five over. The rest is lost.")
    served.accounts.grant("c", ["user:eva"], "editor")
    with pytest.raises(Forbidden):
        served.library.reembed(EVA, "c")
    job = served.done(served.library.reembed(LOCAL, "c", chunker="sentence-window"))
    assert (job.state, job.result["chunks"]) == ("done", 3)
    [row] = served.library.documents(LOCAL, "c").rows
    chunks = served.library.chunks(LOCAL, "c", row.id)
    text = served.library.document(LOCAL, "c", row.id).text
    assert [c.text for _, c in chunks] == [text[c.start : c.end] for _, c in chunks]
    assert [c.position for _, c in chunks] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
def test_originals_come_back_byte_for_byte_or_not_at_all(served: Served, notes: Path) -> None:
    served.library.whole("c").add(notes)
    rows = {r.path: r.id for r in served.library.documents(LOCAL, "c").rows}
    leave, fire = rows["notes/leave.txt"], rows["notes/fire.md"]
    with served.library.file(LOCAL, "c", leave) as original:
        data = original.stream.read()
    assert data == (notes / "leave.txt").read_bytes()
    assert (original.name, original.size) == ("leave.txt", len(data))
    assert original.sha256 == hashlib.sha256(data).hexdigest()
    (notes / "leave.txt").write_text("Staff have 99 days of annual leave.")  # of the same size
    with pytest.raises(Conflict, match=r"'leave\.txt' has changed since"):
        served.library.file(LOCAL, "c", leave)
    (notes / "fire.md").unlink()
    with pytest.raises(NotThere, match="no longer where it was"):
        served.library.file(LOCAL, "c", fire)
    (notes / "fire.md").mkdir()
    with pytest.raises(NotThere):
        served.library.file(LOCAL, "c", fire)
    shutil.rmtree(notes)


# -- pages ---------------------------------------------------------------------------------


def ink(picture: Image.Image, box: tuple[float, float, float, float]) -> int:
    """Dark pixels inside a box given as fractions."""
    width, height = picture.size
    part = picture.convert("L").crop(
        (int(box[0] * width), int(box[1] * height), int(box[2] * width), int(box[3] * height))
    )
    return sum(part.histogram()[:128])


@pytest.mark.parametrize("rotate", [0, 90, 270])
def test_boxes_hold_the_ink_of_their_quote_and_no_other(rotate: int, tmp_path: Path) -> None:
    """On the picture, the quote's box holds ink, and all ink is in one of the two lines' boxes."""
    path = tmp_path / "x.pdf"
    path.write_bytes(pdf("The alarm is tested on Mondays", "Doors stay closed", rotate=rotate))
    picture = Image.open(io.BytesIO(page_picture(path, "pdf", 1, 100)))
    lines = [quote_boxes(path, 1, q) for q in ("alarm is tested on Mondays", "Doors stay closed")]
    assert [len(boxes) for boxes in lines] == [1, 1]
    # "The " stands before the quote: about a tenth of the first line
    whole = ink(picture, (0, 0, 1, 1))
    first, second = (ink(picture, boxes[0]) for boxes in lines)
    assert first > 0.45 * whole
    assert second > 0.25 * whole
    assert 0.85 * whole < first + second < whole


@pytest.mark.slow
def test_pages_are_pictures_of_the_size_asked_for(served: Served) -> None:
    served.send("x.pdf", pdf("The alarm is tested on Mondays"))
    [row] = served.library.documents(LOCAL, "c").rows
    png = served.library.page_image(LOCAL, "c", row.id, 1, 144)
    picture = Image.open(io.BytesIO(png))
    assert (picture.format, picture.size) == ("PNG", (800, 1200))  # 400 x 600 points
    assert served.library.page_image(LOCAL, "c", row.id, 1, 144) is png  # held in memory
    text = served.library.document(LOCAL, "c", row.id).text
    start = text.index("tested")
    [box] = served.library.boxes(LOCAL, "c", row.id, start, start + len("tested on"))
    assert box[0] == 1
    assert ink(picture, box[1:]) > 100
    with pytest.raises(DocumentError, match="no page 2"):
        served.library.page_image(LOCAL, "c", row.id, 2)
    served.send("x.txt", b"Only text.")
    text_id = next(r.id for r in served.library.documents(LOCAL, "c").rows if r.path == "x.txt")
    with pytest.raises(DocumentError, match="txt file cannot be shown"):
        served.library.page_image(LOCAL, "c", text_id, 1)
    assert served.library.boxes(LOCAL, "c", text_id, 0, 4) == []


def test_scans_and_pictures_are_shown_whole(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (300, 600), colour) for colour in ("red", "blue")]
    tiff = tmp_path / "scan.tiff"
    frames[0].save(tiff, save_all=True, append_images=frames[1:])
    second = Image.open(io.BytesIO(page_picture(tiff, "tiff", 2, 300)))
    assert (second.size, second.getpixel((5, 5))) == ((300, 600), (0, 0, 255))  # not enlarged
    small = Image.open(io.BytesIO(page_picture(tiff, "tiff", 1, 30)))
    assert small.size == (175, 351)  # 11.7 inches high at 30 dots per inch
    with pytest.raises(DocumentError, match="no page 3; it has 2"):
        page_picture(tiff, "tiff", 3, 100)
    broken = tmp_path / "x.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + zlib.compress(b"nothing"))
    with pytest.raises(DocumentError, match="damaged png"):
        page_picture(broken, "png", 1, 100)


@pytest.mark.slow
def test_what_draws_pages_may_die_and_comes_back(served: Served) -> None:
    served.send("x.pdf", pdf("The alarm is tested on Mondays"))
    [row] = served.library.documents(LOCAL, "c").rows
    served.library.page_image(LOCAL, "c", row.id, 1, 50)
    child = served.library._pictures._child
    assert child is not None
    child.kill()
    child.wait()
    assert served.library.page_image(LOCAL, "c", row.id, 1, 60)


# -- together ------------------------------------------------------------------------------


@pytest.mark.slow
def test_searches_go_on_while_files_come_and_go(served: Served) -> None:
    """Readers see the collection as it was before or after each change, never an error."""
    served.send("first.txt", b"Staff have 27 days of annual leave.")
    stop, errors = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                served.library.open("c", LOCAL).search("annual leave", k=3)
                served.library.documents(LOCAL, "c")
            except Exception as e:  # noqa: BLE001 - whatever it is, the test is to show it
                errors.append(e)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(12):
        job = served.library.upload(LOCAL, "c", f"{n % 4}.txt", io.BytesIO(b"Leave %d." % n))
    served.done(job)
    ids = [r.id for r in served.library.documents(LOCAL, "c").rows if r.path != "first.txt"]
    served.done(served.library.remove_document(LOCAL, "c", *ids))
    stop.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert served.paths() == ["first.txt"]


@pytest.mark.slow
def test_evaluating_needs_to_see_every_document(served: Served) -> None:
    """Sets and results quote documents, so who may not read all of them sees neither."""
    served.accounts.grant("c", ["user:eva"], "editor")
    assert served.library.sets.question_sets(EVA, "c") == []
    job = served.library.upload(LOCAL, "c", "hr.txt", io.BytesIO(b"The mayor has 90 days."),
                                metadata={"readers": "group:hr"})  # fmt: skip
    served.done(job)
    with pytest.raises(Forbidden, match="hidden from 'eva'"):
        served.library.sets.question_sets(EVA, "c")
    with pytest.raises(Forbidden, match="hidden"):
        served.library.runs.start(EVA, "c", "any")
    with pytest.raises(Forbidden, match="hidden"):
        served.library.sets.make(EVA, "c", "any", count=3)
    assert served.library.sets.question_sets(LOCAL, "c") == []


MARKET = (
    b"The market is held on Saturdays in the main square. A stall costs 14 euros a day. Readers may"
    b" borrow 6 books for 21 days. A book that is late costs 20 cents a day."
)


@pytest.mark.slow
def test_questions_are_made_by_a_job(served: Served) -> None:
    served.accounts.grant("c", ["user:eva"], "editor")
    served.accounts.grant("c", ["user:pau"])
    sets = served.library.sets
    served.send("market.txt", MARKET)
    job = served.done(sets.make(EVA, "c", "own", count=3, kinds=["number"]))
    assert (job.state, job.title, job.total, job.result["questions"]) == ("done", "own", 3, 2)
    questions, _ = sets.questions(EVA, "c", "own")
    assert [q.kind for q in questions] == ["number"] * 2
    assert job.result["notes"] == ["2 of 3 questions of kind 'number': the documents gave no more"]
    assert all(q.spans[0].quote in MARKET.decode() for q in questions)
    with pytest.raises(Conflict, match="question set 'own' already"):
        sets.make(EVA, "c", "own", count=3)
    with pytest.raises(EvaluationError, match="no kind 'magic'"):
        sets.make(EVA, "c", "other", count=3, kinds=["magic"])
    with pytest.raises(EvaluationError, match="not 0"):
        sets.make(EVA, "c", "other", count=0)
    with pytest.raises(Forbidden):
        sets.make(PAU, "c", "other", count=3)
    none = served.done(sets.make(EVA, "c", "code", count=3, kinds=["code"]))
    assert (none.state, none.error[:29]) == ("failed", "no question of kind code coul")
    names = [row.name for row in sets.question_sets(EVA, "c")]
    assert ("own" in names, "code" in names) == (True, False)


@pytest.mark.slow
def test_a_set_that_is_being_made_is_whole_or_not_there(served: Served, tmp_path: Path) -> None:
    """Stopped in between it leaves nothing, and begins anew; killed at its end it is done."""

    class Stopped(Task):
        def progress(self, done: int, total: int, *_: int) -> None:
            if done == 1:
                raise Paused

    served.send("market.txt", MARKET)
    library, jobs = served.library, Jobs(tmp_path / "jobs.db")
    sets = QuestionSets(served.config, jobs, library.whole, library.open, library.check)
    job = sets.make(LOCAL, "c", "whole", count=3, kinds=["number"])
    with pytest.raises(Conflict, match="being made"):
        sets.make(LOCAL, "c", "whole", count=3)
    with pytest.raises(Paused):
        sets.work(Stopped(jobs, job, 0.0))
    assert "whole" not in [row.name for row in sets.question_sets(LOCAL, "c")]
    jobs.start({"make": sets.work})
    while jobs.job(job.id).is_open:
        jobs.changes(jobs.changes(), seconds=0.05)
    jobs.close()
    whole = make(library.whole("c"), kinds=["number"], count=3)
    assert list(sets.questions(LOCAL, "c", "whole")[0]) == whole.questions

    class Again(Task):
        def progress(self, done: int, total: int, *_: int) -> None:
            pass

    assert sets.work(Again(jobs, job, 0.0))["questions"] == 2  # as if its end were not noted
    sets.save_questions(LOCAL, "c", "other", whole.questions[:1], version=None)
    other = replace(job, options={**job.options, "set": "other"})
    with pytest.raises(Conflict, match="question set 'other' already"):  # somebody else's meanwhile
        sets.work(Again(jobs, other, 0.0))
    assert len(sets.questions(LOCAL, "c", "other")[0]) == 1


@pytest.mark.slow
def test_a_limited_key_sees_only_the_jobs_of_its_collections(served: Served) -> None:
    served.library.create(LOCAL, "d")
    for name in "cd":
        served.send("x.txt", b"Staff have 27 days.", collection=name)
    limited = Identity("local", "admin", via="key", collections=frozenset({"d"}))
    assert [job.collection for job in served.library.jobs(limited)] == ["d"]
    with pytest.raises(Forbidden, match="limited"):
        served.library.pull(limited, "qwen3-4b")


@pytest.mark.slow
def test_pulling_is_a_job_for_admins(served: Served, tmp_path: Path) -> None:
    """From a file, so that nothing leaves the machine."""
    file = tmp_path / "tiny.gguf"
    tiny_gguf.write(file, ["<s>", "a", "b"], {"model": "llama", "scores": [0.0, 0.0, 0.0]})
    with pytest.raises(Forbidden):
        served.library.pull(EVA, f"file:{file}")
    job = served.done(served.library.pull(LOCAL, f"file:{file}"))
    assert (job.state, job.result.get("model")) == ("done", "llamacpp:tiny"), job.error
    missing = served.done(served.library.pull(LOCAL, "no-such-model"))
    assert missing.state == "failed"
    assert "no-such-model" in missing.error


@pytest.mark.slow
def test_parsers_stay_up_between_jobs_and_end_when_idle(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("Staff have 27 days.")
    parsing = Parsing(load({"home": tmp_path, "parse_workers": 1}, env={}), idle=0.2)
    children = []
    for _ in range(2):
        with parsing.parsers() as parsers:
            assert len(list(parsers.parse([file]))) == 1
            children.append(parsers._children[0].process)
    assert children[0] is children[1]
    assert children[0].wait(30) is not None  # by itself, when nobody asked for a while
    with parsing.parsers() as parsers:
        assert len(list(parsers.parse([file]))) == 1
    parsing.close()


@pytest.mark.slow
def test_closing_interrupts_what_is_parsed_and_takes_it_up_again(tmp_path: Path) -> None:
    config = load({"home": tmp_path, "embedder": "fake:hash", "parse_workers": 1}, env={})
    engines, accounts = Engines(config), Accounts(config)
    first = Library(config, engines, accounts)
    first.start()
    first.create(LOCAL, "c")
    pages = "\n\n".join(f"Paragraph {n} says that {n * 7} is {n}." for n in range(8_000))
    job = first.upload(LOCAL, "c", "long.txt", io.BytesIO(pages.encode()))
    while not first._parsing._lent or not first._parsing._lent[0]._children:
        first.changes(first.changes(), seconds=0.01)
    first.close()
    second = Library(config, engines, accounts)
    assert second.job(LOCAL, job.id).state == "queued"
    [file] = second.job_files(LOCAL, job.id)
    assert (file.state, file.error) == ("queued", "")
    second.start()
    done = Served(second, accounts, config).done(job)
    assert (done.state, done.failed) == ("done", 0)
    second.close()
    engines.close()
    accounts.close()
