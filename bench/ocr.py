"""How well scans are read: characters and words right, by how the page lies, and seconds a page.

The truth for the scans of ../shared/data/scans is linn.txt, itself corrected by hand and not free
of errors; the others are rendered from known text by `ocr_test.pdf` and turned copies of it.
Characters: 1 - edit distance / length of the truth, over the text without white space and marks of
headings. Words: share of the truth's words that were read (recall), in any order, for the scan has
two columns; and share of the read words that are in the truth (precision).
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from llar.config import load as configure
from llar.documents import load

DATA = Path(__file__).parents[2] / "shared" / "data"
OCR_TEST = (
    "Docling bundles PDF document conversion to JSON and Markdown in an easy self contained package"
)


def main() -> None:
    """Print one line for each file."""
    if not DATA.is_dir():
        sys.exit(f"the measuring data is not at {DATA}")
    linn = (DATA / "scans" / "linn.txt").read_text(encoding="utf-8")
    files = [
        *((DATA / "scans" / n, linn) for n in ("linn.pdf", "linn.png", "skew.pdf")),
        (DATA / "scans" / "rotated_skew.pdf", linn),
        *((f, OCR_TEST) for f in sorted((DATA / "formats/ocr/sources").glob("ocr_test*.pdf"))),
    ]
    config = configure({"parse_workers": 1})
    print(f"{'file':26}{'characters':>11}{'recall':>8}{'precision':>10}{'seconds':>9}")
    for file, truth in files:
        begun = time.perf_counter()
        text = load(file, config).text
        seconds = time.perf_counter() - begun
        want, got = Counter(_words(truth)), Counter(_words(text))
        both = (want & got).total()
        right = 1 - _distance("".join(_words(truth)), "".join(_words(text))) / len(
            "".join(_words(truth))
        )
        print(
            f"{file.name:26}{right:11.3f}{both / want.total():8.3f}"
            f"{both / max(1, got.total()):10.3f}{seconds:9.1f}"
        )


def _words(text: str) -> list[str]:
    return text.replace("#", " ").replace("—", "-").replace("’", "'").split()


def _distance(a: str, b: str) -> int:
    """Levenshtein distance; each row of the table in one sweep of numpy."""
    other = np.frombuffer(b.encode("utf-32-le"), np.uint32)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for i, letter in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (other != ord(letter)))
        row = np.concatenate(([i], best))
        row = np.minimum.accumulate(row - steps) + steps  # insertions, from left to right
    return int(row[-1])


if __name__ == "__main__":
    main()
