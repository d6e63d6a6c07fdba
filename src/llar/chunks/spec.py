"""Which chunkers there are, and one of them with its parameters: what a manifest keeps."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CollectionError, ConfigError

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a chunker. Its default's type is its type; `choices` are of texts."""

    default: Value
    about: str
    least: float = 0
    most: float = math.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunker:
    """A way to split: "module:function" of this package, called with a document, an embedder,
    `max_tokens` and the parameters. `embed` makes the vectors where those of the chunks' contents
    will not do."""

    split: str
    about: str
    parameters: Mapping[str, Parameter]
    embed: str = ""


CHUNKERS: dict[str, Chunker] = {
    "structure": Chunker(
        "structure:structure",
        "by headings, paragraphs, lists, tables and code, packed to the size; the default",
        {"overlap": Parameter(0, "tokens of whole sentences repeated from the chunk before")},
    ),
    "token": Chunker(
        "windows:tokens",
        "windows of as many tokens of the embedder as the size allows, at words",
        {"overlap": Parameter(0, "tokens repeated from the window before")},
    ),
    "word": Chunker(
        "windows:words",
        "windows of a number of words",
        {
            "words": Parameter(100, "words of a window", least=1),
            "overlap": Parameter(0, "words repeated from the window before"),
        },
    ),
    "sentence": Chunker(
        "windows:in_sentences",
        "whole sentences",
        {
            "sentences": Parameter(0, "sentences of a chunk; 0 takes as many as fit"),
            "overlap": Parameter(0, "sentences repeated from the chunk before"),
        },
    ),
    "sentence-window": Chunker(
        "windows:sentence_window",
        "matched by sentence, read with its neighbours",
        {"window": Parameter(2, "sentences read before and after the one that matched", least=1)},
    ),
    "semantic": Chunker(
        "semantic:semantic",
        "breaks where consecutive sentences drift apart",
        {
            "breaks": Parameter(
                "percentile",
                "how drift is judged: above a percentile of it, above its mean by standard "
                "deviations, or above its mean by interquartile ranges",
                choices=("percentile", "deviation", "interquartile"),
            ),
            "amount": Parameter(
                0.0, "the percentile, or how many; 0 takes 80, 1 and 0.5", most=100
            ),
            "buffer": Parameter(1, "further sentences on both sides that are compared", most=10),
        },
    ),
    "double-pass": Chunker(
        "semantic:double_pass",
        "sentences on one theme, joined in a second pass also over a gap",
        {
            "append": Parameter(
                0.2, "least similarity of a sentence to its chunk, 0 is chance", least=-1, most=1
            ),
            "merge": Parameter(
                0.2, "least similarity of two chunks that are joined", least=-1, most=1
            ),
            "gap": Parameter(1, "chunks that may stand between two that are joined", most=10),
        },
    ),
    "parent-child": Chunker(
        "parents:parent_child",
        "small chunks to match, read with the larger one around them",
        {"parent": Parameter(480, "tokens of what is read", least=16)},
    ),
    "late": Chunker(
        "late:late",
        "like structure, embedded as a whole passage and pooled per chunk",
        {"overlap": Parameter(32, "tokens of text before a passage that are read with it")},
        embed="late:embed",
    ),
}
ALIASES = {"recursive": "structure"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A chunker with every one of its parameters."""

    name: str
    max_tokens: int
    values: Mapping[str, Value]

    @property
    def chunker(self) -> Chunker:
        """Its row in the table."""
        return CHUNKERS[self.name]

    def as_manifest(self) -> dict[str, Value]:
        """As a collection's manifest keeps it."""
        return {"name": self.name, "max_tokens": self.max_tokens, **self.values}

    def __str__(self) -> str:
        """As it is written on a command line, without the size and what is default."""
        known = self.chunker.parameters
        given = [f"{k}={v}" for k, v in self.values.items() if v != known[k].default]
        return f"{self.name}:{','.join(given)}" if given else self.name


def parse_spec(text: str, max_tokens: int) -> Spec:
    """Read `NAME` or `NAME:key=value,key=value`.

    Raises ConfigError for unknown names and parameters, listing what there is, and for values
    that a parameter cannot have.
    """
    name, _, rest = text.strip().partition(":")
    given: dict[str, str] = {}
    for pair in rest.split(",") if rest.strip() else []:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key or not value:
            raise ConfigError(f"chunker {text!r}: expected NAME:key=value,..., got {pair!r}")
        if key in given:
            raise ConfigError(f"chunker {text!r} gives {key!r} twice")
        given[key] = value
    return _spec(name, max_tokens, given)


def read_spec(manifest: Mapping[str, Any]) -> Spec:
    """A chunker as a manifest keeps it; parameters that it does not name have their defaults.

    Raises CollectionError for one that this llar does not have.
    """
    values = dict(manifest)
    try:
        return _spec(values.pop("name"), int(values.pop("max_tokens")), values)
    except (KeyError, ValueError, TypeError, AttributeError, ConfigError) as e:
        why = e.message if isinstance(e, ConfigError) else f"{dict(manifest)!r} is none"
        raise CollectionError(
            f"the collection's chunker cannot be used: {why}", fix="llar doctor --repair"
        ) from e


def described() -> str:
    """Every chunker with its parameters, a line each."""
    lines = []
    for name, chunker in CHUNKERS.items():
        known = ", ".join(f"{k}={p.default}" for k, p in chunker.parameters.items())
        lines.append(f"{name} ({known}): {chunker.about}")
    return "\n".join(lines)


def _spec(name: str, max_tokens: int, given: Mapping[str, Any]) -> Spec:
    name = ALIASES.get(name, name)
    if name not in CHUNKERS:
        near = difflib.get_close_matches(name, [*CHUNKERS, *ALIASES], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(sorted([*CHUNKERS, *ALIASES]))
        raise ConfigError(f"there is no chunker {name!r}; there are {known}{hint}")
    parameters = CHUNKERS[name].parameters
    for key in given:
        if key not in parameters:
            known = ", ".join(f"{k} ({p.about})" for k, p in parameters.items())
            raise ConfigError(f"chunker {name!r} has no parameter {key!r}; it has {known}")
    values = {
        key: _value(f"chunker {name!r}: {key}", given[key], parameter)
        if key in given
        else parameter.default
        for key, parameter in parameters.items()
    }
    return Spec(name, max_tokens, values)


def _value(where: str, given: Any, parameter: Parameter) -> Value:
    kind = type(parameter.default)
    if parameter.choices:
        if given not in parameter.choices:
            expected = ", ".join(parameter.choices)
            raise ConfigError(f"{where}: expected one of {expected}, got {given!r}")
        return str(given)
    try:
        if isinstance(given, bool):
            raise ValueError
        value: Value = kind(given)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: expected {kind.__name__}, got {given!r}") from None
    if not parameter.least <= float(value) <= parameter.most:
        most = f" to {parameter.most:g}" if parameter.most < math.inf else " or more"
        raise ConfigError(f"{where}: expected {parameter.least:g}{most}, got {given!r}")
    return value
