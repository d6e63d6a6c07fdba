"""What all parts of the server share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config
from .accounts import Accounts
from .asks import Asks
from .audit import Audit
from .engines import Engines
from .history import History
from .library import Library
from .steps import Steppers


@dataclass(slots=True)
class State:
    """The running server. Everything in it is safe to use from several threads."""

    config: Config
    engines: Engines
    accounts: Accounts
    audit: Audit
    history: History
    library: Library
    steps: Steppers  # models that are looked into
    asks: Asks  # answers being written
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def open(cls, config: Config) -> State:
        """Open the stores under `server_dir(config)`; no model is loaded yet."""
        server_dir(config).mkdir(parents=True, exist_ok=True, mode=0o700)
        engines = Engines(config)
        accounts = Accounts(config)
        audit = Audit(config)
        library = Library(config, engines, accounts)
        history = History(config)
        asks = Asks(config, library, engines, history, audit)
        steps = Steppers(config)
        library.start()
        return cls(config, engines, accounts, audit, history, library, steps, asks)

    def close(self) -> None:
        """Finish what runs and release everything; nothing that was acknowledged is lost."""
        self.stopping.set()
        self.asks.close()
        self.library.close()
        self.steps.close()
        self.engines.close()
        self.history.close()
        self.audit.close()
        self.accounts.close()


def server_dir(config: Config) -> Path:
    """The folder of the server's own state: accounts, audit log, history, uploads, jobs."""
    return config.home / "server"
