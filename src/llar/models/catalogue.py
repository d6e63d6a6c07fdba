"""The models llar knows by name: catalogue.toml, read once."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, get_args

from ..errors import UnknownModel
from . import sources
from .sources import Source

Kind = Literal["chat", "embedding", "reranker", "compressor"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """What is known of a model before it is here. `sha256` holds only the files that are pinned."""

    name: str
    kind: Kind
    backend: str
    parameters: str  # as its makers state it: "135M", "8B"
    licence: str  # SPDX where there is one
    languages: tuple[str, ...]  # ISO 639-1; ("*",) for a multilingual model
    context: int  # tokens
    sources: tuple[Source, ...]  # tried in this order
    pooling: str = ""  # "mean", "cls" or "last"; "" for what has none
    query_prefix: str = ""
    document_prefix: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """The model as every command and setting names it: backend:name."""
        return f"{self.backend}:{self.name}"


@functools.cache
def models() -> Mapping[str, CatalogueModel]:
    """Every model of the catalogue by its short name, in the file's order."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    entries = [_read(table) for table in tomllib.loads(text)["model"]]
    return MappingProxyType({m.name: m for m in entries})


def _read(table: dict[str, Any]) -> CatalogueModel:
    values = dict(table)
    values["languages"] = tuple(values["languages"])
    values["sources"] = tuple(sources.parse(s) for s in values["sources"])
    values["sha256"] = MappingProxyType(values.get("sha256", {}))
    return CatalogueModel(**values)


def find(name: str) -> CatalogueModel | None:
    """The entry of `name` or `backend:name`; None when the catalogue has no such model."""
    backend, colon, short = name.rpartition(":")
    entry = models().get(short)
    if entry is None or (colon and backend != entry.backend):
        return None
    return entry


def unknown(name: str, installed: Iterable[str] = ()) -> UnknownModel:
    """The error for a name that means nothing, with the nearest names that do."""
    full = {m.full_name: m.name for m in models().values()}
    full |= {i: i.rpartition(":")[2] for i in installed}
    short = name.rpartition(":")[2].lower()
    near = [f for f, s in full.items() if s == short]
    if not near:
        close = difflib.get_close_matches(short, full.values(), n=3, cutoff=0.6)
        inside = [s for s in full.values() if short and short in s and s not in close]
        near = [f for s in (close + inside)[:3] for f, own in full.items() if own == s]
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return UnknownModel(f"there is no model {name!r}{hint}", fix="llar models list")
