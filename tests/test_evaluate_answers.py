"""`llar evaluate answers`: figures worked by hand, what is kept, and judges that talk nonsense."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from commands import command
from squad_part import first_articles

import llar
from llar.config import Config, load
from llar.errors import EvaluationError
from llar.evaluate.answers import MEASURES, Measured, evaluate_answers, said
from llar.evaluate.clock import Clock
from llar.evaluate.indexed import of_texts
from llar.evaluate.questions import Question, QuestionSet, Span, read
from llar.evaluate.stored import plain, restored
from llar.records import Answer, Message
from llar.retrieve import Result as Found

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> Config:
    return load({"embedder": "fake:hash", "chat_model": "fake:quote", "query": "", "post": ""})


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the collection, which each test gets a copy of."""
    home = tmp_path_factory.mktemp("indexed")
    folder = home / "files"
    folder.mkdir()
    (folder / "leave.txt").write_text("Staff have 27 days of annual leave. Leave is paid.")
    (folder / "fire.txt").write_text("The fire alarm is tested on Mondays.")
    config = load({"home": home, "embedder": "fake:hash"}, env={})
    with llar.Collection("c", config=config) as found:
        found.add(folder)
    return home


@pytest.fixture
def docs(config: Config, indexed: Path) -> Iterator[llar.Collection]:
    shutil.copytree(indexed / "collections", config.collections_dir)
    with llar.Collection("c", config=config) as found:
        yield found


ASKED = QuestionSet(
    "set",
    "questions",
    (
        Question(
            "leave",
            "How many days of annual leave have staff?",
            answers=("Staff have 27 days of annual leave.", "27 days"),
            spans=(Span("leave.txt", 11, 18, "27 days"),),
            kind="number",
        ),
        Question(
            "fire",
            "When is the fire alarm tested?",
            answers=("Mondays",),
            documents={"fire.txt": 1.0},
            kind="fact",
        ),
        Question("silent", "Who painted the Mona Lisa?", kind="unanswerable"),
    ),
    "hash",
)


def test_figures_by_hand(docs: llar.Collection) -> None:
    wanted = Measured(("overlap", "context", "citations", "abstention", "semscore", "faithfulness"))
    report = evaluate_answers(docs, ASKED, wanted)
    by_id = {r.id: r for r in report.results}
    answers = {i: restored(Answer, r.output) for i, r in by_id.items()}
    assert said(answers["leave"]) == "Staff have 27 days of annual leave."
    assert answers["silent"].abstained
    leave, fire, silent = (by_id[i].measures for i in ("leave", "fire", "silent"))
    assert (leave["exact_match"], leave["f1"], leave["rougeL"]) == (1.0, 1.0, 1.0)
    # "fire alarm is tested on mondays" without the article: one of six words is gold
    assert fire["f1"] == pytest.approx(2 * (1 / 6) * 1 / (1 / 6 + 1))
    assert (silent["exact_match"], silent["f1"]) == (1.0, 1.0)  # SQuAD 2: right to say nothing
    assert "bleu" not in silent
    assert leave["semscore"] == pytest.approx(1.0)
    assert (leave["context_recall"], fire["citation_recall"]) == (1.0, 1.0)
    assert leave["citation_precision"] == 1.0
    assert (leave["answered"], silent["abstention_recall"]) == (1.0, 1.0)
    assert silent["abstention_precision"] == 1.0
    assert report.shown["abstention_f1"] == 1.0
    assert report.measures["exact_match"].mean == pytest.approx(2 / 3)
    assert report.measures["answered"].mean == 1.0
    assert report.shown["corpus_bleu"] > 0
    assert list(report.by_kind) == ["fact", "number", "unanswerable"]
    assert report.by_kind["number"]["f1"] == 1.0
    assert list(report.measures)[:2] == ["exact_match", "f1"]


