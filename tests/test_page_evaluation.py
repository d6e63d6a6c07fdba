"""Evaluation on the page: sets that are reviewed, runs with the command line's figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import axe, browser, ready, sideways
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect
from shelf import TEXTS, Shelf, shelf

from llar.cli import cli
from llar.config import load
from llar.errors import EvaluationError
from llar.evaluate.diff import diff
from llar.evaluate.questions import Question, Span, read, write
from llar.evaluate.runs import find
from llar.evaluate.statistics import Difference
from llar.serve.history import History
from llar.serve.page.evaluation_parts import main_first, measure_name, verdict
from llar.serve.page.evaluation_sets import (
    as_unanswerable,
    decided,
    merged,
    taken_in,
    unknown,
    written,
)
from llar.serve.page.evaluation_start import changed
from llar.serve.page.lab_look import Settings
from llar.serve.page.words import words

__all__ = ["browser", "shelf"]

ASKED = (  # what is asked, the answer, and the sentence that says it
    ("How many days of annual leave do staff have?", "27", "staff/leave.md", "27 days of annual"),
    ("When are salaries paid?", "on the 28th", "staff/pay.md", "paid on the 28th"),
    ("When is the fire alarm tested?", "Mondays at ten", "safety/fire.md", "on Mondays at ten"),
    ("Who keeps the keys of the archive?", "the caretaker", "safety/keys.txt", "by the caretaker"),
    ("How many books may readers borrow?", "6", "library.txt", "borrow 6 books"),
    ("What does a stall cost?", "14 euros a day", "market.txt", "14 euros a day"),
)
FACT = Question("a", "Who?", ("Ana",), kind="fact")


# -- without a browser ---------------------------------------------------------------------


def test_decisions_of_a_reviewer() -> None:
    assert decided(FACT, "drop", "Who?", ["Ana"]) is None
    kept = decided(FACT, "keep", " Who is it? ", ["Ana", "", " Ana ", "Bea"])
    assert kept == replace(FACT, question="Who is it?", answers=("Ana", "Bea"), reviewed=True)
    assert decided(replace(FACT, reviewed=True), "later", "Who?", ["Ana"]).reviewed  # type: ignore[union-attr]
    assert not decided(replace(FACT, reviewed=True), "later", "Whom?", ["Ana"]).reviewed  # type: ignore[union-attr]
    for text, answers, why in [(" ", ["Ana"], "needs words"), ("Who?", [], "answer is missing")]:
        with pytest.raises(EvaluationError, match=why):
            decided(FACT, "keep", text, answers)
    none = as_unanswerable(FACT)
    assert (none.kind, none.answers, none.reviewed) == ("unanswerable", (), True)
    assert decided(none, "keep", "Who?", []) == none
    with pytest.raises(EvaluationError, match="has answers"):
        decided(none, "keep", "Who?", ["Ana"])
    labelled = Question("c", "Which?", kind="classification", label="leave")
    with pytest.raises(EvaluationError, match="needs its label"):
        decided(labelled, "keep", "Which?", [])
    assert decided(labelled, "keep", "Which?", [], "pay").label == "pay"  # type: ignore[union-attr]


def test_sets_are_joined_sent_and_written() -> None:
    same = replace(FACT, id="b")  # the same question under another name
    other = Question("c", "When?", ("now",))
    assert merged([FACT], [same, other, FACT]) == [FACT, other]
    assert taken_in("x.jsonl", written([FACT, other])) == (FACT, other)
    with pytest.raises(EvaluationError, match=r"^mine\.jsonl:1: ") as told:
        taken_in("mine.jsonl", b'{"id": "a"}\n')
    assert "/tmp" not in str(told.value)
    assert [unknown(q) for q in (FACT, Question("d", "Why?"), as_unanswerable(FACT))] == [
        False, True, False,
    ]  # fmt: skip


def test_only_changed_settings_are_told_a_run() -> None:
    config = load(env={})
    start = Settings.of(config)
    assert changed(config, start) == {}
    other = replace(start, mode="lexical", query=(), post=("rerank:late",))
    assert changed(config, other) == {"mode": "lexical", "query": "none", "post": "rerank:late"}


def test_what_a_difference_means() -> None:
    assert verdict(Difference(0.1, 0.01, 0.2, 0.01)) == "better"
    assert verdict(Difference(-0.1, -0.2, -0.01, 0.049)) == "worse"
    assert verdict(Difference(0.3, -0.1, 0.7, 0.05)) == "unclear"
    assert [measure_name(n) for n in ("ndcg@10", "exact_match", "rougeL")] == [
        "nDCG@10", "exact match", "ROUGE-L",
    ]  # fmt: skip
    assert main_first(["map", "f1", "ndcg@10"]) == ["ndcg@10", "f1", "map"]


# -- with a server -------------------------------------------------------------------------


def question_file(folder: Path, name: str, *, reviewed: bool = True) -> Path:
    """The questions as a file that can be imported."""
    made = []
    for n, (question, answer, path, quote) in enumerate(ASKED):
        start = TEXTS[path].index(quote)
        span = Span(path, start, start + len(quote), quote)
        made.append(Question(f"q{n}", question, (answer,), "fact", (span,), reviewed=reviewed))
    made.append(Question("q9", "What colour is the town hall?", kind="unanswerable", reviewed=True))
    file = folder / f"{name}.jsonl"
    write(file, made)
    return file


def imported(page: Page, file: Path) -> None:
    """Import a file as a set."""
    page.get_by_role("button", name="Import").click()
    page.locator(".q-dialog input[type=file]").set_input_files(file)
    expect(page.get_by_role("link", name=file.stem, exact=True)).to_be_visible()


def measured(page: Page, name: str, runs: int, mode: str = "") -> str:
    """Start a run and wait for it; returns its id."""
    page.get_by_role("button", name=f"Start a run with {name}", exact=True).click()
    dialog = page.get_by_role("dialog")
    if mode:
        dialog.get_by_label("Find by").click()
        page.get_by_role("option", name=mode, exact=True).click()
    dialog.get_by_role("button", name="Start a run").click()
    links = page.locator("table").get_by_role("link")
    expect(links).to_have_count(runs)
    return links.first.inner_text()


def on_command_line(shelf: Shelf, file: Path) -> Any:
    """What `llar evaluate retrieval` says of the same questions, measured afresh."""
    done = CliRunner().invoke(
        cli,
        ["evaluate", "retrieval", "--questions", str(file), "-c", "town", "--fresh", "--json"],
        env={"LLAR_HOME": str(shelf.config.home)},
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.slow
def test_runs_have_the_figures_of_the_command_line(
    shelf: Shelf, browser: Browser, tmp_path: Path
) -> None:
    file = question_file(tmp_path, "facts")
    with shelf.visit(browser, "/evaluation?collection=town", "eve") as page:
        imported(page, file)
        first = measured(page, "facts", 1)
        second = measured(page, "facts", 2, "words")
        assert axe(page) == []
        page.locator("tbody .q-checkbox").nth(1).click()  # the first run, then the second
        page.locator("tbody .q-checkbox").nth(0).click()
        page.get_by_role("button", name="Compare two runs").click()
        page.wait_for_url("**/evaluation/compare*")
        ready(page)
        a, b = find(shelf.config, first), find(shelf.config, second)
        expected = diff(a, b)
        d = expected.differences["ndcg@10"]
        row = page.get_by_role("table", name="B less A").first.get_by_role("row", name="nDCG@10")
        sign = "+" if d.mean > 0 else ""
        expect(row.locator("td").nth(0)).to_have_text(f"{sign}{d.mean:.4f}")
        expect(row.locator("td").nth(3)).to_have_text(f"{d.p:.4f}")
        picture = page.locator("figure img.k-light")
        expect(picture).to_be_visible()
        alt = picture.get_attribute("alt") or ""
        assert f"nDCG@10 {a.record['measures']['ndcg@10'][0]:.3f}" in alt
        assert page.evaluate("document.querySelector('figure img').naturalWidth") > 100
        assert axe(page) == []
        page.goto(f"{shelf.url}/evaluation/run/{first}")
        ready(page)
        figures = {}
        for line in page.get_by_role("table", name="Figures").first.locator("tbody tr").all():
            figures[line.locator("th").inner_text()] = line.locator("td").first.inner_text()
        page.get_by_role("button", name=ASKED[0][0]).click()
        expect(page.get_by_role("dialog")).to_contain_text("leave.md")
    said = on_command_line(shelf, file)
    names = [n for n in said["intervals"] if measure_name(n) in figures]
    assert {measure_name(n): f"{said[n]:.4f}" for n in names} == figures
    assert len(figures) == 10
    assert said["queries"] == len(ASKED)


@pytest.mark.slow
def test_a_set_is_reviewed(shelf: Shelf, browser: Browser, tmp_path: Path) -> None:
    file = question_file(tmp_path, "doubt", reviewed=False)
    stored = shelf.config.home / "questions" / "town" / "doubt.jsonl"
    with shelf.visit(browser, "/evaluation?collection=town", "eve") as page:
        imported(page, file)
        page.get_by_role("link", name="doubt", exact=True).click()
        page.wait_for_url("**/evaluation/set/town/doubt")
        ready(page)
        cards = page.locator(".k-question")
        expect(cards).to_have_count(len(ASKED))
        expect(cards.first.locator("mark")).to_have_text(ASKED[0][3])  # in the passage it is from
        assert axe(page) == []
        cards.first.get_by_label("Right answers").fill("27\n27 days")
        cards.first.get_by_role("button", name="Keep: ").click()
        expect(cards).to_have_count(len(ASKED) - 1)
        cards.first.get_by_role("button", name="Drop: ").click()
        expect(cards).to_have_count(len(ASKED) - 2)
        cards.first.get_by_role("button", name="Mark as unanswerable").click()
        expect(cards).to_have_count(len(ASKED) - 3)
        cards.first.get_by_label("Right answers").fill("")
        cards.first.get_by_role("button", name="Keep: ").click()
        expect(cards.first.get_by_role("alert")).to_contain_text("a right answer is missing")
        with page.expect_download() as download:
            page.get_by_role("button", name="Export").click()
        assert Path(download.value.path()).read_bytes() == stored.read_bytes()
    left = {q.id: q for q in read(stored).questions}
    assert list(left) == ["q0", "q2", "q3", "q4", "q5", "q9"]
    assert (left["q0"].answers, left["q0"].reviewed) == (("27", "27 days"), True)
    assert (left["q2"].kind, left["q2"].spans) == ("unanswerable", ())
    assert not left["q3"].reviewed


@pytest.mark.slow
def test_feedback_becomes_questions(shelf: Shelf, browser: Browser) -> None:
    rows = shelf.get("/api/collections/town/documents")["documents"]
    fire = next(row["id"] for row in rows if row["path"].endswith("fire.md"))
    quote = "The fire alarm is tested on Mondays at ten."
    start = TEXTS["safety/fire.md"].index(quote)
    cited = {"n": 1, "document": fire, "name": "Fire", "page": None, "start": start,
             "end": start + len(quote), "quote": quote}  # fmt: skip
    history = History(shelf.config)
    for question, verdict_, comment in (
        ("When is the alarm tested?", "up", ""),
        ("Who keeps the keys?", "down", "it named nobody"),
    ):
        talk = history.start("bob", question, "town", "fake:quote")
        turn = history.begin("bob", talk.id, question, "town", "fake:quote")
        history.keep(turn, {"text": f"{quote} [1]", "citations": [cited], "sentences": []}, "done")
        history.judge("bob", turn.id, verdict_, comment)  # type: ignore[arg-type]
    history.close()
    with shelf.visit(browser, "/evaluation?collection=town", "eve") as page:
        page.get_by_role("button", name="From feedback").click()
        expect(page.get_by_role("link", name="feedback", exact=True)).to_be_visible()
        page.get_by_role("button", name="Start a run with feedback").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("neither an answer nor its absence is known: 1")
        expect(dialog.get_by_role("button", name="Start a run")).to_be_disabled()
        dialog.get_by_role("button", name="Cancel").click()
    found = read(shelf.config.home / "questions" / "town" / "feedback.jsonl").questions
    assert [q.question for q in found] == ["When is the alarm tested?", "Who keeps the keys?"]
    assert found[0].answers == (quote,)
    assert (found[0].spans[0].start, found[0].spans[0].quote) == (start, quote)
    assert (found[1].answers, found[1].about["comment"]) == ((), "it named nobody")


@pytest.mark.slow
def test_questions_are_made_from_the_documents(shelf: Shelf, browser: Browser) -> None:
    with shelf.visit(browser, "/evaluation?collection=town", "ada") as page:
        page.get_by_role("button", name="Make from the documents").click()
        page.get_by_label("Name of the set").fill("own")
        page.get_by_label("How many").fill("3")
        page.get_by_label("Kinds").click()
        page.get_by_role("option", name="number").click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Make questions").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.goto(f"{shelf.url}/library")  # it goes on when one leaves
        page.goto(f"{shelf.url}/evaluation?collection=town")
        ready(page)
        job = page.locator(".k-job").filter(has_text="Making questions: own")
        expect(job).to_contain_text("Questions made: ")
        expect(page.get_by_role("heading", name="own", exact=True)).to_be_visible()
        job.get_by_role("link", name="own").click()
        page.wait_for_url("**/evaluation/set/town/own")
    made = read(shelf.config.home / "questions" / "town" / "own.jsonl").questions
    assert 1 <= len(made) <= 3
    texts = " ".join(TEXTS.values())
    assert all(q.kind == "number" and q.spans[0].quote in texts for q in made)


@pytest.mark.slow
def test_everybody_can_read_it(shelf: Shelf, browser: Browser) -> None:
    path = "/evaluation?collection=steps"
    with shelf.visit(browser, path, language="hu", dark=True, width=360) as page:
        expect(page.get_by_text(words("evaluation", "hu")("no_sets"))).to_be_visible()
        assert axe(page) == []
        assert sideways(page) == 0


@pytest.mark.slow
def test_readers_evaluate_nothing(shelf: Shelf, browser: Browser) -> None:
    with shelf.visit(browser, "/evaluation?collection=town", "bob") as page:
        expect(page.get_by_text("needs the right to edit a collection")).to_be_visible()
        assert page.get_by_role("button", name="Import").count() == 0
