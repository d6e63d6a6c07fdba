"""A town hall's server for tests of the page: an admin, a reader, and two small collections.

    from town import Town, town  # `town` is a fixture of the whole session

"minutes" may be read by the group hr, and one document of it by eva alone; nothing is granted on
"payroll".
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from running import running
from served import Served, once, sessions

from llar.collection import Collection
from llar.config import Config
from llar.serve.accounts import Accounts

PASSWORD = "seven quiet harbours"


class Town(Served):
    """The running server, and everybody's cookies."""

    def visit(
        self, browser: Browser, user: str, path: str, **how: Any
    ) -> AbstractContextManager[Page]:
        """A page as that user sees it."""
        return self.seen(browser, path, user, **how)

    def get(self, path: str, user: str) -> httpx.Response:
        """One request of a browser."""
        return self.answer(path, user)


@pytest.fixture(scope="session")
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The server, one for all modules; its models are loaded when they are first used."""
    return once("town", request, tmp_path_factory, _started)


def _started(config: Config, stack: ExitStack) -> Town:
    _fill(config, config.home / "documents")
    accounts = Accounts(config)
    accounts.add_user("ana", PASSWORD, role="admin")
    accounts.add_user("rea", PASSWORD, groups=["hr"])
    accounts.grant("minutes", ["group:hr"])
    tokens = sessions(accounts, "ana", "rea")
    accounts.close()
    return Town(stack.enter_context(running(config.home)).url, config, tokens)


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
