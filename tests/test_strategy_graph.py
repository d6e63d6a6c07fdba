"""The graph of entities: what is read from texts, how it follows a collection, what it finds."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from llar import Collection
from llar.cli import cli
from llar.config import Config, load
from llar.errors import QueryError
from llar.index.graph import FILE, Graph, extract
from llar.records import Block, Document
from llar.retrieve.strategy.graph_model import accepted
from llar.retrieve.strategy.graph_picture import layout
from llar.text.entities import key_of, read
from llar.text.relations import relations

pytestmark = pytest.mark.slow


def _read(text: str, language: str = "en") -> dict[str, str]:
    """name -> kind of the entities of a text."""
    found = read(text, [(0, len(text))], [], language)
    for mention in found.mentions:
        assert text[mention.start : mention.end]
    return {m.name: m.kind for m in found.mentions}


# -- entities ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "It was Anna Kovács who met the Mayor of Barcelona in Vienna.",
         {"Anna Kovács": "name", "Mayor of Barcelona": "name", "Vienna": "name"}),
        ("es", "Ayer la doctora Marta Ruiz de León visitó el Hospital del Mar.",
         {"Marta Ruiz de León": "name", "Hospital del Mar": "name"}),
        ("ca", "Ahir en Pere Puig va visitar la Universitat de Girona.",
         {"Pere Puig": "name", "Universitat de Girona": "name"}),
        ("hu", "Ekkor a fiatal Kovács Anna a Budapesti Műszaki Egyetem épületében járt.",
         {"Kovács Anna": "name", "Budapesti Műszaki Egyetem": "name"}),
        ("en", "It cost $1,200 on 12 March 2024, about 15% less than before.",
         {"$1,200": "amount", "12 March 2024": "date", "15%": "amount"}),
        ("es", "Costó 1.200 € el 3 de mayo de 2023.", {"1.200 €": "amount",
                                                        "3 de mayo de 2023": "date"}),
        ("en", "Call ``save()`` or set max_tokens in A-1034, says ISO 9001.",
         {"save": "code", "max_tokens": "code", "A-1034": "code", "ISO 9001": "code"}),
        ("en", "See :class:`~django.db.models.QuerySet` and [the guide](guide.md).",
         {"QuerySet": "code", "the guide": "code"}),
        ("en", "The WHO and NASA agree.", {"WHO": "acronym", "NASA": "acronym"}),
    ],
)  # fmt: skip
def test_entities(language: str, text: str, expected: dict[str, str]) -> None:
    found = _read(text, language)
    assert {name: found.get(name) for name in expected} == expected


def test_a_capital_at_the_start_of_a_sentence_is_no_name() -> None:
    assert "Keep" not in _read("Keep calm. We keep going. They keep quiet.")
    assert "Vienna" in _read("Vienna is old. She loves Vienna.")


def test_a_first_word_is_no_part_of_a_name_known_without_it() -> None:
    found = _read("It is led by Anna Kovács. Yesterday Anna Kovács resigned.")
    assert found == {"Anna Kovács": "name"}


def test_terms_are_what_the_document_names_again_and_again() -> None:
    text = (
        "The session store keeps data. A session store is fast. The session store writes files. "
        "Once the green horse ran."
    )
    found = _read(text)
    assert found["session store"] == "term"
    assert "green horse" not in found


def test_forms_of_a_name_have_one_key() -> None:
    assert key_of("QuerySets", "en") == key_of("queryset", "en")
    assert key_of("X-Frame-Options", "en") != key_of("X-Auth-User", "en")
    assert key_of("Kovács Annának", "hu") == key_of("Kovács Anna", "hu")


def test_acronyms_are_joined_to_their_long_forms() -> None:
    text = "The Content Management System (CMS) is new. The plan (ABC) is not."
    reading = read(text, [(0, len(text))], [], "en")
    (same,) = reading.same
    assert same[:2] == (key_of("CMS", "en"), key_of("Content Management System", "en"))
    assert text[same[2] : same[3]] == "Content Management System (CMS)"


# -- relations -----------------------------------------------------------------------------------


def _relations(text: str, language: str) -> set[tuple[str, str, str, str]]:
    reading = read(text, [(0, len(text))], [], language)
    found = relations(text, reading, language)
    for relation in found:
        assert 0 <= relation.start < relation.end <= len(text)
    return {(r.subject, r.kind, r.label, r.object) for r in found}


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "In 2020 Anna Kovács founded the Orion Institute.",
         ("anna kovac", "does", "founded the", "orion institut")),
        ("en", "We know that Redis is a fast database.", ("redi", "is", "is a", "fast databas")),
        ("es", "Sabemos que Redis es una base de datos.", ("redis", "is", "es una", "bas")),
        ("ca", "Sabem que la Marta Puig és la directora.",
         ("mart puig", "is", "és la", "director")),
        ("en", "There Anna Kovács, Paul Weiss met.", ("anna kovac", "with", "", "paul weiss")),
    ],
)  # fmt: skip
def test_relations(language: str, text: str, expected: tuple[str, str, str, str]) -> None:
    found = _relations(text, language)
    want = tuple(key_of(x, language) if i in (0, 3) else x for i, x in enumerate(expected))
    assert expected in found or want in found, found


def test_a_relation_keeps_its_span() -> None:
    text = "Long ago Anna Kovács founded the Orion Institute in Graz."
    document = Document(text, "a", "txt", 1, "0", language="en")
    _, found = extract(document)
    spans = {text[r.start : r.end] for r in found if r.kind == "does"}
    assert "Anna Kovács founded the Orion Institute" in spans


def test_what_a_section_speaks_of_belongs_to_its_heading() -> None:
    text = "# Engines\n\nThe Merlin was built by Rolls Royce.\n"
    document = Document(
        text, "a", "md", 1, "0", language="en",
        blocks=(Block("heading", 0, 9, 1), Block("text", 11, len(text) - 1)),
    )  # fmt: skip
    _, found = extract(document)
    under = {(r.subject, r.object) for r in found if r.kind == "under"}
    assert (key_of("Rolls Royce", "en"), key_of("Engines", "en")) in under


def test_only_what_stands_in_a_sentence_is_taken_from_a_model() -> None:
    text = "Anna founded Orion. Paul sold Vega to a bank."
    document = Document(text, "a", "txt", 1, "0", language="en")
    written = (
        "Anna | founded | Orion\nPaul | sold | Vega\nAnna | sold | Vega\nMaria | owns | Orion\n"
        "nonsense\nAnna | | Orion\n| founded | Orion\n- Paul | sold to | a bank\n"
        "Anna | " + "very " * 9 + "| Orion"
    )
    found = accepted(written, document, 0, len(text))
    assert [(text[r.start : r.end], r.label) for r in found] == [
        ("Anna founded Orion", "founded"),
        ("Paul sold Vega", "sold"),
        ("Paul sold Vega to a bank", "sold to"),
    ]


# -- the file beside the collection --------------------------------------------------------------


@pytest.fixture(scope="module")
def bridge_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Who leads what stands in one file, who pays for it in another, among forty others."""
    folder = tmp_path_factory.mktemp("notes")
    (folder / "people.md").write_text(
        "# People\n\nSince 2020 Anna Kovács leads the Orion Institute.\n"
    )
    (folder / "money.md").write_text(
        "# Money\n\nEvery spring the Orion Institute receives a cheque from the Halley "
        "Foundation.\n"
    )
    for i in range(40):
        (folder / f"other{i}.md").write_text(
            f"# Memo {i}\n\nThe team number {i} of Graz wrote about money, people and who leads a "
            f"project like Zeta{i} at Gamma{i} Limited.\n"
        )
    home = tmp_path_factory.mktemp("home")
    with Collection("bridge", config=_config(home)) as made:
        made.add([folder])
    return home


