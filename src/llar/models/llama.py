"""A GGUF model loaded by llama.cpp (xllamacpp) inside this process.

xllamacpp runs llama.cpp's server, and that is how we talk to it: over a Unix socket in a folder
that only this user may enter (on Windows, a loopback port), behind a random key, its page and
its monitoring switched off. Unlike xllamacpp's own calls, a request over the socket can be
interrupted with Ctrl-C, and be stopped while the model still reads the prompt.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, EngineError, ModelCorrupt
from .gguf import Gguf
from .gguf import read as read_gguf
from .llama_library import binding
from .llama_socket import LlamaSocket, host
from .threads import free_cores

__all__ = ["Llama", "fitting_slots", "state_per_token"]

HTTP_THREADS = 8  # requests heard at once beside those that are worked on
CACHE_MB = 256  # most memory for the states of earlier conversations
MOST_SLOTS = 4  # requests worked on at once where no number is set; more is no faster here
BATCH = 256  # prompt tokens computed together: as fast as 512 or 2048, and sooner interrupted
WORKSPACE = 512 << 20  # bytes of address space for intermediate results and threads' stacks


class Llama:
    """A model on llama.cpp: load, ask, close. Safe to call from several threads.

    `context` 0 takes the model's own length, `threads` 0 the free cores. `slots` requests are
    worked on at once, each with a `context` of its own; further ones wait. `adapters` are LoRA
    files by name, loaded with the model and off until a request asks for them. `rank` loads a
    cross-encoder, `images` is the projector (GGUF) of a model that sees. Raises ModelCorrupt for
    a damaged file, ConfigError for a context longer than the model's, EngineError where llama.cpp
    cannot load the model.
    """

    def __init__(
        self,
        file: Path,
        *,
        name: str,
        context: int = 0,
        threads: int = 0,
        adapters: Mapping[str, Path] | None = None,
        rank: bool = False,
        slots: int = 1,
        images: Path | None = None,
    ) -> None:
        self.name = name
        self.adapters = dict(adapters or {})
        for path in (file, *self.adapters.values(), *([images] if images else [])):
            if not path.is_file():
                raise ModelCorrupt(f"{name}: {path} is missing")
        self.header = read_gguf(file)
        for path in self.adapters.values():
            read_gguf(path)
        self.context = _context(self.header, name, context)
        _check_memory(file, self.header, name, self.context, slots)
        folder = tempfile.mkdtemp(prefix="llar-")
        settings: dict[str, Any] = {
            "name": name,
            "model": str(file),
            "folder": folder,
            "key": secrets.token_urlsafe(32),
            "context": self.context,
            "threads": threads or free_cores(),
            "adapters": [str(path) for path in self.adapters.values()],
            "rank": rank,
            "slots": slots,
            "images": str(images or ""),
        }
        with _uninterrupted():
            try:
                server = [_start(settings)]
            except EngineError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            except RuntimeError:
                shutil.rmtree(folder, ignore_errors=True)
                raise EngineError(
                    f"{name}: llama.cpp cannot load {file}: {_reason(settings)}"
                ) from None
            address = str(server[0].listening_address).partition("://")[2]
            self.socket = LlamaSocket(name, address, settings["key"])
            self.close = weakref.finalize(self, _stop, server, self.socket, settings, os.getpid())
            # It listens before it works, and one that is ended in between waits for itself
            # forever. This is the one harmless question that its working thread answers.
            self.socket.get("/lora-adapters")


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C counts when the block is over: a server that is half started cannot be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _start(settings: Mapping[str, Any], verbosity: int = 0) -> Any:
    """xllamacpp's server; RuntimeError where it cannot start. Verbosity 1 prints errors, 0 none."""
    xllamacpp = binding()
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.model_alias = {settings["name"]}  # answers would name the file
    params.hostnames = [host(settings["folder"])]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.n_threads_http = settings["slots"] + HTTP_THREADS
    params.ui = params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = False
    params.offline = True
    params.verbosity = verbosity
    params.n_ctx = settings["context"] * settings["slots"]
    params.n_parallel = settings["slots"]
    params.kv_unified = False  # each slot's is its own; when a shared one is full, all fail
    params.mmproj.path = settings["images"]
    params.ctx_shift = False  # a full context is an error, never a forgotten beginning
    params.fit_params = False  # it loads the model twice to see what fits
    params.warmup = False
    params.cache_prompt = True  # a prompt that starts like the last one is not read again
    params.cache_ram_mib = CACHE_MB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.enable_reasoning = 0  # a thinking model would think past the end of a short answer
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(p, 0.0) for p in settings["adapters"]]
    if settings["rank"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
        params.n_batch = params.n_ubatch = settings["context"]  # a pair is read in one go
    else:
        params.n_batch = params.n_ubatch = BATCH
    return xllamacpp.Server(params)


def _stop(server: list[Any], link: LlamaSocket, settings: Mapping[str, Any], owner: int) -> None:
    """End the server and its socket; a forked child has neither its threads nor the right to."""
    if os.getpid() != owner:
        return
    if settings["rank"]:
        link.hang_up("/v1/rerank", {"query": "a", "documents": ["a"]})
    else:
        link.hang_up("/v1/completions", {"prompt": "a", "max_tokens": 1})
    server.clear()
    shutil.rmtree(settings["folder"], ignore_errors=True)


def _reason(settings: Mapping[str, Any]) -> str:
    """Why llama.cpp cannot load a model: it tells only its log, so ask once more, beside us."""
    code = ("import json, sys; from llar.models.llama import _start; "
            "_start(json.load(sys.stdin), verbosity=1)")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="llar-") as folder:
        again = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps({**settings, "folder": folder}),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    for line in again.stderr.splitlines():
        _, found, reason = line.partition(" E ")
        if found:
            return reason.strip()
    return f"it gives no reason (a second try ended with status {again.returncode})"


