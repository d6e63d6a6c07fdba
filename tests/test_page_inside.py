"""Look inside: worked numbers, the library's own numbers on the screen, branches, who sees what."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import axe, browser, sideways  # noqa: F401 - a fixture
from conftest import STORE
from playwright.sync_api import Browser, Locator, Page, expect
from town import Town, town  # noqa: F401 - a fixture

from llar.config import load
from llar.errors import ContextTooLong, EngineError, InsideError, ModelNotInstalled
from llar.inside.decoding import Settings
from llar.inside.generation import Distribution, Model, next_tokens, open_model, take
from llar.inside.tokens import installed as tokenizers_here
from llar.inside.tokens import tokenize, tokenizers
from llar.serve.page.inside_latest import Latest
from llar.serve.page.inside_looking import Stoppable, ask, compared, look
from llar.serve.page.inside_shown import percent, visible
from llar.serve.page.inside_tree import Tree
from llar.serve.steps import Steppers

TABS = ("tokens", "next", "steps", "methods", "map")
CHAT = "llamacpp:smollm2-135m-instruct"


class Five:
    """Five tokens, always with the probabilities .4 .3 .15 .1 .05; the last ends the text."""

    name, context, complete, hidden = "five", 100, True, False

    def tokens(self, text: str) -> list[int]:
        return [0] * len(text)

    def piece(self, token: int) -> bytes:
        return b"abcde"[token : token + 1]

    def ends(self, token: int) -> bool:
        return token == 4

    def next(
        self, beginnings: Sequence[Sequence[int]], *, states: bool = False
    ) -> list[Distribution]:
        return [Distribution(np.log([0.4, 0.3, 0.15, 0.1, 0.05])) for _ in beginnings]

    def states(self, ids: Sequence[int]) -> Any:
        raise InsideError("it has none")

    def close(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize(
    ("settings", "after", "held"),
    [
        (Settings(top_p=0.8), (0.4706, 0.3529, 0.1765, 0, 0), 0.85),
        (Settings(top_p=0.9), (0.4211, 0.3158, 0.1579, 0.1053, 0), 0.95),
        (Settings(min_p=0.3), (0.4706, 0.3529, 0.1765, 0, 0), 0.85),
        (Settings(top_k=2), (0.5714, 0.4286, 0, 0, 0), 0.7),
        (Settings(temperature=0), (1, 0, 0, 0, 0), 0.4),
        # squares .16 .09 .0225 .01 .0025 over their sum .285
        (Settings(temperature=0.5), (0.5614, 0.3158, 0.0789, 0.0351, 0.0088), 1.0),
    ],
)
def test_what_settings_keep_as_worked_by_hand(
    settings: Settings, after: tuple[float, ...], held: float
) -> None:
    told = look(Five(), [0], [], settings)
    assert [round(c.after, 4) for c in told.step.candidates] == list(after)
    assert [c.kept for c in told.step.candidates] == [p > 0 for p in after]
    assert told.held == pytest.approx(held)
    assert told.ends == {4}


def test_texts_that_cannot_be_looked_into() -> None:
    with pytest.raises(InsideError, match="empty"):
        ask(Five(), "")
    with pytest.raises(
        ContextTooLong, match="100 tokens; to be looked into it may have at most 99"
    ):
        ask(Five(), "x" * 100)


def test_a_comparison_that_nobody_waits_for_stops() -> None:
    stopped = threading.Event()
    model = Stoppable(Five(), stopped)
    assert compared(model, "x", ["greedy"], 3, 0)[0].text == "aaa"
    stopped.set()
    with pytest.raises(EngineError, match="stopped"):
        compared(model, "x", ["greedy"], 3, 0)


def test_the_tree_goes_back_and_branches() -> None:
    tree = Tree("I", [7])
    tree.take(1, " am", b" am", 0.5)
    tree.take(2, " here", b" here", 0.25)
    tree.back(1)
    other = tree.take(3, " there", b" there", 0.1)
    assert (tree.text, tree.written, tree.size) == ("I am there", [1, 3], 3)
    tree.back(1)
    assert tree.take(3, " there", b" there", 0.1) is other  # the one that was there
    assert tree.size == 3
    shown = [(line.depth, [n.number for n in line.nodes]) for line in tree.lines()]
    assert shown == [(0, [0, 1]), (1, [2]), (1, [3])]
    tree.back(0)
    assert (tree.text, tree.path) == ("I", [])
    with pytest.raises(IndexError):
        tree.back(-1)


def test_half_characters_stay_bytes_until_they_are_whole() -> None:
    tree = Tree("", [0])
    tree.take(1, "\\xc3", b"\xc3", 1.0)
    assert tree.text == "\\xc3"
    tree.take(2, "\\xa9", b"\xa9", 1.0)
    assert tree.text == "é"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (" the", "␣the"), ("\n\t", "⏎⇥"), ("l·l", "l·l"), ("", "∅"), ("\x07", "\\u0007"),
        ("\ufe0f", "\\ufe0f"), ("\u0301a", "◌\u0301a"), ("<b>", "<b>"),
    ],
)  # fmt: skip
def test_tokens_can_be_seen(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_shares_in_the_readers_language() -> None:
    assert (percent(0.4706, "en"), percent(0.4706, "hu")) == ("47.1%", "47,1%")
    assert percent(0.4706, "es") == "47,1\u00a0%"
    assert (percent(0, "en"), percent(0.00001234, "en")) == ("0.0%", "0.00123%")


def test_only_what_was_asked_last_is_done() -> None:
    done: list[int] = []
    asked = 0

    async def run() -> None:
        nonlocal asked
        gate = asyncio.Event()

        async def work() -> None:
            seen = asked
            await gate.wait()
            done.append(seen)

        latest = Latest(work)
        asked = 1
        first = asyncio.ensure_future(latest.ask())
        await asyncio.sleep(0)  # it begins; the others come while it runs
        for _ in range(4):
            asked += 1
            await latest.ask()
        gate.set()
        await first

    asyncio.run(run())
    assert done == [1, 5]


# --- the child process ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steppers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steppers]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    found = Steppers(load({"home": home}, env={}))
    yield found
    found.close()


@pytest.fixture(scope="module")
def local() -> Iterator[Model]:
    """The same model in this process, as the library has it."""
    model = open_model(load({"home": STORE.parent}, env={}), CHAT)
    yield model
    model.close()


@pytest.mark.slow
def test_a_killed_child_is_started_again(steppers: Steppers, local: Model) -> None:
    model = steppers.model(CHAT)
    first = next_tokens(model, "The capital of France is")
    np.testing.assert_array_equal(first.row, next_tokens(local, "The capital of France is").row)
    os.kill(steppers.status()[0].pid, signal.SIGKILL)
    again = next_tokens(model, "The capital of France is")
    np.testing.assert_array_equal(again.row, first.row)
    assert steppers.status()[0].restarts == 1
    with pytest.raises(InsideError, match="is no token"):  # the child's error, as it was raised
        next_tokens(model, [10**9])
    with pytest.raises(ModelNotInstalled):
        steppers.model("llamacpp:qwen3-4b")
    steppers.unload(CHAT)
    with pytest.raises(EngineError, match="unloaded meanwhile"):
        next_tokens(model, "hello")
    assert steppers.status() == []


@pytest.mark.slow
def test_a_model_that_nobody_looks_into_is_unloaded(installed: Path) -> None:
    steppers = Steppers(load({"home": installed, "idle_unload": 0.2}, env={}))
    steppers.model(CHAT)
    child = Path(f"/proc/{steppers.status()[0].pid}")
    for _ in range(300):
        if not steppers.status() and not child.exists():
            break
        threading.Event().wait(0.1)
    assert steppers.status() == []
    assert not child.exists()
    steppers.close()


# --- in the browser -------------------------------------------------------------------------------


def figures(page: Locator | Page) -> list[dict[str, str]]:
    """The rows of the table of candidates that is seen."""
    found: list[dict[str, str]] = page.locator(".t-choice:visible tbody tr").evaluate_all(
        """rows => rows.map(r => ({id: r.dataset.id, text: r.querySelector('.t-text').innerText,
        before: r.querySelectorAll('.t-figure')[0].innerText,
        after: r.querySelectorAll('.t-figure')[1].innerText,
        kept: r.querySelector('.t-kept').innerText}))"""
    )
    return found


def expected(model: Model, text: str, settings: Settings) -> list[dict[str, str]]:
    """The same by the library."""
    ids = model.tokens(text)
    step = take(model, next_tokens(model, ids), settings, prompt=ids, count=15)
    return [
        {
            "id": str(c.id), "text": c.text.replace(" ", "␣"), "before": f"{100 * c.before:.2f}%",
            "after": f"{100 * c.after:.2f}%" if c.kept else "–",
            "kept": "✓ kept" if c.kept else "✗ cut",
        }
        for c in step.candidates
    ]  # fmt: skip


@pytest.mark.slow
def test_next_tokens_as_one_types(browser: Browser, town: Town, local: Model) -> None:
    with town.visit(browser, "rea", "/inside?tab=next") as page:
        facts = page.locator("[data-part=facts]")
        expect(facts).to_contain_text("After 5 tokens: 49,152 of 49,152")
        assert figures(page) == expected(local, "The capital of France is", Settings())
        page.locator("textarea:visible").fill("One plus one is")
        expect(facts).to_contain_text("After 4 tokens")
        assert figures(page) == expected(local, "One plus one is", Settings())
        slider = page.locator("[data-part=top_k] [tabindex='0']")
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        expect(facts).to_contain_text(": 2 of 49,152")
        rows = figures(page)
        assert rows == expected(local, "One plus one is", Settings(top_k=2))
        before = [float(r["before"].rstrip("%")) for r in rows[:2]]
        after = [float(r["after"].rstrip("%")) for r in rows[:2]]
        # by hand: both shares over their sum; two digits are shown of each
        assert after == pytest.approx([100 * p / sum(before) for p in before], abs=0.05)
        page.locator("textarea:visible").fill("")
        expect(page.locator(".t-problem:visible")).to_contain_text("empty")


@pytest.mark.slow
def test_another_branch_is_picked_and_walked_back(
    browser: Browser,
    town: Town,
    local: Model,
) -> None:
    with town.visit(browser, "rea", "/inside?tab=steps") as page:
        written = page.locator("[data-part=written]")
        page.locator("textarea:visible").fill("The sky is")
        page.get_by_role("button", name="Begin here").click()
        expect(written).to_have_text("The sky is")
        page.get_by_role("button", name="Likeliest").click()
        first = next_tokens(local, "The sky is").best(3)
        expect(written).to_have_text("The sky is" + local.piece(first[0]).decode())
        page.get_by_role("button", name="One back").click()
        expect(written).to_have_text("The sky is")
        page.locator(f".t-choice:visible tr[data-id='{first[2]}'] button").click()
        other = "The sky is" + local.piece(first[2]).decode()
        expect(written).to_have_text(other)
        ids = [*local.tokens("The sky is"), first[2]]
        step = take(local, next_tokens(local, ids), Settings(), prompt=ids, count=15)
        assert [r["id"] for r in figures(page)] == [str(c.id) for c in step.candidates]
        # both ways are in the tree, and the first can be gone back to
        assert page.locator(".t-tree .t-line").count() == 3
        page.locator(".t-tree [data-node='1']").click()
        expect(written).to_have_text("The sky is" + local.piece(first[0]).decode())
        expect(page.locator(".t-tree [data-node='1']")).to_have_attribute("aria-current", "step")
        page.get_by_role("button", name="5 more").click()
        expect(page.locator(".t-tree .t-pick")).to_have_count(8)  # start, 2 ways, 5 more
        assert axe(page) == []


@pytest.mark.slow
def test_tokens_side_by_side(browser: Browser, town: Town) -> None:
    text = "Ön és l'avi: 20 €\n☂"
    with town.visit(browser, "rea", "/inside") as page:
        expect(page.locator("article[data-name]")).to_have_count(4)
        page.locator("textarea:visible").fill(text)
        used, _ = tokenizers(town.config, [*tokenizers_here(town.config), "word", "byte"])
        for name, tokenizer in used.items():
            card = page.locator(f"article[data-name='{name}']")
            told = tokenize(text, name, tokenizer)
            expect(card.locator("[data-figure=count]")).to_have_text(str(told.count))
            numbers = card.locator(".t-below").all_inner_texts()
            assert numbers == [str(token.id) for token in told.tokens]
        byte = page.locator("article[data-name=byte] .t-token.t-part")
        assert byte.count() == 2 + 2 + 3 + 3  # Ö, é, €, ☂ in UTF-8
        page.get_by_role("button", name="Compare languages").click()
        expect(page.locator("table")).to_contain_text("Hungarian")
        assert axe(page) == []


@pytest.mark.slow
def test_methods_write_what_the_library_writes(browser: Browser, town: Town, local: Model) -> None:
    with town.visit(browser, "rea", "/inside?tab=methods") as page:
        page.locator("textarea:visible").fill("The sea is")
        page.get_by_label("Tokens", exact=True).fill("5")
        page.get_by_role("button", name="Run").click()
        card = page.locator("article[data-method=greedy]")
        expect(card).to_be_visible(timeout=60_000)
        wrote = {
            each.method: each for each in compared(local, "The sea is", ["greedy", "top-p"], 5, 0)
        }
        for method, each in wrote.items():
            shown = page.locator(f"article[data-method={method}] .t-below").all_inner_texts()
            assert shown == [str(n) for n in each.ids]
        assert axe(page) == []


@pytest.mark.slow
def test_the_map_shows_only_what_one_may_read(browser: Browser, town: Town) -> None:
    for user, count, mayor in (("rea", 3, 0), ("ana", 4, 1)):
        with town.visit(browser, user, "/inside?tab=map") as page:
            if user == "ana":  # the first collection of two is drawn
                expect(page.locator("[data-part=map-facts]")).to_contain_text("passages")
            facts = page.locator("[data-part=map-facts]")
            expect(facts).to_contain_text(f"{count} passages in {count} groups")
            page.locator(".t-map[data-ready]").wait_for()
            page.locator("details summary").click()
            listed = page.locator(".t-map ol li")
            expect(listed).to_have_count(count)
            assert sum("99,000" in text for text in listed.all_inner_texts()) == mayor
            page.locator(".t-map canvas[role=application]").focus()
            page.keyboard.press("ArrowRight")
            said = page.locator("[data-map=said]")
            expect(said).to_have_text(re.compile("leave|fire|library|mayor"))
            assert user != "rea" or axe(page) == []
            page.keyboard.press("Enter")
            page.wait_for_url(re.compile(r"/document/minutes/\d+\?start=\d+&end=\d+"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "dark", "word"),
    [("es", True, "Por dentro"), ("hu", False, "Betekintés")],
)
def test_on_a_phone_in_every_language(
    browser: Browser,
    town: Town,
    language: str,
    dark: bool,
    word: str,
) -> None:
    how: dict[str, Any] = {"language": language, "dark": dark, "width": 360, "height": 740}
    with town.visit(browser, "rea", "/inside?tab=steps", **how) as page:
        expect(page.locator("h1")).to_have_text(word)
        expect(page.locator(".t-choice:visible tbody tr")).to_have_count(15)
        heights = "rows => rows.map((row) => row.getBoundingClientRect().height)"
        rows: list[float] = page.locator(".t-choice:visible .t-token").evaluate_all(heights)
        assert max(rows) < 40  # every token on one line
        assert sideways(page) == 0
        assert axe(page) == []
        seen = {"tokens": ".t-tokenized", "next": ".t-choice", "methods": ".t-card",
                "map": ".t-map[data-ready]"}  # fmt: skip
        for tab, part in seen.items() if language == "hu" else ():
            page.locator(".q-tab[role=tab]").nth(TABS.index(tab)).click()
            page.locator(f"{part}:visible").first.wait_for()
            assert sideways(page) == 0
