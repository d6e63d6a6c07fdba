"""The steps of a search by name and in words, in the reader's language.

A step that this version does not know keeps the name that its code gives it.
"""

from __future__ import annotations

import re
from functools import cache

from ...retrieve.steps import STEPS, Kind
from .words import Say, texts

__all__ = ["does", "in_words", "inner", "options", "score_name", "told"]


def in_words(say: Say, kind: Kind, step: str) -> str:
    """A step as people read it, with its name for the command line where that is another.

    "rerank:late" is "reordenar (rerank:late)" in Spanish.
    """
    name = step.partition(":")[0]
    if name not in STEPS[kind]:
        return step
    label = say(f"step_{kind}_{_key(name)}")
    return step if label == name else f"{label} ({step})"


def options(say: Say, kind: Kind, chosen: tuple[str, ...]) -> dict[str, str]:
    """The steps of a kind to choose from, and those that are chosen already."""
    return {step: in_words(say, kind, step) for step in (*STEPS[kind], *chosen)}


def does(say: Say, kind: Kind, name: str) -> str:
    """What a step does, in a line."""
    return say(f"does_{kind}_{_key(name)}")


def inner(say: Say, name: str) -> str:
    """A step that was taken within another, by what is on record of it."""
    for pattern, key in _inner():
        found = pattern.fullmatch(name)
        if found:
            return say(key, **found.groupdict()) if found.groupdict() else say(key)
    kinds: tuple[Kind, ...] = ("query", "strategy", "post")
    return next((in_words(say, kind, name) for kind in kinds if _named(kind, name)), name)


def told(say: Say, key: str) -> str:
    """What stands before something that a step tells of itself."""
    known = f"told_{_key(key)}"
    return say(known) if known in texts("lab") else key


def score_name(say: Say, part: str) -> str:
    """What a part of a score is."""
    known = (f"score_{_key(part)}", f"step_post_{_key(part)}")
    return next((say(key) for key in known if key in texts("lab")), part)


def _named(kind: Kind, step: str) -> bool:
    return step.partition(":")[0] in STEPS[kind]


def _key(name: str) -> str:
    return name.replace("-", "_").replace(" ", "_")


@cache
def _inner() -> list[tuple[re.Pattern[str], str]]:
    """The names of inner steps as patterns: `{name}` is anything."""
    found = []
    for key, said in texts("lab").items():
        if key.startswith("inner_"):
            name = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(said["en"]))
            found.append((re.compile(name), key))
    return found
