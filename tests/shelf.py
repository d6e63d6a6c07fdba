"""A server with a small library, for tests of the page's library, lab and evaluation.

    from shelf import Shelf, shelf  # `shelf` is a fixture of the whole session

"town" is read by bob and edited by eve, and holds six texts; "steps" is the same by another
chunker, for passages that overlap. ada is an admin. Uploads may have 2 MiB.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from running import running
from served import Served, once, sessions

from llar.collection import Collection
from llar.config import Config
from llar.serve.accounts import Accounts

TEXTS = {
    "staff/leave.md": "# Leave\n\nStaff have 27 days of annual leave. Leave is asked for by "
    "e-mail. "
    "The head of the office answers within 3 days.\n\n## Sick leave\n\nWho is ill tells the office "
    "before nine. A doctor's note is needed from the fourth day.\n",
    "staff/pay.md": "# Pay\n\nSalaries are paid on the 28th of each month. Overtime is paid with "
    "the "
    "salary of the next month. A supplement of 45 euros is paid for each night on call.\n",
    "safety/fire.md": "# Fire\n\nThe fire alarm is tested on Mondays at ten. The meeting place "
    "is the "
    "car park behind the library. Extinguishers are checked every 12 months.\n",
    "safety/keys.txt": "The keys of the archive are kept by the caretaker. A lost key is "
    "reported to "
    "the caretaker on the same day. The archive closes at 18:30.",
    "library.txt": "The library opens at nine and closes at eight. Readers may borrow 6 books for "
    "21 days. A book that is late costs 20 cents a day.",
    "market.txt": "The market is held on Saturdays in the main square. A stall costs 14 euros a "
    "day. "
    "Stalls are given out by the market office in January.",
}
PASSWORD = "seven quiet harbours"


@dataclass
class Shelf(Served):
    """The running server, its configuration, and everybody's session."""

    folder: Path  # of the texts

    def visit(
        self, browser: Browser, path: str, user: str = "ada", **how: Any
    ) -> AbstractContextManager[Page]:
        """A page as that user sees it."""
        return self.seen(browser, path, user, **how)

    def get(self, path: str, user: str = "ada") -> Any:
        """An answer of the API."""
        answer = self.answer(path, user)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The server, one for all modules; its models are loaded when they are first used."""
    return once("shelf", request, tmp_path_factory, _filled)


def _filled(config: Config, stack: ExitStack) -> Shelf:
    folder = config.home / "texts"
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with Collection("town", config=config) as town:
        town.add(folder)
    with Collection("steps", config=config) as steps:
        steps.add(folder / "staff", chunker="sentence:sentences=3,overlap=1")
    accounts = Accounts(config)
    accounts.add_user("ada", PASSWORD, role="admin")
    accounts.add_user("eve", PASSWORD, role="editor")
    accounts.add_user("bob", PASSWORD)
    accounts.grant("town", ["user:bob"])
    accounts.grant("town", ["user:eve"], "editor")
    tokens = sessions(accounts, "ada", "eve", "bob")
    accounts.close()
    server = stack.enter_context(running(config.home, env={"LLAR_UPLOAD_MB": "2"}))
    return Shelf(server.url, config, tokens, folder)
