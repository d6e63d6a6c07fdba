"""The search lab: its numbers are the library's own, and its command finds the same."""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from browser import axe, browser, sideways
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect
from shelf import Shelf, shelf

from llar.answer.prompt import build
from llar.cli import cli
from llar.collection import Collection
from llar.config import load
from llar.errors import QueryError
from llar.models.interface import ChatModel
from llar.records import Step
from llar.retrieve import steps
from llar.serve.page.lab_look import Settings, _places, changes, grouped, look
from llar.serve.page.lab_steps import inner, options, score_name, told
from llar.serve.page.words import texts, words

__all__ = ["browser", "shelf"]

QUESTION = "When is the fire alarm tested?"
STEPS = Settings(k=5, query=(), post=("rerank:late",))


# -- without a browser ---------------------------------------------------------------------


def test_steps_inside_a_step_belong_to_it() -> None:
    names = ["prf", "words of the first passages", "single", "rerank", "late interaction"]
    found = grouped([Step(name, 1.0) for name in names], ["prf", "single", "rerank"])
    assert [(t.step.name, [s.name for s in t.inner]) for t in found] == [
        ("prf", ["words of the first passages"]),
        ("single", []),
        ("rerank", ["late interaction"]),
    ]


def test_places_say_how_far_a_passage_rose() -> None:
    def rows(*ids: int) -> list[dict[str, object]]:
        return [{"chunk_id": i, "score": 1.0, "parts": {}} for i in ids]

    before = _places(rows(7, 8, 9), None)
    after = _places(rows(9, 7, 5), before)
    assert [p.moved for p in before] == [None, None, None]
    assert [(p.chunk_id, p.moved) for p in after] == [(9, 2), (7, -1), (5, None)]


def test_the_command_says_what_is_not_configured() -> None:
    settings = Settings(k=3, mode="dense", post=("mmr:0.5",), filters=("year>=2023",))
    said = shlex.split(settings.command("what's new?", "town"))
    assert said[:3] == ["llar", "search", "what's new?"]
    assert said[said.index("--query") + 1] == "none"  # the configured steps must not come back
    assert said[said.index("--post") + 1] == "mmr:0.5"
    assert said[said.index("--filter") + 1] == "year>=2023"


@pytest.mark.parametrize("k", [0, 51])
def test_too_many_passages_are_refused(k: int) -> None:
    with pytest.raises(QueryError, match="k must be from 1 to 50"):
        Settings(k=k).check(load(env={}))


# -- steps in the reader's language --------------------------------------------------------


@cache
def trees() -> list[ast.Module]:
    """The code of retrieval."""
    return [ast.parse(file.read_text()) for file in Path(steps.__file__).parent.rglob("*.py")]


def on_record(call: str) -> set[str]:
    """The texts that the code of retrieval calls `call` with, or puts under that name; what is
    filled in stands as "{}"."""
    found = set()
    for tree in trees():
        for node in ast.walk(tree):
            part: ast.AST | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                part = node.args[0] if node.func.attr == call and node.args else None
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                stored = isinstance(node.ctx, ast.Store) and node.value.id == call
                part = node.slice if stored else None
            if isinstance(part, ast.Constant):
                found.add(str(part.value))
            if isinstance(part, ast.JoinedStr):
                found.add("".join(str(getattr(p, "value", "")) if isinstance(p, ast.Constant)
                                  else "{}" for p in part.values))  # fmt: skip
    return found


def test_every_step_has_a_name_and_a_line_in_every_language() -> None:
    for kind, names in steps.STEPS.items():
        for name in names:
            key = f"{kind}_{name.replace('-', '_')}"
            told = texts("lab")[f"does_{key}"]
            assert told["en"] == steps.StepName(kind, name).about()  # as its code says it
            assert len(set(told.values())) == 4, key
            assert texts("lab")[f"step_{key}"]["en"] == name


def test_every_step_inside_a_step_is_known() -> None:
    found = on_record("step")
    assert {"late interaction", "round {}"} <= found
    for name in found:
        text = name.replace("{}", "7")
        assert inner(words("lab", "hu"), text) != text or text == "WordNet" or "cross-" in text
        assert inner(words("lab", "en"), text) == text
    assert inner(words("lab", "es"), "round 2") == "vuelta 2"
    assert inner(words("lab", "ca"), "rerank:late") == "reordenar (rerank:late)"
    assert inner(words("lab", "ca"), "another's step") == "another's step"


def test_what_a_step_tells_is_named_in_every_language() -> None:
    found = on_record("about") - {"hits", "words", "text", "vector", "variants"}  # own ways
    assert len(found) > 30
    for key in found:
        assert f"told_{key.replace(' ', '_')}" in texts("lab"), key
    say = words("lab", "es")
    assert told(say, "new passages") == "pasajes nuevos"
    assert (score_name(say, "dense"), score_name(say, "mmr")) == ("significado", "variedad (MMR)")
    assert options(words("lab", "hu"), "post", ("order:edges",))["order:edges"] == (
        "sorrend (order:edges)"
    )


# -- with a server -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def town(shelf: Shelf) -> Iterator[Collection]:
    """The server's collection, opened here too: its model is loaded once."""
    with Collection("town", config=shelf.config) as found:
        yield found


