"""How long a search takes at 1 k, 10 k, 100 k and 1 M passages, beside the same peers.

    python bench/search.py [--sizes N ...] [--peers NAME ...] [--queries N] [--threads N]

Passages are sentences of the corpora in ../shared/data, recombined; their vectors are random and of
length 1. Questions are real ones, and embedding them counts. The collection is open and warm; ten
results with their texts; all are asked the same question in turn, `--threads` each. A program that
takes longer than `--limit` seconds to be filled, or more than 9 GiB, is out from that size on.
Recall is the share of the ten nearest passages, by exact comparison with the question's vector
(int8 for llar, float32 for the others), that the dense search finds; random vectors are harder to
find than real ones.
Goal: hybrid at 100 k under 10 ms in the middle, and ahead of all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from peer import DATA, DJANGO, THREADS, WORK, Peer, PeerError, running, table

from llar.models.interface import Matrix

NAMES = ("llar", "txtai", "langchain", "llama-index")
MODES = ("lexical", "dense", "hybrid")
SIZES = (1_000, 10_000, 100_000, 1_000_000)
DIMENSION = 384
K = 10
PATIENCE = 60.0  # seconds of searching after which a slow program is asked no more in a mode

Times = dict[tuple[str, str], list[float]]


def main() -> None:
    """Fill, ask, and print one table per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--peers", nargs="*", default=NAMES)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--limit", type=float, default=1800.0)
    parser.add_argument("--threads", type=int, default=THREADS)
    given = parser.parse_args()
    folder = lay_down(max(given.sizes))
    questions = _questions(given.queries + 5)
    int8, float32 = embed("llar", questions), embed("sentence-transformers", questions)
    names = list(given.peers)
    for size in sorted(given.sizes):
        with contextlib.ExitStack() as stack:
            peers, filled = {}, {}
            for name in tuple(names):
                try:
                    peers[name], filled[name] = fill(stack, name, given, folder, size)
                except PeerError as e:
                    print(f"{name} at {size:,}: {e}", flush=True)
                    names.remove(name)
            ours, theirs = exact(folder, size, int8), exact(folder, size, float32)
            nearest = {name: ours if name == "llar" else theirs for name in peers}
            times, recall = ask(peers, questions, nearest)
        print(f"\n{size:,} passages, {given.threads} threads, p50 / p95 in ms\n")
        report(times, {name: filled[name] for name in peers}, recall)


def fill(
    stack: contextlib.ExitStack, name: str, given: argparse.Namespace, folder: Path, size: int
) -> tuple[Peer, float]:
    """A program holding `size` passages, and the seconds that took."""
    with contextlib.ExitStack() as own:
        peer = own.enter_context(running(name, threads=given.threads))
        peer.ask("load", {})
        asked = {"folder": str(folder), "count": size, "k": K}
        answer = peer.ask("fill", asked, limit=given.limit)
        assert answer["chunks"] == size, f"{name} holds {answer['chunks']} of {size}"
        stack.push(own.pop_all())
    return peer, float(answer["seconds"])


def ask(
    peers: dict[str, Peer], questions: list[str], nearest: dict[str, list[set[str]]]
) -> tuple[Times, dict[str, float]]:
    """Seconds of every search by (program, mode), and the recall of each program's dense one.

    A program that dies is taken out of `peers`.
    """
    times: Times = {(name, mode): [] for name in peers for mode in MODES}
    shares: dict[str, list[float]] = {name: [] for name in peers}
    for number, question in enumerate(questions):
        for mode in MODES:
            for name, peer in tuple(peers.items()):
                if sum(times[name, mode]) > PATIENCE:
                    continue
                try:
                    answer = peer.ask("search", {"query": question, "mode": mode, "k": K})
                except PeerError as e:
                    print(f"{name}, {mode} search: {e}", flush=True)
                    del peers[name]
                    continue
                if number >= 5:  # the first warm up
                    times[name, mode].append(answer["seconds"])
                if mode == "dense":
                    shares[name].append(len(nearest[name][number] & set(answer["found"])) / K)
    return times, {name: float(np.mean(found)) for name, found in shares.items()}


