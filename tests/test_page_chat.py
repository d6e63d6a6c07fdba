"""The chat and the documents behind it, as people use them: a real browser, a real server."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import axe, browser, ready, sideways
from conftest import STORE
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as Late
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from running import running
from served import Served, sessions

from llar.config import load
from llar.serve.accounts import Accounts
from llar.serve.history import History
from llar.serve.page.words import words

__all__ = ["browser"]
pytestmark = pytest.mark.slow

CUPBOARD = "The night nurse opens the medicine cupboard at nine."
QUESTION = "When does the night nurse open the medicine cupboard?"
PLACE = (72.0, 300.0)  # of that line on page 2, from the top left, in points
FONT = ("Helvetica", 10)


class Town(Served):
    """A server with users: ada (admin), eva (may edit "clinic") and bob (may read nothing)."""

    def post(self, user: str, path: str, **body: Any) -> None:
        """Send something as this user's page would."""
        headers = {"Origin": self.url}
        cookies = {"llar_session": self.tokens[user]}
        answer = httpx.post(f"{self.url}{path}", cookies=cookies, headers=headers, **body)
        assert answer.is_success, answer.text

    def documents(self) -> dict[str, int]:
        """Those of "clinic": name -> number."""
        rows = self.answer("/api/collections/clinic/documents", "eva").json()["documents"]
        return {row["name"]: row["id"] for row in rows}

    def visit(
        self, browser: Browser, path: str, user: str = "eva", **how: Any
    ) -> AbstractContextManager[Page]:
        """A page as that user sees it."""
        return self.seen(browser, path, user, **how)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("town")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    (home / "llar.toml").write_text('embedder = "fake:hash"\nchat_model = "fake:quote"\n')
    config = load({"home": home}, env={})
    accounts = Accounts(config)
    for name, role in (("ada", "admin"), ("eva", "editor"), ("bob", "reader")):
        accounts.add_user(name, role=role)
    tokens = sessions(accounts, "ada", "eva", "bob")
    with running(home, env={"LLAR_THREADS": "1"}) as server:
        town = Town(server.url, config, tokens)
        town.post("ada", "/api/collections", json={"name": "clinic"})
        accounts.grant("clinic", ["user:eva"], "editor")
        accounts.close()
        files = [
            ("file", ("night.pdf", night_pdf())),
            ("file", ("visits.md", b"# Visits\n\n## Hours\n\nVisitors are welcome from three.\n")),
        ]
        town.post("eva", "/api/collections/clinic/upload", files=files)
        end = time.monotonic() + 60
        while len(town.documents()) < 2:
            assert time.monotonic() < end, "the files are not indexed"
            time.sleep(0.05)
        yield town


def night_pdf() -> bytes:
    """Two pages; the second has the passage at PLACE, in FONT."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    canvas.setTitle("Night shift")
    canvas.setFont(*FONT)
    canvas.drawString(72, 700, "The ward is cleaned by the morning team.")
    canvas.showPage()
    canvas.setFont(*FONT)
    canvas.drawString(72, 700, "Lamps in the corridor stay dimmed.")
    canvas.drawString(PLACE[0], A4[1] - PLACE[1], CUPBOARD)
    canvas.save()
    return out.getvalue()


def ask(page: Page, question: str) -> None:
    """Type a question and send it; wait until it is answered."""
    before = page.locator("article").count()
    box = page.get_by_role("textbox", name="Your question")
    box.fill(question)
    box.press("Enter")
    expect(page.locator("article")).to_have_count(before + 1)
    expect(page.locator("article").last.locator(".l-actions")).to_be_visible()


@pytest.fixture(scope="module")
def talk(town: Town, browser: Browser) -> str:
    """The path of a conversation of eva's: an answer, and one that was not found."""
    with town.visit(browser, "/chat") as page:
        ask(page, QUESTION)
        ask(page, "Who won the chess olympiad of 1972?")
        return page.url.removeprefix(town.url)


