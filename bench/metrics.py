"""Metric evaluations per CPU second, beside pytrec-eval, sacrebleu, NLTK and rouge-score.

    python bench/metrics.py [--rounds N] [--matters]

Ranking: all measures of one query with 100 results count as one. Overlap: all measures of one
answer count as one. The peers work out the same figures in the same run, and every figure is
compared; a difference ends the run. Also: bootstrap intervals of 32 measures of 1,190 queries
beside scipy's of one. `--matters` measures from which cosine on a sentence holds the answer to a
question (llar.evaluate.grounding.MATTERS). Goal: 1,000 evaluations per second of each kind.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytrec_eval
import sacrebleu
import scipy.stats
import Stemmer
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from llar.evaluate import overlap
from llar.evaluate.ranking import KS, measures, order
from llar.evaluate.statistics import intervals

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "qa"
QUERIES, RESULTS, JUDGED = 1000, 100, 30
ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
TREC = {"ndcg": "ndcg_cut", "hit": "success", "precision": "P", "recall": "recall",
        "map": "map_cut"}  # fmt: skip
CLOSE = 1e-9

Pair = tuple[str, str]


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--matters", action="store_true")
    given = parser.parse_args()
    if given.matters:
        for language in ("en", "es"):
            matters(language)
        return
    ranking(given.rounds)
    answers(given.rounds)
    bootstrap()


def ranking(rounds: int) -> None:
    """nDCG, hit rate, precision, recall and MAP at six k, MAP and MRR."""
    randoms = random.Random(0)
    runs, judged = [], []
    for _ in range(QUERIES):
        names = [f"doc{i}" for i in randoms.sample(range(10_000), RESULTS)]
        runs.append({name: round(randoms.random(), 2) for name in names})
        relevant = [*randoms.sample(names, JUDGED // 2), *(f"other{i}" for i in range(JUDGED // 2))]
        judged.append({name: randoms.choice((0, 1, 1, 2, 3)) for name in relevant})
    cuts = ",".join(map(str, KS))
    wanted = {"map", "recip_rank", *(f"{name}.{cuts}" for name in TREC.values())}
    by_id = {str(i): gains for i, gains in enumerate(judged)}
    scores = {str(i): run for i, run in enumerate(runs)}
    ranked = [order(run) for run in runs]
    ours, theirs = in_turn(
        rounds,
        lambda: [measures(r, g) for r, g in zip(ranked, judged, strict=True)],
        lambda: pytrec_eval.RelevanceEvaluator(by_id, wanted).evaluate(scores),
    )
    for i, mine in enumerate(ours.result):
        found = theirs.result[str(i)]
        agree(mine["map"], found["map"])
        agree(mine["mrr"], found["recip_rank"])
        for name, other in TREC.items():
            for k in KS:
                agree(mine[f"{name}@{k}"], found[f"{other}_{k}"])
    print(f"ranking, {QUERIES} queries of {RESULTS} results: {len(ours.result[0])} measures each")
    ours.show("llar", QUERIES)
    theirs.show("pytrec-eval-terrier (C; 32 of the measures)", QUERIES)


def answers(rounds: int) -> None:
    """All measures of answers of one sentence."""
    pairs = {language: sentences(language) for language in ("en", "es")}
    flat = [(answer, [gold], lang) for lang, of in pairs.items() for answer, gold in of]
    stems = {"en": Porter("english"), "es": Porter("spanish")}
    rouge = RougeScorer(ROUGE)

    def mine() -> list[dict[str, float]]:
        forget()
        return [overlap.scores(answer, golds, language=lang) for answer, golds, lang in flat]

    def theirs() -> list[dict[str, float]]:
        found = []
        for answer, golds, lang in flat:
            row = {
                "bleu": sacrebleu.sentence_bleu(answer, golds).score / 100,
                "chrf": sacrebleu.sentence_chrf(answer, golds).score / 100,
                "meteor": meteor_score(
                    [overlap.words(gold) for gold in golds],
                    overlap.words(answer),
                    stemmer=stems[lang],
                    wordnet=NoSynonyms(),
                ),
            }
            if answer.isascii() and golds[0].isascii():
                row |= {n: s.fmeasure for n, s in rouge.score_multi(golds, answer).items()}
            found.append(row)
        return found

    ours, others = in_turn(rounds, mine, theirs)
    for row, other in zip(ours.result, others.result, strict=True):
        for name, value in other.items():
            agree(row[name], value)
    words = sum(len(answer.split()) for answer, _, _ in flat) / len(flat)
    print(f"overlap, {len(flat)} answers of {words:.0f} words: {len(ours.result[0])} measures each")
    ours.show("llar", len(flat))
    others.show("sacrebleu + NLTK + rouge-score (7 of the measures)", len(flat))
    two, twice = in_turn(
        rounds,
        lambda: [(overlap.bleu(a, g), overlap.chrf(a, g)) for a, g, _ in flat],
        lambda: [
            (sacrebleu.sentence_bleu(a, g), sacrebleu.sentence_chrf(a, g)) for a, g, _ in flat
        ],
    )
    two.show("llar, BLEU and chrF alone", len(flat))
    twice.show("sacrebleu, the same", len(flat))


def bootstrap() -> None:
    """Confidence intervals."""
    table = np.random.default_rng(0).beta(2, 0.5, (1190, 32))
    columns = {str(i): table[:, i].tolist() for i in range(32)}
    ours, theirs = in_turn(
        3,
        lambda: intervals(columns),
        lambda: scipy.stats.bootstrap((table[:, 0],), np.mean, n_resamples=10_000, batch=100),
    )
    print("bootstrap, BCa, 10,000 resamples of 1,190 queries")
    print(f"  llar, 32 measures: {ours.seconds * 1000:.0f} CPU ms")
    print(f"  scipy, 1 measure: {theirs.seconds * 1000:.0f} CPU ms")


# --- what is measured with


class Timed:
    """The last result of what was timed, and the least CPU seconds it took."""

    def __init__(self) -> None:
        self.result: Any = None
        self.seconds = float("inf")

    def show(self, name: str, count: int) -> None:
        """Print a rate."""
        print(f"  {name}: {count / self.seconds:,.0f} per CPU second")


def in_turn(
    rounds: int, ours: Callable[[], object], theirs: Callable[[], object]
) -> tuple[Timed, Timed]:
    """Both by turns, so that what slows the machine down slows both."""
    found = Timed(), Timed()
    for _ in range(rounds):
        for timed, work in zip(found, (ours, theirs), strict=True):
            start = time.process_time()
            timed.result = work()
            timed.seconds = min(timed.seconds, time.process_time() - start)
    return found


def agree(ours: float, theirs: float) -> None:
    """End the run where two figures differ."""
    if abs(ours - theirs) > CLOSE:
        sys.exit(f"llar says {ours!r}, the second implementation {theirs!r}")


def forget() -> None:
    """Empty llar's caches, so that no round profits from the one before."""
    from llar.evaluate import ngrams

    for cached in (ngrams.tokens, overlap._normalised, overlap._words, overlap._stem):
        cached.cache_clear()


