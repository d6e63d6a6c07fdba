"""The memory a model really takes: loaded and used in a fresh process, read from Linux's /proc.

The child (`python -m llar.plan.memory.measure`) reads its orders as JSON on stdin and answers with
one line of JSON. Memory is resident memory (RSS) as /proc/PID/smaps counts it; the peak is VmHWM of
/proc/PID/status (proc(5)).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import errors
from ...errors import EngineError, LlarError, PlanError

if TYPE_CHECKING:
    from ...config import Config

__all__ = ["Measured", "Resident", "child", "measure", "resident"]

ANSWER = "llar-measured "  # before the child's line: engines print to stdout as they like
DECODED = 8  # tokens generated after the prompt
BATCHES = 4  # of full size that each thread of an embedder runs
_OUT_OF_MEMORY = ("bad_alloc", "memoryerror", "out of memory", "memory allocation",
                  "cannot allocate memory", "failed to allocate", "failed to map segment",
                  "can't start new thread")  # fmt: skip
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")


@dataclass(frozen=True, slots=True)
class Resident:
    """Resident memory of a process now, in bytes, by what its pages are."""

    anonymous: int  # what it allocated, and what it changed of files
    model: int  # pages of the model's files that it maps
    files: int  # pages of all other files: the program and its libraries
    peak: int  # the most that was ever resident together

    @property
    def total(self) -> int:
        """All of it: RSS."""
        return self.anonymous + self.model + self.files


@dataclass(frozen=True, slots=True)
class Measured:
    """One model in a process of its own, in bytes."""

    bare: Resident  # everything imported, nothing loaded
    loaded: Resident
    used: Resident  # after the context was filled and some tokens were generated
    context: int  # tokens
    threads: int
    converting: int = 0  # the peak of a first use, which makes the engine's copy of the weights

    @property
    def process(self) -> int:
        """The process itself: what it held before loading, and its program and libraries.

        Pages of a library become resident when they are first used, so they are counted last.
        """
        return self.bare.anonymous + self.used.files

    @property
    def share(self) -> int:
        """What the model added to it."""
        return self.used.total - self.process


def resident(folder: Path, pid: int | str = "self") -> Resident:
    """Resident memory of a process; `folder` holds the model. Raises PlanError without /proc."""
    try:
        maps = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace")
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise PlanError(
            f"resident memory cannot be measured here: /proc/{pid}/smaps: {e.strerror};"
            " expected Linux"
        ) from e
    anonymous = model = files = 0
    inside = False
    for line in maps.splitlines():
        found = _MAPPING.match(line)
        if found:
            inside = found[1].startswith(f"{folder}{os.sep}")
        elif line.startswith("Rss:"):
            rss = int(line.split()[1]) << 10
        elif line.startswith("Anonymous:"):
            own = int(line.split()[1]) << 10
            anonymous += own
            model += (rss - own) * inside
            files += (rss - own) * (not inside)
    peak = next(int(x.split()[1]) << 10 for x in status.splitlines() if x.startswith("VmHWM:"))
    return Resident(anonymous, model, files, peak)


def measure(
    config: Config, name: str, *, context: int = 0, threads: int = 1, limit: int = 0
) -> Measured:
    """Load the installed model `name` ("backend:name") in a fresh process, use it, and measure.

    A chat model reads a prompt that fills `context` tokens (0: the model's own) but for the few
    it generates then; an embedder reads full batches of texts as long as it takes. `limit` is the
    most address space of that process in bytes, 0 for no limit. Raises PlanError where it dies
    for want of memory, and whatever loading the model raises.
    """
    orders = {
        "home": str(config.home),
        "name": name,
        "context": context,
        "threads": threads,
        "limit": limit,
    }
    what = f"{name} with a context of {context} tokens" if context else name
    told = child("llar.plan.memory.measure", orders, what)
    converting = 0
    if told["converted"]:
        converting = told["used"]["peak"]
        told = child("llar.plan.memory.measure", orders, what)
    return Measured(
        **{k: Resident(**told[k]) for k in ("bare", "loaded", "used")},
        context=told["context"],
        threads=threads,
        converting=converting,
    )


def child(
    module: str, orders: Mapping[str, Any], what: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The answer of `python -m module`; `what` says in an error what it was about to do.

    `env` comes on top of this process's environment.

    Raises the LlarError the child ended with, PlanError where memory ran out, EngineError else.
    """
    ended = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **(env or {})},
    )
    for line in ended.stdout.splitlines():
        if line.startswith(ANSWER):
            told: dict[str, Any] = json.loads(line.removeprefix(ANSWER))
            if "error" in told:
                kind: type[LlarError] = getattr(errors, told["error"])
                raise kind(told["message"], fix=told["fix"])
            return told
    complaints = ended.stderr.strip().splitlines() or ["it said nothing"]
    signs = [line for line in complaints if any(s in line.lower() for s in _OUT_OF_MEMORY)]
    killed = ended.returncode == -9  # SIGKILL, as the system does where memory runs out
    if killed or signs or (ended.returncode < 0 and _is_limited(orders)):
        why = "the system killed it" if killed else [*signs, complaints[-1]][0]
        raise PlanError(
            f"{what}: the memory did not suffice ({why})",
            fix="free memory, raise the limit (ulimit -v, the control group), or take a smaller"
            " model or context",
        )
    raise EngineError(f"{what}: the process ended with status {ended.returncode}: {complaints[-1]}")


