"""A model's own process, seen from the server: started, watched, and ended with it.

What ties them together are pipes. When the one that the server writes to closes, however the
server ended, the child leaves; on the other the child says now and then that it lives. Its sockets
lie in a folder that only this user may enter and that is removed when either of them has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ... import errors
from ...config import Config
from ...errors import EngineError, LlarError
from ...models.llamacpp import LlamaTalk
from .calls import Calls

__all__ = ["Child", "Died", "sweep"]

PREFIX = "llar-"
PATIENCE = 3.0  # seconds a child gets to leave by itself


class Died(EngineError):
    """The process ended before the model was loaded. `why` is what is known of it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: its process ended while loading: {why}")
        self.why = why


class Child:
    """A running child process with a model loaded; making one waits until it is.

    `kind` is "chat", "embedding", "reranker" or "compressor". `on_end` is called once, in a
    thread, when the process has ended, with what is known of why.
    `place` is what it said of itself; `talk` speaks to a chat model, `calls` to any.
    Raises what loading the model raised, Died where the process ended meanwhile.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        config: Config,
        slots: int,
        on_end: Callable[[Child, str], None],
    ) -> None:
        self.name = name
        self.gone = False  # its process has ended
        self.ended = threading.Event()  # and everybody has been told
        self.wanted = True  # until we end it ourselves
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._process = self._start(kind, config, slots)
        self.pid = self._process.pid
        try:
            self.place = self._ready()
        except BaseException:
            self.wanted = False
            self._finish()
            self._close_pipes()
            raise
        self.began = time.monotonic()
        self._beats = 0  # signs of life
        self._seen = 0  # of them, when somebody looked last
        self._silent = 0.0  # seconds, as far as somebody looked
        self._killed = ""  # why we killed it
        self.calls = Calls(name, self.place["calls"], bytes.fromhex(self.place["key"]))
        self._talk = LlamaTalk.at(self.place["talk"]) if "talk" in self.place else None
        threading.Thread(
            target=self._watch, args=(on_end,), name=f"watch {name}", daemon=True
        ).start()

    @property
    def talk(self) -> LlamaTalk:
        """The way to a chat model's llama.cpp."""
        assert self._talk is not None  # a chat model's child has one
        return self._talk

    def memory(self) -> int:
        """Bytes of memory it takes, mapped weights included; 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def check(self, seconds: float, most: float) -> None:
        """Kill it where it has given no sign of life for `most` seconds; `seconds` more have gone.

        Looks are counted, not the clock: where all processes were stopped together (Ctrl-Z, a
        laptop that slept), none of them hangs.
        """
        if self._beats != self._seen:
            self._seen, self._silent = self._beats, 0.0
            return
        self._silent += seconds
        if self._silent >= most and not self.gone:
            self._killed = f"it gave no sign of life for {most:g} s"
            self._process.kill()

    def stop(self) -> None:
        """End it. Requests that it works on fail."""
        self.wanted = False
        self._finish()
        self.ended.wait(PATIENCE)

    def _start(self, kind: str, config: Config, slots: int) -> subprocess.Popen[bytes]:
        settings = {
            "kind": kind,
            "name": self.name,
            "slots": slots,
            "folder": str(self._folder),
            "parent": os.getpid(),
            "config": {
                f.name: str(v) if isinstance(v := getattr(config, f.name), Path) else v
                for f in fields(Config)
                if not f.metadata["secret"]
            },
        }
        try:
            with (self._folder / "said").open("wb") as said:
                process = subprocess.Popen(
                    [sys.executable, "-m", "llar.serve.engines.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=_environment() | {"TMPDIR": str(self._folder)},
                )
        except OSError as e:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise EngineError(f"{self.name}: its process cannot be started: {e}") from e
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; `_ready` tells why
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            process.stdin.flush()
        return process

    def _ready(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise Died(self.name, self._why(code))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise _error(answer["error"])
        return answer

    def _watch(self, on_end: Callable[[Child, str], None]) -> None:
        assert self._process.stdout is not None
        while os.read(self._process.stdout.fileno(), 1024):
            self._beats += 1
        code = self._process.wait()
        self.gone = True
        why = self._killed or self._why(code)
        self._close_pipes()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.calls.close()
        on_end(self, why)
        self.ended.set()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _finish(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()  # it leaves
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _why(self, code: int) -> str:
        """How it ended, and the last it said."""
        how = f"status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"signal {signal.Signals(-code).name}"
        try:
            said = (self._folder / "said").read_text(encoding="utf-8", errors="replace")
        except OSError:
            said = ""
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
        return f"{how}: {last.strip()[:300]}" if last else how


def _environment() -> dict[str, str]:
    """Ours without the secrets: who reads model files needs none."""
    secrets = {f"LLAR_{f.name.upper()}" for f in fields(Config) if f.metadata["secret"]}
    return {name: value for name, value in os.environ.items() if name not in secrets}


def sweep() -> None:
    """Remove what servers left that were killed together with their children."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        try:
            ours = folder.stat().st_uid == os.getuid()
        except (OSError, AttributeError):  # gone by now, or Windows
            continue
        if ours and number.isdigit() and not _lives(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _error(told: Mapping[str, Any]) -> LlarError:
    """The error that the child told of, as the class it was."""
    kind = getattr(errors, str(told["kind"]), EngineError)
    if not issubclass(kind, LlarError):
        kind = EngineError
    found: LlarError = kind(told["message"], fix=told["fix"])
    return found