def test_an_abstention_on_what_is_there_is_seen(docs: llar.Collection) -> None:
    docs.index.remove([f.path for f in docs.index.files() if f.path.endswith("fire.txt")])
    report = evaluate_answers(docs, ASKED, Measured(("overlap", "citations", "abstention")))
    fire = next(r for r in report.results if r.id == "fire").measures
    assert (fire["answered"], fire["abstention_precision"], fire["f1"]) == (0.0, 0.0, 0.0)
    assert fire["citation_recall"] == 0.0
    assert "citation_precision" not in fire
    assert report.measures["abstention_precision"].mean == 0.5
    assert report.measures["abstention_recall"].mean == 1.0
    assert report.shown["abstention_f1"] == pytest.approx(2 * 0.5 / 1.5)
    assert "'fire.txt' is not in collection 'c'" in report.notes[0]


def test_other_measures_of_the_same_answers_ask_nothing_again(docs: llar.Collection) -> None:
    first = evaluate_answers(docs, ASKED, Measured(("overlap",)))
    assert first.reused == 0
    more = evaluate_answers(docs, ASKED, Measured(("overlap", "abstention")))
    assert more.reused == 3
    assert more.seconds == first.seconds
    assert more.overhead["share"] is None
    clock = Clock()
    again = evaluate_answers(docs, ASKED, Measured(("overlap",)), clock=clock)
    assert (again.run.id, clock.work_seconds) == (first.run.id, 0.0)
    assert again.measures == first.measures
    docs.config = replace(docs.config, passages=1)
    assert evaluate_answers(docs, ASKED, Measured(("overlap",))).reused == 0


def test_a_history_reaches_the_question(docs: llar.Collection) -> None:
    history = (
        Message("user", "How many days of annual leave have staff?"),
        Message("assistant", "Staff have 27 days of annual leave."),
    )
    asked = QuestionSet(
        "set", "questions", (Question("1", "Is it paid?", answers=("paid",), history=history),), "h"
    )
    report = evaluate_answers(docs, asked, Measured(("overlap",)))
    answer = restored(Answer, report.results[0].output)
    assert "annual leave" in answer.question


def test_a_judge_that_talks_nonsense_is_counted(docs: llar.Collection) -> None:
    everything = tuple(m for m in MEASURES if m != "semscore")
    wanted = Measured(everything, judge="fake:say:lovely", rubrics=("fluency",))
    report = evaluate_answers(docs, ASKED, wanted)
    invalid = report.shown["invalid"]
    # leave and fire have an answer; the fake model gives no probabilities, so it is sampled
    assert invalid["rubric_fluency"] == 2
    assert invalid["answer_relevance"] == 2 * 3
    assert invalid["judged_faithfulness"] == 2
    assert "rubric_fluency" not in report.measures
    assert "lovely" in report.results[0].about["invalid"]["rubric_fluency"]["reply"]
    assert json.dumps(report.as_json())


def test_a_judge_is_asked_once(docs: llar.Collection) -> None:
    rubric = Measured(("rubrics",), judge="fake:say:4", rubrics=("fluency",))
    first = evaluate_answers(docs, ASKED, rubric)
    assert first.measures["rubric_fluency"].mean == 4.0
    assert sum("rubric_fluency" in r.measures for r in first.results) == 2
    kept = [r.about["verdicts"] for r in first.results]
    more = Measured(("rubrics",), judge="fake:say:4", rubrics=("fluency", "relevance"))
    second = evaluate_answers(docs, ASKED, more)
    for before, result in zip(kept, second.results, strict=True):
        assert before.items() <= result.about["verdicts"].items()
    other = Measured(("rubrics",), judge="fake:say:2", rubrics=("fluency",))
    assert evaluate_answers(docs, ASKED, other).measures["rubric_fluency"].mean == 2.0


def test_what_cannot_be_measured_is_refused(docs: llar.Collection, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="there is no measure 'bluw' of answers"):
        Measured(("bluw",))
    with pytest.raises(EvaluationError, match="rubrics must be judged by a model"):
        Measured(("rubrics",))
    with pytest.raises(EvaluationError, match="there is no rubric"):
        evaluate_answers(docs, ASKED, Measured(("rubrics",), "fake:say:4", ("nonsense",)))


