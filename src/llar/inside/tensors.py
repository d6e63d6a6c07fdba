"""The weights of one tensor of a model, as numbers.

GGUF's quantised types are read by ggml itself, in the library that xllamacpp carries
(ggml/src/ggml-quants.h declares dequantize_row_*); safetensors is
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import ctypes
import difflib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..errors import InsideError, ModelCorrupt
from ..models import gguf
from ..models.llama_library import binding
from ..models.store import Store
from ..plan.shapes import safetensors_header

__all__ = ["READABLE", "Place", "read", "tensors"]

Numbers = NDArray[np.float32]

_MOST = 64 * 2**20  # numbers of one tensor: a few GiB while they are worked with
_PLAIN = {
    "f64": "<f8", "f32": "<f4", "f16": "<f2", "i8": "<i1", "i16": "<i2", "i32": "<i4", "i64": "<i8",
    "u8": "<u1",
}  # fmt: skip
_GGML = {
    "q4_0": "q4_0", "q4_1": "q4_1", "q5_0": "q5_0", "q5_1": "q5_1", "q8_0": "q8_0",
    "q2_k": "q2_K", "q3_k": "q3_K", "q4_k": "q4_K", "q5_k": "q5_K", "q6_k": "q6_K",
    "iq1_s": "iq1_s", "iq1_m": "iq1_m", "iq2_xxs": "iq2_xxs", "iq2_xs": "iq2_xs",
    "iq2_s": "iq2_s", "iq3_xxs": "iq3_xxs", "iq3_s": "iq3_s", "iq4_nl": "iq4_nl",
    "iq4_xs": "iq4_xs", "tq1_0": "tq1_0", "tq2_0": "tq2_0", "mxfp4": "mxfp4",
}  # fmt: skip


READABLE = tuple(_GGML)
"""The quantised types of GGUF that can be turned into numbers, besides plain ones."""


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor of a model and where its bytes are."""

    name: str
    shape: tuple[int, ...]  # (out, in) as PyTorch has it
    type: str  # "q4_1", "f32", "bf16" ...
    file: Path
    offset: int
    size: int  # bytes

    @property
    def readable(self) -> bool:
        """Whether llar can turn its type into numbers."""
        return self.type in _PLAIN or self.type in _GGML or self.type == "bf16"


def tensors(config: Config, model: str) -> list[Place]:
    """The tensors of an installed model, a GGUF, a safetensors file or a folder that holds one.

    Raises UnknownModel, ModelNotInstalled or ModelCorrupt.
    """
    found: list[Place] = []
    for file in _files(config, model):
        if file.suffix.lower() == ".gguf":
            found += [Place(t.name, t.shape, t.type, t.file, t.offset, t.size)
                      for t in gguf.read(file).tensors]  # fmt: skip
        else:
            found += _safetensors(file)
    return found


def read(config: Config, model: str, name: str) -> tuple[Place, Numbers]:
    """One tensor's numbers as float32, in its shape (out, in).

    Raises InsideError for a name or a type that cannot be read, listing what there is.
    """
    every = tensors(config, model)
    place = _named(every, model, name)
    if not place.readable:
        others = sorted({t.type for t in every if t.readable})
        raise InsideError(
            f"the tensor {name!r} of {model!r} is of type {place.type}, which cannot be turned "
            f"into numbers; of its other tensors, those of type {', '.join(others) or '(none)'} can"
        )
    count = math.prod(place.shape)
    if count > _MOST:
        raise InsideError(
            f"the tensor {name!r} holds {count:,} numbers; expected at most {_MOST:,}",
            fix="choose a smaller one, such as one of a layer's attn_k.weight",
        )
    with place.file.open("rb") as f:
        f.seek(place.offset)
        raw = f.read(place.size)
    if len(raw) < place.size:
        raise ModelCorrupt(f"{place.file} is cut off inside the tensor {name!r}")
    return place, _numbers(raw, place.type, count).reshape(place.shape)


def _files(config: Config, model: str) -> list[Path]:
    path = Path(model).expanduser()
    if path.suffix.lower() in (".gguf", ".safetensors") and path.is_file():
        return [path]
    if path.is_dir() and ("/" in model or "\\" in model or model in (".", "..")):
        found = sorted(p for p in path.iterdir() if p.suffix in (".gguf", ".safetensors"))
        what = f"the folder {model!r}"
    else:
        installed = Store(config.models_dir).get(model)
        found = [installed.folder / f for f in installed.files]
        what = f"the model {model!r}"
    found = [p for p in found if p.suffix in (".gguf", ".safetensors")]
    if not found:
        raise InsideError(f"{what} holds no .gguf and no .safetensors")
    ggufs = [p for p in found if p.suffix == ".gguf"]
    return ggufs[:1] or found  # the parts of a split GGUF are read with the first


def _named(every: Sequence[Place], model: str, name: str) -> Place:
    for place in every:
        if place.name == name:
            return place
    near = difflib.get_close_matches(name, [t.name for t in every], n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise InsideError(
        f"{model!r} has no tensor {name!r}{guess}",
        fix=f"llar numbers quantise --model {model} --tensors",
    )


def _safetensors(file: Path) -> list[Place]:
    safetensors_header.read(file)  # checks every entry against the file
    with file.open("rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        table = json.loads(f.read(length))
    table.pop("__metadata__", None)
    found = []
    for name, entry in table.items():
        start, end = entry["data_offsets"]
        shape, kind = tuple(entry["shape"]), entry["dtype"].lower()
        found.append(Place(name, shape, kind, file, 8 + length + start, end - start))
    return found


def _numbers(raw: bytes, kind: str, count: int) -> Numbers:
    if kind in _PLAIN:
        return np.frombuffer(raw, _PLAIN[kind]).astype(np.float32)
    if kind == "bf16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return _dequantised(raw, kind, count)


def _dequantised(raw: bytes, kind: str, count: int) -> Numbers:
    """The numbers of a quantised type, by ggml."""
    library: Any = ctypes.CDLL(str(binding().__file__))
    symbol = f"dequantize_row_{_GGML[kind]}"
    number = next(n for n, (name, _, _) in gguf.TYPES.items() if name == kind)
    block, size = gguf.TYPES[number][1:]
    try:
        function = getattr(library, symbol)
        library.ggml_blck_size.restype = ctypes.c_int64
        library.ggml_type_size.restype = ctypes.c_size_t
        has = (library.ggml_blck_size(number), library.ggml_type_size(number))
    except AttributeError as e:
        raise InsideError(f"this xllamacpp does not show ggml's {symbol}: {e}",
                          fix="choose a tensor of type f32, f16 or bf16") from e  # fmt: skip
    if has != (block, size):
        raise InsideError(f"this xllamacpp packs {kind} otherwise: {has}, expected {(block, size)}")
    function.restype = None
    function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64]
    found = np.empty(count, np.float32)
    function(raw, found.ctypes.data, count)
    return found
