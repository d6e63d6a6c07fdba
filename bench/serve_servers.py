"""The servers that are measured, each in processes of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from peer import ROOT, WORK


@dataclass
class Server:
    """A server under measurement."""

    port: int
    process: subprocess.Popen[bytes]
    home: Path
    log: Path

    def memory(self) -> int:
        """Bytes of memory its processes hold together (PSS: shared pages counted once)."""
        return sum(pss(pid) for pid in tree(self.process.pid))


@contextlib.contextmanager
def llar_server(home: Path | None = None, **settings: object) -> Iterator[Server]:
    """`llar serve` with these settings, in a home of its own unless one is given."""
    with contextlib.ExitStack() as stack:
        if home is None:
            WORK.mkdir(exist_ok=True)
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=WORK)))
        server = start_llar(home, **settings)
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(60)


def start_llar(home: Path, **settings: object) -> Server:
    """The same, not ended."""
    if not (home / "models").exists():
        (home / "models").symlink_to(ROOT / ".llar" / "models", target_is_directory=True)
    port = free_port()
    log = home / "serve.log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLAR_")}
    given = {f"LLAR_{k.upper()}": str(v) for k, v in settings.items()}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "llar", "serve", "--port", str(port)],
            env={**kept, **given, "LLAR_HOME": str(home), "OMP_NUM_THREADS": "1"},
            stdout=out, stderr=out,
        )  # fmt: skip
    wait_for(port, process, log)
    return Server(port, process, home, log)


_RAW = """
import sys, time, xllamacpp
model, port, threads, slots, context = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames, params.port = ["127.0.0.1"], port
params.n_ctx = context
params.n_parallel = slots
params.verbosity = 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
server = xllamacpp.Server(params)
time.sleep(1e9)
"""


@contextlib.contextmanager
def raw_server(root: Path, threads: int, slots: int, context: int = 0) -> Iterator[int]:
    """llama.cpp's own server over TCP, with its own defaults but for threads, slots and context.

    Its context is for all slots together; 0 gives each the model's own, as llar does.
    """
    (model,) = (root / ".llar" / "models" / "smollm2-135m-instruct").glob("*.gguf")
    port = free_port()
    whole = context or 8192 * slots
    command = [sys.executable, "-c", _RAW, str(model), *map(str, (port, threads, slots, whole))]
    log = WORK / "raw.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_for(port, process, log)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path, path: str = "/health") -> None:
    """Until it answers; 10 minutes at most."""
    end = time.monotonic() + 600
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    process.kill()
    raise SystemExit(f"it did not start: {log.read_text()[-2000:]}")


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, at = [pid], 0
    while at < len(found):
        children = Path(f"/proc/{found[at]}/task").glob("*/children")
        for file in children:
            with contextlib.suppress(OSError):
                found += [int(n) for n in file.read_text().split()]
        at += 1
    return found


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that a process and all below it have taken."""
    ticks = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # in user mode and in the system
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> int:
    """Bytes of one process, those it shares with others counted in parts; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))
