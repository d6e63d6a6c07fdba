"""How much of what answers a question each chunker brings back, by size, as Markdown tables.

    python bench/chunking.py                                    # every chunker at the default size
    python bench/chunking.py --sizes 96 160 254 --chunkers structure token --budget 1500 --k 0

317 questions over three corpora with the spans that answer them (../shared/data/chunking), the
default search. The measuring is that of `llar evaluate chunking`; here every row is followed by
how many megabytes a second were split, without embedding.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import llar
from llar.chunks import CHUNKERS
from llar.evaluate.chunking import MEASURES, ChunkerResult, Set, evaluate_chunking, read_set

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "chunking"


def main() -> None:
    """Measure and print a table for each way to read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--chunkers", nargs="+", default=list(CHUNKERS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[160])
    parser.add_argument("--k", type=int, default=5, help="passages read; 0: no such table")
    parser.add_argument("--budget", type=int, default=1500, help="characters read; 0: no table")
    given = parser.parse_args()
    config = llar.load_config()
    found = read_set(DATA, config)
    for k, budget in ((given.k, 0), (1, given.budget)):
        if k and (budget or k == given.k):
            results = evaluate_chunking(
                found, config, given.chunkers, sizes=given.sizes, k=k, budget=budget, told=_tell
            )
            print(f"\n{f'{budget} characters' if budget else f'{k} passages'} read\n")
            print(_table(found, results), flush=True)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _table(found: Set, results: list[ChunkerResult]) -> str:
    head = ["chunker", "size", "chunks", "tokens", *MEASURES, "MB/s", "s"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    megabytes = sum(len(document.text) for document in found.documents.values()) / 1e6
    for result in results:
        cells = [str(result.spec), str(result.spec.max_tokens), str(result.chunks)]
        cells.append(f"{result.tokens:.0f}")
        for name in MEASURES:
            mean, against = result.measures[name], result.against_first.get(name)
            star = "*" if against and against.p < 0.05 else ""
            cells.append(f"{mean.mean:.3f}{star} ({mean.low:.3f}-{mean.high:.3f})")
        cells.append(f"{megabytes / result.split_seconds:.2f}")
        cells.append(f"{result.split_seconds + result.embed_seconds:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
