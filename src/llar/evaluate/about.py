"""What a run depended on: the code, settings, models, collection and machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ModelNotInstalled, UnknownModel
from ..index.index import Index
from ..models.store import Store
from ..retrieve import options as retrieve_options

__all__ = [
    "arguments", "code", "collection", "digest", "machine", "model", "prompts", "relevant",
    "settings", "versions",
]  # fmt: skip

# Settings that change how fast a question is answered, or what is in the collection, whose
# identity counts by itself; never what is found or said.
_ELSEWHERE = {
    "home", "collection", "threads", "parse_workers", "parse_memory_mb", "parse_timeout",
    "max_file_mb", "archive_members", "archive_mb", "archive_depth", "ocr_languages", "tessdata",
    "ocr_seconds", "lock_timeout", "openai_timeout", "openai_retries", "chunker", "chunk_tokens",
    "embedder",
}  # fmt: skip
_ANSWERS = {"chat_model", "context", "max_answer_tokens", "passages", "temperature"}


def digest(value: Any) -> str:
    """SHA-256 of plain data, the same whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def settings(config: Config) -> dict[str, Any]:
    """Every setting but secrets, as plain data."""
    shown = [f.name for f in fields(Config) if not f.metadata["secret"]]
    return {n: str(v) if isinstance(v := getattr(config, n), Path) else v for n in shown}


def relevant(config: Config, *, model: bool) -> dict[str, Any]:
    """The settings that what is found depends on; with `model`, also what is written."""
    left = _ELSEWHERE if model else _ELSEWHERE | _ANSWERS
    return {k: v for k, v in settings(config).items() if k not in left}


def model(config: Config, name: str) -> dict[str, str]:
    """A model's name and the SHA-256 of its files ("" for what is no file of the store)."""
    try:
        files = Store(config.models_dir).get(name).files
    except (UnknownModel, ModelNotInstalled):  # a server's, another package's or a fake one
        return {"name": name, "sha256": ""}
    return {"name": name, "sha256": digest(dict(files))}


def arguments(config: Config) -> dict[str, str]:
    """Files and models that the search's settings and steps name, with their SHA-256."""
    options = retrieve_options(config)
    given = [s.argument for s in (*options.query, options.strategy, *options.post)]
    given += [v for v in settings(config).values() if isinstance(v, str) and ":" in v]
    found = {}
    for argument in dict.fromkeys(filter(None, given)):
        if Path(argument).is_file():
            found[argument] = hashlib.sha256(Path(argument).read_bytes()).hexdigest()
        elif sha256 := model(config, argument)["sha256"]:
            found[argument] = sha256
    return found


def collection(index: Index) -> dict[str, Any]:
    """A collection as it stands: its content as a hash, what it is made with, and its state."""
    with index.database.read():
        manifest = index.database.manifest
        files = [(f.path, f.sha256, dict(f.metadata)) for f in index.files()]
        return {
            "name": index.name,
            "content": digest(files),
            "created": manifest("created"),
            "epoch": int(manifest("epoch")),
            "generation": int(manifest("generation")),
            "embedder": {"name": index.embedder.name, "sha256": index.embedder.sha256},
            "chunker": dict(index.chunker),
            **index.counts(),
        }


def code(*parts: str) -> str:
    """SHA-256 of llar's own files, or of these files and folders of it: what is measured is code.

    Without `parts` the command line and the evaluation are left out: nothing found depends on them.
    """
    kept = [
        (name, sha256)
        for name, sha256 in _files()
        if (name.startswith(parts) if parts else not name.startswith(("cli/", "evaluate/")))
    ]
    return digest(kept)


@cache
def _files() -> tuple[tuple[str, str], ...]:
    """Every file of llar with its SHA-256, by name."""
    root = Path(__file__).parent.parent
    found = []
    for folder, _, names in os.walk(root):
        if not folder.endswith("__pycache__"):
            for name in names:
                data = Path(folder, name).read_bytes()
                inner = Path(folder, name).relative_to(root).as_posix()
                found.append((inner, hashlib.sha256(data).hexdigest()))
    return tuple(sorted(found))


def prompts(config: Config) -> dict[str, str]:
    """The user's own prompts, which answers depend on: SHA-256 by name."""
    folder = config.home / "prompts"
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def versions() -> dict[str, str]:
    """Versions of llar and of what it is built on."""
    names = ("llar", "numpy", "ctranslate2", "tokenizers", "xllamacpp", "PyStemmer")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def machine() -> Mapping[str, Any]:
    """Where it ran, for reading its times."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
