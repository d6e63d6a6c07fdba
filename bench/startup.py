"""How long llar takes to start: wall and CPU seconds of whole commands, beside bare Python.

Medians of several runs, in turn so that noise falls on all alike. Models must be installed and
the collection "startup" is made here from the samples.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOME = Path(__file__).parent / ".work" / "home"
RUNS = 7

LLAR = [sys.executable, "-m", "llar"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import llar": [sys.executable, "-c", "import llar"],
    "llar --help": [*LLAR, "--help"],
    "llar status": [*LLAR, "status", "-c", "startup"],
    "llar search (lexical)": [
        *LLAR,
        "search",
        "annual leave",
        "-c",
        "startup",
        "--mode",
        "lexical",
    ],
    "llar search": [*LLAR, "search", "annual leave", "-c", "startup"],
    "llar ask": [*LLAR, "ask", "How many days of annual leave do staff have?", "-c", "startup"],
}


def run(command: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "LLAR_HOME": str(HOME)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    HOME.mkdir(parents=True, exist_ok=True)
    if not (HOME / "models").exists():
        (HOME / "models").symlink_to(ROOT / ".llar" / "models", target_is_directory=True)
    files = [str(ROOT / "samples" / n) for n in ("handbook.html", "faq.md", "paracetamol.pdf")]
    run([*LLAR, "add", *files, "-c", "startup"])
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            measured[name].append(run(command))
    base = statistics.median(w for w, _ in measured["python -c pass"])
    print(f"{'':<24}{'wall s':>8}{'CPU s':>8}{'beyond Python':>15}")
    for name, runs in measured.items():
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:<24}{wall:8.2f}{cpu:8.2f}{wall - base:15.2f}")


if __name__ == "__main__":
    main()
