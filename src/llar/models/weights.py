"""Look at model files from outside: are they what they claim to be, and what do they say?

Only headers are read.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ModelCorrupt
from . import gguf
from .catalogue import Kind
from .gguf import Gguf
from .sources import ENCODER_FILES

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
        heads = {head.files: head for head in map(gguf.read, ggufs)}  # one where a model is split
        facts = [_gguf_facts(head) for head in heads.values()]
        return facts[0]
    if (folder / "model.safetensors").is_file():
        return _encoder_facts(folder)
    raise ModelCorrupt(
        f"{folder} holds no model: expected a .gguf file, or a folder with "
        f"{', '.join(ENCODER_FILES)}"
    )


def _gguf_facts(header: Gguf) -> Facts:
    file = header.files[0]
    arch = header.values.get("general.architecture")
    if not isinstance(arch, str):
        raise ModelCorrupt(f"{file}: the GGUF header names no architecture")
    if header.values.get("general.type", "model") != "model":
        raise ModelCorrupt(
            f"{file} holds a model's {header.values['general.type']}, not a whole model",
        )
    pooling = header.values.get(f"{arch}.pooling_type")
    classifier = any(t.name.startswith("cls.") for t in header.tensors)
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


def _take(f: BinaryIO, form: str) -> tuple[Any, ...]:
    raw = f.read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise EOFError("the file ends inside the header")
    return struct.unpack(form, raw)


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
