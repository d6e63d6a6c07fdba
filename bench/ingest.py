"""How fast a folder gets into a collection, beside LlamaIndex, txtai and LangChain with Chroma.

    python bench/ingest.py [--files N] [--peers NAME ...] [--rounds N] [--growth N ...]

The Django documentation, or N of its files chosen evenly, into a fresh collection on disk with the
same embedding model from the same files, `--threads` each, in turn in one run. Loading libraries
and model is timed apart. Memory is that of the whole process tree. Goal: three times the fastest
of the peers. Growth: llar on 1, 4 and 16 copies whose text differs, with `fake:hash` vectors, so
that the time is not the model's alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from peer import THREADS, WORK, django, running, table

NAMES = ("llar", "txtai", "langchain", "llama-index")
HEAD = ("", "documents/s", "MB/s", "chunks/s", "chunks", "wall s", "CPU s", "load s", "peak MiB")


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=0, help="0: all")
    parser.add_argument("--peers", nargs="*", default=NAMES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--growth", nargs="*", type=int, default=[1, 4, 16])
    parser.add_argument("--threads", type=int, default=THREADS)
    given = parser.parse_args()
    folder = django(given.files)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in given.peers}
    for _ in range(given.rounds):
        for name, found in runs.items():
            found.append(ingest(name, folder, given.threads))
            print(f"{name}: {found[-1]['seconds']:.1f} s", flush=True)
    middle = {
        name: sorted(found, key=lambda run: run["seconds"])[len(found) // 2]
        for name, found in runs.items()
    }
    size = _size(folder)
    body = [(name, *_row(run, size)) for name, run in middle.items()]
    print(f"\n{size:.2f} MB, {given.threads} threads, median of {given.rounds}\n")
    print(table(HEAD, body))
    if "llar" in middle and len(middle) > 1:
        fastest = min(run["seconds"] for name, run in middle.items() if name != "llar")
        print(f"\nllar is {fastest / middle['llar']['seconds']:.2f} times as fast as the fastest\n")
    if given.growth:
        grow(given)


def ingest(name: str, folder: Path, threads: int, embedder: str | None = None) -> dict[str, Any]:
    """One run of one program; `load` is the time before it had its model."""
    start = time.perf_counter()
    with running(name, watched=True, threads=threads) as peer:
        peer.ask("load", {"embedder": embedder})
        load = time.perf_counter() - start
        run = peer.ask("ingest", {"folder": str(folder)}, limit=4 * 3600)
        return {**run, "load": load, "peak": peer.peak}


def grow(given: argparse.Namespace) -> None:
    """llar alone, on more and more."""
    body = []
    for copies in given.growth:
        folder = _copies(django(given.files), copies)
        run = ingest("llar", folder, given.threads, "fake:hash")
        each = 1000 * run["seconds"] / run["documents"]
        body.append((f"{copies}x", run["documents"], *_row(run, _size(folder)), f"{each:.1f}"))
    print(table(("llar, fake:hash", "documents", *HEAD[1:], "ms per document"), body))


def _copies(folder: Path, copies: int) -> Path:
    """`copies` of every file, the word Django numbered in each so that no two are the same."""
    made = WORK / f"{folder.name}-{copies}x"
    for n in range(copies):
        for file in sorted(folder.rglob("*.txt")):
            target = made / str(n) / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                text = file.read_text(encoding="utf-8").replace("Django", f"Django{n}")
                target.write_text(f"Copy {n}.\n\n{text}", encoding="utf-8")
    return made


def _row(run: dict[str, Any], size: float) -> tuple[str, ...]:
    seconds = run["seconds"]
    return (
        f"{run['documents'] / seconds:.1f}",
        f"{size / seconds:.3f}",
        f"{run['chunks'] / seconds:.1f}",
        str(run["chunks"]),
        f"{seconds:.1f}",
        f"{run['cpu']:.1f}",
        f"{run['load']:.1f}",
        f"{run['peak']:.0f}",
    )


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*.txt")) / 1e6


if __name__ == "__main__":
    main()
