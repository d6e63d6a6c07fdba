"""Bounds on JSON schemas: a grammar with many choices would hold up a model for everybody.

llama.cpp follows every alternative for every token it might write. Measured with SmolLM2 on one
busy core, eight tokens took 1 s with an enum of 100 values, 2 s with 500, 12 s with 1000 and
more than 20 s with 3000; a pattern of 60 optional letters took 5 s, one of 200 more than 20 s.
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import BadRequest

__all__ = ["check_schema"]

CHOICES = 500  # alternatives, enum values and fields together
PATTERN = 256  # characters of a pattern
TIMES = 50  # repetitions in a pattern, all together

_TIMES = re.compile(r"\{\s*(\d+)\s*(?:,\s*(\d*)\s*)?\}")


def check_schema(schema: Any, param: str) -> None:
    """Raises BadRequest where a schema would make a grammar that is too slow to follow."""
    choices = _choices(schema, param)
    if choices > CHOICES:
        raise BadRequest(
            f"the schema has {choices} alternatives, enum values and fields; at most {CHOICES} are"
            " taken", param=param, code="schema_too_large",
        )  # fmt: skip


def _choices(schema: Any, param: str) -> int:
    if isinstance(schema, list):
        return sum(_choices(s, param) for s in schema)
    if not isinstance(schema, dict):
        return 1
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        _check_pattern(pattern, param)
    return max(1, sum(_choices(value, param) for value in schema.values()
                      if isinstance(value, dict | list)))  # fmt: skip


def _check_pattern(pattern: str, param: str) -> None:
    times = sum(int((m[2] or m[1])[:9]) for m in _TIMES.finditer(pattern))
    if len(pattern) > PATTERN or times > TIMES:
        raise BadRequest(
            f"a pattern in the schema is too long: at most {PATTERN} characters and {TIMES}"
            " repetitions are taken", param=param, code="schema_too_large",
        )  # fmt: skip
