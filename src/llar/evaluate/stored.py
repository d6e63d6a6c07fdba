"""Records as plain data, and back: an answer that was kept can be measured like a new one."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["plain", "restored"]

Record = TypeVar("Record")


def plain(record: Any) -> Any:
    """A record as dicts, lists and scalars; what is as its default says is left out."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        found = {}
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                found[field.name] = plain(value)
        return found
    if isinstance(record, Mapping):
        return {str(k): plain(v) for k, v in record.items()}
    if isinstance(record, tuple | list):
        return [plain(v) for v in record]
    return record


def restored(kind: type[Record], value: Any) -> Record:
    """The record of this kind that `plain` was given. Raises TypeError or KeyError for others."""
    found: Record = _restored(kind, value)
    return found


def _restored(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{k: _restored(hints[k], v) for k, v in value.items()})
    inner = get_args(kind)
    if isinstance(kind, types.UnionType) or get_origin(kind) is Union:
        only = [k for k in inner if k is not type(None)]
        return None if value is None else _restored(only[0] if len(only) == 1 else Any, value)
    if isinstance(value, list) and inner:
        kinds = [inner[0]] * len(value) if len(inner) < 2 or inner[1] is ... else inner
        made = [_restored(k, v) for k, v in zip(kinds, value, strict=True)]
        return made if get_origin(kind) is list else tuple(made)
    if isinstance(value, dict) and inner:
        return {k: _restored(inner[1], v) for k, v in value.items()}
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
