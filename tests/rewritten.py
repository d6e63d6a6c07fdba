"""Small collections for the tests of the steps before retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llar
from llar.config import load
from llar.records import Step
from llar.retrieve import Result


def made(folder: Path, texts: Mapping[str, str], name: str = "notes") -> llar.Collection:
    """A collection of these texts by file name, embedded by hashed words."""
    files = folder / f"{name}-files"
    files.mkdir(parents=True)
    for file, text in texts.items():
        (files / file).write_text(text, encoding="utf-8")
    config = load({"home": folder / "home", "embedder": "fake:hash"}, env={})
    docs = llar.Collection(name, config=config)
    report = docs.add(files)
    assert not report.failed
    return docs


def step(result: Result, name: str) -> Step:
    """The step of that name on record."""
    return next(s for s in result.steps if s.name == name)


def about(result: Result, name: str) -> Mapping[str, Any]:
    """What the step of that name tells."""
    return step(result, name).about


def found(docs: llar.Collection, question: str, steps: str, mode: str = "lexical") -> list[str]:
    """Names of the files found, best first."""
    hits = docs.search(question, query=steps, mode=mode, k=20)
    return [Path(h.document.path).name for h in hits]
