"""Pages per CPU-second from PDF to text, and the memory it takes.

The same files go through liteparse alone (text only, no word boxes) in the same run, so that the
ratio holds on a busy machine. Plain text is written here: 3,000 and 5,000 letters a page.

    python bench/pdf_speed.py               # 300 plain pages, and ../shared/data
    python bench/pdf_speed.py --pages 1600
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from liteparse import LiteParse

from llar.documents.pdf import parse_pdf

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"

sys.path.insert(0, str(ROOT / "tests"))
from make_pdfs import prose_pdf  # noqa: E402 - it lies with the tests


def ours(file: Path) -> int:
    return len(parse_pdf(file).pages)


def bare(file: Path) -> int:
    parser = LiteParse(ocr_enabled=False, quiet=True, max_pages=100_000, output_format="text")
    return len(parser.parse(file).pages)


def rate(read: Callable[[Path], int], files: Sequence[Path]) -> float:
    """Pages per CPU-second, the better of two rounds."""
    best = 0.0
    for _ in range(2):
        start = time.process_time()
        pages = sum(read(file) for file in files)
        best = max(best, pages / (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=300, help="of plain text")
    options = parser.parse_args()
    print("pages per CPU-second      llar  liteparse  ratio")
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "plain, 12 point": [prose_pdf(Path(folder, "a.pdf"), options.pages, size=12)],
            "plain, 10 point": [prose_pdf(Path(folder, "b.pdf"), options.pages, size=10)],
            "two columns": [prose_pdf(Path(folder, "c.pdf"), options.pages // 4, columns=2)],
            "formats/pdf": sorted((DATA / "formats" / "pdf").glob("**/*.pdf")),
            "icdar2013_eu": sorted((DATA / "tables" / "icdar2013_eu").glob("*.pdf")),
        }
        for name, files in sets.items():
            if files:
                mine, theirs = rate(ours, files), rate(bare, files)
                print(f"{name:22} {mine:7.0f} {theirs:10.0f} {mine / theirs:6.2f}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"most memory at any time: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
