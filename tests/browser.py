"""A real Chromium for tests of the page, and axe-core in it.

    from browser import axe, browser, sign_in, visit  # `browser` is a fixture

    with visit(browser, server.url + "/chat", language="hu", dark=True, width=360) as page:
        assert axe(page) == []

At the end of `visit`, nothing may have left loopback and the console must be without errors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = os.environ.get("LLAR_TEST_CHROMIUM", "chromium")
LOCAL = ("127.0.0.1", "localhost", "::1", "")  # data: and blob: have no host
expect.set_options(timeout=15_000)

_AXE = files("axe_playwright_python") / "axe.min.js"
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, for a file of tests.

    Not for all: while it runs, the thread has a running event loop, and others need their own.
    """
    program = shutil.which(CHROMIUM)
    if program is None:
        pytest.fail(f"no {CHROMIUM} here; run: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


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
    page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: trouble.append(str(e)))
    context.on("request", lambda r: trouble.append(r.url) if not _is_local(r.url) else None)
    try:
        page.goto(url)
        ready(page)
        yield page
    finally:
        context.close()
    assert trouble == []


def sign_in(browser: Browser, url: str, name: str, password: str) -> list[Any]:
    """The cookies of a user who signed in with the form at url/login, for `visit`."""
    context = browser.new_context(locale="en")
    page = context.new_page()
    page.goto(f"{url}/login")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/chat")
    found = context.cookies()
    context.close()
    return list(found)


def ready(page: Page) -> None:
    """Wait until the page is built and connected: what is clicked before that is lost."""
    page.wait_for_function("window.did_handshake && document.querySelector('#app > *')")


def axe(page: Page, within: str = "html") -> list[str]:
    """Every breach of WCAG 2.2 A and AA on the page as it is now: the rule, and where.

    `within` is a selector: what lies under an open dialog cannot be judged, because axe takes the
    colours of what is above it.
    """
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("([where, rules]) => axe.run(where, rules)", [within, _RULES])
    return [
        f"{v['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for v in found["violations"]
        for node in v["nodes"]
    ]


def sideways(page: Page) -> int:
    """Pixels by which the page is wider than its window; 0 where nothing scrolls sideways."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(wide, 0)


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in LOCAL
