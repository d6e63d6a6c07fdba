"""The steps after retrieval: what they do to nDCG@10, what they cost, what compression keeps.

    python bench/post.py rank [--questions N] [SET ...]
    python bench/post.py judge [--questions N] [SET ...]
    python bench/post.py compress [--questions N] [SET ...]

"rank" and "judge" take sets of ../shared/data/retrieval, "compress" those of ../shared/data/qa.
Questions are drawn with a fixed seed. A time is the processor time that the step adds to a search,
the median over the questions: it is the same on a busy machine. On idle cores several passages are
read at once, and the wait is shorter.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import qa_data
import retrieval
from answers import _normal

import llar
from llar.index.filters import Filter
from llar.records import Hit
from llar.retrieve import Result

RANKING = (
    "", "rerank:late:10", "rerank:late:20", "rerank:late:50", "mmr:0.9", "mmr:0.7", "dedup",
    "neighbours",
)  # fmt: skip
JUDGES = ("", "rerank:late:5", "graded:yes-no:5", "graded:0-3:5", "likelihood:5")
RATES = (0.3, 0.5, 0.7)
SHORTER = ("compress", "surprisal")


def sampled(items: Sequence[str], many: int) -> list[str]:
    """Some of them, always the same ones."""
    return random.Random(1).sample(sorted(items), min(many, len(items)))


def timed(docs: llar.Collection, question: str, k: int, **given: Any) -> tuple[Result, float]:
    """A search, and the seconds of processor time it took."""
    start = time.process_time()
    found = docs.explain(question, k=k, **given)
    return found, time.process_time() - start


def rank(name: str, many: int, steps: Sequence[str]) -> None:
    """nDCG@10 and milliseconds of each step, on one set."""
    docs = retrieval.collection(name)
    queries, relevant = retrieval.questions(name)
    chosen = sampled(list(relevant), many)
    gains: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    invalid = 0
    for query in chosen:
        for post in steps:
            found, seconds = timed(docs, queries[query], 50, post=post or "none")
            names = [Path(h.document.path).stem for h in found.hits]
            gains[post].append(retrieval.ndcg(list(dict.fromkeys(names)), relevant[query]))
            times[post].append(seconds - (times[""][-1] if post else 0))
            invalid += sum(len(s.about.get("invalid", ())) for s in found.steps)
    docs.close()
    print(f"== {name}, {len(chosen)} questions", f"({invalid} invalid replies)" if invalid else "")
    base = gains[""]
    for post in steps:
        mean = statistics.mean(gains[post])
        better = sum(a > b + 1e-9 for a, b in zip(gains[post], base, strict=True))
        worse = sum(a < b - 1e-9 for a, b in zip(gains[post], base, strict=True))
        change = mean - statistics.mean(base)
        spent = statistics.median(times[post]) * 1000
        print(
            f"{post or '(none)':<18} nDCG@10 {mean:.4f} ({change:+.4f}), better {better:3d}, "
            f"worse {worse:3d}, {spent:8.1f} ms",
            flush=True,
        )


def holds(hits: Sequence[Hit], golds: Sequence[str]) -> bool:
    """Does what a model is shown of these passages contain an answer?"""
    shown = " ".join(f" {_normal(h.content.replace('…', ' '))} " for h in hits)
    return any(f" {_normal(g)} " in shown for g in golds)


def lead(docs: llar.Collection, hit: Hit, rate: float) -> Hit:
    """The passage cut off at the rate, at a word: what compression has to beat."""
    chat = docs.chat_model()
    wanted = rate * chat.count_tokens(hit.chunk.text)
    ends = [i for i, c in enumerate(hit.chunk.text) if c.isspace()] + [len(hit.chunk.text)]
    low = 0
    for end in ends:
        if chat.count_tokens(hit.chunk.text[:end]) > wanted:
            break
        low = end
    return replace(hit, kept=((hit.chunk.start, hit.chunk.start + low),))


def compress(name: str, many: int) -> None:
    """Rates met and answers kept, on the passages that hold them."""
    passages, questions = qa_data.load(name)
    asked = {q.id: q for q in questions if q.part == "test" and q.answerable}
    chosen = [asked[i] for i in sampled(list(asked), many)]
    kept: dict[tuple[str, float], list[bool]] = defaultdict(list)
    rates: dict[tuple[str, float], list[float]] = defaultdict(list)
    met: dict[tuple[str, float], list[bool]] = defaultdict(list)
    times: dict[tuple[str, float], list[float]] = defaultdict(list)
    with qa_data.collection(name, passages) as docs:
        paths = {f.path.rsplit("/", 1)[-1]: f.path for f in docs.index.files()}
        chat = docs.chat_model()
        for question in chosen:
            only = [Filter("path", "=", paths[question.passage])]
            whole = docs.search(question.text, k=4, filters=only)
            if not holds(whole, question.golds):
                continue
            tokens = sum(chat.count_tokens(h.chunk.text) for h in whole)
            for rate in RATES:
                kept["lead", rate].append(
                    holds([lead(docs, h, rate) for h in whole], question.golds)
                )
                for step in SHORTER:
                    found, seconds = timed(
                        docs, question.text, 4, filters=only, post=f"{step}:{rate}"
                    )
                    times[step, rate].append(seconds)
                    kept[step, rate].append(holds(found.hits, question.golds))
                    rows = [r for s in found.steps for r in s.about.get("passages", ())
                            if isinstance(r, dict) and "kept" in r]  # fmt: skip
                    rates[step, rate].append(sum(r["kept"] for r in rows) / tokens)
                    met[step, rate] += [
                        abs(r["kept"] - rate * r["tokens"]) <= max(1.5, 0.02 * r["tokens"])
                        for r in rows
                    ]
    print(f"== {name}, {len(kept['lead', RATES[0]])} questions whose passage holds the answer")
    for step in ("lead", *SHORTER):
        for rate in RATES:
            line = f"{step:<10} {rate:.1f}: answers kept {statistics.mean(kept[step, rate]):.3f}"
            if step != "lead":
                line += (
                    f", rate {statistics.mean(rates[step, rate]):.3f}, met for "
                    f"{statistics.mean(met[step, rate]):.2f} of passages, "
                    f"{statistics.median(times[step, rate]) * 1000:.0f} ms a question"
                )
            print(line, flush=True)


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rank", "judge", "compress"])
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--questions", type=int, default=100)
    options = parser.parse_args()
    if options.what == "compress":
        for name in options.sets or ("xquad_en", "xquad_es"):
            compress(name, options.questions)
    for name in options.sets or retrieval.SETS:
        if options.what != "compress":
            rank(name, options.questions, RANKING if options.what == "rank" else JUDGES)


if __name__ == "__main__":
    main()
