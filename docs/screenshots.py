"""Takes a picture of every screen of the page, with a real server, real models and the samples.

    .venv/bin/python docs/screenshots.py [NAME ...]     # all, or only those screens

Needs the models of `make models` and a Chromium. Writes docs/screens/NAME-{light,dark}.png and
NAME-phone-{light,dark}.png: 48 colours, at most 80 kB each.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from llar.collection import Collection
from llar.config import Config, load
from llar.evaluate.questions import Question, Span, write
from llar.serve.accounts import Accounts
from llar.serve.audit import Audit

ROOT = Path(__file__).parent.parent
OUT = Path(__file__).parent / "screens"
MODELS = Path(os.environ.get("LLAR_TEST_STORE", ROOT / ".llar" / "models"))
SAMPLES = ("paracetamol.pdf", "handbook.html", "biblioteca.docx", "faq.md", "inventory.xlsx")
COLOURS, MOST = 48, 80_000  # of a picture; bytes
SIZES = {"": (1280, 860), "-phone": (390, 844)}
QUESTION = "How many days of annual leave do full-time staff have?"
ASKED = (  # what is asked, the answer, and the words that say it
    (QUESTION, "27", "handbook.html", "27"),
    ("How many documents may one borrow?", "15", "biblioteca.docx", "fins a 15 documents"),
)


@dataclass
class Place:
    """The running server, who is signed in, and what the screens are shown of."""

    url: str
    config: Config
    cookies: dict[str, list[Any]]
    paths: dict[str, str]  # addresses that are made on the way


Prepare = Callable[[Page, Place], None]


def main() -> None:
    """Take the pictures that are named, or all."""
    wanted = sys.argv[1:] or list(SCREENS)
    OUT.mkdir(exist_ok=True)
    with _server() as place, sync_playwright() as playwright:
        program = shutil.which(os.environ.get("LLAR_TEST_CHROMIUM", "chromium"))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        _fill(browser, place)
        for name in wanted:
            for size in SIZES:
                for look in ("light", "dark"):
                    _take(browser, place, name, size, look)
        browser.close()


# -- the server ------------------------------------------------------------------------------


@contextlib.contextmanager
def _server() -> Iterator[Place]:
    """A server in a home of its own, with an admin, a reader and the sample documents."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to(MODELS, target_is_directory=True)
        config = load({"home": home}, env={})
        cookies = _accounts(config)
        with Collection("town", config=config) as town:
            town.add([ROOT / "samples" / name for name in SAMPLES])
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-m", "llar", "serve", "--port", str(port)],
            env=os.environ | {"LLAR_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(url, process)
            for each in cookies.values():
                each[0]["url"] = url
            yield Place(url, config, cookies, {})
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _accounts(config: Config) -> dict[str, list[Any]]:
    accounts = Accounts(config)
    found = {}
    for name, role, groups in (("ana", "admin", ()), ("rea", "reader", ("hr",)),
                               ("tom", "editor", ("library", "hr"))):  # fmt: skip
        accounts.add_user(name, secrets.token_urlsafe(16), role=role, groups=groups)
        token = accounts.start_session(name, "session", "127.0.0.1")
        found[name] = [{"name": "llar_session", "value": token}]
    accounts.grant("town", ["group:hr"])
    accounts.grant("town", ["user:tom"], "editor")
    accounts.add_key("tom", "nightly import", days=90)
    who = accounts.identity(found["rea"][0]["value"])
    audit = Audit(config)
    audit.record(who, "ask", collection="town", question=QUESTION, documents=[(2, "handbook.html")])
    audit.close()
    accounts.close()
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the server did not start")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=5).close()  # noqa: S310 - our own
            return
        time.sleep(0.1)
    raise SystemExit("the server does not answer")


# -- what is on the screens ------------------------------------------------------------------


def _fill(browser: Browser, place: Place) -> None:
    """A conversation, a question set and a run, made as users make them."""
    for name, question in (("chat", QUESTION), ("not-found", "How much is the parking?")):
        with _page(browser, place, "ana", "/chat") as page:
            page.get_by_role("textbox", name="Your question").fill(question)
            page.get_by_role("button", name="Send the question").click()
            page.locator("article .l-actions").wait_for(timeout=180_000)
            place.paths[name] = page.url.removeprefix(place.url)
            source = page.locator("article a[href^='/document/']").first
            place.paths.setdefault("document", source.get_attribute("href") or "")
    with _page(browser, place, "ana", "/evaluation?collection=town") as page:
        file = _questions(place.config)
        page.get_by_role("button", name="Import").click()
        page.locator(".q-dialog input[type=file]").set_input_files(file)
        page.get_by_role("link", name=file.stem, exact=True).wait_for()
        page.get_by_role("button", name=f"Start a run with {file.stem}", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Start a run").click()
        link = page.locator("a[href^='/evaluation/run/']").first
        link.wait_for(timeout=180_000)
        place.paths["run"] = link.get_attribute("href") or ""
    with Collection("town", config=place.config) as town:
        found = {Path(f.path).name: f.document_id for f in town.index.files()}
    place.paths["chunks"] = f"/library/town/{found['handbook.html']}"


def _questions(config: Config) -> Path:
    """Questions with the spans that answer them, as a file to import."""
    made = []
    with Collection("town", config=config) as town:
        texts = {f.path: town.index.document(f.document_id).text for f in town.index.files()}
    for n, (question, answer, name, quote) in enumerate(ASKED):
        path = next(p for p in texts if p.endswith(name))
        start = texts[path].index(quote)
        span = Span(path, start, start + len(quote), quote)
        made.append(Question(f"q{n}", question, (answer,), "fact", (span,), reviewed=True))
    made.append(Question("q9", "What colour is the roof?", kind="unanswerable", reviewed=True))
    file = config.home / "first-questions.jsonl"
    write(file, made)
    return file


def _top(page: Page, place: Place) -> None:
    page.locator("article").first.wait_for()
    page.wait_for_timeout(600)
    page.locator("article").first.scroll_into_view_if_needed()
    page.evaluate("document.querySelector('article').scrollIntoView({block: 'center'})")


def _lab(page: Page, place: Place) -> None:
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator("table.k-budget").first.wait_for(state="attached", timeout=60_000)


def _tokens(page: Page, place: Place) -> None:
    page.locator("article[data-name]").nth(3).wait_for()


def _next(page: Page, place: Place) -> None:
    page.locator("textarea:visible").fill("The meeting is on")
    page.get_by_text("After 4 tokens").wait_for(timeout=60_000)
    for name, key, times in (("min_p", "ArrowRight", 20), ("temperature", "ArrowLeft", 4)):
        for _ in range(times):
            page.locator(f"[data-part={name}]:visible [tabindex='0']").press(key)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(1_500)


def _steps(page: Page, place: Place) -> None:
    rows = page.locator(".t-choice:visible tbody tr")
    rows.first.wait_for(timeout=60_000)
    for what in ("5 more", "One back", "One back", "pick", "5 more"):
        if what == "pick":
            rows.nth(3).locator("button").click()
        else:
            page.get_by_role("button", name=what).click()
        page.wait_for_timeout(900)
    page.wait_for_timeout(1_500)


def _methods(page: Page, place: Place) -> None:
    page.get_by_role("button", name="Run").click()
    page.locator("article[data-method]").first.wait_for(timeout=180_000)


def _map(page: Page, place: Place) -> None:
    page.locator(".t-map[data-ready]").wait_for(timeout=60_000)
    page.locator(".t-map canvas[role=application]").focus()
    page.keyboard.press("ArrowRight")


def _models(page: Page, place: Place) -> None:
    page.locator("article[data-model] [data-do=load]").last.wait_for(state="attached")


def _advise(page: Page, place: Place) -> None:
    page.locator("[data-part=advise]").click()
    page.locator(".t-headline").wait_for()
    page.locator(".t-advice").scroll_into_view_if_needed()


def _document(page: Page, place: Place) -> None:
    page.locator("mark, .l-box").first.wait_for(timeout=60_000)


def _nothing(page: Page, place: Place) -> None:
    page.wait_for_timeout(600)


SCREENS: dict[str, tuple[str, str, Prepare]] = {  # name -> user, address, what is done there
    "login": ("", "/login", _nothing),
    "chat": ("ana", "{chat}", _top),
    "not-found": ("ana", "{not-found}", _top),
    "document": ("ana", "{document}", _document),
    "library": ("ana", "/library", _nothing),
    "collection": ("ana", "/library/town", _nothing),
    "chunks": ("ana", "{chunks}", _nothing),
    "lab": ("ana", "/lab?collection=town", _lab),
    "tokens": ("ana", "/inside?tab=tokens", _tokens),
    "next": ("ana", "/inside?tab=next", _next),
    "steps": ("ana", "/inside?tab=steps", _steps),
    "methods": ("ana", "/inside?tab=methods", _methods),
    "map": ("ana", "/inside?tab=map", _map),
    "evaluation": ("ana", "/evaluation?collection=town", _nothing),
    "run": ("ana", "{run}", _nothing),
    "models": ("ana", "/models", _models),
    "advice": ("ana", "/advise", _advise),
    "users": ("ana", "/admin?tab=users", _nothing),
    "access": ("ana", "/admin?tab=access", _nothing),
    "audit": ("ana", "/admin?tab=audit", _nothing),
    "status": ("ana", "/admin?tab=status", _nothing),
    "account": ("rea", "/me", _nothing),
}


# -- pictures --------------------------------------------------------------------------------


@contextlib.contextmanager
def _page(
    browser: Browser, place: Place, user: str, path: str, *, look: str = "light", size: str = ""
) -> Iterator[Page]:
    """A page of a browser of its own."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale="en",
        color_scheme="dark" if look == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(30_000)
    context.add_cookies(place.cookies.get(user, []))
    page = context.new_page()
    page.goto(place.url + path)
    if user:
        page.wait_for_function("window.did_handshake && document.querySelector('#app > *')")
    yield page
    context.close()


def _take(browser: Browser, place: Place, name: str, size: str, look: str) -> None:
    user, path, prepare = SCREENS[name]
    with _page(browser, place, user, path.format(**place.paths), look=look, size=size) as page:
        prepare(page, place)
        page.wait_for_timeout(400)
        picture = Image.open(io.BytesIO(page.screenshot()))
        file = OUT / f"{name}{size}-{look}.png"
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(file, optimize=True)
    count = file.stat().st_size
    print(f"{file.name} {count:,} bytes")
    if count > MOST:
        raise SystemExit(f"{file.name} is larger than {MOST:,} bytes; take fewer colours")


if __name__ == "__main__":
    main()
