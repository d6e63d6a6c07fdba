"""A part of a real SQuAD file, where all of it would take long to index."""

from __future__ import annotations

import json
from pathlib import Path


def first_articles(file: Path, count: int, folder: Path) -> Path:
    """The first `count` articles of it, with all their questions, as a file in `folder`."""
    table = json.loads(file.read_text(encoding="utf-8"))
    assert len(table["data"]) > count
    part = folder / file.name
    part.write_text(json.dumps({**table, "data": table["data"][:count]}), encoding="utf-8")
    return part