@pytest.fixture
def bridge(bridge_home: Path, home: Path) -> Iterator[Collection]:
    """A copy of that collection."""
    shutil.copytree(bridge_home, home, dirs_exist_ok=True)
    with Collection("bridge", config=_config(home)) as made:
        yield made


def _config(home: Path) -> Config:
    return load({"home": home, "embedder": "fake:hash", "query": "", "mode": "lexical"})


def test_a_path_finds_what_shares_no_word_with_the_question(bridge: Collection) -> None:
    question = "How are Anna Kovács and the Halley Foundation connected?"
    found = bridge.explain(question, strategy="graph", k=3)
    names = [h.document.path.rsplit("/", 1)[1] for h in found.hits]
    assert set(names[:2]) == {"people.md", "money.md"}
    (step,) = [s for s in found.steps if s.name == "graph" and "entities" in s.about]
    assert any("Orion Institute" in path for path in step.about["paths"])
    assert all(h.parts["path"] > 0 for h in found.hits[:2])


def test_the_graph_follows_its_collection(bridge: Collection, tmp_path: Path) -> None:
    bridge.search("Anna Kovács", strategy="graph")
    file = bridge.index.database.path.parent / FILE
    assert file.is_file()
    graph = Graph(bridge.index)
    assert graph.update().read == 0
    before = graph.counts()
    new = tmp_path / "new.md"
    new.write_text("In May Anna Kovács met Greta Olsen.\n")
    bridge.add([new])
    assert (graph.update().read, graph.counts()["documents"]) == (1, before["documents"] + 1)
    key = key_of("Greta Olsen", "en")
    assert key in graph.find([key])
    new.write_text("In June nobody met.\n")
    bridge.add([new])
    graph.update()
    assert graph.find([key]) == {}
    bridge.remove([new])
    update = graph.update()
    assert (update.read, update.removed) == (0, 1)
    assert graph.counts() == before
    graph.close()