def test_cost_is_that_of_the_tokens(docs: llar.Collection) -> None:
    report = evaluate_answers(docs, ASKED, Measured(("overlap",), prices=(2.0, 10.0)))
    read_tokens, written = report.tokens
    assert read_tokens > 0
    assert report.shown["cost"] == pytest.approx((2 * read_tokens + 10 * written) / 1e6)


def test_an_answer_comes_back_as_it_was(docs: llar.Collection) -> None:
    answer = docs.ask("How many days of annual leave have staff?")
    text = json.dumps(plain(answer))
    assert replace(restored(Answer, json.loads(text)), steps=()) == replace(answer, steps=())
    found = docs.explain("alarm")
    assert restored(Found, plain(replace(found, steps=()))).hits == found.hits


def _llar(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = ["embedder=fake:hash", "chat_model=fake:quote", "query=", "post="]
    given = [x for s in settings for x in ("--set", s)]
    return command("--home", str(home), *given, "evaluate", "answers", *arguments)


def _squad(tmp_path: Path) -> Path:
    context = "Staff have 27 days of annual leave."
    qas = [
        {"id": "1", "question": "How many days of annual leave have staff?",
         "answers": [{"text": "27", "answer_start": 11}]},
        {"id": "2", "question": "Who painted it?", "answers": [], "is_impossible": True},
    ]  # fmt: skip
    file = tmp_path / "squad.json"
    paragraphs = [{"context": context, "qas": qas}]
    file.write_text(json.dumps({"version": "v2.0", "data": [{"paragraphs": paragraphs}]}))
    return file


@pytest.mark.slow
def test_the_command(home: Path, tmp_path: Path) -> None:
    file = str(_squad(tmp_path))
    done = _llar(home, "--questions", file, "--json", "--prices", "1:2")
    assert done.returncode == 0, done.stderr
    assert "squad: SQuAD 2 file, 2 questions with 1 documents" in done.stderr
    found = json.loads(done.stdout)
    assert found["abstention_recall"] == 1.0
    assert found["context_recall"] == 1.0
    assert found["tokens"]["read"] > 0
    assert found["models"]["chat"] == {"name": "fake:quote", "sha256": ""}
    shown = _llar(home, "--questions", file, "--judge", "fake:say:oh", "--rubric", "fluency")
    assert "rubric fluency: 1 replies" in shown.stdout.replace("_", " ")
    assert "exact match" in shown.stdout
    listed = _llar(home, "--list")
    assert "semscore *" in listed.stdout
    bad = _llar(home, "--questions", file, "--prices", "cheap")
    assert (bad.returncode, "expected READ:WRITTEN" in bad.stderr) == (2, True)


@pytest.mark.data
@pytest.mark.slow
def test_a_real_model_on_real_questions(installed: Path, data: Path, tmp_path: Path) -> None:
    found = read(first_articles(data / "qa" / "xquad.en.json", 3, tmp_path))
    few = replace(found, questions=found.questions[:2])
    config = load({"passages": 3, "max_answer_tokens": 60})
    with of_texts(config, few) as docs:
        report = evaluate_answers(docs, few)
        assert report.measures["context_recall"].mean > 0.6
        assert report.tokens[0] > 300
        assert 0 < report.measures["semscore"].mean <= 1
        share = report.overhead["share"]
        assert share is not None
        assert share < 0.2
        judged = evaluate_answers(
            docs, few, Measured(("rubrics",), config.chat_model, ("fluency",))
        )
    assert judged.reused == 2
    scored = [r.measures.get("rubric_fluency") for r in judged.results]
    invalid = judged.shown["invalid"].get("rubric_fluency", 0)
    given = [r for r in judged.results if said(restored(Answer, r.output))]
    assert sum(s is not None for s in scored) + invalid == len(given)
    assert all(1 <= s <= 5 for s in scored if s is not None)
