"""The models llar knows the dimensions of: known.toml, the fields of their makers' config.json."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from types import MappingProxyType
from typing import Any

from ...errors import PlanError
from ..shape import Shape
from . import configs

__all__ = ["Known", "find", "models", "near"]

FILE = "known.toml"


@dataclass(frozen=True, slots=True)
class Known:
    """One row: the model's name, what its config.json states, and where that was read."""

    name: str  # the alias that was asked for, where `find` found it by one
    config: Mapping[str, Any]
    parameters: int  # all of them, as its makers or transformers count them; for the tests
    aliases: tuple[str, ...]
    source: str

    def shape(self) -> Shape:
        """Its Shape; `source` names the row and where it is from."""
        shape = configs.read(self.config, f"{FILE} ({self.source})", self.name)
        if shape.parameters != self.parameters:
            raise PlanError(
                f"{FILE}: {self.name} has {shape.parameters} parameters by its dimensions, "
                f"{self.parameters} as stated"
            )
        return shape


@functools.cache
def models() -> Mapping[str, Known]:
    """Every known model by its name, in the file's order."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    table = tomllib.loads(text)
    sources = table["sources"]
    found: dict[str, Known] = {}
    for name, row in table["model"].items():
        own = dict(row)
        parameters, source = own.pop("parameters"), sources[own.pop("source")]
        aliases = tuple(own.pop("aliases", ()))
        base = own.pop("like", None)
        config = {**found[base].config, **own} if base else own
        found[name] = Known(name, MappingProxyType(config), parameters, aliases, source)
    return MappingProxyType(found)


@functools.cache
def _names() -> Mapping[str, Known]:
    """Every row by its name and by each of its aliases."""
    names: dict[str, Known] = {}
    for known in models().values():
        for name in (known.name, *known.aliases):
            names[name] = replace(known, name=name)
    return MappingProxyType(names)


@functools.cache
def _squeezed() -> Mapping[str, Known]:
    """The same without hyphens: people write llama3.1-8b, llama-3.1-8b and llama3.1:8b."""
    return MappingProxyType({n.replace("-", ""): k for n, k in _names().items()})


def find(text: str) -> Known | None:
    """The model called `text`, None where there is none.

    Case, hyphens (`_`, a space or Ollama's `:` for one), a maker's prefix ("meta-llama/") and a
    backend's ("llamacpp:") do not matter.
    """
    whole = text.strip().rsplit("/", 1)[-1].replace(":", "-")
    for plain in (_plain(text), _plain(whole)):
        found = _names().get(plain) or _squeezed().get(plain.replace("-", ""))
        if found is not None:
            return found
    return None


def near(text: str) -> tuple[str, ...]:
    """Up to three names that look like `text`, the likeliest first."""
    plain, names = _plain(text), _names()
    inside = [n for n in names if len(plain) > 2 and plain in n]
    begin = [n for n in inside if n.startswith(plain)]  # "llama-3.1" means one of its sizes
    close = difflib.get_close_matches(plain, names, n=9, cutoff=0.6)
    found: dict[int, str] = {}
    for name in begin + close + inside:  # of names of one and the same row, the nearest
        found.setdefault(id(names[name].config), name)
    return tuple(found.values())[:3]


def _plain(text: str) -> str:
    """A name without what people write differently: "meta-llama/Llama_3.1-8B" -> "llama-3.1-8b"."""
    short = text.strip().rsplit("/", 1)[-1].rpartition(":")[2].lower()
    short = re.sub(r"\.gguf$|-gguf$", "", short)
    return re.sub(r"[-_\s]+", "-", short)
