"""Look at model files from outside: are they what they claim to be, and what do they say?

GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Only headers are read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ModelCorrupt
from .catalogue import Kind
from .sources import ENCODER_FILES

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_STRING, _ARRAY = 8, 9
_SHORT = 256  # longer arrays are vocabularies; they are skipped, not kept

# ggml type -> (values in a block, bytes of a block); ggml/src/ggml.c, type_traits
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17),
}  # fmt: skip
_POOLING = {1: "mean", 2: "cls", 3: "last"}
_RANK = 4  # llama.cpp's pooling type of a cross-encoder
_ENCODERS = ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert",
             "modern-bert", "eurobert", "gemma-embedding")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What the files themselves say of the model; 0, "" and () where they are silent."""

    kind: Kind
    backend: str
    context: int = 0  # tokens
    pooling: str = ""
    query_prefix: str = ""
    document_prefix: str = ""
    licence: str = ""
    languages: tuple[str, ...] = ()


def inspect(folder: Path) -> Facts:
    """Read the headers of the one model in `folder`. Raises ModelCorrupt where there is none."""
    ggufs = sorted(p for p in folder.rglob("*.gguf") if p.is_file())
    if ggufs:
        facts = [_gguf_facts(p) for p in ggufs]  # checks every part of a split model
        return facts[0]
    if (folder / "model.safetensors").is_file():
        return _encoder_facts(folder)
    raise ModelCorrupt(
        f"{folder} holds no model: expected a .gguf file, or a folder with "
        f"{', '.join(ENCODER_FILES)}"
    )


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The key-value pairs of a GGUF file (long arrays left out) and its tensors' names."""

    values: Mapping[str, Any]
    tensors: tuple[str, ...]


def read_gguf(file: Path) -> GgufHeader:
    """Parse a GGUF header and check that the file is long enough for every tensor it lists."""
    size = file.stat().st_size
    with file.open("rb") as f:
        magic = f.read(4)
        if magic != b"GGUF":
            raise ModelCorrupt(f"{file} is no GGUF model: it starts with {magic!r}, not b'GGUF'")
        try:
            version, tensors, pairs = _take(f, "<IQQ")
            if version not in (2, 3):
                raise ModelCorrupt(f"{file}: GGUF version is {version}, expected 2 or 3")
            if tensors * 24 + pairs * 13 > size:  # the least that so many entries take
                raise ModelCorrupt(f"{file}: the GGUF header promises more than the file holds")
            values = {}
            for _ in range(pairs):
                key = _string(f, size)
                values[key] = _value(f, _take(f, "<I")[0], size)
            spans = [_tensor(f, size) for _ in range(tensors)]
        except (EOFError, KeyError, OverflowError, RecursionError) as e:
            raise ModelCorrupt(f"{file}: the GGUF header is damaged or cut off ({e!r})") from e
        align = values.get("general.alignment", 32)
        data = -(-f.tell() // align) * align if isinstance(align, int) and align > 0 else f.tell()
    end = max((data + start + length for _, start, length in spans), default=0)
    if end > size:
        raise ModelCorrupt(f"{file} is cut off: it has {size} bytes, its tensors need {end}")
    return GgufHeader(values, tuple(name for name, _, _ in spans))


def _take(f: BinaryIO, form: str) -> tuple[Any, ...]:
    raw = f.read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise EOFError("the file ends inside the header")
    return struct.unpack(form, raw)


def _string(f: BinaryIO, size: int) -> str:
    (length,) = _take(f, "<Q")
    if length > size:
        raise EOFError(f"a string of {length} bytes")
    return f.read(length).decode("utf-8", "replace")


def _value(f: BinaryIO, kind: int, size: int) -> Any:
    if kind == _STRING:
        return _string(f, size)
    if kind == _ARRAY:
        item, count = _take(f, "<IQ")
        if count > size:
            raise EOFError(f"an array of {count} items")
        return _array(f, item, count, size)
    return _take(f, "<" + _SCALARS[kind])[0]


def _array(f: BinaryIO, item: int, count: int, size: int) -> list[Any] | None:
    """The items of a short array; None, after stepping over it, for a long one."""
    if count <= _SHORT:
        return [_value(f, item, size) for _ in range(count)]
    if item in _SCALARS:
        f.seek(count * struct.calcsize("<" + _SCALARS[item]), 1)
    elif item == _STRING:
        for _ in range(count):
            f.seek(min(_take(f, "<Q")[0], size), 1)
    else:
        raise EOFError(f"an array of {count} arrays")
    if f.tell() > size:
        raise EOFError("an array that does not end")
    return None


def _tensor(f: BinaryIO, size: int) -> tuple[str, int, int]:
    name = _string(f, size)
    (dimensions,) = _take(f, "<I")
    if dimensions > 8:
        raise EOFError(f"a tensor of {dimensions} dimensions")
    count = 1
    for n in _take(f, f"<{dimensions}Q"):
        count *= n
    kind, start = _take(f, "<IQ")
    values, width = _BLOCKS.get(kind, (1, 0))  # of a type newer than this table only the start
    return name, start, count // values * width


def _gguf_facts(file: Path) -> Facts:
    header = read_gguf(file)
    arch = header.values.get("general.architecture")
    if not isinstance(arch, str):
        raise ModelCorrupt(f"{file}: the GGUF header names no architecture")
    if header.values.get("general.type", "model") != "model":
        raise ModelCorrupt(
            f"{file} holds a model's {header.values['general.type']}, not a whole model",
        )
    pooling = header.values.get(f"{arch}.pooling_type")
    classifier = any(t.startswith("cls.") for t in header.tensors)
    kind: Kind = "chat"
    if pooling == _RANK or (classifier and arch in _ENCODERS):
        kind = "reranker"
    elif pooling in _POOLING or arch in _ENCODERS:
        kind = "embedding"
    context = header.values.get(f"{arch}.context_length", 0)
    return Facts(
        kind,
        "llamacpp",
        context if isinstance(context, int) else 0,
        _POOLING.get(pooling, "") if isinstance(pooling, int) and kind == "embedding" else "",
        licence=str(header.values.get("general.license", "")),
        languages=tuple(map(str, header.values.get("general.languages") or ())),
    )


def _encoder_facts(folder: Path) -> Facts:
    for name in ENCODER_FILES:
        if not (folder / name).is_file():
            raise ModelCorrupt(f"{folder} is no embedding model: it has no {name}")
    check_safetensors(folder / "model.safetensors")
    config = _json(folder / "config.json")
    heads = [str(a) for a in config.get("architectures") or []]
    if any(h.endswith(("ForCausalLM", "ForConditionalGeneration")) for h in heads):
        raise ModelCorrupt(
            f"{folder} holds a chat model ({heads[0]}) as safetensors; llar runs those from a GGUF "
            "file (llama.cpp's convert_hf_to_gguf.py writes one)"
        )
    if any(h.endswith("ForSequenceClassification") for h in heads):
        raise ModelCorrupt(
            f"{folder} holds a classifier ({heads[0]}) as safetensors; llar runs rerankers from a "
            "GGUF file (llama.cpp's convert_hf_to_gguf.py writes one)"
        )
    if not isinstance(_json(folder / "tokenizer.json").get("model"), dict):
        raise ModelCorrupt(f"{folder / 'tokenizer.json'} is no tokenizer: it has no 'model'")
    _check_modules(folder)
    limits = [_json(folder / "sentence_bert_config.json").get("max_seq_length")]
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int):  # RoBERTa's positions start behind the padding's
        roberta = "roberta" in str(config.get("model_type"))
        limits.append(positions - int(config.get("pad_token_id", 1)) - 1 if roberta else positions)
    if any(h.endswith("ForTokenClassification") for h in heads):
        return Facts("compressor", "ctranslate2", _least(limits))
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    return Facts(
        "embedding",
        "ctranslate2",
        _least(limits),
        _pooling(folder),
        str(prompts.get("query", "")),
        str(prompts.get("document", prompts.get("passage", ""))),
    )