def test_a_citation_opens_the_page_with_the_passage_marked(
    town: Town, browser: Browser, talk: str
) -> None:
    with town.visit(browser, talk) as page:
        answered = page.locator("article").first
        expect(answered.locator(".l-sentence")).to_contain_text(CUPBOARD)
        expect(answered.locator(".l-not-found")).to_have_count(0)
        side = open_source(page, "Source 1: Night shift")
        expect(side.locator("mark")).to_have_text(CUPBOARD)
        expect(side.get_by_text("Page 2 of 2")).to_be_visible()
        box = side.locator(".l-box")
        expect(box).to_have_count(1)
        picture = side.locator("img.l-picture-page")
        page.wait_for_function("document.querySelector('img.l-picture-page').complete")
        here, whole = box.bounding_box(), picture.bounding_box()
        assert here
        assert whole
        left, right = PLACE[0] / A4[0], (PLACE[0] + stringWidth(CUPBOARD, *FONT)) / A4[0]
        assert (here["x"] - whole["x"]) / whole["width"] == pytest.approx(left, abs=0.006)
        end = here["x"] + here["width"] - whole["x"]
        assert end / whole["width"] == pytest.approx(right, abs=0.006)
        top = (here["y"] - whole["y"]) / whole["height"]
        bottom = top + here["height"] / whole["height"]
        assert top < (PLACE[1] - 4) / A4[1] < bottom  # the middle of the letters
        assert bottom - top < 20 / A4[1]  # and not much more than the line
        shot = Image.open(io.BytesIO(box.screenshot())).convert("RGB")
        raw = shot.tobytes()
        pixels = list(zip(raw[0::3], raw[1::3], raw[2::3], strict=True))
        yellow = sum(r > 230 and 180 < g < 235 and b < 130 for r, g, b in pixels) / len(pixels)
        ink = sum(r < 110 and g < 110 and b < 90 for r, g, b in pixels) / len(pixels)
        assert yellow > 0.5
        assert ink > 0.02  # the letters are seen through the mark
        assert axe(page) == []
        page.keyboard.press("Escape")
        expect(side).to_have_count(0)
        expect(page.locator("a.l-cite").first).to_be_focused()
        address = page.locator("a.l-cite").first.get_attribute("href") or ""
    assert re.search(r"^/document/clinic/\d+\?page=2&start=\d+&end=\d+$", address)
    with town.visit(browser, address) as page:
        expect(page.locator("mark")).to_have_text(CUPBOARD)
        page.get_by_role("button", name="Previous page").click()
        expect(page.get_by_text("Page 1 of 2")).to_be_visible()
        expect(page.locator(".l-page-text")).to_contain_text("cleaned by the morning team")
        expect(page.locator("mark, .l-box")).to_have_count(0)
        with page.expect_download() as saved:
            page.get_by_role("link", name="Download the original").click()
        assert Path(saved.value.path()).read_bytes() == night_pdf()
        assert saved.value.suggested_filename == "night.pdf"


def test_a_second_user_sees_none_of_it(town: Town, browser: Browser, talk: str) -> None:
    number = town.documents()["night.pdf"]
    for path in (f"/document/clinic/{number}/page/1.png", f"/document/clinic/{number}/original"):
        assert town.answer(path, "eva").status_code == 200
        refused, unknown = (
            town.answer(path, "bob"),
            town.answer(path.replace("clinic", "nix"), "bob"),
        )
        assert refused.status_code == unknown.status_code == 404
        assert refused.text.replace("clinic", "nix") == unknown.text
    page = town.answer(f"/document/clinic/{number}", "bob")
    assert page.status_code == 404
    assert "there is no collection" in page.text
    assert town.answer(talk, "eva").status_code == 200
    other = town.answer(talk, "bob")
    assert other.status_code == 404
    assert CUPBOARD not in other.text
    assert "cupboard" not in town.answer("/chat", "bob").text
    nobody = httpx.get(f"{town.url}{talk}", headers={"Accept": "text/html"})
    assert nobody.status_code == 303  # to the sign-in


def test_reload_keeps_the_conversation(town: Town, browser: Browser, talk: str) -> None:
    with town.visit(browser, talk) as page:
        expect(page.locator("article")).to_have_count(2)
        page.reload()
        ready(page)
        first, second = page.locator("article").all()
        expect(first.locator(".l-sentence")).to_contain_text(CUPBOARD)
        expect(second.locator(".l-not-found")).to_contain_text("Not found in these documents")
        expect(second.locator(".l-sentence")).to_have_count(0)
        assert second.locator(".l-not-found a.l-passage").count() > 0  # the nearest passages
        expect(page.locator(".l-conversation-link[aria-current]")).to_have_text(QUESTION)
        first.get_by_role("button", name="Copy the answer").click()
        expect(page.get_by_text("Copied")).to_be_visible()


