"""What a reader may not see is, through every step of a search, as if it were not there.

The reference is a collection to which the secret files were never added; its ids are made to go
on as those of the collection that has them, so both must say the very same, byte by byte.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llar import chunks as chunking
from llar.cli import cli
from llar.collection import Collection
from llar.config import Config, changed, load
from llar.documents.reading import Limits, from_text, read_document
from llar.errors import CollectionError, Forbidden, LlarError, QueryError
from llar.evaluate import about
from llar.index.access import Reader
from llar.index.graph import Graph
from llar.index.index import Index
from llar.index.ingest import add_documents
from llar.index.lexical import Lexical
from llar.inside import map as arranged
from llar.models.interface import Embedder
from llar.records import to_json
from llar.retrieve.steps import STEPS

pytestmark = pytest.mark.slow  # some seconds together

EVA = Reader(frozenset({"user:eva", "group:library"}))
HR = Reader(frozenset({"user:bob", "group:hr"}))
SECRET = "xyzzy"  # stands in every secret word, and in nothing else

LEAVE = """# Annual leave

Staff of the Orion Institute have 27 days of annual leave. Anna Pelham approves it, see
[fire](fire.md) and section 2.1 Carry over.

## 2.1 Carry over

Five days may be carried over to March. The Orion Institute pays what is left. Parental leave of
16 weeks is granted by the Harbour Council, which Anna Pelham advises.
"""
FIRE = """# Fire

The alarm is tested on Mondays by Anna Pelham. The Harbour Council owns the building.

| Room | Extinguishers | Checked |
| --- | --- | --- |
| Hall | 4 | 2023 |
| Archive | 9 | 2021 |
| Kitchen | 2 | 2024 |

