"""Texts as files in bench/.work, indexed as a collection of llar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import llar

WORK = Path(__file__).parent / ".work"


def indexed(name: str, texts: Mapping[str, str]) -> llar.Collection:
    """The collection `name` of these texts by file name; made once, opened afterwards."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        if not (folder / file).is_file():
            (folder / file).write_text(text, encoding="utf-8")
    config = llar.load_config()
    home = WORK / "home"
    home.mkdir(exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to(config.models_dir, target_is_directory=True)
    docs = llar.Collection(name, config=replace(config, home=home))
    report = docs.add(folder)
    assert not report.failed, report.failed
    return docs