def test_what_is_typed_survives_a_reload_until_it_is_asked(town: Town, browser: Browser) -> None:
    with town.visit(browser, "/chat") as page:
        box = page.get_by_label("Your question")
        box.fill("Where is the key?")
        page.reload()
        ready(page)
        expect(box).to_have_value("Where is the key?")
        box.press("Enter")
        page.locator("article .l-actions").wait_for()
        expect(page.locator(".l-question")).to_contain_text("Where is the key?")
        page.reload()
        ready(page)
        page.locator("article .l-actions").wait_for()
        expect(box).to_have_value("")


def test_an_address_of_nothing_is_told_in_the_readers_language(
    town: Town, browser: Browser
) -> None:
    context = browser.new_context(locale="hu")
    context.add_cookies(town.cookies("eva"))
    page = context.new_page()
    nothing, gone = "Ezen a címen nincs semmi.", "Ez nem létezik"
    for address, said in {
        "/document/clinic/first": nothing,
        "/nowhere": nothing,
        "/chat/nothing": gone,
    }.items():
        answer = page.goto(town.url + address)
        assert answer is not None
        assert answer.status == 404
        expect(page.locator(".l-problem")).to_contain_text(said)
        expect(page.get_by_role("link", name="Vissza a csevegéshez")).to_be_visible()
        if address != "/nowhere":  # the page before is the same
            assert axe(page) == []
    context.close()


def test_an_answer_goes_on_while_the_page_is_reloaded_until_it_is_stopped(
    town: Town, browser: Browser
) -> None:
    with town.visit(browser, "/chat") as page:
        page.get_by_role("link", name="New conversation").click()
        ready(page)
        choose(page, "Documents", "None: the model alone")
        choose(page, "Model", "smollm2-135m-instruct")
        page.get_by_role("textbox", name="Your question").fill("Write a very long story.")
        page.keyboard.press("Enter")
        growing = page.locator(".l-growing")
        expect(growing).to_contain_text(re.compile(r"\w+ \w+ \w+ \w+"), timeout=60_000)
        page.reload()
        ready(page)
        expect(growing).to_contain_text(re.compile(r"\w+ \w+"))
        length = len(growing.inner_text())
        page.wait_for_function(
            "n => (document.querySelector('.l-growing')?.innerText.length ?? 1e9) > n", arg=length
        )
        page.keyboard.press("Escape")
        expect(page.get_by_text("Stopped.", exact=False)).to_be_visible()
        expect(page.get_by_text("From the model alone.", exact=False)).to_be_visible()
        said = page.locator(".l-written").inner_text()
        assert len(said) > 20
        expect(page.get_by_role("button", name="Send the question")).to_be_visible()
        page.reload()
        ready(page)
        assert page.locator(".l-written").inner_text() == said


def open_source(page: Page, name: str) -> Locator:
    """Press the number of a source; what opens beside the chat.

    Pressed again where nothing opens: a page that is still scrolling to its end, or closing what
    was above the number, moves it away from under the mouse.
    """
    side = page.get_by_role("dialog")
    for _ in range(2):
        page.get_by_role("link", name=name).click()
        with suppress(Late):
            side.wait_for(timeout=5_000)
            break
    return side


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def test_changing_judging_searching_exporting_deleting(town: Town, browser: Browser) -> None:
    with town.visit(browser, "/chat") as page:
        choose(page, "Documents", "clinic")
        choose(page, "Model", "quote")
        ask(page, "From when are visitors welcome?")
        ask(page, "Who cleans the ward?")
        first = page.locator("article").first
        first.hover()
        first.get_by_role("button", name="Change the question").click()
        first.get_by_role("textbox", name="Change the question").fill("When are visitors welcome?")
        first.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("article")).to_have_count(1)
        expect(page.locator(".l-question")).to_contain_text("When are visitors")
        expect(page.locator(".l-sentence")).to_contain_text("Visitors are welcome from three.")
        page.get_by_role("button", name="Bad answer").click()
        page.get_by_label("What is good or wrong about it?").fill("It closes at five.")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Bad answer")).to_have_attribute(
            "aria-pressed", "true"
        )
        open_source(page, "Source 1: Visits")  # no pages: text alone
        expect(page.locator("mark")).to_have_text("Visitors are welcome from three.")
        page.get_by_role("button", name="Close").click()
        search = page.get_by_label("Search in your conversations")
        search.fill("VISITORS three")
        expect(page.locator(".l-conversation")).to_have_count(1)
        page.get_by_role("button", name="Options of").click()
        page.get_by_role("menuitem", name="Rename").click()
        page.get_by_label("Name").fill("Látogatók")
        page.keyboard.press("Enter")
        expect(page.locator(".l-conversation-link")).to_have_text("Látogatók")
        search.fill("latogatok")
        expect(page.locator(".l-conversation")).to_have_count(1)
        files = {}
        for kind in ("Markdown", "PDF"):
            page.get_by_role("button", name="Options of").click()
            with page.expect_download() as saved:
                page.get_by_role("menuitem", name=f"Export as {kind}").click()
            files[saved.value.suggested_filename] = Path(saved.value.path()).read_bytes()
        assert set(files) == {"Látogatók.md", "Látogatók.pdf"}
        assert "Visitors are welcome from three. [1]" in files["Látogatók.md"].decode()
        assert files["Látogatók.pdf"].startswith(b"%PDF")
        page.get_by_role("button", name="Options of").click()
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.wait_for_url("**/chat")
    history = History(town.config)
    (judged,) = history.feedback("clinic")
    assert (judged.user, judged.verdict, judged.comment) == ("eva", "down", "It closes at five.")
    assert [s["quote"] for s in judged.sources] == ["Visitors are welcome from three."]
    assert "Látogatók" not in [c.title for c in history.conversations("eva")]
    history.close()