class Porter:
    """A Snowball stemmer as NLTK calls one."""

    def __init__(self, algorithm: str) -> None:
        self._stemmer = Stemmer.Stemmer(algorithm)

    def stem(self, word: str) -> str:
        """The stem of a word."""
        stemmed: str = self._stemmer.stemWord(word)
        return stemmed


class NoSynonyms:
    """In the place of NLTK's WordNet."""

    def synsets(self, _: str) -> Sequence[str]:
        """None."""
        return ()


def paragraphs(language: str) -> list[dict[str, Any]]:
    """The paragraphs of XQuAD, with their questions."""
    file = DATA / f"xquad.{language}.json"
    found = json.loads(file.read_text(encoding="utf-8"))["data"]
    return [paragraph for article in found for paragraph in article["paragraphs"]]


def sentences(language: str) -> list[Pair]:
    """Sentences of XQuAD, each with the same a little changed."""
    randoms = random.Random(language)
    pairs = []
    for paragraph in paragraphs(language):
        for gold in re.split(r"(?<=[.!?]) ", paragraph["context"])[:3]:
            words = gold.split()
            for _ in range(3):
                i, j = randoms.randrange(len(words)), randoms.randrange(len(words))
                words[i], words[j] = words[j], words[i]
            pairs.append((" ".join(words[: randoms.randint(1, len(words))]), gold))
    return pairs


def matters(language: str) -> None:
    """How well a least cosine parts sentences that hold an answer from their neighbours."""
    from llar.answer.evidence import collect
    from llar.config import load
    from llar.evaluate.semantic import embed_texts
    from llar.models import open_embedder
    from llar.records import Chunk, Hit, Source
    from llar.retrieve import embed_query

    config = load()
    embedder = open_embedder(config, config.embedder)
    cosines: list[float] = []
    holds: list[bool] = []
    for paragraph in paragraphs(language):
        text = paragraph["context"]
        found = collect([Hit(Source(1, "", language=language), Chunk(text, 0, len(text)), 1, 1.0)])
        vectors = embed_texts(embedder, [e.text for e in found])
        for asked in paragraph["qas"]:
            start = asked["answers"][0]["answer_start"]
            end = start + len(asked["answers"][0]["text"])
            cosines += (vectors @ embed_query(embedder, asked["question"])).tolist()
            holds += [e.start < end and start < e.end for e in found]
    there, near = np.array(holds), np.array(cosines)
    print(f"{embedder.identity.name}, XQuAD {language}, {len(there)} sentences, {there.mean():.0%}")
    for least in np.arange(0.3, 0.75, 0.05):
        told, spared = (near >= least)[there].mean(), (near < least)[~there].mean()
        print(f"  cosine >= {least:.2f}: found {told:.3f}, balanced {(told + spared) / 2:.3f}")


if __name__ == "__main__":
    main()
