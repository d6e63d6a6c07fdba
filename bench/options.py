"""What every option of a search brings, on ../shared/data/retrieval: quality, time, tokens.

    python bench/options.py [--set NAME ...] [--questions N] [--model] [OPTION ...]

Each row is one option beside the defaults; its nDCG@10 in each set, the mean difference to the
defaults over all questions with a 95 % interval (paired bootstrap), milliseconds per question, and
the tokens of the four passages that a model would be shown. An option is written as on the command
line, "--post mmr"; without any, all of OPTIONS are measured. --model measures those that ask the
chat model, on few questions, as each takes seconds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import llar
from llar.evaluate.beir import read_beir
from llar.evaluate.indexed import of_texts
from llar.evaluate.questions import Question, QuestionSet
from llar.evaluate.ranking import measures
from llar.evaluate.statistics import paired
from llar.records import Hit

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "retrieval"
SETS = ("cranfield", "medline", "adi", "xquad_en", "xquad_es")
HOME = Path(__file__).parent / ".work" / "options"
DEPTH = 100  # passages retrieved, so that ten documents are found
SHOWN = 4  # passages a model would be shown

OPTIONS = (
    "defaults",
    "--query none",
    "--mode lexical",
    "--mode dense",
    "--set fusion=rrf",
    "--set fusion=adaptive",
    "--query prf",
    "--query prf,prf-dense",
    "--query words:porter,prf-dense",
    "--query words:lemma,prf-dense",
    "--query words:none,prf-dense",
    "--query spelling,prf-dense",
    "--query synonyms,prf-dense",
    "--query hypernyms,prf-dense",
    "--strategy iterative",
    "--strategy adaptive",
    "--strategy self-query",
    "--strategy recursive",
    "--strategy graph",
    "--post rerank:late",
    "--post mmr",
    "--post dedup",
    "--post min-score:50%",
    "--post neighbours",
    "--post compress:0.5",
    "--set chunk_tokens=96",
    "--set chunk_tokens=254",
    "--set chunker=token",
    "--set chunker=word",
    "--set chunker=sentence",
    "--set chunker=sentence-window",
    "--set chunker=semantic",
    "--set chunker=double-pass",
    "--set chunker=parent-child",
    "--set chunker=late",
)
ASKING = (
    "defaults",
    "--query multi",
    "--query hyde",
    "--query step-back",
    "--query decompose",
    "--strategy iterative:model",
    "--post graded",
    "--post likelihood",
    "--post surprisal:0.5",
)


@dataclass
class Row:
    """What one option came to, by question."""

    ndcg: dict[tuple[str, str], float] = field(default_factory=dict)  # (set, question) -> value
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


def config_of(option: str) -> llar.Config:
    """The settings that an option stands for."""
    config = llar.load_config()
    HOME.mkdir(parents=True, exist_ok=True)
    if not (HOME / "models").exists():
        (HOME / "models").symlink_to(config.models_dir, target_is_directory=True)
    given: dict[str, object] = {}
    words = option.split() if option != "defaults" else []
    for name, value in zip(words[::2], words[1::2], strict=True):
        key, text = value.split("=") if name == "--set" else (name.removeprefix("--"), value)
        given[key] = int(text) if key == "chunk_tokens" else text
    return replace(config, home=HOME, **given)  # type: ignore[arg-type]


def measure(option: str, name: str, found: QuestionSet, asked: list[Question], row: Row) -> None:
    """Search for these questions with one option."""
    with of_texts(config_of(option), found) as docs:
        docs.search(asked[0].question)  # models are loaded and passages read
        for question in asked:
            start = time.perf_counter()
            hits = docs.search(question.question, k=DEPTH)
            row.seconds.append(time.perf_counter() - start)
            ranked = list(dict.fromkeys(document(h) for h in hits))
            row.ndcg[name, question.id] = measures(ranked, gains(question))["ndcg@10"]
            row.tokens.append(sum(docs.embedder.count_tokens(h.content) for h in hits[:SHOWN]))


def document(hit: Hit) -> str:
    """The data's own name of a hit's document."""
    return hit.document.path.rsplit("/", 1)[-1]


def gains(question: Question) -> dict[str, float]:
    """What each document is worth for a question."""
    return dict(question.documents)


def main() -> None:
    """Print a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*", metavar="OPTION")
    parser.add_argument("--set", action="append", dest="sets", choices=SETS)
    parser.add_argument("--questions", type=int, default=0, help="of each set; 0: all")
    parser.add_argument("--model", action="store_true")
    given = parser.parse_args()
    sets = {name: read_beir(DATA / name) for name in given.sets or SETS}
    asked = {}
    for name, found in sets.items():
        questions = [q for q in found.questions if gains(q)]
        few = given.questions or (12 if given.model else 0)
        asked[name] = (
            random.Random(1).sample(questions, min(few, len(questions))) if few else questions
        )
    options = given.options or (ASKING if given.model else OPTIONS)
    print(
        f"{'':<34}"
        + "".join(f"{n:>10}" for n in sets)
        + f"{'difference':>26}{'ms':>9}{'tokens':>8}"
    )
    base: Row | None = None
    for option in dict.fromkeys(["defaults", *options]):
        row = Row()
        for name, found in sets.items():
            measure(option, name, found, asked[name], row)
        base = base or row
        means = [statistics.mean(v for (s, _), v in row.ndcg.items() if s == name) for name in sets]
        change = paired([row.ndcg[k] for k in base.ndcg], list(base.ndcg.values()))
        shown = f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
        print(
            f"{option:<34}" + "".join(f"{m:10.4f}" for m in means) + f"{shown:>26}"
            f"{statistics.mean(row.seconds) * 1000:9.1f}{statistics.mean(row.tokens):8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