Water must not be used on burning oil. Alarms are repaired by the Meridian Works.
"""
PARSER = '''"""Reads leave requests."""


def parse_request(text):
    """Parse one request."""
    return text.split(";")


class Ledger:
    """Holds the days of leave."""

    def carry_over(self, days):
        """Carry days over to March."""
        return parse_request(str(days))
'''
HOURS = (
    "Opening hours of the library: 9 to 17. The reading room closes on Mondays. Alarm code: none."
)
VACACIONES = "El personal tiene 27 días de vacaciones. Las horas extra se pagan en marzo."

# (path, text, readers or None for everybody, further metadata) in the order they are added
Files = tuple[str, str, str | None, dict[str, str]]
FILES: tuple[Files, ...] = (
    ("vacaciones.txt", VACACIONES, None, {}),
    ("b/hidden.md", "Zulu Works met Alpha Works. The Harbour Council met the Meridian Works, the "
     "Orion Institute and Anna "
     f"Pelham on Monday. {SECRET.title()} Corp was there.\n", "group:hr", {}),
    ("a/hidden.md", f"# Leave {SECRET}one\n\nThe {SECRET}corp of Anna Pelham pays leave of 99 "
     f"days. The Orion Institute belongs to {SECRET.title()} Corp. The alarm of {SECRET}corp costs "
     "5000 euros of annual leave or sabbatical, carried over to March.\n",
     "group:hr", {"case": f"{SECRET}case"}),
    ("hr/hours.txt", HOURS, "group:hr", {"case": f"{SECRET}copy"}),  # the content is public, too
    ("trust.txt", "Alpha Works advises the Borough Trust. Zulu Works advises the Borough Trust.",
     None, {}),  # two neighbours of equal weight
    ("leave.md", LEAVE, None, {"kind": "policy", "year": "2023"}),
    ("other/fire.md", f"# Fire at {SECRET}two\n\n| Room | Extinguishers | Checked |\n| --- | --- | "
     f"--- |\n| {SECRET}room | 900 | 2025 |\n", "user:bob", {"kind": f"{SECRET}kind"}),
    ("fire.md", FIRE, None, {"kind": "manual"}),
    ("hours.txt", HOURS, "everyone", {"kind": "notice"}),
    (f"{SECRET}.py", f'def parse_request(text):\n    """Parse {SECRET}three."""\n    return '
     f'{SECRET}_call(text)\n\n\ndef {SECRET}_call(text):\n    return parse_request(text)\n',
     "group:hr, user:carla", {}),
    ("requests.py", PARSER, None, {}),
    ("fr.txt", f"Le congé annuel de {SECRET}cinq est de trente jours ouvrables pour tout le "
     "personnel de la bibliothèque municipale.", "hr", {}),  # a slip: nobody but admins
)  # fmt: skip
QUESTIONS = (
    "How many days of annual leave do staff have?",
    "Which room has the most extinguishers?",
    "Where is the function parse_request defined?",
    "What does Anna Pelham have to do with the Harbour Council and the Orion Institute?",
    "¿Cuántos días de vacaciones tiene el personal?",
    f"wht does {SECRET}corp pay for annuall leave of kind manual",
)
MODEL = "fake:quote"
QUERY_STEPS: Mapping[str, Sequence[str]] = {
    "language": ("language",), "words": ("words:lemma", "words:porter", "words:none:stops"),
    "spelling": ("spelling",), "prf": ("prf", "prf:2:40"), "prf-dense": ("prf-dense",),
    "synonyms": ("synonyms",), "hypernyms": ("hypernyms",), "ontology": ("ontology:{ontology}",),
    "multi": ("multi",), "step-back": ("step-back",), "decompose": ("decompose",),
    "hyde": ("hyde",), "intent": ("intent",), "filters": ("filters",),
}  # fmt: skip
STRATEGIES: Mapping[str, Sequence[str]] = {
    "single": ("single",), "adaptive": ("adaptive",), "iterative": ("iterative", "iterative:model"),
    "self-query": ("self-query",), "graph": ("graph",), "recursive": ("recursive:2",),
    "table": ("table", "table:model"), "code": ("code",),
}  # fmt: skip
POST_STEPS: Mapping[str, Sequence[str]] = {
    "rerank": ("rerank:fake:overlap",), "graded": ("graded",), "likelihood": ("likelihood",),
    "mmr": ("mmr",), "min-score": ("min-score:0.2",), "dedup": ("dedup",),
    "neighbours": ("neighbours:2",), "compress": ("compress:0.5",), "surprisal": ("surprisal",),
    "llmlingua2": ("llmlingua2",), "order": ("order",),
}  # fmt: skip


def made(home: Path, folder: Path, embedder: str, chunker: str, *, secrets: bool) -> Collection:
    """The collection with all files, or with those that everybody may read and the same ids."""
    config = load({"home": home, "embedder": embedder, "chat_model": MODEL}, env={})
    docs = Collection("town", config=config)
    model = docs.embedder
    spec = chunking.configured(config, model, chunker).as_manifest()
    Index.create(config, "town", model.identity, spec).close()
    ids = json.loads((folder / "ids.json").read_text()) if not secrets else {}

    def add(name: str, metadata: Mapping[str, str]) -> None:
        document = read_document(folder / name, Limits(1 << 20))
        document = replace(document, metadata={**document.metadata, **metadata})
        add_documents(docs.index, [document], model)

    for name, _, readers, metadata in FILES:
        given = {**metadata, **({"readers": readers} if readers else {})}
        if secrets or readers in (None, "everyone"):
            add(name, given)
        elif name == "hr/hours.txt":  # the first file of a content gives it its place
            add("hours.txt", {"kind": "notice", "readers": "everyone"})
        if secrets:
            ids[name] = _sequences(docs)
        else:
            with docs.index.database.write() as connection:
                for table, last in ids[name].items():
                    connection.execute(
                        "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (last, table)
                    )
    (folder / "ids.json").write_text(json.dumps(ids))
    return docs


def _sequences(docs: Collection) -> dict[str, int]:
    rows = docs.index.database.connection.execute("SELECT name, seq FROM sqlite_sequence")
    return dict(rows.fetchall())


class Town:
    """The two collections, and how both answer."""

    def __init__(self, folder: Path, embedder: str, chunker: str = "") -> None:
        files = folder / "files"
        for name, text, _, _ in FILES:
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            (files / name).write_text(text)
        self.ontology = folder / "terms.csv"
        self.ontology.write_text(
            "term,relation,other\nleave,synonym,holiday\nleave,narrower,sabbatical\n"
        )
        self.whole = made(folder / "with", files, embedder, chunker, secrets=True)
        self.without = made(folder / "without", files, embedder, chunker, secrets=False)
        self.seen = self.whole.seen_by(EVA)
        other = Collection("other", config=self.whole.config)  # she may not read it
        (folder / "other.txt").write_text(
            f"All annual leave days of {SECRET}corp staff have leave."
        )
        identity = self.whole.index.embedder
        Index.create(other.config, "other", identity, self.whole.index.chunker).close()
        add_documents(
            other.index, [read_document(folder / "other.txt", Limits(1 << 20))], self.whole.embedder
        )
        other.close()

    def close(self) -> None:
        """Close both."""
        self.whole.close()
        self.without.close()

    def both(self, question: str, **options: Any) -> tuple[str, str]:
        """What a search says in each, as JSON without times."""
        return told(self.seen, question, options), told(self.without, question, options)

    def same(self, question: str, **options: Any) -> str:
        """The same, which must be one; returned as it is."""
        seen, without = self.both(question, **options)
        assert seen == without
        if SECRET not in question:
            assert SECRET not in seen.casefold()
        return seen


def told(docs: Collection, question: str, options: Mapping[str, Any]) -> str:
    """A search's whole record, or the error in its place."""
    try:
        record = to_json(docs.explain(question, **options))
    except LlarError as e:
        return f"{type(e).__name__}: {e}"
    for step in record["steps"]:
        del step["seconds"]
    record["query"]["vector"] = repr(record["query"]["vector"])
    return json.dumps(record, ensure_ascii=False, sort_keys=True)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"), "fake:hash")
    yield made
    made.close()


