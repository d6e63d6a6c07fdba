"""Read what a GGUF file says of itself: its metadata and where each tensor lies, no weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3 of either byte
order, split files as llama.cpp's gguf-split writes them. Nothing in a file is trusted: every count,
length and offset is checked against the file's own size before anything is read or made of it.
"""

from __future__ import annotations

import itertools
import math
import mmap
import re
import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import ModelCorrupt, ModelError

__all__ = ["TYPES", "Gguf", "Skipped", "TensorPlace", "parts", "read"]

# number -> (name, values in a block, bytes of a block); ggml/src/ggml.c, type_traits
TYPES: Mapping[int, tuple[str, int, int]] = MappingProxyType({
    0: ("f32", 1, 4), 1: ("f16", 1, 2), 2: ("q4_0", 32, 18), 3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22), 7: ("q5_1", 32, 24), 8: ("q8_0", 32, 34), 9: ("q8_1", 32, 36),
    10: ("q2_k", 256, 84), 11: ("q3_k", 256, 110), 12: ("q4_k", 256, 144),
    13: ("q5_k", 256, 176), 14: ("q6_k", 256, 210), 15: ("q8_k", 256, 292),
    16: ("iq2_xxs", 256, 66), 17: ("iq2_xs", 256, 74), 18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50), 20: ("iq4_nl", 32, 18), 21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82), 23: ("iq4_xs", 256, 136), 24: ("i8", 1, 1), 25: ("i16", 1, 2),
    26: ("i32", 1, 4), 27: ("i64", 1, 8), 28: ("f64", 1, 8), 29: ("iq1_m", 256, 56),
    30: ("bf16", 1, 2), 34: ("tq1_0", 256, 54), 35: ("tq2_0", 256, 66), 39: ("mxfp4", 32, 17),
    40: ("nvfp4", 64, 36), 41: ("q1_0", 128, 18), 42: ("q2_0", 64, 18),
})  # fmt: skip
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_STRING, _ARRAY = 8, 9
_SHORT = 1024  # longer arrays are vocabularies
_MOST_DIMENSIONS = 4  # GGML_MAX_DIMS
_LARGEST = 2**63 - 1  # a tensor of more values than int64 counts has overflown somewhere
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.I)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A long array that was stepped over; `read(..., arrays=True)` builds it."""

    length: int
    text: bool  # its items are strings


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """One tensor of a file: what it is and where its bytes lie."""

    name: str
    shape: tuple[int, ...]  # (out, in) as PyTorch has it, the reverse of GGUF's order
    type: str  # "q4_1", of TYPES; "no. 77" of a type that is newer than this list
    file: Path
    offset: int  # bytes from the start of `file`
    size: int  # bytes; 0 of a type that is not known


@dataclass(frozen=True, slots=True)
class Gguf:
    """The header of a GGUF model, of all its files where it is split."""

    files: tuple[Path, ...]
    version: int
    values: Mapping[str, Any]  # the metadata; a long array is a `Skipped` unless asked for
    tensors: tuple[TensorPlace, ...]
    big_endian: bool = False

    @property
    def architecture(self) -> str:
        """What the file says it is, "llama"; "" where it does not."""
        name = self.values.get("general.architecture", "")
        return name if isinstance(name, str) else ""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(f.stat().st_size for f in self.files)


def read(path: Path, arrays: Container[str] = ()) -> Gguf:
    """Read the header of `path` and of the other parts it was split into.

    Strings of arrays keep bytes that are no UTF-8 as surrogates (errors="surrogateescape"), so
    that nothing of a vocabulary is lost; other strings show them as U+FFFD. `arrays` are the keys
    of arrays that are built whatever their length. Raises ModelError for a file that cannot be
    read, ModelCorrupt for one that is no GGUF, is cut off, lies about itself or lacks a part.
    """
    files = parts(path)
    first = _read_one(files[0], arrays)
    if len(files) == 1 and first.values.get("split.count", 0) in (0, 1):
        return first
    heads = [first, *(_read_one(f, ()) for f in files[1:])]
    _check_split(heads)
    tensors = tuple(itertools.chain.from_iterable(h.tensors for h in heads))
    names = [t.name for t in tensors]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ModelCorrupt(f"{path}: the tensor {twice!r} is in two of its parts")
    return Gguf(files, first.version, first.values, tensors, first.big_endian)


def parts(path: Path) -> tuple[Path, ...]:
    """The files of the model `path` is of, in order: one, or all that it was split into.

    Raises ModelCorrupt naming the parts that are missing.
    """
    found = _PART.fullmatch(path.name)
    if found is None:
        if not path.is_file():
            raise ModelError(f"there is no file {str(path)!r}")
        return (path,)
    count = int(found[3])
    if not 1 <= int(found[2]) <= count or count > 10_000:
        raise ModelCorrupt(f"{path.name!r} cannot be a part of a model: it is no. {int(found[2])} "
                        f"of {count}")  # fmt: skip
    files = [path.with_name(f"{found[1]}-{n:05d}-of-{found[3]}.gguf") for n in range(1, count + 1)]
    missing = [f.name for f in files if not f.is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" * (len(missing) > 5))
        raise ModelCorrupt(
            f"of the model's {count} parts, {len(missing)} are missing in {path.parent}: {shown}"
        )
    return tuple(files)


def _check_split(heads: list[Gguf]) -> None:
    """Whether the parts are of one model and together all of it."""
    first = heads[0]
    expected = first.values.get("split.count", len(heads))
    if expected != len(heads):
        raise ModelCorrupt(
            f"{first.files[0]} is one of {expected!r} parts by its header, {len(heads)} by its "
            "name; the parts keep the names they were split into (NAME-00001-of-00003.gguf)"
        )
    for number, head in enumerate(heads):
        own = head.values.get("split.no", number)
        if own != number:
            raise ModelCorrupt(f"{head.files[0]} is part {own!r} by its header (from 0), "
                               f"{number} by its name")  # fmt: skip
        if head.big_endian != first.big_endian:
            raise ModelCorrupt(f"{head.files[0]} has another byte order than the first part")
    total = first.values.get("split.tensors.count")
    held = sum(len(h.tensors) for h in heads)
    if total is not None and total != held:
        raise ModelCorrupt(f"{first.files[0]}: the model has {total!r} tensors by its header, its "
                           f"{len(heads)} parts hold {held}")  # fmt: skip


def _read_one(path: Path, arrays: Container[str]) -> Gguf:
    try:
        with path.open("rb") as f:
            start = f.read(256)
            _check_start(path, start)
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data, arrays).header()
    except OSError as e:
        raise ModelError(f"{path} cannot be read: {e.strerror or e}") from e


def _check_start(path: Path, start: bytes) -> None:
    """Say what a file is that has no GGUF in it."""
    if start.startswith(b"GGUF"):
        if len(start) < 24:
            raise ModelCorrupt(f"{path} is cut off: it has {len(start)} bytes")
        return
    text = start.lstrip().lower()
    if not start:
        why = "it is empty"
    elif start.startswith(b"version https://git-lfs"):
        why = "it is a pointer of Git LFS in the place of the file (git lfs pull fetches it)"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml")):
        why = "it is a web page, saved in the place of the file"
    elif start[:4] in (b"ggml", b"ggjt", b"ggmf", b"ggla", b"lmgg", b"tjgg", b"fmgg"):
        why = "it is of a format before GGUF, which nothing reads any more; convert it again"
    elif start.startswith(b"PK\x03\x04"):
        why = "it is a zip archive, perhaps of PyTorch"
    else:
        why = f"it starts with {start[:4]!r}, not b'GGUF'"
    raise ModelCorrupt(f"{path} is no GGUF model: {why}")


class _Reader:
    """A place in one mapped file; every step is checked against the file's end."""

    def __init__(self, path: Path, data: mmap.mmap, arrays: Container[str]) -> None:
        self.path = path
        self.data = data
        self.size = len(data)
        self.arrays = arrays
        self.at = 4
        version = struct.unpack_from("<I", data, 4)[0]
        self.big = version & 0xFFFF == 0 and version != 0
        self.order = ">" if self.big else "<"
        self.length = struct.Struct(self.order + "Q")

    def header(self) -> Gguf:
        try:
            return self._header()
        except struct.error:
            raise self.corrupt("the header is cut off") from None

    def corrupt(self, why: str) -> ModelCorrupt:
        return ModelCorrupt(f"{self.path} is damaged: {why}")

    def _header(self) -> Gguf:
        version, tensors, pairs = self.take("IQQ")
        if version == 1:
            raise ModelCorrupt(
                f"{self.path} is GGUF version 1, of August 2023, which nothing reads any more; "
                "convert the model again with llama.cpp's convert_hf_to_gguf.py"
            )
        if version not in (2, 3):
            raise ModelCorrupt(f"{self.path}: GGUF version is {version}, expected 2 or 3")
        if tensors * 24 + pairs * 13 > self.size:  # the least that so many entries take
            raise self.corrupt(f"it promises {tensors} tensors and {pairs} values, more than "
                               f"its {self.size} bytes can hold")  # fmt: skip
        values: dict[str, Any] = {}
        for _ in range(pairs):
            key = self.name("a key")
            if key in values:
                raise self.corrupt(f"the key {key!r} occurs twice")
            values[key] = self.value(self.take("I")[0], key)
        raw = [self.tensor() for _ in range(tensors)]
        places = self.places(raw, self.alignment(values))
        return Gguf((self.path,), version, MappingProxyType(values), places, self.big)

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(self.order + form, self.data, self.at)
        self.at += struct.calcsize(self.order + form)
        return values

    def bytes(self, what: str) -> bytes:
        (length,) = self.take("Q")
        if length > self.size - self.at:
            raise self.corrupt(f"{what} of {length} bytes goes beyond the file's end")
        self.at += length
        return self.data[self.at - length : self.at]

    def name(self, what: str) -> str:
        raw = self.bytes(what)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.corrupt(f"{what} is no text: {raw[:40]!r}") from None

    def value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self.bytes(f"the value of {key!r}").decode("utf-8", "replace")
        if kind == _ARRAY:
            return self.array(key)
        return self.take(self.scalar(kind, key))[0]

    def scalar(self, kind: int, key: str) -> str:
        if kind not in _SCALARS:
            raise self.corrupt(f"the value of {key!r} is of the unknown kind {kind}")
        return _SCALARS[kind]

    def array(self, key: str) -> Any:
        """A list; a `Skipped` for a long one that nobody asked for."""
        kind, count = self.take("IQ")
        text = kind == _STRING
        width = 8 if text else struct.calcsize(self.order + self.scalar(kind, key))
        if count * width > self.size - self.at:
            raise self.corrupt(f"the array {key!r} of {count} items goes beyond the file's end")
        keep = key in self.arrays or count <= _SHORT
        if text:
            items = self.strings(count, keep)
            return items if keep else Skipped(count, True)
        start = self.at
        self.at += count * width
        if not keep:
            return Skipped(count, False)
        return list(struct.unpack_from(f"{self.order}{count}{_SCALARS[kind]}", self.data, start))

    def strings(self, count: int, keep: bool) -> list[str]:
        """Read or step over `count` strings; a tight loop, for there are 150,000 at a time."""
        unpack, data, at = self.length.unpack_from, self.data, self.at
        found = []
        if keep:
            for _ in range(count):
                (length,) = unpack(data, at)
                raw = data[at + 8 : at + 8 + length]
                if len(raw) < length:
                    raise self.corrupt(f"a string of {length} bytes goes beyond the file's end")
                found.append(raw.decode("utf-8", "surrogateescape"))
                at += 8 + length
        else:
            for _ in range(count):
                at += 8 + unpack(data, at)[0]
                if at > self.size:
                    raise self.corrupt("a string goes beyond the file's end")
        self.at = at
        return found

    def tensor(self) -> tuple[str, tuple[int, ...], str, int, int]:
        name = self.name("a tensor's name")
        (dimensions,) = self.take("I")
        if dimensions > _MOST_DIMENSIONS:
            raise self.corrupt(f"the tensor {name!r} has {dimensions} dimensions, at most 4 can be")
        sizes = self.take(f"{dimensions}Q")
        kind, offset = self.take("IQ")
        if math.prod(sizes) > _LARGEST or 0 in sizes:
            raise self.corrupt(f"the tensor {name!r} cannot have the dimensions {sizes}")
        if kind not in TYPES:
            return name, tuple(reversed(sizes)), f"no. {kind}", offset, 0
        label, block, width = TYPES[kind]
        row = sizes[0] if sizes else 1
        if row % block:
            raise self.corrupt(f"the tensor {name!r} of type {label} has rows of {row} values, no "
                               f"multiple of {block}")  # fmt: skip
        return name, tuple(reversed(sizes)), label, offset, math.prod(sizes) // block * width

    def alignment(self, values: Mapping[str, Any]) -> int:
        step = values.get("general.alignment", 32)
        if not isinstance(step, int) or step <= 0 or step & (step - 1):
            raise self.corrupt(f"general.alignment is {step!r}, expected a power of 2")
        return step

    def places(self, raw: list[tuple[str, tuple[int, ...], str, int, int]],
               step: int) -> tuple[TensorPlace, ...]:  # fmt: skip
        """Where each tensor lies, once none overlaps another or goes beyond the file."""
        start = -(-self.at // step) * step
        end, before = 0, ""
        for name, _, _, offset, size in sorted(raw, key=lambda t: (t[3], t[4])):
            if offset % step:
                raise self.corrupt(f"the tensor {name!r} starts at {offset}, no multiple of {step}")
            if offset < end:
                raise self.corrupt(f"the tensors {before!r} and {name!r} overlap")
            end, before = offset + size, name
        if raw and start + end > self.size:
            raise ModelCorrupt(f"{self.path} is cut off: it has {self.size} bytes, its tensors "
                               f"need {start + end}")  # fmt: skip
        if len({t[0] for t in raw}) < len(raw):
            raise self.corrupt("two of its tensors have the same name")
        return tuple(
            TensorPlace(name, shape, kind, self.path, start + offset, size)
            for name, shape, kind, offset, size in raw
        )