def _is_limited(orders: Mapping[str, Any]) -> bool:
    """Whether the child's address space was limited: libraries then crash as they like."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return bool(orders.get("limit")) or limit != resource.RLIM_INFINITY


def answer(told: Mapping[str, Any]) -> None:
    """Print what `child` reads; called in the child."""
    print(f"\n{ANSWER}{json.dumps(told)}", flush=True)  # noqa: T201 (this is its whole output)


def refuse(error: LlarError) -> None:
    """Print an error that `child` raises again; called in the child."""
    answer({"error": type(error).__name__, "message": error.message, "fix": error.fix})


def limited(limit: int) -> None:
    """Take at most `limit` bytes of address space from now on; 0: as many as before."""
    if limit:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _measured(orders: Mapping[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from ...config import load
    from ...models.store import Store

    limited(orders["limit"])
    flags = {k: orders[k] for k in ("home", "context", "threads")}
    config = load(flags)
    installed = Store(config.models_dir).get(orders["name"])
    steps = {"chat": _chat, "embedding": _embedding}[installed.kind]
    folder = installed.folder.resolve()
    before = _copies(config)
    states, context = steps(config, orders["name"], folder)
    converted = _copies(config) != before
    sizes = {k: asdict(v) for k, v in states.items()}
    return sizes | {"context": context, "converted": converted}


def _copies(config: Config) -> set[str]:
    """What engines made from the store's models."""
    from ...models.store import CONVERTED

    return {p.name for p in (config.models_dir / CONVERTED).glob("*")}


def _chat(config: Config, name: str, folder: Path) -> tuple[dict[str, Resident], int]:
    import xllamacpp  # noqa: F401 (part of the bare process)

    from ...models import open_chat
    from ...models.interface import Options
    from ...models.llamacpp import LlamaChat  # noqa: F401 (so is this)

    states = {"bare": resident(folder)}
    model = open_chat(config, name)
    states["loaded"] = resident(folder)
    prompt = _prompt(model.count_tokens, model.context - DECODED)
    model.complete(prompt, Options(max_tokens=DECODED))
    states["used"] = resident(folder)
    context = model.context
    model.close()
    return states, context


def _prompt(count: Any, tokens: int) -> str:
    """A text of at most `tokens` tokens, and of hardly fewer."""
    words = ["one", "two", "three"]
    each = count(" " + " ".join(words * 8)) / 24
    number = int((tokens - 2) / each)
    return " ".join(words[i % 3] for i in range(number))


def _embedding(config: Config, name: str, folder: Path) -> tuple[dict[str, Resident], int]:
    import ctranslate2  # noqa: F401 (part of the bare process)
    import tokenizers  # noqa: F401

    from ...models import open_embedder
    from ...models.bert import BATCH_TOKENS

    states = {"bare": resident(folder)}
    model = open_embedder(config, name)
    states["loaded"] = resident(folder)
    text = _prompt(model.count_tokens, model.max_tokens)
    model.embed_documents([text] * (BATCHES * config.threads * BATCH_TOKENS // model.max_tokens))
    states["used"] = resident(folder)
    context = model.max_tokens
    model.close()
    return states, context


if __name__ == "__main__":
    try:
        answer(_measured(json.load(sys.stdin)))
    except LlarError as e:
        refuse(e)
