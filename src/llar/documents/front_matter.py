"""The block of keys and values that many Markdown files begin with, as typed metadata."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar

from ..records import MetadataValue

_FENCED = re.compile(r"(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.M)
_LONGEST = 65_536
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What stands before the body, which begins at offset `end`; 0 where there is none."""

    end: int = 0
    title: str | None = None
    author: str | None = None
    created: str | None = None
    modified: str | None = None
    language: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def split_front_matter(text: str) -> FrontMatter:
    """The YAML (`---`) or TOML (`+++`) at the very start of a text.

    A first line of dashes that no mapping follows is a rule, not front matter. What looks like
    front matter and cannot be read is a note, and stays in the body.
    """
    match = _FENCED.match(text, 0, _LONGEST)
    if match is None:
        return FrontMatter()
    read = _read_yaml if match[1] == "---" else _read_toml
    try:
        values = read(match[2])
    except ValueError as e:
        reason = " ".join(str(e).split())
        return FrontMatter(notes=(f"the front matter could not be read ({reason})",))
    if not isinstance(values, dict):
        return FrontMatter()
    metadata = dict(_flat("", values, _DEEPEST))
    return FrontMatter(
        end=match.end(),
        title=_first(metadata, "title"),
        author=_first(metadata, "author", "authors", "creator"),
        created=_first(metadata, "created", "date", "published"),
        modified=_first(metadata, "modified", "updated", "lastmod", "last_modified"),
        language=_first(metadata, "lang", "language"),
        metadata=metadata,
    )


def _first(metadata: Mapping[str, MetadataValue], *names: str) -> str | None:
    return next((str(metadata[n]) for n in names if n in metadata), None)


def _flat(prefix: str, value: Any, depth: int) -> Iterator[tuple[str, MetadataValue]]:
    """A value as the scalars a filter can compare: lists joined, mappings with dotted keys."""
    if isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner, depth - 1)
    elif isinstance(value, list):
        yield prefix, ", ".join(str(_scalar(item)) for item in value)
    elif value is not None:
        yield prefix, _scalar(value)


def _scalar(value: Any) -> MetadataValue:
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _read_toml(source: str) -> Any:
    return tomllib.loads(source)  # its error is a ValueError


def _read_yaml(source: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """YAML without aliases, which can blow up, and with the types people mean.

        Version 1.1 reads `no` as false, `12:30` as 750 and `010` as 8; here they are text.
        """

        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it uses an alias")
            return super().compose_node(parent, index)

    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
        ("float", r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("timestamp", r"\d{4}-\d\d-\d\d(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?"
                      r"(?:[ \t]*(?:Z|[-+]\d\d?(?::?\d\d)?))?)?", "0123456789"),
    ):  # fmt: skip
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})\\Z"), list(first)
        )
    try:
        return yaml.load(source, Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as e:
        raise ValueError(str(e)) from e