def test_every_step_is_covered() -> None:
    assert set(QUERY_STEPS) == set(STEPS["query"])
    assert set(STRATEGIES) == set(STEPS["strategy"])
    assert set(POST_STEPS) == set(STEPS["post"])


def test_the_secrets_are_there_to_be_found(town: Town) -> None:
    """What the other tests do not see, somebody else does: they could fail."""
    question = QUESTIONS[0]
    assert SECRET in told(town.whole, question, {})
    assert SECRET in told(town.whole.seen_by(HR), question, {})
    assert told(town.seen, question, {}) != told(town.whole, question, {})


@pytest.mark.parametrize("step", [s for steps in QUERY_STEPS.values() for s in steps])
def test_query_steps(town: Town, step: str) -> None:
    step = step.replace("{ontology}", str(town.ontology))
    for question in QUESTIONS:
        town.same(question, query=[step], model="fake:say:How is annual leave carried over?")
    town.same(QUESTIONS[0], query=[step], mode="lexical", k=50)


@pytest.mark.parametrize("step", [s for steps in STRATEGIES.values() for s in steps])
def test_strategies(town: Town, step: str) -> None:
    found = [town.same(q, strategy=step, query="none", model="fake:say:Harbour") for q in QUESTIONS]
    assert any('"hits": [{' in record for record in found)


@pytest.mark.parametrize("step", [s for steps in POST_STEPS.values() for s in steps])
def test_post_steps(town: Town, step: str) -> None:
    model = "fake:say:yes" if step == "graded" else MODEL
    for question in QUESTIONS:
        town.same(question, post=[step], model=model)


@pytest.mark.parametrize("options", [
    {"mode": "dense"}, {"mode": "lexical"}, {"k": 100}, {"filters": ["kind=policy"]},
    {"filters": ["kind=notice"]}, {"filters": [f"kind={SECRET}kind"]}, {"filters": ["case~x"]},
    {"filters": ["language=fr"]}, {"filters": ["path~hr"]},
])  # fmt: skip
def test_searches(town: Town, options: dict[str, Any]) -> None:
    for question in QUESTIONS:
        seen, without = town.both(question, **options)
        assert seen == without


@pytest.mark.parametrize("fusion", ["rrf", "adaptive"])
def test_fusions(town: Town, fusion: str) -> None:
    for docs in (town.seen, town.without):
        docs.config = changed(docs.config, {"fusion": fusion}, "test")
    try:
        for question in QUESTIONS:
            town.same(question)
            town.same(question, k=1)
    finally:
        town.seen, town.without.config = town.whole.seen_by(EVA), town.whole.config


def test_vectors_and_words_by_place(town: Town) -> None:
    """Below the search already nothing hidden has a place."""
    docs = town.seen
    with docs.index.database.read():
        view = docs.index.passages.view()
        vector = docs.embedder.embed_query(f"{SECRET}corp leave")
        found = docs._matrix(docs.index).nearest(view, vector, 1000)
        scores = Lexical(docs.index, [["leav"], [f"{SECRET}corp"]]).scores()
    assert len(found) == view.count == town.without.index.counts()["chunks"]
    assert (view.documents[found] > 0).all()
    assert (view.documents[scores > 0] > 0).all()
    assert (scores > 0).any()


