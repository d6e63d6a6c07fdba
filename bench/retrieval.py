"""nDCG@10 on ../shared/data/retrieval: words, meaning, plain RRF, llar's fusion, its default.

    python bench/retrieval.py [SET ...]

Goal: the default is at least as good as the better of words and meaning on each set, and better
than plain RRF on average. What was measured before and has not changed since is not run again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import llar
from llar.evaluate.beir import read_beir
from llar.evaluate.indexed import of_texts
from llar.evaluate.ranking import measures
from llar.evaluate.retrieval import evaluate_retrieval

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "retrieval"
HOME = Path(__file__).parent / ".work" / "home"
SETS = ("cranfield", "medline", "adi", "xquad_en", "xquad_es")
VARIANTS: dict[str, dict[str, Any]] = {
    "lexical": {"mode": "lexical", "query": ""},
    "dense": {"mode": "dense", "query": ""},
    "rrf": {"fusion": "rrf", "query": ""},
    "hybrid": {"query": ""},
    "default": {},
}


def config() -> llar.Config:
    """The configuration, with collections and runs in bench/.work."""
    found = llar.load_config()
    HOME.mkdir(parents=True, exist_ok=True)
    if not (HOME / "models").exists():
        (HOME / "models").symlink_to(found.models_dir, target_is_directory=True)
    return replace(found, home=HOME)


def collection(name: str) -> llar.Collection:
    """The set's documents, indexed; a document's path is its id."""
    return of_texts(config(), read_beir(DATA / name))


def questions(name: str) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """(query text by id, relevant documents with their gain by query id)."""
    found = read_beir(DATA / name).questions
    return {q.id: q.question for q in found}, {q.id: dict(q.documents) for q in found}


def ndcg(ranked: Sequence[str], gains: Mapping[str, float], k: int = 10) -> float:
    """nDCG of one ranking of documents."""
    return measures(ranked, gains, (k,))[f"ndcg@{k}"]


def measure(name: str) -> dict[str, float]:
    """Mean nDCG@10 of each variant."""
    found = read_beir(DATA / name)
    figures = {}
    for variant, settings in VARIANTS.items():
        with of_texts(replace(config(), **settings), found) as docs:
            figures[variant] = evaluate_retrieval(docs, found).measures["ndcg@10"].mean
    return figures


def main() -> None:
    """Print the table."""
    print(f"{'':<10}" + "".join(f"{variant:>9}" for variant in VARIANTS))
    rows = {}
    for name in sys.argv[1:] or SETS:
        rows[name] = measure(name)
        print(f"{name:<10}" + "".join(f"{value:9.4f}" for value in rows[name].values()), flush=True)
    means = [sum(row[v] for row in rows.values()) / len(rows) for v in VARIANTS]
    print(f"{'mean':<10}" + "".join(f"{value:9.4f}" for value in means))
    worse = [n for n, r in rows.items() if r["default"] < max(r["lexical"], r["dense"])]
    print("the default is worse than the better of its parts on:", ", ".join(worse) or "none")


if __name__ == "__main__":
    main()
