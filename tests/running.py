"""A real `llar serve` in a process of its own, for tests that talk to it over HTTP."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass
class Running:
    """The server: where it listens, its process, and the file with all it printed."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(home: Path, *options: str, env: Mapping[str, str] | None = None) -> Running:
    """Start it and wait until it answers."""
    port = free_port()
    log = home / "serve.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "llar", "serve", "--port", str(port), *options],
            env={**os.environ, "LLAR_HOME": str(home), "OMP_NUM_THREADS": "1", **(env or {})},
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 120
    while True:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/health", timeout=5)
            return Running(url, process, log)
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not start: {log.read_text()}")
        time.sleep(0.05)


@contextlib.contextmanager
def running(home: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The same, stopped at the end of the block as systemd stops it; it must end by itself."""
    server = started(home, *options, env=env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(30)
            except subprocess.TimeoutExpired:
                server.process.kill()
                raise AssertionError(f"SIGTERM did not end it: {server.log.read_text()}") from None