def test_the_graph_is_made_again_where_it_is_missing_or_of_another_version(
    bridge: Collection,
) -> None:
    first = Graph(bridge.index)
    first.update()
    counts = first.counts()
    with first.reading() as connection:
        connection.execute("UPDATE about SET value = '0' WHERE key = 'version'")
    first.close()
    again = Graph(bridge.index)
    assert again.update().read == counts["documents"]
    assert again.counts() == counts
    again.close()
    (bridge.index.database.path.parent / FILE).unlink()
    third = Graph(bridge.index)
    assert third.update().read == counts["documents"]
    third.close()


def test_it_is_deleted_with_its_collection(bridge: Collection, home: Path) -> None:
    from llar.index.index import delete_collection

    bridge.search("Anna Kovács", strategy="graph")
    folder = bridge.index.database.path.parent
    delete_collection(bridge.config, "bridge")
    assert not folder.exists()


def test_building_twice_gives_the_same(bridge: Collection) -> None:
    def dump() -> list[tuple[object, ...]]:
        graph = Graph(bridge.index)
        graph.update()
        with graph.reading() as connection:
            rows = connection.execute(
                "SELECT s.key, o.key, kind, label, document, start, end FROM relations"
                " JOIN entities s ON s.id = subject JOIN entities o ON o.id = object"
            ).fetchall()
        graph.close()
        (bridge.index.database.path.parent / FILE).unlink()
        return rows

    assert dump() == dump()


def test_every_relation_stands_in_its_document(bridge: Collection) -> None:
    graph = Graph(bridge.index)
    graph.update()
    ids = graph.find([key_of("Orion Institute", "en")])
    edges = graph.edges(ids[key_of("Orion Institute", "en")])
    assert edges
    for edge in edges:
        text = bridge.index.text(edge.document)[edge.start : edge.end]
        assert "Orion Institute" in text
    graph.close()