def embed(name: str, questions: list[str]) -> Matrix:
    """The vectors that a program's model makes of the questions."""
    asked = WORK / "questions.json"
    asked.write_text(json.dumps(questions), encoding="utf-8")
    into = str(WORK / f"questions-{name}.npy")
    with running(name) as peer:
        peer.ask("load", {})
        peer.ask("embed", {"texts": str(asked), "into": into, "batch": 32})
    return np.asarray(np.load(into))


def exact(folder: Path, size: int, asked: Matrix) -> list[set[str]]:
    """The texts of the passages nearest to each question, compared one by one in float32."""
    texts = [json.loads(line) for line in _first(folder / "texts.jsonl", size)]
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")[:size]
    best = np.full((len(asked), K), -2.0, np.float32)
    places = np.zeros((len(asked), K), np.int64)
    for start in range(0, size, 50_000):
        scores = np.concatenate([best, asked @ vectors[start : start + 50_000].T], axis=1)
        top = np.argsort(-scores, axis=1)[:, :K]
        old = np.take_along_axis(places, np.minimum(top, K - 1), axis=1)
        places = np.where(top < K, old, top - K + start)
        best = np.take_along_axis(scores, top, axis=1)
    return [{texts[i] for i in row} for row in places]


def report(times: Times, filled: dict[str, float], recall: dict[str, float]) -> None:
    """One table; milliseconds, the middle and the 95th of a hundred."""
    body = []
    for name, seconds in filled.items():
        cells = [f"{_p(times[name, mode], 50)} / {_p(times[name, mode], 95)}" for mode in MODES]
        fewest = min(len(times[name, mode]) for mode in MODES)
        body.append((name, *cells, f"{recall[name]:.2f}", fewest, f"{seconds:.0f}"))
    print(table(("", *MODES, "recall", "questions", "filled in s"), body), flush=True)


def lay_down(count: int) -> Path:
    """`count` texts and vectors in bench/.work, the same ones each time; more are begun anew."""
    folder = WORK / "search"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "count").exists() or int((folder / "count").read_text()) < count:
        pool, random_ = _sentences(), random.Random(7)
        with (folder / "texts.jsonl").open("w", encoding="utf-8") as lines:
            for _ in range(count):
                text = ""
                while len(text) < 400:
                    text = f"{text} {random_.choice(pool)}".lstrip()
                lines.write(json.dumps(text) + "\n")
        file = folder / "vectors.npy"
        vectors = open_memmap(file, "w+", np.float32, (count, DIMENSION))
        generator = np.random.default_rng(7)
        for start in range(0, count, 10_000):
            rows = generator.standard_normal((min(10_000, count - start), DIMENSION), np.float32)
            vectors[start : start + len(rows)] = rows / np.linalg.norm(rows, axis=1)[:, None]
        vectors.flush()
        (folder / "count").write_text(str(count))
    return folder


def _sentences() -> list[str]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(DJANGO.rglob("*.txt"))]
    for name in ("cranfield", "medline", "adi", "xquad_en"):
        lines = (DATA / "retrieval" / name / "corpus.jsonl").read_text(encoding="utf-8")
        texts += [json.loads(line)["text"] for line in lines.splitlines()]
    found = [" ".join(s.split()) for text in texts for s in re.split(r"(?<=[.?!])\s|\n\n", text)]
    return sorted({s for s in found if 20 <= len(s) <= 300})


def _questions(count: int) -> list[str]:
    data = json.loads((DATA / "qa" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    found = [q["question"] for a in data for p in a["paragraphs"] for q in p["qas"]]
    return random.Random(7).sample(found, count)


def _first(file: Path, count: int) -> list[str]:
    with file.open(encoding="utf-8") as lines:
        return [line for _, line in zip(range(count), lines, strict=False)]


def _p(seconds: list[float], percent: int) -> str:
    value = 1000 * float(np.percentile(seconds, percent))
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
