"""Runs a command without the rights of root and watches what it and all that it starts cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# A superuser with these rights dropped may read and write what its owner may, and no more.
_UNPRIVILEGED = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STEP = 0.02  # seconds between two looks at the processes


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did. `peak_mb` is the most that the whole tree of processes held at once,
    resident, pages that they share counted for each; `left` are processes that outlived it."""

    code: int
    out: str
    err: str
    seconds: float
    peak_mb: float
    main_mb: float  # the same of the command's own process
    left: tuple[int, ...]


def run_llar(*arguments: str | Path, env: Mapping[str, str], limit: float = 3600.0) -> Ran:
    """`llar ARGUMENTS`, watched; killed with subprocess.TimeoutExpired after `limit` seconds."""
    command = [sys.executable, "-m", "llar", *(os.fspath(a) for a in arguments)]
    return run(command, env=env, limit=limit)


def run(command: Sequence[str], *, env: Mapping[str, str], limit: float) -> Ran:
    """A command, watched until it ends."""
    if os.geteuid() == 0:
        command = [*_UNPRIVILEGED, *command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        seen: set[int] = set()
        peaks = [0, 0]
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, ended, seen, peaks))
        watcher.start()
        try:
            code = process.wait(limit)
        finally:
            process.kill()
            process.wait()
            ended.set()
            watcher.join()
        seconds = time.monotonic() - began
        left = tuple(pid for pid in seen if pid != process.pid and _still_runs(pid))
        peak, main = (peak / 2**20 for peak in peaks)
        return Ran(code, _text(out), _text(err), seconds, peak, main, left)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "surrogateescape")


def _watch(root: int, ended: threading.Event, seen: set[int], peaks: list[int]) -> None:
    while not ended.wait(_STEP):
        family = _family(root)
        seen |= family
        sizes = {pid: _resident(pid) for pid in family}
        peaks[0] = max(peaks[0], sum(sizes.values()))
        peaks[1] = max(peaks[1], sizes.get(root, 0))


def _family(root: int) -> set[int]:
    """A process and all below it."""
    found, todo = set(), [root]
    while todo:
        pid = todo.pop()
        found.add(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _still_runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
