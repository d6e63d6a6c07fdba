"""Filters of a search: `lang=ca`, `year>=2023`, `title~paracetamol` and the like."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import QueryError
from ..records import MetadataValue
from .database import from_column
from .index import Index

_FORM = re.compile(r"([\w.-]+)\s*(>=|<=|!=|=|>|<|~)(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_FIELDS = ("path", "title", "author", "created", "modified", "added", "language", "format", "size")
_DATES = ("date", "created", "modified", "added")
_NUMBERS = ("year", "size")
_ALIASES = {"lang": "language"}


RESERVED = frozenset((*_FIELDS, *_ALIASES))  # told by the document itself, not by metadata


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a document: `key operator value`."""

    key: str
    operator: str
    value: str


@lru_cache(maxsize=256)
def parse_value(text: str) -> MetadataValue:
    """A value as typed on a command line: a number where it is one, else text.

    More than 100 digits are text: Python reads no number of thousands of them.
    """
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"-?(0|[1-9]\d{0,99})", text):
        return int(text)
    if re.fullmatch(r"-?(0|[1-9]\d{0,99})\.\d{1,100}", text):
        return float(text)
    return text


def parse_filter(text: str) -> Filter:
    """Read `key=value` (also != > >= < <=, and ~ for "contains"). Raises QueryError."""
    match = _FORM.fullmatch(text.strip())
    if not match or not match[3].strip():
        raise QueryError(
            f"{text!r} is not a filter: expected KEY=VALUE, with one of = != > >= < <= ~ (contains)"
        )
    return Filter(_ALIASES.get(match[1], match[1]), match[2], match[3].strip())


def matching_documents(index: Index, filters: Sequence[Filter]) -> set[int] | None:
    """Ids of the documents of which at least one file satisfies every filter; None without any.

    Raises QueryError for a key that no document of the collection has.
    """
    if not filters:
        return None
    kept, known = set(), set(_FIELDS) | {"date", "year"}
    for document_id, fields in document_fields(index):
        known |= fields.keys()
        if all(_satisfies(fields, f) for f in filters):
            kept.add(document_id)
    for f in filters:
        if f.key in _NUMBERS and isinstance(parse_value(f.value), str):
            raise QueryError(f"{f.key} is a number; {f.value!r} is none")
        if f.key not in known:
            raise QueryError(
                f"no document of {index.name!r} has {f.key!r}; there are: "
                + ", ".join(sorted(known))
            )
    return kept


def document_fields(index: Index) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each file's document id and everything a filter can ask of it; None where it is not known."""
    told = index.told_path()
    with index.database.read() as connection:
        rows = connection.execute(
            "SELECT path, title, author, created, modified, added, language, format, size,"
            " document_id, metadata FROM files JOIN documents ON documents.id = document_id"
        )
        for *plain, document_id, metadata in rows:
            fields = {**dict(zip(_FIELDS, plain, strict=True)), **json.loads(metadata)}
            fields["path"] = told(from_column(plain[0]))
            date = fields["created"] or fields["modified"]
            fields.setdefault("date", date)
            fields.setdefault("year", int(date[:4]) if date else None)
            yield document_id, fields


def _satisfies(fields: Mapping[str, Any], f: Filter) -> bool:
    found = fields.get(f.key)
    if found is None:
        return f.operator == "!="
    if f.operator == "~":
        return f.value.casefold() in str(found).casefold()
    wanted: Any = parse_value(f.value)
    if f.key in _DATES:  # as exact as the filter is: created=2023 is any day of that year
        found, wanted = str(found)[: len(f.value)], f.value
    if isinstance(found, str) or isinstance(wanted, str):
        found, wanted = str(found).casefold(), f.value.casefold()
    return _COMPARE[f.operator](found, wanted)
