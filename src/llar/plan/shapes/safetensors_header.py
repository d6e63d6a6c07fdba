"""Read which tensors safetensors files hold, from their headers, without the weights.

Format: https://github.com/huggingface/safetensors, "Format". Nothing in a header is trusted: every
length and offset is checked against the file's own size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ModelCorrupt, PlanError
from ..shape import Tensor

__all__ = ["INDEX", "WIDTHS", "Header", "read", "shards"]

INDEX = "model.safetensors.index.json"
_MOST = 100 * 2**20  # bytes a header may have, as the format says
# dtype -> (name, bits of a value)
_TYPES = {
    "F64": ("f64", 64), "F32": ("f32", 32), "F16": ("f16", 16), "BF16": ("bf16", 16),
    "F8_E4M3": ("f8_e4m3", 8), "F8_E5M2": ("f8_e5m2", 8), "F8_E8M0": ("f8_e8m0", 8),
    "F4": ("f4", 4), "I64": ("i64", 64), "I32": ("i32", 32), "I16": ("i16", 16), "I8": ("i8", 8),
    "U64": ("u64", 64), "U32": ("u32", 32), "U16": ("u16", 16), "U8": ("u8", 8),
    "BOOL": ("bool", 8), "C64": ("c64", 64),
}  # fmt: skip
WIDTHS: Mapping[str, int] = dict(_TYPES.values())  # bits of a value of each type


@dataclass(frozen=True, slots=True)
class Header:
    """The tensors of one model's files, under the names they have there."""

    files: tuple[Path, ...]
    tensors: tuple[Tensor, ...]
    size: int  # bytes of all tensors


def shards(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of the model in `folder`; () where there are none.

    Those of its index, else model.safetensors, else the only one. Raises PlanError naming shards
    that are missing, and where several models lie in the folder.
    """
    index = folder / INDEX
    if index.is_file():
        return _indexed(folder, index)
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    found = sorted(p for p in folder.glob("*.safetensors") if p.is_file())
    if len(found) > 1:
        raise PlanError(
            f"{folder} holds {len(found)} safetensors files and no {INDEX} that says how they go "
            f"together: {', '.join(p.name for p in found[:4])}",
            fix=f"llar plan memory {found[0]}",
        )
    return tuple(found)


def _indexed(folder: Path, index: Path) -> tuple[Path, ...]:
    try:
        table = json.loads(index.read_text(encoding="utf-8"))
        names = sorted(set(table["weight_map"].values()))
        if not all(isinstance(n, str) and n == Path(n).name for n in names):
            raise ValueError("it names files outside its folder")
    except OSError as e:
        raise PlanError(f"{index} cannot be read: {e.strerror or e}") from e
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ModelCorrupt(f"{index} is no index of safetensors files ({e!r})") from e
    missing = [n for n in names if not (folder / n).is_file()]
    if missing or not names:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" * (len(missing) > 5))
        raise PlanError(
            f"{len(missing)} of the model's {len(names)} files are missing in {folder}: {shown}",
            fix=f"llar plan memory {folder / 'config.json'} plans without them",
        )
    return tuple(folder / n for n in names)


def read(*files: Path) -> Header:
    """The tensors of `files`, which together are one model.

    Raises PlanError for a file that cannot be read, ModelCorrupt for one that is no safetensors,
    is cut off or lies about itself.
    """
    tensors: dict[str, Tensor] = {}
    size = 0
    for file in files:
        for tensor, length in _read_one(file):
            if tensor.name in tensors:
                raise ModelCorrupt(f"{file}: the tensor {tensor.name!r} is in another file too")
            tensors[tensor.name] = tensor
            size += length
    if not tensors:
        raise ModelCorrupt(f"{files[0]} holds no tensors")
    return Header(files, tuple(tensors.values()), size)


def _read_one(file: Path) -> list[tuple[Tensor, int]]:
    try:
        with file.open("rb") as f:
            size = file.stat().st_size
            start = f.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= length <= min(size - 8, _MOST):
                raise ModelCorrupt(f"{file} is no safetensors file: {_what(start, f.read(256))}")
            raw = f.read(length)
    except OSError as e:
        raise PlanError(f"{file} cannot be read: {e.strerror or e}") from e
    try:
        table = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as e:
        raise ModelCorrupt(f"{file} is no safetensors file: its header is damaged ({e})") from e
    if not isinstance(table, dict):
        raise ModelCorrupt(f"{file} is no safetensors file: its header is no object")
    table.pop("__metadata__", None)
    spans = [_tensor(file, name, entry) for name, entry in table.items()]
    end = 0
    for tensor, (begin, stop) in sorted(spans, key=lambda s: s[1]):
        if begin != end:
            raise ModelCorrupt(f"{file} is damaged: the tensor {tensor.name!r} starts at {begin}, "
                               f"the one before it ends at {end}")  # fmt: skip
        end = stop
    if 8 + length + end != size:
        raise ModelCorrupt(f"{file} is cut off or damaged: its tensors need {8 + length + end} "
                           f"bytes, it has {size}")  # fmt: skip
    return [(tensor, stop - begin) for tensor, (begin, stop) in spans]


def _tensor(file: Path, name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    try:
        kind, bits = _TYPES[entry["dtype"]]
        shape = tuple(entry["shape"])
        begin, stop = entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in (*shape, begin, stop)) or len(shape) > 16:
            raise ValueError("dimensions and offsets are whole numbers")
        if math.prod(shape) * bits != (stop - begin) * 8:
            raise ValueError(f"{shape} of {kind} are not {stop - begin} bytes")
    except (KeyError, TypeError, ValueError) as e:
        raise ModelCorrupt(f"{file} is damaged: the tensor {name!r} cannot be so ({e!r})") from e
    return Tensor(name, shape, kind), (begin, stop)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _what(start: bytes, more: bytes) -> str:
    """Say what a file is instead."""
    text = (start + more).lstrip().lower()
    if not start:
        return "it is empty"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS in the place of the file (git lfs pull fetches it)"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, saved in the place of the file"
    if text.startswith(b"gguf"):
        return "it is a GGUF file; name it .gguf"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return "it is a PyTorch file, which may run code when it is opened"
    return f"it starts with {start!r}, or is cut off"
