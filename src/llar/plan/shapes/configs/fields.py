"""The fields of a config.json, read so that a wrong one is named and a missing one is not guessed.

A key may have several names, written "num_hidden_layers|n_layer": architectures differ. A null is
as good as absent but where `absent` is asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ....errors import PlanError

__all__ = ["Fields"]

# More than any model has, and little enough that a wrong number does not fill the memory.
_MOST = {"layers": 10_000, "layer": 10_000, "n_layers": 10_000, "heads": 100_000, "head": 100_000,
         "experts": 100_000, "size": 10**9, "": 10**10}  # fmt: skip


class Fields:
    """A config.json being read. `notes` are the sentences for `Shape.assumed`."""

    def __init__(self, table: Mapping[str, Any], where: str, model_type: str) -> None:
        self.table = table
        self.where = where
        self.model_type = model_type
        self.notes: list[str] = []
        self.parent: Mapping[str, Any] = {}  # of a text_config: the fields around it

    def has(self, key: str) -> bool:
        """Whether any of the key's names is stated."""
        return any(self.table.get(k) is not None for k in key.split("|"))

    def absent(self, key: str) -> bool:
        """Whether none of its names occurs; some families take another number for null."""
        return not any(k in self.table for k in key.split("|"))

    def sizes(self, *keys: str) -> list[int]:
        """Whole numbers of at least 1, all required; PlanError names all that are missing."""
        missing = [k.split("|")[0] for k in keys if not self.has(k)]
        if missing:
            raise PlanError(
                f"{self.where}: a config of model_type {self.model_type!r} needs "
                f"{', '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} missing"
            )
        return [self.size(k) for k in keys]

    def size(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of at least `least`; `default` where it is absent."""
        name, value = self._find(key)
        if value is None:
            if default is None:
                self.sizes(key)
            return default or 0
        most = next(n for end, n in _MOST.items() if name.endswith(end))
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, value, "a whole number")
        if not least <= value <= most:
            raise self._wrong(name, value, f"a number from {least} to {most:,}")
        return value

    def usual(self, key: str, default: int) -> int:
        """As `size`; a note says where a number of transformers stands in."""
        if not self.has(key):
            name = key.split("|", maxsplit=1)[0]
            self.notes.append(
                f"{name} is not stated; {default} is what transformers takes for {self.model_type}"
            )
        return self.size(key, default)

    def using(self, **numbers: int) -> Fields:
        """The same fields with these numbers where the config states none; notes are shared."""
        stated = {k: v for k, v in self.table.items() if v is not None}
        seen = Fields({**numbers, **stated}, self.where, self.model_type)
        seen.notes, seen.parent = self.notes, self.parent
        return seen

    def flag(self, key: str, default: bool) -> bool:
        """True or false; `default` where it is absent."""
        name, value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def text(self, key: str, default: str = "") -> str:
        name, value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, value, "a string")
        return value

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """A list of whole numbers of at least 0; None where it is absent."""
        name, value = self._find(key)
        if value is None:
            return None
        good = isinstance(value, list) and all(
            isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value
        )
        if not good:
            raise self._wrong(name, value, "a list of whole numbers")
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings; None where it is absent."""
        name, value = self._find(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(t, str) for t in value):
            raise self._wrong(name, value, "a list of strings")
        return tuple(value)

    def tied(self, default: bool) -> bool:
        """Whether the head is the embedding; of a text_config also as the config around it says."""
        if self.table.get("tie_word_embeddings") is None and self.parent:
            outer = Fields(self.parent, self.where, self.model_type)
            return outer.flag("tie_word_embeddings", default)
        return self.flag("tie_word_embeddings", default)

    def head_dim(self, hidden: int, heads: int) -> int:
        """As stated, else hidden / heads, which must be whole."""
        if self.has("head_dim"):
            return self.size("head_dim")
        if hidden % heads:
            raise PlanError(
                f"{self.where}: a hidden size of {hidden} cannot be divided among {heads} heads, "
                "and no head_dim is stated"
            )
        return hidden // heads

    def _find(self, key: str) -> tuple[str, Any]:
        names = key.split("|")
        for name in names:
            if self.table.get(name) is not None:
                return name, self.table[name]
        return names[0], None

    def _wrong(self, name: str, value: Any, expected: str) -> PlanError:
        shown = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)[:60]
        return PlanError(f"{self.where}: {name} is {shown}; expected {expected}")
