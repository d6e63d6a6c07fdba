"""How a peer's process is asked to do something: one JSON object per line in, one per line out.

Imported by scripts that run in the peers' own environments, so only the standard library is here.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MODEL = str(Path(__file__).resolve().parents[2] / ".llar" / "models" / "all-minilm-l6-v2")

Step = Callable[[Mapping[str, Any]], dict[str, Any]]


def serve(steps: Mapping[str, Step]) -> None:
    """Do what standard input asks for, until it ends; each answer says how long it took.

    What a library prints goes to standard error, away from the answers. Memory is limited.
    """
    most = 9 << 30  # bytes of data: a program that needs more fails, and not the machine
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        cpu, start = _cpu(), time.perf_counter()
        answer = steps[asked["do"]](asked)
        answer.setdefault("seconds", time.perf_counter() - start)
        answer["cpu"] = _cpu() - cpu
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def rows(folder: str, count: int) -> tuple[list[str], Any]:
    """The first `count` texts and vectors that bench/search.py laid down in `folder`."""
    import numpy as np

    texts = []
    with (Path(folder) / "texts.jsonl").open(encoding="utf-8") as lines:
        for _, line in zip(range(count), lines, strict=False):
            texts.append(json.loads(line))
    return texts, np.load(Path(folder) / "vectors.npy", mmap_mode="r")[:count]


def _cpu() -> float:
    """CPU seconds of this process and of those children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
