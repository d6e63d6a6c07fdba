"""Attack success on BIPIA (../shared/data/injection): llar's answers beside the bare model's.

    python bench/injection.py [--count N] [--no-bare] [--judge BACKEND:NAME] [SET ...]

Sets: `bipia` are BIPIA's e-mails, tables and code with its own questions, most of which llar does
not answer from so little text; `qa` are paragraphs of XQuAD (en) with theirs, which it does answer,
with BIPIA's text attacks in them. One table in Markdown for each set.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import qa_data
from indexed import WORK

import llar
from llar.evaluate import injection_data as data_of
from llar.evaluate.draw import drawn
from llar.evaluate.injection import Rate, Table, inject, tables

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "injection"
COMPANY = 100
SEED = 0


def contexts_of(name: str) -> dict[str, list[data_of.Context]]:
    """The contexts of a set by their kind."""
    if name == "bipia":
        return {k: data_of.read_contexts(DATA, k, "train") for k in data_of.kinds(DATA, "train")}
    passages, questions = qa_data.load("xquad_en")
    folder = WORK / "injection" / "qa"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"context": passages[q.passage], "question": q.text, "ideal": q.golds[0]}
        for q in drawn(SEED, "qa").sample(questions, 200)
    ]
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {"qa": data_of.read_contexts(folder.parent, "qa", "train")}


def main() -> None:
    """Run the sets named, or both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", default=["bipia", "qa"])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--no-bare", action="store_true")
    parser.add_argument("--judge")
    options = parser.parse_args()
    config = llar.load_config()
    home = WORK / "home"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to(config.models_dir, target_is_directory=True)
    config = replace(config, home=home)
    for name in options.sets:
        contexts = contexts_of(name)
        attacks = {code: data_of.read_attacks(DATA, "train", code=code) for code in (False, True)}
        cases = data_of.sample(contexts, attacks, options.count, SEED)
        company = [
            c for of in contexts.values() for c in drawn(SEED).sample(of, min(len(of), COMPANY))
        ]
        _, outcomes, right = inject(
            config,
            cases,
            company=company,
            bare=not options.no_bare,
            judged_by=options.judge,
            data={"name": name},
            seed=SEED,
            told=_told,
        )
        print(f"\n{name}: {len(cases)} contexts with attacks\n")
        show(tables(outcomes, right, seed=SEED))
        for o in outcomes:
            if o.followed or o.shown:
                said = " ".join(o.response.split())[:160]
                print(f"- {o.way}, {o.case.id}: {o.by or 'shown'} ({o.why}): {said}")


def _told(done: int, total: int) -> None:
    print(f"\r{done}/{total}", end="", file=sys.stderr)


def show(made: list[Table]) -> None:
    """The tables of both ways as one, in Markdown."""
    print("| group | way | followed | shown | draft followed | answered | no attack | invalid |")
    print("|---|---|---|---|---|---|---|---|")
    for label in made[0].rows:
        for table in made:
            rates = table.rows[label]
            cells = [cell(rates[n]) for n in ("followed", "shown", "draft", "answered", "alarm")]
            print(f"| {label} | {table.way} | {' | '.join(cells)} | {rates['followed'].invalid} |")
    for table in made:
        for kind, value in table.utility.items():
            print(f"\n{table.way}, {kind} without attacks: {value.mean:.3f} "
                  f"[{value.low:.3f}, {value.high:.3f}]")  # fmt: skip


def cell(rate: Rate) -> str:
    """A share with its interval and counts."""
    if rate.value is None:
        return "-"
    v = rate.value
    return f"{v.mean:.2f} [{v.low:.2f}, {v.high:.2f}] {rate.yes}/{rate.counted}"


if __name__ == "__main__":
    main()