def test_with_the_keyboard_alone(town: Town, browser: Browser) -> None:
    with town.visit(browser, f"/document/clinic/{town.documents()['visits.md']}") as page:
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        expect(skip).to_be_focused()
        assert skip.evaluate("e => getComputedStyle(e).position") == "fixed"  # it is seen now
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("!!document.activeElement.closest('main')")
    with town.visit(browser, "/chat") as page:
        expect(page.get_by_role("textbox", name="Your question")).to_be_focused()
        choose(page, "Model", "quote")
        box = page.get_by_role("textbox", name="Your question")
        box.focus()
        page.keyboard.type("From when are")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("visitors welcome?")
        expect(box).to_have_value("From when are\nvisitors welcome?")
        page.keyboard.press("Enter")
        expect(page.locator(".l-sentence")).to_contain_text("Visitors are welcome from three.")
        page.locator("article .l-actions").wait_for()
        expect(box).to_be_focused()
        for _ in range(20):
            page.keyboard.press("Shift+Tab")
            if page.evaluate("document.activeElement.matches('a.l-cite')"):
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").locator("mark")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator("a.l-cite").first).to_be_focused()


@pytest.fixture(scope="module")
def long_talk(town: Town) -> Iterator[tuple[str, list[int]]]:
    """The path of a conversation of bob's with 28 questions, and their numbers."""
    history = History(town.config)
    talk = history.start("bob", "A long talk", "", "fake:quote")
    numbers = []
    for place in range(1, 29):
        question = "Who keeps the brass trumpet?" if place == 2 else f"What is number {place}?"
        turn = history.begin("bob", talk.id, question, "", "fake:quote")
        text = f"It is the number after {place - 1}."
        history.keep(turn, {"plain": True, "text": text, "sentences": []}, "done")
        numbers.append(turn.id)
    yield f"/chat/{talk.id}", numbers
    history.close()


def shown(page: Page) -> list[int]:
    """The numbers of the turns on the page, from above."""
    return [int(n) for n in page.locator("article").evaluate_all("a => a.map(e => e.dataset.turn)")]


def test_a_long_conversation_shows_its_end_first(
    town: Town, browser: Browser, long_talk: tuple[str, list[int]]
) -> None:
    path, numbers = long_talk
    with town.visit(browser, path, "bob") as page:
        assert shown(page) == numbers[-6:]
        expect(page.locator("article").last).to_be_in_viewport()
        button = page.get_by_role("button", name="Show 20 earlier questions")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.locator("article")).to_have_count(26)
        expect(page.locator(f"[data-turn='{numbers[-7]}'] h2")).to_be_focused()
        expect(page.locator(f"[data-turn='{numbers[-7]}'] h2")).to_be_in_viewport()
        assert shown(page) == numbers[-26:]
        page.get_by_role("button", name="Show 2 earlier questions").click()
        expect(page.locator("article")).to_have_count(28)
        expect(page.locator(".l-earlier button")).to_have_count(0)
        assert shown(page) == numbers
        assert axe(page) == []
        page.get_by_role("button", name="Options of").click()
        with page.expect_download() as saved:
            page.get_by_role("menuitem", name="Export as Markdown").click()
        text = Path(saved.value.path()).read_text()
        assert re.findall(r"the number after (\d+)", text) == [str(n) for n in range(28)]


