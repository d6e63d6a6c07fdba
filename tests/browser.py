"""A real Chromium for tests of the page, and axe-core in it.

    from browser import axe, browser, visit  # `browser` is a fixture

    with visit(browser, server.url + "/chat", language="hu", dark=True, width=360) as page:
        assert axe(page) == []

At the end of `visit`, nothing may have left loopback and the console must be without errors.
"""

from __future__ import annotations

import os
import shutil
from asyncio import AbstractEventLoop, events
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = os.environ.get("LLAR_TEST_CHROMIUM", "chromium")
ELSEWHERE = "evil.example"  # a name that is made to point here
LOCAL = ("127.0.0.1", "localhost", "::1", "")  # data: and blob: have no host
expect.set_options(timeout=15_000)

_AXE = files("axe_playwright_python") / "axe.min.js"
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
_STARTED: list[tuple[Browser, AbstractEventLoop]] = []


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The system's Chromium, started once for all files of tests.

    While it is used, the thread has Playwright's running event loop; the files of tests between
    have loops of their own.
    """
    if not _STARTED:
        _STARTED.append(_started(request.config))
    chromium, loop = _STARTED[0]
    events._set_running_loop(loop)
    yield chromium
    events._set_running_loop(None)


def _started(config: pytest.Config) -> tuple[Browser, AbstractEventLoop]:
    program = shutil.which(CHROMIUM)
    if program is None:
        pytest.fail(f"no {CHROMIUM} here; run: apt-get install chromium")
    playwright = sync_playwright().start()
    loop = events.get_running_loop()
    chromium = playwright.chromium.launch(
        executable_path=program,
        args=["--no-sandbox", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"],
    )

    def end() -> None:
        events._set_running_loop(loop)
        chromium.close()
        playwright.stop()

    config.add_cleanup(end)  # a fixture would end with the first file
    return chromium, loop


@contextmanager
def visit(
    browser: Browser,
    url: str,
    *,
    language: str = "en",
    dark: bool = False,
    width: int = 1280,
    height: int = 800,
    cookies: list[Any] | None = None,
) -> Iterator[Page]:
    """A page of a browser of its own: no cookie but those given. `cookies` are `context.cookies()`
    of another visit, for one who is signed in."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=language,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # colours are measured as they are in the end
    )
    context.set_default_timeout(15_000)
    context.add_cookies(cookies or [])
    page = context.new_page()
    trouble: list[str] = []

    def said(message: ConsoleMessage) -> None:
        print(message.type, message.text)  # shown where the test fails
        if message.type == "error":
            trouble.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda e: trouble.append(str(e)))
    context.on("request", lambda r: trouble.append(r.url) if not _is_local(r.url) else None)
    try:
        page.goto(url)
        ready(page)
        yield page
    finally:
        context.close()
    assert trouble == []


def ready(page: Page) -> None:
    """Wait until the page is built and connected: what is clicked before that is lost."""
    page.wait_for_function("window.did_handshake && document.querySelector('#app > *')")


def axe(page: Page, within: str = "html") -> list[str]:
    """Every breach of WCAG 2.2 A and AA on the page as it is now: the rule, and where.

    `within` is a selector: what lies under an open dialog cannot be judged, because axe takes the
    colours of what is above it.
    """
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        # what is in order is not told: half a megabyte of it
        "([where, rules]) => axe.run(where, {...rules, resultTypes: ['violations']})"
        ".then((found) => found.violations)",
        [within, _RULES],
    )
    return [
        f"{v['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for v in found
        for node in v["nodes"]
    ]


def sideways(page: Page) -> int:
    """Pixels by which the page is wider than its window; 0 where nothing scrolls sideways."""
    wide: int = page.evaluate(
        "async () => {"  # a tab that slides away may stick out meanwhile
        " const ends = document.getAnimations().map((a) => a.effect.getComputedTiming().endTime);"
        " if (ends.some((end) => end > 0 && end < Infinity))"
        "   await new Promise((done) => setTimeout(done, Math.max(...ends.filter(isFinite))));"
        " return document.documentElement.scrollWidth - window.innerWidth; }"
    )
    return max(wide, 0)


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in LOCAL
