"""The question sets of ../shared/data/qa as collections of llar and lists of questions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexed import indexed

import llar

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "qa"
SETS = ("xquad_en", "xquad_es", "squad_es", "clapnq")


@dataclass(frozen=True)
class Question:
    """One question: where the answer stands, and what counts as one; no golds: unanswerable."""

    id: str
    text: str
    passage: str  # name of the passage's file
    golds: tuple[str, ...]

    @property
    def answerable(self) -> bool:
        """Does the passage hold an answer?"""
        return bool(self.golds)

    @property
    def part(self) -> str:
        """Which half of a set it is in: "tune" for choosing thresholds, "test" for reporting.

        Questions of one passage stay together."""
        return "tune" if hashlib.sha256(self.passage.encode()).digest()[0] % 2 else "test"


def load(name: str) -> tuple[dict[str, str], list[Question]]:
    """(passages by file name, questions) of one set."""
    if name == "clapnq":
        return _clapnq()
    file = {"xquad_en": "xquad.en", "xquad_es": "xquad.es", "squad_es": "squad_es_v2"}[name]
    passages: dict[str, str] = {}
    questions = []
    for article in json.loads((DATA / f"{file}.json").read_text())["data"]:
        for paragraph in article["paragraphs"]:
            key = _add(passages, paragraph["context"])
            for qa in paragraph["qas"]:
                golds = () if qa.get("is_impossible") else tuple(a["text"] for a in qa["answers"])
                questions.append(Question(str(qa["id"]), qa["question"], key, golds))
    return passages, questions


def _clapnq() -> tuple[dict[str, str], list[Question]]:
    passages: dict[str, str] = {}
    questions = []
    for half in ("answerable", "unanswerable"):
        for line in (DATA / f"clapnq_{half}.jsonl").read_text().splitlines():
            row: dict[str, Any] = json.loads(line)
            passage = row["passages"][0]
            key = _add(passages, f"{passage['title']}\n\n{passage['text']}")
            golds = [o["answer"] for o in row["output"] if o["answer"]]
            questions.append(Question(str(row["id"]), row["input"], key, tuple(golds)))
    return passages, questions


def _add(passages: dict[str, str], text: str) -> str:
    key = hashlib.sha256(text.encode()).hexdigest()[:16] + ".txt"
    passages[key] = text
    return key


def collection(name: str, passages: dict[str, str]) -> llar.Collection:
    """The set's passages, indexed."""
    return indexed(f"qa-{name}", passages)
