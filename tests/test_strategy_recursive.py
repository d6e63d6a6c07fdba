"""Following what passages point to: links, labels, numbers, the section above, text at a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llar import Collection
from llar.config import load
from llar.errors import QueryError
from llar.records import Chunk, Document, Hit, Source
from llar.retrieve.strategy.links import Link, links, slug

pytestmark = pytest.mark.slow

FILLER = (
    "Words about something else entirely, such as weather, cooking and the price of boats. " * 6
)


@pytest.fixture
def collection(tmp_path: Path, home: Path) -> Iterator[Collection]:
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    files = {
        "start.md": "# Start\n\nThe zebra procedure is told in "
        f"[the manual](deep/manual.md#striped-animals).\n\n{FILLER}\n",
        "deep/manual.md": f"# Manual\n\n{FILLER}\n\n## Striped animals\n\nFeed it hay at noon.\n\n"
        f"## Others\n\n{FILLER}\n",
        "label.rst": "Ostriches\n=========\n\n"
        "For the ostrich read :ref:`the rule <bird-rule>` and\n"
        f":doc:`/deep/birds`.\n\n{FILLER}\n",
        "deep/birds.rst": f"Birds\n=====\n\n{FILLER}\n\n.. _bird-rule:\n\n"
        "Rule\n----\n\nNever run.\n",
        "numbers.md": "# 1. Law\n\n## 1.1 Scope\n\nA walrus falls under section 2.3.\n\n"
        f"## 2. Duties\n\n{FILLER}\n\n## 2.3 Ice\n\nKeep it cold.\n\n## 2.30 Never\n\n{FILLER}\n",
        "page.html": "<html><body><h1>Page</h1><p>The badger is in <a href='other.html'>another "
        f"page</a>.</p><p>{FILLER}</p></body></html>",
        "other.html": "<html><body><h1>Other</h1><p>It digs at night.</p>"
        f"<p>{FILLER}</p></body></html>",
        "table.md": f"# Sheet\n\n{FILLER}\n\nAll weights are dry weights.\n\n"
        "| Animal | Weight |\n|---|---|\n| Yak | 500 kg |\n| Gnu | 200 kg |\n\n"
        f"Taken in the morning.\n\n{FILLER}\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    config = load(
        {"home": home, "embedder": "fake:hash", "query": "", "mode": "lexical", "chunk_tokens": 60}
    )
    with Collection("r", config=config) as made:
        made.add([folder])
        yield made


def _brought(collection: Collection, question: str, strategy: str = "recursive") -> dict[str, Hit]:
    """The passages brought in, by how they were, with the step's record checked."""
    found = collection.explain(question, strategy=strategy, k=50)
    hits = {h.chunk_id: h for h in found.hits}
    told: dict[str, Hit] = {}
    for step in found.steps:
        for one in step.about.get("brought", []):
            hit = hits[one["chunk_id"]]
            assert hit.parts["from"] == one["from"]
            assert one["from"] in hits
            told[one["by"]] = hit
    return told


def _texts(brought: dict[str, Hit], by: str) -> list[str]:
    return [hit.chunk.text for how, hit in brought.items() if by in how]


def test_a_link_to_a_heading_of_another_file(collection: Collection) -> None:
    (text,) = _texts(_brought(collection, "zebra procedure"), "file")
    assert "Feed it hay at noon." in text


def test_labels_and_documents_of_restructured_text(collection: Collection) -> None:
    brought = _brought(collection, "ostrich")
    (rule,) = _texts(brought, "label")
    assert "Never run." in rule
    birds = [h.document.path for how, h in brought.items() if how.startswith("doc")]
    assert [p.rsplit("/", 1)[1] for p in birds] == ["birds.rst"]


def test_a_numbered_section(collection: Collection) -> None:
    (text,) = _texts(_brought(collection, "walrus"), "number")
    assert "Keep it cold." in text


def test_links_of_web_pages(collection: Collection) -> None:
    (text,) = _texts(_brought(collection, "badger"), "file")
    assert "It digs at night." in text


def test_the_text_around_a_table(collection: Collection) -> None:
    texts = " ".join(_texts(_brought(collection, "yak gnu"), "table"))
    assert "dry weights" in texts or "morning" in texts


