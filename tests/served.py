"""A running server with people who are signed in, as tests of the page use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import pytest
from browser import visit
from conftest import STORE
from playwright.sync_api import Browser, Page

from llar.config import Config, load
from llar.serve.accounts import Accounts

Made = TypeVar("Made")
_MADE: dict[str, Any] = {}


@dataclass
class Served:
    """Where the server is, its configuration, and everybody's session."""

    url: str
    config: Config
    tokens: dict[str, str]

    def cookies(self, user: str) -> list[Any]:
        """Those of somebody who is signed in."""
        return [{"name": "llar_session", "value": self.tokens[user], "url": self.url}]

    @contextmanager
    def seen(self, browser: Browser, path: str, user: str, **how: Any) -> Iterator[Page]:
        """A page as that user sees it."""
        with visit(browser, self.url + path, cookies=self.cookies(user), **how) as page:
            yield page

    def answer(self, path: str, user: str) -> httpx.Response:
        """What a request of that user's browser is answered."""
        cookies = {"llar_session": self.tokens[user]}
        return httpx.get(self.url + path, cookies=cookies, timeout=30)


def once(
    name: str,
    request: pytest.FixtureRequest,
    folders: pytest.TempPathFactory,
    start: Callable[[Config, ExitStack], Made],
) -> Made:
    """What `start` makes in a home with the real models: one for all files of tests.

    What it puts on the stack ends with the last of them; a fixture would end with the first.
    """
    if name not in _MADE:
        home = folders.mktemp(name)
        (home / "models").symlink_to(STORE, target_is_directory=True)
        stack = ExitStack()
        request.config.add_cleanup(stack.close)
        _MADE[name] = start(load({"home": home}, env={}), stack)
    made: Made = _MADE[name]
    return made


def sessions(accounts: Accounts, *users: str) -> dict[str, str]:
    """A new session of each, without the form: user -> token."""
    return {user: accounts.start_session(user, "session") for user in users}
