"""What each step before retrieval does to nDCG@10 on ../shared/data/retrieval, and its time.

`python bench/rewriting.py words` measures the steps without a model on up to 300 questions a set,
`spelling` on questions with one mistake each, `model` those that ask the chat model on a sample
of 20 questions of each set, `intent` whether the kind of a question and its collection are found.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexed import indexed
from retrieval import DATA, SETS, collection, ndcg, questions

import llar
from llar.evaluate.beir import read_beir
from llar.evaluate.statistics import paired

WORDS = (
    "none", "language", "words:porter", "words:lemma", "words:none", "words:stops", "spelling",
    "synonyms", "synonyms:3", "hypernyms", "hypernyms:2", "prf", "prf:10:10:0.5", "prf:5:10:0.8",
    "prf-dense", "prf-dense:10:0.5", "prf,prf-dense",
)  # fmt: skip
MODEL = ("none", "multi", "step-back", "decompose", "hyde")
LARGEST = 300  # questions of a set
SAMPLE = 20  # where the model is asked
DEPTH = 100


def scores(
    docs: llar.Collection, asked: Mapping[str, str], relevant: Mapping[str, dict[str, float]],
    step: str, mode: str,
) -> tuple[list[float], float]:  # fmt: skip
    """nDCG@10 of each question, and the mean time of a search in milliseconds."""
    docs.search("warm up", k=1, mode=mode, query="none")
    found, start = [], time.perf_counter()
    for query_id, text in asked.items():
        hits = docs.search(text, k=DEPTH, mode=mode, query=step)
        ranked = list(dict.fromkeys(Path(h.document.path).name for h in hits))
        found.append(ndcg(ranked, relevant[query_id]))
    return found, (time.perf_counter() - start) * 1000 / len(asked)


def table(steps: tuple[str, ...], mode: str, sample: int) -> None:
    """One row per step: each set's nDCG@10 against that of no step, and the times."""
    rows: dict[str, list[str]] = defaultdict(list)
    for name in SETS:
        docs = collection(name)
        queries, relevant = questions(name)
        ids = sorted(relevant)
        ids = random.Random(0).sample(ids, min(sample, len(ids)))
        asked = {i: queries[i] for i in ids}
        base: list[float] = []
        for step in steps:
            found, ms = scores(docs, asked, relevant, step, mode)
            base = base or found
            mean = sum(found) / len(found)
            sure = "*" if step != "none" and paired(base, found).p < 0.05 else ""
            rows[step].append(f"{mean:.3f}{sure} | {ms:.0f}")
            print(name, mode, step, rows[step][-1], file=sys.stderr, flush=True)
        docs.close()
    print(f"| {mode} | " + " | ".join(f"{name} | ms" for name in SETS) + " |")
    print("|---" * (2 * len(SETS) + 1) + "|")
    for step, cells in rows.items():
        print(f"| {step} | " + " | ".join(cells) + " |")


def mistaken(text: str, rng: random.Random) -> str:
    """The question with one mistake in a word of at least five letters, if it has one."""
    words = text.split()
    places = [i for i, word in enumerate(words) if word.isalpha() and len(word) >= 5]
    if not places:
        return text
    i = rng.choice(places)
    word, at = words[i], rng.randrange(1, len(words[i]) - 1)
    words[i] = rng.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + rng.choice("aeiourstln") + word[at:],
            word[:at] + rng.choice("aeiourstln") + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )
    return " ".join(words)


def spelled() -> None:
    """How many mistakes are mended, how many good questions changed, and what it is worth."""
    print("| set | questions | good ones changed | mended | clean | mistaken | with the step |")
    print("|---|---|---|---|---|---|---|")
    for name in SETS:
        docs = collection(name)
        queries, relevant = questions(name)
        rng = random.Random(0)
        ids = sorted(relevant)
        ids = random.Random(0).sample(ids, min(LARGEST, len(ids)))
        asked = {i: " ".join(queries[i].split()) for i in ids}
        bad = {i: mistaken(text, rng) for i, text in asked.items()}
        bad = {i: text for i, text in bad.items() if text != asked[i]}
        changed = sum(rewritten(docs, text) != text for text in asked.values())
        mended = sum(rewritten(docs, text) == asked[i] for i, text in bad.items())
        figures = []
        for texts, step in ((asked, "none"), (bad, "none"), (bad, "spelling")):
            found, _ = scores(docs, {i: texts[i] for i in bad}, relevant, step, "hybrid")
            figures.append(f"{sum(found) / len(found):.3f}")
        print(f"| {name} | {len(bad)} | {changed / len(asked):.1%} | {mended / len(bad):.1%} | "
              + " | ".join(figures) + " |", flush=True)  # fmt: skip
        docs.close()


def rewritten(docs: llar.Collection, text: str) -> str:
    """The question as the step spells it."""
    return docs.explain(text, k=1, mode="lexical", query="spelling").query.text


def filed(name: str) -> llar.Collection:
    """A set as an ordinary collection beside the others; `collection` keeps it apart."""
    texts = read_beir(DATA / name).texts
    assert texts
    found = {f"{t.path}.txt": f"{t.title or ''}\n\n{t.text}".strip() for t in texts()}
    return indexed(f"retrieval-{name}", {file: text for file, text in found.items() if text})


def intents() -> None:
    """Kinds of questions by the model, and which of the five sets a question is sent to."""
    listed = (Path(__file__).parent / "intents.tsv").read_text("utf-8").splitlines()
    cases = [line.split("\t") for line in listed]
    docs = filed("adi")
    counts: dict[str, int] = defaultdict(int)
    for expected, text in cases:
        for step in docs.explain(text, k=1, mode="lexical", query="intent:model").steps:
            for who in ("by rules", "by the model"):
                counts[who] += step.about.get(who) == expected
    print(f"kinds: {dict(counts)} of {len(cases)}")
    docs.close()
    sets = {name: filed(name) for name in SETS}
    names = {docs.name for docs in sets.values()}
    for name, docs in sets.items():
        asked = list(questions(name)[0].values())[:100]
        right = wrong = 0
        for text in asked:
            about: dict[str, Any] = {}
            for step in docs.explain(text, k=1, mode="lexical", query="intent").steps:
                about |= step.about
            found = {n: s for n, s in about["scores"].items() if n in names}
            right += max(found, key=lambda n: found[n]) == docs.name
            wrong += "elsewhere" in about
        print(f"{name}: {right} of {len(asked)} score best here, {wrong} are sent elsewhere")
    for docs in sets.values():
        docs.close()


def main() -> None:
    """Print what is asked for."""
    for what in sys.argv[1:] or ["words", "spelling", "model", "intent"]:
        if what == "words":
            for mode in ("lexical", "hybrid"):
                table(WORDS, mode, LARGEST)
        elif what == "model":
            table(MODEL, "hybrid", SAMPLE)
        elif what == "spelling":
            spelled()
        elif what == "intent":
            intents()
        else:
            sys.exit(f"{what!r} is none of words, spelling, model and intent")


if __name__ == "__main__":
    main()
