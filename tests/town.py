"""A town hall's server for tests of the page: an admin, a reader, and two small collections.

    from town import Town, town  # `town` is a fixture of the whole session

"minutes" may be read by the group hr, and one document of it by eva alone; nothing is granted on
"payroll".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import visit
from conftest import STORE
from playwright.sync_api import Browser, Page
from running import running

from llar.collection import Collection
from llar.config import Config, load
from llar.serve.accounts import Accounts

PASSWORD = "seven quiet harbours"


@dataclass
class Town:
    """The running server, and everybody's cookies."""

    url: str
    config: Config
    tokens: dict[str, str]

    def cookies(self, user: str) -> list[Any]:
        """Those of somebody who is signed in."""
        return [{"name": "llar_session", "value": self.tokens[user], "url": self.url}]

    @contextmanager
    def visit(self, browser: Browser, user: str, path: str, **how: Any) -> Iterator[Page]:
        """A page as that user sees it."""
        with visit(browser, self.url + path, cookies=self.cookies(user), **how) as page:
            yield page

    def get(self, path: str, user: str) -> httpx.Response:
        """One request of a browser."""
        cookies = {"llar_session": self.tokens[user]}
        return httpx.get(self.url + path, cookies=cookies, timeout=30)


@pytest.fixture(scope="session")
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The server, one for all modules; its models are loaded when they are first used."""
    if not _STARTED:
        home = tmp_path_factory.mktemp("town")
        stack = ExitStack()
        request.config.add_cleanup(stack.close)  # a fixture would end with the first module
        _STARTED.append(_started(home, stack))
    return _STARTED[0]


_STARTED: list[Town] = []


def _started(home: Path, stack: ExitStack) -> Town:
    (home / "models").symlink_to(STORE, target_is_directory=True)
    config = load({"home": home}, env={})
    _fill(config, home / "documents")
    accounts = Accounts(config)
    accounts.add_user("ana", PASSWORD, role="admin")
    accounts.add_user("rea", PASSWORD, groups=["hr"])
    accounts.grant("minutes", ["group:hr"])
    tokens = {user: accounts.start_session(user, "session") for user in ("ana", "rea")}
    accounts.close()
    server = stack.enter_context(running(home))
    return Town(server.url, config, tokens)


def _fill(config: Config, folder: Path) -> None:
    texts = {
        "leave.txt": "Staff have 27 days of annual leave.",
        "fire.txt": "The fire alarm is tested on Mondays at nine.",
        "library.txt": "The library opens at ten and closes at eight.",
        "mayor.txt": "The mayor earns 99,000 euros a year.",
    }
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text)
    with Collection("minutes", config=config) as minutes:
        minutes.add([folder / n for n in ("leave.txt", "fire.txt", "library.txt")])
        minutes.add(folder / "mayor.txt", metadata={"readers": "user:eva"})
    with Collection("payroll", config=config) as payroll:
        payroll.add(folder / "mayor.txt")
