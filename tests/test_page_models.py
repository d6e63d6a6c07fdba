"""Models on the page: what is here and what it does, getting one, deleting one; and the advice."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_gguf
from browser import axe, browser, sideways  # noqa: F401 - a fixture
from conftest import STORE
from playwright.sync_api import Browser, expect
from town import Town, town  # noqa: F401 - a fixture

from llar.config import load
from llar.models import catalogue
from llar.models.store import Store
from llar.plan.advice.advise import advise
from llar.plan.advice.situation import situation
from llar.serve.page.advise_said import said
from llar.serve.page.models_fit import runs, this_machine
from llar.serve.page.models_here import Shelf, languages_text, resident

MINILM, SMOLLM = "ctranslate2:all-minilm-l6-v2", "llamacpp:smollm2-135m-instruct"


def test_what_this_machine_can_run(home: Path) -> None:
    config = load()
    machine = this_machine(config)
    found = runs(config, catalogue.models().values(), machine)
    assert set(found) == {m.full_name for m in catalogue.models().values()}
    small, large = found[SMOLLM], found["llamacpp:llama-3.3-70b-instruct"]
    assert small.verdict == "whole"
    # 134,515,008 parameters in Q4_1 (5 bits), and for each of the server's 4 slots 8,192 tokens of
    # 30 layers x 192 x 2 x 2 bytes
    assert small.needed > 134_515_008 * 5 / 8 + 4 * 8192 * 30 * 192 * 2 * 2
    assert (small.users, small.context) == (4, 8192)
    assert large.needed > 70e9 * 4 / 8
    assert (large.verdict == "whole") == (large.needed <= machine.usable_memory)


def test_the_shelf_tells_what_is_damaged(installed: Path, home: Path) -> None:
    (home / "models").unlink()
    shutil.copytree(STORE / "all-minilm-l6-v2", home / "models" / "all-minilm-l6-v2")
    (home / "models" / "all-minilm-l6-v2" / "tokenizer.json").write_text("{}")
    (home / "models" / ".partial" / "half").mkdir(parents=True)
    (home / "models" / ".partial" / "half" / "x").write_bytes(b"1234")
    shelf = Shelf.of(Store(home / "models"))
    assert shelf.good == ()
    assert "tokenizer.json has 2 bytes" in str(shelf.damaged["all-minilm-l6-v2"])
    assert shelf.unfinished == {"half": 4}


def test_languages_and_memory_for_people() -> None:
    assert languages_text(("en", "es"), "many") == "en es"
    assert languages_text(("*",), "many") == "many"
    assert languages_text((), "many") == "?"
    assert resident(2**22 + 1) == 0  # above Linux' largest process id


@pytest.mark.slow
def test_load_unload_verify(browser: Browser, town: Town) -> None:
    with town.visit(browser, "ana", "/models") as page:
        chat = page.locator(f"article[data-model='{SMOLLM}']")
        expect(chat).to_contain_text("8,192")
        card = page.locator(f"article[data-model='{MINILM}']")
        model = Store(town.config.models_dir).get(MINILM)
        expect(card).to_contain_text(f"{model.size / 2**20:.1f} MiB")
        expect(card).to_contain_text("Apache-2.0")
        digest = hashlib.sha256((model.folder / next(iter(model.files))).read_bytes()).hexdigest()
        card.get_by_text("Origin and checksums").click()
        expect(card).to_contain_text(digest)
        card.get_by_role("button", name="Load", exact=True).click()
        expect(card.locator("[data-state=loaded]")).to_be_visible(timeout=60_000)
        expect(card).to_contain_text(re.compile(r"0 of \d+ places busy, 0 waiting"))
        assert axe(page) == []
        card.get_by_role("button", name="Unload").click()
        expect(card.locator("[data-state=unloaded]")).to_be_visible()
        card.get_by_role("button", name="Verify").click()
        expect(page.get_by_text("every byte is as it should be")).to_be_visible(timeout=60_000)


@pytest.mark.slow
def test_get_a_model_from_this_machine_and_delete_it(
    browser: Browser, town: Town, tmp_path: Path
) -> None:
    words = {"model": "llama", "scores": [0.0, 0.0, 0.0]}
    copy = tiny_gguf.write(tmp_path / "fetched.gguf", ["<s>", "a", "b"], words)
    size = f"{copy.stat().st_size / 1024:.1f} KiB"
    store = town.config.models_dir
    own = town.config.home / "own-models"
    own.mkdir()
    for each in STORE.iterdir():  # the tests' store is everybody's: this one is written to
        if not each.name.startswith("."):
            (own / each.name).symlink_to(each)
    store.unlink()
    own.rename(store)
    with town.visit(browser, "ana", "/models") as page:
        page.locator("input[data-part=what]").fill("qwen3-4bb")
        page.get_by_role("button", name="Get", exact=True).first.click()
        page.get_by_role("dialog").get_by_role("button", name="Get").click()
        job = page.locator("[data-job=qwen3-4bb]")
        expect(job).to_contain_text("there is no model 'qwen3-4bb'; did you mean")
        page.locator("input[data-part=what]").fill(f"file:{copy}")
        page.get_by_role("button", name="Get", exact=True).first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("the only thing llar does that leaves this machine")
        dialog.get_by_role("button", name="Get").click()
        card = page.locator("article[data-model='llamacpp:fetched']")
        expect(card).to_be_visible(timeout=60_000)
        assert (store / "fetched" / "fetched.gguf").is_file()
        card.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("dialog")).to_contain_text(f"fetched.gguf ({size})")
        page.locator(".k-confirm").click()
        expect(card).to_have_count(0)
        assert not (store / "fetched").exists()
        # a collection's embedder is not deleted without a word
        page.locator(f"article[data-model='{MINILM}'] [data-do=remove]").click()
        expect(page.get_by_role("dialog")).to_contain_text("The collection minutes needs it")
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()


@pytest.mark.slow
def test_a_reader_sees_but_changes_nothing(browser: Browser, town: Town) -> None:
    how: dict[str, Any] = {"language": "ca", "dark": True, "width": 360, "height": 740}
    with town.visit(browser, "rea", "/models", **how) as page:
        expect(page.locator("article[data-model]")).to_have_count(2)
        assert page.locator("[data-do], input[data-part=what]").count() == 0
        expect(page.locator("tr[data-model]")).to_have_count(len(catalogue.models()))
        assert page.locator("tr[data-model] button").count() == 0
        assert sideways(page) == 0
        assert axe(page) == []
        page.get_by_label("Cerca").fill("70b")
        expect(page.locator("tr[data-model]")).to_have_count(1)


@pytest.mark.slow
def test_the_advice_is_the_librarys(browser: Browser, town: Town) -> None:
    with town.visit(browser, "rea", "/advise", language="hu", width=360, height=740) as page:
        page.locator("input[data-question=users]").fill("0")
        page.locator("[data-part=advise]").click()
        expect(page.locator("[role=alert]:visible")).to_contain_text("expected 1 to")
        page.locator("input[data-question=users]").fill("30")
        page.locator("[data-part=advise]").click()
        asked = situation(
            {"data": "internal", "users": "30", "languages": "en", "hardware": "this"}
        )
        told = advise(town.config, asked)
        expect(page.locator(".t-headline")).to_have_text(said(told.headline, "hu"))
        for figure in told.figures:
            expect(page.locator("#content")).to_contain_text(said(figure.formula, "hu"))
        assert sideways(page) == 0
        assert axe(page) == []
        with page.expect_download() as saved:
            page.get_by_role("button", name="Mentés Markdownként").click()
        assert told.headline[:40] in Path(saved.value.path()).read_text().replace("\\", "")
