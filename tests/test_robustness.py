"""Answers among distracting and false passages, on small sets whose outcome is known."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from squad_part import first_articles

from llar import Collection, load_config
from llar.cli import cli
from llar.errors import EvaluationError
from llar.evaluate import questions as sets
from llar.evaluate.counterfactual import Falsifier, kind_of, other_number, says
from llar.evaluate.indexed import of_texts
from llar.evaluate.questions import Question, Span
from llar.evaluate.robustness import Case, Outcome, Robustness, measure_robustness
from llar.models.fake import FakeEmbedder

pytestmark = pytest.mark.slow

TOWNS = ("Arles", "Brest", "Cadiz", "Delft", "Eger", "Faro", "Gent", "Huesca", "Ibiza", "Jaca",
         "Kassel", "Lleida")  # fmt: skip


def _context(n: int) -> str:
    return (
        f"The museum of {TOWNS[n]} was opened in {1850 + 7 * n}. It shows {n + 3} old ships and "
        f"a model of the harbour of {TOWNS[n]}, and it is closed on Mondays."
    )


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    """Twelve contexts that are much alike, with a question each."""
    paragraphs = []
    for n, town in enumerate(TOWNS):
        text, answer = _context(n), str(1850 + 7 * n)
        paragraphs.append(
            {"context": text,
             "qas": [{"id": f"q{n}", "question": f"When was the museum of {town} opened?",
                      "answers": [{"text": answer, "answer_start": text.index(answer)}]}]}
        )  # fmt: skip
    file = tmp_path / "towns.json"
    table = {"version": "1.1", "data": [{"title": "Museums", "paragraphs": paragraphs}]}
    file.write_text(json.dumps(table))
    return file


@pytest.fixture
def measured(home: Path, squad: Path) -> Iterator[Robustness]:
    config = load_config({"chat_model": "fake:say:NOT FOUND", "embedder": "fake:hash"})
    with of_texts(config, sets.read(squad)) as docs:
        yield measure_robustness(docs, sets.read(squad), seed=1)


def _cases(measured: Robustness, test: str) -> list[Outcome]:
    return [o for o in measured.outcomes if o.case.test == test]


def test_noise_has_the_share_of_distracting_passages_asked_for(measured: Robustness) -> None:
    for level, distracting in ((0.0, 0), (0.2, 1), (0.4, 2), (0.6, 3), (0.8, 4)):
        rows = [o.case for o in _cases(measured, "noise") if o.case.level == level]
        assert len(rows) == 12
        for case in rows:
            gold = case.golds[0][0]
            held = [h for h in case.hits if says(h.content, [gold])]
            assert len(case.hits) == 5
            assert len(held) == 1
            assert [h.score for h in case.hits] == sorted(h.score for h in case.hits)[::-1]
            near = _near(measured, case.question.id)
            assert len(near & {h.chunk_id for h in case.hits}) >= distracting


def _near(measured: Robustness, name: str) -> set[int]:
    """The passages of the negative test: the five nearest without the answer."""
    (case,) = (o.case for o in _cases(measured, "rejection") if o.case.question.id == name)
    return {h.chunk_id for h in case.hits}


def test_rejection_shows_no_answer(measured: Robustness) -> None:
    cases = [o.case for o in _cases(measured, "rejection")]
    assert len(cases) == 12
    for case in cases:
        assert len(case.hits) == 5
        assert not any(says(h.content, case.golds[0]) for h in case.hits)


def test_what_stands_in_the_false_passage_is_said_and_cited(measured: Robustness) -> None:
    outcomes = _cases(measured, "false")
    assert len(outcomes) == 12
    for o in outcomes:
        true, false = o.case.golds[0][0], o.case.false
        texts = [h.chunk.text for h in o.case.hits]
        assert not any(says(t, [true]) for t in texts)
        assert sum(says(t, [false]) for t in texts) == 1
        assert len(false) == 4
        assert true != false
    follows, yes, of = measured.rates["false"]["follows"]
    # The quote of the best passage is the answer, so every answer is the false one, and cited.
    assert (follows.mean, yes, of) == (1.0, 12, 12)
    assert measured.rates["false"]["cited"][1] == 12
    assert measured.rates["false"]["true"][1] == 0


def test_both_passages_beside_each_other(measured: Robustness) -> None:
    for o in _cases(measured, "both"):
        texts = [h.chunk.text for h in o.case.hits]
        assert sum(says(t, o.case.golds[0]) for t in texts) == 1
        assert sum(says(t, [o.case.false]) for t in texts) == 1
    rates = measured.rates["both"]
    assert sum(rates[name][1] for name in ("follows", "true", "both", "abstained", "other")) == 12


def test_two_questions_are_joined_where_none_needs_two_passages(measured: Robustness) -> None:
    cases = [o.case for o in _cases(measured, "integration")]
    assert len(cases) == 6
    assert all(len(c.golds) == 2 and len(c.hits) == 5 for c in cases)
    assert "for integration two were asked as one" in " ".join(measured.notes)
    for case in cases:
        for group in case.golds:
            assert any(says(h.content, group) for h in case.hits)


def test_a_run_is_gone_on_with_and_the_same_again(home: Path, squad: Path) -> None:
    config = load_config({"chat_model": "fake:say:NOT FOUND", "embedder": "fake:hash"})
    with of_texts(config, sets.read(squad)) as docs:
        found = sets.read(squad)
        first = measure_robustness(docs, found, tests=["noise"], levels=[0.4], count=4, seed=2)
        again = measure_robustness(docs, found, tests=["noise"], levels=[0.4], count=4, seed=2)
        other = measure_robustness(docs, found, tests=["noise"], levels=[0.4], count=4, seed=3)
    assert again.run.id == first.run.id != other.run.id
    assert [o.case.id for o in first.outcomes] == [o.case.id for o in again.outcomes]
    assert {o.case.question.id for o in first.outcomes} != {
        o.case.question.id for o in other.outcomes
    }


def test_questions_that_need_two_passages(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(10):
        (folder / f"{TOWNS[n]}.txt").write_text(_context(n))
    spans = tuple(Span(f"{TOWNS[n]}.txt", 0, 40 + len(TOWNS[n]) - 5, "") for n in (0, 1))
    question = Question("m", "Which museum is older, that of Arles or that of Brest?", ("Arles",),
                        "multi-passage", spans)  # fmt: skip
    lost = replace(question, id="lost", spans=(spans[0], Span("gone.txt", 0, 5)))
    same = replace(question, id="same", spans=(spans[0], Span("Arles.txt", 5, 12)))
    found = sets.QuestionSet("own", "questions", (question, lost, same), "")
    config = load_config({"chat_model": "fake:say:NOT FOUND", "embedder": "fake:hash"})
    with Collection("towns", config=config) as docs:
        docs.add(folder)
        measured = measure_robustness(docs, found, tests=["integration"])
    (outcome,) = measured.outcomes
    assert len(outcome.case.places) == 2
    assert {h.document.path.rsplit("/")[-1] for h in outcome.case.hits} >= {
        "Arles.txt",
        "Brest.txt",
    }
    assert measured.invalid == {
        "integration": {"its place is not in the collection": 1, "one passage holds all of it": 1}
    }


def test_bad_settings_are_errors(home: Path, squad: Path) -> None:
    config = load_config({"chat_model": "fake:say:NOT FOUND", "embedder": "fake:hash"})
    found = sets.read(squad)
    with of_texts(config, found) as docs:
        with pytest.raises(EvaluationError, match="there is no test 'noisy'"):
            measure_robustness(docs, found, tests=["noisy"])  # type: ignore[list-item]
        with pytest.raises(EvaluationError, match="leaves no room"):
            measure_robustness(docs, found, levels=[0.95])
        few = replace(found, questions=tuple(replace(q, answers=()) for q in found.questions))
        with pytest.raises(EvaluationError, match="no question has an answer"):
            measure_robustness(docs, few)


def test_the_command(home: Path, squad: Path) -> None:
    call = ["--set", "chat_model=fake:say:NOT FOUND", "--set", "embedder=fake:hash", "evaluate",
            "robustness", "--questions", str(squad), "--count", "3"]  # fmt: skip
    found = json.loads(CliRunner().invoke(cli, [*call, "--json"], catch_exceptions=False).stdout)
    assert found["rates"]["noise 0.8"]["right"]["of"] == 3
    assert found["rates"]["rejection"]["abstained"]["of"] == 3
    shown = CliRunner().invoke(cli, [*call, "--examples"], catch_exceptions=False).stdout
    assert "noise 0.8" in shown
    assert "note: no question is of kind 'multi-passage'" in shown
    bad = CliRunner().invoke(cli, [*call, "--noise", "much"])
    assert "expected shares" in bad.output


@pytest.mark.data
@pytest.mark.slow
def test_real_questions(installed: Path, data: Path, tmp_path: Path) -> None:
    """With the quotes alone (no model): noise changes little, and without evidence it is silent."""
    found = sets.read(first_articles(data / "qa" / "xquad.en.json", 10, tmp_path))
    config = load_config({"chat_model": "fake:say:NOT FOUND"})
    with of_texts(config, found) as docs:
        measured = measure_robustness(docs, found, levels=(0.0, 0.8), count=12, seed=5)
    right = [measured.rates[f"noise {level}"]["right"][1] for level in ("0", "0.8")]
    assert right[0] - right[1] <= 1
    assert min(right) >= 6
    assert measured.rates["rejection"]["abstained"][1] >= 9
    of_false = measured.rates["false"]
    assert of_false["true"][1] == 0
    assert of_false["follows"][1] >= of_false["follows"][2] / 2
    for o in measured.outcomes:
        if o.follows and o.case.test == "false":
            assert o.cited


# -- false answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("1997", "number"), ("27 days", "number"), ("Nikola Tesla", "name"), ("a red car", "phrase"),
     ("Most western towns", "phrase"), ("the Treaty of Rome", "name"), ("Budapest", "name")],
)  # fmt: skip
def test_kinds_of_answers(answer: str, kind: str) -> None:
    assert kind_of(answer) == kind


def test_a_number_keeps_its_form() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        year = other_number("in 1997", chance)
        assert year.startswith("in ")
        assert 1 < abs(int(year[3:]) - 1997) <= 15
        price = other_number("1,250.50 euros", chance)
        assert [len(p) for p in price.removesuffix(" euros").replace(".", ",").split(",")] == [
            1,
            3,
            2,
        ]
        assert price[0] != "0"


def test_says_looks_for_whole_words() -> None:
    assert says("It was in Saint-Étienne, in 1997.", ["SAINT ÉTIENNE"])
    assert not says("They had 19970 of them", ["1997"])
    assert not says("", ["x"])
    assert not says("anything", ["", "…"])


def _hit(home: Path, tmp_path: Path, text: str) -> Case | object:
    file = tmp_path / "note.txt"
    file.write_text(text)
    config = load_config({"embedder": "fake:hash"})
    with Collection("one", config=config) as docs:
        docs.add(file)
        return docs.search("who designed the bridge")[0]


def test_a_passage_is_falsified_wherever_its_answer_stands(home: Path, tmp_path: Path) -> None:
    text = "Anna Kiss designed the bridge. The bridge of Anna  Kiss was opened by the mayor."
    hit = _hit(home, tmp_path, text)
    falsifier = Falsifier(["Anna Kiss", "Paul Nagy", "a mayor", "Anna Nagy"], FakeEmbedder(), 0)
    question = Question("q", "Who designed it?", ("Anna Kiss",), spans=(Span("note.txt", 0, 9),))
    made = falsifier.falsified(question, hit)  # type: ignore[arg-type]
    assert not isinstance(made, str)
    changed, false = made
    assert false == "Paul Nagy"  # the only other name without a word of this one
    assert changed.chunk.text.count("Paul Nagy") == 2
    assert "Kiss" not in changed.chunk.text
    assert changed.document.path.endswith("note.txt (false)")
    assert changed.chunk.end - changed.chunk.start == len(changed.chunk.text)
    why = falsifier.falsified(replace(question, question="Did Anna Kiss?"), hit)  # type: ignore[arg-type]
    assert why == "the answer stands in the question, title or headings as well"
    alone = Falsifier(["Anna Kiss"], FakeEmbedder(), 0)
    assert alone.falsified(question, hit) == "there is no other answer of its kind"  # type: ignore[arg-type]
