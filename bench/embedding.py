"""Texts per second of llar's embedder beside sentence-transformers in float32.

    python bench/embedding.py [--texts N] [--rounds N] [--threads N]

The same weights, the same texts (passages of the Django documentation as llar cuts them), as many
threads each, in turn in one run; also how far llar's int8 vectors are from the float32 ones. Where
other work keeps the cores busy, compare one thread each and the CPU seconds: threads that wait
for each other suffer most. Goal: 3.5 times as fast at a mean cosine of at least 0.995.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from peer import THREADS, WORK, Peer, django, running, table

BATCHES = (8, 16, 32, 64, 128)  # sentence-transformers' default is 32


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=THREADS)
    given = parser.parse_args()
    texts = str(WORK / "embedding.json")
    threads = given.threads
    with (
        running("llar", threads=threads) as ours,
        running("sentence-transformers", threads=threads) as theirs,
    ):
        choose(ours, texts, given.texts)
        ours.ask("load", {})
        theirs.ask("load", {})
        into = {name: str(WORK / f"embedding-{name}.npy") for name in ("ours", "theirs")}
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(given.rounds + 1):
            asked: dict[str, Any] = {"texts": texts, "into": into["ours"]}
            runs.setdefault("llar", []).append(ours.ask("embed", asked))
            for batch in BATCHES:
                asked = {"texts": texts, "into": into["theirs"], "batch": batch}
                name = f"sentence-transformers fp32, batch {batch}"
                runs.setdefault(name, []).append(theirs.ask("embed", asked))
    print(f"{given.texts} texts, {threads} threads, median of {given.rounds} rounds in turn\n")
    report(given.texts, {name: found[1:] for name, found in runs.items()})  # the first warms up
    cosines = np.sum(np.load(into["ours"]) * np.load(into["theirs"]), axis=1)
    print(f"\ncosine to float32: mean {cosines.mean():.4f}, least {cosines.min():.4f}")


def choose(peer: Peer, into: str, count: int) -> None:
    """Write `count` passages, drawn from those of 150 files."""
    peer.ask("split", {"folder": str(django(150)), "into": into})
    passages = json.loads(Path(into).read_text(encoding="utf-8"))
    chosen = random.Random(3).sample(passages, count)
    Path(into).write_text(json.dumps(chosen), encoding="utf-8")


def report(count: int, runs: dict[str, list[dict[str, Any]]]) -> None:
    """Print texts per second of time and of CPU time."""
    wall, cpu = (
        {name: count / statistics.median(run[key] for run in found) for name, found in runs.items()}
        for key in ("seconds", "cpu")
    )
    body = [
        (
            name,
            f"{wall[name]:.0f}",
            f"{wall['llar'] / wall[name]:.2f}",
            f"{cpu[name]:.0f}",
            f"{cpu['llar'] / cpu[name]:.2f}",
        )
        for name in runs
    ]
    print(table(("", "texts/s", "llar's ratio", "texts/CPU s", "llar's ratio"), body))


if __name__ == "__main__":
    main()
