"""`llar evaluate retrieval`: figures worked by hand, levels, depth, caching and the command."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import command

import llar
from llar.config import Config, load
from llar.errors import EvaluationError, UnknownCollection
from llar.evaluate.beir import read_beir
from llar.evaluate.clock import Clock
from llar.evaluate.indexed import cache, cached_names, clear, of_collection, of_texts
from llar.evaluate.places import Place
from llar.evaluate.questions import Question, QuestionSet, Span
from llar.evaluate.retrieval import _by_passage, depth_of, evaluate_retrieval

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> Config:
    settings = {"embedder": "fake:hash", "chat_model": "fake:quote", "query": "", "post": ""}
    return load({**settings, "mode": "lexical"})


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the collection, which each test gets a copy of."""
    home = tmp_path_factory.mktemp("indexed")
    folder = home / "files"
    folder.mkdir()
    (folder / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (folder / "fire.txt").write_text("The alarm is tested on Mondays.")
    (folder / "parking.txt").write_text("Parking needs a permit. Staff park on Mondays.")
    config = load({"home": home, "embedder": "fake:hash"}, env={})
    with llar.Collection("c", config=config) as docs:
        docs.add(folder)
    return home


@pytest.fixture
def notes_docs(config: Config, indexed: Path) -> Iterator[llar.Collection]:
    shutil.copytree(indexed / "collections", config.collections_dir)
    with llar.Collection("c", config=config) as docs:
        yield docs


def _set(*questions: Question) -> QuestionSet:
    return QuestionSet("set", "questions", questions, "hash of it")


Judged = dict[str, tuple[str, dict[str, int]]]  # id -> text of a query, gains


def _write_beir(folder: Path, texts: dict[str, str], queries: Judged) -> Path:
    (folder / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": k, "title": "", "text": v}) for k, v in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    asked = [json.dumps({"_id": k, "text": text}) for k, (text, _) in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    judged = [f"{q}\t{d}\t{g}" for q, (_, gains) in queries.items() for d, g in gains.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged))
    return folder


# -- judging


def test_passages_are_right_where_they_overlap_a_span() -> None:
    spans = (Place(1, 10, 20), Place(2, 0, 5))
    rows = [
        [1, "a", 0.9, [[20, 30]]],  # touches, does not overlap
        [1, "a", 0.8, [[0, 5], [15, 18]]],  # its second part does
        [3, "b", 0.7, [[0, 5]]],
        [1, "a", 0.6, [[0, 30]]],  # right, but brings nothing new
        [2, "c", 0.5, [[4, 9]]],
    ]
    found = _by_passage(rows, spans, 0, (1, 3, 5))
    assert found["hit@1"] == 0.0
    assert found["hit@3"] == 1.0
    assert found["precision@5"] == pytest.approx(3 / 5)
    assert found["recall@3"] == 0.5
    assert found["recall@5"] == 1.0
    assert found["mrr"] == 0.5
    # spans at ranks 2 and 5: (1/2 + 2/5) / 2
    assert found["map"] == pytest.approx(0.45)
    ideal = 1 + 1 / math.log2(3)
    assert found["ndcg@5"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(6)) / ideal)


def test_a_span_that_is_lost_counts_as_never_found() -> None:
    rows = [[1, "a", 0.9, [[0, 5]]]]
    found = _by_passage(rows, (Place(1, 0, 3),), 1, (1,))
    assert (found["recall@1"], found["hit@1"]) == (0.5, 1.0)
    nothing = _by_passage([], (), 1, (1,))
    assert set(nothing.values()) == {0.0}


def test_a_passage_that_holds_both_spans_finds_both() -> None:
    rows = [[1, "a", 0.9, [[0, 50]]]]
    found = _by_passage(rows, (Place(1, 0, 3), Place(1, 40, 45)), 0, (1, 2))
    assert found["recall@2"] == 1.0
    assert found["ndcg@2"] == 1.0


# -- on the user's own questions


def test_own_questions_by_span_and_by_document(notes_docs: llar.Collection) -> None:
    found = _set(
        Question("span", "annual leave days", spans=(Span("leave.txt", None, None, "27 days"),)),
        Question("second", "Mondays alarm", spans=(Span("parking.txt", None, None, "Mondays"),)),
        Question("document", "permit", documents={"parking.txt": 1.0, "fire.txt": 0.0}),
        Question("lost", "alarm", spans=(Span("fire.txt", None, None, "Tuesdays"),)),
        Question("silent", "Who?", kind="unanswerable"),
        Question("vague", "Who else?", answers=("me",)),
        Question("judged", "Who is it?", documents={"fire.txt": 0.0}),
    )
    report = evaluate_retrieval(notes_docs, found, ks=(1, 10))
    by_id = {r.id: r.measures for r in report.results}
    assert by_id["span"]["ndcg@10"] == 1.0
    assert by_id["second"]["mrr@10"] == 0.5  # fire.txt has both words
    assert by_id["document"]["hit@1"] == 1.0
    assert set(by_id["lost"].values()) == {0.0}
    assert report.measures["hit@1"].mean == 0.5
    assert report.left_out == {
        "the documents do not answer it": ["silent"],
        "it does not say where the answer stands": ["vague"],
        "no relevant document": ["judged"],
    }
    [note] = report.notes
    assert "lost: 'Tuesdays' does not stand in 'fire.txt'" in note


def test_questions_without_places_cannot_be_measured(notes_docs: llar.Collection) -> None:
    with pytest.raises(EvaluationError, match=r"no question says which .* where .* stands: 1"):
        evaluate_retrieval(notes_docs, _set(Question("1", "Who?", answers=("me",))))


def test_again_costs_nothing_and_a_change_is_seen(
    notes_docs: llar.Collection, tmp_path: Path
) -> None:
    found = _set(Question("1", "alarm", documents={"fire.txt": 1.0}))
    first = evaluate_retrieval(notes_docs, found)
    clock = Clock()
    again = evaluate_retrieval(notes_docs, found, clock=clock)
    assert again.run.id == first.run.id
    assert again.run.found_finished
    assert clock.work_seconds == 0
    assert again.measures == first.measures
    other = replace(found, sha256="changed")
    clock = Clock()
    taken = evaluate_retrieval(notes_docs, other, clock=clock)
    assert (taken.reused, clock.work_seconds) == (1, 0.0)
    assert taken.seconds == first.seconds
    (tmp_path / "new.txt").write_text("An alarm.")
    notes_docs.add(tmp_path / "new.txt")
    assert evaluate_retrieval(notes_docs, found).reused == 0
    fresh = evaluate_retrieval(notes_docs, found, fresh=True)
    assert fresh.reused == 0


def test_other_settings_are_another_run(notes_docs: llar.Collection) -> None:
    found = _set(Question("1", "alarm", documents={"fire.txt": 1.0}))
    a = evaluate_retrieval(notes_docs, found)
    notes_docs.config = replace(notes_docs.config, mode="dense")
    b = evaluate_retrieval(notes_docs, found)
    assert (b.run.id != a.run.id, b.reused) == (True, 0)
    notes_docs.config = replace(notes_docs.config, mode="lexical", passages=2, threads=1)
    assert evaluate_retrieval(notes_docs, found).run.id == a.run.id  # nothing found depends on it


# -- documents that come along


def test_documents_are_ranked_by_their_best_passage(config: Config, tmp_path: Path) -> None:
    long = "\n\n".join(f"Zebra number {n} of many zebras in a long report." for n in range(400))
    texts = {"long": long, **{f"d{n}": f"One zebra and {n} other animals." for n in range(30)}}
    data = _write_beir(
        tmp_path / "zoo", texts, {"q": ("zebra animals", {"d7": 2, "d8": 1, "long": 1})}
    )
    found = read_beir(data)
    with of_texts(replace(config, chunk_tokens=24), found) as docs:
        assert docs.index.counts()["chunks"] > 150
        report = evaluate_retrieval(docs, found)
    [result] = report.results
    ranked = [path for _, path, _ in result.output["hits"]]
    assert len(ranked) == len(set(ranked)) == 31  # though the long one alone has 100 passages
    gains = {"d7": 2, "d8": 1, "long": 1}
    dcg = sum(gains.get(d, 0) / math.log2(i + 2) for i, d in enumerate(ranked[:10]))
    ideal = 2 + 1 / math.log2(3) + 1 / 2
    assert report.measures["ndcg@10"].mean == pytest.approx(dcg / ideal)
    assert report.measures["recall@100"].mean == 1.0


def test_empty_documents_are_relevant_and_never_found(config: Config, tmp_path: Path) -> None:
    data = _write_beir(
        tmp_path / "some", {"a": "An alarm.", "b": ""}, {"q": ("alarm", {"a": 1, "b": 1})}
    )
    found = read_beir(data)
    with of_texts(config, found) as docs:
        report = evaluate_retrieval(docs, found)
    assert report.measures["recall@100"].mean == 0.5
    assert any("'b' is not in collection" in note for note in report.notes)


def test_the_same_documents_are_indexed_once(config: Config, tmp_path: Path) -> None:
    texts = {"a": "An alarm.", "b": "A permit."}
    data = _write_beir(tmp_path / "some", texts, {"q": ("alarm", {"a": 1})})
    seen: list[int] = []
    found = read_beir(data)
    with of_texts(config, found, progress=lambda p: seen.append(p.done)) as docs:
        name = docs.name
    with of_texts(config, found, progress=lambda p: seen.append(p.done)) as docs:
        assert docs.name == name
    assert seen == [2]
    assert not (config.collections_dir / name).exists()  # it is none of the user's
    with of_texts(replace(config, embedder="fake:hash-32"), found) as other:
        assert other.name != name
    (data / "corpus.jsonl").write_text('{"_id": "a", "text": "Another alarm."}')
    with of_texts(config, read_beir(data)) as changed:
        assert changed.name != name
    assert len(cached_names(config)) == 3
    assert clear(config, name) == [name]
    with pytest.raises(UnknownCollection):
        clear(config, name)
    assert len(clear(config)) == 2
    assert list((cache(config) / "collections").glob("*")) == []


def test_an_interrupted_indexing_is_gone_on_with(config: Config, tmp_path: Path) -> None:
    texts = {f"d{n}": f"Room {n} has {n} chairs." for n in range(600)}
    data = _write_beir(tmp_path / "rooms", texts, {"q": ("room 5", {"d5": 1})})
    found = read_beir(data)

    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        of_texts(config, found, progress=stop)
    [name] = cached_names(config)
    done: list[Any] = []
    with of_texts(config, found, progress=done.append) as docs:
        assert docs.name == name
        assert docs.index.counts()["files"] == 600
    assert done[-1].total < 600


def test_a_collection_with_another_chunker(notes_docs: llar.Collection, tmp_path: Path) -> None:
    (tmp_path / "copy.txt").write_text("The alarm is tested on Mondays.")
    notes_docs.add(tmp_path / "copy.txt")
    same = of_collection(notes_docs.config, notes_docs)
    assert same is notes_docs
    other = of_collection(replace(notes_docs.config, chunk_tokens=16), notes_docs)
    with other:
        assert other.index.spec.max_tokens == 16
        before = {(f.path, f.sha256) for f in notes_docs.index.files()}
        assert {(f.path, f.sha256) for f in other.index.files()} == before
    assert cached_names(notes_docs.config) == [other.name]


def test_depth_stays_that_of_an_ordinary_search(config: Config) -> None:
    assert depth_of(config, (1, 10)).k == 100
    assert depth_of(config, (1, 200)).k == 200
    steps = depth_of(replace(config, post="mmr", candidates=50), (1, 10, 100))
    assert (steps.k, steps.ks, steps.further) == (50, (1, 10), False)


def test_overhead_is_counted_apart() -> None:
    clock = Clock()
    with clock.work():
        time.sleep(0.2)
    with clock.aside():
        time.sleep(0.2)
    time.sleep(0.1)
    found = clock.as_json()
    work, aside, overhead, share = (
        found[name] or 0.0 for name in ("work_seconds", "preparing_seconds", "seconds", "share")
    )
    assert work >= 0.2
    assert aside >= 0.2
    assert overhead >= 0.1
    assert share == pytest.approx(overhead / work, abs=1e-3)
    assert Clock().as_json()["share"] is None


# -- the command


def _llar(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = ["embedder=fake:hash", "query=", "post="]
    given = [x for s in settings for x in ("--set", s)]
    return command("--home", str(home), *given, "evaluate", *arguments)


@pytest.mark.slow
def test_the_command(home: Path, tmp_path: Path) -> None:
    texts = {"a": "An alarm rings.", "b": "A permit to park."}
    data = _write_beir(tmp_path / "some", texts, {"q": ("alarm", {"a": 1}), "r": ("who", {"b": 0})})
    done = _llar(home, "retrieval", "--data", str(data), "--mode", "lexical", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ndcg@10"] == 1.0
    assert found["intervals"]["ndcg@10"] == [1.0, 1.0]
    assert found["queries"] == 1
    assert found["left_out"] == {"no relevant document": ["r"]}
    assert found["settings"]["mode"] == "lexical"
    assert found["versions"]["llar"] == found["versions"]["llar"]
    assert {"seconds", "overhead", "run", "collection", "models", "seed"} <= set(found)
    again = _llar(home, "retrieval", "--data", str(data), "--mode", "lexical")
    assert "nothing has changed since" in again.stderr
    assert "left out: 1 questions, no relevant document (r)" in again.stderr
    assert "nDCG@10" in again.stdout
    named = _llar(
        home, "retrieval", "--data", str(data), "--mode", "dense", "--save", "mine", "-k", "2"
    )
    assert "nDCG@2" in named.stdout
    assert "run mine" in named.stdout
    listed = _llar(home, "runs")
    assert "mine" in listed.stdout
    shown = json.loads(_llar(home, "runs", "show", "mine", "--questions", "--json").stdout)
    assert shown["results"][0]["id"] == "q"
    differ = _llar(home, "runs", "diff", found["run"]["id"], "mine")
    assert "settings.mode: lexical -> dense" in differ.stdout
    assert _llar(home, "runs", "delete", "mine", "--cache").returncode == 0
    assert "mine" not in _llar(home, "runs", "list").stdout


def test_the_command_refuses_what_it_cannot_use(home: Path, tmp_path: Path) -> None:
    both = _llar(home, "retrieval")
    assert (both.returncode, "give either --questions FILE or --data DIR" in both.stderr) == (
        2,
        True,
    )
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "1", "question": "?", "documents": ["a"]}\n')
    none = _llar(home, "retrieval", "--questions", str(file))
    assert none.returncode == 1
    assert "there is no collection 'default'" in none.stderr
    step = _llar(home, "retrieval", "--questions", str(file), "--query", "nonsense")
    assert "there is no step 'nonsense'" in step.stderr


@pytest.mark.data
@pytest.mark.slow
def test_adi_is_what_a_separate_count_finds(installed: Path, data: Path) -> None:
    """Each query searched and counted here, without the package's measures and documents."""
    config = load({"query": "", "post": ""})
    found = read_beir(data / "retrieval" / "adi")
    with of_texts(config, found) as docs:
        report = evaluate_retrieval(docs, found)
    texts = data.parent  # the documents as files, indexed by another way
    folder = installed / "files"
    folder.mkdir()
    for line in (texts / "data" / "retrieval" / "adi" / "corpus.jsonl").read_text().splitlines():
        row = json.loads(line)
        (folder / f"{row['_id']}.txt").write_text(f"{row['title']}\n\n{row['text']}".strip())
    total = 0.0
    with llar.Collection("files", config=config) as files:
        files.add(folder)
        for question in found.questions:
            hits = files.search(question.question, k=100)
            ranked = list(dict.fromkeys(Path(h.document.path).stem for h in hits))[:10]
            dcg = sum(question.documents.get(d, 0) / math.log2(i + 2) for i, d in enumerate(ranked))
            ideal = sum(1 / math.log2(i + 2) for i in range(min(10, len(question.documents))))
            total += dcg / ideal
    assert report.measures["ndcg@10"].mean == pytest.approx(total / 35, abs=1e-9)
    assert report.measures["ndcg@10"].mean > 0.5