def test_answers_and_prompts(town: Town) -> None:
    for question in QUESTIONS:
        seen, without = (to_json(docs.ask(question)) for docs in (town.seen, town.without))
        for answer in (seen, without):
            del answer["timings"]
            for step in answer["steps"]:
                del step["seconds"]
        assert seen["prompt"] == without["prompt"]
        assert seen == without
        if SECRET not in question:
            assert SECRET not in json.dumps(seen).casefold()


def test_what_is_listed(town: Town) -> None:
    seen, without = town.seen.index, town.without.index
    assert seen.counts() == without.counts()
    assert list(seen.files()) == list(without.files())
    assert seen.languages() == without.languages()
    assert seen.notes() == without.notes()
    assert town.seen.documents() == town.without.documents()
    assert seen.embedder == without.embedder
    assert seen.roots() == []
    assert seen.failures() == []


def test_documents_by_id(town: Town) -> None:
    everything = {f.document_id for f in town.whole.index.files()}
    mine = {f.document_id for f in town.without.index.files()}
    assert len(everything) > len(mine)
    for number in everything - mine:
        assert town.seen.index.find_document(number) is None
        with pytest.raises(CollectionError) as hidden:
            town.seen.index.text(number)
        with pytest.raises(CollectionError) as missing:
            town.without.index.text(number)
        assert str(hidden.value) == str(missing.value)
        assert town.seen.index.neighbours(number, 1000, 0, 5) == ([], [])
    chunks = town.whole.index.chunks(range(100))
    assert set(town.seen.index.chunks(range(100))) == {
        i for i, (source, _) in chunks.items() if source.id in mine
    }


def test_a_document_with_a_hidden_file_shows_only_the_other(town: Town) -> None:
    (hit, *_) = town.seen.search("Opening hours of the library", k=1)
    assert hit.document.path.endswith("/hours.txt")
    assert "/hr/" not in hit.document.path
    assert town.seen.index.document(hit.document.id).metadata["kind"] == "notice"
    assert "case" not in town.seen.index.document(hit.document.id).metadata
    (theirs, *_) = town.whole.seen_by(HR).search("Opening hours of the library", k=1)
    assert theirs.document.path.endswith("/hours.txt")


def test_the_graph_of_a_reader(town: Town) -> None:
    from llar.retrieve.strategy import graph_picture
    from llar.retrieve.strategy.graph_network import Network

    shown = []
    for docs in (town.seen, town.without, town.whole):
        held = Network()
        with docs.index.database.read():
            network = held.at(docs.index, docs.index.passages.view())
            spoken = ["en", "es"]
        picture = graph_picture.overview(network, 40)
        asked = [network.named(name, spoken) for name in ("Borough Trust", "Anna Pelham")]
        assert None not in asked
        around = graph_picture.around(network, [n for n in asked if n], 2, 3)
        names = {e.id: (e.key, e.name, e.kind, e.mentions) for e in picture.entities.values()}
        links = [
            (names[x.first], names[x.second], [e.label for e in x.edges]) for x in picture.links
        ]
        assert network.graph is not None
        names_around = [(e.key, e.mentions) for e in around.entities.values()]
        near_names = network.near("Ana", ["en"])
        shown.append(
            (
                network.graph.counts(),
                list(names.values()),
                links,
                names_around,
                around.left_out,
                near_names,
            )
        )
        held.close()
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]
    assert SECRET in repr(shown[2]).casefold()


def test_a_graph_that_is_not_the_readers(town: Town) -> None:
    """It would forget what the reader may not see, for everybody."""
    with pytest.raises(ValueError, match="open_graph"):
        Graph(town.seen.index)


def test_the_map_and_what_is_said_of_a_collection(town: Town) -> None:
    seen, without = (arranged.passages(docs, 100) for docs in (town.seen, town.without))
    assert seen[0] == without[0]
    assert (seen[1] == without[1]).all()
    told = [about.collection(docs.index) for docs in (town.seen, town.without)]
    for each in told:
        del each["generation"], each["created"]
    assert told[0] == told[1]


