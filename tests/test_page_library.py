"""The library: files and folders that are really dropped, passages as the index holds them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from string import Formatter

import pytest
from browser import axe, browser, ready, sideways
from make_pdfs import lines_pdf
from playwright.sync_api import Browser, Page, Route, expect
from shelf import TEXTS, Shelf, shelf

from llar.collection import Collection
from llar.index.index import Index
from llar.models.interface import Embedder
from llar.serve.page.library_document import passages
from llar.serve.page.library_parts import duration, milliseconds, number, size
from llar.serve.page.words import LANGUAGES, words

__all__ = ["browser", "shelf"]

WORDS = Path(words.__code__.co_filename).parent


# -- without a browser ---------------------------------------------------------------------


def test_numbers_are_written_as_the_language_does() -> None:
    assert number(12345.678, "en", 1) == "12,345.7"
    assert number(12345.678, "es", 1) == "12.345,7"
    assert number(12345.678, "hu", 2) == "12 345,68"
    assert size(1536, "ca") == "1,5 KiB"
    assert size(3 << 30, "en") == "3.0 GiB"
    assert milliseconds(0.0123, "en") == "12.3 ms"
    assert milliseconds(12.3, "es") == "12,3 s"
    assert [duration(s, "en") for s in (59, 200, 7500)] == ["59 s", "3 min 20 s", "2 h 5 min"]


@pytest.mark.parametrize("screen", ["library", "lab", "evaluation"])
def test_every_text_is_there_in_four_languages(screen: str) -> None:
    texts = tomllib.loads((WORDS / f"{screen}.toml").read_text(encoding="utf-8"))
    for key, of in texts.items():
        assert list(of) == list(LANGUAGES), key
        assert all(text.strip() for text in of.values()), key
        fields = {tuple(sorted(f for _, f, _, _ in Formatter().parse(t) if f)) for t in of.values()}
        assert len(fields) == 1, key


def test_what_is_repeated_and_what_is_left_out(tmp_path: Path, minilm: Embedder) -> None:
    text = "First one. Second one. Third one.\n\nStray.\n\nFourth one."

    class Only:
        embedder = minilm

    from llar.records import Chunk, Document

    document = Document(text, "x", "txt", len(text), "")
    chunks = [
        (7, Chunk(text[0:22], 0, 22)),  # "First one. Second one."
        (8, Chunk(text[11:33], 11, 33)),  # "Second one. Third one."
        (9, Chunk(text[43:54], 43, 54)),
    ]
    found = passages(document, chunks, 0, 3, Only())  # type: ignore[arg-type]
    assert [p.repeated for p in found] == [0, 11, 0]
    assert found[1].chunk.text[: found[1].repeated] == "Second one."
    assert [p.before for p in found] == ["", "", "Stray."]
    assert [p.tokens for p in found] == [minilm.count_tokens(c.content) for _, c in chunks]
    last = passages(document, chunks, 1, 3, Only())  # type: ignore[arg-type]
    assert [(p.number, p.repeated) for p in last] == [(2, 11), (3, 0)]


# -- with a server -------------------------------------------------------------------------


def names(page: Page) -> list[str]:
    """The paths in the list of documents."""
    return sorted(page.locator(".k-documents .k-path").all_inner_texts())


def drop(page: Page, *paths: Path) -> None:
    """Let go of files and folders over the page, as the desktop does."""
    box = page.locator(".k-drop").bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
    data = {"items": [], "files": [str(p) for p in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


@pytest.mark.slow
def test_files_and_folders_come_in(shelf: Shelf, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "ward"
    (folder / "rules" / "night").mkdir(parents=True)
    (folder / "rules" / "night" / "lamp.txt").write_text("The lamp is lit at nine.")
    (folder / "list.md").write_text("# List\n\nThe list is signed by the nurse.\n")
    broken, alone = tmp_path / "broken.pdf", tmp_path / "ward.pdf"
    broken.write_bytes(b"%PDF-1.4\nthis is none\n")
    lines_pdf(alone, [(72, 72, "The ward keeps a list of medicines.")])
    large = tmp_path / "large.txt"
    large.write_bytes(b"word " * (500 << 10))
    with shelf.visit(browser, "/library") as page:
        page.get_by_role("button", name="New collection").click()
        for wrong, told in (("two words", "no spaces"), ("town", "already")):
            page.get_by_label("Name", exact=True).fill(wrong)
            page.get_by_role("button", name="Make it").click()
            expect(page.get_by_role("dialog")).to_contain_text(told)
        page.get_by_label("Name", exact=True).fill("ward")
        page.get_by_role("button", name="Make it").click()
        page.wait_for_url("**/library/ward")
        ready(page)
        expect(page.get_by_text("There are no documents yet.")).to_be_visible()
        page.locator("#uploads[data-ready] #upload-files").set_input_files([broken, alone, large])
        expect(page.locator(".k-up-failed")).to_contain_text("larger than the server takes")
        expect(page.locator(".k-failed li")).to_contain_text("broken.pdf")
        expect(page.locator(".k-failed li")).to_contain_text("is no PDF that can be read")
        expect(page.get_by_role("rowheader", name="ward.pdf")).to_be_visible()
        drop(page, folder)
        expect(page.locator(".k-documents tbody tr")).to_have_count(3)
        assert names(page) == ["ward.pdf", "ward/list.md", "ward/rules/night/lamp.txt"]
        assert axe(page) == []
    rows = shelf.get("/api/collections/ward/documents")["documents"]
    assert sorted(row["path"] for row in rows) == names_of(alone, folder)
    with Collection("ward", config=shelf.config) as ward:
        hit = ward.search("When is the lamp lit?", k=1)[0]
        assert hit.chunk.text == "The lamp is lit at nine."


def names_of(file: Path, folder: Path) -> list[str]:
    """What an upload is called: the file's name, and a folder's files with their folders."""
    below = [p.relative_to(folder.parent).as_posix() for p in folder.rglob("*") if p.is_file()]
    return sorted([file.name, *below])


@pytest.mark.slow
def test_an_upload_is_cancelled_and_tried_again(
    shelf: Shelf, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "late <img src=x>.txt"  # a name that is no HTML
    file.write_text("Late notes are read last.")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with shelf.visit(browser, "/library/town", "eve") as page:
        page.route("**/files/**", hold)
        page.locator("#uploads[data-ready] #upload-files").set_input_files(file)
        row = page.locator(".k-up")
        expect(row).to_contain_text(file.name)
        row.get_by_role("button", name="Cancel").click()
        expect(row).to_contain_text("cancelled")
        page.unroute_all()
        row.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("files on the server: 1")).to_be_visible()
        line = page.get_by_role("row").filter(has_text=file.name)
        expect(line).to_be_visible()
        line.get_by_role("checkbox").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("the file itself")  # what is lost is said
        dialog.get_by_role("button", name="Remove").click()
        expect(line).to_have_count(0)
    assert held


@pytest.mark.slow
def test_passages_are_those_of_the_index_also_when_read_again(
    shelf: Shelf, browser: Browser, minilm: Embedder
) -> None:
    before = shelf.get("/api/collections/steps/documents")["documents"]
    index = Index.open(shelf.config, "steps")
    document = next(f.document_id for f in index.files() if f.path.endswith("leave.md"))
    with index.database.read() as connection:
        ids = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM chunks WHERE document_id = ? ORDER BY start, id", (document,)
            )
        ]
    chunks = [chunk for _, chunk in index.chunks(ids).values()]
    whole = index.text(document)
    index.close()
    assert len(chunks) > 1
    with shelf.visit(browser, f"/library/steps/{document}") as page:
        expect(page.locator(".k-chunk")).to_have_count(len(chunks))
        shown = [t.text_content() for t in page.locator(".k-chunk .k-text").all()]
        assert shown == [c.text for c in chunks]
        tokens = page.locator(".k-chunk-head .k-chip:first-of-type").all_inner_texts()
        assert tokens == [f"{minilm.count_tokens(c.content)} tokens" for c in chunks]
        repeated = page.locator(".k-repeated").all_inner_texts()
        ends = list(zip(chunks[1:], [c.end for c in chunks], strict=False))
        assert repeated == [whole[c.start : end] for c, end in ends if end > c.start]
        assert repeated  # this chunker repeats a sentence
        assert axe(page) == []
        page.get_by_role("button", name="Read again").click()
        page.wait_for_url("**/library/steps")  # it has another id now
        expect(page.get_by_text("Reading again")).to_be_visible()
    after = shelf.get("/api/collections/steps/documents")["documents"]
    assert [row["path"] for row in after] == [row["path"] for row in before]
    assert (document in [r["id"] for r in before], document in [r["id"] for r in after]) == (
        True, False,
    )  # fmt: skip


@pytest.mark.slow
def test_who_may_read_a_document_is_set_on_its_page(shelf: Shelf, browser: Browser) -> None:
    rows = shelf.get("/api/collections/town/documents")["documents"]
    market = next(row["id"] for row in rows if row["path"].endswith("market.txt"))
    with shelf.visit(browser, f"/library/town/{market}", "eve") as page:
        page.get_by_label("Who may read this document").fill("bob")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("cannot be understood")).to_be_visible()
        page.get_by_label("Who may read this document").fill("user:eve")
        page.get_by_label("New key").fill("year")
        page.get_by_label("Its value").fill("2024")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved")).to_be_visible()
        expect(page.get_by_label("year")).to_have_value("2024")
    index = Index.open(shelf.config, "town")
    found = next(f.metadata for f in index.files() if f.document_id == market)
    index.close()
    assert found == {"readers": "user:eve", "year": 2024}
    with shelf.visit(browser, "/library/town", "bob") as page:
        expect(page.get_by_role("rowheader").first).to_be_visible()
        assert not any("market" in name for name in names(page))
    index = Index.open(shelf.config, "town")
    path = next(f.path for f in index.files() if f.document_id == market)
    index.set_metadata(path, {"readers": None, "year": None})
    index.close()


@pytest.mark.slow
def test_the_list_is_searched_sorted_and_turned(shelf: Shelf, browser: Browser) -> None:
    with shelf.visit(browser, "/library/town", "bob") as page:
        expect(page.locator(".k-documents tbody tr")).to_have_count(len(TEXTS))
        expect(page.locator(".k-drop")).to_have_count(0)  # a reader adds nothing
        page.get_by_role("button", name="Size").click()
        expect(page.get_by_role("columnheader", name="Size")).to_have_attribute(
            "aria-sort", "descending"
        )
        longest = max(TEXTS, key=lambda name: len(TEXTS[name].encode()))
        expect(page.locator(".k-documents .k-path").first).to_contain_text(longest)
        page.get_by_label("Find by name or title").fill("FIRE")
        expect(page.locator(".k-documents tbody tr")).to_have_count(1)
        page.get_by_label("Find by name or title").fill("")
        page.get_by_label("Format").click()
        page.get_by_role("option", name="txt").click()
        plain = [name for name in TEXTS if name.endswith(".txt")]
        expect(page.locator(".k-documents tbody tr")).to_have_count(len(plain))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "dark", "path"),
    [("es", True, "/library"), ("ca", False, "/library/town"), ("hu", True, "/library/town/1")],
)
def test_everybody_can_read_it(
    shelf: Shelf, browser: Browser, language: str, dark: bool, path: str
) -> None:
    with shelf.visit(browser, path, language=language, dark=dark, width=360) as page:
        assert axe(page) == []
        assert sideways(page) == 0
        title = words("frame", language)("library")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)


@pytest.mark.slow
def test_a_hidden_collection_looks_like_none(shelf: Shelf, browser: Browser) -> None:
    with shelf.visit(browser, "/library", "bob") as page:
        expect(page.locator(".k-collection-card h2")).to_have_text(["town"])
    said = []
    context = browser.new_context()
    cookie = {"name": "llar_session", "value": shelf.tokens["bob"], "url": shelf.url}
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    for name in ("steps", "nothing-of-that-name"):
        page.goto(f"{shelf.url}/library/{name}")
        said.append(page.get_by_role("alert").inner_text().replace(name, "NAME"))
    context.close()
    assert said[0] == said[1]
