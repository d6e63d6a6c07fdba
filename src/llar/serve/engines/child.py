"""What runs in a model's own process: `python -m llar.serve.engines.child`.

The first line of its input says what to load, the first of its output where it then listens, or
what went wrong; further, empty ones say that it lives. It leaves when its input ends: then the
server has gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any, NoReturn

from ...config import Config
from ...errors import LlarError
from . import child_methods
from .calls import answer

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
LONGEST_BEAT = 5.0  # seconds between two signs of life


def main() -> None:
    """Load the model, say where it is, and answer until the server is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all at once; the server ends us
        signal.signal(number, signal.SIG_IGN)
    threading.excepthook = _fail
    settings = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not end up in our answer
    folder = Path(settings["folder"])
    threading.Thread(target=_leave_with_parent, args=(folder,), daemon=True).start()
    # While a library loads a model, no other thread of ours may run: let the system watch then.
    _die_with_parent(signal.SIGKILL)
    if os.getppid() != settings["parent"]:
        _leave(folder)
    config = _config(settings["config"])
    try:
        place, methods = child_methods.load(
            settings["kind"], settings["name"], settings["slots"], config
        )
    except LlarError as e:
        _say(out, {"error": {"kind": type(e).__name__, "message": e.message, "fix": e.fix}})
        _leave(folder)
    key = secrets.token_bytes(32)
    listener = Listener(_address(folder), backlog=64, authkey=key)
    _die_with_parent(0)
    _say(out, {**place, "calls": listener.address, "key": key.hex()})
    if config.hang_seconds > 0:
        beat = min(config.hang_seconds / 4, LONGEST_BEAT)
        threading.Thread(target=_live, args=(out, beat), daemon=True).start()
    answer(listener, methods)


def _fail(told: threading.ExceptHookArgs) -> None:
    """A thread that ends by mistake would leave requests waiting: rather start anew."""
    sys.excepthook(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback)
    os._exit(70)


def _say(out: Any, told: Mapping[str, Any]) -> None:
    print(json.dumps(told), file=out, flush=True)


def _live(out: Any, seconds: float) -> None:
    """Say now and then that this process is not stuck; models compute without Python's lock."""
    with contextlib.suppress(OSError):  # the server has gone: see _leave_with_parent
        while True:
            time.sleep(seconds)
            print(file=out, flush=True)


def _config(values: Mapping[str, Any]) -> Config:
    return Config(**{**values, "home": Path(values["home"])})


def _address(folder: Path) -> str | None:
    """A socket in the folder; None lets Windows take a pipe."""
    return str(folder / "calls.sock") if sys.platform != "win32" else None


def _leave_with_parent(folder: Path) -> None:
    """Nothing ever comes on standard input: it ends when the server has gone."""
    while os.read(0, 1024):
        pass
    _leave(folder)


def _leave(folder: Path) -> NoReturn:
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # a model that computes would otherwise hold us up


def _die_with_parent(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, number, 0, 0, 0)


if __name__ == "__main__":
    main()