def _least(limits: list[Any]) -> int:
    """The smallest length of those that are one, 0 where none is."""
    return min((n for n in limits if isinstance(n, int) and n > 0), default=0)


def check_safetensors(file: Path) -> None:
    """Raise ModelCorrupt unless `file` is safetensors with exactly the bytes its header lists."""
    size = file.stat().st_size
    with file.open("rb") as f:
        try:
            (length,) = _take(f, "<Q")
            if length > size - 8:
                raise EOFError(f"a header of {length} bytes")
            table = json.loads(f.read(length))
            ends = [t["data_offsets"][1] for name, t in table.items() if name != "__metadata__"]
        except (EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as e:
            raise ModelCorrupt(f"{file} is no safetensors file ({e!r})") from e
    if not ends or max(ends) != size - 8 - length:
        raise ModelCorrupt(
            f"{file} is cut off or damaged: its tensors need "
            f"{8 + length + max(ends, default=0)} bytes, it has {size}"
        )


def _json(file: Path) -> dict[str, Any]:
    """The object in `file`, {} when there is no such file."""
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as e:
        raise ModelCorrupt(f"{file} is no JSON: {e}") from e
    if not isinstance(value, dict):
        raise ModelCorrupt(f"{file}: expected a JSON object, got {type(value).__name__}")
    return value


def _check_modules(folder: Path) -> None:
    """A model with further layers after pooling would give other vectors than its makers'."""
    file = folder / "modules.json"
    if not file.is_file():
        return
    try:
        types = [m["type"].rsplit(".", 1)[-1] for m in json.loads(file.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ModelCorrupt(f"{file} does not list a model's modules ({e!r})") from e
    other = [t for t in types if t not in ("Transformer", "Pooling", "Normalize")]
    if other:
        raise ModelCorrupt(f"{file}: the model also needs a {other[0]} layer, which llar lacks")


def _pooling(folder: Path) -> str:
    config = _json(folder / "1_Pooling" / "config.json")
    modes = {"mean_tokens": "mean", "cls_token": "cls", "lasttoken": "last"}
    on = [k.removeprefix("pooling_mode_") for k, v in config.items()
          if k.startswith("pooling_mode_") and v is True]  # fmt: skip
    if isinstance(config.get("pooling_mode"), str):  # how newer sentence-transformers write it
        on = [{"mean": "mean_tokens", "cls": "cls_token"}.get(m, m)
              for m in [config["pooling_mode"]]]  # fmt: skip
    if not on:
        return ""
    if len(on) > 1 or on[0] not in modes:
        raise ModelCorrupt(f"{folder}: pooling {' + '.join(on)} is not one llar can do")
    return modes[on[0]]