def test_the_section_above(collection: Collection) -> None:
    brought = _brought(collection, "hay noon")
    assert any("section above" in by for by in brought)


def test_rounds_go_on_from_what_was_brought(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "chain"
    folder.mkdir()
    for n in range(4):
        text = f"# Part {n}\n\n" + (f"Go to [next](part{n + 1}.md).\n" if n < 3 else "The end.\n")
        (folder / f"part{n}.md").write_text(
            text + ("\nStart at the lighthouse.\n" if n == 0 else "")
        )
    config = load({"home": home, "embedder": "fake:hash", "query": "", "mode": "lexical"})
    with Collection("chain", config=config) as made:
        made.add([folder])

        def reached(strategy: str) -> set[str]:
            return {h.document.name for h in made.search("lighthouse", strategy=strategy)}

        assert reached("single") == {"Part 0"}
        assert reached("recursive") == {"Part 0", "Part 1"}
        assert reached("recursive:3") == {"Part 0", "Part 1", "Part 2", "Part 3"}


def test_what_was_found_keeps_its_place(collection: Collection) -> None:
    plain = collection.search("zebra procedure", strategy="single")
    found = collection.search("zebra procedure", strategy="recursive")
    assert found[0].chunk_id == plain[0].chunk_id
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.parametrize("argument", ["0", "9", "x", "1:2"])
def test_arguments(collection: Collection, argument: str) -> None:
    with pytest.raises(QueryError, match="recursive"):
        collection.search("x", strategy=f"recursive:{argument}")


# -- links ---------------------------------------------------------------------------------------


def _links(text: str, form: str = "md") -> list[tuple[str, str, str]]:
    document = Document(text, "/d/a.md", form, 1, "0")
    hit = Hit(Source(1, "/d/a.md", format=form), Chunk(text, 0, len(text)), 1, 1.0)
    return [(x.how, x.target, x.anchor) for x in links(hit, document)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see [x](../b.md#Top 'title')", [("file", "../b.md", "Top")]),
        ("![picture](b.png) [y](https://example.org/b.md) [z](mailto:a@b.c) [here](#top)", []),
        ("[x]: ref/b.md\n", [("file", "ref/b.md", "")]),
        ("a [[Page Two#Part|label]]", [("file", "Page Two", "Part")]),
        ("as section 3.2 says", [("number", "3.2", "")]),
        ("see Table 4 and Figure 2.1", [("number", "4", ""), ("number", "2.1", "")]),
        ("véase el apartado 4.1", [("number", "4.1", "")]),
        ("vegeu la Secció 5.2.3", [("number", "5.2.3", "")]),
        ("lásd a 6.2. fejezetet", [("number", "6.2", "")]),
        ("in 2023 we sold 3.2 million", []),
    ],
)
def test_links_in_text(text: str, found: list[tuple[str, str, str]]) -> None:
    assert _links(text) == found


def test_links_in_restructured_text() -> None:
    text = ":doc:`/a/b` :doc:`C <c>` :ref:`my label` `d <d.html>`_ :class:`~x.Y`"
    assert _links(text, "rst") == [
        ("doc", "/a/b", ""),
        ("doc", "c", ""),
        ("label", "my label", ""),
        ("file", "d.html", ""),
    ]


def test_slugs() -> None:
    assert slug("Résumé & Più: part 2") == "resume-piu-part-2"
    assert Link("file", "a").words == ""


@pytest.mark.data
def test_numbered_sections_of_the_debian_handbook(data: Path, tmp_path: Path, home: Path) -> None:
    """ "Secció 14.7, «Tractament d'una màquina compromesa»" is a file of its own."""
    book = data / "corpus" / "debian_handbook" / "ca-ES"
    config = load({"home": home, "embedder": "fake:hash", "query": "", "mode": "lexical"})
    with Collection("book", config=config) as made:
        made.add([book / "sect.apt-get.html", book / "sect.dealing-with-compromised-machine.html"])
        found = made.explain("apt --reinstall atac paquets modificats", strategy="recursive", k=30)
        brought = [b for s in found.steps for b in s.about.get("brought", [])]
        assert any("14.7" in b["by"] or "compromesa" in b["by"] for b in brought)
        assert any(b["document"].startswith("14.7") for b in brought)
