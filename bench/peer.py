"""A measured program in a process and an environment of its own, driven line by line.

The programs are bench/peers/with_NAME.py; what they are asked and answer is in bench/peers/wire.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from environments import python

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / ".work"
DATA = ROOT.parent / "shared" / "data"
DJANGO = DATA / "corpus" / "django_en"
THREADS = 2
OWN = ("llar", "xllamacpp")  # these run in llar's environment, without a peer's


class PeerError(Exception):
    """The program ended, or took longer than it may."""


class Peer:
    """One program at work.

    `peak` is the most memory its process tree held so far, in MiB; looked at four times a second
    where `watched`, and not at all otherwise, because looking slows the program down.
    """

    def __init__(self, name: str, *, watched: bool = False, threads: int = THREADS) -> None:
        self.name = name
        self.peak = 0.0
        self.home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_made(WORK / "stores")))
        interpreter = Path(sys.executable) if name in OWN else python(name)
        script = BENCH / "peers" / f"with_{name.replace('-', '_')}.py"
        self._log = (WORK / f"{name}.log").open("w")
        self._process = subprocess.Popen(
            [str(interpreter), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(self.home, threads),
        )
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        if watched:
            self._watcher.start()

    def ask(self, do: str, asked: dict[str, Any], *, limit: float = 3600.0) -> dict[str, Any]:
        """The program's answer. Raises PeerError where it dies or needs more than `limit` s."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Timer(limit, self._process.kill)
        late.start()
        start = time.monotonic()
        try:
            self._process.stdin.write(json.dumps({"do": do, **asked}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            late.cancel()
        if not line:
            if time.monotonic() - start >= limit:
                raise PeerError(f"not done after {limit:.0f} s")
            raise PeerError(f"died, see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the program and delete what it stored."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._ended.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self._log.close()
        subprocess.run(["rm", "-rf", str(self.home)], check=True)

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            self.peak = max(self.peak, _tree_memory(self._process.pid))


@contextlib.contextmanager
def running(name: str, *, watched: bool = False, threads: int = THREADS) -> Iterator[Peer]:
    """A peer that is ended and cleaned up with the block."""
    peer = Peer(name, watched=watched, threads=threads)
    try:
        yield peer
    finally:
        peer.close()


def table(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def django(count: int = 0) -> Path:
    """A folder with only the text files of the Django documentation, the first `count` or all."""
    files = sorted(DJANGO.rglob("*.txt"))
    chosen = files[:: max(1, len(files) // count)][:count] if count else files
    folder = _made(WORK / f"django-{count or 'all'}")
    for file in chosen:
        target = folder / file.relative_to(DJANGO)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(file.read_bytes())
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment(home: Path, threads: int) -> dict[str, str]:
    """Offline, quiet about it, and with as many threads as everybody else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LLAR_", "HF_", "OMP_"))}
    (home / "models").symlink_to(ROOT / ".llar" / "models", target_is_directory=True)
    return {
        **kept,
        "LLAR_HOME": str(home),
        "HOME": str(home),
        "PEER_HOME": str(home),
        "OMP_NUM_THREADS": str(threads),
        "LLAR_THREADS": str(threads),  # its default looks at how busy the cores are
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ANONYMIZED_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "LANGSMITH_TRACING": "false",
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONUNBUFFERED": "1",
    }


def _tree_memory(root: int) -> float:
    """Proportional memory of a process and all below it, in MiB; what they share counts once."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            stat = (folder / "stat").read_text()
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    tree = {root}
    while below := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= below
    total = 0
    for pid in tree:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024
