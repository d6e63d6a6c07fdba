"""nDCG@10 on ../shared/data/retrieval: lexical, dense, plain RRF of both, and llar's hybrid.

Goal: hybrid is at least as good as the better of lexical and dense on each set, and better than
plain RRF on average. Documents are indexed as files, a document's rank is its best passage's.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

from indexed import indexed

import llar
from llar.retrieve import Mode

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "retrieval"
SETS = ("cranfield", "medline", "adi", "xquad_en", "xquad_es")
DEPTH = 100
RRF_K = 60


def collection(name: str) -> llar.Collection:
    """The set's documents as files, indexed."""
    texts = {}
    for line in (DATA / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = f"{row.get('title') or ''}\n\n{row['text']}".strip()
        if text:
            texts[f"{row['_id']}.txt"] = text
    return indexed(f"retrieval-{name}", texts)


def questions(name: str) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """(query text by id, relevant documents with their gain by query id)."""
    queries = {
        row["_id"]: row["text"]
        for row in map(json.loads, (DATA / name / "queries.jsonl").read_text().splitlines())
    }
    relevant: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (DATA / name / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, gain = line.split("\t")
        if int(gain) > 0:
            relevant[query][document] = int(gain)
    return queries, relevant


def ndcg(ranked: list[str], gains: dict[str, int], k: int = 10) -> float:
    """Järvelin and Kekäläinen (2002), gains as given, the ideal cut at k."""
    found = sum(gains.get(d, 0) / math.log2(i + 2) for i, d in enumerate(ranked[:k]))
    best = sorted(gains.values(), reverse=True)[:k]
    return found / sum(g / math.log2(i + 2) for i, g in enumerate(best))


def ranking(docs: llar.Collection, query: str, mode: Mode) -> list[str]:
    """Documents by their best passage."""
    hits = docs.search(query, k=DEPTH, mode=mode)
    return list(dict.fromkeys(Path(h.document.path).stem for h in hits))


def rrf(*rankings: list[str]) -> list[str]:
    """Reciprocal rank fusion, Cormack, Clarke and Büttcher (2009)."""
    scores: dict[str, float] = defaultdict(float)
    for ranked in rankings:
        for i, document in enumerate(ranked):
            scores[document] += 1 / (RRF_K + i + 1)
    return sorted(scores, key=lambda d: -scores[d])


def measure(name: str) -> dict[str, float]:
    """Mean nDCG@10 of each method over the questions that have a relevant document."""
    docs = collection(name)
    queries, relevant = questions(name)
    totals: dict[str, float] = defaultdict(float)
    for query_id, gains in relevant.items():
        lexical = ranking(docs, queries[query_id], "lexical")
        dense = ranking(docs, queries[query_id], "dense")
        hybrid = ranking(docs, queries[query_id], "hybrid")
        methods = {"lexical": lexical, "dense": dense, "rrf": rrf(lexical, dense), "hybrid": hybrid}
        for method, ranked in methods.items():
            totals[method] += ndcg(ranked, gains)
    docs.close()
    return {method: total / len(relevant) for method, total in totals.items()}


def main() -> None:
    """Print the table."""
    rows = {name: measure(name) for name in sys.argv[1:] or SETS}
    print(f"{'':<10}" + "".join(f"{m:>9}" for m in ("lexical", "dense", "rrf", "hybrid")))
    for name, row in rows.items():
        print(f"{name:<10}" + "".join(f"{value:9.4f}" for value in row.values()))
    means = [
        sum(column) / len(rows) for column in zip(*(r.values() for r in rows.values()), strict=True)
    ]
    print(f"{'mean':<10}" + "".join(f"{value:9.4f}" for value in means))
    worse = [n for n, r in rows.items() if r["hybrid"] < max(r["lexical"], r["dense"])]
    print("hybrid is worse than the better of its parts on:", ", ".join(worse) or "none")


if __name__ == "__main__":
    main()
