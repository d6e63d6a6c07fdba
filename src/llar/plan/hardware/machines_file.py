"""machines.toml as it is written: llar's own with the user's over it, and checked values.

Every error is about the user's file and names it, the machine and the key.
"""

from __future__ import annotations

import copy
import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from ...config import Config
from ...errors import PlanError
from ..units import parse_bytes

TYPES = ("fp32", "fp16", "bf16", "int8", "fp8")  # the number types whose compute is stated
FILE = "machines.toml"
_SOURCE_OF = {"price": "price", "currency": "price", "rent_per_hour": "rent", "watts": "watts"}


def text() -> str:
    return resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")


@cache
def own() -> dict[str, Any]:
    return tomllib.loads(text())


def users(config: Config) -> dict[str, Any]:
    path = config.home / FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise PlanError(f"{str(path)!r} cannot be read: {e.strerror or e}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise PlanError(f"{path} is not valid TOML: {e}") from e


def tables(config: Config) -> dict[str, dict[str, Any]]:
    """A table of raw values for each machine, the user's over ours, one for each size."""
    found = {k: v for k, v in own().items() if k != "defaults"}
    user = {k: v for k, v in users(config).items() if k != "defaults"}
    for name, table in user.items():
        if not isinstance(table, dict):
            raise PlanError(f"{config.home / FILE}: {name!r} is no machine; expected [{name}]")
        if name != name.lower() or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
            raise PlanError(
                f"{config.home / FILE}: [{name}] is no name of a machine; expected small letters, "
                f"digits and hyphens: my-server"
            )
    for name in [n for n in user if n in found]:
        found[name] = _over(found[name], user.pop(name))
    found = {size: table for name, whole in found.items() for size, table in _sizes(name, whole)}
    for name, table in user.items():
        for size, one in _sizes(name, _over({}, table)):
            found[size] = _over(found[size], one) if size in found else one
    return found


def _over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the user's values in it, whose source is then the user's file."""
    new = copy.deepcopy(dict(table))
    sources = dict(new.get("sources", {}))
    for key, value in changes.items():
        if key == "sources":
            continue
        new[key] = value
        sources[_SOURCE_OF.get(key, "specifications")] = f"your {FILE}"
    given = changes.get("sources", {})
    new["sources"] = {**sources, **given} if isinstance(given, dict) else given
    return new


def _sizes(name: str, table: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """One table for each size of memory it is sold with, named after it."""
    sizes = table.get("memory")
    if not isinstance(sizes, list):
        yield name, table
        return
    prices = table.get("price", {})
    for size in sizes:
        one = {**table, "memory": size}
        if isinstance(prices, dict):
            one.pop("price", None)
            if size in prices:
                one["price"] = prices[size]
        short = str(size).lower().replace(" ", "").replace("gib", "gb")
        if isinstance(table.get("title"), str):
            one["title"] = f"{table['title']}, {str(size).replace('GiB', 'GB')}"
        yield f"{name}-{short}", one


def error(config: Config, name: str, key: str, what: str) -> PlanError:
    """The error for one key; only the user's file can have one."""
    path = config.home / FILE
    return PlanError(f"{path}: [{name}] {key}: {what}", fix=f"edit {path}")


def near(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(known)}"


def word(config: Config, name: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise error(config, name, key, f"{value!r}: expected a text")
    if key == "currency" and value not in ("USD", "EUR"):
        raise error(config, name, key, f"{value!r}: expected USD or EUR")
    return value


def number(config: Config, name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise error(config, name, key, f"{value!r}: expected a number")
    least = 0 if key in ("idle_watts", "price", "rent_per_hour") else 1e-9
    if not least <= value < 1e12:
        raise error(config, name, key, f"{value!r}: expected a number above 0")
    return float(value)


def size(config: Config, name: str, key: str, value: Any) -> int:
    if not isinstance(value, str):
        raise error(config, name, key, f'{value!r}: expected a size with its unit, "24 GiB"')
    try:
        size = parse_bytes(value, key)
    except PlanError as e:
        raise error(config, name, key, e.message) from None
    if not 0 < size < 2**60:
        raise error(config, name, key, f"{value!r} is no size a machine can have")
    return size


def flops(config: Config, name: str, table: Any) -> Mapping[str, float]:
    if not isinstance(table, dict):
        raise error(config, name, "tflops", "expected { fp16 = 121, ... }")
    for key in table:
        if key not in TYPES:
            raise error(config, name, f"tflops.{key}", f"is no number type{near(key, TYPES)}")
    found = {k: number(config, name, f"tflops.{k}", v) * 1e12 for k, v in table.items()}
    return MappingProxyType(found)


def cores(config: Config, name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 100_000:
        raise error(config, name, "cores", f"{value!r}: expected a whole number above 0")
    return value


def yes(config: Config, name: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise error(config, name, key, f"{value!r}: expected true or false")
    return value


def sources(config: Config, name: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise error(config, name, "sources", 'expected { price = "where it stands" }')
    return dict(table)


def texts(config: Config, name: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise error(config, name, key, "expected a list of texts")
    return tuple(value)