def test_the_command_line(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """--as shows an administrator what somebody sees."""
    monkeypatch.setenv("LLAR_HOME", str(town.whole.config.home))
    for command in (
        ["search", "leave of xyzzycorp"],
        ["--set", f"chat_model={MODEL}", "ask", "What does xyzzycorp pay for leave?"],
        ["graph"],
    ):
        shown = {}
        for names in ("user:eva", "user:bob,group:hr"):
            done = CliRunner().invoke(cli, [*command, "-c", "town", "--json", "--as", names])
            assert done.exit_code == 0, done.output
            shown[names] = done.stdout.casefold().replace("of xyzzycorp", "")
        hidden, open_ = shown.values()
        assert f"{SECRET}one" not in hidden
        assert f"{SECRET.title()} corp".casefold() not in hidden
        assert SECRET in open_
    done = CliRunner().invoke(cli, ["search", "x", "-c", "town", "--as", "eva"])
    assert isinstance(done.exception, QueryError)


def test_nothing_can_be_changed(town: Town, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("new")
    before = town.whole.index.counts()
    for change in (
        lambda: town.seen.add(tmp_path),
        town.seen.sync,
        lambda: town.seen.remove(tmp_path),
        lambda: town.seen.reembed("fake:hash-32"),
        lambda: town.seen.index.remove(["x"]),
        lambda: town.seen.index.add_roots(["x"]),
        lambda: town.seen.index.set_metadata("x", {}),
    ):
        with pytest.raises(Forbidden, match="open for reading only"):
            change()
    assert town.whole.index.counts() == before


@pytest.mark.parametrize("statement", [
    "SELECT text FROM main.documents", "SELECT path FROM main.files", "SELECT path FROM main.roots",
    "SELECT c.text FROM documents JOIN main.chunks AS c", "SELECT terms FROM main.words",
    "SELECT data FROM main.vectors", "DELETE FROM main.documents", "DROP TABLE main.files",
    "UPDATE main.files SET metadata = '{}'", "ATTACH 'x' AS x",
])  # fmt: skip
def test_the_tables_themselves_are_out_of_reach(town: Town, statement: str) -> None:
    with (
        pytest.raises((CollectionError, sqlite3.DatabaseError), match=r"prohibited|not authorized"),
        town.seen.index.database.read() as connection,
    ):
        connection.execute(statement).fetchall()


def test_reading_outside_a_transaction(town: Town) -> None:
    with pytest.raises(CollectionError, match="only read inside"):
        town.seen.index.database.connection.execute("SELECT 1")


def test_what_is_remembered_is_not_shared(town: Town) -> None:
    """Two who see the same share what is in memory; two who do not share nothing."""
    views = {}
    for name, reader in {
        "eva": EVA, "joe": Reader(frozenset({"user:joe"})), "hr": HR,
    }.items():  # fmt: skip
        index = town.whole.seen_by(reader).index
        with index.database.read():
            views[name] = index.passages.view()
    with town.whole.index.database.read():
        whole = town.whole.index.passages.view()
    assert views["eva"] is views["joe"]
    assert views["eva"].known is not views["hr"].known
    assert views["eva"].kept is not whole.kept
    assert views["eva"].postings is not views["hr"].postings
    assert views["eva"].ids is whole.ids  # what says nothing about documents is shared
    held = [town.whole.seen_by(r).index.held for r in (EVA, HR)]
    assert held[0] is not held[1]
    assert held[0] is not town.whole.index.held


def test_everything(town: Town) -> None:
    """Whoever may see everything sees it as it is."""
    admin = town.whole.seen_by(Reader(frozenset(), everything=True))
    assert told(admin, QUESTIONS[0], {}) == told(town.whole, QUESTIONS[0], {})
    assert admin.index.roots() == town.whole.index.roots()
    assert admin.index.failures() == town.whole.index.failures()


def test_other_collections(town: Town) -> None:
    may = town.whole.seen_by(Reader(EVA.names, collections=frozenset({"other"})))
    scores = [s for s in may.explain(QUESTIONS[0], query="intent").steps if "scores" in s.about]
    assert set(scores[0].about["scores"]) == {"town", "other"}
    scores = [
        s for s in town.seen.explain(QUESTIONS[0], query="intent").steps if "scores" in s.about
    ]
    assert set(scores[0].about["scores"]) == {"town"}
    limited = town.whole.seen_by(Reader(frozenset(), everything=True))  # of this collection
    scores = [s for s in limited.explain(QUESTIONS[0], query="intent").steps if "scores" in s.about]
    assert set(scores[0].about["scores"]) == {"town"}


def test_a_chunker_with_context(tmp_path: Path) -> None:
    pair = Town(tmp_path, "fake:hash", "sentence-window:window=1")
    for question in QUESTIONS:
        pair.same(question)
        pair.same(question, post="neighbours")
    pair.close()


@pytest.mark.slow
@pytest.mark.parametrize("chunker", ["", "parent-child"])
def test_with_a_real_embedder(
    installed: Path, tmp_path: Path, minilm: Embedder, chunker: str
) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models").symlink_to(installed / "models")
    pair = Town(tmp_path, minilm.identity.name, chunker)
    strategies = ("single", "table", "code", "graph", "recursive", "single")
    for question, strategy in zip(QUESTIONS, strategies, strict=True):
        pair.same(question, strategy=strategy)
        pair.same(question, post=["rerank:late", "mmr", "compress:0.5"])
        pair.same(question, mode="dense", k=50)
        pair.same(question, mode="dense", k=3)  # the second search goes over rounded vectors
    pair.close()


@pytest.mark.slow
def test_several_readers_at_once(tmp_path: Path) -> None:
    """While documents come, go and change hands, nobody sees what is another's."""
    config = load({"home": tmp_path, "embedder": "fake:hash", "chat_model": MODEL}, env={})
    docs = Collection("town", config=config)
    spec = chunking.configured(config, docs.embedder, "").as_manifest()
    Index.create(config, "town", docs.embedder.identity, spec).close()
    who = {name: Reader(frozenset({f"user:{name}"})) for name in ("eva", "joe", "mar")}

    def put(number: int, owner: str) -> None:
        text = f"Paper {number} of {owner}{SECRET}. The harbour of {owner}{SECRET} is paper."
        document = from_text(text, f"/papers/{number}.txt")
        document = replace(document, metadata={"readers": f"user:{owner}"})
        add_documents(docs.index, [document], docs.embedder)

    stop, found = threading.Event(), Counter[str]()
    wrong: list[str] = []

    def look(name: str) -> None:
        seen = docs.seen_by(who[name])
        while not stop.is_set():
            for options in ({}, {"strategy": "graph"}, {"query": "prf"}):
                record = told(seen, f"the harbour paper of {name}{SECRET}", options)
                wrong.extend(o for o in who if o != name and f"{o}{SECRET}" in record)
                found[name] += f"{name}{SECRET}. The" in record

    def look_at_all() -> None:
        while not stop.is_set():
            docs.explain("the harbour paper", strategy="graph")

    threads = [threading.Thread(target=look, args=(name,)) for name in who]
    threads.append(threading.Thread(target=look_at_all))
    for thread in threads:
        thread.start()
    for number in range(36):
        owner = list(who)[number % 3]
        if number >= 12:
            docs.remove(f"/papers/{number % 12}.txt")
        put(number % 12, owner)  # in the place of another's
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert set(found) == set(who)
    assert min(found.values()) > 3
    docs.close()


# -- changes ----------------------------------------------------------------------------------


@pytest.fixture
def config(home: Path) -> Config:
    return load({"embedder": "fake:hash", "chat_model": MODEL, "parse_workers": 1})


@pytest.mark.slow
def test_access_that_changes(config: Config, tmp_path: Path) -> None:
    """Each search sees what its reader may see at its moment."""
    path = tmp_path / "plan.txt"
    path.write_text("The plan is to paint the harbour.")
    (tmp_path / "other.txt").write_text("The harbour is old.")
    with Collection("town", config=config) as docs:
        docs.add(tmp_path)
        eva = docs.seen_by(EVA)
        assert len(eva.search("harbour")) == 2
        docs.add(path, metadata={"readers": "group:hr"})
        assert [h.document.name for h in eva.search("harbour")] == ["other.txt"]
        assert len(docs.seen_by(HR).search("harbour")) == 2
        docs.add(path, metadata={"readers": "group:hr; user:eva"})
        assert len(eva.search("harbour")) == 2
        docs.add(path, metadata={"readers": "user:bob"})
        assert len(eva.search("harbour")) == 1
        docs.remove(path)
        assert len(docs.seen_by(HR).search("harbour")) == 1


@pytest.mark.slow
def test_a_changed_file_keeps_its_readers(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "plan.md"
    path.write_text("The plan is to paint the harbour.")
    with Collection("town", config=config) as docs:
        docs.add(path, metadata={"readers": "group:hr"})
        eva = docs.seen_by(EVA)
        for text in (
            "The plan is to paint the harbour blue.",
            "---\nreaders: everyone\n---\nThe plan is to paint the harbour red.",
        ):
            path.write_text(text)
            docs.sync()
            assert eva.search("harbour") == []
            assert len(docs.seen_by(HR).search("harbour")) == 1
        moved = path.rename(tmp_path / "moved.md")
        docs.sync([tmp_path])
        assert eva.search("harbour") == []
        docs.add(moved, metadata={"readers": "everyone"})
        assert len(eva.search("harbour")) == 1


@pytest.mark.slow
def test_a_file_that_narrows_its_own_readers(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "plan.md"
    path.write_text("---\nreaders: group:library\n---\nThe plan is to paint the harbour.")
    with Collection("town", config=config) as docs:
        docs.add(path)
        eva = docs.seen_by(EVA)
        assert len(eva.search("harbour")) == 1
        path.write_text("---\nreaders: group:hr\n---\nThe plan is to paint the harbour.")
        docs.sync()
        assert eva.search("harbour") == []


@pytest.mark.slow
def test_content_that_comes_and_goes(config: Config, tmp_path: Path) -> None:
    """A restricted file that for a while says what a public one says stays restricted."""
    secret, public = tmp_path / "secret.txt", tmp_path / "public.txt"
    secret.write_text("The harbour plan of the council.")
    public.write_text("The harbour is old.")
    with Collection("town", config=config) as docs:
        docs.add(public)
        docs.add(secret, metadata={"readers": "group:hr"})
        secret.write_text("The harbour is old.")
        docs.sync()
        secret.write_text("The harbour plan of the council, again.")
        docs.sync()
        assert [h.document.name for h in docs.seen_by(EVA).search("harbour")] == ["public.txt"]


@pytest.mark.slow
def test_a_copy_for_others_takes_nothing_over(config: Config, tmp_path: Path) -> None:
    secret, public = tmp_path / "a.txt", tmp_path / "b.txt"
    for path in (secret, public):
        path.write_text("The harbour is old.")
    with Collection("town", config=config) as docs:
        docs.add(secret, metadata={"readers": "group:hr", "case": "4711"})
        docs.add(public)  # a copy that nobody says more of is as restricted as its content
        assert docs.seen_by(EVA).search("harbour") == []
        docs.remove(public)
        docs.add(public, metadata={"readers": "everyone"})
        (hit,) = docs.seen_by(EVA).search("harbour")
        assert docs.seen_by(EVA).index.document(hit.document.id).metadata == {"readers": "everyone"}
        with pytest.raises(QueryError, match="has 'case'"):
            docs.seen_by(EVA).search("harbour", filters=["case=4711"])


@pytest.mark.parametrize(
    ("value", "eva", "hr"),
    [
        ("everyone", True, True),
        ("user:eva", True, False),
        ("group:hr", False, True),
        (" group:hr ,user:eva", True, True),
        ("group:hr; group:library", True, True),
        ("group:hr & everyone", False, True),
        ("group:hr & user:eva", False, False),
        ("user:EVA", True, False),
        ("group:HR", False, False),
        ("hr", False, False),
        ("group:hr, hr", False, False),
        ("", False, False),
        (",", False, False),
        ("user:", False, False),
        ("everyone & ", False, False),
        (7, False, False),
        (True, False, False),
    ],
)
def test_values_of_readers(value: str | int | bool, eva: bool, hr: bool) -> None:
    assert EVA.may_read({"readers": value}) is eva
    assert HR.may_read({"readers": value}) is hr
    assert Reader(frozenset(), everything=True).may_read({"readers": value})


def test_the_key_in_other_letters() -> None:
    assert EVA.may_read({})
    assert not EVA.may_read({"Readers": "group:hr"})
    assert not EVA.may_read({" READERS ": "group:hr", "readers": "user:eva"})


def test_readers_that_nobody_understands_are_refused(config: Config, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with Collection("town", config=config) as docs:
        with pytest.raises(QueryError, match=r"'hr' cannot be understood: expected user:NAME or"):
            docs.add(tmp_path, metadata={"readers": "hr"})
        with pytest.raises(LlarError):
            docs.index.counts()  # nothing was made