def asked(page: Page, question: str, language: str = "en") -> None:
    """Ask and wait until everything is shown."""
    say = words("lab", language)
    page.get_by_label(say("question"), exact=True).fill(question)
    page.get_by_role("button", name=say("search"), exact=True).click()
    page.locator("table.k-budget").first.wait_for(state="attached")  # the last that is shown


def chosen(page: Page, label: str, *options: str) -> None:
    """Choose in a list, whatever was chosen before."""
    box = page.get_by_label(label, exact=True).first
    box.click()
    for option in options:
        page.get_by_role("option", name=option, exact=True).click()
    page.keyboard.press("Escape")


def column(page: Page, title: str) -> list[tuple[int, str]]:
    """A column's passages and scores as they are shown."""
    place = page.locator(".k-column").filter(has=page.get_by_role("heading", name=title))
    cards = place.first.locator(".k-hit")
    scores = place.first.locator(".k-score").all_inner_texts()
    ids = [int(card.get_attribute("data-chunk") or 0) for card in cards.all()]
    return list(zip(ids, [s.split(" · ")[0] for s in scores], strict=True))


@pytest.mark.slow
def test_its_numbers_are_those_of_explain(
    shelf: Shelf,
    town: Collection,
    browser: Browser,
    smollm: ChatModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = town.explain(QUESTION, k=5, query="none", post="rerank:late")
    fused = town.explain(QUESTION, k=5, query="none", post="none")
    lexical = town.explain(QUESTION, k=5, mode="lexical", query="none", post="none")
    dense = town.explain(QUESTION, k=5, mode="dense", query="none", post="none")
    prompt = build(QUESTION, found.hits, smollm, town.config)
    with shelf.visit(browser, "/lab?collection=town") as page:
        page.get_by_text("Settings", exact=True).first.click()
        page.get_by_label("Passages", exact=True).fill("5")
        chosen(page, "Before: rewrite the question", "prf-dense")  # was ticked, now is not
        chosen(page, "After: refine what was found", "rerank")
        asked(page, QUESTION)
        expected = [
            ("By words alone", lexical.hits),
            ("By meaning alone", dense.hits),
            ("Fused", fused.hits),
            ("rerank", found.hits),
        ]
        for title, hits in expected:
            assert column(page, title) == [(h.chunk_id, f"{h.score:.3f}") for h in hits], title
        table = page.get_by_role("table", name="What takes how much of the context")
        tokens = [
            int(t.replace(",", ""))
            for t in table.locator("tbody td:nth-child(2)").all_inner_texts()
        ]
        assert sum(tokens) == smollm.context
        assert sum(tokens[:-2]) == prompt.tokens  # but for the answer's room and what is free
        command = page.locator(".k-command code").inner_text()
        page.locator(".k-hit").first.click()
        expect(page.locator(".k-passage mark").first).to_be_visible()
    words_ = shlex.split(command)
    assert words_[0] == "llar"
    monkeypatch.setenv("LLAR_HOME", str(shelf.config.home))
    done = CliRunner().invoke(cli, [*words_[1:], "--json"], catch_exceptions=False)
    said = json.loads(done.stdout)["hits"]
    assert [h["chunk_id"] for h in said] == [h.chunk_id for h in found.hits]


@pytest.mark.slow
def test_two_settings_beside_each_other(shelf: Shelf, town: Collection, browser: Browser) -> None:
    a = look(town, QUESTION, Settings.of(town.config))
    b = look(town, QUESTION, replace(Settings.of(town.config), mode="lexical"))
    rows = changes(a, b)
    both = [r for r in rows if r.first and r.second]
    with shelf.visit(browser, "/lab?collection=town") as page:
        page.get_by_text("Settings", exact=True).first.click()
        page.get_by_role("switch", name="Compare with other settings").click()
        page.get_by_label("Find by", exact=True).nth(1).click()
        page.get_by_role("option", name="words", exact=True).click()
        asked(page, QUESTION)
        expect(page.get_by_text(f"{len(both)} are in both", exact=False)).to_be_visible()
        expect(page.get_by_role("heading", name="Settings A and B side by side")).to_be_visible()
        shown = column(page, "B")
        assert shown == [(h.chunk_id, f"{h.score:.3f}") for h in b.result.hits]
        assert axe(page) == []
        page.get_by_text("What the steps do").click()
        expect(page.get_by_text("(Rocchio)")).to_be_visible()
        page.get_by_label("Filters").first.fill("yeer>=2000")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.get_by_text("no document of 'town' has 'yeer'")).to_be_visible()


@pytest.mark.slow
def test_everybody_can_read_it(shelf: Shelf, browser: Browser) -> None:
    how = {"language": "hu", "dark": True, "width": 360}
    with shelf.visit(browser, "/lab?collection=town", "bob", **how) as page:
        asked(page, QUESTION, "hu")
        assert axe(page) == []
        assert sideways(page) == 0
        expect(page.get_by_role("heading", level=1)).to_have_text(words("frame", "hu")("lab"))
        expect(page.locator(".k-times th[scope=row]").first).to_have_text(
            "talált vektorok (prf-dense)"
        )


@pytest.mark.slow
def test_what_may_not_be_read_is_not_searched(shelf: Shelf, browser: Browser) -> None:
    with shelf.visit(browser, "/lab?collection=steps", "bob", language="es", width=360) as page:
        assert axe(page) == []
        assert sideways(page) == 0
        page.get_by_label("Colección", exact=True).click()
        expect(page.get_by_role("option")).to_have_text(["town"])
