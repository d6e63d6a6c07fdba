"""How much of what answers a question the default chunker brings back, by chunk size and overlap.

317 questions over three corpora with the spans that answer them (../shared/data/chunking). All
chunks are one pool; each question takes passages in rank order until a budget of characters is
full, the last one cut there, so every row reads the same amount. Per question, over characters:
recall = found of the reference spans, precision = reference in what was retrieved, IoU = overlap
by union; overlapping chunks count once. dense = all-MiniLM-L6-v2, words = BM25 of FTS5, both =
reciprocal rank fusion (k 60).

    python bench/chunking.py                         # the sizes of the table in docs/log.md
    python bench/chunking.py --sizes 128 254 --overlaps 0 32 --fixed
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import llar.config
from llar.chunks import split
from llar.models import open_embedder
from llar.models.interface import Embedder, Matrix
from llar.records import Block, Chunk, Document
from llar.text.words import query_terms, terms

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "chunking"
EMBEDDER = "ctranslate2:all-minilm-l6-v2"
DEPTH = 200

Span = tuple[int, int]
Hit = tuple[str, int, int]  # corpus, start, end


class Question(NamedTuple):
    text: str
    corpus: str
    spans: list[Span]


class Scores(NamedTuple):
    recall: float
    precision: float
    iou: float


def corpora() -> dict[str, Document]:
    documents = {}
    for file in sorted(DATA.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        headings = re.finditer(r"^ (=+ )+[^=\n]+(?: =+)+ *$|^#{1,6} .+$", text, re.MULTILINE)
        blocks = tuple(
            Block("heading", m.start(), m.end(), level=min(6, m.group().count("=") // 2 or 1))
            for m in headings
        )
        documents[file.stem] = Document(
            text, str(file), "md", file.stat().st_size, "", language="en", blocks=blocks
        )
    return documents


def questions() -> list[Question]:
    csv.field_size_limit(sys.maxsize)
    with (DATA / "questions.csv").open(encoding="utf-8", newline="") as file:
        return [
            Question(
                row["question"],
                row["corpus_id"],
                [(ref["start_index"], ref["end_index"]) for ref in json.loads(row["references"])],
            )
            for row in csv.DictReader(file)
        ]


def fixed(document: Document, size: int, count_tokens: Callable[[str], int]) -> list[Chunk]:
    """The plainest chunker, to compare with: as many characters as make `size` tokens."""
    text, chunks, at = document.text, [], 0
    while at < len(text):
        end = min(len(text), at + size * 5)
        while count_tokens(text[at:end]) > size:
            end -= max(1, (end - at) // 20)
        chunks.append(Chunk(text[at:end], at, end))
        at = end
    return chunks


def rankings(
    pool: list[tuple[str, Chunk]], asked: list[Question], embedder: Embedder
) -> Iterator[dict[str, list[int]]]:
    """For each question, positions in `pool` best first, by each way of searching."""
    vectors = embedder.embed_documents([chunk.content for _, chunk in pool])
    queries: Matrix = np.stack([embedder.embed_query(q.text) for q in asked])
    words = sqlite3.connect(":memory:")
    words.execute(
        "CREATE VIRTUAL TABLE f USING fts5(t, content='', "
        "tokenize=\"unicode61 remove_diacritics 0 tokenchars '_'\")"
    )
    words.executemany(
        "INSERT INTO f(rowid, t) VALUES (?, ?)",
        ((i, " ".join(terms(chunk.content, "en"))) for i, (_, chunk) in enumerate(pool)),
    )
    for question, query in zip(asked, queries, strict=True):
        dense = np.argsort(-(vectors @ query), kind="stable")[:DEPTH].tolist()
        wanted = " OR ".join(
            f'"{t}"' for found in query_terms(question.text, ["en"]) for t in found
        )
        lexical = [
            row[0]
            for row in words.execute(
                "SELECT rowid FROM f WHERE f MATCH ? ORDER BY rank, rowid LIMIT ?", (wanted, DEPTH)
            )
        ]
        fused: dict[int, float] = defaultdict(float)
        for ranked in (dense, lexical):
            for rank, at in enumerate(ranked, 1):
                fused[at] += 1 / (60 + rank)
        both = sorted(fused, key=lambda at: (-fused[at], at))
        yield {"dense": dense, "words": lexical, "both": both}


def retrieved(pool: list[tuple[str, Chunk]], ranked: list[int], budget: int) -> dict[str, set[int]]:
    """Characters read, by corpus, when the budget is full."""
    read: dict[str, set[int]] = defaultdict(set)
    left = budget
    for at in ranked:
        corpus, chunk = pool[at]
        taken = chunk.text[:left]
        read[corpus].update(range(chunk.start, chunk.start + len(taken)))
        left -= len(taken)
        if not left:
            break
    return read


def score(question: Question, read: dict[str, set[int]]) -> Scores:
    wanted = {at for start, end in question.spans for at in range(start, end)}
    found = len(wanted & read[question.corpus])
    total = sum(map(len, read.values()))
    return Scores(found / len(wanted), found / max(total, 1), found / (len(wanted) + total - found))


def run(
    label: str, chunker: Callable[[Document], list[Chunk]], embedder: Embedder, budgets: list[int]
) -> None:
    documents, asked = corpora(), questions()
    started = time.perf_counter()
    pool = [(name, chunk) for name, doc in documents.items() for chunk in chunker(doc)]
    seconds = time.perf_counter() - started
    ranked = list(rankings(pool, asked, embedder))
    megabytes = sum(len(doc.text) for doc in documents.values()) / 1e6
    mean = sum(embedder.count_tokens(chunk.content) for _, chunk in pool) / len(pool)
    for budget in budgets:
        for way in ranked[0]:
            rows = [
                score(question, retrieved(pool, found[way], budget))
                for question, found in zip(asked, ranked, strict=True)
            ]
            recall, precision, iou = (sum(column) / len(rows) for column in zip(*rows, strict=True))
            print(
                f"{label:<14} {len(pool):>6} {mean:>7.0f} {megabytes / seconds:>6.1f} "
                f"{budget:>7} {way:<6} {recall:>7.3f} {precision:>9.3f} {iou:>6.3f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 160, 200, 254])
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0], help="tokens repeated")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1500, 4000], help="characters")
    parser.add_argument(
        "--fixed", action="store_true", help="also windows of as many characters as fit"
    )
    options = parser.parse_args()
    embedder = open_embedder(llar.config.load(), EMBEDDER)
    print("chunker        chunks  tokens   MB/s  budget search  recall precision    IoU")
    count = embedder.count_tokens
    for size in options.sizes:
        for overlap in options.overlaps:
            chunker = partial(split, max_tokens=size, count_tokens=count, overlap=overlap)
            run(f"{size} +{overlap}", chunker, embedder, options.budgets)
        if options.fixed:
            windows = partial(fixed, size=size, count_tokens=count)
            run(f"fixed {size}", windows, embedder, options.budgets)
    embedder.close()


if __name__ == "__main__":
    main()
