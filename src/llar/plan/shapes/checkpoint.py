"""A folder as Hugging Face hubs hold models: config.json beside safetensors, as a Shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import PlanError
from ..shape import Shape, Tensor
from . import configs, safetensors_header
from .measured import estimate
from .names import translate

__all__ = ["config", "from_config", "from_safetensors"]

_CONFIG = "config.json"
_BUFFERS = (".position_ids", ".inv_freq", ".masked_bias", ".attn.bias", ".attention.bias",
            ".position_bias_ids")  # fmt: skip
_MOST = 16 * 2**20  # bytes; the largest published config.json has under one MiB


def config(file: Path) -> dict[str, Any]:
    """The object in a config.json. Raises PlanError for what is none."""
    try:
        if file.stat().st_size > _MOST:
            raise PlanError(f"{file} has {file.stat().st_size} bytes; no config.json is so large")
        table = json.loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise PlanError(f"{file} cannot be read: {e.strerror or e}") from e
    except (ValueError, RecursionError) as e:
        raise PlanError(f"{file} is no JSON: {e}") from e
    if not isinstance(table, dict):
        raise PlanError(f"{file}: expected the object of a config.json, got {table!r:.40}")
    return table


def from_config(file: Path, name: str = "") -> Shape:
    """The Shape of a config.json alone, without types of tensors. Raises PlanError."""
    shape = configs.read(config(file), str(file), name or _named(file.absolute().parent))
    return _cut(shape, file.parent)


def from_safetensors(files: Sequence[Path], name: str = "") -> Shape:
    """The Shape of safetensors files with the true type of every tensor.

    Dimensions are those of the config.json beside them; without one, or with one of a family that
    is not known, the shapes of the tensors tell. Raises PlanError and ModelCorrupt.
    """
    header = safetensors_header.read(*files)
    folder = files[0].parent
    name = name or _named(folder.absolute())
    beside = folder / _CONFIG
    table = config(beside) if beside.is_file() else {}
    source = str(folder if beside.is_file() or len(files) > 1 else files[0])
    kept, notes = _weights(header.tensors)
    found = _mxfp4(translate(kept))
    try:
        stated = configs.read(table, source, name) if table else None
    except configs.UnknownArchitecture:
        stated = None
    if stated is None:
        shape = estimate(found, table, source, name)
    elif _packed(found, table):
        shape = _of_packed(stated, found, table, header.size)
    else:
        shape = _of_tensors(stated, found)
    return _cut(replace(shape, assumed=(*shape.assumed, *notes)), folder)


def _cut(shape: Shape, folder: Path) -> Shape:
    """An encoder with the length its makers cut texts to, of sentence-transformers' own file."""
    beside = folder / "sentence_bert_config.json"
    if not shape.encoder or not beside.is_file():
        return shape
    length = config(beside).get("max_seq_length")
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        return shape  # null: not cut
    return replace(shape, context=min(shape.context or length, length))


def _named(folder: Path) -> str:
    """What to call the model of a folder: of a hub's cache, the repository's name."""
    for parent in (folder, *folder.parents):
        if parent.name.startswith("models--"):
            return parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def _weights(tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[str]]:
    """Without what is computed when a model is loaded and was stored all the same in old ones."""
    out = [t for t in tensors if t.name.endswith(_BUFFERS) and not _is_bias(t)]
    gone = {t.name for t in out}
    notes = []
    if out:
        names = ", ".join(t.name for t in out[:2]) + (" ..." if len(out) > 2 else "")
        notes.append(f"left out, for they are computed and no weights: {names}")
    return [t for t in tensors if t.name not in gone], notes


def _is_bias(tensor: Tensor) -> bool:
    """Whether `.attn.bias` is what it says: a row, and not GPT-2's stored causal mask."""
    return tensor.name.endswith(".bias") and len(tensor.shape) == 1


def _mxfp4(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Blocks and scales as gpt-oss stores them, put together: 32 values in 17 bytes."""
    sizes = {t.name: t for t in tensors}
    found: list[Tensor] = []
    for t in tensors:
        base = t.name.removesuffix("_blocks")
        if t.name.endswith("_scales") and f"{t.name.removesuffix('_scales')}_blocks" in sizes:
            continue
        if base == t.name or f"{base}_scales" not in sizes or t.type != "u8" or t.shape[-1] != 16:
            found.append(t)
            continue
        shape = (*t.shape[:-2], t.shape[-2] * 32)
        found.extend(translate([Tensor(base, shape, "mxfp4")]))
    return tuple(found)


def _packed(tensors: Sequence[Tensor], table: Mapping[str, Any]) -> bool:
    """Whether several weights share one stored number (GPTQ, AWQ, bitsandbytes)."""
    return bool(table.get("quantization_config")) and any(
        t.type in ("i32", "u8", "i8", "f4") for t in tensors
    )


def _of_packed(stated: Shape, found: Sequence[Tensor], table: Mapping[str, Any],
               size: int) -> Shape:  # fmt: skip
    own = {t.name: t for t in found}
    tensors = tuple(
        replace(t, type=own[t.name].type) if t.name in own and own[t.name].shape == t.shape else t
        for t in stated.tensors
    )
    how = table["quantization_config"]
    method = how.get("quant_method", "some method") if isinstance(how, dict) else "some method"
    note = (f"the files hold weights packed by {method}, {size} bytes in all; tensors are those of "
            "config.json, and how many bits each takes in the files is not known")  # fmt: skip
    return replace(stated, tensors=tensors, assumed=(*stated.assumed, note))


def _of_tensors(stated: Shape, found: Sequence[Tensor]) -> Shape:
    """The stated dimensions with the tensors there are, and a word where the two disagree."""
    notes = list(stated.assumed)
    if stated.tied and any(t.name == "output.weight" for t in found):
        found = [t for t in found if t.name != "output.weight"]
        notes.append("the output head is stored though it is the token embedding; it counts once")
    expected = {t.name: t.shape for t in stated.tensors}
    actual = {t.name: t.shape for t in found}
    differ = sorted(n for n in expected.keys() & actual.keys() if expected[n] != actual[n])
    if differ:
        n = differ[0]
        raise PlanError(
            f"{stated.source}: config.json and the files disagree on {len(differ)} tensors: {n} is "
            f"{expected[n]} by config.json, {actual[n]} in the files"
        )
    missing = sorted(expected.keys() - actual.keys())
    more = sorted(actual.keys() - expected.keys())
    for names, what in ((missing, "that config.json leads to are not in the files"),
                        (more, "of the files are not those config.json leads to")):  # fmt: skip
        if names:
            notes.append(f"{len(names)} tensors {what}: {', '.join(names[:3])}"
                         + (" ..." if len(names) > 3 else ""))  # fmt: skip
    return replace(stated, tensors=tuple(found), assumed=tuple(notes))