def test_a_search_leads_to_an_early_question(
    town: Town, browser: Browser, long_talk: tuple[str, list[int]]
) -> None:
    path, numbers = long_talk
    with town.visit(browser, path, "bob") as page:
        page.get_by_label("Search in your conversations").fill("brass trumpet")
        link = page.locator(".l-conversation-link")
        expect(link).to_have_attribute("href", f"{path}?turn={numbers[1]}")
        link.click()
        page.wait_for_url("**?turn=*")
        found = page.locator(f"[data-turn='{numbers[1]}'] h2")
        expect(found).to_be_focused()
        expect(found).to_be_in_viewport()
        expect(found).to_contain_text("Who keeps the brass trumpet?")
        assert shown(page) == numbers  # with all that follows
    with town.visit(browser, f"{path}?turn=1000000", "bob") as page:
        expect(page.get_by_text("That question is no longer in the conversation.")).to_be_visible()
        expect(page.locator("article").last).to_be_in_viewport()


@pytest.mark.parametrize(
    ("language", "dark", "width"),
    [("en", False, 1280), ("es", True, 360), ("ca", False, 360), ("hu", True, 1280)],
)
def test_every_language_light_and_dark_wide_and_narrow(
    town: Town, browser: Browser, talk: str, language: str, dark: bool, width: int
) -> None:
    """The chat is judged by axe in the first two, the document in the others."""
    say, frame = words("chat", language), words("frame", language)
    look: dict[str, Any] = {"language": language, "dark": dark, "width": width}
    with town.visit(browser, talk, **look) as page:
        assert page.evaluate("document.documentElement.lang").split("-")[0] == language
        assert page.title() == f"{frame('chat')} · llar"
        expect(page.get_by_role("button", name=say("send"))).to_be_visible()
        expect(page.locator(".l-not-found h3")).to_have_text(say("not_found"))
        background = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        assert (background == "rgb(25, 20, 17)") is dark
        page.locator(".l-more button").first.wait_for()
        assert sideways(page) == 0
        address = page.locator("a.l-cite").first.get_attribute("href") or ""
        if language in ("en", "es"):
            assert axe(page) == []
        if language == "es":
            page.get_by_role("button", name=frame("menu")).click()
            drawer = page.get_by_role("navigation", name=frame("menu"))
            expect(drawer.get_by_role("link", name=frame("library"))).to_be_visible()
            assert axe(page) == []
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
            page.get_by_role("button", name=say("conversations")).click()
            expect(page.get_by_label(say("search"))).to_be_focused()
            assert axe(page) == []
            assert sideways(page) == 0
            page.keyboard.press("Escape")
        if language in ("ca", "hu"):
            page.goto(town.url + address)
            ready(page)
            expect(page.locator("mark")).to_be_visible()
            expect(page.locator(".l-box")).to_have_count(1)
            assert axe(page) == []
            assert sideways(page) == 0


def test_colours_language_and_signing_out(town: Town, browser: Browser) -> None:
    accounts = Accounts(town.config)
    accounts.add_user("ivo")
    town.tokens |= sessions(accounts, "ivo")
    accounts.close()
    with town.visit(browser, "/chat", "ivo") as page:
        expect(
            page.get_by_text("There are no documents yet that you may read.", exact=False)
        ).to_be_visible()
        page.get_by_role("button", name="Colours").click()
        page.get_by_role("menuitemradio", name="Dark").wait_for()
        assert axe(page) == []
        page.get_by_role("menuitemradio", name="Dark").click()
        expect(page.locator("body")).to_have_class(re.compile("body--dark"))
        page.get_by_role("button", name="Language").click()
        page.get_by_role("menuitemradio", name="Magyar").click()
        expect(page.locator("html")).to_have_attribute("lang", "hu")
        ready(page)
        expect(page.locator("body")).to_have_class(re.compile("body--dark"))
        other = page.context.new_page()  # signed out there, this page notices
        other.goto(f"{town.url}/chat")
        ready(other)
        other.get_by_role("button", name="Fiókja").click()
        other.get_by_role("menuitem", name="Kijelentkezés").click()
        other.wait_for_url("**/login**")
        page.get_by_label("Keresés a beszélgetéseiben").fill("x")
        page.wait_for_url("**/login**")