def _context(header: Gguf, name: str, asked: int) -> int:
    own = _number(header, "context_length")
    if own < 1:
        raise ModelCorrupt(f"{name}: the GGUF header gives no context length")
    if asked > own:
        raise ConfigError(
            f"{name}: a context of {asked} tokens was asked for, but the model has {own}",
            fix=f"set LLAR_CONTEXT={own} or less (0 takes the model's own)",
        )
    return asked or own


def _check_memory(file: Path, header: Gguf, name: str, context: int, slots: int) -> None:
    """Refuse what surely does not fit: the system would kill this process for trying."""
    per_token = state_per_token(header) * slots
    state = context * per_token
    free = _free_memory()
    if free is not None and state > free:
        each = f" for each of {slots} slots" if slots > 1 else ""
        fewer = ", or LLAR_SLOTS to fewer" if slots > 1 else ""
        fits = max(256, int(free * 0.8) // per_token // 256 * 256)
        raise EngineError(
            f"{name}: a context of {context} tokens{each} takes {state >> 20} MiB, but "
            f"{free >> 20} MiB of memory are free",
            fix=f"set LLAR_CONTEXT={fits} or less{fewer}",
        )
    room = _free_addresses()
    needed = state + file.stat().st_size + WORKSPACE
    if room is not None and needed > room:
        raise EngineError(
            f"{name}: it needs {needed >> 20} MiB of address space, but a limit (ulimit -v) leaves "
            f"{room >> 20} MiB"
        )


def fitting_slots(file: Path, *, name: str, context: int = 0) -> int:
    """How many requests, 1 to `MOST_SLOTS`, half of the free memory has room for at once.

    Each gets the whole context. Raises ModelCorrupt and ConfigError as `Llama` does.
    """
    header = read_gguf(file)
    state = _context(header, name, context) * state_per_token(header)
    free = _free_memory()
    if free is None or not state:
        return MOST_SLOTS
    return max(1, min(MOST_SLOTS, free // 2 // state))


def state_per_token(header: Gguf) -> int:
    """Bytes of keys and values that one token takes in 16-bit numbers; 0 where it varies."""
    layers = _number(header, "block_count")
    heads = _number(header, "attention.head_count")
    if _number(header, "attention.sliding_window") or not heads:
        return 0
    shared = _value(header, "attention.head_count_kv", heads)
    total = sum(shared) if isinstance(shared, list) else shared * layers
    width = _number(header, "embedding_length") // heads
    keys = _number(header, "attention.key_length") or width
    values = _number(header, "attention.value_length") or width
    return int(total * (keys + values) * 2)


def _value(header: Gguf, key: str, default: Any) -> Any:
    return header.values.get(f"{header.values.get('general.architecture')}.{key}", default)


def _number(header: Gguf, key: str) -> int:
    """An integer of the header's architecture, 0 where it has none (or one per layer)."""
    value = _value(header, key, 0)
    return value if isinstance(value, int) else 0


def _free_memory() -> int | None:
    """Bytes this process may still take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration, ValueError):
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no group, or "max"
        return free
    return min(free, max(0, limit - used))


def _free_addresses() -> int | None:
    """Bytes of address space left under a limit of this process; None without a limit."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):  # Windows and macOS
        return None
    return None if limit == resource.RLIM_INFINITY else limit - pages * resource.getpagesize()