def test_misspelt_names_are_found(bridge: Collection) -> None:
    found = bridge.explain("What about Kovacz Orion Instituut?", strategy="graph")
    (step,) = [s for s in found.steps if s.name == "graph" and "entities" in s.about]
    assert step.about["entities"] == [] or all("alike" in e for e in step.about["entities"])
    found = bridge.explain("Who works at the Gamma7?", strategy="graph")
    assert found.hits


def test_without_entities_it_is_a_plain_search(bridge: Collection) -> None:
    question = "why not"
    plain = bridge.search(question, strategy="single")
    assert bridge.search(question, strategy="graph") == plain


def test_no_argument(bridge: Collection) -> None:
    with pytest.raises(QueryError, match="no argument"):
        bridge.search("x", strategy="graph:9")


# -- llar graph ----------------------------------------------------------------------------------


def _run(bridge: Collection, *arguments: str) -> str:
    home = str(bridge.config.home)
    done = CliRunner().invoke(
        cli, ["--home", home, "graph", "-c", "bridge", *arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def test_graph_command(bridge: Collection, tmp_path: Path) -> None:
    assert "Orion Institute" in _run(bridge, "--entity", "anna kovács")
    shown = _run(bridge, "--entity", "Anna Kovács", "--entity", "Halley Foundation")
    assert "Anna Kovács – Orion Institute – Halley Foundation" in shown
    assert "receives a cheque from the" in shown
    data = json.loads(_run(bridge, "--entity", "Orion Institute", "--json"))
    assert data["counts"]["documents"] == 42
    for relation in data["relations"]:
        text = bridge.index.text(relation["document"])
        assert relation["quote"] == text[relation["start"] : relation["end"]]
    dot = _run(bridge, "--limit", "5", "--dot")
    assert dot.startswith("graph llar {")
    assert dot.rstrip().endswith("}")


def test_graph_page_needs_nothing_from_outside(bridge: Collection, tmp_path: Path) -> None:
    file = tmp_path / "graph.html"
    _run(bridge, "--entity", "Orion Institute", "--html", str(file))
    page = file.read_text()
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|<script", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert page.count("<circle") >= 3
    assert "Halley Foundation" in page


def test_hostile_names_stay_text(tmp_path: Path, home: Path) -> None:
    from llar.index.graph import Entity
    from llar.retrieve.strategy.graph_picture import Picture, as_dot, as_html

    name = '</text><script>alert("1")</script>'
    picture = Picture({1: Entity(1, "k", name, "name", 1)}, ())
    page = as_html(picture, name, [(name, "a", "b", "c", "d")])
    assert "<script" not in page
    assert as_dot(picture).count('"') == 2 + name.count('"')


def test_an_unknown_entity_names_those_like_it(bridge: Collection) -> None:
    done = CliRunner().invoke(
        cli, ["--home", str(bridge.config.home), "graph", "-c", "bridge", "--entity", "Orion Inst"]
    )
    assert isinstance(done.exception, QueryError)
    assert "'Orion Institute'" in str(done.exception)


def test_relations_read_by_a_model(bridge: Collection) -> None:
    say = "fake:say:Anna Kovács | is head of | Orion Institute"
    shown = _run(bridge, "--with-model", say, "--entity", "Anna Kovács", "--json")
    labels = {r["label"] for r in json.loads(shown)["relations"]}
    assert labels >= {"leads the", "is head of"}


def test_layout_keeps_linked_entities_together_and_is_always_the_same() -> None:
    links = [(0, 1, 1.0), (1, 2, 1.0), (3, 4, 1.0), (4, 5, 1.0)]
    places = layout(6, links)
    assert places == layout(6, links)

    def far(a: int, b: int) -> float:
        return math.dist(places[a], places[b])

    assert max(far(0, 1), far(1, 2), far(3, 4), far(4, 5)) < min(far(0, 4), far(1, 3), far(2, 5))
    assert len({(round(x), round(y)) for x, y in places}) == 6
    assert layout(0, []) == []
    assert len(layout(1, [])) == 1
