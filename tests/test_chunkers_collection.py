"""Chunkers in a collection: chosen, pinned, changed, searched, quoted, mended and moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import llar
from llar import Collection, load_config
from llar.chunks import CHUNKERS
from llar.cli import cli
from llar.errors import CollectionError, ConfigError
from llar.index.doctor import check
from llar.index.repair import repair
from llar.transfer import export_collection, import_collection

pytestmark = pytest.mark.slow

COUNTED = [name for name in sorted(CHUNKERS) if name != "late"]
TIGHT = {
    "parent-child": "parent-child:parent=60",
    "double-pass": "double-pass:append=0.3,merge=0.1",
}
MIXED = "Red apples ripen in autumn. Cold seas roar at night. Red apples cost 3 euros in autumn."
FACTS = {
    "apples": "Red apples ripen in autumn. Apples keep for 5 months in a cellar.",
    "ships": "Ships sail the cold seas. A ship carries 900 containers.",
}


@pytest.fixture
def config(home: Path) -> llar.Config:
    return load_config({"embedder": "fake:hash", "chat_model": "fake:quote", "chunk_tokens": 20})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    for name, text in FACTS.items():
        more = " ".join(f"Line {n} of {name} says little." for n in range(20))
        (made / f"{name}.md").write_text(f"# About {name}\n\n{text}\n\n## Rest\n\n{more}\n")
    rows = "\n".join(f"| item {n} | {n} euros |" for n in range(12))
    (made / "table.md").write_text(f"# Costs\n\n| thing | price |\n|---|---|\n{rows}\n")
    (made / "mixed.txt").write_text(MIXED)
    return made


@pytest.mark.parametrize("name", COUNTED)
def test_added_searched_checked_and_reembedded(
    name: str, config: llar.Config, folder: Path, tmp_path: Path
) -> None:
    chunker = TIGHT.get(name, name)
    with Collection("c", config=config) as docs:
        assert len(docs.add(folder, chunker=chunker).added) == 4
        assert str(docs.index.spec) == chunker
        hit = docs.search("How many containers does a ship carry?")[0]
        assert "900 containers" in hit.chunk.text
        texts = {d.source: d.text for d in docs.documents()}
        text = texts[hit.document.path]
        assert hit.chunk.text == "\n\n".join(text[a:b] for a, b in hit.chunk.spans)
        assert {text[a:b].lower() for a, b in hit.highlights} >= {"containers", "ship"}
        row = json.loads(json.dumps(hit.as_json()))
        assert row["position"][1] > 1
        assert row["keywords"]
        assert row["document"]["language"] == "en"
        assert row["document"]["date"] >= "2020"
        answer = docs.ask("How many containers does a ship carry?")
        for citation in answer.citations:
            whole = texts[citation.document.path]
            assert whole[citation.start : citation.end] == citation.quote
        assert check(config, "c") == []
        export_collection(config, "c", tmp_path / "c.tar")
        docs.reembed(chunker="word:words=12,overlap=3")
        assert str(docs.index.spec) == "word:words=12,overlap=3"
        assert "900 containers" in docs.search("containers of a ship")[0].chunk.text
        assert check(config, "c") == []
        docs.reembed()
        assert str(docs.index.spec) == "word:words=12,overlap=3"  # its own, not the configured
    assert import_collection(config, tmp_path / "c.tar", "again").documents == 4
    assert check(config, "again") == []
    with Collection("again", config=config) as same:
        assert str(same.index.spec) == chunker
        assert "900 containers" in same.search("containers of a ship")[0].chunk.text


@pytest.mark.parametrize("name", [*TIGHT, "sentence-window"])
def test_mended_with_its_own_chunker(name: str, config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder, chunker=TIGHT.get(name, name))
        path = docs.index.database.path
        ids = [r[0] for r in docs.index.database.connection.execute("SELECT id FROM chunks")]
        before = [chunk for _, chunk in docs.index.chunks(ids).values()]
        with docs.index.database.write() as connection:
            connection.execute("UPDATE chunks SET start = 0, end = 3, parts = NULL")
    assert check(config, "c")
    repair(config, "c", check(config, "c"))
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        ids = [r[0] for r in docs.index.database.connection.execute("SELECT id FROM chunks")]
        assert [chunk for _, chunk in docs.index.chunks(ids).values()] == before
        # what could still be read of a file is copied with every column
        docs.index.database.close()
    data = bytearray(path.read_bytes())
    data[0:16] = b"x" * 16
    path.write_bytes(data)
    repair(config, "c", check(config, "c"))
    assert check(config, "c") == []
    with Collection("c", config=config) as docs:
        ids = [r[0] for r in docs.index.database.connection.execute("SELECT id FROM chunks")]
        found = [chunk for _, chunk in docs.index.chunks(ids).values()]
    assert [c.context for c in found] == [c.context for c in before]
    assert [c.parts for c in found] == [c.parts for c in before]
    assert any(c.context for c in found) or any(c.parts for c in found)


def test_a_quote_from_a_passage_of_several_parts(config: llar.Config, tmp_path: Path) -> None:
    text = MIXED
    (tmp_path / "a.txt").write_text(text)
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "a.txt", chunker="double-pass:append=0.3,merge=0.1")
        hit = docs.search("What do red apples cost?", k=1)[0]
        assert len(hit.chunk.spans) == 2
        for start, end in hit.highlights:
            assert text[start:end].lower() in ("red", "apples", "cost")
        answer = docs.ask("What do red apples cost in autumn?")
        assert [c.quote for c in answer.citations] == ["Red apples cost 3 euros in autumn."]
        assert answer.citations[0].start == text.index("Red apples cost")


def test_children_of_one_parent_are_one_hit(config: llar.Config, tmp_path: Path) -> None:
    said = " ".join(f"Thing {n} is about the whale and its {n} teeth today." for n in range(8))
    (tmp_path / "a.txt").write_text(f"{said}\n\nNothing else stands here.")
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "a.txt", chunker="parent-child:parent=500")
        assert docs.index.counts()["chunks"] > 3
        [hit] = docs.search("the whale and its teeth")
        assert hit.chunk.text == docs.documents()[0].text.strip()
        assert len(hit.matched) > 1


def test_another_chunker_is_refused(config: llar.Config, folder: Path) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder, chunker="sentence-window")
        assert docs.add(folder, chunker="sentence-window:window=2").added == []  # the default
        docs.add(folder)  # whatever is configured: the collection has its own
        with pytest.raises(CollectionError, match="by 'sentence-window', not by 'structure'") as e:
            docs.add(folder, chunker="recursive")
        assert e.value.fix == "llar reembed -c c --chunker structure"
        with pytest.raises(ConfigError, match="a vector for each token"):
            docs.reembed(chunker="late")
        assert str(docs.index.spec) == "sentence-window"
    with Collection("new", config=config) as docs, pytest.raises(ConfigError, match="no chunker"):
        docs.add(folder, chunker="axe")
    assert not (config.collections_dir / "new").exists()


def test_late_in_a_collection(installed: Path, folder: Path) -> None:
    config = load_config({"chunk_tokens": 40})
    with Collection("c", config=config) as docs:
        docs.add(folder, chunker="late")
        assert "900 containers" in docs.search("How much cargo fits on a ship?")[0].chunk.text
        assert check(config, "c") == []
        docs.reembed(chunker="structure")
        assert check(config, "c") == []


def test_on_the_command_line(home: Path, folder: Path) -> None:
    def run(*args: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["--set", "embedder=fake:hash", *args])
        error = done.exception
        if isinstance(error, llar.LlarError):
            return str(error)
        assert done.exit_code == code, done.output
        return done.output

    run("add", str(folder), "--chunker", "sentence-window:window=1", "--quiet")
    assert "by sentence-window:window=1, at most 160 tokens" in run("status")
    assert "fix: llar reembed -c default --chunker token" in run(
        "add", str(folder), "--chunker", "token", "--quiet"
    )
    assert "there is no chunker 'axe'; there are double-pass" in run(
        "reembed", "--chunker", "axe", "--quiet"
    )
    said = run("reembed", "--chunker", "token:overlap=8", "--quiet")
    assert "by token:overlap=8, embedded by fake:hash" in said
    run("--set", "chunker=word", "add", str(folder), "-c", "other", "--quiet")
    assert "by word, at most" in run("status", "-c", "other")
    [hit] = json.loads(run("search", "containers", "-k", "1", "--json"))
    assert hit["position"][0] <= hit["position"][1]
    assert "containers" in hit["keywords"] or hit["keywords"]


def test_a_row_is_read_with_its_neighbours_under_one_header(
    config: llar.Config, folder: Path
) -> None:
    with Collection("c", config=config) as docs:
        docs.add(folder / "table.md", chunker="sentence-window:window=1")
        hits = docs.search("price of item 7 euros", k=20)
        text = docs.documents()[0].text
        seen: list[tuple[int, int]] = []
        for hit in hits:
            assert hit.chunk.kind == "table"
            assert hit.content.count("| thing | price |") == 1
            for start, end in hit.matched:
                assert text[start:end] in hit.chunk.text
            seen += hit.matched
        assert len(seen) == len(set(seen)) == docs.index.counts()["chunks"]
        assert len(hits) < len(seen)  # neighbours are read with the better of them
        best = hits[0]
        assert "item 7" in text[slice(*best.matched[0])]
        assert [n for n in range(12) if f"item {n} |" in best.chunk.text] == [6, 7, 8]


def test_the_help_and_the_documentation_name_them_all() -> None:
    said = " ".join(CliRunner().invoke(cli, ["add", "--help"]).output.split())
    page = (Path(__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, chunker in CHUNKERS.items():
        assert name in said
        for key, parameter in chunker.parameters.items():
            told = parameter.choices or (f"`{key}` {parameter.default:g}",)
            assert all(value in rows[name] for value in told)
